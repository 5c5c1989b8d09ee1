"""A kernel that was forked before there was a manager for it: the first act of a process that executes one notebook.

Only a process with one thread can be forked, and talking to a kernel starts threads. So the process of a notebook task
(itself a fork of a preloaded interpreter) forks the kernel first, and only then loads what executes notebooks.
"""

from __future__ import annotations

import json
import os
import secrets
import signal
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from string import Template
from typing import Any

from orchestrator_nb.errors import AgentError
from orchestrator_nb.kernels import directories
from orchestrator_nb.kernels.manager import Manager, readable
from orchestrator_nb.kernels.modes import Choice, asked, is_ipython, obstacle
from orchestrator_nb.kernels.provisioner import Forked, kernel_argv
from orchestrator_nb.system.forking import as_meant, fork_python, obstacle_here
from orchestrator_nb.system.preloading import NOT_PRELOADED

__all__ = ["Adopted", "choose", "fork_kernel", "take"]

#: The argument by which nbclient keeps a kernel from writing the user's history.
HISTORY = "--HistoryManager.hist_file=:memory:"


class Child:
    """A kernel that this process forked itself (`provisioner.Process`)."""

    def __init__(self, pid: int, connection: dict[str, Any]) -> None:
        self.pid, self.connection = pid, connection
        self._code: int | None = None

    def poll(self) -> int | None:
        """None while it runs, then its exit code; minus a signal's number."""
        if self._code is None:
            with suppress(ChildProcessError):
                pid, status = os.waitpid(self.pid, os.WNOHANG)
                self._code = os.waitstatus_to_exitcode(status) if pid else None
        return self._code

    async def ended(self) -> None:
        """Wait for its end."""
        if self.poll() is None:
            await readable(os.pidfd_open(self.pid))
            self.poll()

    def send_signal(self, number: int) -> None:
        """Signal it and its process group: nobody else takes notice of its end, so the pid is still its own."""
        if self.poll() is None:
            os.killpg(self.pid, number)

    def kill(self) -> None:
        """End it."""
        self.send_signal(signal.SIGKILL)


_choice: Choice | None = None
_child: Child | None = None


def choose(spec: Any) -> Choice:
    """Choose for the one notebook of this process, of the kernelspec `spec`; the next `take` gets it.

    Raises `AgentError` if there is no such mode, or it must be a fork and cannot be one.
    """
    global _choice  # noqa: PLW0603 - one a process
    mode = asked(None)
    reason = obstacle(spec) or obstacle_here()
    if mode == "cold":
        _choice = Choice("cold", "asked for")
    elif mode == "fork" and reason:
        raise AgentError(f"The kernel '{spec.display_name}' cannot be forked: {reason}. Use the mode auto or cold.")
    elif mode == "warm":  # who executes one notebook has nothing to wait for
        _choice = Choice("cold" if reason else "fork", f"nothing waits ahead of a task; {reason or 'it can be forked'}")
    elif reason:
        _choice = Choice("cold", f"it cannot be forked: {reason}")
    else:
        _choice = Choice("fork", "asked for" if mode == "fork" else "a task's notebook in this environment")
    if _choice.mode == "fork":
        _choice = replace(_choice, refused=refused_here(os.environ))
    return _choice


def refused_here(environment: Mapping[str, str]) -> dict[str, str]:
    """Modules of the notebook that this fork, and so its kernel, does not have from the start, with the reason."""
    told: dict[str, str] = json.loads(environment.get(NOT_PRELOADED) or "{}")
    return told


def fork_kernel(spec: Any, arguments: Sequence[str]) -> None:
    """Fork an IPython kernel of the kernelspec `spec`, which the next `take` gets.

    To be called from the main thread before anything else. In the fork it raises `Forked`, which nothing between here
    and the bottom of the program may catch. Raises `OSError` if the machine is out of processes or memory.
    """
    global _child  # noqa: PLW0603 - one a process
    environment = as_meant({name: text for name, text in os.environ.items() if name != NOT_PRELOADED})
    directory = directories.make()
    ports = {f"{name}_port": number for number, name in enumerate(("shell", "iopub", "stdin", "control", "hb"), 1)}
    key = secrets.token_hex()
    connection = {**ports, "transport": "ipc", "ip": f"{directory}/k", "key": key, "signature_scheme": "hmac-sha256"}
    file = Path(directory, "kernel.json")
    file.touch(0o600)
    file.write_text(json.dumps(connection), "utf-8")
    given = {name: Template(text).safe_substitute(environment) for name, text in spec.env.items()}
    argv = kernel_argv([*(word.replace("{connection_file}", str(file)) for word in spec.argv), *arguments, HISTORY])
    pid = fork_python(argv, env={**environment, **given}, cwd=os.getcwd())  # noqa: PTH109
    _child = Child(pid, connection)


def take(manager: Manager) -> Choice | None:
    """Let `manager` have the kernel that was forked, if one was; the choice that was made, None if there was none."""
    global _child, _choice
    child, _child = _child, None
    choice, _choice = _choice, None
    if child:
        manager.use(str(Path(child.connection["ip"]).parent))
        manager.load_connection_info(child.connection)
        manager.provide(Adopted, held=child)
    elif choice and is_ipython(manager.kernel_spec):
        manager.make_private()
    return choice


class Adopted(Forked):
    """The provisioner of a kernel that was forked already."""

    async def pre_launch(self, **options: Any) -> dict[str, Any]:
        """Nothing is to be prepared."""
        self.connection_info = self.parent.get_connection_info()
        return {"cmd": [], "env": {}}

    async def launch_kernel(self, cmd: list[str], **options: Any) -> Any:
        """It runs."""
        if self.held:
            self.pid = self.pgid = self.held.pid
        return self.connection_info
