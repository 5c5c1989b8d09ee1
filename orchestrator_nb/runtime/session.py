"""`Session`: a session on disk, seen from any process, running or not; and the verbs that reach it from outside."""

from __future__ import annotations

import getpass
import os
import socket
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator_nb import displays
from orchestrator_nb.core import events as e
from orchestrator_nb.core.models import Plan
from orchestrator_nb.core.state import State
from orchestrator_nb.core.tasks import TaskState, TaskStatus
from orchestrator_nb.errors import CommandRefused, RunFailed, SessionNotFound
from orchestrator_nb.policies.admission import Admission
from orchestrator_nb.projections.explain import Explanation, explain
from orchestrator_nb.projections.going_on import whole
from orchestrator_nb.runtime.checkpoints import approval, fitting_answer, open_checkpoint, rejection
from orchestrator_nb.runtime.engine import Engine
from orchestrator_nb.runtime.exploring import Explorable
from orchestrator_nb.runtime.plans import load_plan_blob
from orchestrator_nb.runtime.results import read_artifact, read_result
from orchestrator_nb.runtime.task_view import find_task
from orchestrator_nb.storage.inbox import Inbox
from orchestrator_nb.storage.lock import Holder, holder
from orchestrator_nb.storage.log import LogFollower, read_records
from orchestrator_nb.storage.settings import Settings, load_settings
from orchestrator_nb.storage.workspace import SessionDir, Workspace

if TYPE_CHECKING:
    from orchestrator_nb.runtime.run import Run

#: Seconds that a live run is given to answer a verb.
ANSWER_TIMEOUT = 10.0


class Session(Explorable):
    """One session, read from its log. `refresh` takes in what a live run has written since."""

    def __init__(self, directory: SessionDir, settings: Settings | None = None) -> None:
        self.directory = directory
        self.settings = settings or Settings()
        self._state = State()
        self._blobs = directory.blobs
        self._follower = LogFollower(directory.log_path)
        self.refresh()

    @classmethod
    def open(cls, session: str | Path | None = None, settings: Settings | None = None) -> Session:
        """The session of this id, unambiguous beginning of an id, or path; the latest one when left out.

        Raises `SessionNotFound`, naming the nearest id; `SessionCorrupt` if its log is damaged.
        """
        settings = settings or load_settings(Path.cwd(), os.environ)
        workspace = Workspace(settings.workspace)
        if session is not None and Path(session, "events.jsonl").is_file():
            return cls(SessionDir(Path(session).resolve()), settings)
        return cls(workspace.find("latest" if session is None else str(session)), settings)

    @classmethod
    def latest(cls, settings: Settings | None = None) -> Session:
        """The newest session of the workspace."""
        return cls.open(None, settings)

    @classmethod
    def all(cls, settings: Settings | None = None) -> list[Session]:
        """Every session of the workspace, newest first."""
        settings = settings or load_settings(Path.cwd(), os.environ)
        return [cls(directory, settings) for directory in reversed(Workspace(settings.workspace).sessions())]

    def __repr__(self) -> str:
        return f"<Session {self.id} {self.status}>"

    # -- going on ------------------------------------------------------------------------------------------------------

    def resume(self, **options: Any) -> Run:
        """Go on with it, in this process: short for ``Orchestrator(...).resume(...)``, with the same options.

        A session that this process is running already gives that run. Raises `SessionLocked` if another process does.
        """
        from orchestrator_nb.runtime.orchestrator import Orchestrator
        from orchestrator_nb.runtime.run import Run

        run = Run.of_session(self.path) or Orchestrator(self.settings).resume(self.path, **options)
        if displays.in_ipython():
            displays.front_end().started(run)
        return run

    def import_results(
        self, files: Sequence[str | Path], *, task: str = "", outputs: str | Path | None = None
    ) -> list[str]:
        """Take in results that were made outside, by hand or by any program; returns the ids of their tasks.

        Args:
            files: Result files; the name of each says whose it is: `agent-02-result.md`, `T-01.md`, `T-01-result.json`.
            task: The task of the one file, whatever that is called.
            outputs: Directory of the declared outputs; that of the file when left out.

        Raises:
            CommandRefused: Some are refused (the others are taken), or a file belongs to no task, or the session runs.
        """
        from orchestrator_nb.runtime.importing import take_in

        place = Path(outputs) if outputs is not None else None
        imported = take_in(self, [Path(file) for file in files], task=task, outputs=place, by=who())
        if refused := [f"{one.file}: {one.refused}" for one in imported if one.refused]:
            raise CommandRefused("\n".join(refused))
        return [one.task for one in imported]

    # -- reading -------------------------------------------------------------------------------------------------------

    @property
    def id(self) -> str:
        """Its id."""
        return self.directory.id

    @property
    def path(self) -> Path:
        """Its directory."""
        return self.directory.path

    @property
    def state(self) -> State:
        """The fold of its log, as of the last `refresh`."""
        return self._state

    @property
    def plan(self) -> Plan:
        """Its plan. Raises `SessionNotFound` if it never got one."""
        if self._state.plan is None:
            raise SessionNotFound(f"session {self.id} has no plan yet")
        return self._state.plan

    def refresh(self) -> list[e.Record]:
        """Take in what was written since; return these records."""
        records = self._follower.poll()
        for record in records:
            event = record.event
            plan = load_plan_blob(self._blobs.get(event.plan)) if isinstance(event, e.PlanAccepted) else None
            self._state.apply(record, plan)
        return records

    def records(self) -> Iterator[e.Record]:
        """All of its log, verified."""
        return read_records(self.directory.log_path)

    def holder(self) -> Holder | None:
        """Who runs it now, or None."""
        return holder(self.directory.lock_path)

    @property
    def status(self) -> str:
        """The run's status; `interrupted` if the log says that it runs, but nobody does."""
        state = self._state
        if state.run is not None and state.ended is None and self.holder() is None:
            self.refresh()  # it may have ended just now
            if state.ended is None:
                return "halted" if state.halting else "interrupted"
        return state.status

    @property
    def result(self) -> str:
        """The text of `final_output.md`. Raises `RunFailed` if the session has none (yet)."""
        if self._state.merged is None:
            raise RunFailed(f"session {self.id} is {self.status} and has no result yet")
        return self.read(self._state.merged.document).decode("utf-8")

    def result_of(self, task_id: str) -> Any:
        """The result of a completed task: its JSON value or its text. Raises `RunFailed` if it has none."""
        task = self.task(task_id)
        if task.status is not TaskStatus.COMPLETED:
            raise RunFailed(f"task '{task_id}' has no result, it is {task.status}")
        return read_result(task, self.read)

    def task(self, task_id: str) -> TaskState:
        """The state of one task. Raises `CommandRefused` for an unknown id, naming the nearest."""
        return find_task(self._state, task_id)

    def read(self, artifact: e.Artifact) -> bytes:
        """The content of a promoted file. Raises `StorageError` if it is gone or was changed."""
        return read_artifact(self.directory, artifact, self.settings)

    def explain(self, task_id: str) -> Explanation:
        """Why the task has not started, or what became of it."""
        self.task(task_id)
        return explain(self._state, task_id, self.admission(), time.time())

    def _reading(self) -> AbstractContextManager[State]:
        return nullcontext(self._state)

    def _is_running(self) -> bool:
        return self.holder() is not None

    def functions(self) -> Mapping[str, Callable[..., Any]]:
        """None: a session on disk holds no functions, whoever goes on with it hands them in."""
        return {}

    def admission(self) -> Admission:
        """The limits that the last run had in force."""
        settings = self._state.run.settings if self._state.run is not None else {}
        capacity = settings.get("capacity", {})
        return Admission(int(settings.get("max_parallel", self.settings.max_parallel)), capacity)

    def rebuild(self) -> list[str]:
        """Write every derived file anew from the log; returns the paths. Raises `SessionLocked` while it runs."""
        engine = Engine(self.directory, self.settings, {})
        try:
            return engine.rebuild()
        finally:
            engine.release()

    # -- verbs ---------------------------------------------------------------------------------------------------------

    def tell(self, verb: str, **fields: Any) -> str:
        """Carry out a verb of DESIGN's table on the session, live or on disk; returns what was done, in words.

        Raises `CommandRefused` with the reason if it makes no sense, or if a live run does not answer in time.
        """
        fields.setdefault("by", who())
        return self._tell_live(verb, fields) if self.holder() is not None else self._tell_disk(verb, fields)

    def _tell_live(self, verb: str, fields: dict[str, Any]) -> str:
        inbox = Inbox(self.directory)
        request = inbox.post(verb, **fields)
        deadline = time.monotonic() + ANSWER_TIMEOUT
        while (reply := inbox.wait_answer(request, 0.5)) is None:
            if self.holder() is None:  # it ended meanwhile
                inbox.withdraw(request)
                return self._tell_disk(verb, fields)
            if time.monotonic() > deadline:
                inbox.withdraw(request)
                raise CommandRefused(f"the run of session {self.id} did not answer within {ANSWER_TIMEOUT:g} s")
        if not reply.ok:
            raise CommandRefused(reply.message)
        return reply.message

    def _tell_disk(self, verb: str, fields: dict[str, Any]) -> str:
        self.refresh()
        by = str(fields["by"])
        events: list[e.AnyEvent]
        if verb in ("pause", "resume", "stop", "cancel"):
            raise CommandRefused(f"session {self.id} is not running: 'orchestrate resume {self.id}' goes on with it")
        if verb == "halt" and self._state.ended is not None and self._state.ended.reason in ("completed", "failed"):
            raise CommandRefused(f"session {self.id} has {self._state.ended.reason}: there is nothing to halt")
        if verb == "halt":
            events = [e.HaltRequested(by, str(fields.get("reason", "")))]
        elif verb == "retry":
            task = self.task(str(fields["task"]))
            waits = task.status is TaskStatus.AWAITING_QUOTA
            if not (task.status.settled or waits) or task.status in (TaskStatus.COMPLETED, TaskStatus.BLOCKED):
                raise CommandRefused(f"task '{task.id}' is {task.status}: only a failed task can be tried again")
            if fields.get("from_failed_cell"):
                raise CommandRefused(
                    f"task '{task.id}' has no live kernel: kernels end with their run, and nobody runs session "
                    f"{self.id}. To run the whole notebook again: {whole(self.path, task.id, running=False)}"
                )
            events = [e.QuotaProbed(task.id, by) if waits else e.TaskReset(task.id, by)]
        elif verb in ("approve", "reject"):
            shown = open_checkpoint(self._state, str(fields["checkpoint"]), str(fields.get("subject_sha256", "")))
            if verb == "approve":
                answer = fitting_answer(shown, fields.get("answer"))
                events = approval(shown, answer, by)
            else:
                events = rejection(shown, str(fields.get("reason", "")), by, live=False)
        else:
            raise CommandRefused(f"unknown verb '{verb}'")
        engine = Engine(self.directory, self.settings, {})
        try:
            engine.record(*events)
        finally:
            engine.release()
        self.refresh()
        return f"{verb} recorded: it takes effect with 'orchestrate resume {self.id}'"


def who() -> str:
    """Who gives a command, for the log: user@host."""
    try:
        return f"{getpass.getuser()}@{socket.gethostname()}"
    except (KeyError, OSError):
        return socket.gethostname()
