"""What is wrong with a plan, one value a fault: where, what, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from orchestrator_nb.errors import PlanError

#: Where something is in a plan: keys and positions from the top, as in ``("tasks", 3, "command", 0)``.
Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong, or doubtful, in a plan."""

    #: An error keeps the plan from being run, a warning does not.
    severity: Literal["error", "warning"]
    #: What is wrong, as a sentence without its full stop.
    message: str
    #: Id of the task that it is about, if it is about one.
    task: str = ""
    #: Where it is in the plan.
    path: Path = ()
    #: What to do about it, to be read after the message.
    remedy: str = ""
    file: str = ""
    #: Counted from 1; 0 when unknown.
    line: int = 0
    column: int = 0

    @property
    def key(self) -> str:
        """Where it is, as people write it, within its task: ``dependencies[1]``."""
        return dotted(self.path[2:] if self.path[:1] == ("tasks",) else self.path)

    def __str__(self) -> str:
        """``plan.yaml:12: task 'x': unknown dependency 'T-2'; did you mean 'T-02'?``, safe to print."""
        where = f"{self.file}:{self.line}" if self.line else self.file
        named = f"Task {self.task} " in self.message  # S0's messages name their task themselves
        parts = [
            where,
            "warning" if self.severity == "warning" else "",
            f"task '{self.task}'" if self.task and not named else "",
            f"{self.message}; {self.remedy}" if self.remedy else self.message,
        ]
        return printable(": ".join(part for part in parts if part))


def dotted(path: Path) -> str:
    """``("params", "x", "choices", 0)`` as ``params.x.choices[0]``."""
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path).removeprefix(".")


def printable(text: str) -> str:
    """`text` with control characters and the like written as escapes: it may come from a plan of somebody else's."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def refuse(faults: Iterable[Fault]) -> None:
    """Raise `PlanError` with all `faults` if there is an error among them."""
    faults = tuple(faults)
    errors = [fault for fault in faults if fault.severity == "error"]
    if errors:
        count = f"{len(errors)} faults in the plan:\n" if len(errors) > 1 else ""
        raise PlanError(count + "\n".join(map(str, errors)), faults)
