"""Forks of a preloaded interpreter are held as every other command is: limits, whole trees, the owner's death."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from orchestrator_nb.system import _proc, processes
from orchestrator_nb.system.forking import as_meant, obstacle_here, single_threaded
from orchestrator_nb.system.preloading import NOT_PRELOADED
from orchestrator_nb.system.supervisor import Supervisor
from tests.system.coordinator import descriptors
from tests.system.forks import program, run, supervised
from tests.system.lab import ROOT, Lab, open_lab, wait_until


@pytest.fixture(autouse=True)
def lab(tmp_path: Path) -> Iterator[Lab]:
    yield from open_lab(tmp_path)


def test_200_forks_leave_no_files_and_no_processes(lab: Lab) -> None:
    async def work(supervisor: Supervisor) -> None:
        command = program(lab, "import os; os.write(1, b'x')")
        await run(supervisor, command)
        (keeper,) = set(_proc.children(os.getpid())) - lab.before

        def open_files() -> list[int]:
            return [len(os.listdir(f"/proc/{pid}/fd")) for pid in (os.getpid(), keeper, *_proc.children(keeper))]

        before = open_files(), _proc.descendants(keeper), descriptors()
        for _ in range(200):
            assert (await (await supervisor.spawn(command)).wait()).code == 0
        assert (open_files(), _proc.descendants(keeper), descriptors()) == before
        assert Path(command.log).read_bytes() == b"x" * 201

    supervised(lab, work)


def test_memory_of_a_fork_is_limited(lab: Lab) -> None:
    async def work(supervisor: Supervisor) -> None:
        hog = program(lab, "held = []\nwhile True: held.append(b'x' * (1 << 20))", memory=100 << 20)
        process = await supervisor.spawn(hog)
        exit_ = await asyncio.wait_for(process.wait(), 30)
        assert (exit_.code, exit_.reason) == (-9, "memory")
        assert (await run(supervisor, program(lab, "print('small')", memory=100 << 20))) == (0, "small\n")

    supervised(lab, work)


#: A fork with a child that does not want to die, in a session of its own.
STUBBORN = """
    import os, signal, time
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    if os.fork() == 0:
        os.setsid()
    else:
        print("ready", flush=True)
    time.sleep(1000)
"""


def test_a_fork_is_ended_with_its_whole_tree(lab: Lab) -> None:
    async def work(supervisor: Supervisor) -> None:
        process = await supervisor.spawn(program(lab, STUBBORN))
        async for _ in process.output():
            break
        assert len(lab.alive()) >= 2
        assert (await process.terminate(0.1)).code == -9
        assert [pid for pid in lab.alive() if b"program" in _proc.read(f"/proc/{pid}/cmdline")] == []
        left = await supervisor.spawn(program(lab, "import os, time\nif os.fork() == 0: time.sleep(1000)"))
        assert (await left.wait()).leftovers == 1

    supervised(lab, work)


@pytest.mark.parametrize("victims", ["owner", "owner and supervisor", "owner, supervisor and reapers"])
def test_forks_die_with_a_killed_owner(lab: Lab, victims: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAB_PRELOAD", "json tempfile")
    owner = lab.coordinate(*program(lab, STUBBORN).argv, count=2)
    doomed = [owner.pid]
    if "supervisor" in victims:
        doomed.append(owner.supervisor)
    if "reapers" in victims:
        doomed += owner.reapers()
    for pid in doomed:
        os.kill(pid, signal.SIGSTOP)
    for pid in doomed:
        os.kill(pid, signal.SIGKILL)
    owner.end()
    if "reapers" in victims:
        wait_until(lambda: not _proc.living(owner.pids))
        assert processes.sweep(lab.token, "task", 1) == ()
    wait_until(lambda: lab.alive() == [])


def test_a_killed_preloaded_supervisor_is_replaced(lab: Lab) -> None:
    async def work(supervisor: Supervisor) -> None:
        process = await supervisor.spawn(program(lab, "import time; time.sleep(1000)"))
        reaper = _proc.parent(process.pid)
        os.kill(_proc.parent(reaper), signal.SIGKILL)
        assert (await asyncio.wait_for(process.wait(), 10)).reason == "supervisor_lost"
        assert await run(supervisor, program(lab, "print('again')")) == (0, "again\n")

    supervised(lab, work)


NESTED = """
    import os, sys, threading
    from orchestrator_nb.system.forking import fork_python

    if sys.argv[1:] == ["inner"]:
        print("inner", __name__, sys.argv, os.environ["DEPTH"], os.getcwd(), os.listdir("/proc/self/fd"), flush=True)
        sys.exit(5)
    held = open(__file__)
    pid = fork_python([sys.executable, __file__, "inner"], env={"DEPTH": "2", "PATH": "/bin"}, cwd="/")
    _, status = os.waitpid(pid, 0)
    print("outer", os.waitstatus_to_exitcode(status), os.environ.get("DEPTH"), flush=True)
    threading.Thread(target=threading.Event().wait, daemon=True).start()
    try:
        fork_python([sys.executable, __file__, "inner"], env={}, cwd="/")
    except RuntimeError as error:
        print(error)
"""


def test_a_fork_can_fork_as_long_as_it_has_one_thread(lab: Lab) -> None:
    async def work(supervisor: Supervisor) -> None:
        command = program(lab, NESTED, env={"PYTHONPATH": str(ROOT)})
        code, output = await run(supervisor, command)
        inner, outer, refusal = output.splitlines()
        assert code == 0
        assert inner == f"inner __main__ {[command.argv[2], 'inner']} 2 / ['0', '1', '2', '3']"
        assert outer == "outer 5 None"
        assert refusal.startswith("This process has 2 threads")
        cold = await run(supervisor, msgspec.structs.replace(command, preload=None))
        assert "Only a program that was itself forked" in cold[1]

    supervised(lab, work)


@pytest.mark.parametrize("meant", [{}, {"OPENBLAS_NUM_THREADS": "4"}, {"NUMEXPR_NUM_THREADS": "", "PATH": "/bin"}])
def test_what_a_program_forks_has_the_environment_that_was_meant(meant: dict[str, str]) -> None:
    environment = {"LEVEL": "1", **meant}
    replaced = single_threaded(environment)
    assert (replaced["OPENBLAS_NUM_THREADS"], replaced["NUMEXPR_NUM_THREADS"], replaced["LEVEL"]) == ("1", "1", "1")
    assert as_meant(replaced) == environment


def test_an_ordinary_process_cannot_fork_and_says_why(lab: Lab) -> None:
    assert obstacle_here() == "its process is not a fork of a preloaded interpreter"

    async def work(supervisor: Supervisor) -> None:
        source = """
            import threading
            from orchestrator_nb.system.forking import obstacle_here
            print([obstacle_here()])
            threading.Thread(target=threading.Event().wait, daemon=True).start()
            print([obstacle_here()], flush=True)
        """
        command = program(lab, source, env={"PYTHONPATH": str(ROOT)})
        assert await run(supervisor, command) == (0, "['']\n['its process has 2 threads']\n")

    supervised(lab, work)


def test_a_fork_is_told_what_it_does_not_have(lab: Lab) -> None:
    async def work(supervisor: Supervisor) -> None:
        show = f"import os; print(os.environ.get('{NOT_PRELOADED}'))"
        assert await run(supervisor, program(lab, show)) == (0, "None\n")
        lacks = program(lab, show, preload=("json", "no_such_module"))
        assert await run(supervisor, lacks) == (0, '{"no_such_module": "is not installed"}\n')
        of_another_fork = program(lab, show, env={NOT_PRELOADED: '{"old": "is not installed"}'})
        assert await run(supervisor, of_another_fork) == (0, "{}\n")

    supervised(lab, work)
