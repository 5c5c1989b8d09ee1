"""From a policy and a command to the command that is really started: a value, which can be looked at."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePath

from msgspec import structs

from orchestrator_nb.core.ports import Command
from orchestrator_nb.errors import AgentError
from orchestrator_nb.system.sandbox import bubblewrap, landlock, seccomp
from orchestrator_nb.system.sandbox.policy import Level, Policy, check_grants, covered
from orchestrator_nb.system.sandbox.programs import SYSTEM, Needed, join, needs

_ENTER = str(Path(__file__).with_name("_enter.py"))
_PACKAGE = Path(__file__).parents[2]
#: How variables of the program are called until it begins, and those that are not hidden: by them leftovers are found.
_PREFIX = "INSIDE_"
_MARKS = ("ORCH_SESSION", "ORCH_TASK_ID", "ORCH_ATTEMPT")


@dataclass(frozen=True, slots=True)
class Means:
    """What a process is contained by, as `probing` found it."""

    level: Level
    #: The path of bwrap, and whether it knows ``--disable-userns``.
    bwrap: str = ""
    without_namespaces: bool = False
    #: What gives SIGTERM its meaning back inside; empty: the process gets no time to end after a TERM.
    revive: tuple[str, ...] = ()
    #: Version of Landlock, 0 for none.
    landlock: int = 0


@dataclass(frozen=True, slots=True)
class Contained:
    """A command that runs contained."""

    argv: tuple[str, ...]
    env: Mapping[str, str]
    level: Level


def contain(means: Means, policy: Policy, argv: Sequence[str], cwd: PurePath, env: Mapping[str, str]) -> Contained:
    """The command that runs `argv` within a policy. It reads the file system, and changes nothing.

    The exit code is the program's, but for a signal that ended it: bwrap makes it 128 and the number. A sandbox that
    cannot be entered ends with 125 (or 1, by bwrap) before the program has begun. It ends with the thread that started
    it: reapers have but one.

    Args:
        means: By what.
        policy: What the process may touch.
        argv: Program and arguments.
        cwd: Absolute directory to run in: one that is granted, or of the system.
        env: All variables of the program; HOME and TMPDIR become those of the policy.

    Raises:
        AgentError: A grant is refused (`check_grants`), the program was not found, the directory to run in is not
            granted, or this level cannot keep what the policy says.
    """
    check_grants(policy)
    here = Path(cwd)
    inside = {**env, "HOME": str(policy.home), "TMPDIR": str(policy.tmp)}
    if means.level is Level.NONE:
        return Contained(tuple(argv), inside, means.level)
    if not argv:
        raise AgentError("A command needs at least the name of a program; this one is an empty list.")
    policy = _keep_own_code(policy)
    granted = policy.granted()
    if not covered(here.resolve(), (*granted, *SYSTEM)):
        raise AgentError(f"A contained process cannot run in {here}, which it is not granted: grant it.")
    path = env.get("PATH", os.defpath)
    needed = join(needs(program, path, here, granted) for program in dict.fromkeys((argv[0], *policy.programs)))
    if means.level is Level.LANDLOCK:
        steps = _landlock(means, policy, needed)
        command = list(argv)
    else:
        steps = _bubblewrap(means, policy)
        box = bubblewrap.arguments(policy, needed, here, without_namespaces=means.without_namespaces)
        if seccomp.supported():
            box += ["--seccomp", str(bubblewrap.FILTER)]
        command = [means.bwrap, *box, "--", *_revived(means, argv)]
    interpreter = (sys.executable, "-I", "-S", "-B")
    return Contained((*interpreter, _ENTER, *steps, "--", *command), _outer(inside), means.level)


def contain_command(means: Means, policy: Policy, command: Command) -> Command:
    """A command for the supervisor, contained. Raises as `contain` does."""
    contained = contain(means, policy, command.argv, command.cwd, command.env)
    preload = command.preload if means.level is Level.NONE else None  # a fork of ours could not be contained
    return structs.replace(command, argv=contained.argv, env=contained.env, preload=preload)


def _keep_own_code(policy: Policy) -> Policy:
    """Let nobody write to what runs outside: the Python that we are, and this package."""
    own = {Path(path).resolve() for path in (sys.prefix, sys.base_prefix, _PACKAGE)}
    writable = [path.resolve() for path in policy.writable]
    if taken := next((path for path in writable if path in own), None):
        raise AgentError(f"{taken} cannot be granted for writing: it holds the program that contains the process.")
    return replace(policy, readable=(*policy.readable, *(path for path in sorted(own) if covered(path, writable))))


def _landlock(means: Means, policy: Policy, needed: Needed) -> list[str]:
    for path in policy.masked():
        raise AgentError(
            f"Landlock cannot hide {path} inside a granted directory: grant others, or install bubblewrap."
        )
    writable = [path.resolve() for path in policy.writable]
    for path in (path for path in policy.readable if covered(path.resolve(), writable)):
        raise AgentError(
            f"Landlock cannot keep {path} from being written to, inside a directory that may be:"
            " grant others, or install bubblewrap."
        )
    families = seccomp.NETWORK if policy.network else seccomp.NO_NETWORK
    code = seccomp.program(families, shared_ipc=True)
    return [
        "powerless",
        *landlock.steps(policy, needed, means.landlock),
        *(["filter", code.hex()] if code else []),
    ]


def _bubblewrap(means: Means, policy: Policy) -> list[str]:
    passwd, group = bubblewrap.accounts(policy)
    code = seccomp.program(seccomp.SEPARATED)
    scopes = landlock.scopes(means.landlock)
    return [
        *("environment", str(bubblewrap.ARGUMENTS)),
        *("text", str(bubblewrap.PASSWD), passwd),
        *("text", str(bubblewrap.GROUP), group),
        *(["code", str(bubblewrap.FILTER), code.hex()] if code else []),
        *(["restrict", "0", "0", str(scopes), "enter"] if scopes else []),
        *(["deaf"] if means.revive else []),
    ]


def _revived(means: Means, argv: Sequence[str]) -> list[str]:
    """The command, with SIGTERM as it should be. `env` would take a program with '=' in its name for a variable."""
    if "=" in argv[0] and means.revive:
        return [*means.revive, "/bin/sh", "-c", 'exec "$@"', "sh", *argv]
    return [*means.revive, *argv]


def _outer(inside: Mapping[str, str]) -> dict[str, str]:
    """The environment of what goes into the sandbox: no variable of the program may change what that does."""
    outer = {_PREFIX + name: value for name, value in inside.items()}
    outer.update({name: inside[name] for name in _MARKS if name in inside})
    if library_path := os.environ.get("LD_LIBRARY_PATH"):
        outer["LD_LIBRARY_PATH"] = library_path  # the running interpreter may need it; it is the coordinator's own
    return outer
