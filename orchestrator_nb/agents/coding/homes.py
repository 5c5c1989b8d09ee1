"""The private HOME of a task's agent, what it inherits of the environment, and the login that it is lent.

The HOME is kept over the attempts of a task, so that its agent can go on with its own session. What an agent may do
there is write whatever it likes: nothing in it is believed, and no link in it is followed.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from orchestrator_nb.agents.coding.cli import CodingCli
from orchestrator_nb.agents.coding.redaction import secrets_in
from orchestrator_nb.errors import AgentError, OrchestratorError
from orchestrator_nb.storage.files import Root
from orchestrator_nb.system.reading import open_regular

#: What every program needs, of the run's own environment; the rest belongs to the attempt (`ORCH_...`).
INHERITED = ("PATH", "LANG", "LC_ALL", "LC_CTYPE", "TERM", "TZ")
OF_THE_ATTEMPT = ("ORCH_SESSION", "ORCH_TASK_ID", "ORCH_ATTEMPT", "ORCH_IDEMPOTENCY_KEY", "ORCH_OUTPUTS")
_INPUT = "ORCH_INPUT_"

#: Directory beside those of a task's attempts: no id of a task begins with a dot.
PRIVATE = ".agent"
#: Most bytes of a login file.
LARGEST = 1 << 18


@dataclass(frozen=True, slots=True)
class Loan:
    """The login that an agent is lent."""

    #: Variables with keys.
    variables: Mapping[str, str]
    #: Login files: path relative to HOME -> what it holds.
    files: Mapping[str, bytes]

    @property
    def secrets(self) -> tuple[str, ...]:
        """All values that nobody else may see."""
        inside = (text for content in self.files.values() for text in secrets_in(content.decode("utf-8", "replace")))
        return (*self.variables.values(), *inside)

    @property
    def words(self) -> str:
        """For people: where the login comes from."""
        return ", ".join([*self.variables, *(f"~/{file}" for file in self.files)])


def loan_of(cli: CodingCli, how: str, environment: Mapping[str, str]) -> Loan:
    """The login for `cli`: keys in `environment`, else its login files in the user's home.

    Args:
        cli: Whose login.
        how: As option `login`: auto, files or none.
        environment: The run's and the task's.

    Raises:
        AgentError: There is none; says what to do.
    """
    keys = {name: environment[name] for name in cli.login.variables if environment.get(name)}
    if how == "none" or (how == "auto" and keys):
        return Loan({} if how == "none" else keys, {})
    home = Path(os.path.expanduser("~"))  # noqa: PTH111 - works without a home
    files = {name: content for name in cli.login.files if (content := _read(home / name)) is not None}
    if files or not (cli.login.files or cli.login.variables):
        return Loan({}, files)
    ways = [f"log in with it ({home / cli.login.files[0]} is missing)"] if cli.login.files else []
    ways += [f"set {' or '.join(cli.login.variables)}"] if how == "auto" and cli.login.variables else []
    raise AgentError(f"no login for {cli.name} was found: {', or '.join(ways)}")


def _read(path: Path) -> bytes | None:
    """A file of the user's own, which may be a link, or None."""
    try:
        with open_regular(path.resolve()) as file:
            content = file.read(LARGEST + 1)
    except (OSError, OrchestratorError):
        return None
    return content if 0 < len(content) <= LARGEST else None


def environment_for(
    given: Mapping[str, str], own: Mapping[str, str], loan: Loan, names: tuple[str, ...]
) -> dict[str, str]:
    """The whole environment of an agent, but for HOME, TMPDIR and what its program wants set.

    Args:
        given: What a process of the attempt would have.
        own: The task's own variables (`env`).
        loan: Its login.
        names: Variables that it is given beside (option `env`).

    Raises:
        AgentError: One of `names` is not set.
    """
    if missing := [name for name in names if name not in given]:
        raise AgentError(f"`env` of the task names {', '.join(missing)}, which is not set")
    wanted = {*INHERITED, *OF_THE_ATTEMPT, *names}
    chosen = {name: value for name, value in given.items() if name in wanted or name.startswith(_INPUT)}
    return {**chosen, **loan.variables, **own}


class PrivateHome:
    """HOME and TMPDIR of one task's agent.

    Args:
        session: The session's directory.
        task: The task's id.
        name: For whom: the agent, or its checks.
    """

    def __init__(self, session: Path, task: str, name: str = PRIVATE) -> None:
        relative = f"attempts/{task}/{PRIVATE}" + (f"/{name}" if name != PRIVATE else "")
        self.directory = session / relative
        self._session, self._relative = Root(session), relative

    @property
    def home(self) -> Path:
        """Its HOME."""
        return self.directory / "home"

    @property
    def tmp(self) -> Path:
        """Its TMPDIR."""
        return self.directory / "tmp"

    @property
    def record(self) -> Root:
        """Where we keep what is known of the agent's session: it cannot write there."""
        return Root(self.directory)

    def make(self) -> None:
        """Make the directories, where they are missing. Raises `UnsafePath`, `StorageError`."""
        for name in ("home", "tmp"):
            self._session.make_dir(f"{self._relative}/{name}")

    def furnish(self, files: Mapping[str, str], loan: Loan) -> None:
        """Write the files that its program needs, and its login. Raises `UnsafePath`, `StorageError`."""
        contents: dict[str, str | bytes] = {**files, **loan.files}
        for name, content in contents.items():
            Root(self.home).write_atomic(name, content)

    def write_back(self, loan: Loan) -> tuple[str, ...]:
        """Give renewed logins back to the user; returns what could not be, and why.

        A file is taken only if it holds JSON with the keys that it had, and only where the user's own is still the
        one that was lent: who logged in meanwhile is right. The program writes tokens there: what is in them is not
        known to us, and an agent could have put others in.
        """
        home = Path(os.path.expanduser("~"))  # noqa: PTH111 - works without a home
        faults = []
        for name, lent in loan.files.items():
            try:
                renewed = Root(self.home).read_bytes(name, LARGEST)
            except OrchestratorError as error:
                faults.append(f"the login file {name} is not taken back: {error}")
                continue
            if renewed == lent:
                continue
            with _locked(home / name):
                if _keys(renewed) != _keys(lent):
                    faults.append(f"the login file {name} is not taken back: it has another form than it had")
                elif _read(home / name) == lent:
                    _replace((home / name).resolve(), renewed)
        return tuple(faults)


def _keys(content: bytes) -> object:
    """The form of a login file: its keys, down to the texts in it; None if it is no JSON object."""

    def form(value: object) -> object:
        return {key: form(inner) for key, inner in value.items()} if isinstance(value, dict) else type(value)

    try:
        value = json.loads(content)
    except (ValueError, RecursionError):
        return object()
    return form(value) if isinstance(value, dict) else object()


def _replace(path: Path, content: bytes) -> None:
    Root(path.parent).write_atomic(path.name, content, sync=True)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold the lock on a login file: other runs of ours wait."""
    descriptor = os.open(path.with_name(f"{path.name}.orchestrator-lock"), os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
