"""An agent whose attempts are recorded, or replayed: `Taped` stands around the agent and is used in its place.

Only what the agent itself does is on the tape. What follows it (its task's outputs, checks, the merge of its work) is
done again in every replay. A replay starts no program of the agent and asks nobody; a check is contained as ever.
"""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, cast

import msgspec

from orchestrator_nb.agents.cassettes._attempts import (
    Mark,
    Tap,
    attempts_of,
    change_of,
    put_change,
    read_mark,
    recorded_files,
    redacted_change,
    restore,
    told_again,
    warned,
    write_mark,
)
from orchestrator_nb.agents.cassettes.request import (
    Directories,
    differences,
    each_text,
    likeness,
    redacted,
    request_of,
    secrets_among,
    tree_differences,
)
from orchestrator_nb.agents.cassettes.tape import (
    FORMAT,
    Cassette,
    Draft,
    Take,
    hashed,
    key_of,
)
from orchestrator_nb.agents.cassettes.taping import Taping
from orchestrator_nb.agents.coding.redaction import Redactor
from orchestrator_nb.agents.coding.replaying import FileChange, changes_hash, tree_hash
from orchestrator_nb.core.events import AttemptEvent
from orchestrator_nb.core.ports import (
    Agent,
    Assignment,
    Checkpoint,
    Failure,
    Outcome,
    Services,
    Success,
)
from orchestrator_nb.errors import CassetteError, OrchestratorError

#: Most files of a tree that are listed for people.
MOST_LISTED = 5000


#: For replays that only read and write some files: many threads would cost more than they bring.
_one_thread = ThreadPoolExecutor(1, "orchestrator_nb replay")


class Taped:
    """An agent of which every attempt is recorded or replayed. In all else it is the agent.

    Args:
        kind: Of the agent.
        agent: The agent.
        taping: What is done with its attempts.
    """

    def __init__(self, kind: str, agent: Agent, taping: Taping) -> None:
        self._kind, self._agent, self._taping = kind, cast("Any", agent), taping
        self._cassette = Cassette(taping.directory)
        #: Whether it works on a tree of files, of which the changes are recorded.
        self._has_tree = hasattr(agent, "redo")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._agent, name)

    def preflight(self, assignment: Assignment) -> str | None:
        """What would keep the work from starting, or None: a replay needs nothing of what the agent does."""
        if self._replays(assignment.task.id):
            return None
        told: str | None = self._agent.preflight(assignment)
        return told

    async def run(self, assignment: Assignment, services: Services) -> Outcome:
        """Do the work, and record it; or do it again as it was recorded."""
        if self._has_tree:
            taken: Outcome | None = await self._agent.take_up(assignment, services)
            if taken is not None:
                return taken
        if self._replays(assignment.task.id):
            return await self._replay(assignment, services)
        return await self._record(assignment, services)

    def _replays(self, task: str) -> bool:
        return self._taping.replay and task not in self._taping.refresh

    # -- what is asked -------------------------------------------------------------------------------------------------

    def _request(self, assignment: Assignment) -> tuple[dict[str, Any], str]:
        """What decides the attempt, and the list of the files that it is given, if it is short. Blocking."""
        tree, listing = self._tree(assignment)
        incidental = getattr(self._agent, "incidental", ())
        return request_of(assignment, self._kind, incidental, tree, Directories.of(assignment.run)), listing

    def _lane(self, assignment: Assignment, key: str) -> tuple[int, int | None]:
        """The attempt's number in its lane, and the attempt before it that is on the tape. Blocking."""
        number, earlier = 1, None
        for attempt in range(1, assignment.attempt):
            if (mark := read_mark(assignment, assignment.task.id, attempt)) is not None:
                number, earlier = number + (mark.key == key), attempt
        return number, earlier

    def _tree(self, assignment: Assignment) -> tuple[dict[str, str], str]:
        """Hashes of the files that the agent is given: the session's, and what the tasks before it changed in them."""
        if not self._has_tree:
            return {}, ""
        listed, settles = self._agent.given(assignment, self._taping.directory)
        digest, listing = tree_hash(listed)
        tree = {"files": digest} | ({"settles": "a dispute"} if settles else {})
        run, task = assignment.run, assignment.task
        for other in sorted(run.ancestors(task.id) if run.ancestors is not None else task.upstream):
            marks = [mark for n in attempts_of(assignment, other) if (mark := read_mark(assignment, other, n))]
            if marks and marks[-1].changed:
                tree[f"after {other}"] = marks[-1].changed
        return tree, listing if len(listed) <= MOST_LISTED else ""

    # -- record --------------------------------------------------------------------------------------------------------

    async def _record(self, assignment: Assignment, services: Services) -> Outcome:
        request, listing = await asyncio.to_thread(self._request, assignment)
        tap, began = Tap(services), time.monotonic()
        work = self._agent.work if self._has_tree else self._agent.run
        outcome: Outcome = await work(assignment, cast("Services", tap))
        seconds = round(time.monotonic() - began, 3)
        try:
            await asyncio.to_thread(self._keep, assignment, request, listing, tap, outcome, seconds)
        except OrchestratorError as error:
            return warned(outcome, services, f"the attempt is not in the cassette: {error}")
        return outcome

    def _keep(
        self,
        assignment: Assignment,
        request: dict[str, Any],
        listing: str,
        tap: Tap,
        outcome: Outcome,
        seconds: float,
    ) -> None:
        """Put the attempt on the tape. Blocking."""
        if type(outcome) not in _ENDINGS:
            raise CassetteError(f"an attempt that ended as {type(outcome).__name__} cannot be recorded")
        redactor = Redactor((*tap.secrets, *secrets_among(tap.services.environment())))
        request, cassette = redacted(request, redactor), self._cassette
        if listing:
            cassette.keep_tree(request["tree"]["files"], listing)
        draft = cassette.begin(assignment.task.id, redactor, assignment.run.session)
        try:
            changes, continues = self._agent.changed(assignment) if self._has_tree else ([], False)
            changes = [redacted_change(change, redactor) for change in changes]
            take = _take_of(draft, assignment, request, outcome, changes)
            told = tap.told(draft, Directories.of(assignment.run))
            take = msgspec.structs.replace(take, told=told, continues=continues, seconds=seconds)
            number, _ = self._lane(assignment, take.key)
            cassette.keep(draft, take, number)
        except BaseException:
            with suppress(OrchestratorError):
                cassette.drop(draft)
            raise
        write_mark(tap.services, Mark(take.key, number, changes_hash(changes) if changes else ""))

    # -- replay --------------------------------------------------------------------------------------------------------

    async def _replay(self, assignment: Assignment, services: Services) -> Outcome:
        try:
            loop, threads = asyncio.get_running_loop(), None if self._has_tree else _one_thread
            outcome, told = await loop.run_in_executor(threads, self._redone, assignment, services)
        except CassetteError as error:
            return Failure(str(error), "cassette")
        for event in told:
            services.report(event)
        return outcome

    def _redone(self, assignment: Assignment, services: Services) -> tuple[Outcome, list[AttemptEvent]]:
        """Leave what the recorded attempt left; returns how it ended, and what it told. Blocking."""
        request, listing = self._request(assignment)
        request = redacted(request, Redactor(secrets_among(services.environment())))
        key = key_of(hashed(request))
        number, earlier = self._lane(assignment, key)
        found = self._cassette.find(assignment.task.id, key, number)
        if found is None:
            raise CassetteError(self._miss(assignment.task.id, request, listing, number))
        take, places = found.take, Directories.of(assignment.run)
        restore(found, services, places)
        changes = [change_of(found, change) for change in take.changes]
        kept = None
        if self._has_tree:
            kept = self._agent.redo(assignment, changes, earlier if take.continues else None)
        write_mark(services, Mark(take.key, number, changes_hash(changes) if changes else ""))
        outcome = take.success or take.failure or take.checkpoint
        assert outcome is not None
        ended = msgspec.convert(each_text(msgspec.to_builtins(outcome), places.here), type(outcome))
        if isinstance(ended, Success) and take.text is not None:
            ended = msgspec.structs.replace(ended, text=places.here(found.read(take.text).decode()))
        if kept is not None and isinstance(ended, Success | Failure):
            ended = msgspec.structs.replace(ended, commits=kept.commits)
        if kept is not None and isinstance(ended, Success):
            warnings = dict.fromkeys((*ended.warnings, *kept.warnings))
            ended = msgspec.structs.replace(ended, warnings=tuple(warnings))
        return ended, list(told_again(found, assignment, places))

    def _miss(self, task: str, request: dict[str, Any], listing: str, number: int) -> str:
        """What is missing, the nearest that there is, and what differs."""
        where, remedy = self._taping.directory, f"record it: --replay {self._taping.directory} --refresh {task}"
        if taken := len(self._cassette.lane(task, key_of(hashed(request)))):
            return (
                f"the cassette {where} holds {taken} attempt{'s' if taken > 1 else ''} of this work of task '{task}',"
                f" and this is number {number}; {remedy}"
            )
        takes = list(self._cassette.takes(task))
        if not takes:
            known = ", ".join(self._cassette.tasks()[:10]) or "none"
            return f"the cassette {where} holds nothing of task '{task}' (it holds: {known}); {remedy}"
        nearest = max(takes, key=lambda recorded: likeness(recorded.request, request))
        lines = differences(nearest.request, request)
        before, now = (one.get("tree", {}).get("files", "") for one in (nearest.request, request))
        if before != now and (files := tree_differences(self._cassette.tree(before), listing)):
            lines.append(f"files: {files}")
        told = "\n".join(f"  {line}" for line in lines)
        return (
            f"the cassette {where} holds no attempt of what task '{task}' asks now. "
            f"The nearest is {nearest.place}; it differs in:\n{told}\nPut that back, or {remedy}"
        )


_ENDINGS = {Success: "success", Failure: "failure", Checkpoint: "checkpoint"}


def _take_of(
    draft: Draft, assignment: Assignment, request: dict[str, Any], outcome: Outcome, changes: list[FileChange]
) -> Take:
    """The attempt as a take; its files are put into the draft."""
    places, hidden = Directories.of(assignment.run), hashed(request)
    prompt, text = request.get("prompt"), getattr(outcome, "text", None)
    plain = msgspec.to_builtins(outcome)
    told = {name: value for name, value in plain.items() if name not in ("text", "commits")}
    ended = {_ENDINGS[type(outcome)]: draft.plain(each_text(told, places.portable))}
    take = Take(
        format=FORMAT,
        task=assignment.task.id,
        request=hidden,
        key=key_of(hidden),
        prompt=None if prompt is None else draft.put("prompt.md", _bytes(prompt)),
        text=None if text is None else draft.put("result.md", _bytes(places.portable(text))),
        files=tuple(recorded_files(draft, assignment, outcome, places)),
        changes=tuple(put_change(draft, change) for change in changes),
    )
    return msgspec.convert({**msgspec.to_builtins(take), **ended}, Take)


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "replace")
