"""Commands that run in forks of an interpreter which has imported what they need (`Command.preload`).

There is one preloaded supervisor process per kind of command: interpreter, options, environment, state of
site-packages. It is started with the first command of its kind, and replaced when one comes that needs more modules;
it ends when nothing that it holds runs any more. What an import makes unfit for forks is left out, and told.
"""

from __future__ import annotations

import asyncio
import os
import site
import sys
import sysconfig
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from orchestrator_nb.core.commands import Command
from orchestrator_nb.errors import AgentError
from orchestrator_nb.system._link import LINUX, Interpreter, Link
from orchestrator_nb.system._process import NOT_PRELOADED, Preloaded

__all__ = ["NOT_PRELOADED", "CannotFork", "Preloaded", "WarmLinks", "obstacle"]

PROGRAM = Path(__file__).with_name("_warm_main.py")
#: Preloaded supervisors that are kept although nothing of them runs.
MAX_KINDS = 4
#: Variables that differ from task to task, or that nobody reads while a module is imported.
OWN_PREFIX = "ORCH_"
IGNORED = frozenset({"PWD", "OLDPWD", "SHLVL", "_", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS"})
#: What keeps libraries from starting threads when they are imported; each fork then has those it may have.
ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1", "NUMEXPR_NUM_THREADS": "1"}
#: What holds where the command's environment says nothing else. Threads that OpenBLAS starts in a fork look for work
#: for 2**20 ticks (0.5 ms), not for 2**28: each thread of each fork, used or not, would cost 100 ms of CPU. And
#: pyarrow, which pandas imports where it is installed, starts no thread that gives memory back.
QUIET = {"OPENBLAS_THREAD_TIMEOUT": "20", "JE_ARROW_MALLOC_CONF": "background_thread:false"}


class CannotFork(AgentError):  # noqa: N818
    """The command cannot be run in a fork of a preloaded interpreter: run it as a program."""


@dataclass(frozen=True, slots=True)
class Kind:
    """What commands must have in common to be forked from the same interpreter."""

    options: tuple[str, ...]
    environment: tuple[tuple[str, str], ...]


#: What this process has found unfit, with the reason: by kind, what is installed, and module.
_unfit: dict[tuple[Kind, tuple[int, ...], str], str] = {}


def obstacle(command: Command) -> str | None:
    """Why a command cannot be run in a fork, or None. What it is to preload does not matter."""
    program, *arguments = command.argv or [""]
    if not LINUX:
        return "forks are sound on Linux only"
    if program != sys.executable:
        return f"it is not run by the interpreter of this process, {sys.executable}"
    if arguments[:1] == ["-P"]:
        arguments = arguments[1:]
    if arguments[:1] == ["-m"]:
        arguments = arguments[1:]
    if not arguments or arguments[0].startswith("-"):
        return "only 'python [-P] FILE' and 'python [-P] -m MODULE' can be forked"
    if arguments[0].endswith(".pyc"):
        return "its program is compiled already"
    return None


@cache
def _install_directories() -> tuple[str, ...]:
    directories = [sysconfig.get_path("purelib"), sysconfig.get_path("platlib"), *site.getsitepackages()]
    if site.ENABLE_USER_SITE:
        directories.append(site.getusersitepackages())
    return tuple(dict.fromkeys(directories))


def _changed(path: str) -> int:
    try:
        return os.stat(path).st_mtime_ns  # noqa: PTH116 - asked often, for each command
    except OSError:
        return 0


def _installed() -> tuple[int, ...]:
    """Modification times of the directories that modules are installed in: they change with each installation."""
    return tuple(map(_changed, _install_directories()))


def _stamps(modules: tuple[str, ...]) -> tuple[int, ...]:
    """The same, with those of the packages themselves: somebody may edit one where it is installed."""
    places = [f"{place}/{name.partition('.')[0]}" for name in modules for place in _install_directories()]
    return (*_installed(), *[_changed(place) or _changed(f"{place}.py") for place in dict.fromkeys(places)])


def _kind(command: Command) -> Kind:
    environment = {
        name: value for name, value in command.env.items() if name not in IGNORED and not name.startswith(OWN_PREFIX)
    }
    if path := environment.get("PYTHONPATH"):  # of which relative directories are meant from where the command runs
        places = [str(command.cwd / place) for place in path.split(os.pathsep)]
        environment["PYTHONPATH"] = os.pathsep.join(places)
    options = ("-P",) if command.argv[1] == "-P" else ()
    return Kind(options, tuple(sorted(environment.items())))


@dataclass(slots=True)
class _Warm:
    """A preloaded supervisor."""

    link: Link
    #: What it was asked to preload, and the modification times of that.
    modules: tuple[str, ...]
    stamps: tuple[int, ...]

    def serves(self, wanted: tuple[str, ...]) -> bool:
        return not self.link.lost and {*wanted} <= {*self.modules} and self.stamps == _stamps(self.modules)


class WarmLinks:
    """The preloaded supervisors of one coordinator."""

    def __init__(self, session: str, log_cap: int, process_limit: int, import_limit: float) -> None:
        self._arguments = (session, log_cap, process_limit)
        self._import_limit = import_limit
        #: In the order of their last use.
        self._current: dict[Kind, _Warm] = {}
        #: Replaced ones that still hold commands, and those that are being closed.
        self._retired: list[Link] = []
        self._closing: set[asyncio.Task[None]] = set()
        self._starting = asyncio.Lock()

    @property
    def facts(self) -> tuple[str, ...]:
        """What is preloaded now, for people."""
        return tuple(_fact(warm.link) for warm in self._current.values())

    async def connect(self, command: Command) -> Link:
        """A link to a supervisor whose reapers fork the command.

        Raises:
            CannotFork: The command is of no kind that can be forked, or there is no such supervisor to be had.
        """
        if reason := obstacle(command):
            raise CannotFork(f"'{' '.join(command.argv[:4])}' cannot be run in a fork: {reason}. Run it as a program.")
        wanted = tuple(dict.fromkeys(command.preload or ()))
        kind = _kind(command)
        async with self._starting:
            warm = self._current.pop(kind, None)
            if warm and not warm.serves(wanted):
                self._retire(warm.link)
                others = tuple(name for name in warm.modules if name not in wanted)
                wanted = (*others, *wanted)  # in their order: one may be about those before it
                warm = None
            if not warm:
                warm = _Warm(await self._start(kind, wanted), wanted, _stamps(wanted))
            self._current[kind] = warm
            self._let_go()
            return warm.link

    async def close(self, grace: float) -> None:
        """End what still runs, and the supervisors."""
        links = [*self._retired, *(warm.link for warm in self._current.values())]
        self._current.clear()
        self._retired.clear()
        await asyncio.gather(*self._closing, *(link.close(grace) for link in links))

    async def _start(self, kind: Kind, wanted: tuple[str, ...]) -> Link:
        """Start one without the modules that turn out to be unfit, one after the other."""
        installed = _installed()
        while True:
            modules = tuple(name for name in wanted if (kind, installed, name) not in _unfit)
            environment = {**QUIET, **dict(kind.environment), **ONE_THREAD}
            link = Link(*self._arguments, Interpreter(kind.options, PROGRAM, environment, modules, self._import_limit))
            try:
                await link.ready()
            except AgentError as error:
                await link.close(0)
                if not link.refused:
                    raise CannotFork(str(error)) from None
            except BaseException:
                await link.close(0)
                raise
            _unfit.update({(kind, installed, name): reason for name, reason in link.refused.items()})
            if not link.lost:
                unfit = {name: _unfit.get((kind, installed, name), "") for name in wanted}
                link.refused = {name: reason for name, reason in unfit.items() if reason}
                link.on_idle = self._let_go
                return link

    def _retire(self, link: Link) -> None:
        """It gets no more commands."""
        self._retired.append(link)
        self._let_go()

    def _let_go(self) -> None:
        """Close what is not needed any more."""
        for kind, warm in list(self._current.items())[:-MAX_KINDS]:
            if warm.link.idle:
                self._retired.append(self._current.pop(kind).link)
        for link in [link for link in self._retired if link.idle]:
            self._retired.remove(link)
            closing = asyncio.get_running_loop().create_task(link.close(0))
            self._closing.add(closing)
            closing.add_done_callback(self._closing.discard)


def _fact(link: Link) -> str:
    refused = [f"{name} ({reason})" for name, reason in link.refused.items()]
    return (
        f"Forks of a preloaded interpreter have: {', '.join(link.preloaded) or 'nothing'}"
        + (f"; not preloaded: {', '.join(refused)}" if refused else "")
        + "."
    )
