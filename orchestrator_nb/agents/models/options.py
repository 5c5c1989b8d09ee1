"""What a model task may ask for: its `parameters`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

from orchestrator_nb.core.ids import did_you_mean
from orchestrator_nb.errors import AgentError

_Name = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]


class Options(BaseModel):
    """The `parameters` of a model task."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: str
    """`PROVIDER:NAME`, as pydantic-ai calls it: `anthropic:claude-sonnet-4-5`, `openai:gpt-5`."""
    instructions: str = ""
    """What the model is told before the prompt (the system prompt)."""
    settings: dict[str, JsonValue] = {}
    """Settings of the model: `temperature`, `max_tokens`, `top_p`, `seed`, and those of its provider."""
    answer_schema: dict[str, JsonValue] | None = Field(default=None, alias="schema")
    """JSON Schema of an object that the answer must be; the result is JSON then."""
    tools: tuple[Literal["web_search", "web_fetch", "code_execution"], ...] = ()
    """Tools that its provider runs for it; none when left out."""
    corrections: int = Field(default=2, ge=0, le=10)
    """How often it is told that its answer does not fit the `schema`, and asked again, in one attempt."""
    env: tuple[_Name, ...] = ()
    """Environment variables that the call may read beside those of its provider."""
    base_url: str | None = None
    """Another address of the provider's API, such as a proxy's."""
    stall: float = Field(default=600, gt=0)
    """Seconds without a sign of life after which the call is given up."""


#: The options as a plan calls them.
NAMES = tuple(field.alias or name for name, field in Options.model_fields.items())


def options_of(parameters: Mapping[str, Any]) -> Options:
    """The options that these parameters are. Raises `AgentError` for an unknown one or a wrong value."""
    try:
        return Options.model_validate(dict(parameters))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        name = str(first["loc"][0])
        if first["type"] == "extra_forbidden":
            raise AgentError(
                f"parameter '{name}' of a model task is unknown{did_you_mean(name, NAMES)} (known: {', '.join(NAMES)})"
            ) from None
        if first["type"] == "missing":
            raise AgentError("a model task needs to know which: add `parameters: {model: PROVIDER:NAME}`") from None
        raise AgentError(f"parameter '{name}' of a model task: {first['msg']}") from None
