"""How a notebook gets its kernel: forked, waiting ahead, or started; chosen, and always with the reason.

- ``fork``: a fork of an interpreter that has imported what kernels and the notebooks import; 0.1 s of CPU instead of
  1.4. For IPython kernels of the running interpreter, on Linux.
- ``warm``: started before it was needed: as much work, less waiting. For IPython kernels of any environment.
- ``cold``: started when it is needed, as papermill does.
- ``auto``: ``fork`` where it can be had, else ``warm`` from the second notebook of its kind in a process on, else
  ``cold``. The first fork has only what all kernels import: its first output would have to wait for more. The notebook
  of papermill's command is ``cold``: the process ends with it.
"""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from orchestrator_nb.errors import AgentError
from orchestrator_nb.system.preloading import IGNORED, OWN_PREFIX

__all__ = ["MODES", "VARIABLE", "Choice", "Kind", "asked", "choose", "is_ipython", "is_this_interpreter", "obstacle"]

MODES = ("auto", "fork", "warm", "cold")
#: Environment variable that says which mode where no option does.
VARIABLE = "ORCHESTRATOR_KERNEL_MODE"


@dataclass(frozen=True, slots=True)
class Choice:
    """A mode, and why it is that."""

    mode: str
    why: str
    #: Modules of the notebook that the fork does not have from the start, with the reason.
    refused: dict[str, str] = field(default_factory=dict)
    #: Whether a fork is to have what the notebook imports.
    imports: bool = True

    def as_metadata(self) -> dict[str, Any]:
        """What a notebook's metadata says of it."""
        return {"mode": self.mode, "why": self.why, **({"not_preloaded": self.refused} if self.refused else {})}

    def __str__(self) -> str:
        refused = ", ".join(f"{name} ({reason})" for name, reason in self.refused.items())
        return f"{self.mode}: {self.why}" + (f"; not preloaded: {refused}" if refused else "")


@dataclass(frozen=True, slots=True)
class Kind:
    """What two kernels have in common if one may stand for the other."""

    argv: tuple[str, ...]
    environment: frozenset[tuple[str, str]]

    @classmethod
    def of(cls, spec: Any, arguments: Sequence[str] = ()) -> Kind:
        """The kind of the kernels that would be started now."""
        ours = {name: text for name, text in os.environ.items() if not name.startswith(OWN_PREFIX)}
        environment = {**ours, **spec.env}
        return cls(
            (*spec.argv, *arguments),
            frozenset((name, environment[name]) for name in environment if name not in IGNORED),
        )


#: How many kernels of each kind this process has had.
_had: Counter[Kind] = Counter()


def asked(mode: str | None) -> str:
    """The mode that is asked for by an option, else by the environment. Raises `AgentError` for a word unknown here."""
    word = mode or os.environ.get(VARIABLE) or "auto"
    if word not in MODES:
        raise AgentError(f"There is no kernel mode '{word}'. Use one of: {', '.join(MODES)}.")
    return word


def choose(mode: str, spec: Any, kind: Kind) -> Choice:
    """Choose for the next notebook in this process. Raises `AgentError` if what is asked for cannot be."""
    _had[kind] += 1
    reason = obstacle(spec)
    if mode == "cold":
        return Choice("cold", "asked for")
    if mode == "fork":
        if reason:
            raise AgentError(f"The kernel '{spec.display_name}' cannot be forked: {reason}. Use the mode warm or cold.")
        return Choice("fork", "asked for")
    if mode == "warm" and not is_ipython(spec):
        raise AgentError(f"The kernel '{spec.display_name}' cannot wait: it is not an IPython kernel. Use cold.")
    if mode == "warm":
        return Choice("warm", "asked for")
    first = _had[kind] == 1
    if first and runs_command():
        return Choice("cold", "the one notebook of papermill's command")
    if not reason and first:
        return Choice("fork", "the first notebook of its kind in this process: without its imports", imports=False)
    if not reason:
        return Choice("fork", "a kernel of this environment")
    return Choice("warm" if is_ipython(spec) and not first else "cold", f"it cannot be forked: {reason}")


def runs_command() -> bool:
    """Whether this thread is within papermill's command, which executes one notebook and ends."""
    command, click = sys.modules.get("papermill.cli"), sys.modules.get("click")
    if command is None or click is None:
        return False
    context = click.get_current_context(silent=True)
    return context is not None and context.command is command.papermill


def is_ipython(spec: Any) -> bool:
    """Whether a kernelspec starts an IPython kernel."""
    return any(word.startswith("ipykernel") for word in spec.argv)


def obstacle(spec: Any, platform: str = sys.platform) -> str:
    """Why a kernel of this specification cannot be forked from the running interpreter; empty: it can."""
    if not platform.startswith("linux"):
        return "forks are sound on Linux only"
    if "kernel_provisioner" in spec.metadata:
        return "its specification names a provisioner of its own"
    words = [word for word in spec.argv[1:] if not word.startswith("-Xfrozen_modules")]
    if words[:2] != ["-m", "ipykernel_launcher"]:
        return "it is not started by 'python -m ipykernel_launcher'"
    if not is_this_interpreter(spec.argv[0]):
        return f"it is of another interpreter, {spec.argv[0]}"
    return ""


def is_this_interpreter(program: str) -> bool:
    """Whether it is this environment's Python; jupyter_client takes a bare name for the running one."""
    version = sys.version_info
    if program in ("python", f"python{version[0]}", f"python{version[0]}.{version[1]}"):
        return True
    here = os.path.dirname(os.path.abspath(sys.executable))  # noqa: PTH100, PTH120 - not through links: they lead
    there = os.path.dirname(os.path.abspath(program))  # noqa: PTH100, PTH120 - out of the environment
    return here == there and os.path.realpath(program) == os.path.realpath(sys.executable)
