"""An exception as a few lines for people: what, and where in their code."""

from __future__ import annotations

import traceback
from pathlib import Path

#: Longest text made of an exception, in characters: it travels in an event.
MAX_TEXT = 4000

_OURS = str(Path(__file__).parents[1])


def summary_of(error: BaseException, frames: int = 5) -> str:
    """The exception in one line, then its last `frames` places, without those in this package."""
    if isinstance(error, SystemExit):
        what = f"SystemExit: the code called exit({'' if error.code is None else repr(error.code)})"
    else:
        what = "".join(traceback.format_exception_only(error)).strip() or type(error).__name__
    places = [place for place in traceback.extract_tb(error.__traceback__) if not place.filename.startswith(_OURS)]
    where = "".join(traceback.format_list(places[-frames:])).rstrip()
    room = max(MAX_TEXT - len(where), MAX_TEXT // 2)
    what = what if len(what) <= room else what[:room] + " [...]"
    return f"{what}\n{where[-MAX_TEXT // 2 :]}" if where else what
