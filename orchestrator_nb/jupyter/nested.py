"""`allow_nested_loops`: asyncio.run(...) in a cell, for code that is not ours. The library itself never needs it."""

from __future__ import annotations

import asyncio
import re
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from orchestrator_nb.errors import OrchestratorError
from orchestrator_nb.jupyter.environment import shell

#: The first nest_asyncio2 that leaves the queue of ipykernel 7.1 and later alone, and that ipykernel.
GOOD_PATCH = (1, 7, 3)
FRAGILE_KERNEL = (7, 1)


def allow_nested_loops() -> None:
    """Make `asyncio.run(...)` and `loop.run_until_complete(...)` work in a cell, where a loop is running already.

    For code of yours that needs it: runs do not, as they have a loop and a thread of their own. It patches asyncio for
    the whole process, for good: with nest_asyncio2 (1.7.3 or later) if that is installed, else with nest_asyncio.

    Raises:
        OrchestratorError: With what is installed, this kernel would lose cells and clicks; says what to do instead.
    """
    patch = "nest_asyncio2" if _version("nest-asyncio2") >= GOOD_PATCH else "nest_asyncio"
    in_force = _in_force() or patch
    if in_force != "nest_asyncio2" and _in_kernel() and (kernel := _version("ipykernel")) >= FRAGILE_KERNEL:
        raise OrchestratorError(_refusal(kernel, applied=_in_force() is not None))
    import_module(in_force).apply()


def _in_force() -> str | None:
    """The patch that somebody has applied in this process already."""
    if not hasattr(asyncio, "_nest_patched"):
        return None
    good = hasattr(asyncio, "_nest_asyncio2") and _version("nest-asyncio2") >= GOOD_PATCH
    return "nest_asyncio2" if good else "nest_asyncio"


def _in_kernel() -> bool:
    here: Any = shell()
    return getattr(here, "kernel", None) is not None


def _version(name: str) -> tuple[int, ...]:
    """Of an installed package; empty if it is not there."""
    try:
        return tuple(int(part) for part in re.findall(r"\d+", version(name))[:3])
    except PackageNotFoundError:
        return ()


def _refusal(kernel: tuple[int, ...], applied: bool) -> str:
    shown = ".".join(map(str, kernel))
    how = "has been applied in this kernel already" if applied else "is what is installed to nest loops with"
    restart = ", restart the kernel" if applied else ""
    return (
        f"nest_asyncio (or a nest_asyncio2 before 1.7.3) {how}: under ipykernel {shown} it loses the cells and the "
        "clicks on buttons that are queued while a nested loop runs. Runs need no nesting: write 'await run' or "
        "'run.wait()', and 'await' your own coroutines. If other code has to call asyncio.run(...) in a cell: "
        f'pip install "nest-asyncio2>=1.7.3"{restart}, and call allow_nested_loops() again'
    )
