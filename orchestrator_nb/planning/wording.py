"""What pydantic finds wrong in a plan's data, in the words of the people who write plans."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import fields
from typing import Any

from pydantic_core import ErrorDetails

from orchestrator_nb.core.faults import Fault, Path, dotted
from orchestrator_nb.core.ids import did_you_mean, fault_of_id, nearest
from orchestrator_nb.core.limits import Budget, Limits, Price, Reserve, RunBudget
from orchestrator_nb.core.merges import Merge
from orchestrator_nb.core.models import (
    Dependency,
    Param,
    Phase,
    Plan,
    Resources,
    Result,
    Retry,
    Task,
    Work,
)
from orchestrator_nb.core.reviewers import Review, Reviewer

#: The keys that each mapping of a plan may have, by where it is (``*``: any name or position).
_KEYS: dict[Path, Iterable[str]] = {
    (): Plan.model_fields,
    ("params", "*"): Param.model_fields,
    ("limits",): Limits.model_fields,
    ("limits", "budget"): RunBudget.model_fields,
    ("limits", "budget", "agents", "*"): Budget.model_fields,
    ("limits", "budget", "agents", "*", "reserve"): Reserve.model_fields,
    ("limits", "budget", "reserve"): Reserve.model_fields,
    ("limits", "prices", "*"): Price.model_fields,
    ("phases", "*"): Phase.model_fields,
    ("merge",): Merge.model_fields,
    ("tasks", "*"): Task.model_fields,
    ("tasks", "*", "budget"): Budget.model_fields,
    ("tasks", "*", "budget", "reserve"): Reserve.model_fields,
    ("tasks", "*", "dependencies", "*"): [field.name for field in fields(Dependency)],
    ("tasks", "*", "fallback"): Work.model_fields,
    ("tasks", "*", "resources"): Resources.model_fields,
    ("tasks", "*", "result"): Result.model_fields,
    ("tasks", "*", "retry"): Retry.model_fields,
    ("tasks", "*", "review"): Review.model_fields,
    ("tasks", "*", "review", "*"): Reviewer.model_fields,
    ("tasks", "*", "review", "reviewers", "*"): Reviewer.model_fields,
}

#: Keys that later versions are to have.
_LATER = frozenset(
    (
        "for_each", "gate", "gates", "grant", "handoffs", "loop", "max_cost", "model", "network", "pipeline",
        "policies", "policy", "record", "repeat", "replay", "roles", "sandbox", "seed", "signal", "until",
        "verifier", "verify", "when", "workflow",
    )
)  # fmt: skip

#: What other tools call our keys.
_MEANT = {
    "after": "dependencies",
    "args": "parameters",
    "artifacts": "outputs",
    "cmd": "command",
    "depends": "dependencies",
    "depends_on": "dependencies",
    "deps": "dependencies",
    "environment": "env",
    "jobs": "tasks",
    "name": "title",
    "needs": "dependencies",
    "nodes": "tasks",
    "parameters": "params",
    "params": "parameters",
    "requires": "dependencies",
    "retries": "retry",
    "run": "command",
    "script": "command",
    "shell": "command",
    "steps": "tasks",
    "task_id": "id",
    "type": "agent",
    "working_directory": "cwd",
}

#: What stands where several forms are allowed.
_FORMS = {
    "checks": "a list of commands, each one text or a list of arguments",
    "choices": "a list",
    "command": "one text for the shell, or a list of arguments",
    "dependencies": "a list of ids, or of {task, kind}",
    "env": "a mapping of names to text",
    "fallback": "a mapping that says what to do instead",
    "files": "a list of paths",
    "inputs": "a mapping of names to paths, or a list of paths",
    "limits": "a mapping",
    "limits.resources": "a mapping of names to numbers",
    "locks": "a list of names",
    "merge": "the name of a strategy, or a mapping",
    "merge.tasks": "a list of ids",
    "ok_exit_codes": "a list of whole numbers",
    "outputs": "a list of paths",
    "parameters": "a mapping of names to values",
    "params": "a mapping of names to defaults, or to {type, default, help}",
    "phases": "a list of {id, title, max_parallel, timeout}",
    "resources": "a mapping ({cpu, memory_gb, locks})",
    "result": "a format (text, json, report, sarif), or {source, format}",
    "retry": "a number of attempts, or a mapping",
    "review": "a list of reviewers, or a mapping",
    "reviewers": "a list of kinds of agents, or of {agent, name, function, parameters}",
    "tasks": "a list of tasks, or a mapping of ids to tasks",
}

_TYPES = {
    "string_type": "text",
    "int_type": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "tuple_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "dataclass_type": "an id, or a mapping of task and kind",
    "finite_number": "a finite number",
    "greater_than": "more than {gt:g}",
    "greater_than_equal": "at least {ge:g}",
    "less_than": "less than {lt:g}",
    "less_than_equal": "at most {le:g}",
}
_WRONG_FORM = frozenset(["string_type", "tuple_type", "dict_type", "model_type"])


def faults_of(errors: Iterable[ErrorDetails], raw: Any) -> list[Fault]:
    """One fault for each thing that is wrong in `raw`, from pydantic's errors about it."""
    found: dict[Path, tuple[str, Fault]] = {}
    for error in errors:
        path = _path_in(raw, error["loc"])
        found.setdefault(path, (error["type"], _fault(error, path, raw)))
    around = {path[:end] for path in found for end in range(len(path))}
    # A value that may have several forms gets an error for each: the one that goes deepest says what is wrong.
    return [fault for path, (kind, fault) in found.items() if not (path in around and kind in _WRONG_FORM)]


def _path_in(raw: Any, location: tuple[int | str, ...]) -> Path:
    """Where in `raw` pydantic's `location` is: without the names of alternatives, and of what short forms are for."""
    path: list[int | str] = []
    for step in location:
        known = range(len(raw)) if isinstance(raw, list) else raw if isinstance(raw, Mapping) else ()
        if step in known:
            raw = raw[step]
            path.append(step)
    return tuple(path)


def _fault(error: ErrorDetails, path: Path, raw: Any) -> Fault:
    kind, given, remedy = error["type"], error["input"], ""
    if kind in ("extra_forbidden", "unexpected_keyword_argument"):
        message, remedy = _unknown_key(path)
    elif kind == "missing":
        message = f"'{error['loc'][-1]}' is missing"
        remedy = "give the task an id" if error["loc"][-1] == "id" else f"add `{error['loc'][-1]}`"
    elif kind == "value_error":
        message = error["msg"].removeprefix("Value error, ")
        message = f"{_shown(given)}: {message}" if path[-1:] == ("id",) else message
    elif kind in ("enum", "literal_error"):
        allowed = error["ctx"]["expected"].replace("'", "")
        message = f"{_subject(path)} must be {allowed}, not {_shown(given)}"
        remedy = _meant(given, allowed)
    else:
        message = f"{_subject(path)} must be {_expected(error, path)}, not {_shown(given)}"
        if kind == "string_type" and isinstance(given, int | float):
            remedy = "put it in quotes"
    return Fault("error", message, _task(path, raw), path, remedy)


def _unknown_key(path: Path) -> tuple[str, str]:
    key = str(path[-1])
    pattern = tuple("*" if index % 2 and path[0] in ("tasks", "phases", "params") else step
                    for index, step in enumerate(path[:-1]))  # fmt: skip
    known = list(_KEYS.get(pattern, ()))
    if key in _LATER:
        return f"'{key}' is not in this version", "remove it"
    near = _MEANT[key] if _MEANT.get(key) in known else nearest(key, known)
    keys = f"known keys: {', '.join(known)}" if known else "remove it"
    return f"unknown key '{key}'", f"did you mean '{near}'?" if near else keys


def _meant(given: Any, allowed: str) -> str:
    hint = did_you_mean(given, allowed.replace(" or ", ", ").split(", ")) if isinstance(given, str) else ""
    return hint.removeprefix("; ")


def _expected(error: ErrorDetails, path: Path) -> str:
    form = _FORMS.get(_subject(path)) or _FORMS.get(str(path[-1] if path else ""))
    if form and error["type"] in _WRONG_FORM:
        return form
    words = _TYPES.get(error["type"])
    return words.format(**error.get("ctx", {})) if words else f"right ({error['msg']})"


def _subject(path: Path) -> str:
    if not path:
        return "a plan"
    if len(path) == 2 and path[0] in ("tasks", "phases"):
        return f"a {str(path[0])[:-1]}"
    if path[-2:-1] == ("dependencies",):
        return "a dependency"
    return dotted(path[2:] if path[0] == "tasks" and len(path) > 2 else path)


def _task(path: Path, raw: Any) -> str:
    """The id of the task that `path` leads into, if it has one."""
    if len(path) < 2 or path[0] != "tasks":
        return ""
    task = raw["tasks"][path[1]]
    name = task.get("id") if isinstance(task, Mapping) else None
    return name if isinstance(name, str) and not fault_of_id(name) else ""


def _shown(value: Any) -> str:
    if isinstance(value, Mapping | list | tuple):
        return "a mapping" if isinstance(value, Mapping) else "a list"
    if value is None:
        return "nothing"
    shown = {True: "true", False: "false"}.get(value, "") if isinstance(value, bool) else repr(value)
    return shown if len(shown) <= 60 else shown[:57] + "..."
