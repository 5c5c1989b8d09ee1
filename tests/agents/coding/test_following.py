from __future__ import annotations

import asyncio
import sys
import time
from collections import Counter
from pathlib import Path

from orchestrator_nb.agents.coding.claude import Claude
from orchestrator_nb.agents.coding.codex import Codex
from orchestrator_nb.agents.coding.following import Ending, Follower
from orchestrator_nb.agents.coding.judging import Judge
from orchestrator_nb.agents.coding.vocabulary import AgentEvent, PermissionDenied, Text
from orchestrator_nb.agents.coding.watching import Watch
from orchestrator_nb.core.ports import Command
from orchestrator_nb.system.supervisor import Supervisor

SAYS = """
import json, sys, time
def put(**record):
    print(json.dumps(record), flush=True)
put(type="system", subtype="init", session_id="s1", cwd="/w")
"""
DONE = 'put(type="result", subtype="success", is_error=False, result="well")\n'


class Listener:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.events: list[AgentEvent] = []
        self.ticks = 0

    def see(self, event: AgentEvent) -> None:
        self.events.append(event)

    def tick(self) -> None:
        self.ticks += 1


def follow(tmp_path: Path, program: str, cli: Claude | Codex | None = None, **watch: float) -> tuple[Ending, Listener]:
    """Run a Python program as if it were this CLI."""
    chosen, listener = cli or Claude(), Listener()

    async def one() -> Ending:
        async with Supervisor() as spawner:
            errors = tmp_path / "log.stderr"
            command = Command(
                argv=(sys.executable, "-c", SAYS + program),
                cwd=tmp_path,
                env={},
                log=tmp_path / "log",
                error_log=errors,
            )
            process = await spawner.spawn(command)
            clock = Watch(**{"stall": 60.0, "tool_stall": 60.0, "linger": 60.0, "now": time.monotonic(), **watch})
            return await Follower(chosen, process, errors, clock, Judge(chosen), listener).follow(tmp_path, 1.0)

    return asyncio.run(asyncio.wait_for(one(), 60)), listener


def test_events_come_while_it_runs_and_are_summed_up(tmp_path: Path) -> None:
    ending, listener = follow(tmp_path, DONE)
    assert (ending.summary.state, ending.summary.session, ending.summary.text) == ("succeeded", "s1", "well")
    assert ending.verdict == ""
    assert len(listener.events) == 2
    assert listener.ticks


class Rounds(Listener):
    """Counts what comes between two rounds of the loop."""

    def __init__(self) -> None:
        super().__init__()
        self.round = 0
        self.heard: Counter[int] = Counter()

    def see(self, event: AgentEvent) -> None:
        super().see(event)
        self.heard[self.round] += 1

    async def count(self) -> None:
        while True:
            self.round += 1
            await asyncio.sleep(0)


def test_talkative_agents_are_read_in_turns(tmp_path: Path) -> None:
    """However many have talked, no more than a slice of one is read before the loop serves others."""
    listener, agents, lines = Rounds(), 8, 2_000
    program = f"""
for number in range({lines}):
    put(type="assistant", message={{"content": [{{"type": "text", "text": "word " * 20}}]}})
"""

    async def one(spawner: Supervisor, number: int) -> None:
        log = tmp_path / f"log-{number}"
        command = Command(argv=(sys.executable, "-c", SAYS + program), cwd=tmp_path, env={}, log=log)
        process = await spawner.spawn(command)
        await process.wait()  # so that all of it is there
        clock = Watch(60.0, 60.0, 60.0, time.monotonic())
        await Follower(Claude(), process, tmp_path / "none", clock, Judge(Claude()), listener).follow(tmp_path, 1.0)

    async def together() -> None:
        async with Supervisor() as spawner:
            counting = asyncio.create_task(listener.count())
            await asyncio.gather(*(one(spawner, number) for number in range(agents)))
            counting.cancel()

    asyncio.run(asyncio.wait_for(together(), 100))
    assert len(listener.events) == agents * (lines + 1)
    assert max(listener.heard.values()) < 100


def test_standard_error_is_read_too(tmp_path: Path) -> None:
    said = "2026-01-01T00:00:00Z ERROR codex_core::tools::router: error=patch rejected: writing is blocked by read-only"
    program = f"""
put(type="thread.started", thread_id="t1")
sys.stderr.write({said!r} + " sandbox; rejected by user approval settings\\n")
put(type="turn.completed", usage={{}})
"""
    ending, listener = follow(tmp_path, program, Codex())
    assert [denial.source for denial in ending.summary.denials] == ["stderr"]
    assert any(isinstance(event, PermissionDenied) for event in listener.events)


def test_row_E5_a_huge_line_and_a_torn_tail_are_read(tmp_path: Path) -> None:
    program = """
put(type="assistant", message={"content": [{"type": "text", "text": "x" * 10_000_000}]})
put(type="result", subtype="success", is_error=False, result="well")
sys.stdout.write('{"type": "torn')
"""
    ending, listener = follow(tmp_path, program)
    assert ending.summary.state == "succeeded"
    assert ending.summary.unknown == 1
    assert any(isinstance(event, Text) and len(event.text) == 10_000_000 for event in listener.events)


def test_an_end_without_a_final_event_is_no_success(tmp_path: Path) -> None:
    ending, _ = follow(tmp_path, "")
    assert ending.summary.state == "incomplete"
    ending, _ = follow(tmp_path, "sys.exit('error: unknown option --x')")
    assert "unknown option" in ending.summary.message


def test_who_shows_no_sign_of_work_is_ended(tmp_path: Path) -> None:
    program = """
for attempt in range(1000):
    put(type="system", subtype="api_retry", attempt=attempt, error_status=529)
    time.sleep(0.02)
"""
    ending, _ = follow(tmp_path, program, stall=0.5)
    assert ending.verdict == "stalled"
    assert "no sign of work for 0.5 s" in ending.words
    assert ending.summary.state == "incomplete"


def test_who_stays_after_its_final_event_has_succeeded(tmp_path: Path) -> None:
    ending, _ = follow(tmp_path, DONE + "time.sleep(1000)", linger=0.3)
    assert (ending.verdict, ending.summary.state) == ("lingering", "succeeded")
