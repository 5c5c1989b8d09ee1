"""One attempt of a coding task, from its place to its outcome."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable
from contextlib import suppress
from copy import copy
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TypeVar

import msgspec

from orchestrator_nb.agents.coding import failures, recovery
from orchestrator_nb.agents.coding._memory import Memory, read_memory, session_in, work_hash, write_memory
from orchestrator_nb.agents.coding.cli import control_names
from orchestrator_nb.agents.coding.disputes import Dispute, lead_for
from orchestrator_nb.agents.coding.following import Ending, Follower
from orchestrator_nb.agents.coding.judging import Judge, Summary
from orchestrator_nb.agents.coding.preparing import ERROR_LOG, LOG, Preparation
from orchestrator_nb.agents.coding.recovery import Widening
from orchestrator_nb.agents.coding.redaction import Redactor
from orchestrator_nb.agents.coding.reporting import Reports, work_of
from orchestrator_nb.agents.coding.vocabulary import AgentEvent, CommandRun, PermissionDenied, Started
from orchestrator_nb.agents.coding.watching import Watch
from orchestrator_nb.agents.coding.words import Teller, refusal
from orchestrator_nb.agents.coding.working import Harvest, harvest, workplace_for
from orchestrator_nb.agents.exits import failure_of, warnings_of
from orchestrator_nb.agents.human import answer_for
from orchestrator_nb.core.ports import Checkpoint, Failure, Outcome, Services, Success
from orchestrator_nb.errors import AgentError, WorktreeError
from orchestrator_nb.storage.files import Root
from orchestrator_nb.system.sandbox.control_files import ControlChange, ControlGuard
from orchestrator_nb.system.sandbox.policy import Level as Containment

T = TypeVar("T")

#: Grants that one attempt may get unasked, one after the other.
MOST_WIDENINGS = 5
#: File of the attempt's directory that says how it went.
SUMMARY = "agent.json"
#: Refusals that are told of in a failure or a warning.
_TOLD = 10


class Attempt:
    """One attempt of one task.

    Args:
        prepared: What its processes are started from.
        services: Of the run.
        dispute: What it is to settle instead of beginning anew, if there is something.
        grace: Seconds from TERM to KILL.
        linger: Seconds that the program may stay after its final event.
    """

    def __init__(
        self, prepared: Preparation, services: Services, dispute: Dispute | None, *, grace: float, linger: float
    ) -> None:
        self.cli, self.prepared, self.services, self.dispute = prepared.cli, prepared, services, dispute
        self.grace, self.linger = grace, linger
        self.assignment = prepared.assignment
        self.options = prepared.checked.options
        named = [prepared.environment[name] for name in self.options.env if name in prepared.environment]
        self.redactor = Redactor((*prepared.loan.secrets, *named))
        self.teller = Teller(services, self.redactor)
        self.reports = Reports(services, self.assignment, self.cli.name, self.redactor)
        self.memory = read_memory(prepared.home.record)
        self.warnings: list[str] = []
        #: What it is granted beyond the plan.
        self.widening = Widening()
        #: Refusals by the sandbox that nobody but we can tell.
        self.unseen: list[PermissionDenied] = []
        #: What its process has.
        self.ground = prepared.ground(self.widening)
        self.writing: asyncio.Future[None] | None = None

    async def carry_out(self) -> Outcome:
        """The whole attempt."""
        self.widening = self._consent()
        try:
            resume = await self._begin()
        except WorktreeError as error:
            return Failure(str(error), kind="worktree")
        self.teller.top = str(self.prepared.workplace.top)
        self._say_how(resume)
        writes = self.prepared.level(self.widening) != "read"
        guarded = (self.prepared.workplace.top, *self.prepared.directories(self.widening)) if writes else ()
        guard = await asyncio.to_thread(ControlGuard.begin, guarded, control_names(self.cli))
        try:
            ending = await self._work(resume)
        except BaseException:
            await _to_the_end(asyncio.to_thread(self._tidy, guard))
            with suppress(Exception):  # a log that died: what ends the attempt is told, not this
                self.reports.over()
            raise
        self.teller.flush()
        self.reports.over()
        kept = await asyncio.to_thread(self._end, guard)
        self.warnings += kept.warnings
        outcome = self._outcome(ending, kept)
        if not isinstance(outcome, Success):  # which alone carries warnings
            for warning in self.warnings[:_TOLD]:
                self.teller.say(warning)
        await self._remember()
        await asyncio.to_thread(self._write_summary, ending)
        return outcome

    # -- before --------------------------------------------------------------------------------------------------------

    def _consent(self) -> Widening:
        """What a person has agreed to for this attempt: it is used up now."""
        granted = self.memory.consent(self.assignment)
        if granted is not None:
            self.memory.used = self.assignment.subject_sha256
        return granted or Widening()

    async def _begin(self) -> str | None:
        """Make the place; return the session to go on with, if there is one and the place is as it was."""
        memory, work = self.memory, work_hash(self.assignment.work)
        if memory.open and memory.attempt and memory.session is None:
            log = self.prepared.directory.parent / str(memory.attempt) / LOG
            memory.session = await asyncio.to_thread(session_in, log, self.cli)
        goes_on = memory.session if memory.open and memory.work == work and memory.attempt else None
        own, there = self.prepared.checked.own_place, await asyncio.to_thread(Path(memory.place).is_dir)
        goes_on = goes_on if self.cli.capabilities.resume and there else None
        if self.dispute is not None:
            self.teller.say("is to settle what its work and that of others contradict each other in")
        earlier = memory.attempt if goes_on else self.dispute.place if self.dispute else None
        anew = earlier is None
        place = await asyncio.to_thread(workplace_for, self.assignment, own=own, earlier=earlier, anew=anew)
        if memory.open and memory.attempt and not goes_on:
            self.teller.say("a clean start: its earlier session cannot be gone on with")
        self.prepared = replace(self.prepared, workplace=place)
        self.memory = Memory(
            work=work,
            attempt=self.assignment.attempt,
            place=str(place.top),
            session=goes_on,
            totals=memory.totals if goes_on else None,
            open=True,
            used=memory.used,
        )
        if not goes_on and self.widening != Widening():
            self.teller.say("what was agreed to is granted to a new session of the agent")
        await self._remember()
        return goes_on

    def _say_how(self, resume: str | None) -> None:
        self._report_start(resume, unasked=False)
        if not self.prepared.checked.contained:
            self.warnings.append(f"{self.cli.name} ran uncontained: it could do all that you may do")

    # -- the work ------------------------------------------------------------------------------------------------------

    async def _work(self, resume: str | None) -> Ending:
        """Run it; again without its session if that is lost, and again with more where the task's list says so."""
        granted = f"You are now granted {self.widening}." if self.widening != Widening() else _INTERRUPTED
        task = lead_for(self.dispute) if self.dispute else ""
        ending = await self._run(resume, _GO_ON.format(why=granted, task=task or _TASK) if resume else task)
        if resume and ending.summary.error == "session":
            self.teller.say("a clean start: its earlier session is unknown to it")
            self.memory.session = self.memory.totals = None
            ending = await self._run(None, task)
        for _ in range(MOST_WIDENINGS):
            more = self._allowed(ending.summary)
            if more is None:
                break
            self.widening = self.widening.plus(more)
            lead = _GO_ON.format(why=f"You are now granted {more}.", task=task or _TASK)
            session = self.memory.session if self.cli.capabilities.resume else None
            self._report_start(session, unasked=True)
            ending = await self._run(session, lead)
        return ending

    async def _run(self, resume: str | None, lead: str) -> Ending:
        """Start the program once, and follow it to its end."""
        command = await asyncio.to_thread(self.prepared.command, self.widening, resume, lead)
        begin = await asyncio.to_thread(_size, self.prepared.directory / ERROR_LOG)
        self.unseen, self.ground = [], self.prepared.ground(self.widening)
        process = await self.services.spawn(msgspec.structs.replace(command, secrets=self.redactor.secrets))
        watch = Watch(self.options.stall, self.options.tool_stall, self.linger, time.monotonic())
        judge = Judge(self.cli, resumed=bool(resume), before=self.memory.totals)
        error_log = self.prepared.directory / ERROR_LOG
        follower = Follower(self.cli, process, error_log, watch, judge, self, begin)
        try:
            ending = await follower.follow(self.prepared.home.home, self.grace)
        except asyncio.CancelledError:
            await _to_the_end(process.terminate(self.grace))  # nothing of it may touch the place from here on
            raise
        if self.unseen:
            denials = (*ending.summary.denials, *self.unseen)
            ending = replace(ending, summary=msgspec.structs.replace(ending.summary, denials=denials))
        self.reports.run_ended(ending.summary.usage, ending.summary.denials, self._remedy)
        self.memory.session = ending.summary.session or self.memory.session
        self.memory.totals = ending.summary.totals
        await self._remember()
        return ending

    def see(self, event: AgentEvent) -> None:
        """Remember the session's name; tell people (`following.Audience`)."""
        if isinstance(event, Started) and event.session and event.session != self.memory.session:
            self.memory.session = event.session
            memory, record = copy(self.memory), self.prepared.home.record
            loop = asyncio.get_running_loop()  # from when it is written on, a crash can be gone on from
            self.writing = loop.run_in_executor(None, partial(write_memory, record, memory, sync=False))
        self.teller.see(event)
        self.reports.see(event, self._remedy)
        if isinstance(event, CommandRun) and self.prepared.checked.sandbox.level is Containment.BUBBLEWRAP:
            denial = recovery.unseen(event, self.ground)
            if denial is not None:
                self.unseen.append(denial)
                self.reports.see(denial, self._remedy)

    def tick(self) -> None:
        """Tell people what was held back."""
        self.teller.tick()
        self.reports.tick()

    def _report_start(self, session: str | None, *, unasked: bool) -> None:
        granted = str(self.widening) if self.widening != Widening() else ""
        level = self.prepared.level(self.widening)
        self.reports.started(self.prepared.checked, level, granted, session, unasked=unasked)

    def _remedy(self, denial: PermissionDenied) -> str:
        more = recovery.propose([denial], self.prepared.ground(self.widening))
        return str(more) if more is not None else ""

    def _allowed(self, summary: Summary) -> Widening | None:
        """What the task's own list lets it have for what it was refused, if that is all it failed for."""
        refused = self._decisive(summary)
        if not refused:
            return None
        more = recovery.propose(refused, self.prepared.ground(self.widening))
        base = Path(self.assignment.run.base)
        if more and recovery.allowed_unasked(more, refused, self.options.allowed, base):
            return more
        return None

    def _decisive(self, summary: Summary) -> tuple[PermissionDenied, ...]:
        if summary.state != "succeeded":
            return ()
        ground = self.prepared.ground(self.widening)
        return recovery.decisive(summary.denials, self.assignment.task, self.prepared.outputs, ground)

    # -- after ---------------------------------------------------------------------------------------------------------

    def _tidy(self, guard: ControlGuard) -> tuple[ControlChange, ...]:
        """What has to be done whatever the end: its login is taken back, its locks go."""
        self.warnings += self.prepared.home.write_back(self.prepared.loan)
        return guard.end()

    def _end(self, guard: ControlGuard) -> Harvest:
        """Tidy up, and keep its work. Blocking."""
        changes = self._tidy(guard)
        try:
            more = control_names(self.cli)
            return harvest(self.prepared.workplace, changes, self.assignment.task.label, more)
        except WorktreeError as error:
            return Harvest((), (f"its work could not be kept, it lies in {self.prepared.workplace.top}: {error}",))

    def _outcome(self, ending: Ending, kept: Harvest) -> Outcome:
        summary, end = ending.summary, ending.exit
        told = [self.redactor.text(refusal(denial)) for denial in summary.denials]
        if end.reason != "exited" and not ending.verdict:
            failure = failure_of(end, self.prepared.directory / ERROR_LOG)
            assert failure is not None
            self._close(open_again=True)
            return msgspec.structs.replace(failure, commits=kept.commits)
        if summary.state != "succeeded":
            self._close(open_again=summary.transient or ending.verdict == "stalled" or summary.error == "interrupted")
            return self._failure(ending, told, kept)
        if refused := self._decisive(summary):
            return self._refused(refused, kept)
        self._close(open_again=False)
        self.warnings += [f"refused: {line}" for line in told[:_TOLD]]
        self.warnings += warnings_of(end)
        return self._success(summary, kept)

    def _success(self, summary: Summary, kept: Harvest) -> Outcome:
        warnings, text = tuple(map(self.redactor.text, self.warnings)), self._words(summary.text)
        checked, level = self.prepared.checked, self.prepared.level(self.widening)
        work = work_of(self.cli.name, level, checked.sandbox, kept.changes)
        if self.options.answer_schema is None:
            return Success(text=text or None, commits=kept.commits, work=work, warnings=warnings)
        try:
            value = answer_for(self.options.answer_schema, _json(text))
        except AgentError as error:
            return Failure(str(error), "answer", commits=kept.commits)
        return Success(value=value, commits=kept.commits, work=work, warnings=warnings)

    def _words(self, text: str) -> str:
        """Its last words; files are named from the top of its own tree, as they are in every session."""
        own = [self.prepared.workplace.top] if self.prepared.workplace.place else []
        for directory in (self.prepared.outputs, *own):
            text = text.replace(f"{directory}/", "")
        return self.redactor.text(text)

    def _failure(self, ending: Ending, told: list[str], kept: Harvest) -> Failure:
        summary = ending.summary
        stalled, limit = ending.verdict in ("stalled", "tool_stalled"), summary.limit
        limited = ending.verdict == "limited" or summary.error == "rate_limit"
        error = ending.words if stalled else self.redactor.text(summary.message) or "it failed"
        if ending.verdict == "limited" and limit is not None:
            error = f"{self.redactor.text(limit.text)} -- {ending.words}"
        resets_at = _resets(summary) if limited else None
        if resets_at is not None:
            error += f" (the limit ends at {datetime.fromtimestamp(resets_at, UTC):%Y-%m-%dT%H:%M:%SZ})"
        elif limited and limit is not None:
            error += " (it does not say when the limit ends)"
        if told:
            error += "\nIt was refused:\n" + "\n".join(f"- {line}" for line in told[:_TOLD])
        code = ending.exit.code if ending.exit.code >= 0 else None
        kind = ending.verdict if stalled else "rate_limit" if limited else summary.error or "other"
        transient = summary.transient or limited or ending.verdict == "stalled"
        waits = resets_at if limit is not None else None  # else requests only came too fast
        return Failure(f"{self.cli.name}: {error}", kind, transient, code, kept.commits, resets_at=waits)

    def _refused(self, refused: tuple[PermissionDenied, ...], kept: Harvest) -> Outcome:
        """It came to an end without being able to do its work: ask, or fail."""
        lines = tuple(self.redactor.text(refusal(denial)) for denial in refused)
        more = recovery.propose(refused, self.prepared.ground(self.widening))
        if more is not None and self.options.recovery == "ask":
            asked = self.widening.plus(more)
            self.memory.asked, self.memory.refusals = asked, lines
            self._close(open_again=True)
            return Checkpoint(recovery.question(self.assignment.task.id, asked, lines))
        self._close(open_again=False)
        told = "\n".join(f"- {line}" for line in lines[:_TOLD])
        remedy = f"it would need {more}: say so in its parameters, or `recovery: ask`" if more else _HOPELESS
        return Failure(f"{self.cli.name} was refused:\n{told}\n{remedy}", "denied", commits=kept.commits)

    def _close(self, *, open_again: bool) -> None:
        """Whether the next attempt goes on with this session."""
        self.memory.open = open_again

    async def _remember(self) -> None:
        if self.writing is not None:
            await self.writing
        await asyncio.to_thread(write_memory, self.prepared.home.record, self.memory)

    def _write_summary(self, ending: Ending) -> None:
        """What is known of the attempt, for whoever reads its directory."""
        summary, box = ending.summary, self.prepared.checked.sandbox
        facts = {
            "agent": self.cli.name,
            "state": summary.state,
            "error": summary.error,
            "session": summary.session,
            "turns": summary.turns,
            "retries": summary.retries,
            "unknown_lines": summary.unknown,
            "usage": summary.usage,
            "denials": summary.denials,
            "granted": str(self.widening),
            "sandbox": box.level.label,
            "open": box.open(network=self.options.network),
        }
        text = msgspec.json.format(msgspec.json.encode(facts)).decode()
        Root(self.prepared.directory).write_atomic(SUMMARY, self.redactor.text(text))


_HOPELESS = "nothing that could be granted would help"
_INTERRUPTED = "The work was interrupted."
_TASK = "This was your task:"
_GO_ON = "{why} Look at what you have done already, and go on. {task}"


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _json(text: str) -> object:
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return text


def _resets(summary: Summary) -> float | None:
    """When a limit ends, in seconds since the epoch; None if nobody said."""
    limit = summary.limit
    if limit is not None and limit.resets_at is not None:
        return limit.resets_at
    return failures.reset_time(f"{limit.text if limit else ''} {summary.message}", time.time())


async def _to_the_end(work: Awaitable[T]) -> None:
    """Wait for something that must come to its end, whatever is cancelled meanwhile."""
    task = asyncio.ensure_future(work)
    while not task.done():
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError:
            continue
        except Exception:  # noqa: BLE001, S110 - what ends the attempt is told, not this
            pass
