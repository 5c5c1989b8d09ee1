"""The parts that merged documents are made of: one contribution's result, its pictures, its other files."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import PurePosixPath

import msgspec

from orchestrator_nb.core.events import AgentWork
from orchestrator_nb.core.reports import Report
from orchestrator_nb.merging.collection import Contribution
from orchestrator_nb.merging.embed import LIMIT, embed
from orchestrator_nb.projections.result_files import json_markdown, report_markdown
from orchestrator_nb.projections.text import code, image, inline, link, table
from orchestrator_nb.projections.words import some

#: Changed files of one task that are named.
NAMED = 20
_PICTURES = frozenset([".png", ".svg", ".jpg", ".jpeg", ".gif", ".webp"])


def result(item: Contribution, level: int) -> str:
    """Its result below a heading of `level`; empty if it has none."""
    if item.result is msgspec.UNSET:
        return ""
    if isinstance(item.result, Report):
        return report_markdown(item.result, level + 1)
    if isinstance(item.result, str):
        return embed(item.result, printed=item.printed, file=item.file)
    return json_markdown(item.result, LIMIT)


def pictures(item: Contribution) -> list[str]:
    """Its pictures, a paragraph each."""
    return [f"{image(f'{item.title}: {name}', path)}\n" for name, path in item.outputs.items() if is_picture(name)]


def files(item: Contribution) -> list[str]:
    """Links to what else it left: notebooks, tables, anything."""
    return [link(name, path) for name, path in item.outputs.items() if not is_picture(name)]


def notebooks(item: Contribution) -> list[str]:
    """Links to the executed notebooks that it left."""
    return [link(item.title, path) for name, path in item.outputs.items() if name.endswith(".ipynb")]


def result_link(item: Contribution) -> str:
    """A link to the file of its result."""
    return link(PurePosixPath(item.file).name, item.file)


_BY_HAND = ("by hand", "", "", "unknown")


def credits_table(items: Iterable[Contribution]) -> str:
    """Who did what, of the tasks that coding agents did, or people by hand: empty without any.

    Commits are not named: their hashes hold times, and equal results are to give equal bytes.
    """
    rows = [
        (
            item.agent,
            inline(item.title),
            *(("by hand", "", "", "unknown") if item.work is None else done(item, item.work)),
        )
        for item in items
        if item.work is not None or item.by_hand
    ]
    return table(("Agent", "Task", "Done by", "Level", "Contained by", "Files changed"), rows) if rows else ""


def done(item: Contribution, work: AgentWork) -> tuple[str, str, str, str]:
    """By whom, with which level, contained by what, and what it changed."""
    return inline(work.agent), work.level, sandbox(work), changes(work, item.missing)


def sandbox(work: AgentWork) -> str:
    """What contained it: that nothing did is not to be overlooked."""
    why = f" ({inline(work.why, 300)})" if work.why else ""
    return f"⚠️ **uncontained**{why}" if work.sandbox == "uncontained" else f"{work.sandbox}{why}"


def changes(work: AgentWork, missing: str = "") -> str:
    """The files that it changed, and how."""
    if missing:
        return "not completed"
    named = [f"{code(change.path)} ({change.kind})" for change in work.changes]
    return some(named, NAMED, len(work.changes) + work.more_changes) or "none"


def is_picture(name: str) -> bool:
    """Whether a file of this name is a picture."""
    return PurePosixPath(name).suffix.lower() in _PICTURES
