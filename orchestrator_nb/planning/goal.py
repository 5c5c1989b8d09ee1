"""What a prompt asks for, and how the plans for it are made, approved and verified: fixed when the session begins."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from orchestrator_nb.core.models import Work
from orchestrator_nb.errors import SessionCorrupt
from orchestrator_nb.planning.rights import Rights

#: S0: seconds that a planner has, and an executor or verifier.
PLANNER_TIMEOUT, EXECUTOR_TIMEOUT = 300.0, 600.0

_Seconds = Annotated[float, Field(gt=0)]


class Goal(BaseModel):
    """A request, who plans it, who verifies it, what its plans may use. A session keeps it in `blobs/`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    request: str
    """The user's words."""
    planner: Work
    """Who plans: an agent without its prompt, or a function that is given the planner's prompt as `request`."""
    planner_timeout: _Seconds = PLANNER_TIMEOUT
    """Seconds that each of its attempts may take."""
    verifier: Work | None = None
    """Who verifies what was made: an agent without its prompt, a command, a notebook, or a function that is given
    `request` and `results`."""
    verifier_timeout: _Seconds = EXECUTOR_TIMEOUT
    """Seconds that each of its attempts may take."""
    rights: Rights = Rights()
    """What plans may use."""
    approval: bool = True
    """Whether a person approves each plan before it is carried out."""
    sequential: bool = False
    """Whether the tasks are carried out by S0's router: one after the other in the order of the plan, ending at the
    first that fails or asks."""

    @property
    def title(self) -> str:
        """The request in one line."""
        line = " ".join(self.request.split())
        return line if len(line) <= 80 else line[:79].rstrip() + "…"


def load_goal(content: bytes) -> Goal:
    """The goal that a session keeps. Raises `SessionCorrupt` if this version cannot read it."""
    try:
        return Goal.model_validate_json(content)
    except ValidationError as error:
        raise SessionCorrupt(f"the session's request cannot be read by this version: {error}") from None
