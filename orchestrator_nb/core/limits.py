"""What a plan says of what its run may use: at once (`Limits`), and in all (`Budget`), and at which prices.

A budget is written in full, as a number of US dollars, or as text: ``5$, 2M tokens, 1h30m, 40 attempts``.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, Field, TypeAdapter, ValidationError

from orchestrator_nb.core.durations import Duration, seconds_of
from orchestrator_nb.core.fields import MODEL, Count, Number
from orchestrator_nb.errors import PlanError

Dollars = Annotated[Number, Field(ge=0, le=1e9)]
Tokens = Annotated[int, Field(ge=0, le=10**15)]


class Reserve(BaseModel):
    """What an attempt is held to use until it is known: kept free for it before it starts."""

    model_config = MODEL

    money: Dollars = 0.0
    """US dollars."""
    tokens: Tokens = 0
    """Tokens, read and written."""


class Budget(BaseModel):
    """What may be used in all. What is left out has no limit. No attempt starts that could pass a limit."""

    model_config = MODEL

    money: Dollars | None = None
    """US dollars, as agents tell them, or by `limits.prices`."""
    tokens: Tokens | None = None
    """Tokens, read and written, those from a cache included."""
    time: Duration | None = None
    """Wall time during which any of its attempts runs: in seconds, or as `2h`."""
    attempts: Count | None = None
    """Attempts, of tasks of every kind."""
    soft: Annotated[Number, Field(gt=0, le=1)] = 0.8
    """The share of a limit from which on people are warned."""
    reserve: Reserve | None = None
    """What is kept free for each attempt. When left out: what is left of the task's own budget, else as much as the
    largest attempt of its kind of agent has used so far."""

    def __bool__(self) -> bool:
        """Whether it limits anything."""
        return any(limit is not None for limit in (self.money, self.tokens, self.time, self.attempts))


_FORMS = (
    (r"\$?([\d.]+)\$?", "money"),
    (r"([\d.]+)([kM]?) ?tokens?", "tokens"),
    (r"(\d+) ?attempts?", "attempts"),
)


def budget_from(given: Any) -> Budget:
    """The budget in a number of US dollars, a text (`budget_of`), a mapping or a `Budget`.

    Raises `PlanError` if it is none, or limits nothing.
    """
    try:
        budget = _BUDGET.validate_python(given)
    except ValidationError as error:
        what = error.errors(include_url=False)[0]
        at = ".".join(map(str, what["loc"]))
        raise PlanError(
            f"budget {given!r}: {f'{at}: ' if at else ''}{what['msg'].removeprefix('Value error, ')}"
        ) from None
    if not budget:
        raise PlanError(f"budget {given!r} limits nothing: give money, tokens, time or attempts")
    return budget


def budget_of(given: Any) -> Any:
    """The full form of a budget that is a number of US dollars, or a text such as ``5$, 2M tokens, 1h, 40 attempts``.

    Raises `ValueError` for any other text.
    """
    if isinstance(given, bool) or not isinstance(given, int | float | str):
        return given
    if not isinstance(given, str):
        return {"money": given}
    found: dict[str, Any] = {}
    for part in given.split(","):
        name, value = _part(part.strip())
        if name in found:
            raise ValueError(f"'{given}' limits {name} twice")
        found[name] = value
    return found


def _part(text: str) -> tuple[str, Any]:
    for form, name in _FORMS:
        if match := re.fullmatch(form, text):
            try:
                number = float(match[1])
            except ValueError:
                break
            if name == "money":
                return name, number
            unit = {"k": 1000, "M": 1_000_000}.get(match[2], 1) if name == "tokens" else 1
            return name, round(number * unit)
    try:
        return "time", seconds_of(text)
    except ValueError:
        raise ValueError(
            f"'{text}' is no limit: write 5$, 200k tokens, 2h, 40 attempts, or several with commas"
        ) from None


#: What a budget may be written as, for the schema.
_TEXT = Annotated[str, Field(min_length=1)]
BudgetOrText = Annotated[Budget, BeforeValidator(budget_of, json_schema_input_type=Budget | Dollars | _TEXT)]
_BUDGET: TypeAdapter[Budget] = TypeAdapter(BudgetOrText)


class RunBudget(Budget):
    """What a run may use in all, over all its resumes, and what each kind of agent may of it."""

    agents: dict[str, BudgetOrText] = {}
    """By kind of agent: `claude`, `codex`, ..."""
    at_limit: Literal["ask", "stop"] | None = None
    """What happens where a limit keeps a task from starting: a person is asked, or the run stops. When left out: asked
    in a notebook and at a terminal, stopped elsewhere."""

    def __bool__(self) -> bool:
        """Whether it limits anything."""
        return super().__bool__() or any(self.agents.values())


RunBudgetOrText = Annotated[RunBudget, BeforeValidator(budget_of, json_schema_input_type=RunBudget | Dollars | _TEXT)]


class Price(BaseModel):
    """What a model costs: US dollars for a million tokens."""

    model_config = MODEL

    input: Dollars
    """Of tokens read."""
    output: Dollars
    """Of tokens written."""
    cached: Dollars | None = None
    """Of tokens read from a cache; as `input` when left out."""

    def of(self, input_tokens: int, output_tokens: int, cached_tokens: int) -> float:
        """US dollars for these tokens; those from a cache are among the ones read."""
        cached = self.input if self.cached is None else self.cached
        fresh = max(0, input_tokens - cached_tokens)
        return (fresh * self.input + cached_tokens * cached + output_tokens * self.output) / 1e6


class Limits(BaseModel):
    """What a run may use: at once, and in all. Durations in seconds."""

    model_config = MODEL

    max_parallel: Count | None = None
    """Tasks running at once (S2: 10). 1 is S0's sequential mode."""
    cpu: Annotated[Number, Field(gt=0)] | None = None
    """Cores that the running tasks may ask for together; the machine's number when left out."""
    memory_gb: Annotated[Number, Field(gt=0)] | None = None
    """Gigabytes that the running tasks may ask for together; the machine's memory when left out."""
    timeout: Annotated[Number, Field(gt=0)] | None = None
    """Time limit of each attempt of a task that gives none of its own."""
    max_failures: Count | None = None
    """Failed tasks after which no other one starts and the run ends as failed; no limit when left out."""
    resources: dict[str, Count] = {}
    """How many tasks may hold a named lock at once, where that is more than one."""
    budget: RunBudgetOrText = RunBudget()
    """What a run may use in all: `5` US dollars, `5$, 2M tokens, 2h`, or in full."""
    prices: dict[str, Price] = {}
    """Prices of models, or of kinds of agents, for agents that tell tokens but not what they cost."""
