"""Does a plan make sense? Every fault at once, in time linear in the plan (D11)."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from orchestrator_nb.core.budget_checks import budget_faults
from orchestrator_nb.core.faults import Fault
from orchestrator_nb.core.graph import Graph
from orchestrator_nb.core.ids import fault_of_id
from orchestrator_nb.core.models import DependencyKind, Plan, Work
from orchestrator_nb.core.names import Names
from orchestrator_nb.core.params import convert
from orchestrator_nb.core.task_checks import Surroundings, check_tasks, text_faults, text_of
from orchestrator_nb.core.values import Reference, places, scan
from orchestrator_nb.errors import BadReference, ParameterError

#: Tasks of a cycle that are named; of a longer one the middle is left out.
_SHOWN = 20
#: What a task's id gets as files (DESIGN 5): status, log and pid stand beside the folders of ids with ``/``.
_FILES = ("", ".json", ".log", ".pid")


def check(plan: Plan, topology: bool = False, agents: Collection[str] | None = None) -> list[Fault]:
    """Everything that is wrong or doubtful in `plan`, in the order of the plan.

    Args:
        plan: Any plan; its models are valid, all else may be wrong.
        topology: Whether S0 1.2's rule applies, as to planners' plans: a task depends on earlier tasks only.
        agents: Names of the agents that there are; None leaves open which those are. If it has a method
            ``fault_of(kind, task, work)``, as the registry of agents has, that says what an agent finds wrong.
    """
    index = {task.id: position for position, task in enumerate(plan.tasks)}
    ids = Names(index)
    text = text_of(plan)
    surroundings = Surroundings(
        plan=plan,
        index=index,
        ids=ids,
        params=Names(plan.params),
        phases=Names({phase.id for phase in plan.phases}),
        agents=None if agents is None else Names(agents),
        values=text is None or "$" in text,
        fault_of=getattr(agents, "fault_of", None),
    )
    dependencies = list(_dependencies(plan, index, ids, topology))
    faults = [
        *_ids(plan),
        *dependencies,
        *_cycles(_graph(plan, index) if dependencies else plan.graph),
        *check_tasks(surroundings),
        *_params(plan),
        *_phases(plan),
        *_locks(plan),
        *_merge(plan, ids, agents),
        *budget_faults(plan, getattr(agents, "tells_cost", None)),
        *text_faults(plan, text),
    ]
    return sorted(faults, key=_place)


def _place(fault: Fault) -> tuple[bool, int]:
    in_task = fault.path[:1] == ("tasks",) and len(fault.path) > 1
    return in_task, int(fault.path[1]) if in_task else 0


def _ids(plan: Plan) -> Iterator[Fault]:
    if not plan.tasks:
        yield Fault("error", "the plan has no tasks", path=("tasks",), remedy="add one")
    folders: dict[str, str] = {}
    for task in plan.tasks:
        parts = task.id.casefold().split("/") if "/" in task.id else ()
        for end in range(1, len(parts)):
            folders.setdefault("/".join(parts[:end]), task.id)
    first: dict[str, str] = {}
    for position, task in enumerate(plan.tasks):
        folded = task.id.casefold()
        at = ("tasks", position, "id")
        if folded not in first:
            first[folded] = task.id
        elif first[folded] == task.id:
            yield Fault("error", f"the id '{task.id}' is used twice", task.id, at, "give each task an id of its own")
        else:
            message = f"the ids '{first[folded]}' and '{task.id}' are the same file on some systems"
            yield Fault("error", message, task.id, at, "let them differ in more than capitals")
        inside = next((folders[folded + end] for end in _FILES if folded + end in folders), "") if folders else ""
        if inside:
            message = f"the id '{task.id}' is also a folder of the id '{inside}'"
            yield Fault("error", message, task.id, at, "rename one: their files would lie in one another")


def _dependencies(plan: Plan, index: Mapping[str, int], ids: Names, topology: bool) -> Iterator[Fault]:
    for position, task in enumerate(plan.tasks):
        seen = set()
        for number, dependency in enumerate(task.dependencies):
            other = dependency.task
            at = ("tasks", position, "dependencies", number)
            if other in seen:
                yield Fault("warning", f"depends on '{other}' more than once", task.id, at, "name it once")
            seen.add(other)
            if dependency.kind is DependencyKind.RESOURCE:
                continue  # any name of a shared thing
            earlier = index.get(other)
            if earlier is None:
                remedy = ids.hint(other) or "add such a task, or remove the dependency"
                yield Fault("error", f"unknown dependency '{other}'", task.id, at, remedy)
            elif topology and earlier >= position:
                message = f"Invalid Topology: Task {task.id} depends on future task {other}"
                yield Fault("error", message, task.id, at, "put that task first")
            elif earlier == position:
                yield Fault("error", "depends on itself", task.id, at, "remove the dependency")


def _graph(plan: Plan, index: Mapping[str, int]) -> Graph:
    """The plan's graph without the dependencies that cannot be."""
    return Graph(
        [task.id for task in plan.tasks],
        [[other for other in task.upstream if other != task.id and other in index] for task in plan.tasks],
    )


def _cycles(graph: Graph) -> Iterator[Fault]:
    for cycle in graph.cycles():
        names = [graph.ids[node] for node in (*cycle, cycle[0])]
        if len(names) > _SHOWN + 1:
            names[_SHOWN - 5 : -5] = [f"... {len(cycle) - _SHOWN} more ..."]
        at = ("tasks", cycle[0], "dependencies")
        yield Fault("error", f"cycle: {' -> '.join(names)}", names[0], at, "remove one of these dependencies")


def _params(plan: Plan) -> Iterator[Fault]:
    for name, param in plan.params.items():
        at = ("params", name)
        if param.required and param.default is not None:
            yield Fault("error", f"parameter '{name}' has a default and is required", path=at, remedy="keep one")
        for key, values in (("default", [param.default]), ("choices", param.choices)):
            for value in values if param.default is not None or key == "choices" else ():
                try:
                    convert(param, value, typed=True)
                except ParameterError as error:
                    message = f"the {key} of parameter '{name}' {error}"
                    yield Fault("error", message, path=(*at, key), remedy="change it, or the type")


def _phases(plan: Plan) -> Iterator[Fault]:
    seen: set[str] = set()
    for position, phase in enumerate(plan.phases):
        at = ("phases", position, "id")
        if phase.id in seen:
            yield Fault("error", f"the phase '{phase.id}' is declared twice", path=at, remedy="remove one")
        seen.add(phase.id)
        if fault := fault_of_id(phase.id):
            yield Fault("error", f"phase '{phase.id}': {fault}", path=at, remedy="choose another id")


def _locks(plan: Plan) -> Iterator[Fault]:
    if not plan.limits.resources:
        return
    used = {lock for task in plan.tasks if task.resources for lock in task.resources.locks}
    used.update(d.task for task in plan.tasks for d in task.dependencies if d.kind is DependencyKind.RESOURCE)
    for name in plan.limits.resources:
        if name not in used:
            remedy = Names(used).hint(name) or "remove it"
            yield Fault("warning", f"no task holds the lock '{name}'", "", ("limits", "resources", name), remedy)


def _merge(plan: Plan, ids: Names, agents: Collection[str] | None) -> Iterator[Fault]:
    for number, name in enumerate(plan.merge.tasks):
        at = ("merge", "tasks", number)
        if name not in ids:
            yield Fault("error", f"merge: no task has the id '{name}'", path=at, remedy=ids.hint(name))
        elif name in plan.merge.tasks[:number]:
            yield Fault("warning", f"merge: '{name}' is named twice", path=at, remedy="name it once")
    merge, strategy = plan.merge, plan.merge.strategy
    for name in sorted(merge.model_fields_set & _MERGE_KEYS.keys()):
        if strategy not in (wanted := _MERGE_KEYS[name]):
            remedy = f"say `strategy: {wanted[0]}`, or leave it out"
            yield Fault(
                "error", f"merge: `{name}` means nothing to strategy '{strategy}'", path=("merge", name), remedy=remedy
            )
    yield from _merge_values(plan)
    if strategy == "agent" and not merge.agent:
        yield Fault("error", "merge: strategy 'agent' needs an `agent`", path=("merge",), remedy="name one, as `model`")
    elif merge.agent and agents is not None and merge.agent not in agents and ":" not in merge.agent:
        remedy = Names(agents).hint(merge.agent)
        yield Fault("error", f"merge: unknown agent '{merge.agent}'", path=("merge", "agent"), remedy=remedy)
    if strategy == "notebook" and not merge.notebook:
        yield Fault("error", "merge: strategy 'notebook' needs a `notebook`", path=("merge",), remedy="name its file")


def _merge_values(plan: Plan) -> Iterator[Fault]:
    """Of values, only those of the plan's parameters can be put into `merge`: it has all results anyway."""
    merge = plan.merge
    for path, text in places(Work(prompt=merge.prompt, notebook=merge.notebook, parameters=merge.parameters)):
        for piece in scan(text) if "$" in text else ():
            at = ("merge", *path)
            if isinstance(piece, BadReference):
                yield Fault("error", f"merge: {piece}", path=at)
            elif isinstance(piece, Reference) and piece.task:
                remedy = "leave it out: whoever merges gets all results"
                yield Fault("error", f"merge: {piece} is not put in here", path=at, remedy=remedy)
            elif isinstance(piece, Reference) and piece.name not in plan.params:
                remedy = Names(plan.params).hint(piece.name) or "declare it in the plan's `params`"
                yield Fault("error", f"merge: {piece}: the plan has no such parameter", path=at, remedy=remedy)


#: Keys of `merge`, and the strategies that obey them.
_MERGE_KEYS = {
    "agent": ("agent",),
    "context": ("agent",),
    "notebook": ("notebook",),
    "parameters": ("agent", "notebook"),
    "prompt": ("agent",),
    "timeout": ("agent", "notebook"),
}
