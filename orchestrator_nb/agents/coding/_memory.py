"""What is remembered of a task's agent from one attempt to the next, beside its HOME and out of its reach."""

from __future__ import annotations

import hashlib
from pathlib import Path

import msgspec

from orchestrator_nb.agents.coding.cli import CodingCli
from orchestrator_nb.agents.coding.recovery import Widening, question
from orchestrator_nb.agents.coding.streams import Reader
from orchestrator_nb.agents.coding.vocabulary import Started, Usage
from orchestrator_nb.core.models import Work
from orchestrator_nb.core.ports import Assignment, subject_hash
from orchestrator_nb.errors import OrchestratorError, UnsafePath
from orchestrator_nb.storage.files import Root
from orchestrator_nb.system.reading import open_regular

_FILE = "memory.json"
_LARGEST = 1 << 20
#: Bytes of a log in which an agent has said what its session is called.
_BEGINNING = 1 << 18


class Memory(msgspec.Struct, kw_only=True):
    """The last attempt, as far as it matters to the next one."""

    #: Of the work: another prompt, agent or option begins anew.
    work: str = ""
    attempt: int = 0
    #: The tree of files in which it worked.
    place: str = ""
    #: The agent's own session, and its totals so far.
    session: str | None = None
    totals: Usage | None = None
    #: Whether its session may be gone on with: while it runs, and after an end that was not its own fault.
    open: bool = False
    #: What was asked for at its end, and for which refusals.
    asked: Widening | None = None
    refusals: tuple[str, ...] = ()
    #: Hash of the consent that was used up.
    used: str = ""

    def consent(self, assignment: Assignment) -> Widening | None:
        """What a person has agreed to and was not used yet: the answer must be to exactly this question."""
        if not assignment.answered or self.asked is None:
            return None
        asked = subject_hash(assignment.task.id, question(assignment.task.id, self.asked, self.refusals), {})
        return self.asked if asked == assignment.subject_sha256 != self.used else None


def work_hash(work: Work) -> str:
    """Hash of what an agent is asked to do."""
    return hashlib.sha256(msgspec.json.encode([work.agent, work.prompt, work.parameters], enc_hook=str)).hexdigest()


def read_memory(record: Root) -> Memory:
    """What is remembered; nothing if it cannot be read."""
    try:
        return msgspec.json.decode(record.read_bytes(_FILE, _LARGEST), type=Memory)
    except (OrchestratorError, msgspec.DecodeError, UnicodeDecodeError):
        return Memory()


def write_memory(record: Root, memory: Memory, *, sync: bool = True) -> None:
    """Remember this, also after a crash of this process, and with `sync` of the machine."""
    record.write_atomic(_FILE, msgspec.json.encode(memory), sync=sync)


def session_in(log: Path, cli: CodingCli) -> str | None:
    """The session that the beginning of an attempt's log names: nobody may have read it before the attempt's end."""
    try:
        with open_regular(log) as file:
            events = Reader(cli.parser().output).feed(file.read(_BEGINNING))
    except (FileNotFoundError, UnsafePath):
        return None
    return next((event.session for event in events if isinstance(event, Started) and event.session), None)
