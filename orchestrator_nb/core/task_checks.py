"""Does each task make sense, by itself and in its plan? Whether the plan does is `core.checks`' question."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from keyword import iskeyword
from pathlib import PurePosixPath

from orchestrator_nb.core.faults import Fault, Path
from orchestrator_nb.core.ids import is_identifier
from orchestrator_nb.core.models import DependencyKind, Join, OnFailure, Plan, Resources, Task, Work, agent_kind
from orchestrator_nb.core.names import Names
from orchestrator_nb.core.params import fault_of_value
from orchestrator_nb.core.reviewers import Review, Reviewer
from orchestrator_nb.core.values import Reference, places, scan, shell_remedy
from orchestrator_nb.errors import BadReference

#: S0's context budget: a task that works on more files than this is warned of.
CONTEXT_BUDGET = 3

WORK_KEYS = ("prompt", "command", "function", "notebook")
#: What the built-in agents cannot do without.
_NEEDS = {
    "claude": "prompt",
    "codex": "prompt",
    "function": "function",
    "gemini": "prompt",
    "human": "prompt",
    "model": "prompt",
    "notebook": "notebook",
    "shell": "command",
}
_FUNCTION = re.compile(r"([A-Za-z_]\w*(\.[A-Za-z_]\w*)*)?:[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a task is checked against."""

    plan: Plan
    #: Position of each id; the last one where ids are doubled.
    index: Mapping[str, int]
    ids: Names
    params: Names
    phases: Names
    agents: Names | None
    #: Whether values may be put into any of the plan's texts: there is a ``$`` somewhere.
    values: bool = True
    #: What agents themselves say of their work, by their kind (`core.ports.Checking`).
    fault_of: Callable[[str, Task, Work], str | None] | None = None


@dataclass(slots=True)
class TaskCheck:
    """One task being checked: `faults` grows."""

    task: Task
    position: int
    around: Surroundings
    faults: list[Fault] = field(default_factory=list)

    def run(self) -> list[Fault]:
        """All faults of the task."""
        task = self.task
        self.check_work(task, ())
        if task.fallback is not None:
            self.check_work(task.fallback, ("fallback",))
        self.check_references()
        self.check_failure()
        if task.outputs or task.result:
            self.check_outputs()
        if task.env:
            self.check_environment()
        if task.cell_timeout is not None and task.notebook is None:
            self.error("`cell_timeout` is for notebooks", "cell_timeout", remedy="use `timeout`")
        if task.keep_kernel_on_error is not None and task.notebook is None:
            self.error("`keep_kernel_on_error` is for notebooks", "keep_kernel_on_error", remedy="leave it out")
        if task.phase is not None and task.phase not in self.around.phases:
            self.error(f"unknown phase '{task.phase}'", "phase", remedy=self.around.phases.hint(task.phase))
        if task.resources:
            self.check_resources(task.resources)
        if task.join is not Join.ALL_SUCCESS:
            self.check_join()
        if task.review is not None:
            self.check_review(task.review)
        if len(task.files) > CONTEXT_BUDGET:
            self.warn(f"Task {task.id} exceeds context budget", "files")
        return self.faults

    def error(self, message: str, *path: str | int, remedy: str = "") -> None:
        """Note an error at `path` within the task."""
        self.faults.append(Fault("error", message, self.task.id, ("tasks", self.position, *path), remedy))

    def warn(self, message: str, *path: str | int, remedy: str = "") -> None:
        """Note a warning at `path` within the task."""
        self.faults.append(Fault("warning", message, self.task.id, ("tasks", self.position, *path), remedy))

    # -- the work ------------------------------------------------------------------------------------------------------

    def check_work(self, work: Work, at: Path) -> None:
        """One kind of work, and an agent that can do it."""
        given = [key for key in WORK_KEYS if getattr(work, key) is not None]
        if len(given) > 1:
            self.error(f"has more than one kind of work ({' and '.join(given)})", *at, given[1], remedy="keep one")
        agent = agent_kind(work)
        self.check_agent(work, agent, given, at)
        if work.command is not None:
            self.check_command(work.command, (*at, "command"))
        if work.prompt is not None and not work.prompt.strip():
            self.error("the prompt is empty", *at, "prompt", remedy="say what is to be done")
        if work.function is not None and not _FUNCTION.fullmatch(work.function):
            remedy = "write module:name, or :name for a function that is handed in"
            self.error(f"'{work.function}' names no function", *at, "function", remedy=remedy)
        elif self.task.isolate == "process" and (work.function or "").startswith(":"):
            remedy = "put it into a module, or leave `isolate` out"
            self.error("a process of its own needs an importable function", *at, "function", remedy=remedy)
        if work.notebook is not None and ("://" in work.notebook or not work.notebook.endswith((".ipynb", "}"))):
            remedy = "name an .ipynb file by its path"
            self.error(f"'{work.notebook}' is no notebook on this machine", *at, "notebook", remedy=remedy)
        if work.parameters:
            self.check_parameters(work, agent, at)

    def check_agent(self, work: Work, agent: str, given: Sequence[str], at: Path) -> None:
        """The agent is known and has what it needs."""
        need = _NEEDS.get(agent)
        if agent == "none" and given == ["prompt"]:
            self.error(
                "says what to do, but not who does it", *at, "prompt", remedy="add `agent` (human, simulated, ...)"
            )
        elif agent == "none":
            remedy = "give it a command, function or notebook, or an agent and a prompt"
            self.error("has no work", *at, remedy=remedy)
        elif need and need not in given:
            instead = f" instead of `{given[0]}`" if given else ""
            self.error(f"agent '{agent}' needs a `{need}`", *at, "agent", remedy=f"add `{need}`{instead}")
        elif self.around.agents is not None and agent not in self.around.agents and ":" not in agent:
            self.error(f"unknown agent '{agent}'", *at, "agent", remedy=self.around.agents.hint(agent))
        elif self.around.fault_of is not None and (fault := self.around.fault_of(agent, self.task, work)):
            self.error(fault, *at, "parameters" if work.parameters else "agent")

    def check_command(self, command: str | tuple[str, ...], at: Path) -> None:
        """It is not empty, and a shell's string holds none of our values."""
        if isinstance(command, tuple):
            if not command or not command[0].strip():
                self.error("the command is empty", *at, remedy="name a program")
        elif not command.strip():
            self.error("the command is empty", *at, remedy="name a program")
        elif "${" in command:
            for piece in scan(command):
                if isinstance(piece, Reference):
                    message = f"{piece} is not put into a command that is one string, which belongs to the shell"
                    self.error(message, *at, remedy=shell_remedy(piece))

    def check_parameters(self, work: Work, agent: str, at: Path) -> None:
        """Names that a function or a notebook can take, values that JSON can hold."""
        if agent in ("function", "notebook"):
            for name in work.parameters:
                if not name.isidentifier() or iskeyword(name):
                    remedy = f"a {agent}'s parameters are named like Python variables"
                    self.error(f"'{name}' is no name of a parameter", *at, "parameters", name, remedy=remedy)
        if fault := fault_of_value(work.parameters):
            self.error(fault, *at, "parameters")

    # -- values --------------------------------------------------------------------------------------------------------

    def check_references(self) -> None:
        """Every ``${...}`` names something that the task may read."""
        for path, text in places(self.task) if self.around.values else ():
            if "$" in text:
                for piece in scan(text):
                    if isinstance(piece, BadReference):
                        self.error(str(piece), *path)
                    elif isinstance(piece, Reference):
                        self.check_reference(piece, path)
        for index, check in enumerate(self.task.checks):
            self.check_command(check, ("checks", index))
        for index, output in enumerate(self.task.outputs):
            if "${" in output:
                remedy = "name the file, and let the work write it"
                self.error("values are not put into the names of outputs", "outputs", index, remedy=remedy)
        for name, file in self.task.inputs.items():
            if "/" in file and "$" not in file and (owner := self.owner(file)):
                self.check_reference(Reference("output", owner, file[len(owner) + 1 :]), ("inputs", name))

    def owner(self, file: str) -> str | None:
        """S2's way to name an input, ``TASK/FILE``: the task, if there is one."""
        parts = file.split("/")
        heads = ("/".join(parts[:end]) for end in range(len(parts) - 1, 0, -1))
        return next((head for head in heads if head in self.around.index), None)

    def check_reference(self, reference: Reference, path: Path) -> None:
        """It exists, it is a dependency, and a file that is read is declared."""
        if not reference.task:
            if reference.name not in self.around.params:
                remedy = self.around.params.hint(reference.name) or "declare it in the plan's `params`"
                self.error(f"{reference}: the plan has no parameter '{reference.name}'", *path, remedy=remedy)
            return
        other = reference.task
        kinds = {dependency.kind for dependency in self.task.dependencies if dependency.task == other}
        if other not in self.around.index:
            self.error(f"{reference}: no task has the id '{other}'", *path, remedy=self.around.ids.hint(other))
        elif other == self.task.id:
            self.error(f"{reference} is the task's own", *path, remedy="read the result of another task")
        elif DependencyKind.DATA not in kinds:
            what = f"is a dependency of kind {min(kinds)}" if kinds else "is not one of the task's dependencies"
            remedy = f"make it one of kind data: {{task: {other}, kind: data}}" if kinds else f"add '{other}' to them"
            self.error(f"{reference}: '{other}' {what}", *path, remedy=remedy)
        if reference.kind == "output" and other in self.around.index:
            declared = Names(self.around.plan.tasks[self.around.index[other]].outputs)
            if reference.key not in declared:
                remedy = declared.hint(reference.key) or f"add it to the outputs of '{other}'"
                self.error(f"{reference}: '{other}' declares no output '{reference.key}'", *path, remedy=remedy)

    # -- the rest ------------------------------------------------------------------------------------------------------

    def check_outputs(self) -> None:
        """No two of them are the same file on some system; the result is one of them."""
        seen: dict[str, str] = {}
        folders: set[str] = set()
        for index, output in enumerate(self.task.outputs):
            path = PurePosixPath(output.casefold())
            if str(path) in seen:
                same = seen[str(path)]
                message = f"output '{output}' " + ("is named twice" if same == output else f"may be the file '{same}'")
                self.error(message, "outputs", index, remedy="give each output a name of its own")
            seen[str(path)] = output
            folders.update(str(parent) for parent in path.parents)
        for index, output in enumerate(self.task.outputs):
            if str(PurePosixPath(output.casefold())) in folders:
                self.error(f"output '{output}' is also the folder of another", "outputs", index, remedy="rename one")
        result = self.task.result
        if result and result.source != "stdout" and result.source not in self.task.outputs:
            remedy = Names(self.task.outputs).hint(result.source) or "add it to `outputs`, or write stdout"
            self.error(f"the result is in '{result.source}', which is no declared output", "result", remedy=remedy)

    def check_environment(self) -> None:
        """Names that every shell takes, and that are not the run's own."""
        for name in self.task.env:
            if not is_identifier(name):
                remedy = "use letters, digits and '_'"
                self.error(f"'{name}' is no name of an environment variable", "env", name, remedy=remedy)
            elif name.upper().startswith("ORCH_"):
                self.error(f"'{name}': the names ORCH_... are the run's own", "env", name, remedy="choose another name")

    def check_failure(self) -> None:
        """`fallback` and `on_failure` fit, and there is an exit code that means success."""
        if self.task.on_failure is OnFailure.FALLBACK and self.task.fallback is None:
            self.error("on_failure is 'fallback', but there is none", "on_failure", remedy="add `fallback`")
        if self.task.on_failure is not OnFailure.FALLBACK and self.task.fallback is not None:
            remedy = "leave `on_failure` out, or the fallback"
            self.error(f"its fallback is never used: on_failure is '{self.task.on_failure}'", "fallback", remedy=remedy)
        if not self.task.ok_exit_codes:
            self.error("no exit code counts as success", "ok_exit_codes", remedy="leave it out, or name one")

    def check_resources(self, resources: Resources) -> None:
        """What it asks for, a run of this plan can give."""
        for name in ("cpu", "memory_gb"):
            asked, limit = getattr(resources, name), getattr(self.around.plan.limits, name)
            if asked is not None and limit is not None and asked > limit:
                message = f"needs {name} {asked:g}, the plan's limit is {limit:g}: it could never start"
                self.error(message, "resources", name, remedy=f"ask for less, or raise limits.{name}")
        for index, lock in enumerate(resources.locks):
            if not lock.strip():
                self.error("a lock needs a name", "resources", "locks", index, remedy="name the thing that it guards")

    def check_review(self, review: Review) -> None:
        """There are reviewers, each is somebody else, none of them did the work."""
        if not review.reviewers:
            self.error("a review needs a reviewer", "review", remedy="name one, as `model`, or leave the review out")
        labels: set[str] = set()
        for number, reviewer in enumerate(review.reviewers):
            at = ("review", "reviewers", number)
            kind, agents = reviewer.kind, self.around.agents
            if not kind:
                self.error("a reviewer is an agent or a function", *at, remedy="add `agent`")
            elif agents is not None and kind not in agents and ":" not in kind:
                self.error(f"unknown agent '{kind}'", *at, remedy=agents.hint(kind))
            if (kind == "function") is not (reviewer.function is not None):
                self.error(
                    "a function that reviews needs `function`, and no other does", *at, remedy="name one or none"
                )
            if reviewer.label in labels:
                self.error(f"two reviewers are called '{reviewer.label}'", *at, remedy="give one a `name`")
            labels.add(reviewer.label)
            if any(is_same(reviewer, work) for work in (self.task, self.task.fallback) if work is not None):
                message = f"'{reviewer.label}' would review its own work"
                self.error(message, *at, remedy="let another agent or model review it")
            self.check_reviewer_values(reviewer, at)
        if sum(reviewer.kind == "human" for reviewer in review.reviewers) > 1:
            self.error("only one of the reviewers can be a person", "review", remedy="keep one")

    def check_reviewer_values(self, reviewer: Reviewer, at: Path) -> None:
        """Of values, only those of the plan's parameters can be given to a reviewer."""
        for path, text in places(Work(parameters=reviewer.parameters)):
            for piece in scan(text) if "$" in text else ():
                if isinstance(piece, BadReference):
                    self.error(str(piece), *at, *path)
                elif isinstance(piece, Reference) and (piece.task or piece.name not in self.around.params):
                    self.error(f"{piece}: the plan has no such parameter", *at, *path, remedy="declare it in `params`")

    def check_join(self) -> None:
        """A choice between dependencies needs some."""
        upstream = self.task.upstream
        if not upstream or (self.task.join is Join.ONE_SUCCESS and len(upstream) == 1):
            count = "one dependency" if upstream else "no dependencies"
            self.warn(f"join '{self.task.join}' means nothing with {count}", "join", remedy="leave it out")


def is_same(reviewer: Reviewer, work: Work) -> bool:
    """Whether a reviewer is the one who does `work`: the same agent with the same model, or perhaps the same."""
    kind = agent_kind(work)
    if reviewer.kind != kind or kind == "simulated":  # that one only plays whoever it is told to
        return False
    if kind == "function":
        return reviewer.function == work.function
    models = {reviewer.parameters.get("model"), work.parameters.get("model")}
    return len(models - {None}) < 2


def check_tasks(around: Surroundings) -> Iterator[Fault]:
    """The faults of every task, in plan order."""
    for position, task in enumerate(around.plan.tasks):
        yield from TaskCheck(task, position, around).run()


def text_of(plan: Plan) -> str | None:
    """All that the plan says, as JSON; None if it cannot be written, for halves of surrogate pairs."""
    from pydantic_core import PydanticSerializationError

    try:
        return plan.model_dump_json(exclude_defaults=True)
    except PydanticSerializationError:
        return None


def text_faults(plan: Plan, text: str | None) -> Iterator[Fault]:
    """Text that no UTF-8 file or process argument can hold: NUL characters, halves of surrogate pairs.

    `text` is `text_of(plan)`.
    """
    if text is not None and r"\u0000" not in text:
        return
    for position, task in enumerate(plan.tasks):
        for name, value in task.model_dump(exclude_defaults=True).items():
            if name != "parameters" and (fault := fault_of_value(value)):
                yield Fault("error", f"{name}: {fault}", task.id, ("tasks", position, name))
    for name, value in plan.model_dump(exclude={"tasks"}).items():
        if fault := fault_of_value(value):
            yield Fault("error", f"{name}: {fault}", "", (name,))
