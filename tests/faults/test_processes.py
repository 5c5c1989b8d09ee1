"""Hostile, unlucky and talkative processes, killed coordinators and supervisors (RELIABILITY B, E5, A9)."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import random
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from orchestrator_nb.errors import AgentError
from orchestrator_nb.system import _proc, processes
from orchestrator_nb.system.processes import Identity
from orchestrator_nb.system.supervisor import Supervisor
from tests.system.lab import HOSTILE, PYTHON, Coordinator, Lab, descriptors, open_lab, wait_until
from tests.tools import need

#: The coordinator sees neither cgroups nor anything else in /sys.
WITHOUT_CGROUPS = ("bwrap", "--dev-bind", "/", "/", "--tmpfs", "/sys")


@pytest.fixture(autouse=True)
def lab(tmp_path: Path) -> Iterator[Lab]:
    yield from open_lab(tmp_path)


def run[T](work: Awaitable[T]) -> T: ...
