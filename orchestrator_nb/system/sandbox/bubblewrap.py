"""The arguments of bubblewrap: a file system of its own, with what was granted and what programs need, and no more."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from orchestrator_nb.system.sandbox import control_files
from orchestrator_nb.system.sandbox.landlock import ETC
from orchestrator_nb.system.sandbox.policy import Policy, covered
from orchestrator_nb.system.sandbox.programs import SYSTEM, Needed, trail

#: Who the process is inside, when it is root outside: some programs refuse to run as root.
_USER = 1000
#: Descriptors of what `_enter` hands to bwrap.
ARGUMENTS, FILTER, PASSWD, GROUP = 10, 11, 12, 13


def user() -> tuple[int, int]:
    """The user and group that the process is inside: as outside, but not root."""
    return os.geteuid() or _USER, os.getegid() or _USER


def accounts(policy: Policy) -> tuple[str, str]:
    """`/etc/passwd` and `/etc/group` as they are inside: with one user."""
    uid, gid = user()
    home = str(policy.home)
    home = "/" if ":" in home or "\n" in home else home  # those are what a line is made of
    nobody = "nobody:x:65534:65534:nobody:/:/bin/false\n"
    passwd = f"root:x:0:0:root:/:/bin/false\nagent:x:{uid}:{gid}:agent:{home}:/bin/sh\n{nobody}"
    return passwd, f"root:x:0:\nagent:x:{gid}:\nnogroup:x:65534:\n"


def arguments(policy: Policy, needed: Needed, cwd: Path, *, without_namespaces: bool) -> list[str]:
    """What bwrap is to be given, up to the command.

    Args:
        policy: What is granted.
        needed: What the programs need.
        cwd: The directory to run in, as it is called inside.
        without_namespaces: This bwrap can keep the process from making user namespaces (0.8).
    """
    uid, gid = user()
    return [
        "--unshare-all",
        *(["--share-net"] if policy.network else []),
        "--unshare-user",
        *(["--disable-userns"] if without_namespaces else []),
        *("--uid", str(uid), "--gid", str(gid), "--hostname", "sandbox"),
        *("--new-session", "--die-with-parent", "--clearenv"),
        *("--args", str(ARGUMENTS)),
        *_mounts(policy, needed),
        *("--chdir", str(cwd)),
    ]


def _mounts(policy: Policy, needed: Needed) -> Iterable[str]:
    """The file system, from the top down: what is deeper is mounted over what is around it."""
    granted = policy.granted()
    mounts: dict[Path, list[str]] = {Path("/proc"): ["--proc"], Path("/dev"): ["--dev"], Path("/tmp"): ["--tmpfs"]}  # noqa: S108
    for path in SYSTEM:
        if path.is_symlink():
            mounts[path] = ["--symlink", str(path.readlink())]
        elif path.is_dir():
            mounts[path] = ["--ro-bind", str(path)]
    for name in ETC:
        path = Path("/etc", name)
        if path.exists():
            mounts[path] = ["--ro-bind", str(path.resolve())]
    mounts[Path("/etc/passwd")] = ["--ro-bind-data", str(PASSWD)]
    mounts[Path("/etc/group")] = ["--ro-bind-data", str(GROUP)]
    for path in needed.paths:
        if not covered(path, granted):
            mounts[path] = ["--ro-bind", str(path)]
    links = dict(needed.links)
    for path in (*policy.readable, *policy.writable, policy.home, policy.tmp):
        links |= trail(path)[0]
    for link, target in links.items():
        if not covered(link, (*granted, *needed.paths)):
            mounts[link] = ["--symlink", target]
    for path in map(Path.resolve, policy.readable):
        mounts[path] = ["--ro-bind", str(path)]
    for path in map(Path.resolve, policy.writable):
        mounts[path] = ["--bind", str(path)]
    by_name = {path.resolve() for path in policy.writable}
    for path in (lock for directory in policy.writable for lock in control_files.locked(directory)):
        if path not in by_name:
            mounts[path] = ["--ro-bind", str(path)]
    for path in policy.masked():
        mounts[path] = ["--tmpfs"] if path.is_dir() else ["--ro-bind", "/dev/null"]
    for path in (policy.home.resolve(), policy.tmp.resolve()):
        mounts[path] = ["--bind", str(path)]
    for path in sorted(mounts, key=lambda path: len(path.parts)):
        yield from (*mounts[path], str(path))
    # The root of the machine, inside another user here, could write to /proc/sys: to core_pattern, for one.
    yield from ("--remount-ro", "/proc")
    yield from ("--remount-ro", "/")  # what is written beside the mounts would be gone without a word
