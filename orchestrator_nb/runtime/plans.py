"""Plans on their way into and out of a session: loading, parameters, and what a changed plan means."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from orchestrator_nb.core.models import Plan
from orchestrator_nb.core.params import resolve
from orchestrator_nb.errors import ParameterError, SessionCorrupt


def load_plan_blob(content: bytes) -> Plan:
    """The plan that a session keeps. Raises `SessionCorrupt` if this version cannot read it."""
    try:
        return Plan.model_validate_json(content)
    except ValidationError as error:
        raise SessionCorrupt(f"the session's plan cannot be read by this version: {error}") from None


def resolve_params(
    plan: Plan, given: Mapping[str, Any], *, base: Path, cwd: Path, earlier: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """The plan's parameters, typed and complete; paths made absolute (DESIGN 4 "Paths").

    A path that was given is relative to the caller's directory `cwd`, then to the plan's `base`; a default the other
    way round. `earlier` are the values of another session: they hold where nothing is given. Raises `ParameterError`
    naming every fault, and for a path both places that were tried.
    """
    kept = {name: value for name, value in (earlier or {}).items() if name not in given}
    values = _resolve_both(plan, given, kept) if kept else resolve(plan.params, given)
    for name, param in plan.params.items():
        if param.type == "path" and values.get(name) is not None:
            places = (cwd, base) if name in given else (base, cwd)
            values[name] = str(_existing(name, Path(str(values[name])).expanduser(), places))
    return values


def _resolve_both(plan: Plan, given: Mapping[str, Any], kept: Mapping[str, Any]) -> dict[str, Any]:
    """`given` converted as text is, `kept` held against their types as they are."""
    unknown = {name: value for name, value in given.items() if name not in plan.params}
    ours = {name: param for name, param in plan.params.items() if name not in kept}
    theirs = {name: param for name, param in plan.params.items() if name in kept}
    converted = resolve(ours, {name: value for name, value in given.items() if name in ours} | unknown)
    return {**converted, **resolve(theirs, kept, typed=True)}


def _existing(name: str, path: Path, places: tuple[Path, Path]) -> Path:
    tried = list(dict.fromkeys(place / path for place in places))  # an absolute path stays what it is
    for candidate in tried:
        if candidate.exists():
            return candidate.resolve()
    raise ParameterError(f"parameter '{name}': no such file or directory; tried {' and '.join(map(str, tried))}")
