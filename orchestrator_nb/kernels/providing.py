"""Kernels for notebooks that are executed in this process, one after the other or in several threads."""

from __future__ import annotations

import atexit
import threading
from collections.abc import Sequence
from typing import Any

from nbclient.util import run_sync

from orchestrator_nb.ipynb.imports import imports_of
from orchestrator_nb.kernels import adoption, directories
from orchestrator_nb.kernels.manager import Manager
from orchestrator_nb.kernels.modes import Choice, Kind, choose, is_ipython
from orchestrator_nb.kernels.preload import modules_for
from orchestrator_nb.kernels.provisioner import Pooled

__all__ = ["provide"]

_lock = threading.Lock()
#: The kernel that waits for the next notebook of its kind.
_spare: tuple[Kind, Manager] | None = None


def provide(manager: Manager, mode: str, notebook: Any, arguments: Sequence[str]) -> tuple[Manager, Choice]:
    """A manager for a notebook's kernel, and the choice that was made.

    Args:
        manager: One that has its kernel's name and has not started it. It is returned unless a kernel waits already.
        mode: One of `modes.MODES`.
        notebook: What is going to be executed.
        arguments: For the kernel, beyond those of its specification.

    Raises:
        AgentError: The mode cannot be had for this kernel.
        jupyter_client.kernelspec.NoSuchKernel: There is no such kernel.
    """
    if adopted := adoption.take(manager):
        return manager, adopted
    directories.sweep_at_times()
    spec = manager.kernel_spec
    kind = Kind.of(spec, arguments)
    choice = choose(mode, spec, kind)
    if "kernel_provisioner" in spec.metadata:
        return manager, choice
    if choice.mode == "warm":
        waiting = _take(kind)
        _prepare(kind, manager.kernel_name, arguments)
        if waiting:
            return waiting, choice
        choice = Choice("cold", "none was waiting yet")
    if is_ipython(spec):
        manager.make_private()
    if choice.mode == "fork":
        manager.provide(Pooled, preload=modules_for(imports_of(notebook) if choice.imports else ()))
    return manager, choice


def _take(kind: Kind) -> Manager | None:
    """The kernel that waits, if there is one of this kind and it lives; one of another kind is ended."""
    global _spare
    with _lock:
        spare, _spare = _spare, None
    if spare is None:
        return None
    of, manager = spare
    if of == kind and run_sync(manager.is_alive)():
        return manager
    _end(manager)
    return None


def _prepare(kind: Kind, name: str, arguments: Sequence[str]) -> None:
    """Start a kernel for the next notebook; nobody waits for it."""
    global _spare
    manager = Manager(kernel_name=name)
    manager.make_private()
    manager.waits = True
    run_sync(manager.start_kernel)(extra_arguments=list(arguments))
    with _lock:
        surplus, _spare = _spare, (kind, manager)
    if surplus:
        _end(surplus[1])


def _end(manager: Manager) -> None:
    run_sync(manager.shutdown_kernel)(now=True)


def _end_spare() -> None:
    global _spare
    with _lock:
        spare, _spare = _spare, None
    if spare:
        _end(spare[1])


atexit.register(_end_spare)
