"""Results that were made outside, taken into a session: somebody worked on its `agent_tasks/` by hand (S1 3.3).

What is imported counts as an attempt of its task: declared outputs, the form of the result and the checks are held
against it as against an agent's work. The work itself was done elsewhere: checks of a coding agent's task run in the
directory of the plan, and nothing is merged into the session's branch.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from orchestrator_nb.agents.human import answer_for
from orchestrator_nb.agents.registry import Registry
from orchestrator_nb.core import events as e
from orchestrator_nb.core.ids import agent_label, did_you_mean
from orchestrator_nb.core.ports import Assignment, Command, Failure, Outcome, Services, Spawner, Success
from orchestrator_nb.core.state import State
from orchestrator_nb.core.tasks import TRANSITIONS, TaskState, TaskStatus
from orchestrator_nb.errors import AgentError, CommandRefused, OrchestratorError
from orchestrator_nb.executors.local import LocalExecutor
from orchestrator_nb.runtime.assignments import Assigner
from orchestrator_nb.runtime.engine import Engine
from orchestrator_nb.runtime.outcomes import completion, shortened
from orchestrator_nb.runtime.recovery import reconcile
from orchestrator_nb.system.loop import submit
from orchestrator_nb.system.reading import open_regular
from orchestrator_nb.system.supervisor import Supervisor

if TYPE_CHECKING:
    from orchestrator_nb.runtime.session import Session

#: How the names of result files end.
_ENDS = re.compile(r"(-result)?(\.[A-Za-z0-9]+)?$")


#: Tasks that could start.
_READY = (TaskStatus.PENDING, TaskStatus.RETRYING)


@dataclass(frozen=True, slots=True)
class Imported:
    """What became of one file."""

    task: str
    file: Path
    #: Why its result was not taken; empty if it was.
    refused: str = ""


def take_in(
    session: Session, files: Sequence[Path], *, task: str = "", outputs: Path | None = None, by: str = ""
) -> list[Imported]:
    """Take results into a session that nobody runs, in the order of its plan. Blocking.

    Args:
        session: The session.
        files: Each is the result of the task that its name says: `agent-02-result.md` is Agent-02's, `T-01.md` and
            `T-01-result.json` are that of task `T-01`.
        task: The task of the one file, whatever that is called.
        outputs: Where declared outputs lie, each task's in a directory of its id or in this one; beside the file when
            left out.
        by: Who imports, for the log.

    Returns:
        One value for each file: what is refused does not keep the others from being taken.

    Raises:
        CommandRefused: A file belongs to no task, or two to one; or somebody runs the session.
        SessionLocked: Somebody began to.
    """
    targets = _targets(session.state, files, task)
    if (holder := session.holder()) is not None:
        raise CommandRefused(
            f"session {session.id} is being run by {holder}: end that ('orchestrate stop {session.id}'), import, "
            f"and go on ('orchestrate resume {session.id}')"
        )
    engine = Engine(session.directory, session.settings, {})
    try:
        engine.record(*reconcile(engine.state, engine.directory))
        return submit(_take_all(engine, targets, outputs, by)).result()
    finally:
        engine.release()
        session.refresh()


def _targets(state: State, files: Sequence[Path], task: str) -> dict[str, Path]:
    """The file of each task. Raises `CommandRefused`."""
    if task and len(files) != 1:
        raise CommandRefused(f"name one file for task '{task}', not {len(files)}")
    targets: dict[str, Path] = {}
    for file in files:
        name = task or _task_of(state, file)
        if name not in state.tasks:
            raise CommandRefused(f"the plan has no task '{name}'{did_you_mean(name, state.tasks)}")
        if name in targets:
            raise CommandRefused(f"{targets[name]} and {file} are both the result of task '{name}': name one")
        targets[name] = file
    return {name: targets[name] for name in state.tasks if name in targets}


def _task_of(state: State, file: Path) -> str:
    """The task whose result a file is, by its name: an agent's label, or an id, whose folders are folders."""
    stem = _ENDS.sub("", file.name)
    folders = file.absolute().parent.parts[1:]
    names = ["/".join((*folders[begin:], last)) for begin in range(len(folders) + 1) for last in (file.name, stem)]
    by_id = [name for name in names if name in state.tasks][:1]
    by_label = [task.id for task in state.by_index if agent_label(task.number).lower() == stem.lower()]
    found = list(dict.fromkeys(by_id + by_label))
    if len(found) == 1:
        return found[0]
    if found:
        raise CommandRefused(f"{file} could be the result of {' or '.join(found)}: say which (--task)")
    hint = did_you_mean(stem, state.tasks)
    raise CommandRefused(
        f"{file} is named after no task{hint}: call it agent-NN-result.md, or TASK.md, or name the task (--task)"
    )


async def _take_all(engine: Engine, targets: Mapping[str, Path], outputs: Path | None, by: str) -> list[Imported]:
    assigner = Assigner(engine.context(), engine.state, engine.read)
    batch = engine.state.batch + 1
    imported = []
    async with Supervisor(engine.state.session, log_cap=engine.settings.log_cap) as supervisor:
        for name, file in targets.items():
            made = Handmade(file, outputs or file.absolute().parent)
            task = engine.state.tasks[name]
            try:
                assignment = _begun(engine, assigner, task, batch)
                event, warnings = await _ended(engine, made, supervisor, assignment)
            except OrchestratorError as error:
                imported.append(Imported(name, file, str(error)))
                continue
            engine.record(msgspec.structs.replace(event, imported=f"{by} from {file.absolute()}"), *warnings)
            imported.append(Imported(name, file))
    return imported


def _begun(engine: Engine, assigner: Assigner, task: TaskState, batch: int) -> Assignment:
    """Let the attempt begin as which the result counts. Raises `OrchestratorError` if there is none to be had."""
    _refuse(engine.state, task)
    assignment = assigner.assign(task, task.attempt + 1, fallback=False)
    if task.status not in _READY:
        engine.record(e.TaskReset(task.id, "import"))
    if task.status not in _READY:
        raise CommandRefused(f"task '{task.id}' is {task.status}, after it was asked for again: it cannot start")
    engine.record(e.TaskStarted(task.id, assignment.attempt, batch, assigner.fingerprint(assignment)))
    return assignment


async def _ended(
    engine: Engine, made: Handmade, spawner: Spawner, assignment: Assignment
) -> tuple[e.TaskCompleted, list[e.WarningRaised]]:
    """The end of the attempt, not recorded yet. Raises `CommandRefused` if the result is not taken: it is undone."""

    def note(event: e.Event) -> None:
        assert isinstance(event, e.ProcessStarted | e.TaskProgressed)
        engine.record(event)

    executor = LocalExecutor(lambda _: made, spawner, note, engine.settings)
    execution = await executor.execute(assignment)
    event = completion(assignment, execution)
    if isinstance(event, e.TaskCompleted):
        return event, [e.WarningRaised(warning, assignment.task.id) for warning in execution.warnings]
    error = event.error if isinstance(event, e.TaskFailed) else "a person would have to decide"
    reason = shortened(f"its import was refused: {error}")
    engine.record(e.AttemptInterrupted(assignment.task.id, assignment.attempt, reason))
    raise CommandRefused(f"task '{assignment.task.id}': {error}")


def _refuse(state: State, task: TaskState) -> None:
    """Raise `CommandRefused` if a result of this task cannot be taken now."""
    if task.status in _READY:
        return
    if task.status is TaskStatus.COMPLETED:
        raise CommandRefused(
            f"task '{task.id}' is completed already: 'orchestrate fork {state.session} {task.id}' makes a session in "
            "which it is not"
        )
    if task.status is TaskStatus.BLOCKED:
        raise CommandRefused(f"task '{task.id}' is blocked by '{task.blocked_by}': import or retry that one first")
    parents = [state.by_index[index] for index in state.graph.parents[task.index]]
    if waits := [parent.id for parent in parents if not parent.status.settled]:
        raise CommandRefused(f"task '{task.id}' waits for {', '.join(waits)}: import or run that first")
    if e.TaskReset not in TRANSITIONS[task.status]:
        raise CommandRefused(f"task '{task.id}' is {task.status}: it takes no result now")


class Handmade:
    """The agent of a task whose work was done outside: it hands over what is there (`core.ports.Agent`).

    Args:
        file: The result.
        outputs: Where declared outputs lie.
    """

    def __init__(self, file: Path, outputs: Path) -> None:
        self._file, self._outputs = file, outputs

    def preflight(self, assignment: Assignment) -> str | None:
        """Nothing keeps it from starting."""
        del assignment
        return None

    async def run(self, assignment: Assignment, services: Services) -> Outcome:
        """Copy result and outputs into the attempt's directory, as if it had left them there."""
        directory = Path(services.attempt_dir())
        task, name = assignment.task, f"imported{self._file.suffix}"
        _copy(self._file, directory / name)
        own = self._outputs / task.id
        place = own if own.is_dir() else self._outputs
        missing = [output for output in task.outputs if not (place / output).is_file()]
        if missing:
            raise AgentError(f"Missing outputs: there is no {', '.join(missing)} in {place} (--outputs names another)")
        for output in task.outputs:
            (directory / "outputs" / output).parent.mkdir(parents=True, exist_ok=True)
            _copy(place / output, directory / "outputs" / output)
        schema = assignment.work.parameters.get("schema")
        if assignment.work.prompt is not None and isinstance(schema, dict):
            return Success(value=answer_for(schema, (directory / name).read_text("utf-8", "replace")))
        return Success(file=name, format="json" if task.result is None and self._file.suffix == ".json" else "")

    def check_command(self, assignment: Assignment, command: Command) -> Command:
        """A check of a coding agent's work runs where the person worked: in the directory of the plan."""
        try:
            agent = Registry().get(assignment.task.kind)
        except AgentError:
            return command
        return msgspec.structs.replace(command, cwd=assignment.cwd) if hasattr(agent, "check_command") else command

    async def finish(self, assignment: Assignment, services: Services, success: Success) -> Success | Failure:
        """Nothing is merged: the work is where the person did it."""
        del assignment, services
        return success

    async def fall_short(self, assignment: Assignment, success: Success, failure: Failure) -> Failure:
        """The person is told why it is not taken."""
        del assignment, success
        return failure


def _copy(source: Path, target: Path) -> None:
    """Copy a file. Raises `AgentError` if it cannot be read."""
    try:
        with open_regular(source.resolve()) as file, target.open("xb") as copy:
            shutil.copyfileobj(file, copy)
    except OSError as error:
        raise AgentError(f"{source} cannot be read: {error.strerror}") from None
