"""What a fork of a preloaded interpreter makes anew, so that it is like one that has just started.

Seeds, environment, what ``ps`` shows, threads of BLAS libraries; and how it ends.
"""

from __future__ import annotations

import atexit
import ctypes
import gc
import logging
import os
import random
import signal
import sys
import threading
import time
import weakref
from collections.abc import Iterable
from contextlib import suppress
from itertools import takewhile
from types import ModuleType
from typing import Any

from orchestrator_nb.system._proc import read

PR_SET_PDEATHSIG, PR_SET_NAME, PR_SET_MM, PR_SET_MM_MAP = 1, 15, 35, 14

#: What every fork begins with: `sys.path`, the modules that are there, and what Python's start (LC_CTYPE) and the
#: imports did to the environment.
base_path: list[str] = []
base_modules: frozenset[str] = frozenset()
base_environment: dict[bytes, bytes | None] = {}
#: Generators of random numbers that a preloaded module made without giving them a seed.
unseeded: dict[int, random.Random] = {}
#: The BLAS and OpenMP libraries that are loaded (of `threadpoolctl`).
_libraries: list[Any] = []
#: What /proc shows as arguments and environment of this process.
_shown: list[ctypes.Array[ctypes.c_char]] = []


def remember() -> None:
    """Take what is there now for what every fork begins with."""
    global base_modules  # noqa: PLW0603 - of the process
    base_path[:] = sys.path
    given = dict(item.split(b"=", 1) for item in read("/proc/self/environ").split(b"\0") if item)
    for name in {*os.environb, *given}:
        if os.environb.get(name) != given.get(name):
            base_environment[name] = os.environb.get(name)
    import threadpoolctl  # type: ignore[import-untyped]  # not before: it changes the environment

    base_modules = frozenset(sys.modules)
    _libraries[:] = threadpoolctl.ThreadpoolController().lib_controllers


def threads() -> int:
    """How many threads this process has, those of native libraries included."""
    return len(os.listdir("/proc/self/task"))  # noqa: PTH208


def die_with(parent: int) -> None:
    """Be killed when the process that forked this one ends."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)


def replace_environment(environment: dict[bytes, bytes]) -> None:
    """Have this environment, with what the preloaded modules would have done to it."""
    os.environb.clear()
    for name, value in {**environment, **base_environment}.items():
        if value is not None:
            os.environb[name] = value


def start_afresh() -> None:
    """Make anew what must not be the same in two processes."""
    for generator in unseeded.values():
        generator.seed()
    if mtrand := sys.modules.get("numpy.random.mtrand"):
        mtrand.seed()
    if process := sys.modules.get("multiprocessing.process"):
        process.current_process().authkey = os.urandom(32)
        process.ORIGINAL_DIR = os.getcwd()  # type: ignore[attr-defined]  # noqa: PTH109
    logging._startTime = time.time_ns() if isinstance(logging._startTime, int) else time.time()  # type: ignore  # noqa: PGH003
    threading.main_thread()._set_native_id()  # type: ignore[attr-defined]
    _raise_thread_limits()
    _read_again_matplotlibrc()


def _raise_thread_limits() -> None:
    """Have as many BLAS threads as a fresh process (the preloaded one was limited to one, to be able to fork)."""
    cores = len(os.sched_getaffinity(0))
    wanted = _number("OPENBLAS_NUM_THREADS", "GOTO_NUM_THREADS", "OMP_NUM_THREADS", default=cores)
    for library in _libraries:
        if library.internal_api == "openblas" and wanted > 1:
            library.set_num_threads(wanted)
        elif library.internal_api == "openmp" and cores < library.get_num_threads():
            library.set_num_threads(cores)
    numexpr = sys.modules.get("numexpr")
    wanted = _number("NUMEXPR_NUM_THREADS", "OMP_NUM_THREADS", default=min(cores, 16))
    if numexpr and wanted > 1:
        numexpr.set_num_threads(wanted)
        numexpr.nthreads = wanted  # type: ignore[attr-defined]


def _number(*names: str, default: int) -> int:
    """The first of these environment variables that is a number above 0."""
    for name in names:
        value = os.environ.get(name, "").partition(",")[0].strip()
        if value.isdigit() and int(value):
            return int(value)
    return default


def _read_again_matplotlibrc() -> None:
    """The one settings file of a preloaded library that is looked for in the working directory."""
    matplotlib = sys.modules.get("matplotlib")
    if matplotlib and os.path.exists("matplotlibrc"):  # noqa: PTH110 - pathlib costs more than the look
        dict.update(matplotlib.rcParams, matplotlib.rc_params())
        matplotlib.rcParamsOrig = matplotlib.rcParams.copy()  # type: ignore[attr-defined]


# -- what others see of it


class _MemoryMap(ctypes.Structure):
    """``struct prctl_mm_map``: where the kernel is to find what about a process."""

    #: start and end of code, start and end of data, start of heap, heap, start of stack; start and end of arguments,
    #: start and end of environment; auxiliary vector (none: as it is), its size, file descriptor (none) of the program.
    _fields_ = (
        ("places", ctypes.c_uint64 * 7),
        ("texts", ctypes.c_uint64 * 4),
        ("auxv", ctypes.c_uint64),
        ("auxv_size", ctypes.c_uint32),
        ("exe_fd", ctypes.c_int32),
    )


def show_as(argv: list[str], environment: dict[bytes, bytes]) -> None:
    """Have the command's name, arguments and environment in /proc, by which people and `processes.sweep` know it.

    A kernel that cannot do it (built without CONFIG_CHECKPOINT_RESTORE) shows those of the preloaded interpreter.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(PR_SET_NAME, os.fsencode(os.path.basename(argv[0]))[:15], 0, 0, 0)  # noqa: PTH119
    libc.sbrk.restype = ctypes.c_void_p
    with open("/proc/self/stat", "rb") as file:  # noqa: PTH123
        fields = [int(field) for field in file.read().rpartition(b") ")[2].split()[1:]]
    code, stack, data_and_heap = fields[22:24], fields[24], fields[41:44]
    places = (*code, *data_and_heap, libc.sbrk(0), stack)
    texts = [_block(map(os.fsencode, argv)), _block(b"=".join(item) for item in environment.items())]
    ends = [end for text in texts for begin in [ctypes.addressof(text)] for end in (begin, begin + len(text) - 1)]
    new = _MemoryMap((ctypes.c_uint64 * 7)(*places), (ctypes.c_uint64 * 4)(*ends), 0, 0, -1)
    if libc.prctl(PR_SET_MM, PR_SET_MM_MAP, ctypes.byref(new), ctypes.sizeof(new), 0) == 0:
        _shown[:] = texts


def _block(items: Iterable[bytes]) -> ctypes.Array[ctypes.c_char]:
    """As in memory at the start of a process: each ends with NUL (and the buffer with one more)."""
    return ctypes.create_string_buffer(b"".join(item + b"\0" for item in items))


# -- the end


def wind_up() -> None:
    """What Python does at its end, but for taking apart the preloaded modules.

    Threads are joined, exit handlers run, what the program itself has imported and defined is dropped (files that it
    left open are written), buffers are flushed.
    """
    for step in (threading._shutdown, atexit._run_exitfuncs, _drop_modules, flush):  # type: ignore[attr-defined]
        try:
            step()
        except BaseException as error:  # noqa: BLE001 - as Python itself: it is told, and the end goes on
            with suppress(BaseException):
                sys.stderr.write(f"Exception ignored in: {step!r}\n")
                sys.__excepthook__(type(error), error, error.__traceback__)


def _drop_modules() -> None:
    """Drop what was imported since the start, the main program first, and what only that holds."""
    vars(sys).update(last_exc=None, last_type=None, last_value=None, last_traceback=None)
    last = takewhile(lambda name: name not in base_modules, reversed(sys.modules))  # so the others are not even read
    own = {name: sys.modules[name] for name in ["__main__", *last]}
    modules = [weakref.ref(module) for module in own.values() if isinstance(module, ModuleType)]
    sys.modules.update(dict.fromkeys(own))  # type: ignore[arg-type]  # None: it cannot be imported any more
    own.clear()
    gc.collect()
    for module in [module for ref in modules if (module := ref())]:
        for name in module.__dict__:
            if name != "__builtins__":
                module.__dict__[name] = None
    gc.collect()


def flush() -> None:
    """Write what is left in the buffers of Python and of the C library."""
    for stream in (sys.stderr, sys.stdout):
        if stream and not stream.closed:
            with suppress(OSError):
                stream.flush()
    ctypes.CDLL(None).fflush(None)
