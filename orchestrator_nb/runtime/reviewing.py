"""Reviews of a run: work that passed its checks is shown to the task's reviewers, and counts if they let it.

It stands between an attempt's checks and what follows from them: nothing is merged or promoted before. Votes and the
ruling are events. What was done is held meanwhile (``attempts/<task>/held.json``), so that neither a crash nor a
question to a person lets it be done again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec

from orchestrator_nb.core import events as e
from orchestrator_nb.core.models import Task, Work
from orchestrator_nb.core.ports import Assignment, Checkpoint, Failure, Success, subject_hash
from orchestrator_nb.core.reviewers import Review, Reviewer
from orchestrator_nb.core.reviews import OrchestratorDecision, ReviewRequest, ReviewResponse, review_id, votes_text
from orchestrator_nb.core.state import State
from orchestrator_nb.core.values import fill
from orchestrator_nb.errors import OrchestratorError
from orchestrator_nb.executors.asking import Answer, Asker
from orchestrator_nb.executors.local import Passed
from orchestrator_nb.policies.retry import REVIEW
from orchestrator_nb.policies.review import SENSITIVE, Circumstances, ReviewOrchestrator, decide
from orchestrator_nb.runtime.review_subjects import Subject, subject_of
from orchestrator_nb.runtime.review_votes import PERSON, SCHEMA, prompt_for, response_from, vendor_of
from orchestrator_nb.storage.workspace import SessionDir

#: Agents that must be told to look only, and those that take the answer's JSON Schema.
_CODING, _TAKE_SCHEMA = frozenset(["claude", "codex", "gemini"]), frozenset(["claude", "codex", "model"])


class Held(msgspec.Struct):
    """Work that is done and waits for its review."""

    attempt: int
    fingerprint: str
    success: Success
    #: Hash of what is judged.
    subject_sha256: str = ""
    #: What a person was asked, if one was: to vote, or whether a paused review lets the work count.
    asked: str = ""
    question: str = ""


class Reviews:
    """Reviews the work of one run's tasks (`executors.local.Reviewing`).

    Args:
        state: Of the session.
        directory: The session's.
        asker: Asks agents.
        record: Writes events.
    """

    def __init__(self, state: State, directory: SessionDir, asker: Asker, record: Callable[[e.AnyEvent], None]) -> None:
        self._state, self._directory, self._asker, self._record = state, directory, asker, record

    async def held(self, assignment: Assignment) -> tuple[int, Success] | None:
        """What an earlier attempt did that still waits: after a crash, or with the answer that it waited for."""
        held = await asyncio.to_thread(self._read, assignment)
        return (held.attempt, held.success) if held is not None else None

    async def review(self, assignment: Assignment, passed: Passed) -> Failure | Checkpoint | None:
        """Have the work judged, if there is a reason to; None lets it count."""
        spec = assignment.task.review
        assert spec is not None
        held = await asyncio.to_thread(self._read, assignment) or Held(
            assignment.attempt, assignment.fingerprint, passed.success
        )
        subject = await asyncio.to_thread(subject_of, assignment, passed)
        if held.asked == "pause" and held.subject_sha256 == subject.sha256:  # and the answer was yes
            return await self._settled(assignment, None)
        held.subject_sha256 = subject.sha256
        request = self._request(assignment, spec, subject)
        if request is None:
            return None
        await asyncio.to_thread(self._write, assignment, held)
        number = self._state.tasks[assignment.task.id].attempt
        self._record(e.ReviewRequested(assignment.task.id, number, request))
        decision = await self._decided(assignment, spec, request, subject, held)
        if decision is None:
            return await self._ask_person(assignment, held, "vote", self._question(request, PERSON))
        self._record(e.ReviewDecided(assignment.task.id, number, decision))
        if decision.ruling == "pause":
            asked = self._question(request, f"The review is undecided ({decision.reason}). Shall the work count?")
            return await self._ask_person(assignment, held, "pause", asked)
        said = f"the review says {decision.ruling}: {decision.reason}"
        if decision.ruling == "warn":
            self._record(e.WarningRaised(f"{said}\n{self._said(request)}", assignment.task.id))
        failure = Failure(f"{said}\n{self._said(request)}", REVIEW) if decision.ruling == "stop" else None
        return await self._settled(assignment, failure)

    def _request(self, assignment: Assignment, spec: Review, subject: Subject) -> ReviewRequest | None:
        """What is asked; None if nothing calls for a review."""
        orchestrator = ReviewOrchestrator(
            frozenset([*spec.triggers, "asked"]), sensitive=spec.sensitive_paths or SENSITIVE
        )
        task = self._state.tasks[assignment.task.id]
        seen = Circumstances(
            asked=spec.when == "always",
            paths=subject.paths,
            failures=task.failures,
            recovery=self._was_granted(assignment),
            changed_lines=subject.changed_lines,
            phase_end=self._ends_phase(assignment.task),
        )
        if not (why := orchestrator.why(seen)):
            return None
        about = {
            "id": f"{assignment.task.id}@{assignment.attempt}",
            "task": assignment.task.id,
            "attempt": assignment.attempt,
            "subject": subject.words,
            "subject_sha256": subject.sha256,
            "reviewers": [reviewer.label for reviewer in spec.reviewers],
            "question": spec.question,
            "deadline": spec.deadline,
            "triggers": why,
        }
        return orchestrator.create_review_request(about)

    def _was_granted(self, assignment: Assignment) -> bool:
        """Whether its agent was granted something beyond the plan."""
        told = self._state.agent_attempts.get(assignment.task.id, ())
        return any(one.started is not None and bool(one.started.granted) for one in told)

    def _ends_phase(self, task: Task) -> bool:
        assert self._state.plan is not None
        others = (other.id for other in self._state.plan.tasks if other.phase == task.phase and other.id != task.id)
        return bool(task.phase) and all(self._state.tasks[name].status.settled for name in others)

    # -- votes ---------------------------------------------------------------------------------------------------------

    async def _decided(
        self, assignment: Assignment, spec: Review, request: ReviewRequest, subject: Subject, held: Held
    ) -> OrchestratorDecision | None:
        """The ruling; None if a person has to vote first."""
        votes = {vote.reviewer: vote for vote in self._state.reviews[request.task].votes}
        people = [reviewer for reviewer in spec.reviewers if reviewer.kind == "human"]
        if held.asked == "vote":
            for person in people:
                if person.label not in votes:
                    self._vote(assignment, response_from(assignment.answer, request, person), votes)
        waiting = {
            asyncio.ensure_future(self._asked(assignment, reviewer, request, subject)): reviewer
            for reviewer in spec.reviewers
            if reviewer.label not in votes and reviewer.kind != "human"
        }
        deadline = asyncio.get_running_loop().time() + request.deadline
        decision = decide(request.reviewers, votes.values(), over=False)
        try:
            while waiting and decision is None:
                left = deadline - asyncio.get_running_loop().time()
                done, _ = await asyncio.wait(waiting, timeout=max(0.0, left), return_when=asyncio.FIRST_COMPLETED)
                if not done:
                    break
                for answered in [task for task in waiting if task in done]:  # in the order in which they were asked
                    del waiting[answered]
                    self._vote(assignment, answered.result(), votes)
                decision = decide(request.reviewers, votes.values(), over=False)
        finally:
            for task in waiting:
                task.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)
        if decision is None and any(person.label not in votes for person in people):
            return None
        return decision or decide(request.reviewers, votes.values(), over=True)

    def _vote(self, assignment: Assignment, vote: ReviewResponse, votes: dict[str, ReviewResponse]) -> None:
        votes[vote.reviewer] = vote
        number = self._state.tasks[assignment.task.id].attempt
        self._record(e.ReviewVoted(assignment.task.id, number, vote))

    async def _asked(
        self, assignment: Assignment, reviewer: Reviewer, request: ReviewRequest, subject: Subject
    ) -> ReviewResponse:
        """What one reviewer says; whoever cannot say anything abstains, with the reason."""
        work = work_of(reviewer, request, subject, assignment.run.params)
        task = Task(id=review_id(request.task, reviewer.label), **work.model_dump(exclude_defaults=True))
        asked = Assignment(run=assignment.run, task=task, number=0, work=task, attempt=assignment.attempt)

        def note(event: e.Event) -> None:
            if isinstance(event, e.SideWorkTold):
                self._record(event)
            elif isinstance(event, e.TaskProgressed) and event.message:
                number = self._state.tasks[request.task].attempt
                self._record(e.TaskProgressed(request.task, number, f"{reviewer.label}: {event.message}"[:200]))

        outcome = await self._asker.ask(asked, note)
        if isinstance(outcome, Answer):
            return response_from(outcome.value, request, reviewer)
        error = outcome.question if isinstance(outcome, Checkpoint) else outcome.error
        return ReviewResponse(
            request.id, reviewer.label, vendor_of(reviewer), "abstain", comment=f"it could not say: {error}"[:1000]
        )

    # -- people, and what is held --------------------------------------------------------------------------------------

    def _question(self, request: ReviewRequest, asks: str) -> str:
        said = self._said(request)
        what = f"Review of {request.subject} ({request.subject_sha256[:12]}). {request.question}"
        return "\n".join(part for part in (what, said, asks) if part)

    def _said(self, request: ReviewRequest) -> str:
        return votes_text(self._state.reviews[request.task].votes)

    async def _ask_person(self, assignment: Assignment, held: Held, asked: str, question: str) -> Checkpoint:
        held.asked, held.question = asked, question
        await asyncio.to_thread(self._write, assignment, held)
        return Checkpoint(question, schema_for(asked))

    async def _settled(self, assignment: Assignment, failure: Failure | None) -> Failure | None:
        await asyncio.to_thread(self._forget, assignment)
        return failure

    def _read(self, assignment: Assignment) -> Held | None:
        root, path = self._directory.root, _path(assignment)
        if not root.exists(path):
            return None
        try:
            held = msgspec.json.decode(root.read_bytes(path, 1 << 28), type=Held)
        except (OrchestratorError, msgspec.DecodeError):
            return None
        if held.fingerprint != assignment.fingerprint:
            return None
        if held.asked:
            shown = subject_hash(assignment.task.id, held.question, schema_for(held.asked))
            return held if assignment.answered and assignment.subject_sha256 == shown else None
        return held

    def _write(self, assignment: Assignment, held: Held) -> None:
        self._directory.root.write_atomic(_path(assignment), msgspec.json.encode(held), sync=True)

    def _forget(self, assignment: Assignment) -> None:
        if self._directory.root.exists(_path(assignment)):
            self._directory.root.remove(_path(assignment))


def _path(assignment: Assignment) -> str:
    return f"attempts/{assignment.task.id}/held.json"


def schema_for(asked: str) -> dict[str, Any]:
    """The form of a person's answer: a vote, or none where yes is enough."""
    return SCHEMA if asked == "vote" else {}


def work_of(reviewer: Reviewer, request: ReviewRequest, subject: Subject, params: Any) -> Work:
    """What a reviewer does."""
    given = Work(agent=reviewer.kind, parameters=reviewer.parameters)
    parameters: dict[str, Any] = dict(fill(given, lambda reference: params[reference.name]).parameters)
    if reviewer.kind == "function":
        about = {"question": request.question, "text": subject.text, "paths": list(subject.paths), "task": request.task}
        return Work(agent="function", function=reviewer.function, parameters={**parameters, "subject": about})
    if reviewer.kind in _CODING:
        parameters.setdefault("level", "read")
    if reviewer.kind in _TAKE_SCHEMA:
        parameters["schema"] = SCHEMA
    return Work(agent=reviewer.kind, prompt=prompt_for(request, subject.text), parameters=parameters)
