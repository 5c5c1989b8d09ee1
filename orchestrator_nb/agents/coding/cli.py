"""What one coding-agent CLI is to the rest, and which there are.

A CLI is one object (`CodingCli`) in one file: how it is called for a `Request`, what its output says (`Parser`), what
it can do (`Capabilities`), and which logins it uses. Built in are claude, codex and gemini; others come from installed
packages (entry-point group `orchestrator_nb.coding_clis`), as ``package.module:Class``, or handed to `Clis`.
"""

from __future__ import annotations

import functools
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Literal, Protocol

import msgspec

from orchestrator_nb.agents.coding.vocabulary import AgentEvent, Kind
from orchestrator_nb.core.ids import did_you_mean
from orchestrator_nb.errors import AgentError, UnknownAgent

#: Entry points of this group, in any installed package, are CLIs: ``name = "package.module:Class"``.
GROUP = "orchestrator_nb.coding_clis"

BUILT_IN = {
    "claude": "orchestrator_nb.agents.coding.claude:Claude",
    "codex": "orchestrator_nb.agents.coding.codex:Codex",
    "gemini": "orchestrator_nb.agents.coding.gemini:Gemini",
}

#: What an agent may do: look (`read`), write in its directories (`edit`), use any tool (`full`, contained only).
Level = Literal["read", "edit", "full"]
LEVELS: tuple[Level, ...] = ("read", "edit", "full")


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked of a CLI, apart from the prompt, which always goes by standard input."""

    #: Where it works, and its HOME, as it sees them: absolute.
    cwd: str
    home: str
    #: Its directory for temporary files.
    tmp: str = "/tmp"  # noqa: S108 - what programs take when nothing else is said
    level: Level = "read"
    #: Directories that it may use beside `cwd`: absolute.
    directories: tuple[str, ...] = ()
    #: The CLI's own default if None.
    model: str | None = None
    #: Most turns of the model; None: as many as it takes.
    turn_limit: int | None = None
    #: Most US dollars for this run.
    budget: float | None = None
    #: JSON Schema that the answer must satisfy.
    schema: Mapping[str, Any] | None = None
    #: The session to go on with, else a new one.
    resume: str | None = None
    #: Whether a sandbox of ours is around it: then its own is off, and ours says what can be written.
    contained: bool = False
    #: Whether its commands may use the network. It counts where the CLI's own sandbox is in force.
    network: bool = False
    #: Another address of the model's API, as for a proxy or in tests, in the vendor's form (OpenAI's ends in ``/v1``).
    base_url: str | None = None
    #: Whether it is logged in by files of its own (`Login.files`), else by a key in a variable.
    logged_in: bool = False


class Invocation(msgspec.Struct, frozen=True):
    """How a CLI is started: no shell, the prompt by standard input."""

    argv: tuple[str, ...]
    #: Beside what the sandbox and the login grant give (HOME, PATH, TMPDIR, keys).
    env: dict[str, str] = {}
    #: Files that must be in its HOME before it starts: path relative to HOME -> text.
    home_files: dict[str, str] = {}


class Login(msgspec.Struct, frozen=True):
    """What a login grant for this CLI covers."""

    #: Credential files relative to HOME; the CLI renews them, so they are written back.
    files: tuple[str, ...]
    #: Variables that carry a key, any of which is enough.
    variables: tuple[str, ...]


class Capabilities(msgspec.Struct, frozen=True, kw_only=True):
    """What a CLI can honour."""

    #: How each grant level is asked for, inside a sandbox of ours; a level that is missing can't be had.
    contained: Mapping[Level, str]
    #: The same without one.
    uncontained: Mapping[Level, str]
    resume: bool
    turn_limit: bool
    budget: bool
    schema: bool
    #: Whether its stream tells tokens, and cost.
    usage: bool
    cost: bool
    #: Whether it can keep its commands from the network without a sandbox of ours.
    network: bool = False
    #: The first version that can be used; any if empty.
    oldest: str = ""
    #: Most characters of a prompt; None: no limit.
    longest_prompt: int | None = None
    #: Files of a repository with instructions for agents that it doesn't read, as it is started here: they are put
    #: into the prompt.
    instructions: tuple[str, ...] = ()


class Parser(Protocol):
    """Reads the output of one run, line by line; it is never reused for another run."""

    def output(self, number: int, line: bytes) -> Sequence[AgentEvent]:
        """What a line of standard output says. Never raises."""

    def errors(self, number: int, line: bytes) -> Sequence[AgentEvent]:
        """What a line of standard error says. Never raises."""

    def end(self) -> Sequence[AgentEvent]:
        """What was still held back when the output ended."""


class CodingCli(Protocol):
    """A coding agent's program."""

    #: Its name in plans, and that of its program.
    name: str
    program: str
    capabilities: Capabilities
    login: Login
    #: Paths in a repository that configure it, and could have it run programs or talk to another address. It is started
    #: so that it takes no notice of them as far as it can; a sandbox hides them as well.
    control_files: tuple[str, ...]

    def invocation(self, request: Request) -> Invocation:
        """How it is started. Raises `CapabilityError` for an option that it can't honour."""

    def parser(self) -> Parser:
        """A new parser for one run."""

    def failure(self, code: int, errors: str) -> tuple[Kind, str] | None:
        """Class and words of the failure of a run without final event, from exit code and standard error, or None."""

    def recorded(self, home: Path, session: str, since: float) -> Iterable[AgentEvent]:
        """What the CLI's own record of the session holds from `since` (epoch seconds) on that its streams lost."""


def control_names(cli: CodingCli) -> frozenset[str]:
    """Names of what configures coding agents, `cli` and all others that there are: each could plant for each."""
    return _control_names().union(_tops(cli))


@functools.cache
def _control_names() -> frozenset[str]:
    clis, found = Clis(), frozenset[str]()
    for name in clis:
        with suppress(AgentError):  # another package's that cannot be loaded obeys nothing
            found |= _tops(clis.get(name))
    return found


def _tops(cli: CodingCli) -> frozenset[str]:
    return frozenset(path.partition("/")[0] for path in (*cli.control_files, *cli.capabilities.instructions))


class Clis(Collection[str]):
    """The CLIs there are, loaded when first asked for; also the collection of their names.

    Args:
        clis: CLIs handed in by name; they go before all others.
    """

    def __init__(self, clis: Mapping[str, CodingCli] | None = None) -> None:
        self._clis: dict[str, CodingCli] = dict(clis or {})

    def get(self, name: str) -> CodingCli:
        """The CLI of this name. Raises `UnknownAgent`, or `AgentError` if it cannot be loaded."""
        try:
            return self._clis[name]
        except KeyError:
            cli = self._clis[name] = _load(name, self)
            return cli

    def names(self) -> list[str]:
        """All names, sorted."""
        return sorted({*self._clis, *BUILT_IN, *(point.name for point in entry_points(group=GROUP))})

    def __contains__(self, name: object) -> bool:
        return name in self._clis or name in BUILT_IN or name in self.names()

    def __iter__(self) -> Iterator[str]:
        return iter(self.names())

    def __len__(self) -> int:
        return len(self.names())


def _load(name: str, clis: Clis) -> CodingCli:
    path = BUILT_IN.get(name) or (name if ":" in name else "")
    points = [] if path else sorted({point.value for point in entry_points(group=GROUP, name=name)})
    if len(points) > 1:
        raise AgentError(f"coding agent '{name}' is provided as {' and '.join(points)}: name the one you mean")
    path = path or "".join(points)
    if not path:
        raise UnknownAgent(f"unknown coding agent '{name}'{did_you_mean(name, clis.names())}")
    module, _, attribute = path.partition(":")
    try:
        cli: CodingCli = getattr(import_module(module), attribute)()
    except Exception as error:  # a package of others may raise anything
        raise AgentError(
            f"coding agent '{name}' cannot be loaded from {path}: {type(error).__name__}: {error}"
        ) from error
    missing = [part for part in _PARTS if not hasattr(cli, part)]
    if missing:
        raise AgentError(f"coding agent '{name}' at {path} lacks {', '.join(missing)}")
    return cli


_PARTS = ("name", "program", "capabilities", "login", "control_files", "invocation", "parser", "failure", "recorded")
