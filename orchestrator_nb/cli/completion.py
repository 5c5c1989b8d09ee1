"""What a shell offers on TAB: sessions, tasks, checkpoints, plans and their parameters.

Completion must be quick and must never fail: it reads names and small derived files, imports no heavy library, and
offers nothing where something is wrong.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from functools import wraps
from pathlib import Path
from typing import Any

import typer

_PLAN_ENDINGS = (".yaml", ".yml", ".json")
#: Bytes of a file that are read for its names.
_MAX_SIZE = 2_000_000

Found = Callable[[typer.Context, str], list[tuple[str, str]]]


def _quietly(find: Callable[[typer.Context, str], Iterator[tuple[str, str]]]) -> Found:
    @wraps(find)
    def complete(ctx: typer.Context, incomplete: str) -> list[tuple[str, str]]:
        try:
            return [(name, help_) for name, help_ in find(ctx, incomplete) if name.startswith(incomplete)]
        except Exception:  # noqa: BLE001 - a shell's line is no place for errors
            return []

    return complete


@_quietly
def sessions(ctx: typer.Context, incomplete: str) -> Iterator[tuple[str, str]]:
    """Ids of sessions, newest first, with their plans' titles."""
    from orchestrator_nb.storage.workspace import Workspace

    for directory in reversed(Workspace(_workspace(ctx)).sessions()):
        yield directory.id, _title(directory.path)


@_quietly
def tasks(ctx: typer.Context, incomplete: str) -> Iterator[tuple[str, str]]:
    """Ids of the session's tasks, with their titles."""
    for task in _plan(_session(ctx)).get("tasks", []):
        yield task["id"], task.get("title", "")


@_quietly
def checkpoints(ctx: typer.Context, incomplete: str) -> Iterator[tuple[str, str]]:
    """Ids of tasks that wait for a person."""
    for task in _plan(_session(ctx)).get("tasks", []):
        status = _read_json(_session(ctx) / "status" / f"{task['id']}.json").get("status")
        if status == "awaiting_approval":
            yield task["id"], str(task.get("prompt", ""))


@_quietly
def plans(ctx: typer.Context, incomplete: str) -> Iterator[tuple[str, str]]:
    """Plan files and folders."""
    for name, _ in paths(ctx, incomplete):
        if name.endswith((*_PLAN_ENDINGS, os.sep)):
            yield name, ""


@_quietly
def paths(ctx: typer.Context, incomplete: str) -> Iterator[tuple[str, str]]:
    """Files and folders."""
    folder, _, beginning = incomplete.rpartition("/")
    place = Path(folder or ("/" if incomplete.startswith("/") else ".")).expanduser()
    for entry in sorted(os.scandir(place), key=lambda entry: entry.name):
        if entry.name.startswith(".") and not beginning.startswith("."):
            continue
        prefix = incomplete[: len(incomplete) - len(beginning)]
        yield f"{prefix}{entry.name}{os.sep if entry.is_dir() else ''}", ""


@_quietly
def targets(ctx: typer.Context, incomplete: str) -> Iterator[tuple[str, str]]:
    """What can be drawn: sessions, plans, graphs."""
    yield from sessions(ctx, incomplete)
    yield from plans(ctx, incomplete)


@_quietly
def params(ctx: typer.Context, incomplete: str) -> Iterator[tuple[str, str]]:
    """``NAME=`` for the plan's parameters, ``NAME=CHOICE`` where the choices are known."""
    plan = ctx.params.get("plan")
    declared = _params_of_file(Path(plan)) if plan else _plan(_session(ctx)).get("params", {})
    for name, said in declared.items():
        param = said if isinstance(said, dict) else {}
        choices = param.get("choices") or ([False, True] if param.get("type") == "bool" else [])
        for choice in choices or [""]:
            text = choice if isinstance(choice, str) else json.dumps(choice)
            yield f"{name}={text}", str(param.get("help", ""))


def _workspace(ctx: typer.Context) -> Path:
    from orchestrator_nb.storage.settings import load_settings

    flag = ctx.find_root().params.get("workspace")
    return load_settings(Path.cwd(), os.environ, workspace=flag).workspace


def _session(ctx: typer.Context) -> Path:
    from orchestrator_nb.storage.workspace import Workspace

    named = ctx.params.get("session")
    if named and Path(named, "events.jsonl").is_file():
        return Path(named)
    return Workspace(_workspace(ctx)).find(named or "latest").path


def _title(session: Path) -> str:
    return str(_plan(session).get("title", ""))


def _plan(session: Path) -> dict[str, Any]:
    return _read_json(session / "artifacts" / "plan.json")


def _read_json(path: Path) -> dict[str, Any]:
    if not path.is_file() or path.stat().st_size > _MAX_SIZE:
        return {}
    value = json.loads(path.read_bytes())
    return value if isinstance(value, dict) else {}


def _params_of_file(path: Path) -> dict[str, Any]:
    """The plan file's parameters, read without the plan's models, which take longer to load than people wait."""
    if path.stat().st_size > _MAX_SIZE:
        return {}
    content = path.read_text("utf-8")
    value = json.loads(content) if path.suffix == ".json" else _yaml_head(content)
    declared = value.get("params") if isinstance(value, dict) else None
    return declared if isinstance(declared, dict) else {}


def _yaml_head(content: str) -> Any:
    """What a YAML file says, all scalars as text: no tags, no merges, nothing that could grow."""
    import yaml

    stack: list[Any] = [[]]
    keys: list[str | None] = [None]
    for event in yaml.parse(content, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
        if isinstance(event, yaml.CollectionEndEvent):
            stack.pop()
            keys.pop()
            continue
        value: Any
        if isinstance(event, yaml.ScalarEvent):
            value = event.value
        elif isinstance(event, yaml.CollectionStartEvent):
            value = {} if isinstance(event, yaml.MappingStartEvent) else []
        else:
            continue
        if isinstance(stack[-1], list):
            stack[-1].append(value)
        elif keys[-1] is None:
            keys[-1] = value
            continue
        else:
            stack[-1][keys[-1]], keys[-1] = value, None
        if not isinstance(value, str):
            stack.append(value)
            keys.append(None)
    return stack[0][0]
