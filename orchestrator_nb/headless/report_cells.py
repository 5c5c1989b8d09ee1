"""The cells of a notebook as HTML, by nbconvert: without script, and without anything that is fetched from elsewhere.

Two walls stand between the notebook and the page. Whatever is HTML in it, in outputs and in Markdown, is filtered by an
allow-list (nh3) where nbconvert's templates would call their own filter, which knows no tables; and so is the whole,
once more, when nbconvert is done.
"""

from __future__ import annotations

import base64
import binascii
import json
import logging
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from orchestrator_nb.ipynb.document import Notebook, tags_of
from orchestrator_nb.projections.text import MAX_TEXT, one_line

#: Tags by which a notebook's author says what a page leaves out (Jupyter Book, nbconvert).
_REMOVED = {
    "cell": {"remove-cell", "remove_cell"},
    "input": {"remove-input", "hide-input"},
    "output": {"remove-output"},
}
_PRIORITY = ["text/html", "text/markdown", "image/png", "image/svg+xml", "image/jpeg", "text/latex", "text/plain"]

_TAGS = {
    *("div", "span", "p", "br", "hr", "h1", "h2", "h3", "h4", "h5", "h6", "blockquote", "ul", "ol", "li"),
    *("dl", "dt", "dd", "pre", "code", "kbd", "samp", "strong", "b", "em", "i", "u", "s", "del", "ins", "sub", "sup"),
    *("small", "mark", "a", "img", "table", "caption", "colgroup", "col", "thead", "tbody", "tfoot", "tr", "th", "td"),
    *("details", "summary", "figure", "figcaption", "section"),
}
_ATTRIBUTES = {
    "*": {"class", "id", "style", "title"},
    "a": {"href"},
    "img": {"src", "alt", "width", "height"},
    "ol": {"start"},
    "td": {"colspan", "rowspan"},
    "th": {"colspan", "rowspan", "scope"},
}
_STYLES = re.compile(
    r"(?:color|background-color|font-weight|font-style|text-align|text-decoration|vertical-align|white-space|padding(-\w+)?"
    r"|margin(-\w+)?|border(-\w+)*|width|height|max-width|font-size)\s*:\s*(?!.*(?:url|expression|image|attr|var)\b)"
    r"[\w\s#%.,()+-]+",
    re.IGNORECASE,
)
_LINK = re.compile(r"(?:https?://|mailto:|#)", re.IGNORECASE)
_PICTURE = re.compile(r"data:image/(png|jpeg|gif|webp|svg\+xml);base64,([A-Za-z0-9+/=\s]+)")
_MAGIC = {
    "png": b"\x89PNG\r\n\x1a\n",
    "jpeg": b"\xff\xd8\xff",
    "gif": b"GIF8",
    "webp": b"RIFF",
    "svg+xml": b"",
}
_IMG = re.compile(r'<img((?:\s+[\w-]+="[^"]*")*)\s*/?>')
_VISIBLE = re.compile(r"<img|<hr|>\s*[^<\s]|^\s*[^<\s]")


def cells_html(notebook: Notebook, directory: Path, *, inputs: bool = True) -> str:
    """The notebook's cells; relative pictures of its Markdown are looked for in `directory`.

    Without `inputs` the code is left out. Cells tagged `remove-cell`, `remove-input` and `remove-output` are obeyed.
    """
    import nbformat
    from nbconvert.exporters.html import HTMLExporter
    from traitlets.config import Config

    quiet = logging.getLogger(f"{__name__}.nbconvert")
    quiet.addHandler(logging.NullHandler())
    quiet.propagate = False
    config = Config({"NbConvertBase": {"display_data_priority": _PRIORITY}})
    exporter = HTMLExporter(  # type: ignore[no-untyped-call]
        config=config,
        log=quiet,
        template_name="basic",
        sanitize_html=True,
        embed_images=True,
        exclude_anchor_links=True,
        exclude_input=not inputs,
        exclude_input_prompt=not inputs,
        exclude_output_prompt=not inputs,
    )
    exporter.register_filter("clean_html", safe_html)  # type: ignore[no-untyped-call]
    node = nbformat.from_dict(_prepared(notebook))  # type: ignore[no-untyped-call]
    body, _ = exporter.from_notebook_node(node, {"metadata": {"path": str(directory)}})
    return safe_html(body)


def safe_html(html: Any) -> str:
    """`html` without anything that could run, be fetched, or cover the page."""
    import nh3

    cleaned = nh3.clean(
        html.decode("utf-8", "replace") if isinstance(html, bytes) else str(html),
        tags=_TAGS,
        clean_content_tags={"script", "style"},
        attributes=_ATTRIBUTES,
        attribute_filter=_kept,
        url_schemes={"http", "https", "mailto", "data"},
        link_rel="noopener noreferrer",
    )
    return _IMG.sub(_told, cleaned)


def _kept(tag: str, attribute: str, value: str) -> str | None:
    match tag, attribute:
        case "a", "href":
            return value if _LINK.match(value) else None
        case "img", "src":
            return value if _is_picture(value) else None
        case _, "style":
            kept = [part.strip() for part in value.split(";") if _STYLES.fullmatch(part.strip())]
            return "; ".join(kept) or None
    return value


def _is_picture(address: str) -> bool:
    """Whether it is a picture in itself. One of SVG runs and fetches nothing where it is shown as a picture."""
    found = _PICTURE.fullmatch(address)
    if found is None:
        return False
    try:
        return base64.b64decode(found[2]).startswith(_MAGIC[found[1]])
    except (binascii.Error, ValueError):
        return False


def _told(match: re.Match[str]) -> str:
    """A picture; words in place of one whose address was left out."""
    if ' src="' in match[1]:
        return match[0]
    alt = re.search(r'\salt="([^"]*)"', match[1])
    words = f": {alt[1]}" if alt and alt[1] and not alt[1].startswith("No description") else ""
    return f'<span class="left-out">[a picture from elsewhere{words}]</span>'


# -- what goes into nbconvert ------------------------------------------------------------------------------------------


def _prepared(notebook: Notebook) -> dict[str, Any]:
    """The notebook without what cannot be shown, and with what can in a form that nbconvert knows."""
    cells = [_cell(number, cell) for number, cell in enumerate(notebook["cells"], 1) if not _says(cell, "cell")]
    metadata = {name: value for name, value in notebook["metadata"].items() if name != "widgets"}
    return {"nbformat": 4, "nbformat_minor": notebook.get("nbformat_minor", 5), "metadata": metadata, "cells": cells}


def _says(cell: Mapping[str, Any], what: str) -> bool:
    return not _REMOVED[what].isdisjoint(tags_of(cell))


def _cell(number: int, cell: Mapping[str, Any]) -> dict[str, Any]:
    source = cell["source"] if isinstance(cell["source"], str) else "".join(cell["source"])
    ready = {**cell, "source": source[:MAX_TEXT]}
    if cell["cell_type"] != "code":
        return ready
    if _says(cell, "input"):
        ready["metadata"] = {**cell["metadata"], "transient": {"remove_source": True}}
    outputs = cell.get("outputs")
    shown = [_output(number, output) for output in outputs if isinstance(output, Mapping)] if outputs else []
    ready["outputs"] = [] if _says(cell, "output") else [output for output in shown if output is not None]
    return ready


def _output(number: int, output: Mapping[str, Any]) -> dict[str, Any] | None:
    match output.get("output_type"):
        case "stream":
            return {**output, "text": _capped(_overwritten(_joined(output.get("text"))))}
        case "error":
            return {**output, "traceback": [_capped(_joined(line)) for line in output.get("traceback") or []]}
        case "display_data" | "execute_result":
            data = output.get("data")
            shown = _shown(data if isinstance(data, Mapping) else {})
            alt = {"alt": f"What cell {number} shows"}
            metadata = {"image/png": alt, "image/jpeg": alt}
            return {**output, "data": shown, "metadata": metadata} if shown else None
    return None


def _shown(data: Mapping[str, Any]) -> dict[str, Any]:
    """The forms of an output among which nbconvert may choose."""
    forms = {kind: _joined(data[kind]) for kind in _PRIORITY if kind in data}
    if "text/html" in forms and not _VISIBLE.search(safe_html(forms["text/html"])):
        del forms["text/html"]  # nothing but scripts and styles
    if "application/json" in data and not {"text/html", "image/png"} & forms.keys():
        forms = {"text/plain": json.dumps(data["application/json"], indent=2, ensure_ascii=False)}
    for picture in ("image/png", "image/jpeg"):
        if picture in forms:
            forms[picture] = "".join(forms[picture].split())
    return {kind: text if kind.startswith("image/") else _capped(text) for kind, text in forms.items()}


def _joined(value: Any) -> str:
    if isinstance(value, list):
        return "".join(part for part in value if isinstance(part, str))
    return value if isinstance(value, str) else ""


def _overwritten(text: str) -> str:
    """`text` with each line as it stood at the end: progress bars write over themselves."""
    if "\r" not in text:
        return text
    return "\n".join(line.rstrip("\r").rpartition("\r")[2] for line in text.split("\n"))


def _capped(text: str) -> str:
    left_out = len(text) - MAX_TEXT
    return text if left_out <= 0 else f"{text[:MAX_TEXT]}\n… [{left_out:,} more characters]"


def title_of(notebook: Notebook) -> str:
    """The first heading of its Markdown; empty if there is none."""
    for cell in notebook["cells"]:
        if cell["cell_type"] == "markdown":
            source = cell["source"] if isinstance(cell["source"], str) else "".join(cell["source"])
            if found := re.search(r"^#\s+(.+)$", source, re.MULTILINE):
                return one_line(re.sub(r"[*_`]", "", found[1]), 120)
    return ""
