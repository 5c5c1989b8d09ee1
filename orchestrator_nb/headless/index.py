"""`index.html` of a batch: one page without script or external address, and the gallery that a notebook shows.

All text comes through `projections.rendering`; pictures are decoded, made small and encoded anew, so that nothing but
pixels gets through.
"""

from __future__ import annotations

import base64
import io
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from html import escape
from typing import Any, NamedTuple
from urllib.parse import quote

from orchestrator_nb.core.tasks import TaskStatus
from orchestrator_nb.headless.report_page import framed
from orchestrator_nb.headless.results import Result
from orchestrator_nb.merging.tabular import constants, is_number, names, shown
from orchestrator_nb.projections.rendering import plain_html, text_html
from orchestrator_nb.projections.theme import DARK, LIGHT, STATUSES
from orchestrator_nb.projections.words import STATUS_LABELS, count, duration, timestamp

#: Width and height within which a thumbnail is kept, in pixels; it is shown half as large.
THUMBNAIL = (360, 240)
#: Bytes of all thumbnails in the page, and in a notebook; and bytes of a picture that one is made of.
PAGE_PICTURES = 24 * 2**20
GALLERY_PICTURES = 384 * 1024
MAX_PICTURE = 32 * 2**20
#: Failed runs that are told one by one, rows of the table in a notebook, columns of parameters and values.
_FAILURES, _ROWS, _COLUMNS = 50, 100, 20
#: Characters of a value, of a cell's source, of an error.
_VALUE, _SOURCE, _ERROR = 80, 2000, 4000

Read = Callable[[str], bytes]


class Heading(NamedTuple):
    """What the page says of the batch as a whole."""

    title: str
    #: The notebook's path, for people.
    notebook: str
    session: str
    #: Of the run: completed, failed, stopped, ...
    status: str
    #: When it ended, in seconds since the epoch, and how many it took.
    ended: float
    took: float


# -- the page ----------------------------------------------------------------------------------------------------------


def page(heading: Heading, results: Sequence[Result], read: Read) -> str:
    """The whole page. `read` gives the content of a file of the batch's folder, or nothing."""
    thumbnails = thumbnails_of(results, read, PAGE_PICTURES)
    body = [_header(heading, results), _failures(heading, results), _table(results, thumbnails)]
    return framed(heading.title, _style(), "\n".join(part for part in body if part))


def _header(heading: Heading, results: Sequence[Result]) -> str:
    counts = Counter(result.status for result in results)
    words = " · ".join(f"{counts[status]:,} {_name(status).lower()}" for status in TaskStatus if counts[status])
    segments = "".join(
        f'<span class="{status.value}" style="width:{100 * counts[status] / len(results):.4f}%"></span>'
        for status in TaskStatus
        if counts[status]
    )
    same = constants([result.parameters for result in results])
    told = ", ".join(f"<code>{text_html(name, 40)} = {_value(value)}</code>" for name, value in same.items())
    times = [result.duration for result in results if result.duration is not None]
    each = f", {duration(sum(times) / len(times))} a run" if times else ""
    return f"""<header>
<h1>{text_html(heading.title)}</h1>
<p class="muted"><code>{text_html(heading.notebook, 300)}</code> · {escape(timestamp(heading.ended))} UTC ·
{escape(duration(heading.took))}{escape(each)} · session <code>{text_html(heading.session)}</code></p>
<div class="bar" role="img" aria-label="{escape(words)}">{segments}</div>
<p>{escape(words)}</p>
{f"<p>The same in all: {told}</p>" if told else ""}
<p><a href="results.csv">results.csv</a> <a href="final_output.md">final_output.md</a></p>
</header>"""


def _failures(heading: Heading, results: Sequence[Result]) -> str:
    failed = [result for result in results if result.status is TaskStatus.FAILED]
    if not failed:
        return ""
    more = f"<p>… and {len(failed) - _FAILURES:,} more, in the table below.</p>" if len(failed) > _FAILURES else ""
    told = "\n".join(_failure(heading, result) for result in failed[:_FAILURES])
    return f"<section><h2>{escape(count(len(failed), 'failed run'))}</h2>\n{told}{more}</section>"


def _failure(heading: Heading, result: Result) -> str:
    rest = result.error.partition("\n")[2]
    cell = result.left.failed_cell
    why = f'<span class="failed-words">{text_html(result.why, 300)}</span>'
    parts = [f"<details><summary><b>{text_html(result.run)}</b> {why}</summary>"]
    parts.append(f"<p>{_parameters(result.parameters)}</p>")
    if cell:
        parts.append(f"<p>The cell:</p>{plain_html(cell, _SOURCE)}")
    if rest.strip():
        parts.append(f"<p>The error:</p>{plain_html(rest.strip(), _ERROR)}")
    if result.left.notebook:
        parts.append(f'<p><a href="{quote(result.left.notebook)}">notebook</a> {_error_link(result)}</p>')
    parts.append(f"<p>Just this one again: <code>{text_html(again(result.run, heading.session), 400)}</code></p>")
    return "".join([*parts, "</details>"])


def again(run: str, session: str) -> str:
    """The command that runs one failed run again, and nothing else that has ended."""
    return f"orchestrate retry {run} -s {session} && orchestrate resume {session}"


def _table(results: Sequence[Result], thumbnails: Mapping[str, str]) -> str:
    parameters, scraps, has_result = _columns(results)
    pictured = bool(thumbnails) or any(result.left.picture for result in results)
    columns = [("Run", ""), *_headed(parameters, [result.parameters for result in results])]
    columns += [("Status", ""), ("Duration", ' class="number"'), *_headed(scraps, [r.left.scraps for r in results])]
    columns += ([("Result", "")] if has_result else []) + ([("Picture", "")] if pictured else [])
    head = "".join(f'<th scope="col"{aligned}>{text_html(name, 60)}</th>' for name, aligned in columns)
    rows = "\n".join(_row(result, parameters, scraps, has_result, pictured, thumbnails) for result in results)
    table = f"<table>\n<thead><tr>{head}</tr></thead>\n<tbody>{rows}</tbody></table>"
    return f'<section><h2>Runs</h2>\n<div class="wide">{table}</div></section>'


def _headed(names: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    return [(name, _aligned([row[name] for row in rows if name in row])) for name in names]


def _columns(results: Sequence[Result]) -> tuple[list[str], list[str], bool]:
    """The parameters that differ, the recorded values, and whether a cell tagged `result` told something."""
    same = constants([result.parameters for result in results])
    parameters = [name for name in names(result.parameters for result in results) if name not in same]
    scraps = names(result.left.scraps for result in results)
    return parameters[:_COLUMNS], scraps[:_COLUMNS], any(result.result is not None for result in results)


def _row(
    result: Result,
    parameters: Sequence[str],
    scraps: Sequence[str],
    has_result: bool,
    pictured: bool,
    thumbnails: Mapping[str, str],
) -> str:
    cells = [f'<th scope="row">{_named(result)}</th>']
    cells += [_cell(result.parameters, name) for name in parameters]
    status = f'<b class="{result.status.value}-words">{escape(_name(result.status))}</b>{_why(result)}'
    cells.append(f"<td>{status}{'<br>' if result.left.error_cell else ''}{_error_link(result)}</td>")
    cells.append(f'<td class="number">{escape(duration(result.duration)) if result.duration is not None else ""}</td>')
    cells += [_cell(result.left.scraps, name) for name in scraps]
    if has_result:
        cells.append(f"<td>{_value(result.result) if result.result is not None else ''}</td>")
    if pictured:
        cells.append(f"<td>{_picture(result, thumbnails)}</td>")
    return f"<tr>{''.join(cells)}</tr>"


def _named(result: Result) -> str:
    name = text_html(result.run)
    return f'<a href="{quote(result.left.notebook)}">{name}</a>' if result.left.notebook else name


def _cell(values: Mapping[str, Any], name: str) -> str:
    if name not in values:
        return "<td></td>"
    return f"<td{_aligned([values[name]])}>{_value(values[name])}</td>"


def _aligned(values: Sequence[Any]) -> str:
    """The class of a cell or header: numbers stand at the right."""
    return ' class="number"' if values and all(is_number(value) for value in values) else ""


def _value(value: Any) -> str:
    return text_html(shown(value), _VALUE)


def _parameters(parameters: Mapping[str, Any]) -> str:
    return ", ".join(f"<code>{text_html(name, 40)} = {_value(value)}</code>" for name, value in parameters.items())


def _why(result: Result) -> str:
    return f"<br><small>{text_html(result.why, 160)}</small>" if result.why else ""


def _picture(result: Result, thumbnails: Mapping[str, str]) -> str:
    if not result.left.picture:
        return ""
    address = quote(result.left.picture)
    small = thumbnails.get(result.run)
    alt = escape(f"The last picture of {result.run}")
    return f'<a href="{address}">{f"""<img src="{small}" alt="{alt}">""" if small else "picture"}</a>'


def _error_link(result: Result) -> str:
    if not result.left.error_cell:
        return ""
    return f'<a href="{quote(result.left.notebook)}#papermill-error-cell">error cell</a>'


def _name(status: TaskStatus) -> str:
    return STATUSES[status].name


# -- pictures ----------------------------------------------------------------------------------------------------------


def thumbnails_of(results: Sequence[Result], read: Read, budget: int) -> dict[str, str]:
    """A ``data:`` address for the picture of each run, as many as fit into `budget` bytes."""
    found: dict[str, str] = {}
    for result in results:
        if not result.left.picture:
            continue
        address = thumbnail(read(result.left.picture))
        if address is not None and (budget := budget - len(address)) < 0:
            break
        if address is not None:
            found[result.run] = address
    return found


def thumbnail(content: bytes) -> str | None:
    """A small copy of a picture as a ``data:`` address; None for what is no picture, or one too large."""
    from PIL import Image

    if not content or len(content) > MAX_PICTURE:
        return None
    try:
        with Image.open(io.BytesIO(content), formats=["PNG", "JPEG", "GIF"]) as picture:
            picture.thumbnail(THUMBNAIL)
            colours = picture.convert("RGBA")
            paper = Image.new("RGBA", colours.size, "white")  # what plots are drawn for, on dark pages too
            paper.alpha_composite(colours)
            small = io.BytesIO()
            paper.convert("RGB").quantize(128, Image.Quantize.FASTOCTREE).save(small, "PNG")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None
    return f"data:image/png;base64,{base64.b64encode(small.getvalue()).decode()}"


# -- in a notebook -----------------------------------------------------------------------------------------------------


def gallery(results: Sequence[Result], read: Read, folder: str) -> dict[str, str]:
    """What a notebook shows and keeps of a batch: each run's last picture and the table of results, as ``text/html``
    that an untrusted notebook shows too, and as ``text/plain``.
    """
    thumbnails = thumbnails_of(results, read, GALLERY_PICTURES)
    parameters, scraps, has_result = _columns(results)
    pictures = "".join(
        _figure(result, parameters, thumbnails[result.run]) for result in results if result.run in thumbnails
    )
    left_out = sum(bool(result.left.picture) for result in results) - len(thumbnails)
    more = (
        f"<p>{escape(count(left_out, 'more picture'))} in <code>{text_html(folder, 300)}</code></p>" if left_out else ""
    )
    rows = "".join(_plain_row(result, parameters, scraps, has_result) for result in results[:_ROWS])
    header = ["Run", *parameters, "Status", "Duration", *scraps, *(["Result"] if has_result else [])]
    head = "".join(f'<th style="text-align:left">{text_html(name, 60)}</th>' for name in header)
    hidden = len(results) - _ROWS
    rest = f"<p>… and {escape(count(hidden, 'more run'))}</p>" if hidden > 0 else ""
    where = f"<p>Files: <code>{text_html(folder, 300)}</code> (<code>index.html</code>, <code>results.csv</code>)</p>"
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>{rest}"
    return {
        "text/html": f"<div>{f'<div>{pictures}</div>' if pictures else ''}{more}{table}{where}</div>",
        "text/plain": "\n".join([*_lines(results, parameters, scraps), f"Files: {folder}"]),
    }


def _figure(result: Result, parameters: Sequence[str], address: str) -> str:
    told = ", ".join(f"{name} = {shown(result.parameters[name])}" for name in parameters if name in result.parameters)
    caption = text_html(told or result.run, 60)
    return (
        '<div style="display:inline-block;width:190px;margin:4px;vertical-align:top">'
        f'<img src="{address}" alt="{escape(result.run)}" width="180"><br><small>{caption}</small></div>'
    )


def _plain_row(result: Result, parameters: Sequence[str], scraps: Sequence[str], has_result: bool) -> str:
    values = [result.parameters.get(name) for name in parameters]
    recorded = [result.left.scraps.get(name) for name in scraps]
    cells = [
        text_html(result.run),
        *("" if value is None else _value(value) for value in values),
        escape(STATUS_LABELS[result.status]) + _why(result),
        escape(duration(result.duration)) if result.duration is not None else "",
        *("" if value is None else _value(value) for value in recorded),
        *([_value(result.result) if result.result is not None else ""] if has_result else []),
    ]
    return f"<tr>{''.join(f'<td style={chr(34)}text-align:left{chr(34)}>{cell}</td>' for cell in cells)}</tr>"


def _lines(results: Sequence[Result], parameters: Sequence[str], scraps: Sequence[str]) -> Iterator[str]:
    for result in results[:_ROWS]:
        told = {name: result.left.scraps[name] for name in scraps if name in result.left.scraps}
        words = ", ".join(f"{name} = {shown(value):.40}" for name, value in told.items())
        yield f"{STATUS_LABELS[result.status]} {result.run}: {words or result.why or result.result or ''}".rstrip(": ")
    if len(results) > _ROWS:
        yield f"… and {count(len(results) - _ROWS, 'more run')}"


# -- how it looks ------------------------------------------------------------------------------------------------------


def _style() -> str:
    dark = "".join(_colours(style.dark, name) for name, style in STATUSES.items())
    light = "".join(_colours(style.light, name) for name, style in STATUSES.items())
    return (
        f":root{{--paper:{LIGHT.paper};--ink:{LIGHT.ink};--muted:{LIGHT.muted};--line:#d9dde3;--band:{LIGHT.band};"
        f"--link:#0b57d0}}{light}{_STYLE}@media(prefers-color-scheme:dark){{:root{{--paper:{DARK.paper};"
        f"--ink:{DARK.ink};--muted:{DARK.muted};--line:#333c49;--band:{DARK.band};--link:#8ab4f8}}{dark}}}"
    )


def _colours(colour: str, status: str) -> str:
    return f".bar .{status}{{background:{colour}}}.{status}-words{{color:{colour}}}"


_STYLE = """
*{box-sizing:border-box}body{margin:0 auto;max-width:1400px;padding:24px;background:var(--paper);color:var(--ink);
font:15px/1.45 system-ui,sans-serif;color-scheme:light dark}
h1{font-size:24px;margin:0 0 4px}h2{font-size:18px;margin:28px 0 8px}p{margin:6px 0}
.muted,small{color:var(--muted)}a{color:var(--link)}
code,pre{font:13px/1.4 ui-monospace,monospace}pre{background:var(--band);padding:8px 12px;overflow:auto;margin:4px 0}
.bar{display:flex;height:10px;border-radius:5px;overflow:hidden;margin:12px 0 6px;background:var(--band)}
details{border:1px solid var(--line);border-radius:6px;padding:6px 12px;margin:6px 0}summary{cursor:pointer}
.wide{overflow-x:auto}table{border-collapse:collapse;width:100%}
th,td{text-align:left;padding:6px 10px;border-bottom:1px solid var(--line);vertical-align:top}
thead th{position:sticky;top:0;background:var(--paper);white-space:nowrap}
tbody tr:nth-child(even){background:var(--band)}tbody th{font-weight:600}.number{text-align:right}
td img{max-width:180px;max-height:120px;display:block;border-radius:4px;background:#fff}
@media print{thead th{position:static}details{break-inside:avoid}tr{break-inside:avoid}}
"""
