"""What a plan says of its merge: how results become `final_output.md`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, Field, JsonValue

from orchestrator_nb.core.fields import MODEL, Number, short

Strategy = Literal["structured", "concatenate", "table", "agent", "notebook"]


class Merge(BaseModel):
    """How the results become `final_output.md` (S1 4.2)."""

    model_config = MODEL

    strategy: Strategy = "structured"
    """`structured`: findings counted, attributed, by category; `concatenate`: one section an agent; `table`: one row a
    task, with its parameters, the values that it recorded, its picture and its notebook; `agent`: a report that an
    agent writes, with its sources; `notebook`: what a notebook makes of the results."""
    title: str = ""
    """The document's title; the plan's when left out."""
    tasks: tuple[str, ...] = ()
    """Ids of the tasks whose results are merged; all when left out."""
    agent: str = ""
    """Of strategy `agent`: the kind of agent that writes (`model`, `claude`, `codex`, `gemini`, a registered name)."""
    prompt: str | None = None
    """Of strategy `agent`: what it is to see to besides (readers, length, language)."""
    notebook: str | None = None
    """Of strategy `notebook`: its path, relative to the plan. Its parameter `collection` is the path of a JSON file
    with the results; what its cell tagged `result` shows is the document."""
    parameters: dict[str, JsonValue] = {}
    """Options of the agent, or parameters of the notebook."""
    context: Annotated[Number, Field(ge=4_000, le=100_000_000)] = 200_000
    """Most characters of one request to the agent; larger results are condensed in parts first."""
    timeout: Annotated[Number, Field(gt=0)] | None = None
    """Time limit of one request, or of the notebook, in seconds."""


MergeOrStrategy = Annotated[Merge, BeforeValidator(short("strategy", str), json_schema_input_type=Merge | Strategy)]
