"""The process of one model call: ``python _model_child.py DIRECTORY`` (see `agents.child`).

What the model writes is printed as it comes, and so is in the attempt's log; the answer and what was used are left in
files.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path


def main(directory: Path) -> None:
    """Do what the directory's request says, leave the answer in it."""
    from orchestrator_nb.agents._answering import fail, request_in, succeed
    from orchestrator_nb.agents.models._calling import Call, Fault

    request = request_in(directory)
    try:
        call = Call(request, directory)
        answer = asyncio.run(call.make())
    except Fault as fault:
        fail(directory, fault.message, fault.kind, transient=fault.transient)
    else:
        succeed(directory, **answer)


if __name__ == "__main__":
    # Started by path, so that it works wherever its package was imported from.
    sys.path.append(str(Path(__file__).resolve().parents[3]))
    main(Path(sys.argv[1]))
