"""What the nested runs of an attempt have used (`runtime.nesting`), read from their own logs when it has ended."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from orchestrator_nb.core import events as e
from orchestrator_nb.core.models import agent_kind
from orchestrator_nb.core.ports import Assignment, Execution, Executor
from orchestrator_nb.errors import OrchestratorError
from orchestrator_nb.storage.log import read_records
from orchestrator_nb.storage.workspace import SessionDir

#: What the attempt's agent is called where the programs of its nested runs are counted.
NESTED = "nested run"
#: Kinds of agents that start no process of the run's user, or one that does not see the run.
_ALONE = frozenset(["claude", "codex", "gemini", "human", "none", "simulated"])


class Note(msgspec.Struct, frozen=True):
    """What a nested run leaves in the attempt that it belongs to."""

    session: str
    #: Records of its log up to this number are of earlier attempts.
    since: int


def spent_by_nested_runs(directory: SessionDir, task: str, attempt: int) -> list[e.AnyEvent]:
    """What an attempt's nested runs have used, as events of the attempt; none if it had none."""
    nested = f"{directory.attempt(task, attempt)}/nested"
    names = directory.root.names(nested) if (directory.path / nested).is_dir() else []
    if not names:
        return []
    spent: list[e.AgentSpent] = []
    known = True
    for name in names:
        try:
            note = msgspec.json.decode(directory.root.read_bytes(f"{nested}/{name}", 1 << 16), type=Note)
            spent += last_words(read_records(Path(note.session) / "events.jsonl"), note.since)
        except (OSError, OrchestratorError, msgspec.DecodeError):
            known = False  # it is gone, or damaged
    return [e.AgentStarted(task, attempt, NESTED), sum_of(spent, task, attempt, known=known)]


def last_words(records: Iterable[e.Record], since: int = 0) -> list[e.AgentSpent]:
    """The last word of each attempt on what it used, of a session's records after number `since`."""
    last: dict[tuple[str, int], e.AgentSpent] = {}
    for record in records:
        if record.seq > since and isinstance(record.event, e.AgentSpent):
            last[record.event.task, record.event.attempt] = record.event
    return list(last.values())


def sum_of(spent: Sequence[e.AgentSpent], task: str, attempt: int, *, known: bool = True) -> e.AgentSpent:
    """All that was `spent`, as one attempt's; at an unknown cost if that of any is, or if not all is `known`."""
    costs = [told.cost for told in spent if told.cost is not None]
    return e.AgentSpent(
        task,
        attempt,
        sum(told.input_tokens for told in spent),
        sum(told.output_tokens for told in spent),
        sum(told.cached_tokens for told in spent),
        round(math.fsum(costs), 9) if known and len(costs) == len(spent) else None,
        final=True,
    )


class NestedSpending:
    """An executor that counts what nested runs use for the attempts that they belong to."""

    def __init__(self, executor: Executor, directory: SessionDir, note: Callable[[Any], None]) -> None:
        self._executor, self._directory, self._note = executor, directory, note

    async def execute(self, assignment: Assignment) -> Execution:
        """Carry out one attempt."""
        try:
            return await self._executor.execute(assignment)
        finally:
            work = assignment.work
            if agent_kind(work) not in _ALONE and (work.function is None or assignment.task.isolate == "process"):
                for event in spent_by_nested_runs(self._directory, assignment.task.id, assignment.attempt):
                    self._note(event)
