"""What a plan says of a task's review: who judges its work, when, and what may follow."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, Field, JsonValue, Strict

from orchestrator_nb.core.fields import MODEL, Number, short
from orchestrator_nb.core.reviews import Trigger

#: What calls for a review that is not asked for in any case (DESIGN 4).
USUAL: tuple[Trigger, ...] = ("sensitive_paths", "failures", "recovery", "large_diff")


class Reviewer(BaseModel):
    """Somebody who judges a task's work; written short, as a kind of agent."""

    model_config = MODEL

    agent: str = ""
    """Kind of agent: `claude`, `codex`, `gemini` (which only look), `model`, `human`, `function`, or a registered
    name."""
    name: str = ""
    """What it is called; the agent's kind, with its model, when left out."""
    function: str | None = None
    """`module:name` of a function that gets `subject` (a mapping) and returns its verdict as a mapping."""
    parameters: dict[str, JsonValue] = {}
    """Options of the agent, or arguments of the function."""

    @property
    def kind(self) -> str:
        """The agent's kind, told from the function where it is not named."""
        return self.agent or ("function" if self.function else "")

    @property
    def label(self) -> str:
        """What it is called."""
        said = self.parameters.get("model") or (self.function or "").rpartition(":")[2]
        return self.name or (f"{self.kind} {said}" if isinstance(said, str) and said else self.kind)


ReviewerOrKind = Annotated[Reviewer, BeforeValidator(short("agent", str), json_schema_input_type=Reviewer | str)]


class Review(BaseModel):
    """How the work of a task is judged before it counts; written short, as the list of reviewers."""

    model_config = MODEL

    reviewers: tuple[ReviewerOrKind, ...]
    """Those who are asked, each for one vote. None of them may have done the work."""
    when: Literal["always", "triggered"] = "always"
    """`always`, or only if one of the `triggers` is met."""
    triggers: tuple[Trigger, ...] = USUAL
    """What calls for it: changes of `sensitive_paths`, two `failures`, a `recovery` (something was granted beyond the
    plan), a `large_diff`, the `phase_end`."""
    sensitive_paths: tuple[str, ...] = ()
    """Patterns of paths instead of the usual ones (CI, secrets, logins, dependencies)."""
    question: str = ""
    """What the reviewers are asked; whether the work does what its task asks for, when left out."""
    deadline: Annotated[Number, Field(gt=0)] = 900.0
    """Seconds that the reviewers have; a person has no deadline."""
    rework: Annotated[int, Strict(), Field(ge=0, le=10)] = 1
    """How often an agent that was stopped by a review tries again, told why."""


def _listed(value: Any) -> Any:
    if isinstance(value, str):
        return {"reviewers": [value]}
    return {"reviewers": value} if isinstance(value, list | tuple) else value


ReviewOrReviewers = Annotated[
    Review, BeforeValidator(_listed, json_schema_input_type=Review | str | list[Reviewer | str])
]
