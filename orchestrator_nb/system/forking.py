"""Forks of a program that is a fork of a preloaded interpreter itself (`Command.preload`), and so can fork again.

Such a program has to have one thread, although libraries that it was forked with start some for their computations:
it is given an environment in which they do not, with what was meant for them beside it, for what it forks.
"""

from __future__ import annotations

from collections.abc import Mapping

from orchestrator_nb.system import _forking, _settling
from orchestrator_nb.system._forking import fork_python

__all__ = ["as_meant", "fork_python", "obstacle_here", "single_threaded"]

#: Prefix of the variables that keep what was meant where another value takes its place.
MEANT = "ORCH_MEANT_"


def obstacle_here() -> str:
    """Why this process cannot fork by `fork_python`; empty: it can."""
    if not _forking.can_fork():
        return "its process is not a fork of a preloaded interpreter"
    threads = _settling.threads()
    return f"its process has {threads} threads" if threads > 1 else ""


def single_threaded(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment for a program that is going to fork."""
    replaced = _forking.SINGLE_THREADED
    meant = {f"{MEANT}{name}": environment[name] for name in replaced if name in environment}
    return {**environment, **meant, **replaced}


def as_meant(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment for what such a program forks: the one that `single_threaded` was given."""
    replaced = _forking.SINGLE_THREADED
    meant = {name: environment[f"{MEANT}{name}"] for name in replaced if f"{MEANT}{name}" in environment}
    hidden = {*replaced, *(f"{MEANT}{name}" for name in replaced)}
    return {name: text for name, text in environment.items() if name not in hidden} | meant
