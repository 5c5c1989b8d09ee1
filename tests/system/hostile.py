"""A tree that does not want to die (RELIABILITY X1): ``python hostile.py TOKEN``, says "ready" when it stands.

A plain child; one that ignores signals; one in its own session; a daemon by double fork; a daemon without environment;
and a process that forks and exits every 3 ms.
"""

from __future__ import annotations

import os
import signal
import sys
import time


def forever() -> None:
    while True:
        time.sleep(1)


def deaf() -> None:
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    forever()


def session() -> None:
    os.setsid()
    deaf()


def daemon() -> None:
    os.setsid()
    if os.fork():
        os._exit(0)
    deaf()


def bare_daemon() -> None:
    os.setsid()
    if os.fork():
        os._exit(0)
    code = "import time; time.sleep(1000)"
    os.execve(sys.executable, [sys.executable, "-I", "-S", "-c", code, sys.argv[1]], {})


def hopper() -> None:
    os.setsid()
    while True:
        if os.fork():
            os._exit(0)
        time.sleep(0.003)


def main() -> None:
    for role in (forever, deaf, session, daemon, bare_daemon, hopper):
        if os.fork() == 0:
            role()
    time.sleep(0.1)
    os.write(1, b"ready\n")
    forever()


if __name__ == "__main__":
    main()
