"""The derived files of a session (DESIGN 5), as what they should hold: the runtime writes them.

`Files` follows the log record by record and tells, whenever asked, which files differ from what it told before. What
they hold in the end depends on the log alone, not on when it was asked: so `orchestrate rebuild` gives the same bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import msgspec

from orchestrator_nb.core import events as e
from orchestrator_nb.core.ids import agent_label
from orchestrator_nb.core.models import Task
from orchestrator_nb.core.state import State
from orchestrator_nb.core.tasks import TaskState, TaskStatus
from orchestrator_nb.errors import OrchestratorError
from orchestrator_nb.projections.execution_log import ExecutionLog, has_result
from orchestrator_nb.projections.master_plan import StatusTable, master_plan
from orchestrator_nb.projections.result_files import decode_result, result_file
from orchestrator_nb.projections.session_json import session_json
from orchestrator_nb.projections.task_files import agent_file, status_json

SESSION, MASTER_PLAN, PLAN = "session.json", "master_plan.md", "artifacts/plan.json"
_FOLDERS = ("status/", "agent_tasks/", "logs/", "pids/")


class Link(NamedTuple):
    """A file that stands for another one of the session: a symbolic link."""

    #: Relative to the folder that the link lies in.
    target: str


Content = bytes | Link
#: A path relative to the session's directory, and what the file holds now; None: it is there no more.
Change = tuple[str, Content | None]


def is_derived(path: str) -> bool:
    """Whether the file at `path`, relative to the session's directory, is stale where `Files` names no such file.

    False for all of `results/`: what is promoted lies there too.
    """
    return path in (SESSION, MASTER_PLAN, PLAN) or path.startswith(_FOLDERS)


def is_small(spec: Task) -> bool:
    """Whether the task gets no files of its own, as long as it has no process, no result and no failure to show."""
    return spec.kind in ("function", "none") and spec.isolate == "thread"


class Files:
    """Follows one session's log. `read` gives the content of an artifact, or raises an `OrchestratorError`."""

    def __init__(self, read: Callable[[e.Artifact], bytes]) -> None:
        self._read = read
        self._state = State()
        self._table = StatusTable()
        self._log = ExecutionLog()
        #: What was told last of each file, as a hash; 0: there may be one; no entry: there is none.
        self._told: dict[str, int] = {}
        #: Whether something changed at all, something that `master_plan.md` shows, the plan.
        self._any_due = self._document_due = self._plan_due = False
        #: Tasks that changed; files of tasks that a new plan has dropped; result files, with what decides them.
        self._tasks_due: dict[str, None] = {}
        self._dropped: dict[str, None] = {}
        self._results_due: dict[str, tuple[e.TaskCompleted, str]] = {}
        #: Result files that are derived.
        self._derived: set[str] = set()
        #: Number of each task's agent.
        self._numbers: dict[str, int] = {}
        #: Small tasks that have something to show after all.
        self._noted: set[str] = set()
        #: By task, the latest attempt that had a process, and so a log.
        self._logs: dict[str, int] = {}
        self._agents_told: set[str] = set()
        self._first_unsettled = 0

    # -- following the log ---------------------------------------------------------------------------------------------

    def apply(self, record: e.Record, state: State) -> None:
        """Note what `record` changes; `state` has just taken it in."""
        event = record.event
        self._state = state
        self._any_due = True
        if type(event) in _PASSING or (type(event) is e.AgentSpent and not event.final):
            return
        if type(event) is e.TaskStarted:
            self._tasks_due[event.task] = None
        elif type(event) is e.TaskCompleted:
            self._tasks_due[event.task] = None
            if has_result(event):
                self._noted.add(event.task)
            if self._derived or _is_data(event):
                self._result(event, state)
        elif type(event) is e.ProcessStarted:
            self._process_started(event)
            return
        elif type(event) is e.PlanAccepted:
            self._plan_accepted(state)
        elif isinstance(
            event, e.TaskReset | e.QuotaReached | e.QuotaRestored | e.BudgetChanged
        ):  # change other tasks, too
            self._tasks_due.update(dict.fromkeys(state.tasks))
            self._first_unsettled = 0
        elif isinstance(event, e.CheckpointApproved | e.CheckpointRejected):
            self._tasks_due[state.checkpoints[event.checkpoint].task] = None
        elif isinstance(event, e.TaskFailed | e.CheckpointReached | e.AgentStarted | e.ReviewRequested):
            self._tasks_due[event.task] = None
            self._noted.add(event.task)
        elif isinstance(event, _OTHER_TASK_EVENTS):
            self._tasks_due[event.task] = None
        self._document_due = True
        self._log.add(record)

    def _result(self, event: e.TaskCompleted, state: State) -> None:
        assert state.plan is not None
        task = state.tasks[event.task]
        path = f"results/agent-{task.number:02d}-result.md"
        if event.result is not None and event.result.path == path:  # text, promoted to this place
            self._derived.discard(path)
            self._results_due.pop(path, None)
            self._told.pop(path, None)
            return
        if _is_data(event):
            self._derived.add(path)
            self._told.setdefault(path, 0)
        if path in self._derived:
            self._results_due[path] = event, f"{agent_label(task.number)}: {state.plan.tasks[task.index].label}"

    def _process_started(self, event: e.ProcessStarted) -> None:
        self._tasks_due[event.task] = None
        self._noted.add(event.task)
        self._logs[event.task] = event.attempt
        *_, pid_path = _paths(event.task)
        self._told.setdefault(pid_path, 0)  # a file of before a crash goes when its process is gone

    def _plan_accepted(self, state: State) -> None:
        assert state.plan is not None
        numbers = {task.id: task.number for task in state.by_index}
        for task_id, number in self._numbers.items():
            if task_id not in numbers:
                self._dropped.update(dict.fromkeys([_agent_path(number), *_paths(task_id)]))
                self._logs.pop(task_id, None)
                self._noted.discard(task_id)
        self._numbers = numbers
        self._log.name_agents(numbers)
        self._table.accept(state.plan)
        self._tasks_due = dict.fromkeys(numbers)
        self._agents_told.clear()
        self._first_unsettled = 0
        self._plan_due = True

    # -- telling -------------------------------------------------------------------------------------------------------

    def changed(self) -> Iterator[Change]:
        """The files that differ from what was told before. What is not taken from the iterator is told next time."""
        state = self._state
        yield from self._dropped_tasks()
        yield from self._changed_tasks(state)
        yield from self._changed_results()
        if self._document_due:
            yield from self._tell(MASTER_PLAN, master_plan(state, self._table, self._log))
            self._document_due = False
        if self._any_due:
            yield from self._tell(SESSION, session_json(state, self._current_task(state)))
            self._any_due = False
        if self._plan_due and state.accepted is not None:
            yield from self._tell(PLAN, self._read(state.accepted.plan))
            self._plan_due = False

    def _tell(self, path: str, content: Content | None) -> Iterator[Change]:
        mark = None if content is None else hash(content) or 1
        if self._told.get(path) != mark:
            self._told[path] = 0  # there may be one from here on, whatever becomes of the iterator
            yield path, content
            if mark is None:
                self._told.pop(path, None)
            else:
                self._told[path] = mark

    def _dropped_tasks(self) -> Iterator[Change]:
        for path in list(self._dropped):
            yield from self._tell(path, None)
            del self._dropped[path]

    def _changed_tasks(self, state: State) -> Iterator[Change]:
        due, self._tasks_due = self._tasks_due, {}
        try:
            for task_id in list(due):
                if (task := state.tasks.get(task_id)) is not None:
                    self._touch_rows(state, task)
                    if task_id in self._noted or not is_small(state.plan.tasks[task.index]):  # type: ignore[union-attr]
                        yield from self._files_of(state, task)
                    elif _agent_path(task.number) in self._told:  # it was no small task in an earlier plan
                        for path in (_agent_path(task.number), *_paths(task_id)):
                            yield from self._tell(path, None)
                del due[task_id]
        finally:
            self._tasks_due = due | self._tasks_due

    def _touch_rows(self, state: State, task: TaskState) -> None:
        """The rows that a change of `task` alters: its own, and those of tasks that may start when it has ended."""
        self._table.touch(task.index)
        if task.status.settled:
            for child in state.graph.children[task.index]:
                self._table.touch(child)

    def _files_of(self, state: State, task: TaskState) -> Iterator[Change]:
        if task.id not in self._agents_told:
            yield from self._tell(_agent_path(task.number), agent_file(state, task).encode())
            self._agents_told.add(task.id)
        begun = task.status not in (TaskStatus.WAITING, TaskStatus.PENDING)
        status_path, log_path, pid_path = _paths(task.id)
        attempts = state.agent_attempts.get(task.id, ())
        yield from self._tell(status_path, status_json(task, attempts) if begun else None)
        yield from self._tell(pid_path, f"{task.process.pid}\n".encode() if task.process else None)
        if attempt := self._logs.get(task.id):
            up = "../" * (task.id.count("/") + 1)
            yield from self._tell(log_path, Link(f"{up}attempts/{task.id}/{attempt}/log"))

    def _changed_results(self) -> Iterator[Change]:
        for path, (event, title) in list(self._results_due.items()):
            yield from self._tell(path, self._result_content(event, title))
            del self._results_due[path]

    def _result_content(self, event: e.TaskCompleted, title: str) -> bytes | None:
        if not _is_data(event):
            return None
        value = event.value
        if event.result is not None:
            try:
                value = decode_result(self._read(event.result))
            except OrchestratorError as error:
                value = f"The result cannot be shown: {error}"
        return result_file(title, event.format, value).encode()

    def _current_task(self, state: State) -> int:
        tasks = state.by_index
        while self._first_unsettled < len(tasks) and tasks[self._first_unsettled].settled:
            self._first_unsettled += 1
        return self._first_unsettled


#: What no file tells before the attempt is over.
_PASSING = frozenset([e.TaskProgressed, e.AgentIdentified, e.MergeProgressed])

_OTHER_TASK_EVENTS = (
    e.AttemptInterrupted
    | e.TaskRetryScheduled
    | e.TaskFailureSettled
    | e.TaskBlocked
    | e.TaskSkipped
    | e.TaskCancelled
    | e.QuotaProbed
    | e.ReviewVoted
    | e.ReviewDecided
)


def _is_data(event: e.TaskCompleted) -> bool:
    """Whether the result is a JSON value, so that its file for people is derived; text is promoted as it is."""
    return event.value is not msgspec.UNSET or (event.result is not None and not event.result.path.endswith(".md"))


def _agent_path(number: int) -> str:
    return f"agent_tasks/agent-{number:02d}.md"


def _paths(task_id: str) -> tuple[str, str, str]:
    """A task's status, log and pid file."""
    return f"status/{task_id}.json", f"logs/{task_id}.log", f"pids/{task_id}.pid"
