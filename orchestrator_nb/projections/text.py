"""Text from outside, made safe to show: nothing that a task printed or returned reaches people raw.

The way is always the same (RELIABILITY "Rendering pipeline"): bytes, a cap, UTF-8 with replacement, control sequences
removed, what is invisible or turns the reading direction shown by its code point. `clean` does that to a whole text,
`Cleaner` to a stream in chunks. The rest writes cleaned text into Markdown so that it cannot change the document around
it: `inline` and `code` in headings, list items and table cells, `fence` for blocks, `link` and `image` for files.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterable
from urllib.parse import quote

#: Bytes (or characters) of one text that are shown, unless asked otherwise.
MAX_TEXT = 256 * 1024
#: Characters of an unfinished line that are held back; a longer line is passed on in pieces.
MAX_LINE = 64 * 1024

_UTF8 = codecs.getincrementaldecoder("utf-8")
# Control strings (OSC, DCS, SOS, PM, APC) end with BEL or ST; one that does not end within 64 KiB is shown as text.
_STRING = r"(?:\x1b[\]PX^_]|[\x90\x98\x9d-\x9f])[^\x07\x18\x1a\x1b\x90\x98\x9b-\x9f]{0,65536}"
_CSI = r"(?:\x1b\[|\x9b)[0-?]{0,256}[ -/]{0,16}"
_ESCAPE = r"\x1b[ -/]{0,16}"
_SEQUENCE = re.compile(rf"{_STRING}(?:\x07|\x1b\\|\x9c)|{_CSI}[@-~]?|{_ESCAPE}[0-~]?")
#: A sequence that may go on in the next chunk.
_UNFINISHED = re.compile(rf"(?:{_STRING}\x1b?|{_CSI}|{_ESCAPE})\Z")
#: C0 and C1 but for tab, newline and return; half surrogates; what is invisible, turns the reading direction, or breaks
#: lines unseen. Variation selectors 15 and 16 stay: emoji need them.
_UNSAFE = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff"
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164"
    "\ufe00-\ufe0d\ufeff\uffa0\ufff0-\ufffb\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)

#: Where a table or a fenced block of Markdown begins.
_BLOCK = re.compile(r"\n[ \t]*(?:\||```|~~~)")


def clean(data: bytes | str, limit: int = MAX_TEXT) -> str:
    """`data` as text that is safe in any terminal and file; what is beyond `limit` is counted in a last line."""
    text = _cleaned(data, limit)
    left_out = len(data) - limit
    if left_out <= 0:
        return text
    unit = "bytes" if isinstance(data, bytes) else "characters"
    return f"{text.rstrip()}\n… [{left_out:,} more {unit}]\n"


def one_line(data: bytes | str, width: int = 200) -> str:
    """`data`, cleaned, as one line of at most `width` characters; what is cut off is marked with an ellipsis."""
    limit = 20 * width
    line = " ".join(_cleaned(data, limit).split())
    if len(line) <= width and len(data) <= limit:
        return line
    return f"{line[: width - 1].rstrip()}…"


def gist(question: str) -> str:
    """What comes before the first table or block of code of a question in Markdown: enough to know it by."""
    before = _BLOCK.split(question, 1)[0]
    return before if before.strip() else question


def _cleaned(data: bytes | str, limit: int) -> str:
    if isinstance(data, bytes):
        text = _UTF8("replace").decode(data[:limit], final=len(data) <= limit).removeprefix("\ufeff")
    else:
        text = data[:limit]
    if "\r" not in text and not _UNSAFE.search(text):
        return text
    return Cleaner().take(text, final=True)


class Cleaner:
    """Cleans a stream, chunk by chunk: the result does not depend on where the chunks were cut.

    Lines are passed on when they are finished, because a carriage return may still write over them, as progress bars
    do; `unfinished` is the line as it stands.
    """

    def __init__(self) -> None:
        self._decoder = _UTF8("replace")
        self._begun = False
        self._held = ""
        self._returned = False
        #: The line that is not finished yet.
        self.unfinished = ""
        #: Whether bytes that are not UTF-8 were replaced.
        self.lossy = False

    def feed(self, chunk: bytes) -> str:
        """The text of the lines that `chunk` finishes."""
        return self.take(self._decode(chunk, final=False))

    def end(self) -> str:
        """The rest, once the stream is over."""
        return self.take(self._decode(b"", final=True), final=True)

    def take(self, text: str, final: bool = False) -> str:
        """As `feed`, for text that is decoded already; `final` as `end`."""
        text = self._held + text
        self._held = ""
        if not final and (tail := _UNFINISHED.search(text)):
            self._held = tail[0]
            text = text[: tail.start()]
        lines = self._lines(_UNSAFE.sub(_visible, _SEQUENCE.sub("", text)))
        if final:
            lines += self.unfinished
            self.unfinished = ""
        return lines

    def _decode(self, chunk: bytes, final: bool) -> str:
        text = self._decoder.decode(chunk, final)
        self.lossy = self.lossy or "\ufffd" in text
        if text and not self._begun:
            self._begun = True
            return text.removeprefix("\ufeff")
        return text

    def _lines(self, text: str) -> str:
        done: list[str] = []
        for part in re.split(r"([\r\n])", text):
            if part == "\n":
                done += (self.unfinished, part)
                self.unfinished, self._returned = "", False
            elif part == "\r":
                self._returned = True
            elif part:
                self.unfinished = part if self._returned else self.unfinished + part
                self._returned = False
                while len(self.unfinished) > MAX_LINE:
                    done.append(self.unfinished[:MAX_LINE])
                    self.unfinished = self.unfinished[MAX_LINE:]
        return "".join(done)


def _visible(match: re.Match[str]) -> str:
    """What stands for an unsafe character: nothing for a control, its code point for what would not be seen."""
    code = ord(match[0])
    if code < 0xA0:
        return ""
    return "\ufffd" if 0xD800 <= code <= 0xDFFF else f"⟨U+{code:04X}⟩"


# -- Markdown ----------------------------------------------------------------------------------------------------------

_PLAIN = re.compile(r"[A-Za-z](?:[A-Za-z0-9 ,.'()/-]*[A-Za-z0-9.)])?")
#: A code span of the simplest kind, which stays one; and what would be markup.
_SPAN = r"(?<!`)`[^`|]*[^`| ][^`|]*`(?!`)"
_MARKUP = re.compile(rf"{_SPAN}|[\\`*\[\]<|~$]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])|&(?=#?\w+;)")
#: What would begin a block at the start of a line: a list item's number, a sign; and what would end a heading.
_NUMBERED = re.compile(r"\d{1,9}(?=[.)])")
_SIGNS = tuple("#>+=:-")
_HEADING_END = re.compile(r"(?:^|(?<= ))(?=#+$)")


def inline(data: bytes | str, width: int = 200) -> str:
    """`data` as one line of Markdown for headings, list items and table cells: it shows as the plain text it is.

    Only words between two backticks become code, as tools mean them in their messages.
    """
    if isinstance(data, str) and len(data) <= width and _PLAIN.fullmatch(data) and "  " not in data:
        return data
    line = _MARKUP.sub(_escaped, one_line(data, width))
    line = _HEADING_END.sub(r"\\", line)
    if number := _NUMBERED.match(line):
        return f"{number[0]}\\{line[number.end() :]}"
    return f"\\{line}" if line.startswith(_SIGNS) else line


def _escaped(match: re.Match[str]) -> str:
    return match[0] if len(match[0]) > 1 else f"\\{match[0]}"


def code(data: bytes | str, width: int = 200) -> str:
    """`data` as a code span of one line; as `inline` if it holds a ``|``, which would end a table's cell in a span."""
    line = one_line(data, width)
    if not line or "|" in line:
        return inline(line, width)
    ticks = "`" * (_longest_run(line) + 1)
    pad = " " if "`" in (line[0], line[-1]) else ""
    return f"{ticks}{pad}{line}{pad}{ticks}"


def fence(data: bytes | str, language: str = "", limit: int = MAX_TEXT) -> str:
    """`data`, cleaned, as a fenced block whose fence is longer than any inside; ends with a newline."""
    text = clean(data, limit)
    ticks = "`" * max(3, _longest_run(text) + 1)
    return f"{ticks}{language}\n{text}{'' if text.endswith(chr(10)) or not text else chr(10)}{ticks}\n"


def link(label: str, target: str) -> str:
    """A Markdown link to a file; `target` is a relative path with ``/``."""
    return f"[{inline(label)}]({quote(target)})"


def image(label: str, target: str) -> str:
    """A Markdown picture; `target` is a relative path with ``/``."""
    return f"!{link(label, target)}"


def table(header: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A Markdown table of cells that are Markdown already (`inline`, `code`, ...); ends with a newline."""
    names = list(header)
    lines = [row(names), row("---" for _ in names), *map(row, rows)]
    return "\n".join(lines) + "\n"


def row(cells: Iterable[str]) -> str:
    """One row of a table, without its newline."""
    return f"| {' | '.join(cells)} |"


def _longest_run(text: str) -> int:
    return max(map(len, re.findall("`+", text)), default=0)
