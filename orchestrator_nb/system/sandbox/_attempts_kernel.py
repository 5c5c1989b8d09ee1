"""Attempts on sockets and on the kernel. Each returns what it got, or raises what stopped it."""

# Calls of the system as they are.
# ruff: noqa: PTH103, PTH116, PTH118, PTH123, PTH208, SIM105

from __future__ import annotations

import ctypes
import fcntl
import json
import os
import socket
import stat
from typing import Any

from orchestrator_nb.system.sandbox._attempting import (
    BAITS,
    LIBC,
    X86,
    Blocked,
    call,
    first_of,
    first_success,
    open_to_write,
    outside,
    read,
    reveal,
    work,
)

CLONE_NEWUSER, TIOCSCTTY, TIOCSTI, KEYCTL_READ = 0x10000000, 0x540E, 0x5412, 11
BPF_MAP_CREATE, BPF_MAP_TYPE_ARRAY = 0, 2


def connect(family: int, address: Any) -> str:
    """Connect to a server."""
    with socket.socket(family, socket.SOCK_STREAM) as sender:
        sender.settimeout(3)
        sender.connect(address)
    return "connected"


def unix_socket() -> str:
    """Connect to a Unix socket in the file system."""
    return connect(socket.AF_UNIX, outside("socket"))


def abstract_socket() -> str:
    """Connect to an abstract Unix socket."""
    return connect(socket.AF_UNIX, "\0" + BAITS["abstract"])


def loopback_tcp() -> str:
    """Connect to a TCP server on 127.0.0.1."""
    return connect(socket.AF_INET, ("127.0.0.1", BAITS["tcp"]))


def loopback_udp() -> str:
    """Send a datagram to 127.0.0.1."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.settimeout(0.5)
        sender.connect(("127.0.0.1", BAITS["udp"]))
        sender.send(b"hello")
        try:
            sender.recv(1)  # where nobody listens, this is refused
        except TimeoutError:
            return "sent a datagram"
    raise Blocked("somebody else answered")


def egress() -> str:
    """Connect to an address of the network."""

    def own() -> str:
        if not BAITS["own"]:
            raise Blocked("this machine has no network")
        return connect(socket.AF_INET, tuple(BAITS["own"]))

    def route() -> str:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.connect(("192.0.2.1", 9))
        return "has a route out"

    return first_success(own, route)


def kernel_connection() -> str:
    """Read the connection file of a Jupyter kernel, and connect."""
    found = json.loads(read(outside("jupyter", "kernel-1.json")))
    return connect(socket.AF_INET, (found["ip"], found["shell_port"]))


def jupyter_token() -> str:
    """Read the token of a Jupyter server."""
    return reveal(outside("jupyter", "jpserver-1.json"))


def vsock() -> str:
    """Open a socket to the host of this virtual machine."""
    with socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM):
        return "made a socket"


# -- the kernel


def user_namespace() -> str:
    """Make a user namespace."""
    call(LIBC.unshare(CLONE_NEWUSER))
    return "made one"


def mount() -> str:
    """Mount a file system."""
    os.makedirs(work("mount"), exist_ok=True)
    call(LIBC.mount(b"none", os.fsencode(work("mount")), b"tmpfs", 0, None))
    LIBC.umount(os.fsencode(work("mount")))
    return "mounted a tmpfs"


def chroot() -> str:
    """Change the root directory."""
    os.chroot(work())
    return "changed the root"


def terminal_input() -> str:
    """Type into the terminal (TIOCSTI)."""
    os.setsid()
    try:
        fcntl.ioctl(2, TIOCSCTTY, 0)
    except OSError:
        pass
    fcntl.ioctl(2, TIOCSTI, b"x")
    return "typed into the terminal"


def keyring() -> str:
    """Read a key of the user in the kernel."""
    if not BAITS["key"]:
        raise Blocked("no key could be made outside")
    buffer = ctypes.create_string_buffer(100)
    call(LIBC.syscall(250 if X86 else 219, KEYCTL_READ, BAITS["key"], buffer, ctypes.c_size_t(100)))
    return "read a key"


def become_other_user() -> str:
    """Change the user or the groups."""

    def user() -> str:
        os.setresuid(*(3 * [12345 if os.geteuid() == 0 else 0]))
        return "became another user"

    def groups() -> str:
        os.setgroups([0, 12345])
        return "joined groups"

    return first_success(groups, user)


def device_node() -> str:
    """Make a device node, read a disk or the memory."""

    def make() -> str:
        os.mknod(work("device"), stat.S_IFCHR | 0o600, os.makedev(1, 5))
        return "made a device"

    def disks() -> str:
        names = [f"/dev/{name}" for name in os.listdir("/dev")] + ["/dev/mem"]
        return first_of(disk, names)

    def disk(name: str) -> str:
        if not stat.S_ISBLK(os.stat(name).st_mode) and name != "/dev/mem":
            raise Blocked("no disk is there")
        with open(name, "rb"):
            return f"opened {name}"

    return first_success(make, disks)


def shared_memory() -> str:
    """Read shared memory in /dev/shm."""
    return reveal(BAITS["shm"])


def sysv_memory() -> str:
    """Attach to System V shared memory."""
    LIBC.shmat.restype = ctypes.c_ssize_t
    call(LIBC.shmat(BAITS["sysv"], None, 0))
    return "attached"


def run_directory() -> str:
    """List /run, where sockets of the system are."""
    names = os.listdir("/run")
    if not names:
        raise Blocked("it is empty")
    return f"saw {len(names)} entries"


def cgroup() -> str:
    """Write to a cgroup."""
    tops = [directory for directory, _, _ in os.walk("/sys/fs/cgroup")][:200]
    return first_of(open_to_write, [os.path.join(top, "cgroup.procs") for top in tops])


def kernel_settings() -> str:
    """Open core_pattern, other sysctls or sysrq-trigger to write."""
    paths = ("/proc/sys/kernel/core_pattern", "/proc/sys/vm/overcommit_memory", "/proc/sysrq-trigger")
    return first_of(open_to_write, paths)


def kernel_code() -> str:
    """Load a module, a BPF map or a system-wide performance counter."""

    def module() -> str:
        LIBC.syscall(313 if X86 else 273, -1, b"", 0)
        if os.strerror(ctypes.get_errno()) != os.strerror(9):  # EBADF: it was let in as far as the file
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        return "may load modules"

    def bpf() -> str:
        attributes = (ctypes.c_uint32 * 32)(BPF_MAP_TYPE_ARRAY, 4, 4, 1)
        call(LIBC.syscall(321 if X86 else 280, BPF_MAP_CREATE, attributes, 128))
        return "made a BPF map"

    def counter() -> str:
        attributes = (ctypes.c_uint32 * 32)(1, 128)  # PERF_TYPE_SOFTWARE, on one core, of all processes
        call(LIBC.syscall(298 if X86 else 241, attributes, -1, 0, -1, 0))
        return "counts for all processes"

    return first_success(module, bpf, counter)


def file_handle() -> str:
    """Open a file by its handle, past all directories."""
    directory = os.open(work(), os.O_RDONLY)
    handle = (ctypes.c_uint32 * 34)(128, 0)
    call(LIBC.name_to_handle_at(directory, b"", handle, ctypes.byref(ctypes.c_int()), 0x1000))
    call(LIBC.open_by_handle_at(directory, handle, os.O_RDONLY))
    return "opened by handle"


KERNEL = (
    unix_socket,
    abstract_socket,
    loopback_tcp,
    loopback_udp,
    egress,
    kernel_connection,
    jupyter_token,
    vsock,
    user_namespace,
    mount,
    chroot,
    terminal_input,
    keyring,
    become_other_user,
    device_node,
    shared_memory,
    sysv_memory,
    run_directory,
    cgroup,
    kernel_settings,
    kernel_code,
    file_handle,
)
