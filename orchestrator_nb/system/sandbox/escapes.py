"""Ways out of a sandbox, each really tried: by them it is known what holds, and what is open.

The attempts themselves are in `_attempts_files` and `_attempts_kernel`, which run inside. Baits are laid for them
outside: files, sockets, servers, a process, a key, shared memory. The same attempts without a sandbox tell which of
them mean anything here.
"""

from __future__ import annotations

import ctypes
import json
import os
import platform
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from orchestrator_nb.errors import AgentError
from orchestrator_nb.system.sandbox._attempts_files import FILES
from orchestrator_nb.system.sandbox._attempts_kernel import KERNEL
from orchestrator_nb.system.sandbox.containing import contain
from orchestrator_nb.system.sandbox.control_files import ControlGuard
from orchestrator_nb.system.sandbox.policy import Level, Policy
from orchestrator_nb.system.sandbox.probing import Sandbox, available

#: The attempts, with what each tries.
PROBES = {attempt.__name__: attempt.__doc__ or "" for attempt in (*FILES, *KERNEL)}
#: What is open by intent when the network is on.
NETWORK_PROBES = ("abstract_socket", "egress", "loopback_tcp", "loopback_udp")

_HERE = Path(__file__).parent
#: Seconds for all attempts of a trial.
_PATIENCE = 120.0
_ADD_KEY, _KEYCTL = {"x86_64": (248, 250), "aarch64": (217, 219)}.get(platform.machine(), (0, 0))
_USER_KEYRING, _SETPERM, _UNLINK, _ALL_FOR_USER = -4, 5, 9, 0x3F3F0000


@dataclass(frozen=True, slots=True)
class Attempt:
    """How an attempt went."""

    name: str
    #: Whether it failed.
    blocked: bool
    #: The error that stopped it, or what it got.
    how: str
    #: Whether it succeeds without a sandbox: otherwise it proves nothing here.
    telling: bool = True


@dataclass(frozen=True, slots=True)
class Trial:
    """All attempts in one mode."""

    level: Level
    network: bool
    attempts: tuple[Attempt, ...]

    @property
    def mode(self) -> str:
        """For people: ``bubblewrap, network off``."""
        return (
            self.level.label if self.level is Level.NONE else f"{self.level}, network {'on' if self.network else 'off'}"
        )

    @property
    def blocked(self) -> int:
        """How many failed."""
        return sum(attempt.blocked for attempt in self.attempts)

    @property
    def open(self) -> tuple[str, ...]:
        """The names of those that succeeded."""
        return tuple(attempt.name for attempt in self.attempts if not attempt.blocked)

    @property
    def not_telling(self) -> tuple[str, ...]:
        """The names of those that fail here without a sandbox too."""
        return tuple(attempt.name for attempt in self.attempts if attempt.blocked and not attempt.telling)


def trials(boxes: Sequence[Sandbox] | None = None) -> tuple[Trial, ...]:
    """Try all attempts in every mode that works here, the one without a sandbox last. Blocking, some seconds.

    Args:
        boxes: The sandboxes to try, `probing.available` by default.

    Raises:
        AgentError: The attempts could not be run.
    """
    boxes = available() if boxes is None else boxes
    modes = [(box, network) for box in boxes if box.level is not Level.NONE for network in (False, True)]
    free = _try(available()[-1], network=True)
    succeed = set(free.open)
    contained = [
        Trial(trial.level, trial.network, tuple(_judge(attempt, succeed) for attempt in trial.attempts))
        for trial in (_try(box, network=network) for box, network in modes)
    ]
    return (*contained, free)


def _judge(attempt: Attempt, succeed: set[str]) -> Attempt:
    return Attempt(attempt.name, attempt.blocked, attempt.how, attempt.name in succeed)


def _try(box: Sandbox, *, network: bool) -> Trial:
    with tempfile.TemporaryDirectory(prefix="escapes-") as name, _Baits(Path(name).resolve()) as baits:
        policy = Policy(
            home=baits.base / "home",
            tmp=baits.base / "tmp",
            writable=(baits.work,),
            readable=(_HERE,),
            network=network,
        )
        guard = ControlGuard.begin(policy.writable)
        argv = (sys.executable, "-I", "-S", "-B", str(_HERE / "_attempts.py"), json.dumps(baits.facts))
        contained = contain(box.means, policy, argv, baits.work, {"PATH": os.defpath})
        with baits.input.open("rb") as given, baits.secret.open("rb") as leaked, _terminal() as (terminal, words):
            os.set_inheritable(leaked.fileno(), True)
            try:
                done = subprocess.run(
                    contained.argv,
                    env=contained.env,
                    cwd=baits.work,
                    stdin=given,
                    stdout=subprocess.PIPE,
                    stderr=terminal,
                    close_fds=False,
                    timeout=_PATIENCE,
                    check=False,
                )
            except (OSError, subprocess.TimeoutExpired) as error:
                raise AgentError(f"The escape suite cannot be run in {box.level.label}: {error}.") from None
            said = _said(words)
        guard.end()
    try:
        told = json.loads(done.stdout)
    except ValueError:
        raise AgentError(
            f"The escape suite cannot be run in {box.level.label}: exit code {done.returncode}, {said!r}."
        ) from None
    return Trial(box.level, network, tuple(Attempt(name, *told[name]) for name in PROBES))


@contextmanager
def _terminal() -> Iterator[tuple[int, int]]:
    """A terminal: the program's end of it, and the one where its words come out."""
    master, slave = os.openpty()
    os.set_blocking(master, False)
    try:
        yield slave, master
    finally:
        os.close(slave)
        os.close(master)


def _said(words: int) -> str:
    """The end of what was written to the terminal."""
    try:
        return os.read(words, 1 << 16).decode(errors="replace").strip()[-500:]
    except OSError:
        return ""


class _Baits:
    """Things outside the sandbox that attempts are after, until they are taken away."""

    def __init__(self, base: Path) -> None:
        self.base = base
        self.work = base / "work"
        self.secret = base / "secret"
        self.input = base / "input"
        self.facts: dict[str, object] = {}
        self.stack = ExitStack()

    def __enter__(self) -> _Baits:
        try:
            self._lay()
        except BaseException:
            self.stack.close()
            raise
        return self

    def _lay(self) -> None:
        token = f"bait-{secrets.token_hex(8)}"
        self._lay_files(token)
        loopback, own = self._listen("127.0.0.1"), _own_address()
        runtime = self.base / "jupyter"
        (runtime / "kernel-1.json").write_text(json.dumps({"ip": "127.0.0.1", "shell_port": loopback, "key": token}))
        (runtime / "jpserver-1.json").write_text(json.dumps({"port": loopback, "token": token}))
        home = Path(os.path.expanduser("~"))  # noqa: PTH111 - works without a home
        self.facts = {
            "probes": list(PROBES),
            "base": str(self.base),
            "identity": [self.base.stat().st_dev, self.base.stat().st_ino],
            "home": str(home),
            "home_names": _names_to_hide(home),
            "token": token,
            "victim": self._start_victim(token),
            "abstract": self._bind_unix(token),
            "tcp": loopback,
            "udp": self._bind_udp(),
            "own": [own, self._listen(own)] if own else None,
            "key": self._add_key(token),
            "shm": self._share_memory(token),
            "sysv": self._share_sysv(),
        }

    def __exit__(self, *_: object) -> None:
        self.stack.close()

    def _lay_files(self, token: str) -> None:
        for part in ("home", "tmp", "jupyter", "other/.ssh", "work/.git/hooks"):
            (self.base / part).mkdir(parents=True)
        for part in ("secret", "events.jsonl", "other/.ssh/id_ed25519", "input", "work/.git/config", "work/.git/HEAD"):
            (self.base / part).write_text(token)

    def _listen(self, address: str) -> int:
        listener = self.stack.enter_context(socket.create_server((address, 0)))
        return int(listener.getsockname()[1])

    def _bind_udp(self) -> int:
        receiver = self.stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        receiver.bind(("127.0.0.1", 0))
        return int(receiver.getsockname()[1])

    def _bind_unix(self, token: str) -> str:
        for name in (str(self.base / "socket"), f"\0{token}"):
            listener = self.stack.enter_context(socket.socket(socket.AF_UNIX))
            listener.bind(name)
            listener.listen()
        return token

    def _start_victim(self, token: str) -> int:
        code = "import signal; signal.pause()"
        victim = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", code, token],
            env={"SECRET": token},
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
        self.stack.callback(victim.wait)
        self.stack.callback(victim.send_signal, signal.SIGKILL)
        return victim.pid

    def _add_key(self, token: str) -> int:
        if not _ADD_KEY:
            return 0
        libc, text = ctypes.CDLL(None), token.encode()
        serial = int(libc.syscall(_ADD_KEY, b"user", text, text, ctypes.c_size_t(len(text)), _USER_KEYRING))
        if serial > 0:
            libc.syscall(_KEYCTL, _SETPERM, serial, _ALL_FOR_USER)
            self.stack.callback(libc.syscall, _KEYCTL, _UNLINK, serial, _USER_KEYRING)
        return max(0, serial)

    def _share_memory(self, token: str) -> str:
        path = Path("/dev/shm", token)  # noqa: S108 - shared memory is the point
        with suppress(OSError):
            path.write_text(token)
            self.stack.callback(path.unlink)
        return str(path)

    def _share_sysv(self) -> int:
        libc = ctypes.CDLL(None)
        number = int(libc.shmget(0, ctypes.c_size_t(4096), 0o1600))
        if number >= 0:
            self.stack.callback(libc.shmctl, number, 0, None)
        return number


def _names_to_hide(home: Path) -> list[str]:
    """What there is in a home, but for what leads to the running interpreter, which is shown."""
    shown = [Path(path).resolve() for path in (sys.prefix, sys.base_prefix, sys.executable, _HERE)]
    with suppress(OSError):
        return [path.name for path in home.iterdir() if not any(place.is_relative_to(path) for place in shown)]
    return []


def _own_address() -> str:
    """An address of this machine that is not its loopback's; empty if it has none."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender, suppress(OSError):
        sender.connect(("192.0.2.1", 9))  # of the block for documentation; nothing is sent
        return str(sender.getsockname()[0])
    return ""
