"""The line of a magic as a command line: options by name, ``--help``, and faults in one line without a traceback."""

from __future__ import annotations

import argparse
import functools
import shlex
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, NoReturn, TypeVar

from IPython.core.error import UsageError
from IPython.core.magic_arguments import MagicArgumentParser

from orchestrator_nb.errors import OrchestratorError

MagicsT = TypeVar("MagicsT")
Options = argparse.Namespace
Kind = Literal["line", "cell"]


class Parser(MagicArgumentParser):
    """IPython's parser for the arguments of magics, with help that reads as text."""

    def __init__(self, prog: str, description: str) -> None:
        summary, _, more = description.partition("\n")
        text = f"{summary}\n{_undented(more)}".rstrip()
        super().__init__(  # type: ignore[no-untyped-call]
            prog, description=text, formatter_class=argparse.RawDescriptionHelpFormatter
        )
        self.add_argument("-h", "--help", action=_Help, nargs=0, help="Print this.")

    def parse_line(self, line: str) -> Options:
        """The options in `line`. Raises `UsageError`; `_HelpAsked` where that is what they ask for."""
        try:
            words = shlex.split(line)
        except ValueError as error:
            raise UsageError(f"{self.prog}: {error}") from None
        return self.parse_args(words)

    def error(self, message: str) -> NoReturn:
        """Say what is wrong with the line."""
        raise UsageError(f"{self.prog}: {message} (see {self.prog} --help)")


class _HelpAsked(Exception):  # noqa: N818 - it is no error
    pass


class _Help(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> NoReturn:
        sys.stdout.write(parser.format_help())
        raise _HelpAsked


@dataclass(frozen=True)
class Argument:
    """One argument of a magic."""

    flags: tuple[str, ...]
    options: dict[str, Any]
    #: What completion offers for it: a name in `magics_completion.SOURCES`.
    offers: str


def argument(*flags: str, offers: str = "", **options: Any) -> Argument:
    """An argument, as `argparse` takes it; `offers` says what completion offers for it."""
    return Argument(flags, options, offers)


def magic(kind: Kind, *arguments: Argument) -> Callable[[Callable[..., Any]], Any]:
    """Make a method a magic of its name: it gets the parsed options, and the cell if it is a magic for cells.

    The method's docstring is the description in its help. A magic for cells has a magic for lines beside it, for the
    sake of ``--help``: IPython runs none for a cell that is empty.
    """

    def make(method: Callable[[Any, Options, str], Any]) -> Callable[..., Any]:
        parser = Parser(f"{'%' if kind == 'line' else '%%'}{method.__name__}", method.__doc__ or "")
        for one in arguments:
            parser.add_argument(*one.flags, **one.options).offers = one.offers  # type: ignore[attr-defined]

        @functools.wraps(method)
        def run(self: MagicsT, line: str, cell: str | None = None) -> Any:
            try:
                options = parser.parse_line(line)
                if kind == "cell" and cell is None:
                    parser.error("it takes the whole cell, which begins with %%")
                return method(self, options, cell or "")
            except _HelpAsked:
                return None
            except OrchestratorError as error:
                raise UsageError(str(error)) from None

        run.__doc__ = parser.format_help()
        run.kinds = ("line",) if kind == "line" else ("line", "cell")  # type: ignore[attr-defined]
        run.parser = parser  # type: ignore[attr-defined]
        return run

    return make


def _undented(text: str) -> str:
    return "\n".join(line.removeprefix("        ") for line in text.splitlines())
