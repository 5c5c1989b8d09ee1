"""The page around a report or a batch: one HTML file with its style; no script runs, nothing is fetched.

All text of a report comes through `projections.rendering`, all cells through `headless.report_cells`.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from orchestrator_nb.core.values import as_text
from orchestrator_nb.projections.rendering import text_html

_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="generator" content="orchestrator_nb {version}">
<title>{title}</title>
<style>
{style}
</style>
</head>
<body>
{body}
</body>
</html>
"""
#: Characters of one value.
_VALUE = 300


def page(title: str, body: str) -> str:
    """The whole page of a report."""
    return framed(title, _style(), body)


def framed(title: str, style: str, body: str) -> str:
    """A whole page. The title is text, the body HTML."""
    from orchestrator_nb import __version__

    return _PAGE.format(policy=_POLICY, version=__version__, title=text_html(title), style=style, body=body)


@cache
def _style() -> str:
    """The style of everything, and that of highlighted code in both colours."""
    from pygments.formatters import HtmlFormatter  # type: ignore[import-untyped]

    own = Path(__file__).with_name("report.css").read_text("utf-8")
    light, dark = (HtmlFormatter(style=name).get_style_defs(".highlight") for name in ("default", "github-dark"))
    flat = ".highlight, .highlight .err { background: none; border: 0; }"
    return f"{own}\n{light}\n@media (prefers-color-scheme: dark) {{\n{dark}\n}}\n{flat}"


def table(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A table of values; cells that are `Html` are taken as they are. Empty without rows."""
    lines = "\n".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in rows)
    head = "".join(f'<th scope="col">{text_html(name)}</th>' for name in header)
    return f"<table><thead><tr>{head}</tr></thead>\n<tbody>{lines}</tbody></table>" if lines else ""


class Html(str):
    """A text that is HTML of ours."""

    __slots__ = ()


def _cell(value: Any) -> str:
    if isinstance(value, Html):
        return f"<td>{value}</td>"
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return f"<td{' class=number' if is_number else ''}>{text_html(as_text(value), _VALUE)}</td>"


def named_values(title: str, values: Mapping[str, Any]) -> str:
    """A table of names and values. Empty without any."""
    rows = ((Html(f"<code>{text_html(name, 80)}</code>"), value) for name, value in values.items())
    return table((title, "value"), rows) if values else ""


def folded(summary: str, content: str) -> str:
    """Content that is shown on demand; empty without content."""
    return f"<details><summary>{text_html(summary)}</summary>{content}</details>" if content else ""


def picture(light: bytes, dark: bytes, alt: str) -> str:
    """A PNG in the colours that the reader prefers."""
    sources = [f"data:image/png;base64,{base64.b64encode(content).decode()}" for content in (light, dark)]
    return (
        f'<picture><source media="(prefers-color-scheme: dark)" srcset="{sources[1]}">'
        f'<img src="{sources[0]}" alt="{text_html(alt)}"></picture>'
    )
