"""The filter of system calls, as the kernel reads it."""

from __future__ import annotations

import errno
import platform
import socket
import struct

import pytest

from orchestrator_nb.system.sandbox import seccomp

X86, ARM = 0xC000003E, 0xC00000B7
ALLOWED = 0
NEWUSER, TIOCSTI = 0x10000000, 0x5412


def verdict(code: bytes, architecture: int, number: int, *arguments: int) -> int:
    """What the filter says to a call: 0, or the errno that it fails with. A small kernel."""
    words = {0: number, 4: architecture}
    words |= {16 + 8 * place: argument & 0xFFFFFFFF for place, argument in enumerate(arguments)}
    steps = list(struct.iter_unpack("<HBBI", code))
    at = value = 0
    while True:
        operation, when, otherwise, operand = steps[at]
        at += 1
        match operation:
            case 0x20:
                value = words.get(operand, 0)
            case 0x15:
                at += when if value == operand else otherwise
            case 0x35:
                at += when if value >= operand else otherwise
            case 0x45:
                at += when if value & operand else otherwise
            case 0x06:
                return 0 if operand == 0x7FFF0000 else operand & 0xFFFF
            case _:
                raise AssertionError(operation)


@pytest.mark.parametrize(
    ("machine", "architecture", "calls"),
    [
        (
            "x86_64",
            X86,
            {"read": 0, "keyctl": 250, "clone": 56, "clone3": 435, "ioctl": 16, "socket": 41, "shmget": 29},
        ),
        (
            "aarch64",
            ARM,
            {"read": 63, "keyctl": 219, "clone": 220, "clone3": 435, "ioctl": 29, "socket": 198, "shmget": 194},
        ),
    ],
)
def test_calls_are_judged_by_number_and_arguments(machine: str, architecture: int, calls: dict[str, int]) -> None:
    code = seccomp.program(seccomp.SEPARATED, machine=machine)

    def say(name: str, *arguments: int) -> int:
        return verdict(code, architecture, calls[name], *arguments)

    assert say("read", 0, 0, 10) == ALLOWED
    assert say("keyctl", 0) == errno.EPERM
    assert say("clone3") == errno.ENOSYS
    assert say("clone", 0x11) == ALLOWED
    assert say("clone", 0x11 | NEWUSER) == errno.EPERM
    assert say("ioctl", 0, 0x5401) == ALLOWED
    assert say("ioctl", 0, TIOCSTI) == errno.EPERM
    assert say("ioctl", 0, 1 << 32 | TIOCSTI) == errno.EPERM
    assert say("socket", socket.AF_UNIX) == ALLOWED
    assert say("socket", 40) == errno.EAFNOSUPPORT
    assert say("shmget") == ALLOWED
    assert verdict(code, 0x40000003, calls["read"]) == errno.ENOSYS  # another architecture: its numbers mean else


def test_without_namespaces_more_is_refused() -> None:
    code = seccomp.program(seccomp.NO_NETWORK, shared_ipc=True, machine="x86_64")
    assert verdict(code, X86, 29) == errno.EPERM
    for family in (socket.AF_UNIX, socket.AF_INET, socket.AF_INET6, socket.AF_NETLINK):
        assert verdict(code, X86, 41, family) == errno.EAFNOSUPPORT
    networked = seccomp.program(seccomp.NETWORK, shared_ipc=True, machine="x86_64")
    assert verdict(networked, X86, 41, socket.AF_INET) == ALLOWED
    assert verdict(networked, X86, 41, socket.AF_UNIX) == errno.EAFNOSUPPORT


def test_x32_is_refused() -> None:
    code = seccomp.program(seccomp.SEPARATED, machine="x86_64")
    assert verdict(code, X86, 0x40000000 | 250) == errno.ENOSYS


def test_of_unknown_machines_nothing_is_claimed() -> None:
    assert seccomp.program(seccomp.SEPARATED, machine="riscv64") == b""
    assert not seccomp.supported("riscv64")
    assert seccomp.supported() == (platform.machine() in ("x86_64", "aarch64"))
