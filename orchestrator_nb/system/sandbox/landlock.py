"""Landlock: rules of the kernel on what files a process may open, ports it may use, processes it may signal."""

from __future__ import annotations

import ctypes
import functools
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from orchestrator_nb.system.sandbox.policy import Policy
from orchestrator_nb.system.sandbox.programs import STORES, SYSTEM, Needed

#: landlock_create_ruleset, the same number on every architecture; with this flag it returns the ABI's version.
_CREATE_RULESET, _VERSION = 444, 1

EXECUTE, WRITE_FILE, READ_FILE, READ_DIR = 1, 2, 4, 8
_MAKE_CHAR, _MAKE_BLOCK = 1 << 6, 1 << 11
_REFER, TRUNCATE, _IOCTL_DEVICE = 1 << 13, 1 << 14, 1 << 15
#: What may be ruled from this ABI on.
_FILES = {1: (1 << 13) - 1, 2: _REFER, 3: TRUNCATE, 5: _IOCTL_DEVICE}
_TCP_SINCE, _TCP = 4, 3
_SCOPES_SINCE, _SCOPES = 6, 3

READ = EXECUTE | READ_FILE | READ_DIR
#: Devices that everybody needs and that lead nowhere.
_DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")
#: Files of /etc without which programs do not run or do not find names. Each costs a mount: 0.3 ms.
ETC = (
    "alternatives",
    "crypto-policies",
    "fonts",
    "hosts",
    "ld.so.cache",
    "localtime",
    "mime.types",
    "nsswitch.conf",
    "pki/ca-trust",
    "pki/tls/cert.pem",
    "pki/tls/certs",
    "pki/tls/openssl.cnf",
    "protocols",
    "resolv.conf",
    "services",
    "ssl/cert.pem",
    "ssl/certs",
    "ssl/openssl.cnf",
    "static",
    "terminfo",
    "timezone",
)


@functools.cache
def abi() -> int:
    """The version of Landlock in this kernel, 0 if there is none."""
    if sys.platform != "linux":
        return 0
    return max(0, int(ctypes.CDLL(None).syscall(_CREATE_RULESET, None, 0, _VERSION)))


def scopes(version: int) -> int:
    """The bits that keep signals and abstract sockets inside, 0 where the kernel cannot."""
    return _SCOPES if version >= _SCOPES_SINCE else 0


def steps(policy: Policy, needed: Needed, version: int) -> list[str]:
    """The rules for a policy, as steps of `_enter`."""
    files = sum(bits for since, bits in _FILES.items() if version >= since)
    tcp = _TCP if version >= _TCP_SINCE and not policy.network else 0
    read, write = READ & files, files & ~(_MAKE_CHAR | _MAKE_BLOCK | _IOCTL_DEVICE)
    device = (READ_FILE | WRITE_FILE | TRUNCATE | _IOCTL_DEVICE) & files
    return [
        "restrict",
        *map(str, (files, tcp, scopes(version))),
        *_allow(read, (*SYSTEM, *STORES, Path("/proc"), *(Path("/etc", name) for name in (*ETC, "passwd", "group")))),
        *_allow(read, (*needed.paths, *policy.readable)),
        *_allow(write, (*policy.writable, policy.home, policy.tmp)),
        *_allow(device, [Path(device) for device in _DEVICES]),
        "enter",
    ]


def _allow(access: int, paths: Sequence[Path]) -> list[str]:
    """Allow this below those of the paths that there are."""
    return [word for path in paths if os.path.exists(path) for word in ("allow", str(access), str(path))]  # noqa: PTH110
