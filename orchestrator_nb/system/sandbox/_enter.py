"""Goes into a sandbox and becomes a program: ``python -I -S _enter.py STEP... -- PROGRAM ARGUMENT...``.

It is a program and not code that runs between fork and exec, because a process with threads must not fork. Its own
environment holds nothing that could change what it does: the variables of the program come as ``INSIDE_NAME=VALUE``,
and neither they nor the contents of files are on a command line, which everybody may read. A step that fails ends
it, with exit code 125, before the program has begun. The steps::

    text FD TEXT        a file with this text, at this descriptor
    code FD HEX         a file with these bytes
    environment FD      a file with the variables as arguments of bwrap, which itself is not to have them
    restrict FS NET SCOPED   begin a Landlock ruleset that handles this; sizes follow from what is not 0
    allow ACCESS PATH   allow this below a path
    enter               take on the ruleset
    powerless           give up all capabilities
    filter HEX          take on this filter of system calls
    deaf                ignore SIGTERM (bwrap would die of it, and all in it without grace)
"""

# Its start is waited for: neither pathlib nor contextlib is loaded, nor signal, whose enumerations cost 4 ms.
# ruff: noqa: T201

from __future__ import annotations

import os
import sys

if sys.platform == "linux":
    import _signal  # type: ignore[import-not-found]
    import ctypes
    import resource
    import stat

    FAILED = 125
    PREFIX = b"INSIDE_"
    #: Descriptors that a program may inherit.
    FIRST_OTHER = 3

    PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, PR_CAPBSET_DROP, PR_CAP_AMBIENT = 38, 22, 24, 47
    PR_CAP_AMBIENT_CLEAR_ALL, SECCOMP_MODE_FILTER = 4, 2
    CAPABILITY_VERSION_3, CAPABILITIES = 0x20080522, 64
    LANDLOCK_CREATE_RULESET, LANDLOCK_ADD_RULE, LANDLOCK_RESTRICT_SELF = 444, 445, 446
    LANDLOCK_RULE_PATH_BENEATH = 1
    #: The rights that there are on a file that is no directory: run, write, read, truncate, ioctl of a device.
    FILE_RIGHTS = 1 | 2 | 4 | 1 << 14 | 1 << 15

    libc = ctypes.CDLL(None, use_errno=True)

    class Beneath(ctypes.Structure):
        """struct landlock_path_beneath_attr."""

        _pack_ = 1
        _layout_ = "ms"
        _fields_ = (("allowed_access", ctypes.c_uint64), ("parent_fd", ctypes.c_int32))

    class Filter(ctypes.Structure):
        """struct sock_fprog."""

        _fields_ = (("len", ctypes.c_ushort), ("filter", ctypes.c_char_p))

    def succeed(result: int, what: str) -> int:
        """The result of a system call. Raises `OSError` if it failed."""
        if result < 0:
            number = ctypes.get_errno()
            raise OSError(number, f"{what}: {os.strerror(number)}")
        return result

    def place(content: bytes, number: int) -> None:
        """Have a file with this content at a descriptor."""
        fd = os.memfd_create("sandbox")
        os.write(fd, content) if content else None
        os.lseek(fd, 0, os.SEEK_SET)
        if fd != number:
            os.dup2(fd, number)
            os.close(fd)
        os.set_inheritable(number, True)

    def seal_input() -> None:
        """Put a sealed copy in the place of an input file: through /proc/self/fd/0 the file could be written to."""
        if not stat.S_ISREG(os.fstat(0).st_mode):
            return
        import fcntl

        copy = os.memfd_create("input", os.MFD_ALLOW_SEALING)
        while chunk := os.read(0, 1 << 20):
            while chunk:
                chunk = chunk[os.write(copy, chunk) :]
        os.lseek(copy, 0, os.SEEK_SET)
        fcntl.fcntl(copy, 1033, 15)  # F_ADD_SEALS: seal, shrink, grow, write
        os.dup2(copy, 0)
        os.close(copy)

    def restrict(handled: list[int]) -> int:
        """A new Landlock ruleset; kernels know as many of its fields as they are old."""
        while handled[1:] and not handled[-1]:
            handled.pop()
        attributes = (ctypes.c_uint64 * len(handled))(*handled)
        size = ctypes.c_size_t(ctypes.sizeof(attributes))
        return succeed(libc.syscall(LANDLOCK_CREATE_RULESET, attributes, size, 0), "Landlock ruleset")

    def allow(ruleset: int, access: int, path: str) -> None:
        """Allow this below a path."""
        fd = os.open(path, os.O_PATH)
        if not stat.S_ISDIR(os.fstat(fd).st_mode):
            access &= FILE_RIGHTS
        rule = Beneath(access, fd)
        result = libc.syscall(LANDLOCK_ADD_RULE, ruleset, LANDLOCK_RULE_PATH_BENEATH, ctypes.byref(rule), 0)
        succeed(result, f"Landlock rule for {path}")
        os.close(fd)

    def give_up_capabilities() -> None:
        """Keep no capability, and get none by executing a program as root."""
        libc.prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
        for number in range(CAPABILITIES):
            libc.prctl(PR_CAPBSET_DROP, number, 0, 0, 0)
        header = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION_3, 0)
        succeed(libc.capset(header, (ctypes.c_uint32 * 6)()), "capabilities")

    def filter_calls(code: bytes) -> None:
        """Take on a filter of system calls."""
        program = Filter(len(code) // 8, code)
        succeed(libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(program), 0, 0), "filter of system calls")

    def become(command: list[str], environment: dict[bytes, bytes]) -> None:
        """Execute a program, looked up in PATH if its name has no slash; `os.execvpe` would import a module now."""
        places = [b""] if "/" in command[0] else environment.get(b"PATH", os.defpath.encode()).split(b":")
        error: OSError = FileNotFoundError(2, f"{command[0]} is not in PATH")
        for place in places:
            try:
                os.execve(os.path.join(place, os.fsencode(command[0])), command, environment)  # noqa: PTH118, S606
            except (FileNotFoundError, NotADirectoryError):
                continue
            except PermissionError as denied:
                error = denied
        raise error

    def main(arguments: list[str]) -> None:
        """Do the steps, become the program."""
        os.closerange(FIRST_OTHER, resource.getrlimit(resource.RLIMIT_NOFILE)[1])
        resource.setrlimit(resource.RLIMIT_CORE, (1, 1))  # 1, not 0: that holds for a core_pattern with a pipe too
        seal_input()
        succeed(libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no_new_privs")
        inside = {name[len(PREFIX) :]: value for name, value in os.environb.items() if name.startswith(PREFIX)}
        environment = inside
        steps = iter(arguments)
        ruleset = -1
        for step in steps:
            if step == "--":
                break
            if step == "text":
                number = int(next(steps))
                place(os.fsencode(next(steps)), number)
            elif step == "code":
                number = int(next(steps))
                place(bytes.fromhex(next(steps)), number)
            elif step == "environment":
                place(b"".join(b"--setenv\0%b\0%b\0" % item for item in inside.items()), int(next(steps)))
                environment = {name: value for name, value in os.environb.items() if not name.startswith(PREFIX)}
            elif step == "restrict":
                ruleset = restrict([int(next(steps)), int(next(steps)), int(next(steps))])
            elif step == "allow":
                access = int(next(steps))
                allow(ruleset, access, next(steps))
            elif step == "enter":
                succeed(libc.syscall(LANDLOCK_RESTRICT_SELF, ruleset, 0), "Landlock")
                os.close(ruleset)
            elif step == "powerless":
                give_up_capabilities()
            elif step == "filter":
                filter_calls(bytes.fromhex(next(steps)))
            elif step == "deaf":
                _signal.signal(_signal.SIGTERM, _signal.SIG_IGN)
            else:
                raise ValueError(f"unknown step {step}")
        command = list(steps)
        _signal.signal(_signal.SIGPIPE, _signal.SIG_DFL)  # Python ignores it, and a program would inherit that
        _signal.signal(_signal.SIGXFSZ, _signal.SIG_DFL)
        become(command, environment)

    if __name__ == "__main__":
        try:
            main(sys.argv[1:])
        except (OSError, ValueError, AttributeError) as error:
            print(f"orchestrate: the sandbox cannot be entered: {error}", file=sys.stderr)
            sys.exit(FAILED)
