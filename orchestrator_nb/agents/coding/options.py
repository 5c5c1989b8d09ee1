"""What a coding task may ask for: its `parameters`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

from orchestrator_nb.agents.coding.cli import LEVELS, Level
from orchestrator_nb.core.ids import did_you_mean
from orchestrator_nb.errors import AgentError
from orchestrator_nb.system.sandbox.policy import Level as Containment

_Name = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]


class Options(BaseModel):
    """The `parameters` of a task of a coding agent."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    level: Level = "edit"
    """What it may do: `read`, `edit` (write in its directories), `full` (use any tool; in a sandbox only)."""
    directories: tuple[str, ...] = ()
    """Directories that it may use beside its own, relative to the plan: read by `read`, written to by the others."""
    network: bool = True
    """Whether it may use the network; without it the model's API is out of reach, too."""
    model: str | None = None
    """The model; the program's own default when left out."""
    turn_limit: int | None = Field(default=None, ge=1)
    """Most turns of the model."""
    budget: float | None = Field(default=None, gt=0)
    """Most US dollars for one start of the program."""
    answer_schema: dict[str, JsonValue] | None = Field(default=None, alias="schema")
    """JSON Schema that the answer must satisfy; the result is JSON then."""
    sandbox: Literal["auto", "bubblewrap", "landlock", "none"] = "auto"
    """What contains it: the best there is, one of them, or nothing."""
    login: Literal["auto", "files", "none"] = "auto"
    """How it is logged in: by a key in one of its variables, else by its login files; only by these; not at all."""
    env: tuple[_Name, ...] = ()
    """Environment variables that it is given beside those that every program needs."""
    recovery: Literal["never", "ask"] | tuple[str, ...] = "never"
    """What may be granted when it is refused something: nothing, what a person agrees to, or what is in this list
    (levels, and directories relative to the plan)."""
    resolve: tuple[Literal["agent", "person"], ...] = ("agent", "person")
    """Who settles it, in this order, when its work contradicts that of others, or fails its checks with theirs: the
    agent itself in another attempt, then a person; if nobody does, the task fails. Both sides are kept."""
    stall: float = Field(default=600, gt=0)
    """Seconds without a sign of work after which it is ended."""
    tool_stall: float = Field(default=1800, gt=0)
    """The same while one of its tools runs."""
    base_url: str | None = None
    """Another address of the model's API, such as a proxy's."""

    @property
    def containment(self) -> Containment | None:
        """The kind of sandbox that is asked for; None for the best there is."""
        return None if self.sandbox == "auto" else Containment(self.sandbox)

    @property
    def contained(self) -> bool:
        """Whether there is to be a sandbox around it."""
        return self.sandbox != "none"

    @property
    def allowed(self) -> tuple[str, ...]:
        """The levels and directories that may be granted unasked."""
        return () if isinstance(self.recovery, str) else self.recovery

    def granted(self, base: Path) -> tuple[Path, ...]:
        """`directories`, absolute; `base` is where the plan's paths begin."""
        return tuple(Path(base, directory) for directory in self.directories)


#: The options as a plan calls them.
NAMES = tuple(field.alias or name for name, field in Options.model_fields.items())


def options_of(parameters: Mapping[str, Any], kind: str, *, starting: bool = True) -> Options:
    """The options that these parameters are. Raises `AgentError` for an unknown one or a wrong value.

    Args:
        parameters: Of the task.
        kind: The agent's, for messages.
        starting: Whether all values are known; those that hold ``${...}`` are passed over else.
    """
    known = parameters if starting else {name: value for name, value in parameters.items() if "${" not in f"{value}"}
    try:
        options = Options.model_validate(dict(known))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        name = str(first["loc"][0])
        if first["type"] == "extra_forbidden":
            raise AgentError(
                f"parameter '{name}' of a {kind} task is unknown{did_you_mean(name, NAMES)} (known: {', '.join(NAMES)})"
            ) from None
        raise AgentError(f"parameter '{name}' of a {kind} task: {first['msg']}") from None
    for word in options.allowed:
        if word not in LEVELS and "/" not in word and did_you_mean(word, LEVELS):
            raise AgentError(f"`recovery` of a {kind} task names '{word}'{did_you_mean(word, LEVELS)}")
    return options
