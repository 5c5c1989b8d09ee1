"""Attempts on files and processes outside. Each returns what it got, or raises what stopped it."""

# Calls of the system as they are.
# ruff: noqa: PTH101, PTH103, PTH104, PTH118, PTH120, PTH123, PTH208, PTH211, S103

from __future__ import annotations

import ctypes
import os
import signal

from orchestrator_nb.system.sandbox._attempting import (
    BAITS,
    LIBC,
    Blocked,
    call,
    first_of,
    first_success,
    outside,
    read,
    really_outside,
    reveal,
    victim,
    work,
    write,
    write_briefly,
)

PTRACE_SEIZE, PIDFD_GETFD = 0x4206, 438


def write_outside() -> str:
    """Write a file next to the granted directory, and in the directory around it."""
    return first_success(lambda: write(really_outside("secret")), lambda: write(really_outside("planted")))


def write_system() -> str:
    """Write a file in /, /usr, /etc, /opt or /var."""
    places = ("/", "/usr", "/usr/bin", "/etc", "/opt", "/var")
    return first_of(write_briefly, [os.path.join(place, BAITS["token"]) for place in places])


def append_session_log() -> str:
    """Append to the event log of the run."""
    return write(really_outside("events.jsonl"))


def read_secret() -> str:
    """Read a file of the user that was not granted."""
    return reveal(outside("secret"))


def read_ssh_key() -> str:
    """Read a private key in a home directory."""
    return reveal(outside("other", ".ssh", "id_ed25519"))


def list_home() -> str:
    """List the real home of the user."""
    seen = set(os.listdir(BAITS["home"])) & set(BAITS["home_names"])
    if not seen:
        raise Blocked("nothing of it is there")
    return f"saw {len(seen)} entries"


def links_out() -> str:
    """Get out by symbolic links, hard links and renames made in the granted directory."""

    def symbolic() -> str:
        os.symlink(outside("secret"), work("symbolic"))
        return reveal(work("symbolic"))

    def symbolic_directory() -> str:
        os.symlink(really_outside(), work("directory"))
        return write(work("directory", "planted"))

    def hard() -> str:
        os.link(outside("secret"), work("hard"))
        return reveal(work("hard"))

    def rename() -> str:
        write(work("mine"))
        os.rename(work("mine"), really_outside("renamed"))
        return "moved a file out"

    return first_success(symbolic, symbolic_directory, hard, rename)


def chmod_outside() -> str:
    """Change mode or times of a file outside."""

    def mode() -> str:
        os.chmod(really_outside("secret"), 0o666)
        return "changed a mode"

    def times() -> str:
        os.utime(really_outside("secret"), (1, 1))
        return "changed times"

    return first_success(mode, times)


def proc_root() -> str:
    """Read a file outside through /proc/PID/root and /proc/PID/cwd of every process."""
    pids = [name for name in os.listdir("/proc") if name.isdigit()] + ["self"]
    ways = (f"/proc/{pid}/{way}" for pid in pids for way in ("root" + outside("secret"), "cwd/../secret"))
    return first_of(reveal, ways)


def stdin_reopened() -> str:
    """Write to the input file through /proc/self/fd/0."""
    fd = os.open("/proc/self/fd/0", os.O_WRONLY)
    os.write(fd, b"changed")
    return "changed the input file"


def inherited_files() -> str:
    """Find open files that nobody meant to hand over."""
    names = [int(name) for name in os.listdir("/proc/self/fd") if int(name) > 2]
    for fd in names:
        try:
            if BAITS["token"].encode() in os.pread(fd, 100, 0):
                return f"read a file outside at descriptor {fd}"
        except OSError:
            continue
    raise Blocked("none")


def git_hook() -> str:
    """Change hooks or configuration of the granted repository, or put another in its place."""

    def replace() -> str:
        os.rename(work(".git"), work("git"))
        return "moved .git away"

    paths = (".git/hooks/post-checkout", ".git/config", ".git/commondir")
    return first_success(lambda: first_of(write, [work(path) for path in paths]), replace)


def agent_settings() -> str:
    """Write .claude, .codex, .gemini and .vscode settings that were not there."""
    paths = (".claude/settings.json", ".codex/config.toml", ".gemini/settings.json", ".vscode/tasks.json")

    def plant(path: str) -> str:
        os.makedirs(os.path.dirname(work(path)), exist_ok=True)
        return write(work(path))

    def replace() -> str:
        os.rename(work(".claude"), work("claude"))
        return "moved .claude away"

    return first_success(lambda: first_of(plant, paths), replace)


# -- processes


def see_process() -> str:
    """See a process outside, with its arguments."""
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                said = read(f"/proc/{name}/cmdline")
            except OSError:
                continue
            if "signal.pause" in said and BAITS["token"] in said:
                return f"saw process {name}"
    raise Blocked("it is not to be seen")


def read_environment() -> str:
    """Read the environment of a process outside."""
    pids = [BAITS["victim"], *(name for name in os.listdir("/proc") if name.isdigit())]
    return first_of(reveal, [f"/proc/{pid}/environ" for pid in pids])


def read_memory() -> str:
    """Attach to a process outside, read its memory, take its files."""
    pid = victim()

    def attach() -> str:
        call(LIBC.ptrace(PTRACE_SEIZE, pid, None, None))
        return "attached"

    def memory() -> str:
        with open(f"/proc/{pid}/mem", "rb"):
            return "opened its memory"

    def copy() -> str:
        there = int(read(f"/proc/{pid}/maps").partition("-")[0], 16)
        buffer = ctypes.create_string_buffer(8)
        local, remote = (ctypes.c_void_p * 2)(ctypes.addressof(buffer), 8), (ctypes.c_void_p * 2)(there, 8)
        call(LIBC.process_vm_readv(pid, local, 1, remote, 1, 0))
        return "read its memory"

    def take() -> str:
        call(LIBC.syscall(PIDFD_GETFD, os.pidfd_open(pid), 0, 0))
        return "took its input"

    return first_success(attach, memory, copy, take)


def signal_process() -> str:
    """Signal a process outside."""
    pid = victim()

    def by_pid() -> str:
        os.kill(pid, signal.SIGCONT)
        return "signalled it"

    def by_descriptor() -> str:
        signal.pidfd_send_signal(os.pidfd_open(pid), signal.SIGCONT)
        return "signalled it"

    return first_success(by_pid, by_descriptor)


def schedule_process() -> str:
    """Change cores and priority of a process outside."""
    pid = victim()

    def cores() -> str:
        os.sched_setaffinity(pid, os.sched_getaffinity(0))
        return "chose its cores"

    def priority() -> str:
        os.setpriority(os.PRIO_PROCESS, pid, 1)
        return "changed its priority"

    return first_success(cores, priority)


FILES = (
    write_outside,
    write_system,
    append_session_log,
    read_secret,
    read_ssh_key,
    list_home,
    links_out,
    chmod_outside,
    proc_root,
    stdin_reopened,
    inherited_files,
    git_hook,
    agent_settings,
    see_process,
    read_environment,
    read_memory,
    signal_process,
    schedule_process,
)
