"""What a program finds when it begins, as JSON: the same in a fork as in a fresh interpreter."""

from __future__ import annotations

import gc
import json
import locale
import os
import signal
import subprocess
import sys
import threading


def streams() -> list[object]:
    found: list[object] = []
    for name in ("stdin", "stdout", "stderr"):
        file = getattr(sys, name)
        assert file is getattr(sys, f"__{name}__")
        found += [repr(file), file.errors, file.line_buffering, file.write_through, file.seekable(), file.fileno()]
        found += [file.buffer.name, file.buffer.mode, type(file.buffer).__name__]
    return found


def proc(name: str) -> str:
    with open(f"/proc/self/{name}") as file:
        return file.read()


def main() -> None:
    module = sys.modules["__main__"]
    found = {
        "argv": [sys.argv, sys.orig_argv, sys.path, sys.flags, sys.executable, sys.warnoptions],
        "main": [__name__, __file__, __doc__, __package__, module.__dict__ is globals(), type(__loader__).__name__],
        "spec": [
            __spec__ and __spec__.name,
            __spec__ and __spec__.origin,
            sorted(k for k in globals() if k[:2] == "__"),
        ],
        "environment": [dict(os.environ), subprocess.check_output(["env"], text=True), proc("environ")],
        "streams": streams(),
        "files": os.listdir("/proc/self/fd"),
        "signals": [str(signal.getsignal(n)).partition(" at ")[0] for n in signal.valid_signals()],
        "mask": sorted(signal.pthread_sigmask(signal.SIG_BLOCK, ())),
        "names": [proc("cmdline"), proc("comm"), os.readlink("/proc/self/exe"), proc("oom_score_adj")],
        "process": [os.getpgid(0) == os.getpid(), os.getcwd(), os.umask(0o22), sorted(os.sched_getaffinity(0))],
        "threads": [threading.main_thread().native_id == os.getpid(), threading.active_count()],
        "interpreter": [gc.isenabled(), gc.get_threshold(), locale.setlocale(locale.LC_ALL), sys.exc_info()],
        "hooks": [sys.excepthook is sys.__excepthook__, sys.gettrace(), sys.getrecursionlimit()],
        "input": sys.stdin.read(),
    }
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
