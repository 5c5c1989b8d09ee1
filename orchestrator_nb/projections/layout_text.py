"""How much room a label takes, and how it is broken into lines: without a font, by a table of widths.

Widths are those of DejaVu Sans (what matplotlib draws with); the fonts that browsers choose for `system-ui` are
narrower, so a label that fits by this table fits there too.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

#: Characters by width, in hundredths of the font's size.
_WIDTHS = {
    28: "'ijl", 30: "IJ", 32: " \u00a0,.", 34: "/:;\\|", 36: "f-", 39: "()[]t", 41: "!r", 46: '"', 50: "*_`", 53: "sz?",
    55: "c", 56: "L", 58: "Fk", 59: "vxy", 61: "TYaoP", 63: "ESbdeghnpqu", 64: "$0123456789{}", 68: "AKV", 70: "BCRXZ",
    75: "HNU", 78: "DGOQ&", 84: "#+<=>^~w", 86: "M", 97: "m%", 100: "W@",
}  # fmt: skip
_WIDTH = {character: width for width, characters in _WIDTHS.items() for character in characters}
#: Stands between texts that are measured together; `clean` takes it out of texts.
_SEPARATOR, _END = "\x1f", b"\xff"
_ASCII = bytes(_END[0] if chr(code) == _SEPARATOR else _WIDTH.get(chr(code), 0) for code in range(256))

#: What never belongs into a picture: controls, surrogates, marks that turn the direction of the text.
_UNWANTED = re.compile(
    "[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\u00ad\u061c\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\ud800-\udfff\ufeff"
    "\ufff9-\ufffb\ufffe\uffff]"
)
_JOINERS = frozenset("\u200c\u200d")
#: Most accents on one letter.
_MAX_MARKS = 2
#: Longest text kept, in characters.
MAX_TEXT = 1000
ELLIPSIS = "…"


def clean(text: str) -> str:
    """`text` on one line, without characters that XML refuses or that would draw over their neighbours."""
    text = text[:MAX_TEXT]
    if text.isascii() and text.isprintable():
        return text
    text = " ".join(_UNWANTED.sub("", text).split())
    kept: list[str] = []
    marks = 0
    for character in text:
        marks = marks + 1 if unicodedata.combining(character) else 0
        if marks <= _MAX_MARKS:
            kept.append(character)
    return "".join(kept)


def clean_all(texts: Sequence[str]) -> Sequence[str]:
    """As `clean`, for very many texts at once: nearly always there is nothing to do."""
    together = "".join(texts)
    if together.isascii() and together.isprintable() and max(map(len, texts), default=0) <= MAX_TEXT:
        return texts
    return [clean(text) for text in texts]


def text_widths(texts: Sequence[str], size: float) -> list[float]:
    """As `text_width`, for very many clean texts at once."""
    together = _SEPARATOR.join(texts)
    if texts and together.isascii():
        forms = together.encode().translate(_ASCII).split(_END)
        widths = {form: sum(form) * size / 100 for form in {*forms}}  # far fewer: all digits are of one width
        return [widths[form] for form in forms]
    return [text_width(text, size) for text in texts]


def text_width(text: str, size: float) -> float:
    """Width of `text` in a font of `size` pixels; an upper bound for most fonts."""
    if text.isascii():
        return sum(text.encode().translate(_ASCII)) * size / 100
    return sum([_WIDTH.get(character) or _wide(character) for character in text]) * size / 100


def _wide(character: str) -> int:
    category = unicodedata.category(character)
    if category in ("Mn", "Me", "Cf"):
        return 0
    if unicodedata.east_asian_width(character) in "WF":
        return 130 if category == "So" else 102
    return 130 if category == "So" else 110 if category == "Lu" else 95


def wrap(text: str, size: float, room: float, lines: int = 2) -> tuple[str, ...]:
    """Break `text` into at most `lines` lines of at most `room` pixels; what is too much ends in an ellipsis.

    Lines end at spaces, else after one of ``/ _ - . :``, else anywhere between two whole characters.
    """
    if text_width(text, size) <= room:
        return (text,)
    broken: list[str] = []
    rest = text
    while rest and len(broken) < lines - 1 and text_width(rest, size) > room:
        cut = _break(rest, size, room)
        broken.append(rest[:cut].rstrip())
        rest = rest[cut:].lstrip()
    if text_width(rest, size) > room:
        rest = rest[: _fitting(rest, size, room - size)].rstrip() + ELLIPSIS
    return (*broken, rest)


def _break(text: str, size: float, room: float) -> int:
    """Where the first line of `text` ends: as late as possible, but no later than `room` allows."""
    most = _fitting(text, size, room)
    space = text.rfind(" ", 1, most + 1)
    if space > most // 3:
        return space
    inside = max(text.rfind(sign, 1, most) for sign in "/_-.:")
    return inside + 1 if inside > most // 3 else most


def _fitting(text: str, size: float, room: float) -> int:
    """How many characters of `text` fit, never splitting what is drawn as one sign; at least one."""
    used = 0.0
    fitting = 0
    for index, character in enumerate(text):
        used += text_width(character, size)
        if used > room:
            break
        fitting = index + 1
    while 0 < fitting < len(text) and _joined(text[fitting - 1], text[fitting]):
        fitting -= 1
    return max(fitting, 1)


def _joined(left: str, right: str) -> bool:
    return left in _JOINERS or right in _JOINERS or unicodedata.category(right) in ("Mn", "Me", "Cf", "Sk")
