"""What decides an attempt, without anything of this machine: its hash is where a cassette looks for it.

Directories of a run stand in it by a name, and so in everything that is recorded: ``${cassette.cwd}/data.csv``.
"""

from __future__ import annotations

import difflib
import functools
import hashlib
import json
import re
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from orchestrator_nb.agents.coding.redaction import SHORTEST, Redactor
from orchestrator_nb.agents.notebook import find
from orchestrator_nb.core.models import DependencyKind
from orchestrator_nb.core.ports import Assignment, RunContext
from orchestrator_nb.errors import AgentError
from orchestrator_nb.projections.words import some

_PREFIX = "${cassette."
_NAMES = re.compile(r"\$\{cassette\.(session|cwd|plan|home|id|dollar)\}")
#: Names of variables whose values are secrets.
_SECRET = re.compile(r"KEY|TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIAL", re.IGNORECASE)
_HASHES = re.compile('"[0-9a-f]{64}" → "[0-9a-f]{64}"')
#: Lines and names that a difference tells.
_TOLD = 8


class Directories:
    """The directories of a run, that have other names on another machine.

    Args:
        known: What they are called, by name: session, cwd, plan, home, id.
    """

    @staticmethod
    def of(run: RunContext) -> Directories:
        """Those of a run."""
        return _directories(str(run.directory), str(run.cwd), str(run.base), run.session)

    def __init__(self, known: Mapping[str, str]) -> None:
        self._values = {**known, "dollar": "$"}
        by_text: dict[str, str] = {}
        for name, text in known.items():
            if len(text) > 1:
                by_text.setdefault(text, name)
        self._names = by_text
        longest_first = sorted(by_text, key=len, reverse=True)
        self._texts = re.compile(rf"(?:{'|'.join(map(re.escape, longest_first))})(?![A-Za-z0-9_-])")

    def portable(self, text: str) -> str:
        """`text` with names in place of directories."""
        text = text.replace(_PREFIX, "${cassette.dollar}{cassette.")
        return self._texts.sub(lambda found: f"{_PREFIX}{self._names[found[0]]}}}", text)

    def here(self, text: str) -> str:
        """What `portable` made of a text, as it would be here."""
        return _NAMES.sub(lambda found: self._values[found[1]], text)


@functools.lru_cache(maxsize=8)
def _directories(session: str, cwd: str, plan: str, number: str) -> Directories:
    return Directories({"session": session, "cwd": cwd, "plan": plan, "home": str(Path.home()), "id": number})


def each_text(value: Any, change: Any) -> Any:
    """A JSON value with all of its texts changed, names in mappings too."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, Mapping):
        return {change(name): each_text(item, change) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [each_text(item, change) for item in value]
    return value


def secrets_among(variables: Mapping[str, str]) -> Iterator[str]:
    """The values of variables that are named as secrets are."""
    return (value for name, value in variables.items() if len(value) >= SHORTEST and _SECRET.search(name))


def request_of(
    assignment: Assignment, kind: str, incidental: Collection[str], tree: Mapping[str, str], places: Directories
) -> dict[str, Any]:
    """What decides the attempt: the work with its values, its inputs by content, the files that it is given. Blocking.

    Args:
        assignment: The attempt.
        kind: Of its agent.
        incidental: Parameters that say how the agent is run here, not what it does.
        tree: Hashes of the files that it is given to work on.
        places: The run's directories.
    """
    task, work, run = assignment.task, assignment.work, assignment.run
    asked: dict[str, Any] = {
        "agent": kind,
        "prompt": work.prompt,
        "command": work.command,
        "function": work.function,
        "notebook": _notebook(assignment) if work.notebook else None,
        "parameters": {name: value for name, value in work.parameters.items() if name not in incidental},
        "inputs": {name: _content(Path(path)) for name, path in assignment.inputs.items()},
        "environment": dict(assignment.env),
        "params": dict(run.params) if work.notebook else None,
        "outputs": list(task.outputs),
        "result": task.result.model_dump(mode="json", exclude_defaults=True) if task.result else None,
        "cwd": task.cwd,
        "answer": [assignment.answer] if assignment.answered else None,
        "tree": dict(tree),
    }
    asked = {name: value for name, value in asked.items() if value not in (None, "", [], {})}
    portable: dict[str, Any] = each_text(json.loads(json.dumps(asked, default=str)), places.portable)
    if upstream := _upstream(assignment, json.dumps(portable)):
        portable["upstream"] = upstream
    return portable


def redacted(request: dict[str, Any], redactor: Redactor) -> dict[str, Any]:
    """The same without secrets."""
    clean: dict[str, Any] = each_text(request, redactor.text)
    return clean


def _notebook(assignment: Assignment) -> dict[str, str]:
    try:
        return {"path": assignment.work.notebook or "", "sha256": _content(find(assignment))}
    except AgentError:
        return {"path": assignment.work.notebook or ""}


def _upstream(assignment: Assignment, asked: str) -> dict[str, str]:
    """The content of other tasks' outputs, where what is asked names their files."""
    named = [d.task for d in assignment.task.dependencies if d.kind is DependencyKind.DATA]
    session = Path(assignment.run.directory)
    return {
        name: _content(session / "outputs" / name) for name in named if f"{_PREFIX}session}}/outputs/{name}/" in asked
    }


def _content(path: Path) -> str:
    """Hash of a file, or of all files below a directory with their names; empty if there is no such thing."""
    if path.is_dir():
        files = sorted(file for file in path.rglob("*") if file.is_file())
        listed = [(file.relative_to(path).as_posix(), _content(file)) for file in files]
        return hashlib.sha256(msgspec.json.encode(listed)).hexdigest()
    if not path.is_file():
        return ""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


# -- what differs ------------------------------------------------------------------------------------------------------


def likeness(a: Mapping[str, Any], b: Mapping[str, Any]) -> float:
    """How much two requests have in common; more is more."""
    same = float(sum(a.get(name) == b.get(name) for name in {*a, *b}))
    words = [str(request.get("prompt", "")).split() for request in (a, b)]
    return same + difflib.SequenceMatcher(None, words[0][:2000], words[1][:2000], autojunk=False).ratio()


def differences(recorded: Mapping[str, Any], asked: Mapping[str, Any]) -> list[str]:
    """What is asked now, and was recorded otherwise: a line or more for each part of a request that differs."""
    lines = []
    for name in sorted({*recorded, *asked}):
        before, now = recorded.get(name), asked.get(name)
        if before == now:
            continue
        if name == "prompt":
            lines += ["prompt:", *_text_difference(str(before or ""), str(now or ""))]
        elif name == "tree":
            lines.append("the files that it is given to work on are not the same")
        elif isinstance(before or {}, dict) and isinstance(now or {}, dict):
            lines += [f"{name}: {line}" for line in _by_name(before or {}, now or {})]
        else:
            lines.append(f"{name}: {_short(before)} → {_short(now)}")
    return lines


def tree_differences(recorded: str, now: str) -> str:
    """Which files differ between two lists of files; empty if a list is missing."""
    if not (recorded and now):
        return ""
    before, after = ({line.partition("\t")[2]: line for line in text.splitlines()} for text in (recorded, now))
    parts = []
    for words, names in (
        ("new", after.keys() - before.keys()),
        ("gone", before.keys() - after.keys()),
        ("changed", {name for name in before.keys() & after.keys() if before[name] != after[name]}),
    ):
        if names:
            parts.append(f"{words}: {some(sorted(names), _TOLD)}")
    return "; ".join(parts)


def _text_difference(before: str, now: str) -> list[str]:
    found = list(difflib.unified_diff(before.splitlines(), now.splitlines(), "recorded", "now", lineterm="", n=1))[3:]
    told = [f"  {line[:300]}" for line in found[: 2 * _TOLD]]
    return [*told, f"  ... and {len(found) - len(told)} lines more"] if len(found) > len(told) else told


def _by_name(before: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    for name in sorted({*before, *now}):
        if name not in now:
            yield f"'{name}' is missing now"
        elif name not in before:
            yield f"'{name}' is new"
        elif before[name] != now[name]:
            hashes = all(isinstance(value, str) and re.fullmatch("[0-9a-f]{64}", value) for value in (before[name],))
            yield (
                f"'{name}' has another content" if hashes else f"'{name}': {_short(before[name])} → {_short(now[name])}"
            )


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 100 else f"{text[:99]}…"
