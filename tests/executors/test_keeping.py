from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from pathlib import Path, PurePath
from typing import Any

import pytest

from orchestrator_nb.core.ports import Command, Process
from orchestrator_nb.errors import AgentError, CommandRefused
from orchestrator_nb.executors.keeping import Keeper
from orchestrator_nb.system.processes import Identity, alive, boot_id
from orchestrator_nb.system.supervisor import Supervisor

SESSION = PurePath("/s")
WHOLE = r"To run the whole notebook again: orchestrate retry T -s /s"


class Kept:
    """A keeper, and processes to keep."""

    def __init__(self, supervisor: Supervisor, directory: Path, limit: int) -> None:
        self.keeper = Keeper(SESSION, limit)
        self._supervisor, self._directory = supervisor, directory

    async def process(self, *argv: str) -> Process:
        command = Command(
            argv=argv or ("sleep", "1000"), cwd=self._directory, env=dict(os.environ), log=self._directory / "log"
        )
        return await self._supervisor.spawn(command)


def lives(process: Process) -> bool:
    return alive(Identity(process.pid, process.start_time, boot_id()))


async def until(true: Callable[[], Any]) -> None:
    deadline = time.monotonic() + 20
    while not true():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)


def run(directory: Path, scenario: Callable[[Kept], Any], limit: int = 2) -> None:
    async def one() -> None:
        async with Supervisor("s") as supervisor:
            kept = Kept(supervisor, directory, limit)
            await scenario(kept)
            kept.keeper.close()

    asyncio.run(one())


def test_what_is_kept_is_given_to_the_attempt_that_was_asked_to_go_on(tmp_path: Path) -> None:
    async def scenario(kept: Kept) -> None:
        keeper, process = kept.keeper, await kept.process()
        until = keeper.keep("T", 3, process, 60)
        assert keeper.until == {"T": until}
        assert abs(until - time.time() - 60) < 10
        keeper.claim("T")
        await keeper.begin("T")
        found = keeper.take("T")
        assert found is not None
        assert (found.process, found.attempt) == (process, 3)
        assert lives(process)
        assert keeper.take("T") is None
        assert not keeper.used

    run(tmp_path, scenario)


def test_a_whole_attempt_ends_what_was_kept(tmp_path: Path) -> None:
    async def scenario(kept: Kept) -> None:
        keeper, process = kept.keeper, await kept.process()
        keeper.keep("T", 1, process, 60)
        await keeper.begin("T")
        assert not lives(process)
        assert keeper.take("T") is None
        with pytest.raises(CommandRefused, match="no live kernel: it ended when the notebook was started anew"):
            keeper.claim("T")

    run(tmp_path, scenario)


def test_its_time_is_up(tmp_path: Path) -> None:
    async def scenario(kept: Kept) -> None:
        ended = asyncio.Event()
        kept.keeper.on_end = ended.set
        process = await kept.process()
        kept.keeper.keep("T", 1, process, 0.1)
        await asyncio.wait_for(ended.wait(), 20)
        assert not lives(process)
        with pytest.raises(CommandRefused, match=rf"no live kernel: it was kept until .*\. {WHOLE}"):
            kept.keeper.claim("T")

    run(tmp_path, scenario)


def test_what_dies_between_the_asking_and_the_attempt_is_told_to_the_attempt(tmp_path: Path) -> None:
    async def scenario(kept: Kept) -> None:
        process = await kept.process()
        kept.keeper.keep("T", 1, process, 60)
        kept.keeper.claim("T")
        os.kill(process.pid, 9)
        await until(lambda: not kept.keeper.until)
        with pytest.raises(AgentError, match=f"it has died meanwhile. {WHOLE}"):
            kept.keeper.take("T")

    run(tmp_path, scenario)


def test_an_attempt_that_fails_before_it_goes_on_leaves_it_kept(tmp_path: Path) -> None:
    async def scenario(kept: Kept) -> None:
        keeper, process = kept.keeper, await kept.process()
        keeper.keep("T", 1, process, 60)
        keeper.claim("T")
        await keeper.begin("T")
        keeper.end("T")
        assert list(keeper.until) == ["T"]
        assert keeper.take("T") is None
        assert lives(process)

    run(tmp_path, scenario)


def test_no_more_are_kept_than_may_run_at_once(tmp_path: Path) -> None:
    async def scenario(kept: Kept) -> None:
        kept.keeper.keep("T", 1, await kept.process(), 60)
        with pytest.raises(AgentError, match="1 are kept already, as many as may run at once"):
            kept.keeper.keep("U", 1, await kept.process(), 60)
        with pytest.raises(CommandRefused, match="task 'U' has no live kernel: it was not kept"):
            kept.keeper.claim("U")

    run(tmp_path, scenario, limit=1)
