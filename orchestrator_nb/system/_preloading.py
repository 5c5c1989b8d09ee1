"""The supervisor whose commands are forks: it imports modules, makes sure that nothing speaks against a fork, serves.

Refused is a module that starts threads or processes, keeps files open, makes a temporary directory, writes something,
comes (or brings another with it) from a directory that people edit, fails, or takes too long. As none of this can be
undone, this process then ends, and its owner starts another one without the module.
"""

from __future__ import annotations

import fcntl
import gc
import importlib
import importlib.util
import os
import random
import signal
import site
import sys
import sysconfig
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from orchestrator_nb.system import _router, _settling
from orchestrator_nb.system._forking import fork_python
from orchestrator_nb.system._proc import own_children
from orchestrator_nb.system._reaper import Task
from orchestrator_nb.system._wire import ORDERS, REPORTS, SIGNALS, report

#: Characters of what a module writes that are told.
SAMPLE = 60


def main() -> None:
    """Be the preloaded supervisor of the process that started this one."""
    log_cap, process_limit, cgroup, import_limit, *modules = sys.argv[1:]
    coordinator = _router.find_coordinator()
    _default_signals()
    gc.disable()  # imports make little garbage, to look for it takes a quarter of their time: it is frozen with them
    with _dying_with_the_orders():
        for name in modules:
            preload(name, float(import_limit))
    _settling.remember()
    gc.enable()
    _router.main([log_cap, process_limit, cgroup], coordinator, fork_program)
    os._exit(0)


def fork_program(_: bytes, task: Task, streams: tuple[int, int, int]) -> int:
    """Start a task in a fork of the reaper that calls this."""
    stdin, stdout, stderr = streams
    return fork_python(task.argv, env=task.env, cwd=task.cwd, stdin=stdin, stdout=stdout, stderr=stderr)


def preload(name: str, limit: float) -> None:
    """Import a module and say so, or say why not; end this process when it cannot be undone."""
    report(f"importing {name}")
    if reason := where_it_is_wrong(name):
        report(f"refused {name} {reason}")
        return
    before = set(sys.modules)
    began = time.monotonic()
    signal.setitimer(signal.ITIMER_REAL, limit)  # kills: its owner knows what that means
    reason = import_watched(name) or strangers(before)
    signal.setitimer(signal.ITIMER_REAL, 0)
    if reason:
        report(f"refused {name} {' '.join(reason.split())[:500]}")
        os._exit(1)
    report(f"preloaded {name} {1000 * (time.monotonic() - began):.0f}")


@cache
def roots() -> tuple[str, ...]:
    """Directories whose modules nobody edits: the standard library, site-packages, and this package itself."""
    places = [sysconfig.get_path(kind) for kind in ("stdlib", "platstdlib", "purelib", "platlib")]
    places += site.getsitepackages()
    if site.ENABLE_USER_SITE:
        places.append(site.getusersitepackages())
    places.append(str(Path(__file__).parents[1]))
    return tuple({f"{form}/" for place in places for form in (place, os.path.realpath(place))})


def is_settled(path: str) -> bool:
    """Whether a module's file, or a package's directory, is one that nobody edits."""
    return f"{path}/".startswith(roots()) or f"{os.path.realpath(path)}/".startswith(roots())


def where_it_is_wrong(name: str) -> str:
    """Why a module is not to be imported at all; empty: nothing is known against it."""
    top = name.partition(".")[0]
    try:
        spec = importlib.util.find_spec(top)
    except (ImportError, ValueError):
        spec = None
    if spec is None:
        return "is not installed"
    files = list(spec.submodule_search_locations or ()) or ([spec.origin or ""] if spec.has_location else [])
    edited = [file for file in files if not is_settled(file)]
    return f"is in {edited[0]}, which is not site-packages" if edited else ""


def strangers(before: set[str]) -> str:
    """Whether modules came along that are edited."""
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if name not in before and isinstance(file, str) and os.path.isabs(file) and not is_settled(file):  # noqa: PTH117
            return f"imports {file}, which is not in site-packages"
    return ""


def import_watched(name: str) -> str:
    """Import a module; return what speaks against forks that have it, empty if nothing does."""
    descriptors = set(os.listdir("/proc/self/fd"))  # noqa: PTH208
    with _captured() as output, _noted_seeds(), _noted_directories() as directories:
        try:
            importlib.import_module(name)
        except BaseException as error:  # noqa: BLE001 - whatever it raises
            return f"cannot be imported: {type(error).__name__}: {error}"
    if _settling.threads() > 1:
        return "starts threads"
    if own_children():
        return "starts processes"
    if set(os.listdir("/proc/self/fd")) != descriptors:  # noqa: PTH208
        gc.collect()  # some are garbage, perhaps
    if set(os.listdir("/proc/self/fd")) != descriptors:  # noqa: PTH208
        return "keeps files open"
    if directories:
        return "makes a temporary directory"
    if output:
        return f"writes: {output.decode(errors='replace')[:SAMPLE]}"
    return ""


@contextmanager
def _captured() -> Iterator[bytearray]:
    """Keep what is written from the owner, to whom file descriptor 1 leads; it is in the bytearray then."""
    output = bytearray()
    streams = {fd: fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 3) for fd in (REPORTS, 2)}
    file = os.memfd_create("output")
    for fd in streams:
        os.dup2(file, fd)
    try:
        yield output
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        output += os.pread(file, 4 * SAMPLE, 0)
        os.close(file)
        for fd, saved in streams.items():
            os.dup2(saved, fd)
            os.close(saved)


@contextmanager
def _noted_seeds() -> Iterator[None]:
    """Note the generators of random numbers that are given no seed: each fork gives them another one."""
    original = random.Random.seed

    def seed(self: random.Random, a: Any = None, version: int = 2) -> None:
        original(self, a, version)
        if a is None:
            _settling.unseeded[id(self)] = self
        else:
            _settling.unseeded.pop(id(self), None)

    random.Random.seed = seed  # type: ignore[method-assign]
    try:
        yield
    finally:
        random.Random.seed = original  # type: ignore[method-assign]


@contextmanager
def _noted_directories() -> Iterator[list[str]]:
    """Note temporary directories: who made them removes them at exit, and every fork would."""
    original = tempfile.mkdtemp
    made: list[str] = []

    def mkdtemp(*args: Any, **kwargs: Any) -> Any:
        made.append(original(*args, **kwargs))
        return made[-1]

    tempfile.mkdtemp = mkdtemp
    try:
        yield made
    finally:
        tempfile.mkdtemp = original


def _default_signals() -> None:
    """What a Python finds whose parent ignores nothing."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.default_int_handler)


@contextmanager
def _dying_with_the_orders() -> Iterator[None]:
    """End, even within an import, when the owner does: nobody else holds the pipe of the orders, none come so early."""
    fcntl.fcntl(ORDERS, fcntl.F_SETOWN, os.getpid())
    flags = fcntl.fcntl(ORDERS, fcntl.F_GETFL)
    fcntl.fcntl(ORDERS, fcntl.F_SETFL, flags | os.O_ASYNC)  # SIGIO, whose default is the end
    try:
        yield
    finally:
        fcntl.fcntl(ORDERS, fcntl.F_SETFL, flags)
