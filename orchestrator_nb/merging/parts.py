"""The parts that merged documents are made of: one contribution's result, its pictures, its other files."""

from __future__ import annotations

from pathlib import PurePosixPath

import msgspec

from orchestrator_nb.core.reports import Report
from orchestrator_nb.merging.collection import Contribution
from orchestrator_nb.merging.embed import LIMIT, embed
from orchestrator_nb.projections.result_files import json_markdown, report_markdown
from orchestrator_nb.projections.text import image, link

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


def is_picture(name: str) -> bool:
    """Whether a file of this name is a picture."""
    return PurePosixPath(name).suffix.lower() in _PICTURES
