"""A plan that came from somewhere, with all that is wrong with it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from orchestrator_nb.core import faults as core_faults
from orchestrator_nb.core.faults import Fault, refuse
from orchestrator_nb.core.models import Plan

#: Where something of the plan stands: file, line, column (0 where there is none).
Place = tuple[str, int, int]
Locate = Callable[[core_faults.Path], Place]


def nowhere(_: core_faults.Path) -> Place:
    """The place of what stands in no file."""
    return "", 0, 0


@dataclass(frozen=True, slots=True)
class LoadedPlan:
    """What a source gave. Nothing is raised before `require` is called: `faults` has everything."""

    #: None when the source has not even the form of a plan.
    plan: Plan | None
    #: Where relative paths of the plan begin: absolute.
    base: Path
    #: Its file or folder (absolute), or what it was made by, for people.
    source: str
    #: Errors and warnings, in the order of the source.
    faults: tuple[Fault, ...] = ()
    #: Functions that the plan names as ``:name``, by that name; whoever runs it hands them in.
    functions: Mapping[str, Callable[..., Any]] = field(default_factory=dict)
    locate: Locate = nowhere

    @property
    def errors(self) -> tuple[Fault, ...]:
        """What keeps the plan from being run."""
        return tuple(fault for fault in self.faults if fault.severity == "error")

    @property
    def warnings(self) -> tuple[Fault, ...]:
        """What does not."""
        return tuple(fault for fault in self.faults if fault.severity == "warning")

    def require(self) -> Plan:
        """The plan. Raises `PlanError` with all faults if there is an error among them."""
        refuse(self.faults)
        assert self.plan is not None
        return self.plan

    def where(self, task: str) -> str:
        """Where a task is written, ``plan.yaml:12``; empty if it is not in a file. Raises `KeyError`."""
        positions = {known.id: position for position, known in enumerate(self.plan.tasks if self.plan else ())}
        file, line, _ = self.locate(("tasks", positions[task]))
        return f"{file}:{line}" if line else file


def located(faults: Iterable[Fault], locate: Locate) -> list[Fault]:
    """`faults` with file, line and column, each where its path leads."""
    placed = []
    for fault in faults:
        file, line, column = locate(fault.path)
        placed.append(replace(fault, file=file, line=line, column=column))
    return placed
