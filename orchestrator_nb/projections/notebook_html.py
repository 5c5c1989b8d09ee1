"""A notebook as HTML, cell by cell, with what it printed and its pictures; also one that is being executed.

Nothing of it is trusted: texts and pictures go through `projections.rendering`, HTML, SVG and scripts among a cell's
outputs are left out for the text that stands beside them.
"""

from __future__ import annotations

import base64
import binascii
from typing import Any

import msgspec

from orchestrator_nb.projections.rendering import markdown_html, plain_html, text_html

#: Cells that are shown, characters of one text, and bytes of all that is shown.
MAX_CELLS = 500
MAX_TEXT = 16 * 1024
MAX_SHOWN = 2 * 1024 * 1024

_STATES = {"running": "running", "completed": "", "failed": "failed", "pending": "waiting"}


class _Notebook(msgspec.Struct):
    cells: list[Any]


def notebook_html(content: bytes) -> str:
    """The notebook in the file `content`. Raises `ValueError` if that is no notebook of format 4."""
    try:
        cells = msgspec.json.decode(content, type=_Notebook).cells
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise ValueError("it is not a notebook in the format of Jupyter (version 4)") from None
    parts: list[str] = []
    room = MAX_SHOWN
    for place, cell in enumerate(cells):
        html = _cell(cell) if isinstance(cell, dict) else ""
        room -= len(html)
        if room < 0 or place == MAX_CELLS:
            parts.append(f"<p>… {len(cells) - place:,} more cells</p>")
            break
        parts.append(html)
    return "".join(parts)


def _cell(cell: dict[str, Any]) -> str:
    source = _text(cell.get("source"))
    if cell.get("cell_type") == "markdown":
        return f'<div class="o-cell">{markdown_html(source, limit=MAX_TEXT)}</div>'
    if cell.get("cell_type") != "code" or not source.strip():
        return ""
    count = cell.get("execution_count")
    label = f"[{count if isinstance(count, int) else ' '}] {_state(cell)}".strip()
    shown = "".join(_output(output) for output in _list(cell.get("outputs")) if isinstance(output, dict))
    return f'<div class="o-cell"><p>{text_html(label)}</p>{plain_html(source, MAX_TEXT)}{shown}</div>'


def _state(cell: dict[str, Any]) -> str:
    """What papermill says of the cell, where that is more than that it was executed."""
    metadata = cell.get("metadata")
    told = metadata.get("papermill") if isinstance(metadata, dict) else None
    status = told.get("status") if isinstance(told, dict) else None
    return _STATES.get(status, "") if isinstance(status, str) else ""


def _output(output: dict[str, Any]) -> str:
    match output.get("output_type"):
        case "stream":
            return plain_html(_text(output.get("text")), MAX_TEXT)
        case "error":
            lines = [_text(line) for line in _list(output.get("traceback"))]
            name = f"{_text(output.get('ename'))}: {_text(output.get('evalue'))}"
            return plain_html("\n".join(lines) or name, MAX_TEXT)
        case "display_data" | "execute_result":
            data = output.get("data")
            return _data(data) if isinstance(data, dict) else ""
    return ""


def _data(data: dict[str, Any]) -> str:
    words = _text(data.get("text/plain"))
    for kind in ("image/png", "image/jpeg", "image/gif"):
        picture = _decoded(_text(data.get(kind)))
        if picture:
            return markdown_html("![picture](picture)", images={"picture": picture})
    if markdown := _text(data.get("text/markdown")):
        return markdown_html(markdown, limit=MAX_TEXT)
    return plain_html(words, MAX_TEXT) if words else ""


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text)
    except (binascii.Error, ValueError):
        return b""


def _text(value: Any) -> str:
    """A text of the format: a string, or a list of its lines."""
    if isinstance(value, str):
        return value
    return "".join(part for part in _list(value) if isinstance(part, str))


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
