"""What the tests of forks share."""

from __future__ import annotations

import asyncio
import sys
import textwrap
from collections.abc import Callable, Coroutine
from typing import Any

from orchestrator_nb.core.ports import Command
from orchestrator_nb.system._process import SupervisedProcess
from orchestrator_nb.system.supervisor import Supervisor
from tests.system.lab import Lab


def supervised(lab: Lab, work: Callable[[Supervisor], Coroutine[Any, Any, None]]) -> None:
    async def main() -> None:
        async with Supervisor(lab.token) as supervisor:
            await work(supervisor)

    asyncio.run(main())


def program(lab: Lab, code: str, *arguments: str, preload: tuple[str, ...] | None = ("json",), **more: Any) -> Command:
    """A command that runs a file with this code."""
    number = len(list(lab.place.glob("program-*.py")))
    file = lab.place / f"program-{number}.py"
    file.write_text(textwrap.dedent(code))
    return lab.command(sys.executable, "-P", str(file), *arguments, preload=preload, **more)


async def finish(process: SupervisedProcess) -> tuple[int, str]:
    """Its exit code and its output."""
    output = b"".join([chunk async for chunk in process.output()])
    return (await asyncio.wait_for(process.wait(), 30)).code, output.decode()


async def run(supervisor: Supervisor, command: Command) -> tuple[int, str]:
    return await finish(await supervisor.spawn(command))
