"""Many commands at once where file descriptors are short: ``python crowd.py SESSION DIRECTORY COUNT LIMIT``.

It says how many ended with 0 and their output complete.
"""

from __future__ import annotations

import asyncio
import os
import resource
import sys
from pathlib import Path

from orchestrator_nb.core.ports import Command
from orchestrator_nb.system.supervisor import Supervisor


async def main() -> None:
    session, directory, count, limit = sys.argv[1:]
    resource.setrlimit(resource.RLIMIT_NOFILE, (int(limit), int(limit)))
    environment = {"PATH": os.environ["PATH"], "ORCH_SESSION": session}

    async def one(number: int) -> bool:
        argv = ["/bin/sh", "-c", f"sleep 0.05; echo {number}"]
        log = Path(directory, f"log-{number}")
        process = await supervisor.spawn(Command(argv=argv, cwd=Path(directory), env=environment, log=log))
        output = b"".join([chunk async for chunk in process.output()])
        return (await process.wait()).code == 0 and output == b"%d\n" % number

    async with Supervisor(session) as supervisor:
        print(sum(await asyncio.gather(*map(one, range(int(count))))))


if __name__ == "__main__":
    asyncio.run(main())
