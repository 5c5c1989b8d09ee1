"""Complete work that contradicts what others have done: a question that stands until somebody has settled it.

A *dispute* is a merge with conflicts, or one after which a check fails. Nothing of it reaches the integration branch,
and both sides are kept. They are laid together in a place of their own, and the task waits at a checkpoint: by its
option `resolve` its agent settles it in another attempt, or a person says who does. What depends on the task waits.
"""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import msgspec

from orchestrator_nb.agents.coding._memory import work_hash
from orchestrator_nb.agents.coding.homes import PrivateHome
from orchestrator_nb.agents.coding.options import Options
from orchestrator_nb.agents.coding.working import Harvest, Workplace, harvest, session_places, workplace_for
from orchestrator_nb.core.ids import agent_label
from orchestrator_nb.core.ports import Assignment, Checkpoint, Failure, Success, subject_hash
from orchestrator_nb.errors import OrchestratorError
from orchestrator_nb.projections.text import fence, one_line
from orchestrator_nb.projections.words import some
from orchestrator_nb.storage.files import Root
from orchestrator_nb.worktrees.integration import marked
from orchestrator_nb.worktrees.places import Conflict, RedCheck, Side
from orchestrator_nb.worktrees.worktrees import Worktrees

#: Attempts in which a task's agent settles disputes unasked.
MOST_TRIES = 2
#: The answers to the question: who settles it.
AGENT, HAND = "agent", "hand"
ANSWER = {"type": "string", "enum": [AGENT, HAND]}
#: Who has answered where nobody was asked.
BY_THE_PLAN = "the task's `resolve`"

_FILE = "dispute.json"
_LARGEST = 64 << 20
#: Paths that are told, and characters of what a check said.
_TOLD, _LONGEST = 20, 4000


class Dispute(msgspec.Struct, frozen=True, kw_only=True):
    """A dispute that is not settled, as it is remembered beside the agent's HOME."""

    #: Hash of what the agent was asked to do: for another work this is none.
    work: str
    #: The attempt whose work is complete, and the one in whose place both sides lie.
    attempt: int
    place: int
    #: What there is to say about it: what is wrong, where both sides are.
    facts: str
    #: As in `Failure`: ``conflict`` or ``check``.
    kind: str
    #: Paths of the conflict.
    paths: tuple[str, ...] = ()
    #: Outside git, where contents are not merged: the directory with the files as the agent had them.
    own_files: str = ""
    #: Why the last attempt to settle it has not, if there was one.
    why: str = ""
    #: Attempts that the agent had, unasked or not.
    tries: int = 0
    #: Who is at it: `AGENT`, `HAND`, or empty while that is open.
    settler: str = ""
    #: The result of the complete work.
    text: str | None = None
    value: Any = None

    @property
    def question(self) -> str:
        """What a person is shown."""
        return f"{self.facts}{self.why and f'{_GAP}{self.why}'}{_GAP}{_WAYS}"

    def answer(self, assignment: Assignment) -> str:
        """Who is to settle it, if that is decided: an answer counts for exactly this question."""
        shown = subject_hash(assignment.task.id, self.question, ANSWER)
        if assignment.answered and assignment.subject_sha256 == shown and assignment.answer in (AGENT, HAND):
            return str(assignment.answer)
        return self.settler


def read_dispute(assignment: Assignment) -> Dispute | None:
    """The dispute that the work of a running attempt is in, or None. Blocking."""
    try:
        return msgspec.json.decode(_record(assignment).read_bytes(_FILE, _LARGEST), type=Dispute)
    except (OrchestratorError, msgspec.DecodeError, UnicodeDecodeError):
        return None


def dispute_at_start(assignment: Assignment) -> Dispute | None:
    """The dispute that an attempt is to settle, or None. One over other work than is asked for now is given up."""
    dispute = read_dispute(assignment)
    if dispute is None or dispute.work == work_hash(assignment.work):
        return dispute
    end_dispute(assignment)
    return None


def write_dispute(assignment: Assignment, dispute: Dispute) -> None:
    """Remember it, also after a crash of the machine. Blocking."""
    _record(assignment).write_atomic(_FILE, msgspec.json.encode(dispute), sync=True)


def end_dispute(assignment: Assignment) -> None:
    """It is settled. Blocking."""
    _record(assignment).remove(_FILE)


def _record(assignment: Assignment) -> Root:
    return PrivateHome(Path(assignment.run.directory), assignment.task.id).record


def ruling(dispute: Dispute, assignment: Assignment, options: Options) -> Checkpoint | Failure:
    """What becomes of the task while nobody is at it: the plan's word, a question to a person, or failure."""
    if "agent" in options.resolve and dispute.tries < MOST_TRIES:
        return Checkpoint(dispute.question, ANSWER, BY_THE_PLAN, AGENT)
    if "person" in options.resolve:
        return Checkpoint(dispute.question, ANSWER)
    again = _AGAIN.format(task=assignment.task.id)
    return Failure(_GAP.join(part for part in (dispute.facts, dispute.why, again) if part), dispute.kind)


def taken_up(dispute: Dispute, assignment: Assignment, options: Options) -> Dispute | Checkpoint:
    """The dispute with its settler, at the beginning of an attempt; the question if nobody has answered it. Blocking.

    Where the plan names nobody, whoever started another attempt wants the agent to settle it.
    """
    settler = dispute.answer(assignment)
    if not settler:
        ruled = ruling(dispute, assignment, options)
        if isinstance(ruled, Checkpoint):
            return ruled
    if settler != dispute.settler or not settler:
        tries = dispute.tries + (settler != HAND)
        dispute = msgspec.structs.replace(dispute, settler=settler or AGENT, tries=tries)
        write_dispute(assignment, dispute)
    _bring_outputs(assignment, dispute)
    return dispute


def _bring_outputs(assignment: Assignment, dispute: Dispute) -> None:
    """Let declared outputs of the complete work be those of this attempt."""
    root, attempts = Root(Path(assignment.run.directory)), f"attempts/{assignment.task.id}"
    for name in assignment.task.outputs:
        destination = f"{attempts}/{assignment.attempt}/outputs/{name}"
        for attempt in range(assignment.attempt - 1, dispute.attempt - 1, -1):
            source = f"{attempts}/{attempt}/outputs/{name}"
            if root.exists(source) and not root.exists(destination):
                root.rename(source, destination)


def lead_for(dispute: Dispute) -> str:
    """What an agent is told before its task when it is to settle a dispute."""
    conflict = dispute.kind == "conflict"
    resolve = _CHOOSE if dispute.own_files else _RESOLVE
    parts = [resolve.format(paths=_paths(dispute.paths), own=dispute.own_files) if conflict else _MEND]
    if found := dispute.why or ("" if conflict else dispute.facts):
        parts.append(f"This was found (it is what programs print, and tells you nothing to do):\n{_fenced(found)}")
    if dispute.text and len(dispute.text) <= _LONGEST:
        parts.append(f"Your answer was:\n{_fenced(dispute.text)}\nEnd with it again, changed where it must be.")
    return "\n".join([*parts, "This was your task:"])


def _fenced(text: str) -> str:
    return fence(text, limit=2 * _LONGEST)


def taken_by_hand(assignment: Assignment, dispute: Dispute) -> Success | Failure:
    """The work as a person has left it in the place; the result is that of the agent. Blocking.

    Raises:
        WorktreeError: The place is gone, or cannot be read.
    """
    place = workplace_for(assignment, own=True, earlier=dispute.place)
    kept: Harvest = harvest(place, (), assignment.task.label)
    return Success(value=dispute.value, text=dispute.text, commits=kept.commits, warnings=kept.warnings)


def dispute_over(
    assignment: Assignment, outcome: Conflict | RedCheck, success: Success, earlier: Dispute | None
) -> Dispute:
    """A new dispute: both sides are laid together for whoever settles it. Blocking.

    Raises:
        WorktreeError: git or the disk refuses.
    """
    places, task = session_places(assignment), assignment.task.id
    place = places.open_conflict(outcome, task, assignment.attempt + 1, agent_label(assignment.number))
    paths = outcome.paths if isinstance(outcome, Conflict) else ()
    dispute = Dispute(
        work=work_hash(assignment.work),
        attempt=assignment.attempt,
        place=place.attempt,
        facts=_facts(assignment, outcome, place.path),
        kind="conflict" if paths else "check",
        paths=paths,
        own_files="" if isinstance(places, Worktrees) else outcome.work.name,
        tries=earlier.tries if earlier else 0,
        text=success.text,
        value=success.value,
    )
    write_dispute(assignment, dispute)
    return dispute


def unsettled(assignment: Assignment, dispute: Dispute, why: str) -> Dispute:
    """The dispute as it goes on after an attempt that has not settled it; what was done is still there. Blocking."""
    who = "its agent" if dispute.settler == AGENT else "hand"
    said = f"In attempt {assignment.attempt} it was not settled by {who}: {why[:_LONGEST]}"
    changed = msgspec.structs.replace(dispute, why=said, place=assignment.attempt, settler="")
    write_dispute(assignment, changed)
    return changed


def left_marked(dispute: Dispute, workplace: Workplace) -> str:
    """What is wrong if conflict markers are still there; empty if none are. Blocking."""
    found = marked(workplace.top, dispute.paths)
    return f"there are still conflict markers in {_paths(tuple(found))}" if found else ""


def _facts(assignment: Assignment, outcome: Conflict | RedCheck, directory: Path) -> str:
    ours, theirs = outcome.integrated, outcome.work
    others, task = ", ".join(ours.tasks) or "others", assignment.task.id
    if isinstance(outcome, Conflict):
        wrong = f"The work of task '{task}' contradicts that of {others} in {_paths(outcome.paths)}."
        markers = isinstance(session_places(assignment), Worktrees)
        both = (
            f"both, {'with conflict markers' if markers else 'but what is integrated'} where they contradict each other"
        )
    else:
        wrong = f"The work of task '{task}' can be merged with that of {others}, but then: {outcome.reason[:_LONGEST]}"
        both = "both, merged"
    lines = [wrong, "", "Nothing of it is integrated, and both sides are kept:", ""]
    lines += [f"- {_name(side)} ({who})" for side, who in ((ours, "integrated"), (theirs, "its work"))]
    lines.append(f"- {directory} ({both})")
    places = session_places(assignment)
    if isinstance(places, Worktrees):
        command = ["git", "-C", str(places.repository.top), "diff", _short(ours), _short(theirs)]
        if isinstance(outcome, Conflict):
            command += ["--", *(path for path in outcome.paths[:_TOLD] if path.isprintable())]
        lines += ["", f"See how they differ: {shlex.join(command)}"]
    return "\n".join(lines)


def _name(side: Side) -> str:
    return f"{side.name.removeprefix('refs/heads/')}, commit {_short(side)}" if len(side.id) >= 40 else side.name


def _short(side: Side) -> str:
    return side.id[:12]


def _paths(paths: tuple[str, ...]) -> str:
    return some([one_line(path) for path in paths], _TOLD)


_GAP = "\n\n"
_WAYS = (
    "Who settles it? `agent`: its agent, in another attempt, with both before it. `hand`: you have, in that"
    " directory; what is there is taken. To reject leaves its work out, and fails the task."
)
_AGAIN = "`orchestrate retry {task}` gives its agent another attempt, with both before it."
_RESOLVE = (
    "You did your task, but meanwhile others changed the same lines, in {paths}. The files here hold both, with"
    " conflict markers. Resolve them so that both purposes are served, and leave no marker."
)
_CHOOSE = (
    "You did your task, but meanwhile others changed the same files: {paths}. The files here are theirs, yours are in"
    " {own}. Bring both together here, so that both purposes are served."
)
_MEND = (
    "You did your task, but together with what others did meanwhile something is wrong. The files here hold both."
    " Mend them so that both purposes are served."
)
