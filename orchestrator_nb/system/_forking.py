"""A fork of this interpreter that becomes ``python FILE ...`` or ``python -m MODULE ...``, without a start of Python.

The fork unwinds its stack (`Forked`) down to `live`, at the bottom of the program, where the command's main program is
run. What it finds is what a fresh interpreter finds, but for the modules that are imported already, the process that is
its parent, and the seed of ``hash(str)``; `_settling` says what is made anew.
"""

from __future__ import annotations

import ctypes
import fcntl
import gc
import io
import os
import pkgutil
import runpy
import signal
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.machinery import SourceFileLoader
from types import ModuleType, TracebackType
from typing import Any, NoReturn

from orchestrator_nb.system import _settling

#: Bottom of every program that can fork: set by `live`.
_alive = False

#: What a process that forks by `fork_python` gets in its environment, so that it is single-threaded although it has
#: numpy: without these, a forked command has as many BLAS threads as one that imports numpy by itself.
SINGLE_THREADED = {"OPENBLAS_NUM_THREADS": "1", "NUMEXPR_NUM_THREADS": "1"}


@dataclass(frozen=True, slots=True)
class Program:
    """What a fork becomes."""

    #: ``[PYTHON, (-P), FILE | -m MODULE, ARGUMENT...]``
    argv: list[str]
    #: The whole environment.
    env: dict[bytes, bytes]
    cwd: str
    #: File descriptors, none below 3.
    streams: list[int]
    parent: int

    @property
    def main(self) -> list[str]:
        """The arguments that follow Python's own options."""
        return self.argv[2:] if self.argv[1:2] == ["-P"] else self.argv[1:]


class Forked(BaseException):
    """Raised in a fork, to leave all that its parent was doing. Nothing may catch it but `live`."""

    def __init__(self, program: Program) -> None:
        self.program = program


def fork_python(
    argv: Sequence[str | bytes],
    *,
    env: Mapping[str, str] | Mapping[bytes, bytes],
    cwd: str | bytes,
    stdin: int = 0,
    stdout: int = 1,
    stderr: int = 2,
) -> int:
    """Start a fork of this interpreter that becomes a command; return its pid.

    It is a child of this process, in a process group of its own, and is killed when this process ends (strictly: when
    the thread ends that called this). It can be called from a program that is such a fork itself, or from a reaper;
    best as the first thing that it does: no ``finally`` and no ``with`` may be around the call, as the fork leaves
    them too.

    Args:
        argv: ``PYTHON [-P] FILE ARGUMENT...`` or ``PYTHON [-P] -m MODULE ARGUMENT...``.
        env: The whole environment.
        cwd: The working directory, absolute.
        stdin: File descriptor of its standard input; it gets no others of this process than these three.
        stdout: The same for its standard output.
        stderr: The same for its standard error.

    Raises:
        RuntimeError: This process has several threads (a fork has only the one that forks, and the locks that the
            others held), or is not run by `live`.
        OSError: The machine is out of processes or memory.
    """
    if not _alive:
        raise RuntimeError("Only a program that was itself forked from a preloaded interpreter can fork.")
    if (threads := _settling.threads()) > 1:
        raise RuntimeError(f"This process has {threads} threads: forked, it would not be sound.")
    sys.stdout.flush()
    sys.stderr.flush()
    parent = os.getpid()
    pid = os.fork()
    if pid:
        _own_group(pid)
        return pid
    streams = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 3) for fd in (stdin, stdout, stderr)]
    environment = {os.fsencode(name): os.fsencode(value) for name, value in env.items()}
    raise Forked(Program([os.fsdecode(item) for item in argv], environment, os.fsdecode(cwd), streams, parent))


def can_fork() -> bool:
    """Whether this process is run by `live`."""
    return _alive


def live(main: Callable[[], None]) -> None:
    """Run `main`; in each fork that comes of it, run what the fork is to be, and exit as Python does."""
    global _alive  # noqa: PLW0603 - of the process
    _alive = True
    program = _run(main)
    while program:
        program = _become(program)


def _run(work: Callable[[], None]) -> Program | None:
    """Do it; in a fork that it made, return what that is to be, with no trace left of what was being done."""
    try:
        work()
    except Forked as fork:
        return fork.program
    return None


def _become(program: Program) -> Program:
    """Run the program and exit; only a fork that it made returns, with what that is to be."""
    try:
        _settle(program)
        work = _main_of(program)
    except BaseException:  # noqa: BLE001 - whatever it is: this is not the parent, and must not go on as if it were
        traceback.print_exc()
        os._exit(1)
    error: BaseException | None = None
    try:
        if again := _run(work):
            return again
    except BaseException as raised:  # noqa: BLE001 - as Python itself
        error = raised
    status = _status(error)
    error = None  # it holds what is to be dropped now
    return _leave(status)


def _leave(status: int) -> NoReturn:
    """End the process as Python does, without taking every preloaded module apart (which costs 80 ms)."""
    _settling.wind_up()
    if status == -signal.SIGINT:  # by which a shell knows that it was interrupted
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGINT)
    ctypes.pythonapi.exit(status & 0xFF)
    raise AssertionError("it has ended")


def _status(error: BaseException | None) -> int:
    """The exit code after what nobody caught, which is told as Python tells it; minus SIGINT after an interrupt."""
    if error is None or (isinstance(error, SystemExit) and error.code is None):
        return 0
    if not isinstance(error, SystemExit):
        _show(error)
        return -signal.SIGINT if isinstance(error, KeyboardInterrupt) else 1
    if isinstance(error.code, int):
        return int(error.code)
    sys.stderr.write(f"{error.code}\n")
    return 1


def _show(error: BaseException) -> None:
    """Print an error without the frames of this module."""
    error = _without_own_frames(error)
    vars(sys).update(last_exc=error, last_type=type(error), last_value=error, last_traceback=error.__traceback__)
    failure: BaseException | None = None
    try:
        sys.excepthook(type(error), error, error.__traceback__)
    except BaseException as raised:  # noqa: BLE001 - as Python itself
        failure = _without_own_frames(raised)
    if failure:
        sys.stderr.write("Error in sys.excepthook:\n")
        sys.__excepthook__(type(failure), failure, failure.__traceback__)
        sys.stderr.write("\nOriginal exception was:\n")
        sys.__excepthook__(type(error), error, error.__traceback__)


def _without_own_frames(error: BaseException) -> BaseException:
    trace: TracebackType | None = error.__traceback__
    while trace and trace.tb_frame.f_code.co_filename == __file__:
        trace = trace.tb_next
    return error.with_traceback(trace)


# -- what the process is


def _settle(program: Program) -> None:
    """Make the process one of its own: group, signals, files, environment, streams, seeds."""
    _settling.die_with(program.parent)
    _own_group(0)
    for number, fd in enumerate(program.streams):
        os.dup2(fd, number)
    _replace_main()
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208
        if int(name) > 2:
            with suppress(OSError):  # that of the listing itself
                os.close(int(name))
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    os.chdir(program.cwd)  # noqa: TID251 - the process is about to be the command
    _settling.replace_environment(program.env)
    _replace_streams()
    _settling.show_as(program.argv, program.env)
    _settling.start_afresh()


def _own_group(pid: int) -> None:
    """Parent and child both do it, so that it is done when either goes on."""
    with suppress(OSError):  # it has ended already
        os.setpgid(pid, pid)


def _replace_streams() -> None:
    """New standard streams, as Python makes them at its start, for the new files."""
    for fd, name in enumerate(("stdin", "stdout", "stderr")):
        old: io.TextIOWrapper = getattr(sys, f"__{name}__")
        unbuffered = bool(fd) and old.write_through  # PYTHONUNBUFFERED
        mode = "wb" if fd else "rb"
        binary: Any = open(fd, mode, buffering=0 if unbuffered else -1, closefd=False)  # noqa: SIM115
        raw = binary if unbuffered else binary.raw
        raw.name = f"<{name}>"
        new: Any = io.TextIOWrapper(
            binary,
            encoding=old.encoding,
            errors=old.errors,
            newline="\n",
            line_buffering=not unbuffered and (fd == 2 or raw.isatty()),
            write_through=old.write_through,
        )
        new.mode = "w" if fd else "r"
        setattr(sys, name, new)
        setattr(sys, f"__{name}__", new)


# -- the main program


def _replace_main() -> None:
    """A new module ``__main__``; what only the old one holds is dropped, before its files are closed."""
    main = ModuleType("__main__")
    main.__dict__.update(__builtins__=sys.modules["builtins"], __annotations__={})
    sys.modules["__main__"] = main
    gc.collect()


def _main_of(program: Program) -> Callable[[], None]:
    """What Python does with such arguments, in the module ``__main__``."""
    option, *arguments = program.main
    sys.orig_argv[:] = program.argv
    sys.path[:] = _settling.base_path
    if option == "-m":
        module, *arguments = arguments
        sys.argv[:] = ["-m", *arguments]
        _put_first(os.getcwd())  # noqa: PTH109
        return lambda: _run_module(module, alter_argv=True)
    sys.argv[:] = [option, *arguments]
    if pkgutil.get_importer(os.path.abspath(option)):  # noqa: PTH100 - a directory or an archive with a __main__
        sys.path.insert(0, os.path.abspath(option))  # noqa: PTH100
        return lambda: _run_module("__main__", alter_argv=False)
    return lambda: _run_file(option)


def _put_first(directory: str) -> None:
    """What the directory of the main program is to the interpreter, unless it was told not to trust it (-P)."""
    if not sys.flags.safe_path:
        sys.path.insert(0, directory)


def _run_module(name: str, *, alter_argv: bool) -> None:
    runpy._run_module_as_main(name, alter_argv)  # type: ignore[attr-defined]  # as Python itself


def _run_file(file: str) -> None:
    path = os.path.abspath(file)  # noqa: PTH100 - as Python itself, text in, text out
    try:
        with io.open_code(path) as source:
            content = source.read()
    except OSError as error:
        sys.stderr.write(f"{sys.orig_argv[0]}: can't open file {path!r}: [Errno {error.errno}] {error.strerror}\n")
        raise SystemExit(2) from None
    _put_first(os.path.dirname(os.path.realpath(path)))  # noqa: PTH120
    namespace = sys.modules["__main__"].__dict__
    namespace.update(__file__=path, __cached__=None, __loader__=SourceFileLoader("__main__", path))
    try:
        exec(compile(content, path, "exec", dont_inherit=True), namespace)  # noqa: S102 - that is what it is for
    finally:
        _settling.flush()
