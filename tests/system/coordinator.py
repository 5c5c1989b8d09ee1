"""A coordinator to be killed: ``python coordinator.py SESSION DIRECTORY COUNT ARGUMENT...``.

It runs the command COUNT times under supervision, and says, once they have printed something: its pid, the
supervisor's, the containment, and the commands' pids. With LAB_THIEF in its environment, another process holds all
its files open, as one forked by a library may. With LAB_PRELOAD, the commands are forks that have these modules.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

from orchestrator_nb.core.ports import Command
from orchestrator_nb.system import _proc
from orchestrator_nb.system.supervisor import Supervisor


def descriptors() -> set[str]:
    """Open file descriptors of this process."""
    return {name for name in os.listdir("/proc/self/fd") if os.path.exists(f"/proc/self/fd/{name}")}


async def main() -> None:
    session, directory, count, *argv = sys.argv[1:]
    preload = tuple(os.environ["LAB_PRELOAD"].split()) if "LAB_PRELOAD" in os.environ else None
    environment = {"PATH": os.environ["PATH"], "ORCH_SESSION": session, "ORCH_TASK_ID": "task", "ORCH_ATTEMPT": "1"}
    async with Supervisor(session) as supervisor:
        processes = [
            await supervisor.spawn(
                Command(
                    argv=argv,
                    cwd=Path(directory),
                    env=environment,
                    log=Path(directory, f"log-{number}"),
                    preload=preload,
                )
            )
            for number in range(int(count))
        ]
        for process in processes:
            async for _ in process.output():
                break
        (keeper,) = _proc.children(os.getpid())
        if "LAB_THIEF" in os.environ:
            subprocess.Popen(["sleep", "1000"], pass_fds=[int(name) for name in descriptors()])
        print(os.getpid(), keeper, processes[0].containment, *(process.pid for process in processes), flush=True)
        for process in processes:
            await process.wait()


if __name__ == "__main__":
    asyncio.run(main())
