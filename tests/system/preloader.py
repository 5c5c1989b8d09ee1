"""A coordinator in a virtual environment of its own: ``python preloader.py SESSION DIRECTORY SECONDS MODULE...``.

It runs ``program.py`` of the directory in a fork that has these modules, twice; in between it installs `late` and a new
``good``. It prints what it was told about each, and what that printed.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import sysconfig
from pathlib import Path

from orchestrator_nb.core.ports import Command
from orchestrator_nb.system.supervisor import Supervisor


async def run(supervisor: Supervisor, directory: Path, modules: tuple[str, ...]) -> None:
    log = directory / "log"
    log.unlink(missing_ok=True)
    environment = {"PATH": os.environ["PATH"], "ORCH_SESSION": sys.argv[1], "PYTHONPATH": "edited"}
    argv = (sys.executable, str(directory / "program.py"))
    process = await supervisor.spawn(Command(argv=argv, cwd=directory, env=environment, log=log, preload=modules))
    await process.wait()
    assert process.preloaded
    print(json.dumps([process.preloaded.modules, dict(process.preloaded.refused), log.read_text()]), flush=True)


async def main() -> None:
    session, place, seconds, *modules = sys.argv[1:]
    async with Supervisor(session, import_limit=float(seconds)) as supervisor:
        await run(supervisor, Path(place), tuple(modules))
        packages = Path(sysconfig.get_path("purelib"))
        (packages / "late.py").write_text("")
        good = packages / "good.py"
        good.write_text(good.read_text().replace("VERSION = 1", "VERSION = 22"))
        await run(supervisor, Path(place), ("good", "late"))
        print(json.dumps(supervisor.warm_facts()), flush=True)


if __name__ == "__main__":
    asyncio.run(main())
