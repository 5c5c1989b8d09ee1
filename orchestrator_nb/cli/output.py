"""What reaches the terminal, the pipe or the file: text made harmless, tables, JSON.

Everything that is printed goes through `say`, `say_json`, `show_table` or `text`: none lets a control character pass
(E6), and rich's markup is never interpreted.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

#: Text, or text with a style of rich.
Part = str | tuple[str, str]


def is_terminal() -> bool:
    """Whether people read standard output on a terminal that can be drawn on: no pipe, no CI, no dumb terminal."""
    return sys.stdout.isatty() and os.environ.get("TERM") != "dumb" and os.environ.get("CI", "") in ("", "0", "false")


@cache
def console(*, err: bool = False) -> Console:
    """The terminal, as rich sees it."""
    from rich.console import Console

    return Console(stderr=err, markup=False, emoji=False, highlight=False)


def text(*parts: Part, overflow: Any = None) -> Text:
    """Cleaned text for rich."""
    from rich.text import Text

    from orchestrator_nb.projections.text import clean

    return Text.assemble(
        *((clean(part), "") if isinstance(part, str) else (clean(part[0]), part[1]) for part in parts),
        overflow=overflow,
        no_wrap=None if overflow is None else True,
    )


def say(*parts: Part, err: bool = False) -> None:
    """Print one line or paragraph; styles show on a terminal only, lines are never wrapped."""
    stream = sys.stderr if err else sys.stdout
    if any(isinstance(part, tuple) for part in parts) and stream.isatty():
        console(err=err).print(text(*parts), soft_wrap=True)
    else:
        from orchestrator_nb.projections.text import clean

        stream.write(clean("".join(part if isinstance(part, str) else part[0] for part in parts)) + "\n")
    stream.flush()


def harmless(content: str) -> str:
    """A whole text of any length, cleaned."""
    from orchestrator_nb.projections.text import clean

    return clean(content, len(content))


def say_error(message: str) -> None:
    """Print what went wrong to standard error."""
    say(("error: ", "bold red"), message, err=True)


def say_json(value: Any, *, line: bool = False) -> None:
    """Print `value` as JSON in ASCII, which no terminal takes for commands; a `line` is one of many, to be flushed."""
    import msgspec

    indent = None if line or not sys.stdout.isatty() else 2
    sys.stdout.write(json.dumps(msgspec.to_builtins(value), indent=indent) + "\n")
    if not line:
        sys.stdout.flush()


def show_table(header: Sequence[str], rows: Iterable[Sequence[Part]]) -> None:
    """Print a table, aligned; on a terminal lines end at its edge, in a pipe they are whole."""
    from rich.cells import cell_len

    from orchestrator_nb.projections.text import one_line

    fancy = sys.stdout.isatty()
    lines = [[(name, "bold") for name in header], *([_styled(part) for part in row] for row in rows)]
    cells = [[(one_line(content, 1000) or ("" if fancy else "-"), style) for content, style in line] for line in lines]
    widths = [max(cell_len(content) for content, _ in column) for column in zip(*cells, strict=True)]
    widths[-1] = -2
    for line in cells:
        padded = [
            (content + " " * (width + 2 - cell_len(content)), style)
            for (content, style), width in zip(line, widths, strict=True)
        ]
        if fancy:
            console().print(text(*padded), no_wrap=True, overflow="ellipsis")
        else:
            sys.stdout.write("".join(content for content, _ in padded) + "\n")


def _styled(part: Part) -> tuple[str, str]:
    return (part, "") if isinstance(part, str) else part


def mute(stream: Any) -> None:
    """Let what is still written to `stream` vanish: whoever read it has gone."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)
