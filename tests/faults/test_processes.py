"""Hostile, unlucky and talkative processes; killed coordinators, supervisors and reapers."""

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
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from orchestrator_nb.errors import AgentError
from orchestrator_nb.system import _proc, processes
from orchestrator_nb.system._process import SupervisedProcess
from orchestrator_nb.system.processes import Identity
from orchestrator_nb.system.supervisor import Supervisor
from tests.system import crowd
from tests.system.coordinator import descriptors
from tests.system.lab import HOSTILE, PYTHON, ROOT, Coordinator, Lab, open_lab, wait_until
from tests.tools import need

#: For a coordinator that sees no cgroups (and nothing else of /sys).
NO_CGROUPS = ("bwrap", "--dev-bind", "/", "/", "--tmpfs", "/sys")
DEAF = "import signal, time; signal.signal(15, signal.SIG_IGN); print('ready', flush=True); time.sleep(1000)"
SLEEP = "print('ready', flush=True); import time; time.sleep(1000)"


@pytest.fixture(autouse=True)
def lab(tmp_path: Path) -> Iterator[Lab]:
    yield from open_lab(tmp_path)


async def output_of(process: SupervisedProcess) -> bytes:
    return b"".join([chunk async for chunk in process.output()])


async def until_it_prints(process: SupervisedProcess) -> None:
    async for _ in process.output():
        return


def keeper_of(process: SupervisedProcess) -> tuple[int, int]:
    """Pids of its reaper and of the supervisor."""
    reaper = _proc.parent(process.pid)
    return reaper, _proc.parent(reaper)


# -- who dies with whom ------------------------------------------------------------------------------------------------


def time_to_die(lab: Lab, victims: Callable[[Coordinator], list[int]], prefix: tuple[str, ...] = ()) -> float:
    """Seconds until nothing is left of a hostile tree after SIGKILL of the coordinator and others."""
    coordinator = lab.coordinate(*PYTHON, HOSTILE, lab.token, prefix=prefix)
    assert len(lab.alive()) >= 9, "coordinator, supervisor, reaper, and those of the tree that can be counted"
    for pid in [coordinator.pid, *victims(coordinator)]:
        os.kill(pid, signal.SIGKILL)
    coordinator.end()
    return wait_until(lambda: not lab.alive(), 10.0)


@pytest.mark.parametrize("prefix", [(), NO_CGROUPS], ids=["cgroup", "reaper"])
def test_row_B1_hostile_tree_dies_with_its_coordinator(lab: Lab, prefix: tuple[str, ...]) -> None:
    need(*prefix[:1])
    assert max(time_to_die(lab, lambda _: [], prefix) for _ in range(2)) < 10.0


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("prefix", [(), NO_CGROUPS], ids=["cgroup", "reaper"])
def test_row_B1_hostile_trees_100(lab: Lab, prefix: tuple[str, ...]) -> None:
    need(*prefix[:1])
    times = sorted(time_to_die(lab, lambda _: [], prefix) for _ in range(100))
    print(f"p50 {times[50]:.3f} s, max {times[-1]:.3f} s")
    assert times[-1] < 10.0


def test_row_B1_it_dies_with_coordinator_and_supervisor_too(lab: Lab) -> None:
    assert time_to_die(lab, lambda coordinator: [coordinator.supervisor]) < 10.0
    assert processes.sweep(lab.token, "task", 1) == ()  # which also removes the empty cgroup


def test_row_B1_it_dies_though_another_process_holds_the_pipes(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAB_THIEF", "1")
    coordinator = lab.coordinate(*PYTHON, HOSTILE, lab.token)
    (thief,) = [pid for pid in _proc.children(coordinator.pid) if pid != coordinator.supervisor]
    os.kill(coordinator.pid, signal.SIGKILL)
    coordinator.process.wait()
    assert wait_until(lambda: not [pid for pid in lab.alive() if pid != thief]) < 10.0
    assert _proc.living([thief]) == [thief]
    os.kill(thief, signal.SIGKILL)
    coordinator.end()


def test_row_A4_all_are_killed_together_and_the_next_start_sweeps(lab: Lab) -> None:
    coordinator = lab.coordinate(*PYTHON, HOSTILE, lab.token)
    for pid in [*coordinator.reapers(), coordinator.supervisor, coordinator.pid]:
        os.kill(pid, signal.SIGKILL)
    coordinator.end()
    assert processes.sweep(lab.token, "task", 1) == ()
    if coordinator.containment == "reaper":  # what wiped its environment escapes a sweep: it is documented
        for pid in lab.alive():
            assert lab.token.encode() not in _proc.read(f"/proc/{pid}/environ")
            os.kill(pid, signal.SIGKILL)
    assert lab.alive() == []


def test_row_A9_the_record_tells_an_exit_from_an_end_without_coordinator(lab: Lab) -> None:
    coordinator = lab.coordinate("/bin/sh", "-c", "echo ready; sleep 1; exit 7")
    os.kill(coordinator.pid, signal.SIGSTOP)
    wait_until(lambda: processes.read_exit(lab.place / "log-0") is not None)
    os.kill(coordinator.pid, signal.SIGKILL)
    coordinator.end()
    record = processes.read_exit(lab.place / "log-0")
    assert record
    assert (record.code, record.reason, record.pid) == (7, "exited", coordinator.pids[0])

    coordinator = lab.coordinate(*PYTHON, "-c", SLEEP)
    os.kill(coordinator.pid, signal.SIGKILL)
    coordinator.end()
    wait_until(lambda: not lab.alive())
    record = processes.read_exit(lab.place / "log-0")
    assert record
    assert (record.reason, record.pid) == ("orphaned", coordinator.pids[0])


async def kill_reapers(lab: Lab, count: int) -> None:
    async with Supervisor(lab.token) as supervisor:
        for _ in range(count):
            process = await supervisor.spawn(lab.command(*PYTHON, HOSTILE, lab.token))
            await until_it_prints(process)
            reaper, keeper = keeper_of(process)
            os.kill(reaper, signal.SIGKILL)
            exit_ = await asyncio.wait_for(process.wait(), 5)
            assert (exit_.code, exit_.reason) == (-signal.SIGKILL, "supervisor_lost")
            assert lab.alive() == [keeper]


def test_row_B2_reaper_killed_alone(lab: Lab) -> None:
    asyncio.run(kill_reapers(lab, 3))


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_row_B2_reaper_killed_50_times(lab: Lab) -> None:
    asyncio.run(kill_reapers(lab, 50))


@pytest.mark.parametrize("reapers_too", [False, True])
def test_row_B2_supervisor_killed_and_replaced(lab: Lab, reapers_too: bool) -> None:
    async def main() -> None:
        async with Supervisor(lab.token) as supervisor:
            running = [await supervisor.spawn(lab.python(DEAF)) for _ in range(2)]
            for process in running:
                await until_it_prints(process)
            reapers, keepers = zip(*map(keeper_of, running), strict=True)
            for pid in {*keepers, *(reapers if reapers_too else ())}:
                os.kill(pid, signal.SIGKILL)
            begin = time.monotonic()
            exits = await asyncio.wait_for(asyncio.gather(*(process.wait() for process in running)), 10)
            assert [exit_.reason for exit_ in exits] == ["supervisor_lost"] * 2
            assert time.monotonic() - begin < 5
            assert lab.alive() == []
            again = await supervisor.spawn(lab.command("true"))
            assert (await again.wait()).code == 0

    asyncio.run(main())


def test_row_B2_idle_reaper_killed(lab: Lab) -> None:
    async def main() -> None:
        async with Supervisor(lab.token) as supervisor:
            process = await supervisor.spawn(lab.command("sleep", "0.05"))
            reaper, _ = keeper_of(process)
            await process.wait()
            os.kill(reaper, signal.SIGKILL)
            with contextlib.suppress(AgentError):  # it may be chosen before its death is known
                await (await supervisor.spawn(lab.command("true"))).wait()
            process = await supervisor.spawn(lab.command("true"))
            assert (await process.wait()).code == 0

    asyncio.run(main())


def test_row_B3_process_outlives_the_thread_that_spawned_it(lab: Lab) -> None:
    loop = asyncio.new_event_loop()
    spawned: list[SupervisedProcess] = []

    async def spawn() -> None:
        spawned.append(await supervisor.spawn(lab.command("/bin/sh", "-c", "sleep 0.3; echo alive")))

    async def finish() -> None:
        assert await output_of(spawned[0]) == b"alive\n"
        assert (await spawned[0].wait()).code == 0
        await supervisor.close()

    supervisor = Supervisor(lab.token)
    for work in (spawn, finish):
        thread = threading.Thread(target=lambda work=work: loop.run_until_complete(work()))
        thread.start()
        thread.join()
    loop.close()


# -- ending processes --------------------------------------------------------------------------------------------------


async def cancel_spawns(lab: Lab, steps: range) -> None:
    async with Supervisor(lab.token) as supervisor:
        await (await supervisor.spawn(lab.command("true"))).wait()
        before = descriptors()
        for count in steps:
            spawning = asyncio.create_task(supervisor.spawn(lab.python(DEAF)))
            for _ in range(count):
                await asyncio.sleep(0)
            spawning.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await (await spawning).terminate(0)
            assert not [pid for pid in lab.alive() if b"ORCH_TASK_ID" in _proc.read(f"/proc/{pid}/environ")]
        assert descriptors() == before


def test_row_B4_cancel_while_spawning(lab: Lab) -> None:
    asyncio.run(cancel_spawns(lab, range(0, 400, 10)))


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_row_B4_cancel_while_spawning_500(lab: Lab) -> None:
    asyncio.run(cancel_spawns(lab, range(500)))


def test_row_B4_cancel_while_running_and_draining(lab: Lab) -> None:
    async def work(supervisor: Supervisor) -> None:
        process = await supervisor.spawn(lab.command("/bin/sh", "-c", "while :; do echo talk; done"))
        try:
            async with contextlib.aclosing(process.output()) as output:
                async for _ in output:
                    talking.set()
        finally:
            await process.terminate(0.1)

    async def main() -> None:
        async with Supervisor(lab.token) as supervisor:
            before: set[str] = set()
            for turn in range(5):
                talking.clear()
                task = asyncio.create_task(work(supervisor))
                await talking.wait()
                await asyncio.sleep(random.random() / 20)
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
                before = before or descriptors()
                assert descriptors() == before, turn

    talking = asyncio.Event()
    asyncio.run(main())


def test_row_B4_cancelling_terminate_still_kills(lab: Lab) -> None:
    async def main() -> None:
        async with Supervisor(lab.token) as supervisor:
            process = await supervisor.spawn(lab.python(DEAF))
            await until_it_prints(process)
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(process.terminate(1000), 0.1)
            assert (await asyncio.wait_for(process.wait(), 5)).code == -signal.SIGKILL

    asyncio.run(main())


def test_row_B5_term_ignored_is_followed_by_kill(lab: Lab) -> None:
    async def main() -> None:
        async with Supervisor(lab.token) as supervisor:
            process = await supervisor.spawn(lab.python(DEAF))
            await until_it_prints(process)
            begin = time.monotonic()
            exit_ = await process.terminate(0.3)
            assert 0.3 <= time.monotonic() - begin < 1.3
            assert (exit_.code, exit_.reason) == (-signal.SIGKILL, "cancelled")

    asyncio.run(main())


def test_row_B5_a_tree_has_the_whole_grace_after_its_root_has_ended(lab: Lab) -> None:
    clean_up = "import signal, sys, time\nsignal.signal(15, lambda *_: (time.sleep(0.4), print('clean'), sys.exit()))\n"
    code = f"import subprocess, sys; subprocess.Popen([*{PYTHON!r}, '-u', '-c', sys.argv[1]])\n{SLEEP}"

    async def main() -> None:
        async with Supervisor(lab.token) as supervisor:
            process = await supervisor.spawn(lab.python(code, clean_up + SLEEP))
            while (await asyncio.to_thread((lab.place / "log-1").read_bytes)).count(b"ready") < 2:
                await asyncio.sleep(0.01)
            exit_ = await process.terminate(10)
            assert (exit_.code, exit_.reason) == (-signal.SIGTERM, "cancelled")
            assert b"clean" in await output_of(process)

    asyncio.run(main())


def test_row_B6_grandchild_keeps_the_output_open(lab: Lab) -> None:
    async def main() -> None:
        async with Supervisor(lab.token) as supervisor:
            for script, leftovers in (
                ("sleep 60 & echo done", 1),
                (f"'{sys.executable}' -c \"{DEAF}\" & sleep 0.2", 1),
            ):
                begin = time.monotonic()
                process = await supervisor.spawn(lab.command("/bin/sh", "-c", script))
                await output_of(process)
                exit_ = await process.wait()
                assert (exit_.code, exit_.reason, exit_.leftovers) == (0, "exited", leftovers)
                assert time.monotonic() - begin < 1.5

    asyncio.run(main())


def test_row_B6_what_ends_by_itself_in_time_is_no_leftover(lab: Lab) -> None:
    async def main() -> None:
        async with Supervisor(lab.token) as supervisor:
            process = await supervisor.spawn(lab.command("/bin/sh", "-c", "(sleep 0.03; echo late) & echo early"))
            assert await output_of(process) == b"early\nlate\n"
            assert (await process.wait()).leftovers == 0

    asyncio.run(main())


async def many_short_tasks(lab: Lab, count: int) -> None:
    async with Supervisor(lab.token) as supervisor:
        first = await supervisor.spawn(lab.command("sleep", "0.05"))
        _, keeper = keeper_of(first)
        await first.wait()
        before, threads = descriptors(), threading.active_count()

        async def lane() -> None:
            for _ in range(count // 8):
                process = await supervisor.spawn(lab.command("true"))
                assert (await process.wait()).code == 0

        await asyncio.gather(*(lane() for _ in range(8)))
        reapers = _proc.children(keeper)
        assert 1 <= len(reapers) <= 8
        assert _proc.living(reapers) == reapers, "no zombies"
        assert [_proc.children(reaper) for reaper in reapers] == [[]] * len(reapers)
        assert {len(os.listdir(f"/proc/{reaper}/fd")) for reaper in reapers} <= {4, 5}, "nothing is left open"
        assert len(descriptors() ^ before) <= 2
        assert threading.active_count() == threads


def test_row_B7_200_short_tasks_leave_nothing(lab: Lab) -> None:
    asyncio.run(many_short_tasks(lab, 200))


@pytest.mark.slow
def test_row_B7_1000_short_tasks_leave_nothing(lab: Lab) -> None:
    asyncio.run(many_short_tasks(lab, 1000))


def test_row_B8_a_stranger_with_the_same_pid_is_never_signalled() -> None:
    with subprocess.Popen(["sleep", "1000"]) as stranger:
        true = processes.identity(stranger.pid)
        assert true
        for shift in range(1, 501):
            assert not processes.kill(Identity(true.pid, true.start_time - shift, true.boot_id))
            assert not processes.kill(Identity(true.pid, true.start_time, f"another boot {shift}"))
        assert stranger.poll() is None
        assert processes.kill(true)
        assert stranger.wait() == -signal.SIGKILL
        assert not processes.kill(true)


def test_row_B9_stopped_process_and_stopped_reaper_are_ended(lab: Lab) -> None:
    stop_reaper = f"import os; os.kill(os.getppid(), 19); {SLEEP}"

    async def main() -> None:
        async with Supervisor(lab.token) as supervisor:
            process = await supervisor.spawn(lab.python(SLEEP))
            await until_it_prints(process)
            os.kill(process.pid, signal.SIGSTOP)
            begin = time.monotonic()
            assert (await process.terminate(5)).code == -signal.SIGTERM, "it is let go on, to end in order"
            assert time.monotonic() - begin < 2

            process = await supervisor.spawn(lab.python(stop_reaper))
            reaper, _ = keeper_of(process)
            while _proc.stat(reaper)[0] != b"T":
                await asyncio.sleep(0.01)
            assert (await asyncio.wait_for(process.terminate(0.1), 10)).reason == "cancelled"

    asyncio.run(main())


@pytest.mark.slow
def test_row_B9_what_cannot_be_killed_is_named(lab: Lab) -> None:
    freezer = Path("/sys/fs/cgroup/freezer")
    if not os.access(freezer, os.W_OK):
        pytest.skip("needs a freezer (cgroup v1) that can be written")
    cage = freezer / lab.token
    cage.mkdir()

    async def main() -> None:
        async with Supervisor(lab.token) as supervisor:
            process = await supervisor.spawn(lab.python(SLEEP))
            await until_it_prints(process)
            (cage / "cgroup.procs").write_text(str(process.pid))
            (cage / "freezer.state").write_text("FROZEN")
            try:
                exit_ = await process.terminate(0.1)
                assert "could not be killed" in exit_.note
                assert str(process.pid) in exit_.note
            finally:
                (cage / "freezer.state").write_text("THAWED")

    asyncio.run(main())
    wait_until(lambda: not (cage / "cgroup.procs").read_text())
    cage.rmdir()


# -- too much of everything --------------------------------------------------------------------------------------------

SLOW_BOMB = "import os, time\nwhile os.fork(): time.sleep(0.002)\ntime.sleep(1000)"
BOMB = "import os, time\nwhile True:\n    os.fork(); time.sleep(0.02)"


async def bomb(lab: Lab, code: str) -> None:
    gaps, counts = [0.0], [0]

    async def tick() -> None:
        last = time.monotonic()
        while True:
            await asyncio.sleep(0.01)
            counts.append(len(_proc.all_pids()))
            gaps.append(time.monotonic() - last)
            last = time.monotonic()

    async with Supervisor(lab.token, process_limit=100) as supervisor:
        ticking = asyncio.create_task(tick())
        process = await supervisor.spawn(lab.python(code))
        exit_ = await asyncio.wait_for(process.wait(), 30)
        assert (exit_.code, exit_.reason) == (-signal.SIGKILL, "processes")
        after = await supervisor.spawn(lab.command("true"))
        assert (await after.wait()).code == 0
        ticking.cancel()
    assert max(gaps) < 5.0, "the coordinator stays alive"
    assert max(counts) < 10_000, "and the machine"


def test_row_B10_too_many_processes(lab: Lab) -> None:
    asyncio.run(bomb(lab, SLOW_BOMB))


@pytest.mark.slow
def test_row_B10_fork_bomb(lab: Lab) -> None:
    asyncio.run(bomb(lab, BOMB))


HOG = "import time\nheld = []\nwhile True:\n    held.append(b'x' * (10 << 20)); time.sleep(0.01)"
FAMILY = f"import os, time\nif all(os.fork() for _ in range(4)): time.sleep(1000)\nheld = b'x' * (80 << 20)\n{SLEEP}"
SHARED = "import os, time\nheld = b'x' * (150 << 20)\n"
SHARED += "for _ in range(4): os.fork() or time.sleep(1) or os._exit(0)\ntime.sleep(1.2)"


async def hogs(lab: Lab, count: int) -> None:
    async with Supervisor(lab.token) as supervisor:
        neighbour = await supervisor.spawn(lab.python(SLEEP))
        for turn in range(count):
            hog = await supervisor.spawn(lab.python((HOG, FAMILY)[turn % 2], memory=200 << 20))
            exit_ = await asyncio.wait_for(hog.wait(), 20)
            assert (exit_.code, exit_.reason) == (-signal.SIGKILL, "memory")
        assert (await neighbour.terminate(0)).reason == "cancelled"


def test_row_B11_memory_hog_dies_alone(lab: Lab) -> None:
    asyncio.run(hogs(lab, 2))


@pytest.mark.slow
def test_row_B11_memory_hogs_20(lab: Lab) -> None:
    asyncio.run(hogs(lab, 20))


def test_row_B11_shared_memory_counts_once(lab: Lab) -> None:
    async def main() -> None:
        async with Supervisor(lab.token) as supervisor:
            process = await supervisor.spawn(lab.python(SHARED, memory=300 << 20))
            exit_ = await process.wait()
            assert (exit_.code, exit_.reason, exit_.leftovers) == (0, "exited", 0)

    asyncio.run(main())


def test_row_B11_the_kernel_takes_a_task_before_the_coordinator(lab: Lab) -> None:
    async def main() -> None:
        async with Supervisor(lab.token) as supervisor:
            process = await supervisor.spawn(lab.python(SLEEP))
            assert Path(f"/proc/{process.pid}/oom_score_adj").read_text() == "500\n"
            await process.terminate(0)

    asyncio.run(main())


CODES = [0, 1, 2, 77, 126, 127, 128, 137, 143, 255]
FATAL = [signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGABRT, signal.SIGKILL]
FATAL += [signal.SIGSEGV, signal.SIGPIPE, signal.SIGTERM, signal.SIGUSR1]


def test_row_B12_exit_codes_and_signals(lab: Lab) -> None:
    async def main() -> None:
        async with Supervisor(lab.token) as supervisor:
            for code in CODES:
                for output in ("", "text"):
                    process = await supervisor.spawn(lab.command("/bin/sh", "-c", f"printf '{output}'; exit {code}"))
                    assert await output_of(process) == output.encode()
                    assert ((await process.wait()).code, (await process.wait()).reason) == (code, "exited")
            for number in FATAL:
                process = await supervisor.spawn(lab.command("/bin/sh", "-c", f"kill -{number} $$"))
                assert ((await process.wait()).code, (await process.wait()).reason) == (-number, "exited")

    asyncio.run(main())


def run_crowd(lab: Lab, count: int, limit: int) -> int:
    argv = [sys.executable, str(crowd.__file__), lab.token, str(lab.place), str(count), str(limit)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return int(subprocess.run(argv, env=environment, stdout=subprocess.PIPE, check=True, timeout=60).stdout)


def test_row_B13_file_descriptors_run_out(lab: Lab) -> None:
    assert run_crowd(lab, 100, 64) == 100


def test_row_B13_processes_run_out(lab: Lab) -> None:
    need("strace")
    fault = "inject=fork,vfork,clone,clone3:error=EAGAIN:when=1+3"

    async def main() -> None:
        async with Supervisor(lab.token) as supervisor:
            await (await supervisor.spawn(lab.command("true"))).wait()
            (keeper,) = [pid for pid in lab.alive() if _proc.parent(pid) == os.getpid()]
            strace = await asyncio.create_subprocess_exec(
                *("strace", "-f", "-o", str(lab.place / "trace"), "-e", "trace=fork,vfork,clone,clone3"),
                *("-e", fault, "-p", str(keeper)),
                stderr=asyncio.subprocess.PIPE,
            )
            assert strace.stderr
            await strace.stderr.readuntil(b"attached")

            async def lane() -> None:
                for _ in range(5):
                    process = await supervisor.spawn(lab.command("true"))
                    assert (await process.wait()).code == 0

            await asyncio.gather(*(lane() for _ in range(4)))
            strace.send_signal(signal.SIGINT)
            await strace.communicate()
            assert "EAGAIN" in (lab.place / "trace").read_text()

    asyncio.run(main())


# -- input and output --------------------------------------------------------------------------------------------------


def test_row_B14_ten_megabytes_of_prompt_by_standard_input(lab: Lab) -> None:
    prompt = lab.place / "prompt"
    prompt.write_bytes(os.urandom(10 << 20))
    code = "import hashlib, sys; print(hashlib.sha256(sys.stdin.buffer.read()).hexdigest())"

    async def main() -> None:
        async with Supervisor(lab.token) as supervisor:
            process = await supervisor.spawn(lab.python(code, stdin_file=prompt))
            assert len(_proc.read(f"/proc/{process.pid}/cmdline")) < 4096
            assert (await output_of(process)).decode().strip() == hashlib.sha256(prompt.read_bytes()).hexdigest()
            with pytest.raises(AgentError, match="standard input"):
                await supervisor.spawn(lab.command("echo", "x" * (10 << 20)))

    asyncio.run(main())


ASKING = {
    "tty": "open('/dev/tty')",
    "stdin": "print(input('Password: '))",
    "getpass": "import getpass; getpass.getpass()",
    "ttyname": "import os; os.ttyname(0)",
    "inject": "import fcntl, termios; fcntl.ioctl(0, termios.TIOCSTI, b'x')",
}


def test_row_B15_who_asks_for_a_terminal_fails_at_once(lab: Lab) -> None:
    async def main() -> None:
        async with Supervisor(lab.token) as supervisor:
            for code in ASKING.values():
                process = await supervisor.spawn(lab.python(code))
                assert int(_proc.stat(process.pid)[4]) == 0, "no controlling terminal"
                exit_ = await asyncio.wait_for(process.wait(), 10)
                assert exit_.code == 1
                assert b"Error" in await output_of(process)

    asyncio.run(main())


async def endless_line(lab: Lab, size: int) -> None:
    cap = 8 << 20
    code = f"import os\nfor n in range({size >> 20}): os.write(1, b'%08d' % n + b'x' * ((1 << 20) - 8))"
    async with Supervisor(lab.token, log_cap=cap) as supervisor:
        process = await supervisor.spawn(lab.python(code))
        reaper, _ = keeper_of(process)
        read = largest = 0
        async for chunk in process.output():
            read, largest = read + len(chunk), max(largest, len(chunk))
        exit_ = await process.wait()
        peak = int(Path(f"/proc/{reaper}/status").read_text().split("VmHWM:")[1].split()[0])
    log = lab.place / "log-1"
    assert exit_.code == 0
    assert read == log.stat().st_size <= cap + (1 << 20) + 200
    assert largest <= 1 << 18
    assert peak < 40 << 10, "KiB of memory"
    content = log.read_bytes()
    head, marker, tail = content[:cap], content[cap : -1 << 20], content[-1 << 20 :]
    assert head.startswith(b"00000000xxx")
    assert tail.startswith(b"%08d" % ((size >> 20) - 1)), "the end is kept"
    assert exit_.lost == size - len(head) - len(tail)
    assert str(exit_.lost).encode() in marker
    assert f"{cap:,}" in exit_.note


def test_row_E5_line_without_end(lab: Lab) -> None:
    asyncio.run(endless_line(lab, 256 << 20))


@pytest.mark.slow
def test_row_E5_line_of_ten_gigabytes(lab: Lab) -> None:
    asyncio.run(endless_line(lab, 10 << 30))


def test_row_E5_full_disk_is_said_and_does_not_stop_the_command(lab: Lab) -> None:
    async def main() -> None:
        async with Supervisor(lab.token) as supervisor:
            await supervisor.start()
            (keeper,) = [pid for pid in lab.alive() if _proc.parent(pid) == os.getpid()]
            resource.prlimit(keeper, resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
            code = "import os\nfor _ in range(50): os.write(1, b'x' * 100000)\nos.write(2, b'end')"
            process = await supervisor.spawn(lab.python(code, error_log=lab.place / "errors"))
            exit_ = await process.wait()
            assert (exit_.code, exit_.reason, exit_.lost) == (0, "exited", 5_000_000 - (1 << 20))
            assert "could not be written" in exit_.note
            assert len(await output_of(process)) == 1 << 20
            assert (lab.place / "errors").read_bytes() == b"end"

    asyncio.run(main())
