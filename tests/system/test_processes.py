"""Identity, records and the sweep at the start of a resumed run."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator_nb.system import _cgroup, _proc, processes
from orchestrator_nb.system.processes import ExitRecord, Identity
from tests.system.lab import PYTHON, Lab, open_lab, wait_until

SLEEP = ["-c", "import time; time.sleep(1000)"]


@pytest.fixture(autouse=True)
def lab(tmp_path: Path) -> Iterator[Lab]:
    yield from open_lab(tmp_path)


def attempt(lab: Lab, number: int, *argv: str) -> subprocess.Popen[bytes]:
    marks = {"ORCH_SESSION": lab.token, "ORCH_TASK_ID": "task", "ORCH_ATTEMPT": str(number)}
    return subprocess.Popen([*PYTHON, *argv], env=marks, start_new_session=True)


def test_identity_is_that_of_one_process_for_ever() -> None:
    me = processes.identity(os.getpid())
    assert me
    assert me == processes.identity(os.getpid())
    assert processes.alive(me)
    assert not processes.alive(Identity(me.pid, me.start_time + 1, me.boot_id))
    assert not processes.alive(Identity(me.pid, me.start_time, "another boot"))


def test_a_dead_process_has_no_identity_and_a_zombie_is_dead() -> None:
    child = subprocess.Popen(["sleep", "1000"])
    known = processes.identity(child.pid)
    assert known
    child.kill()
    wait_until(lambda: _proc.stat(child.pid)[0] == b"Z")
    assert not processes.alive(known)
    child.wait()
    assert processes.identity(child.pid) is None


def test_names_with_spaces_and_brackets_do_not_confuse(tmp_path: Path) -> None:
    program = tmp_path / "a) R 1 (b"
    program.symlink_to("/bin/sleep")
    with subprocess.Popen([program, "1000"]) as child:
        wait_until(lambda: b"a) R" in _proc.read(f"/proc/{child.pid}/stat"))
        assert _proc.parent(child.pid) == os.getpid()
        assert _proc.living([child.pid]) == [child.pid]
        child.kill()


@pytest.mark.parametrize("content", [None, b"", b"{", b"[]", b"{}", b'{"pid": 1}', b"\xff"])
def test_a_record_that_is_not_whole_counts_for_nothing(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "log.exit").write_bytes(content)
    assert processes.read_exit(tmp_path / "log") is None


def test_a_record_is_read(tmp_path: Path) -> None:
    text = '{"pid": 7, "start_time": 8, "code": -9, "reason": "memory", "leftovers": 1, "lost": 2, "time": 3.5}\n'
    (tmp_path / "log.exit").write_text(text)
    assert processes.read_exit(tmp_path / "log") == ExitRecord(7, 8, -9, "memory", 1, 2, 3.5)


def test_sweep_ends_an_attempt_with_what_is_below_it_and_nothing_else(lab: Lab) -> None:
    parent = "import subprocess, sys, time; subprocess.Popen([sys.executable, *sys.argv[1:]], env={}); time.sleep(1000)"
    old = attempt(lab, 1, "-c", parent, *PYTHON[1:], *SLEEP, lab.token)
    other = attempt(lab, 2, *SLEEP)
    wait_until(lambda: len(lab.alive()) == 3)
    assert processes.sweep(lab.token, "task", 1) == ()
    assert old.wait() == -9
    wait_until(lambda: lab.alive() == [other.pid])
    assert processes.sweep(lab.token, "another", 2) == ()
    assert processes.sweep("another", "task", 2) == ()
    assert other.poll() is None
    other.kill()
    other.wait()


def test_sweep_waits_for_the_reapers_of_a_dead_coordinator(lab: Lab) -> None:
    polite = "import signal, sys, time\nsignal.signal(15, lambda *_: (time.sleep(0.2), print('bye'), sys.exit(3)))\n"
    coordinator = lab.coordinate(*PYTHON, "-u", "-c", f"{polite}print('up'); time.sleep(1000)")
    os.kill(coordinator.pid, 9)
    coordinator.end()
    assert processes.sweep(lab.token, "task", 1) == ()
    assert lab.alive() == []
    assert (lab.place / "log-0").read_text() == "up\nbye\n"
    record = processes.read_exit(lab.place / "log-0")
    assert record
    assert (record.code, record.reason) == (3, "orphaned")


def test_sweep_ends_stopped_reapers_of_a_dead_coordinator(lab: Lab) -> None:
    coordinator = lab.coordinate(*PYTHON, "-u", "-c", "print('up'); import time; time.sleep(1000)")
    for pid in (*coordinator.reapers(), coordinator.supervisor):
        os.kill(pid, 19)
    os.kill(coordinator.pid, 9)
    coordinator.end()
    assert processes.sweep(lab.token, "task", 1) == ()
    assert lab.alive() == []


def test_sweep_spares_the_supervisor_of_a_living_coordinator(lab: Lab) -> None:
    coordinator = lab.coordinate(*PYTHON, "-u", "-c", "print('up'); import time; time.sleep(1000)")
    assert processes.sweep(lab.token, "another", 1) == ()
    assert _proc.living(coordinator.pids) == coordinator.pids
    coordinator.process.kill()
    coordinator.end()


def test_children_are_found_without_the_help_of_the_kernel() -> None:
    """On a kernel that does not list children, every process is asked for its parent."""
    code = "import os, sys; sys.path.insert(0, sys.argv[1])\nfrom orchestrator_nb.system import _proc\n"
    code += "pid = os.fork() or os.execvp('sleep', ['sleep', '1000'])\n"
    code += "listed = _proc.children(os.getpid()); _proc.HAS_CHILDREN = False\n"
    code += "print(listed == _proc.children(os.getpid()) == [pid]); os.kill(pid, 9); os.wait()"
    found = subprocess.run([sys.executable, "-c", code, str(Path.cwd())], stdout=subprocess.PIPE, check=True)
    assert found.stdout == b"True\n"


def test_a_cgroup_is_removed_with_all_that_is_in_it(lab: Lab) -> None:
    if not _cgroup.available()[0]:
        pytest.skip("needs a cgroup (v2) that can be written")
    group = Path(_cgroup.own_cgroup(), f"test-{lab.token}")
    (group / "below").mkdir(parents=True)
    process = attempt(lab, 1, *SLEEP)
    (group / "below" / "cgroup.procs").write_text(str(process.pid))
    assert _cgroup.remove(str(group))
    assert process.wait() == -9
    assert not group.exists()
