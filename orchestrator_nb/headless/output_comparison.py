"""What a cell shows, made comparable, and compared: one `Shown` for each kind of content that says something."""

from __future__ import annotations

import base64
import binascii
import difflib
import itertools
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from html.parser import HTMLParser
from typing import Any, NamedTuple

from orchestrator_nb.ipynb.scraps import SCRAP
from orchestrator_nb.projections.text import clean, one_line

#: Lines of a diff that are kept, characters of each, and lines beyond which two texts are not aligned.
MAX_LINES, MAX_WIDTH, MAX_ALIGNED = 12, 160, 2_000
#: A channel of a pixel may differ by so much (of 255) before the pixel counts as another one.
CHANNEL = 5
#: Pixels of pictures that are compared one by one; larger pictures are compared by their bytes.
MAX_PIXELS = 50_000_000

_PICTURES = ("image/png", "image/jpeg", "image/gif", "image/webp")
#: Kinds of content that name objects of a session, or repeat in another form what stands beside them.
_IGNORED = re.compile(
    r"application/vnd\.jupyter\.widget-(view|state)\+json|application/vnd\.bokehjs.*|application/vnd\.holoviews.*"
    r"|application/javascript|application/pdf|text/latex"
)
_SAME = [
    (re.compile(r"\b0x[0-9a-fA-F]{6,16}\b"), "0x…"),  # memory addresses
    (re.compile(r"\b[0-9a-f]{8}-[0-9a-f]{4}-[1-5][0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}\b"), "(uuid)"),
    (re.compile(r"\bipykernel_\d+/\d+\.py\b"), "ipykernel_…"),
    (re.compile(r"\bT_[0-9a-f]{5}\b"), "T_…"),  # styled tables of pandas
    (re.compile(r"^(?:CPU times: |Wall time: ).*$", re.MULTILINE), "(time)"),
    (re.compile(r"^.* per loop \(mean .*\)$", re.MULTILINE), "(time)"),
]
_NUMBER = re.compile(
    r"[-+]?\d[\d,_]*(?:[.:]\d+)*(?:e[-+]?\d+)?(?:\s*(?:ns|µs|μs|us|ms|s|sec|seconds?|min|minutes?|h|hours?)\b)?",
    re.IGNORECASE,
)
_SVG_NOISE = re.compile(r"<dc:date>.*?</dc:date>|<metadata>.*?</metadata>|<!--.*?-->", re.DOTALL)
_SVG_ID = re.compile(r"(id=\"|url\(#|href=\"#)[\w-]+")


class Shown(NamedTuple):
    """Something that a cell shows."""

    #: For people: ``stdout``, ``text``, ``table``, ``HTML``, ``JSON``, ``picture``, ``error``, ...
    what: str
    #: A text, the rows of a table, a value, or the bytes of a picture.
    value: Any


# -- made comparable ---------------------------------------------------------------------------------------------------


def shown_by(outputs: Sequence[Any], *, timing: bool = False, messages: bool = True) -> list[Shown]:
    """What the outputs of a cell show: what it prints as a whole for each stream, then everything else in its order.

    `timing` makes all numbers in texts equal; without `messages`, of an error only its name counts.
    """
    streams = {"stdout": "", "stderr": ""}
    others: list[Shown] = []
    for output in outputs:
        if not isinstance(output, Mapping):
            continue
        match output.get("output_type"):
            case "stream":
                name = str(output.get("name"))
                streams[name] = streams.get(name, "") + _joined(output.get("text"))
            case "error":
                message = f": {normal(_joined(output.get('evalue')), timing=timing)}" if messages else ""
                others.append(Shown("error", f"{_joined(output.get('ename'))}{message}"))
            case "display_data" | "execute_result":
                data = output.get("data")
                others += _data(data if isinstance(data, Mapping) else {}, timing=timing)
    printed = [Shown(name, normal(clean(text, len(text)), timing=timing)) for name, text in streams.items() if text]
    return printed + others


def normal(text: str, *, timing: bool = False) -> str:
    """`text` without what differs between any two executions; with `timing` also without numbers and layout."""
    for pattern, instead in _SAME:
        text = pattern.sub(instead, text)
    if timing:
        text = re.sub(r"[ \t]+", " ", _NUMBER.sub("#", text))
    return "\n".join(line.rstrip() for line in text.splitlines())


def _data(data: Mapping[str, Any], *, timing: bool) -> Iterator[Shown]:
    if any(kind.startswith("application/vnd.jupyter.widget-view") for kind in data):
        return  # what stands beside is only its name
    kinds = [kind for kind in sorted(data) if not _IGNORED.fullmatch(kind)]
    if any(kind in _PICTURES for kind in kinds):
        kinds = [kind for kind in kinds if kind != "image/svg+xml"]
    if kinds != ["text/plain"]:
        kinds = [kind for kind in kinds if kind != "text/plain"]  # it says less than what stands beside it
    for kind in kinds:
        text = _joined(data[kind])
        if kind in _PICTURES:
            yield Shown("picture", _decoded(text))
        elif kind == "image/svg+xml":
            yield Shown("SVG", _SVG_ID.sub(r"\1…", _SVG_NOISE.sub("", text)))
        elif kind == SCRAP and isinstance(data[kind], Mapping):
            yield Shown("recorded", {str(data[kind].get("name")): data[kind].get("data")})
        elif kind.endswith("json"):
            yield Shown("JSON", data[kind])
        elif kind == "text/html":
            yield _html(text, timing=timing)
        else:
            yield Shown("text" if kind == "text/plain" else kind, normal(text, timing=timing))


def _joined(value: Any) -> str:
    if isinstance(value, list):
        return "".join(part for part in value if isinstance(part, str))
    return value if isinstance(value, str) else ""


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text)
    except (binascii.Error, ValueError):
        return text.encode()


def _html(text: str, *, timing: bool) -> Shown:
    """Tables as rows of cells; other HTML as it is."""
    text = normal(text, timing=timing)
    if "<table" not in text:
        return Shown("HTML", text)
    reader = _Tables()
    reader.feed(text)
    reader.close()
    return Shown("table", reader.rows)


class _Tables(HTMLParser):
    """The rows of all tables in a text of HTML, and what stands outside as rows of one cell."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self._in_cell = self._hidden = False

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th") and self.rows:
            self.rows[-1].append("")
            self._in_cell = True
        elif tag in ("style", "script"):
            self._hidden = True

    def handle_endtag(self, tag: str) -> None:
        if tag in ("td", "th"):
            self._in_cell = False
        elif tag in ("style", "script"):
            self._hidden = False

    def handle_data(self, data: str) -> None:
        words = " ".join(data.split())
        if not words or self._hidden:
            return
        if self._in_cell:
            self.rows[-1][-1] += words
        else:
            self.rows.append([words])


# -- compared ----------------------------------------------------------------------------------------------------------


def compare_outputs(
    old: Sequence[Shown], new: Sequence[Shown], tolerance: float = 0.0, *, timing: bool = False
) -> Iterator[tuple[str, tuple[str, ...]]]:
    """What differs in what two executions of a cell show: of which kind it is, and how, in lines.

    `tolerance` is the share of a picture's pixels that may differ; pictures of a `timing` cell are not compared.
    """
    kinds = [[item.what for item in side] for side in (old, new)]
    if kinds[0] != kinds[1]:
        yield "output", tuple(_other_outputs(old, new))
        return
    for left, right in zip(old, new, strict=True):
        if left.value == right.value:
            continue
        match left.what:
            case "picture":
                how = None if timing else compare_pictures(left.value, right.value, tolerance)
                lines = [how] if how else []
            case "table":
                lines = list(itertools.islice(_other_cells(left.value, right.value), MAX_LINES))
            case "JSON" | "recorded":
                lines = list(itertools.islice(_other_values(left.value, right.value, ""), MAX_LINES))
            case _:
                lines = list(line_diff(left.value.splitlines(), right.value.splitlines()))
        if lines:
            yield left.what, tuple(lines)


def _other_outputs(old: Sequence[Shown], new: Sequence[Shown]) -> Iterator[str]:
    a, b = ([f"[{item.what}] {_brief(item)}".rstrip() for item in side] for side in (old, new))
    yield from line_diff(a, b)


def _brief(item: Shown) -> str:
    if isinstance(item.value, bytes):
        return f"{len(item.value):,} bytes"
    return one_line(item.value if isinstance(item.value, str) else json.dumps(item.value, default=str), 100)


def line_diff(old: Sequence[str], new: Sequence[str], limit: int = MAX_LINES) -> tuple[str, ...]:
    """The lines that differ, those of `old` marked with ``-``, of `new` with ``+``; at most `limit` lines."""
    if max(len(old), len(new)) > MAX_ALIGNED:
        pairs = itertools.zip_longest(old, new)
        first = next((n for n, (a, b) in enumerate(pairs) if a != b), 0)
        found = [f"from line {first + 1:,} of {max(len(old), len(new)):,} on:"]
        found += [f"-{line}" for line in old[first : first + 3]] + [f"+{line}" for line in new[first : first + 3]]
        more = 0
    else:
        told = list(difflib.unified_diff(old, new, lineterm="", n=0))[2:]
        found = [line for line in told if not line.startswith("@@")]
        more = len(found) - limit
    lines = [line if len(line) <= MAX_WIDTH else f"{line[:MAX_WIDTH]}…" for line in found[:limit]]
    return (*lines, f"… {more:,} more lines") if more > 0 else tuple(lines)


def _other_cells(old: Sequence[Sequence[str]], new: Sequence[Sequence[str]]) -> Iterator[str]:
    if len(old) != len(new):
        yield f"{len(old):,} rows → {len(new):,} rows"
        a_rows, b_rows = ([" | ".join(row) for row in side] for side in (old, new))
        yield from line_diff(a_rows, b_rows, MAX_LINES - 1)
        return
    header = old[0] if old else []
    for number, (left, right) in enumerate(zip(old, new, strict=True)):
        for place, (a, b) in enumerate(itertools.zip_longest(left, right, fillvalue="(none)")):
            if a != b:
                name = header[place] if number and place < len(header) and header[place] else f"column {place + 1}"
                row = f"row {number}" + (f" ({left[0]})" if place and left[0] else "") if number else "header"
                yield one_line(f"{row}, {name}: {a} → {b}", MAX_WIDTH)


def _other_values(old: Any, new: Any, path: str) -> Iterator[str]:
    """Where two values of JSON differ."""
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for name in dict.fromkeys([*old, *new]):
            if old.get(name) != new.get(name) or (name in old) != (name in new):
                yield from _other_values(old.get(name), new.get(name), f"{path}.{name}")
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for place, (a, b) in enumerate(zip(old, new, strict=True)):
            if a != b:
                yield from _other_values(a, b, f"{path}[{place}]")
    elif old == old or new == new:  # NaN is not, and is the same on both sides
        told = [one_line(json.dumps(value, ensure_ascii=False, default=str), 60) for value in (old, new)]
        yield f"{path.removeprefix('.') or 'value'}: {told[0]} → {told[1]}"


# -- pictures ----------------------------------------------------------------------------------------------------------


def compare_pictures(old: bytes, new: bytes, tolerance: float = 0.0) -> str | None:
    """How two pictures differ, in words; None if at most the share `tolerance` of their pixels does.

    A pixel differs if one of its channels does by more than `CHANNEL` of 255. What cannot be decoded, or has more than
    `MAX_PIXELS`, is compared byte by byte.
    """
    if old == new:
        return None
    import numpy as np

    left, right = _pixels(old), _pixels(new)
    if left is None or right is None:
        return f"other bytes ({len(old):,} → {len(new):,})"
    if left.shape != right.shape:
        (h, w), (k, v) = left.shape[:2], right.shape[:2]
        return f"other size: {w} × {h} → {v} × {k} pixels"
    differs = (np.abs(left.astype(np.int16) - right) > CHANNEL).any(axis=2)
    share = float(differs.mean())
    if share <= tolerance:
        return None
    rows, columns = np.nonzero(differs.any(axis=1))[0], np.nonzero(differs.any(axis=0))[0]
    box = f"x {columns[0]} to {columns[-1]}, y {rows[0]} to {rows[-1]}"
    return f"{int(differs.sum()):,} of {differs.size:,} pixels differ ({share:.2%}), between {box}"


def _pixels(content: bytes) -> Any:
    """The picture as an array of RGBA, or None."""
    import io
    import warnings

    import numpy as np
    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            image = Image.open(io.BytesIO(content))
        if image.width * image.height > MAX_PIXELS:
            return None
        pixels = np.asarray(image.convert("RGBA"))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None
    # what is behind a transparent pixel is not seen
    return np.where(pixels[..., 3:] == 0, np.uint8(0), pixels)
