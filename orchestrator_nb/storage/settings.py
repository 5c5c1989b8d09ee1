"""Settings: `[tool.orchestrator]` in pyproject.toml or `orchestrator.toml`, then ORCH_* variables, then what the
caller says. Each value knows where it came from.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Meta

from orchestrator_nb.core.ids import did_you_mean
from orchestrator_nb.errors import SettingsError
from orchestrator_nb.storage.log import Durability

T = TypeVar("T")

_UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "KI": 2**10, "MI": 2**20, "GI": 2**30}
_SIZE = re.compile(r"([0-9]+) *([KMG]I?|)B?", re.IGNORECASE)

#: A number of bytes; `"200 MiB"` in a file or variable.
Size = Annotated[int, Meta(ge=0)]


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How sessions are kept and run."""

    #: Directory of the sessions: relative to the file that says so, else to the caller's directory.
    workspace: Path = Path(".orchestrator")
    #: Tasks running at once, where the plan sets no limit (S2: 10).
    max_parallel: Annotated[int, Meta(ge=1, le=10_000)] = 10
    #: `strict` also syncs before dependents start.
    durability: Durability = "group"
    #: Seconds from TERM to KILL.
    grace: Annotated[float, Meta(ge=0)] = 10.0
    #: Seconds that an event may wait for its sync.
    sync_interval: Annotated[float, Meta(gt=0, le=1)] = 0.01
    #: Seconds between two updates of the derived files.
    projection_interval: Annotated[float, Meta(gt=0, le=1)] = 0.5
    #: Bytes kept of the raw log of one attempt.
    log_cap: Size = 2**30
    #: Most bytes of a task's result.
    result_cap: Size = 16 * 2**20
    #: Most bytes of one declared output.
    output_cap: Size = 4 * 2**30
    #: No task starts while the disk has less free bytes than this.
    disk_floor: Size = 200 * 2**20
    #: Who makes plans of prompts: a kind of agent; and the seconds that each of its attempts may take (S0: 300).
    planner: str = "claude"
    planner_timeout: Annotated[float, Meta(gt=0)] = 300.0
    #: Who verifies what was made for a prompt: a kind of agent, ``none``, or empty for the planner.
    verifier: str = ""
    #: What planned tasks may use beside the planner's kind of agent, comma-separated: ``agent:codex``, ...
    allow: str = ""
    #: Cassette into which the agents' attempts are recorded, or from which they are replayed; and the tasks that are
    #: recorded anew in a replay, comma-separated.
    record: Path | None = None
    replay: Path | None = None
    refresh: str = ""
    #: Where each value came from: `default`, a file, a variable, or `argument`.
    sources: dict[str, str] = {}


class _Tool(msgspec.Struct):
    orchestrator: dict[str, Any] | None = None


class _Pyproject(msgspec.Struct):
    tool: _Tool = msgspec.field(default_factory=_Tool)


#: The settings' names.
NAMES = tuple(name for name in Settings.__struct_fields__ if name != "sources")
_TYPES = get_type_hints(Settings, include_extras=True)
#: What a project's file must not decide: whether results are real.
_OF_A_RUN = ("record", "replay", "refresh")


def load_settings(directory: Path, environ: Mapping[str, str], **explicit: Any) -> Settings:
    """Put the settings together for someone who works in `directory`.

    Args:
        directory: Where the search for a settings file begins; it goes upward and ends at the first one found.
        environ: The environment: `ORCH_MAX_PARALLEL`, ...
        explicit: Values that win over all others; None means "not said".

    Raises:
        SettingsError: A value or a name is wrong; says in which file or variable.
    """
    values: dict[str, Any] = {}
    sources: dict[str, str] = dict.fromkeys(NAMES, "default")
    for name, value, source, base in _found(directory, environ, explicit):
        values[name] = _converted(name, value, source, base)
        sources[name] = source
    values.setdefault("workspace", directory / Settings().workspace)
    if values.get("record") and values.get("replay"):
        raise SettingsError("a run is recorded or replayed, not both: leave out `record` or `replay`")
    if values.get("refresh") and not values.get("replay"):
        raise SettingsError("`refresh` names tasks of a replay that are recorded anew: give `replay` too")
    return Settings(**values, sources=sources)


def _found(
    directory: Path, environ: Mapping[str, str], explicit: Mapping[str, Any]
) -> Iterator[tuple[str, Any, str, Path]]:
    """Every value that somebody set: name, value, source, base of relative paths; later ones win."""
    file, table = _settings_file(directory)
    for name, value in table.items():
        if name not in NAMES:
            raise SettingsError(f"{file}: there is no setting '{name}'{did_you_mean(name, NAMES)}")
        if name == "allow" or (name in ("planner", "verifier") and ":" in str(value)):
            # The file comes with a project, perhaps with somebody else's: it must not decide what runs here.
            raise SettingsError(
                f"{file}: setting '{name}' decides what may run on this machine, and is not taken from a project's "
                f"file: give it as ORCH_{name.upper()}, or to the command"
            )
        if name in _OF_A_RUN:
            raise SettingsError(f"{file}: '{name}' is said of a run: --{name}, or ORCH_{name.upper()}")
        yield name, value, str(file), file.parent
    variables = {f"ORCH_{name.upper()}": name for name in NAMES}
    for variable, value in environ.items():
        if variable in variables:
            yield variables[variable], value, variable, directory
        elif variable.startswith("ORCH_") and difflib.get_close_matches(variable, variables, cutoff=0.85):
            # Other ORCH_ variables may be anybody's; this one is a typing error.
            raise SettingsError(f"there is no setting {variable}{did_you_mean(variable, variables)}")
    for name, value in explicit.items():
        if name not in NAMES:
            raise SettingsError(f"there is no setting '{name}'{did_you_mean(name, NAMES)}")
        if value is not None:
            yield name, value, "argument", directory


def _settings_file(directory: Path) -> tuple[Path, Mapping[str, Any]]:
    """The nearest file with settings, upward from `directory`, and its table."""
    for place in (directory, *directory.parents):
        own, project = place / "orchestrator.toml", place / "pyproject.toml"
        if own.is_file():
            return own, _read(own, dict[str, Any])
        if project.is_file():
            table = _read(project, _Pyproject).tool.orchestrator
            if table is not None:
                return project, table
    return directory, {}


def _read(file: Path, kind: type[T]) -> T:
    try:
        return msgspec.toml.decode(file.read_bytes(), type=kind)
    except (OSError, ValueError, msgspec.DecodeError) as error:
        raise SettingsError(f"{file} cannot be read: {error}") from error


def _converted(name: str, value: Any, source: str, base: Path) -> Any:
    kind = _TYPES[name]
    if kind == Size and isinstance(value, str):
        match = _SIZE.fullmatch(value.strip())
        value = int(match[1]) * _UNITS[match[2].upper()] if match else value
    if kind in (Path, Path | None) and isinstance(value, str | Path):
        return base / Path(value).expanduser()
    try:
        return msgspec.convert(value, str if kind in (Path, Path | None) else kind, strict=False)
    except msgspec.ValidationError as error:
        allowed = f" (one of: {', '.join(get_args(kind))})" if get_origin(kind) is Literal else ""
        raise SettingsError(f"{source}: setting '{name}' cannot be {value!r}: {error}{allowed}") from error
