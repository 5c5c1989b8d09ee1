"""The plan as data: what a plan file may say, as pydantic models, and so as JSON Schema.

A plan is a frozen value. Field names are the plan file's keys (YAML or JSON, DESIGN 4 "Plan file"); shorthands that
people write (a bare string for an agent's command, a number of retries, a list of ids) are turned into the full form
here, in one place. Whether the whole makes sense (cycles, unknown ids, bad references) is `core.checks`' question.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, JsonValue, model_validator

from orchestrator_nb import displays
from orchestrator_nb.core.durations import Duration
from orchestrator_nb.core.fields import (
    MODEL,
    Attempts,
    Count,
    ExitCode,
    Flag,
    Id,
    Name,
    Number,
    Output,
    named,
    short,
    type_of,
)
from orchestrator_nb.core.graph import Graph
from orchestrator_nb.core.limits import BudgetOrText, Limits
from orchestrator_nb.core.merges import Merge, MergeOrStrategy
from orchestrator_nb.core.reviewers import ReviewOrReviewers

if TYPE_CHECKING:
    import networkx


class Model(BaseModel):
    """Base of all plan models."""

    model_config = MODEL


class Priority(StrEnum):
    """S1 2.2: who goes first when there is not room for all."""

    P0 = "P0"  #: on the critical path: first
    P1 = "P1"  #: others wait for it: high
    P2 = "P2"  #: standard: normal
    P3 = "P3"  #: optional, can wait: last


class DependencyKind(StrEnum):
    """S1 1.2: why one task comes after another."""

    DATA = "data"  #: needs the other's result or outputs
    SEQUENTIAL = "sequential"  #: must come after it, reads nothing of it
    RESOURCE = "resource"  #: never at the same time as it (no order)
    NONE = "none"  #: independent; said for the reader


class Join(StrEnum):
    """When a task with several dependencies may start (DESIGN 4 "State")."""

    ALL_SUCCESS = "all_success"
    ONE_SUCCESS = "one_success"
    NONE_FAILED_MIN_ONE_SUCCESS = "none_failed_min_one_success"
    ALL_DONE = "all_done"


class OnFailure(StrEnum):
    """S1 "Failure Strategies", and what happens when none is chosen (`BLOCK`)."""

    BLOCK = "block"  #: dependents are blocked, unrelated branches go on (the default)
    RETRY = "retry"  #: S1's schedule: 3 attempts, 5 s x attempt between them; then as BLOCK
    SKIP = "skip"  #: the task is skipped and its dependents go on without it
    FAIL_FAST = "fail_fast"  #: no task starts after it, the run ends as failed
    FALLBACK = "fallback"  #: the task's `fallback` is tried once its attempts are used up


@dataclass(frozen=True, slots=True)
class Dependency:
    """A task that this one depends on."""

    # A slotted dataclass, because a plan has more edges than tasks: a model would be four times as large.
    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    task: str
    """Id of the other task; with kind `resource` it may also be any name of a shared thing."""
    kind: DependencyKind = DependencyKind.DATA
    """Why (S1 1.2)."""


def _dependency(value: Any) -> Any:
    return Dependency(value) if isinstance(value, str) else value


DependencyOrId = Annotated[Dependency, BeforeValidator(_dependency, json_schema_input_type=Dependency | str)]


class Retry(Model):
    """How often a failed task is tried again, and when; written short, as the number of attempts."""

    attempts: Attempts = 3
    """Attempts in all, the first included (S1 `MaxRetries`)."""
    delay: Annotated[Number, Field(ge=0, le=86_400)] = 5.0
    """Seconds before the second attempt."""
    backoff: Literal["linear", "exponential", "fixed"] = "linear"
    """`linear` is S1's schedule (delay x attempt), `exponential` doubles it, `fixed` repeats it."""
    max_delay: Annotated[Number, Field(ge=0, le=86_400)] = 600.0
    """No wait is longer than this, in seconds."""
    when: Literal["any", "transient"] = "any"
    """`transient`: only failures that the agent calls temporary (time-outs, overload, dropped connections)."""


RetryOrAttempts = Annotated[
    Retry, BeforeValidator(short("attempts", int, float), json_schema_input_type=Retry | Attempts)
]


class Resources(Model):
    """What a task needs of the machine (S2 "Resource Management"), and what it must not share."""

    cpu: Annotated[Number, Field(gt=0, le=1024)] | None = None
    """Cores: counted when tasks are admitted, and the task's processes are bound to as many."""
    memory_gb: Annotated[Number, Field(gt=0, le=65_536)] | None = None
    """Gigabytes: counted when tasks are admitted, and the task is killed when its processes use more."""
    locks: tuple[str, ...] = ()
    """Names of things that one task at a time may hold."""


class Phase(Model):
    """A named stretch of the plan, with a limit of its own (S2 "Max Parallel Tasks Per Phase")."""

    id: str
    """What tasks name in their `phase`."""
    title: str = ""
    """For people; the id when left out."""
    max_parallel: Count | None = None
    """Tasks of this phase running at once."""
    timeout: Annotated[Number, Field(gt=0)] | None = None
    """Time limit in seconds of each attempt of this phase's tasks that give none of their own."""


#: A parameter that is written as its default alone; null: a text that must be given.
Default = str | float | bool | None | list[JsonValue]


class Param(Model):
    """A value that whoever starts the run may give (`-p NAME=VALUE`); written short, as its default alone."""

    type: Literal["str", "int", "float", "bool", "path", "json"] = "str"
    """What the value is turned into. A `path` is relative to the caller's directory, then to the plan's."""
    default: JsonValue = None
    """The value when none is given; a parameter without one must be given."""
    required: Flag = True
    """Whether it must be given; false when there is a default."""
    choices: tuple[JsonValue, ...] = ()
    """The only values allowed, when there are any."""
    help: str = ""
    """One line for people."""

    @model_validator(mode="before")
    @classmethod
    def _derived(cls, data: Any) -> Any:
        if not isinstance(data, Mapping) or "default" not in data:
            return data
        kind = {} if data["default"] is None else {"type": type_of(data["default"])}
        return {"required": False, **kind, **data}


def _param(value: Any) -> Any:
    if isinstance(value, Mapping | Param):
        return value
    return {} if value is None else {"default": value}


ParamOrDefault = Annotated[Param, BeforeValidator(_param, json_schema_input_type=Param | Default)]

Format = Literal["text", "json", "report", "sarif"]


class Result(Model):
    """Where a task's result is found and how it is read, where the agent's own answer is not it."""

    source: str = "stdout"
    """`stdout`, or the name of one of the task's declared outputs."""
    format: Format = "text"
    """`text` is taken as it is; `json` is parsed; `report` is a structured result (`summary`, `findings[]`);
    `sarif` is a static-analysis log (SARIF 2.1.0), read as a structured result."""


ResultOrFormat = Annotated[Result, BeforeValidator(short("format", str), json_schema_input_type=Result | Format)]


class Work(Model):
    """What an agent is asked to do: exactly one of `prompt`, `command`, `function`, `notebook`."""

    agent: str = ""
    """Kind of agent (`function`, `shell`, `notebook`, `human`, `simulated`, or a registered name); told from the
    key that says what to do when left out."""
    prompt: str | None = None
    """What is asked of a person or an agent, in words."""
    command: str | tuple[str, ...] | None = None
    """A list of arguments, or one string for the shell (in which nothing is substituted)."""
    function: str | None = None
    """`module:name` of an importable function; `:name` of one handed in by the notebook that starts the run."""
    notebook: str | None = None
    """Path of a notebook, relative to the plan."""
    parameters: dict[str, JsonValue] = {}
    """Arguments of the function, parameters of the notebook, options of the agent."""


class Task(Work):
    """One node of the plan: done by one agent, with a clear end (S1 1.3)."""

    id: Id
    """Unique in the plan; letters, digits, `.`, `_`, `-`, and `/` for folders."""
    title: str = ""
    """One line for people; the id when left out."""
    dependencies: tuple[DependencyOrId, ...] = ()
    """Ids of the tasks it comes after, or `{task, kind}`."""
    phase: str | None = None
    """Id of the phase that it belongs to."""
    role: str | None = None
    """Who does it, in a team's words; for people."""
    priority: Priority | None = None
    """P0 to P3 (S1 2.2); computed from the graph when left out."""
    inputs: Annotated[dict[Name, str], BeforeValidator(named, json_schema_input_type=dict[Name, str] | list[str])] = {}
    """Files that it reads, by name: paths, or `${output.TASK:FILE}`. Must exist when it starts."""
    outputs: tuple[Output, ...] = ()
    """Files that it must leave in `$ORCH_OUTPUTS`, relative to it."""
    result: ResultOrFormat | None = None
    """Where its result is, when that is not what the agent answers."""
    files: tuple[str, ...] = ()
    """Files that it works on; more than three exceed S0's context budget."""
    checks: tuple[str | tuple[str, ...], ...] = ()
    """Commands that must exit with 0 for the task to count as done; they run in `$ORCH_OUTPUTS`."""
    timeout: Annotated[Number, Field(gt=0)] | None = None
    """Time limit of one attempt, in seconds."""
    cell_timeout: Annotated[Number, Field(gt=0)] | None = None
    """Time limit of each cell of its notebook, in seconds."""
    keep_kernel_on_error: Duration | None = None
    """How long the kernel of its notebook is kept after a failed cell (`1h`, or seconds): `retry` can go on in it."""
    retry: RetryOrAttempts | None = None
    """How often it is tried; a number means that many attempts on S1's schedule."""
    on_failure: OnFailure = OnFailure.BLOCK
    """What its final failure means for the others."""
    fallback: Work | None = None
    """The alternative method, tried once when `on_failure` is `fallback`."""
    resources: Resources | None = None
    """What it needs of the machine, and the locks it holds."""
    join: Join = Join.ALL_SUCCESS
    """When several dependencies are enough."""
    ok_exit_codes: tuple[ExitCode, ...] = (0,)
    """Exit codes of its command that are no failure."""
    review: ReviewOrReviewers | None = None
    """Who judges its work before it counts, and what may follow."""
    budget: BudgetOrText | None = None
    """What all its attempts together may use."""
    isolate: Literal["thread", "process"] = "thread"
    """Where a function runs: in a process of its own its timeout is real."""
    env: dict[str, str] = {}
    """Environment variables added for its processes."""
    cwd: str | None = None
    """Directory in which it runs, relative to the plan; the caller's when left out."""

    @model_validator(mode="before")
    @classmethod
    def _fallback_is_used(cls, data: Any) -> Any:
        if isinstance(data, Mapping) and data.get("fallback") is not None and "on_failure" not in data:
            return {**data, "on_failure": OnFailure.FALLBACK}
        return data

    def model_post_init(self, _: Any) -> None:
        """Store the fields compactly: there may be 100,000 tasks (a third of the bytes, half of them in two sets)."""
        values = self.__dict__
        object.__delattr__(self, "__dict__")
        review = values.pop("review")
        if values["budget"] is None:
            del values["budget"]  # found in the class
        for name, value in values.items():  # one by one, Python keeps up to 29 names once for all tasks
            object.__setattr__(self, name, value)
        if review is not None:  # else it is found in the class
            object.__setattr__(self, "review", review)
        object.__setattr__(self, "__pydantic_fields_set__", _TASK_FIELDS)

    @property
    def label(self) -> str:
        """The title, or the id where there is none."""
        return self.title or self.id

    @property
    def kind(self) -> str:
        """The agent's kind, told from the work where it is not named; an empty task is `none`."""
        return agent_kind(self)

    @property
    def upstream(self) -> tuple[str, ...]:
        """Ids of the tasks that must settle before this one starts."""
        if not self.dependencies:
            return ()
        return tuple([d.task for d in self.dependencies if d.kind in _ORDERING])


Task.review = None
Task.budget = None
_TASK_FIELDS = set(Task.model_fields)
_ORDERING = frozenset([DependencyKind.DATA, DependencyKind.SEQUENTIAL])


def agent_kind(work: Work) -> str:
    """The kind of agent that does `work`: as named, else by what it is given; `none` when there is nothing to do."""
    if work.agent:
        return work.agent
    for key, kind in (("function", "function"), ("command", "shell"), ("notebook", "notebook")):
        if getattr(work, key) is not None:
            return kind
    return "none"


def _tasks_from_mapping(value: Any) -> Any:
    if not isinstance(value, Mapping):
        return value
    if doubled := [key for key, item in value.items() if isinstance(item, Mapping) and "id" in item]:
        raise ValueError(f"the id of '{doubled[0]}' stands before it: leave `id` out")
    return [
        {"id": key, **(item or {})} if item is None or isinstance(item, Mapping) else item
        for key, item in value.items()
    ]


class Plan(Model):
    """A job as a DAG of tasks: a frozen value, run in any number of sessions."""

    title: str = "Untitled plan"
    """What the job is called."""
    description: str = ""
    """What it is for, in a few sentences."""
    params: dict[Name, ParamOrDefault] = {}
    """Values that may be given when it is started."""
    limits: Limits = Limits()
    """What a run of it may use at once."""
    phases: tuple[Phase, ...] = ()
    """Its phases, in order."""
    merge: MergeOrStrategy = Merge()
    """How results become `final_output.md`."""
    tasks: Annotated[tuple[Task, ...], BeforeValidator(_tasks_from_mapping)] = ()
    """Its tasks, in the order in which equal priorities start: a list, or a mapping from ids."""

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """A copy with changes; what was computed from the tasks is computed anew."""
        copied = super().model_copy(update=update, deep=deep)
        for name in ("graph", "ranks", "demands"):
            copied.__dict__.pop(name, None)
        return copied

    def plot(self, ax: Any = None, **look: Any) -> Any:
        """Draw the graph with matplotlib: into the axes `ax`, else as a new `Figure`, which is returned.

        `look` is `theme` ("light" or "dark"), `title`, `legend`, `critical` (`projections.figure.Look`).
        """
        return displays.front_end().plot_plan(self, ax, **look)

    def _ipython_display_(self) -> None:
        displays.front_end().show_plan(self)

    def __len__(self) -> int:
        return len(self.tasks)

    def __getitem__(self, task_id: str) -> Task:
        return self.tasks[self.graph.index[task_id]]

    @cached_property
    def ranks(self) -> list[int]:
        """Each task's priority, given or computed, as a number: 0 is P0 (`core.analysis`)."""
        from orchestrator_nb.core.analysis import plan_ranks

        return plan_ranks(self)

    @cached_property
    def demands(self) -> list[tuple[tuple[str, float], ...]]:
        """The limited things that each task holds while it runs (`core.analysis`)."""
        from orchestrator_nb.core.analysis import plan_demands

        return plan_demands(self)

    @cached_property
    def graph(self) -> Graph:
        """The dependency graph over `tasks`, by position. Raises `KeyError` for an unknown dependency."""
        return Graph([task.id for task in self.tasks], [task.upstream for task in self.tasks])

    @classmethod
    def from_networkx(cls, graph: networkx.DiGraph[Any]) -> Plan:
        """A plan for looking at, from a directed graph (`core.networks.from_networkx`): tasks without work."""
        from orchestrator_nb.core.networks import from_networkx

        return from_networkx(graph)

    def to_networkx(self) -> networkx.DiGraph[str]:
        """The plan as a `networkx.DiGraph` (`core.networks.to_networkx`)."""
        from orchestrator_nb.core.networks import to_networkx

        return to_networkx(self)
