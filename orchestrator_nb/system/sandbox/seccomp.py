"""The filter of system calls: what a contained process never needs, and what its other walls do not stop.

It closes what is no file: keys of the kernel, typing into a terminal (TIOCSTI), sockets of families that no
namespace separates (AF_VSOCK reaches the host of a virtual machine), and large parts of the kernel that have been
ways out before. Refused calls fail with EPERM, so that programs do without them.
"""

from __future__ import annotations

import errno
import platform
import socket
import struct
from collections.abc import Sequence

#: The classic BPF of seccomp: load a word of seccomp_data, compare, return.
_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_ALLOW, _ERRNO = 0x7FFF0000, 0x00050000
#: Offsets in seccomp_data: number of the call, architecture, low words of the first two arguments.
_NUMBER, _ARCHITECTURE, _FIRST, _SECOND = 0, 4, 16, 24

_CLONE_NEWUSER = 0x10000000
_TIOCSTI, _TIOCLINUX = 0x5412, 0x541C
#: System calls by this number and above belong to x32.
_X32 = 0x40000000

_AUDIT = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}

#: Calls that are refused: their numbers on x86_64 and on aarch64.
_REFUSED = {
    "keyctl": (250, 219),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "unshare": (272, 97),
    "setns": (308, 268),
    "mount": (165, 40),
    "umount2": (166, 39),
    "pivot_root": (155, 41),
    "chroot": (161, 51),
    "open_tree": (428, 428),
    "move_mount": (429, 429),
    "fsopen": (430, 430),
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "fspick": (433, 433),
    "mount_setattr": (442, 442),
    "open_by_handle_at": (304, 265),
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
    "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    "init_module": (175, 105),
    "finit_module": (313, 273),
    "delete_module": (176, 106),
    "kexec_load": (246, 104),
    "kexec_file_load": (320, 294),
    "reboot": (169, 142),
    "swapon": (167, 224),
    "swapoff": (168, 225),
    "acct": (163, 89),
    "quotactl": (179, 60),
    "quotactl_fd": (443, 443),
    "settimeofday": (164, 170),
    "clock_settime": (227, 112),
    "clock_adjtime": (305, 266),
    "sethostname": (170, 161),
    "setdomainname": (171, 162),
}
#: Calls that are refused where no namespace separates what they reach: System V memory, semaphores and messages.
_SHARED = {
    "shmget": (29, 194),
    "shmat": (30, 196),
    "semget": (64, 190),
    "msgget": (68, 186),
    "mq_open": (240, 180),
}
#: Calls whose arguments decide.
_CLONE, _CLONE3, _IOCTL, _SOCKET = (56, 220), (435, 435), (16, 29), (41, 198)

#: Families of sockets in namespaces of their own, and where there are none, with the network and without.
SEPARATED = (socket.AF_UNIX, socket.AF_INET, socket.AF_INET6, socket.AF_NETLINK)
NETWORK = (socket.AF_INET, socket.AF_INET6, socket.AF_NETLINK)
NO_NETWORK = ()


def supported(machine: str = "") -> bool:
    """Whether there is a filter for this kind of machine (``platform.machine()``)."""
    return (machine or platform.machine()) in _AUDIT


def program(families: Sequence[int], *, shared_ipc: bool = False, machine: str = "") -> bytes:
    """The filter, as the kernel takes it; empty where none is known for the machine.

    Args:
        families: The families of sockets that may be made.
        shared_ipc: There is no IPC namespace: refuse System V IPC and message queues as well.
        machine: As of ``platform.machine()``; that of this machine when empty.
    """
    machine = machine or platform.machine()
    if machine not in _AUDIT:
        return b""
    column = list(_AUDIT).index(machine)
    refused = _REFUSED | (_SHARED if shared_ipc else {})
    code = [
        (_LOAD, 0, 0, _ARCHITECTURE),
        (_EQUAL, 1, 0, _AUDIT[machine]),
        _fail(errno.ENOSYS),
        (_LOAD, 0, 0, _NUMBER),
        (_AT_LEAST, 0, 1, _X32),
        _fail(errno.ENOSYS),
        (_EQUAL, 0, 1, _CLONE3[column]),
        _fail(errno.ENOSYS),  # its flags lie in memory, where no filter sees them: libraries then use clone
    ]
    for numbers in refused.values():
        code += [(_EQUAL, 0, 1, numbers[column]), _fail(errno.EPERM)]
    code += _when(_CLONE[column], [(_LOAD, 0, 0, _FIRST), (_ANY_BIT, 0, 1, _CLONE_NEWUSER), _fail(errno.EPERM)])
    code += _when(
        _IOCTL[column],
        [
            (_LOAD, 0, 0, _SECOND),
            (_EQUAL, 1, 0, _TIOCSTI),
            (_EQUAL, 0, 1, _TIOCLINUX),
            _fail(errno.EPERM),
        ],
    )
    allowed = [step for family in families for step in ((_EQUAL, 0, 1, int(family)), _allow())]
    code += _when(_SOCKET[column], [(_LOAD, 0, 0, _FIRST), *allowed, _fail(errno.EAFNOSUPPORT)])
    code.append(_allow())
    return b"".join(struct.pack("<HBBI", *step) for step in code)


def _when(number: int, steps: list[tuple[int, int, int, int]]) -> list[tuple[int, int, int, int]]:
    """Steps for the call of this number alone; whoever gets to their end is allowed."""
    return [(_EQUAL, 0, len(steps) + 1, number), *steps, _allow()]


def _fail(number: int) -> tuple[int, int, int, int]:
    return (_RETURN, 0, 0, _ERRNO | number)


def _allow() -> tuple[int, int, int, int]:
    return (_RETURN, 0, 0, _ALLOW)
