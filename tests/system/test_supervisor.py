"""The supervisor in ordinary life: what a command finds, what is reported, what is left on disk."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import stat
import subprocess
import time
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from orchestrator_nb.errors import AgentError
from orchestrator_nb.system import _cgroup, _proc, processes
from orchestrator_nb.system._link import MAX_IDLE
from orchestrator_nb.system._process import SupervisedProcess
from orchestrator_nb.system.supervisor import Supervisor
from tests.system.coordinator import descriptors
from tests.system.lab import Lab, open_lab, wait_until


@pytest.fixture(autouse=True)
def lab(tmp_path: Path) -> Iterator[Lab]:
    yield from open_lab(tmp_path)


def supervised(lab: Lab, work: Callable[[Supervisor], Coroutine[Any, Any, None]], **options: int) -> None:
    async def main() -> None:
        async with Supervisor(lab.token, **options) as supervisor:
            await work(supervisor)

    asyncio.run(main())


async def output_of(process: SupervisedProcess) -> bytes:
    return b"".join([chunk async for chunk in process.output()])


def test_facts_are_known_before_anything_is_started_and_stay_true(lab: Lab) -> None:
    async def work(supervisor: Supervisor) -> None:
        before = supervisor.facts
        process = await supervisor.spawn(lab.command("true"))
        await process.wait()
        assert supervisor.facts == before
        assert process.containment == ("cgroup" if _cgroup.available()[0] else "reaper")
        assert any("77,777 bytes" in fact for fact in before)

    supervised(lab, work, log_cap=77_777)


def test_nothing_is_started_before_it_is_needed(lab: Lab) -> None:
    async def work(_: Supervisor) -> None:
        assert lab.alive() == []

    supervised(lab, work)


def test_command_finds_its_environment_and_directory_and_nothing_else(lab: Lab) -> None:
    place = lab.place / "ein Ort \u00e9"
    place.mkdir()
    code = "import json, os; print(json.dumps([dict(os.environ), os.getcwd(), os.listdir('/proc/self/fd')]))"

    async def work(supervisor: Supervisor) -> None:
        environment = {"PATH": "/bin", "LANG": "C.UTF-8", "LINES": "two\nlines", "EMPTY": "", "EQUALS": "a=b=c"}
        process = await supervisor.spawn(lab.python(code, cwd=place, env=environment))
        found, cwd, descriptors = json.loads(await output_of(process))
        given = lab.command("true", env=environment).env
        assert {name: value for name, value in found.items() if name != "LC_CTYPE"} == given
        assert cwd == str(place)
        assert descriptors == ["0", "1", "2", "3"], "3 is the listing's own"

    supervised(lab, work)


def test_command_has_default_signals_and_a_group_of_its_own_without_terminal(lab: Lab) -> None:
    async def work(supervisor: Supervisor) -> None:
        process = await supervisor.spawn(lab.command("sleep", "1000"))
        status = dict(
            line.split(":\t", 1)
            for line in _proc.read(f"/proc/{process.pid}/status").decode().splitlines()
            if ":" in line
        )
        assert int(status["SigBlk"], 16) == 0
        assert int(status["SigIgn"], 16) & ~(3 << 31) == 0, "32 and 33 are the C library's own"
        assert os.getpgid(process.pid) == process.pid
        assert os.getsid(process.pid) == _proc.parent(process.pid) != os.getsid(0)
        assert process.start_time == _proc.start_time(process.pid)
        await process.terminate(5)

    supervised(lab, work)


def test_arguments_arrive_as_they_are(lab: Lab) -> None:
    arguments = ["", " ", "a b", "$HOME", "'\"", "\n", "\u00e9\u4e2d", "\udcff"]
    code = "import os, sys; sys.stdout.buffer.write(b'|'.join(map(os.fsencode, sys.argv[1:])))"

    async def work(supervisor: Supervisor) -> None:
        process = await supervisor.spawn(lab.python(code, *arguments))
        assert await output_of(process) == b"|".join(map(os.fsencode, arguments))

    supervised(lab, work)


def test_error_output_is_mixed_in_or_kept_apart(lab: Lab) -> None:
    async def work(supervisor: Supervisor) -> None:
        script = ("/bin/sh", "-c", "echo out; echo err >&2; echo out")
        assert await output_of(await supervisor.spawn(lab.command(*script))) == b"out\nerr\nout\n"
        apart = lab.place / "errors"
        assert await output_of(await supervisor.spawn(lab.command(*script, error_log=apart))) == b"out\nout\n"
        assert apart.read_bytes() == b"err\n"

    supervised(lab, work)


def test_files_are_private_whatever_the_umask(lab: Lab) -> None:
    async def work(supervisor: Supervisor) -> None:
        process = await supervisor.spawn(lab.command("/bin/sh", "-c", "umask; echo x >made; sleep 1"))
        assert await output_of(process) == b"0000\n", "the command has the coordinator's umask"
        for name in ("log-1", "log-1.exit"):
            assert stat.S_IMODE((lab.place / name).stat().st_mode) == 0o600
        assert stat.S_IMODE((lab.place / "made").stat().st_mode) == 0o666

    before = os.umask(0)
    try:
        supervised(lab, work)
    finally:
        os.umask(before)


def test_output_of_a_second_command_in_the_same_log_is_its_own(lab: Lab) -> None:
    async def work(supervisor: Supervisor) -> None:
        first = lab.command("echo", "one")
        assert await output_of(await supervisor.spawn(first)) == b"one\n"
        (lab.place / "log-1.exit").symlink_to("/etc/passwd")
        second = await supervisor.spawn(lab.command("/bin/sh", "-c", "echo two; exit 5", log=first.log))
        assert await output_of(second) == b"two\n"
        assert (lab.place / "log-1").read_bytes() == b"one\ntwo\n"
        assert not (lab.place / "log-1.exit").is_symlink(), "a record of before is void"

    supervised(lab, work)


def test_a_command_that_took_a_second_leaves_a_record_that_it_cannot_forge(lab: Lab) -> None:
    forge = "ln -s /etc/passwd log-1.exit; sleep 1; exit 5"

    async def work(supervisor: Supervisor) -> None:
        process = await supervisor.spawn(lab.command("/bin/sh", "-c", forge))
        await process.wait()
        record = processes.read_exit(lab.place / "log-1")
        assert record
        assert (record.pid, record.start_time, record.code) == (process.pid, process.start_time, 5)
        assert (record.reason, record.leftovers, record.lost) == ("exited", 0, 0)
        await (await supervisor.spawn(lab.command("true"))).wait()
        assert processes.read_exit(lab.place / "log-2") is None, "a short one is as easily run again"

    supervised(lab, work)


def test_output_can_be_read_by_several_and_after_the_end(lab: Lab) -> None:
    async def work(supervisor: Supervisor) -> None:
        process = await supervisor.spawn(lab.command("/bin/sh", "-c", "echo a; sleep 0.1; echo b"))
        readings = await asyncio.gather(output_of(process), output_of(process))
        assert [*readings, await output_of(process)] == [b"a\nb\n"] * 3

    supervised(lab, work)


def test_output_arrives_while_the_command_runs(lab: Lab) -> None:
    async def work(supervisor: Supervisor) -> None:
        process = await supervisor.spawn(lab.command("/bin/sh", "-c", "echo a; sleep 1000"))
        async for chunk in process.output():
            assert chunk == b"a\n"
            assert processes.alive(processes.Identity(process.pid, process.start_time, processes.boot_id()))
            await process.terminate(5)

    supervised(lab, work)


def test_a_command_never_waits_for_its_reader(lab: Lab) -> None:
    async def work(supervisor: Supervisor) -> None:
        process = await supervisor.spawn(lab.python("import os; os.write(1, b'x' * 5_000_000)"))
        assert (await process.wait()).code == 0
        assert len(await output_of(process)) == 5_000_000

    supervised(lab, work)


def test_a_log_that_was_put_in_the_place_of_another_is_not_read_by_a_trick(lab: Lab) -> None:
    async def work(supervisor: Supervisor) -> None:
        process = await supervisor.spawn(lab.command("/bin/sh", "-c", "rm log-1; mkfifo log-1"))
        await process.wait()
        with pytest.raises(Exception, match="not a regular file"):
            await asyncio.wait_for(output_of(process), 5)

    supervised(lab, work)


def test_waiting_can_be_given_up_without_ending_the_process(lab: Lab) -> None:
    async def work(supervisor: Supervisor) -> None:
        process = await supervisor.spawn(lab.command("sleep", "1000"))
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(process.wait(), 0.05)
        assert _proc.living([process.pid]) == [process.pid]
        assert (await process.terminate(5)).code == -15
        assert await process.wait() == await process.terminate()

    supervised(lab, work)


def test_reapers_are_used_again_and_few_are_kept(lab: Lab) -> None:
    async def work(supervisor: Supervisor) -> None:
        first = await supervisor.spawn(lab.command("sleep", "0.05"))
        reaper, keeper = _proc.parent(first.pid), _proc.parent(_proc.parent(first.pid))
        await first.wait()
        for _ in range(3):
            again = await supervisor.spawn(lab.command("sleep", "0.01"))
            assert _proc.parent(again.pid) == reaper
            await again.wait()
        crowd = [await supervisor.spawn(lab.command("sleep", "1000")) for _ in range(MAX_IDLE + 4)]
        await asyncio.gather(*(process.terminate(0) for process in crowd))
        await asyncio.to_thread(wait_until, lambda: len(_proc.children(keeper)) == MAX_IDLE)

    supervised(lab, work)


def test_cores_are_taken_in_turn_and_given_back(lab: Lab) -> None:
    cores = os.sched_getaffinity(0)
    if len(cores) < 2:
        pytest.skip("needs two cores")

    async def bound(supervisor: Supervisor, cpus: float | None) -> set[int]:
        process = await supervisor.spawn(lab.command("sleep", "1000", cpus=cpus))
        found = os.sched_getaffinity(process.pid)
        await process.terminate(0)
        return found

    async def work(supervisor: Supervisor) -> None:
        one, other = await bound(supervisor, 1), await bound(supervisor, 0.5)
        assert len(one) == len(other) == 1
        assert one != other
        assert await bound(supervisor, None) == await bound(supervisor, 1000) == cores

    supervised(lab, work)


def test_closing_ends_what_still_runs(lab: Lab) -> None:
    async def main() -> None:
        supervisor = Supervisor(lab.token)
        process = await supervisor.spawn(
            lab.command("/bin/sh", "-c", "trap '' TERM; echo x; sleep 1000 & wait; sleep 1000")
        )
        async for _ in process.output():
            break
        await supervisor.close(0.1)
        assert lab.alive() == []
        assert (await process.wait()).reason == "cancelled"
        await supervisor.close()

    asyncio.run(main())


def test_closing_does_not_wait_for_who_else_holds_the_pipes(lab: Lab) -> None:
    async def main() -> None:
        supervisor = Supervisor(lab.token)
        before = descriptors()
        await (await supervisor.spawn(lab.command("true"))).wait()
        thief = subprocess.Popen(["sleep", "1000"], pass_fds=[int(name) for name in descriptors() - before])
        begin = time.monotonic()
        await supervisor.close()
        assert time.monotonic() - begin < 5
        thief.kill()
        thief.wait()

    asyncio.run(main())


def refusals(place: Path) -> dict[str, tuple[dict[str, Any], str]]:
    """Commands that cannot be started, and what the message has to say."""
    (place / "bin").mkdir()
    for name, content in {"plain": "echo", "orphan": "#!/no/such/interpreter\n", "empty": ""}.items():
        (place / "bin" / name).write_text(content)
    for name in ("orphan", "empty"):
        (place / "bin" / name).chmod(0o755)
    path = {"PATH": f"/nowhere:{place / 'bin'}"}
    return {
        "missing": ({"argv": ["no-such-program"]}, "no program of this name is in PATH.*Install it"),
        "missing path": ({"argv": ["./gone"]}, "does not exist. Correct the path"),
        "not executable": ({"argv": ["plain"], "env": path}, "may not be executed.*chmod"),
        "a directory": ({"argv": ["/etc"]}, "may not be executed"),
        "no interpreter": ({"argv": ["orphan"], "env": path}, "interpreter that its first line names"),
        "no program": ({"argv": ["empty"], "env": path}, "no program for this machine.*#!/bin/sh"),
        "no directory": ({"argv": ["true"], "cwd": place / "gone"}, "in .*gone.*Give a directory that exists"),
        "no log": ({"argv": ["true"], "log": place / "gone" / "log"}, "log .*gone.* cannot be written"),
        "linked log": ({"argv": ["true"], "log": place / "link"}, "log .*link cannot be written"),
        "no input": ({"argv": ["true"], "stdin_file": place / "gone"}, "input .*gone cannot be read"),
        "too long": ({"argv": ["true", "x" * (1 << 20)]}, "too long.*standard input"),
        "nothing": ({"argv": []}, "at least the name of a program"),
        "NUL": ({"argv": ["echo", "a\0b"]}, "NUL"),
        "bad name": ({"argv": ["true"], "env": {"A=B": "c"}}, "environment variable"),
    }


def test_what_cannot_be_started_says_why_and_what_to_do(lab: Lab) -> None:
    (lab.place / "link").symlink_to(lab.place / "elsewhere")

    async def work(supervisor: Supervisor) -> None:
        for name, (fields, message) in refusals(lab.place).items():
            with pytest.raises(AgentError, match=f"(?s){message}"):
                await supervisor.spawn(lab.command(*fields.pop("argv"), **fields))
            assert (await (await supervisor.spawn(lab.command("true"))).wait()).code == 0, f"it goes on after {name}"
        assert not (lab.place / "elsewhere").exists()

    supervised(lab, work)


def test_a_supervisor_that_cannot_start_says_how_to_see_why(lab: Lab) -> None:
    async def main() -> None:
        supervisor = Supervisor(lab.token, log_cap="nonsense")  # type: ignore[arg-type]
        with pytest.raises(AgentError, match=r"did not start.*To see why, run"):
            await supervisor.start()
        with pytest.raises(AgentError, match="did not start"):
            await supervisor.spawn(lab.command("true"))
        await supervisor.close()

    asyncio.run(main())


def test_the_cgroup_of_a_run_is_gone_with_it(lab: Lab) -> None:
    if not _cgroup.available()[0]:
        pytest.skip("needs a cgroup (v2) that can be written")

    def groups() -> list[Path]:
        return list(Path(_cgroup.own_cgroup()).glob(f"*{lab.token}*"))

    async def work(supervisor: Supervisor) -> None:
        process = await supervisor.spawn(lab.command("sleep", "1000"))
        (group,) = groups()
        assert str(process.pid) in (group / "run" / "cgroup.procs").read_text().split()
        await process.terminate(0)

    supervised(lab, work)
    assert groups() == []


def test_memory_is_limited_by_the_kernel_where_it_can(lab: Lab) -> None:
    if not _cgroup.available()[1]:
        pytest.skip("needs a cgroup (v2) with the memory controller")
    hog = "held = []\nwhile True: held.append(b'x' * (1 << 20))"

    async def work(supervisor: Supervisor) -> None:
        process = await supervisor.spawn(lab.python(hog, memory=100 << 20))
        exit_ = await process.wait()
        assert (exit_.code, exit_.reason) == (-9, "memory")
        process = await supervisor.spawn(lab.python("print('small')", memory=100 << 20))
        assert (await process.wait()).reason == "exited"

    supervised(lab, work)


def test_row_H5_a_killed_reaper_leaves_no_secret_in_the_logs(lab: Lab) -> None:
    """In both logs, the second copy cut short by the kill."""
    secret, errors = "a secret of some length", lab.place / "errors"
    code = """
import sys, time
for stream in (sys.stdout, sys.stderr):
    for part in ("it is ", "a secret of", " some length", ".\\n", "a secret of some len"):
        stream.write(part)
        stream.flush()
time.sleep(1000)
"""

    async def work(supervisor: Supervisor) -> None:
        command = msgspec.structs.replace(lab.python(code), error_log=errors, secrets=(secret, "with\0nul"))
        process = await supervisor.spawn(command)
        logs = (Path(command.log), errors)
        await asyncio.to_thread(wait_until, lambda: all(log.read_bytes().endswith(b".\n") for log in logs))
        os.kill(_proc.parent(process.pid), signal.SIGKILL)
        await process.wait()
        assert [log.read_bytes() for log in logs] == [b"it is [redacted].\n"] * 2

    supervised(lab, work)
