"""What TAB offers on the line of a magic: its options, plans and their parameters, sessions, tasks.

It must be quick and must never fail: it offers nothing where something is wrong.
"""

from __future__ import annotations

import argparse
import json
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from IPython.core.completer import CompletionContext, SimpleCompletion, context_matcher

from orchestrator_nb.core.models import Plan
from orchestrator_nb.jupyter.magics_parsing import Parser
from orchestrator_nb.planning.builder import PlanBuilder
from orchestrator_nb.planning.sources import SUFFIXES, plan_from
from orchestrator_nb.storage.settings import load_settings
from orchestrator_nb.storage.workspace import Workspace

#: Largest plan file that is read for the names of its parameters, in bytes.
MAX_SIZE = 2_000_000

_LINE = re.compile(r"\s*(?:[A-Za-z_]\w*\s*=\s*)?%{1,2}(?P<magic>\w+)\s(?P<rest>.*)", re.DOTALL)


@dataclass(frozen=True)
class Line:
    """The line of a magic up to the cursor."""

    parser: Parser
    #: What stands before `word`, the one that the cursor is in.
    words: list[str]
    word: str
    #: The notebook's variables.
    namespace: Mapping[str, Any]

    @property
    def positionals(self) -> list[str]:
        """Those of `words` that are neither options nor their values."""
        options = self.parser._option_string_actions
        pairs = zip(["", *self.words], self.words, strict=False)
        return [word for before, word in pairs if not word.startswith("-") and not _takes_value(options.get(before))]

    def action(self) -> argparse.Action | None:
        """The argument that `word` is, or belongs to."""
        before = self.parser._option_string_actions.get(self.words[-1]) if self.words else None
        if before is not None and _takes_value(before):
            return before
        known = [action for action in self.parser._actions if not action.option_strings]
        place = len(self.positionals)
        return known[place] if place < len(known) else None


def _takes_value(action: argparse.Action | None) -> bool:
    return action is not None and action.nargs != 0


def matcher(parsers: Mapping[str, Parser], namespace: Mapping[str, Any]) -> Callable[[CompletionContext], Any]:
    """The matcher for IPython's completer: `parsers` by name of magic, `namespace` is the notebook's."""

    def orchestrator_nb_matcher(context: CompletionContext) -> dict[str, Any]:
        found = _LINE.fullmatch(context.text_until_cursor)
        if found is None or found["magic"] not in parsers:
            return {"completions": []}
        *words, word = re.split(r"\s+", found["rest"])
        line = Line(parsers[found["magic"]], [each for each in words if each], word, namespace)
        try:
            texts = [text for text in dict.fromkeys(candidates(line)) if text.startswith(word)]
        except Exception:  # noqa: BLE001 - completion is no place for errors
            texts = []
        completions = [SimpleCompletion(text=text, type="param") for text in texts]
        return {"completions": completions, "matched_fragment": word, "ordered": True, "suppress": bool(texts)}

    made: Callable[[CompletionContext], Any] = context_matcher()(orchestrator_nb_matcher)
    return made


def candidates(line: Line) -> Iterable[str]:
    """What may stand in the place of the line's last word."""
    action = line.action()
    if line.word.startswith("-") and not (action is not None and action.option_strings):
        return sorted(name for name in line.parser._option_string_actions if name.startswith("--"))
    if action is None:
        return ()
    if action.choices is not None:
        return list(action.choices)
    source = SOURCES.get(getattr(action, "offers", ""))
    return source(line) if source is not None else ()


# -- sources -----------------------------------------------------------------------------------------------------------


def _plans(line: Line) -> Iterator[str]:
    yield from _variables(line, (Plan, PlanBuilder))
    yield from (path for path in _paths(line.word) if path.endswith((*SUFFIXES, os.sep)))


def _builders(line: Line) -> Iterator[str]:
    yield from _variables(line, (PlanBuilder,))


def _variables(line: Line, kinds: tuple[type, ...]) -> Iterator[str]:
    yield from (name for name, value in line.namespace.items() if isinstance(value, kinds) and name[0] != "_")


def _sessions(_: Line) -> Iterator[str]:
    workspace = Workspace(load_settings(Path.cwd(), os.environ).workspace)
    yield from (directory.id for directory in reversed(workspace.sessions()))


def _plans_and_sessions(line: Line) -> Iterator[str]:
    yield from _sessions(line)
    yield from _plans(line)


def _folders(line: Line) -> Iterator[str]:
    yield from (path for path in _paths(line.word) if path.endswith(os.sep))


def _tasks(line: Line) -> Iterator[str]:
    """Ids of the plan that ``%%task`` adds to; of a list with commas, the last one is completed."""
    name = line.words[line.words.index("--plan") + 1] if "--plan" in line.words else "plan"
    builder = line.namespace.get(name)
    begun, comma, _ = line.word.rpartition(",")
    if isinstance(builder, PlanBuilder):
        yield from (f"{begun}{comma}{task}" for task in builder.tasks)


def _params(line: Line) -> Iterator[str]:
    """``NAME=`` of the plan on the line, ``NAME=CHOICE`` where the choices are known, paths where one is asked for."""
    source = line.positionals[0]
    value = line.namespace.get(source)
    if value is None and Path(source).is_file() and Path(source).stat().st_size > MAX_SIZE:
        return
    plan = plan_from(value if isinstance(value, Plan | PlanBuilder) else source).plan
    for name, param in (plan.params if plan is not None else {}).items():
        choices = param.choices or ([False, True] if param.type == "bool" else [])
        if param.type == "path" and line.word.startswith(f"{name}="):
            yield from (f"{name}={path}" for path in _paths(line.word.removeprefix(f"{name}=")))
        elif choices:
            yield from (f"{name}={choice if isinstance(choice, str) else json.dumps(choice)}" for choice in choices)
        else:
            yield f"{name}="


def _paths(word: str) -> Iterator[str]:
    folder, slash, beginning = word.rpartition("/")
    for entry in sorted(os.scandir(Path(f"{folder}{slash}" or ".").expanduser()), key=lambda entry: entry.name):
        if not entry.name.startswith(".") or beginning.startswith("."):
            yield f"{folder}{slash}{entry.name}{os.sep if entry.is_dir() else ''}"


#: What completion can offer, by the name that `magics_parsing.argument` gives.
SOURCES: dict[str, Callable[[Line], Iterator[str]]] = {
    "builders": _builders,
    "folders": _folders,
    "params": _params,
    "plans": _plans,
    "plans and sessions": _plans_and_sessions,
    "sessions": _sessions,
    "tasks": _tasks,
}
