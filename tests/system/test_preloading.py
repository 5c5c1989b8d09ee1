"""Commands that run in forks of a preloaded interpreter: like those of a fresh one, held like every other."""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from orchestrator_nb.core.ports import Command
from orchestrator_nb.system import _proc
from orchestrator_nb.system.preloading import MAX_KINDS, CannotFork, obstacle
from orchestrator_nb.system.supervisor import Supervisor
from tests.system import fresh, preloader
from tests.system.forks import finish, program, run, supervised
from tests.system.lab import ROOT, Lab, open_lab, wait_until

HERE = Path(__file__).parent


@pytest.fixture(autouse=True)
def lab(tmp_path: Path) -> Iterator[Lab]:
    yield from open_lab(tmp_path)


async def both(supervisor: Supervisor, command: Command) -> list[tuple[int, str]]:
    """What comes of it in a fresh interpreter, and in a fork."""
    found = []
    for preload in (None, ("json", "multiprocessing.pool", "concurrent.futures.process")):
        Path(command.log).unlink(missing_ok=True)
        code, output = await run(supervisor, msgspec.structs.replace(command, preload=preload))
        found.append((code, re.sub(r"0x[0-9a-f]{6,}", "0x", output)))
    return found


STARTS = {
    "file": ["fresh.py", "one", "t w o"],
    "safe file": ["-P", str(fresh.__file__), ""],
    "module": ["-m", "fresh", "-x"],
    "safe module": ["-P", "-m", "fresh"],
    "module in a package": ["-m", "package.fresh"],
    "package": ["-m", "package"],
    "directory": ["package", "--option"],
}


def test_a_fork_finds_what_a_fresh_interpreter_finds(lab: Lab) -> None:
    (lab.place / "package").mkdir()
    for name in ("fresh.py", "package/fresh.py", "package/__main__.py"):
        (lab.place / name).write_text(Path(fresh.__file__).read_text())
    (lab.place / "package" / "__init__.py").touch()
    (lab.place / "input").write_text("a\r\nb\u00e9")

    async def work(supervisor: Supervisor) -> None:
        for name, argv in STARTS.items():
            environment = {"PYTHONPATH": f"lib:{lab.place}"}
            if "module" in name:
                environment |= {"LANG": "C.UTF-8", "PYTHONUNBUFFERED": "1"}
            command = lab.command(sys.executable, *argv, env=environment, stdin_file=lab.place / "input")
            cold, forked = await both(supervisor, command)
            assert cold[0] == 0, cold[1]
            assert forked[1].splitlines() == cold[1].splitlines(), name

    supervised(lab, work)


ENDS = {
    "nothing": "",
    "code": "import sys; print('out'); sys.exit(3)",
    "text": "import sys; sys.exit('sorry')",
    "large code": "raise SystemExit(2**40)",
    "error": "print('out')\ndef f(): 1/0\nf()",
    "chain": "try: 1/0\nexcept Exception as e: raise ExceptionGroup('many', [ValueError(1), e]) from e",
    "interrupt": "print('out'); raise KeyboardInterrupt",
    "signal": "import os; os.kill(os.getpid(), 9)",
    "interrupted": "import os, time; os.kill(os.getpid(), 2); time.sleep(60)",
    "syntax": "def (:",
    "hook": "import sys\nsys.excepthook = lambda *a: print('hook', a[0], a[2].tb_lineno, sys.exc_info())\n1/0",
    "bad hook": "import sys\ndef hook(*a): raise KeyError(1)\nsys.excepthook = hook\n1/0",
    "at exit": "import atexit; atexit.register(print, 'bye'); atexit.register(lambda: 1/0); print('out')",
    "thread": "import threading as t, time; t.Thread(target=lambda: (time.sleep(.1), print('late'))).start(); print(1)",
    "daemon": "import threading as t, time; t.Thread(target=time.sleep, args=(60,), daemon=True).start()",
    "pool": "from concurrent.futures import *; ThreadPoolExecutor().submit(print, 'in pool')",
    "file left open": "f = open('left', 'w'); f.write('data'); print('x', end='')",
    "what it had written": "print(open('left').read())",
    "finalizer": "class A:\n  def __del__(self): print('gone', A)\na = A(); a.itself = a",
    "C": "import ctypes; ctypes.CDLL(None).printf(b'from C')",
    "at once": "import os; print(1, flush=True); os._exit(7)",
    "closed": "import sys; sys.stdout.close()",
    "input": "input()",
    "annotations": "def f(x: int): pass\nprint(f.__annotations__)",
    "pickle": "import pickle\nclass A: pass\nprint(pickle.loads(pickle.dumps(A())).__class__)",
    "warning": "import warnings\ndef f(): warnings.warn('w', stacklevel=2)\nf()",
    "asyncio": "import asyncio\nasync def m(): await (await asyncio.create_subprocess_exec('echo', 'x')).wait()\n"
    "asyncio.run(m())",
    **{
        f"multiprocessing {how}": f"import multiprocessing as m\ndef f(x): return 2 * x\nif __name__ == '__main__':\n"
        f"  with m.get_context('{how}').Pool(2) as pool: print(pool.map(f, range(3)))"
        for how in ("spawn", "fork", "forkserver")
    },
}


def test_a_fork_ends_as_a_fresh_interpreter_ends(lab: Lab) -> None:
    async def work(supervisor: Supervisor) -> None:
        for name, code in ENDS.items():
            cold, forked = await both(supervisor, program(lab, code))
            assert forked == cold, name
        for argv in (["missing.py"], ["-m", "no_such_module"], ["."]):
            cold, forked = await both(supervisor, lab.command(sys.executable, *argv))
            assert cold[0], argv
            assert forked == cold, argv

    supervised(lab, work)


def test_each_fork_has_its_own_random_numbers(lab: Lab) -> None:
    code = """
        import random, numpy, tempfile, uuid, secrets, multiprocessing
        print(random.random(), numpy.random.random(), numpy.random.default_rng().random(), uuid.uuid4())
        print(tempfile.mktemp(), secrets.token_hex(), bytes(multiprocessing.current_process().authkey).hex())
    """
    preload = ("numpy.random", "tempfile", "multiprocessing", "uuid", "secrets")

    async def work(supervisor: Supervisor) -> None:
        outputs = [(await run(supervisor, program(lab, code, preload=preload)))[1].split() for _ in range(2)]
        assert len(outputs[0]) == len(outputs[1]) == 7
        assert not {*outputs[0]} & {*outputs[1]}

    supervised(lab, work)


BLAS = """
    import os, numpy, threadpoolctl
    numbers = numpy.arange(640_000.0).reshape(800, 800) % 7
    product = numbers @ numbers
    assert (product[:3, :3] == [[sum(numbers[i] * numbers[:, j]) for j in range(3)] for i in range(3)]).all()
    threads = [library["num_threads"] for library in threadpoolctl.threadpool_info()]
    print(max(threads), len(os.listdir("/proc/self/task")))
"""


def test_a_fork_has_the_blas_threads_that_it_may_have(lab: Lab) -> None:
    async def work(supervisor: Supervisor) -> None:
        cores = len(os.sched_getaffinity(0))
        for limit in ({}, {"OPENBLAS_NUM_THREADS": "1"}, {"OPENBLAS_NUM_THREADS": "3"}):
            wanted = int(limit.get("OPENBLAS_NUM_THREADS", cores))
            process = await supervisor.spawn(program(lab, BLAS, preload=("numpy",), env=limit))
            assert process.preloaded
            assert process.preloaded.modules == ("numpy",), process.preloaded.refused
            assert (await finish(process))[1].split() == [str(wanted)] * 2
        command = program(lab, BLAS, preload=("numpy",), cpus=1)
        assert (await run(supervisor, command))[1].split() == ["1", "1"]
        assert len(_proc.children(os.getpid())) == len(lab.before) + 1, "one interpreter serves them all"

    supervised(lab, work)


def test_settings_of_matplotlib_in_the_working_directory_count(lab: Lab) -> None:
    (lab.place / "matplotlibrc").write_text("lines.linewidth: 7.5\n")

    async def work(supervisor: Supervisor) -> None:
        command = program(
            lab, "import matplotlib; print(matplotlib.rcParams['lines.linewidth'])", preload=("matplotlib",)
        )
        assert await run(supervisor, command) == (0, "7.5\n")

    supervised(lab, work)


def test_what_cannot_be_forked_says_why(lab: Lab) -> None:
    fits = program(lab, "pass")
    assert obstacle(fits) is None
    refused = {
        "not run by the interpreter": ("/bin/true",),
        "can be forked": (sys.executable, "-c", "pass"),
        "only 'python": (sys.executable, "-m"),
        "compiled": (sys.executable, "x.pyc"),
    }

    async def work(supervisor: Supervisor) -> None:
        for reason, argv in refused.items():
            command = lab.command(*argv, preload=())
            assert reason in (obstacle(command) or "")
            with pytest.raises(CannotFork, match=r"cannot be run in a fork.*Run it as a program"):
                await supervisor.spawn(command)
        assert supervisor.warm_facts() == ()

    supervised(lab, work)


def test_a_command_that_needs_more_gets_another_interpreter_and_the_old_one_ends(lab: Lab) -> None:
    async def work(supervisor: Supervisor) -> None:
        first = await supervisor.spawn(program(lab, "import time; time.sleep(1000)", preload=("json",)))
        old = _proc.parent(_proc.parent(first.pid))
        second = await supervisor.spawn(program(lab, "print(1)", preload=("csv",), env={"ORCH_OTHER": "x"}))
        assert second.preloaded
        assert second.preloaded.modules == ("json", "csv")
        await second.wait()
        third = await supervisor.spawn(program(lab, "print(1)", preload=("json",)))
        assert third.preloaded == second.preloaded
        await third.wait()
        assert _proc.living([old]), "it holds a command"
        await first.terminate(1)
        await asyncio.to_thread(wait_until, lambda: not _proc.living([old]))
        assert supervisor.warm_facts() == ("Forks of a preloaded interpreter have: json, csv.",)
        other = await supervisor.spawn(program(lab, "print(1)", preload=("json",), env={"PYTHONHASHSEED": "5"}))
        assert other.preloaded
        assert other.preloaded.modules == ("json",), "another environment, another interpreter"
        await other.wait()

    supervised(lab, work)


def test_what_is_preloaded_last_stays_last(lab: Lab) -> None:
    """It may be about those before it, as `kernels._first_use` is."""

    async def work(supervisor: Supervisor) -> None:
        for wanted in ("json", "colorsys"), ("csv", "colorsys"):
            process = await supervisor.spawn(program(lab, "", preload=wanted))
            await process.wait()
        assert process.preloaded
        assert process.preloaded.modules == ("json", "csv", "colorsys")

    supervised(lab, work)


def test_few_interpreters_are_kept(lab: Lab) -> None:
    async def work(supervisor: Supervisor) -> None:
        for seed in range(MAX_KINDS + 2):
            command = program(lab, "print(hash('x'))", preload=(), env={"PYTHONHASHSEED": str(seed)})
            assert await run(supervisor, command) == await run(
                supervisor, msgspec.structs.replace(command, preload=None)
            )
        await asyncio.to_thread(wait_until, lambda: len(_proc.children(os.getpid())) == len(lab.before) + MAX_KINDS + 1)
        assert len(supervisor.warm_facts()) == MAX_KINDS

    supervised(lab, work)


#: Modules that are installed, and how they are refused; none of them is to be imported by a fork that did not ask.
INSTALLED = {
    "good": (
        "import os, random\nFREE, BOUND = random.Random(), random.Random(5)\nVERSION = 1\n"
        "os.environ['SET_BY_IMPORT'] = 'yes'",
        "",
    ),
    "threads": (
        "import threading, time\nthreading.Thread(target=time.sleep, args=(1000,), daemon=True).start()",
        "starts threads",
    ),
    "files": ("held = open(__file__)", "keeps files open"),
    "talks": ("import os; os.write(1, b'hello\\nyou')", "writes: hello you"),
    "makes": ("import tempfile; tempfile.TemporaryDirectory()", "makes a temporary directory"),
    "breaks": ("1/0", "cannot be imported: ZeroDivisionError: division by zero"),
    "exits": ("import os; os._exit(3)", "ends the interpreter (exit code 3)"),
    "slow": ("while True: pass", "takes too long to import"),
    "forks": ("import subprocess; child = subprocess.Popen(['sleep', '1000'])", "starts processes"),
    "drags": ("import mine", "not in site-packages"),
}
PROGRAM = """
import os, sys, good
print([name for name in sys.argv[1:] if name in sys.modules], good.VERSION, os.environ.get("SET_BY_IMPORT"))
print(good.BOUND.random(), good.FREE.random())
"""


def environment_of_its_own(place: Path) -> Path:
    """A virtual environment with these modules installed, and what this one has; return its interpreter."""
    venv.create(place / "venv", symlinks=True)
    python = place / "venv" / "bin" / "python"
    (packages,) = (place / "venv" / "lib").glob("python*/site-packages")
    (packages / "outer.pth").write_text(f"{sysconfig.get_path('purelib')}\n{ROOT}\n")
    for name, (code, _) in INSTALLED.items():
        (packages / f"{name}.py").write_text(code)
    (place / "edited").mkdir()
    (place / "edited" / "mine.py").touch()
    (place / "program.py").write_text(PROGRAM)
    return python


def test_only_what_forks_can_bear_is_preloaded(lab: Lab) -> None:
    python = environment_of_its_own(lab.place)
    asked = ["missing", "mine", *INSTALLED]
    done = subprocess.run(
        [python, preloader.__file__, lab.token, lab.place, "3", *asked],
        check=False,
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    first, second, facts = map(json.loads, done.stdout.splitlines())
    assert first[0] == ["good"]
    reasons = {"missing": "is not installed", "mine": "is not site-packages"}
    reasons |= {name: reason for name, (_, reason) in INSTALLED.items() if reason}
    assert {*first[1]} == {*reasons}
    assert {name: reason for name, reason in reasons.items() if reason not in first[1][name]} == {}
    assert second[:2] == [["good", "late"], {}], "what is installed later is seen"
    loaded, numbers = zip(*(output.splitlines() for _, _, output in (first, second)), strict=True)
    assert loaded == ("[] 1 yes", "[] 22 yes")
    (bound, free), (same, other) = (line.split() for line in numbers)
    assert bound == same
    assert free != other
    assert facts[0].startswith("Forks of a preloaded interpreter have: good, late; not preloaded: missing (is not inst")


def test_an_owner_killed_while_a_module_is_imported_leaves_nothing(lab: Lab) -> None:
    python = environment_of_its_own(lab.place)
    (packages,) = (lab.place / "venv" / "lib").glob("python*/site-packages")
    begun = lab.place / "begun"
    (packages / "slow.py").write_text(f"open({str(begun)!r}, 'w')\nwhile True: pass")
    owner = subprocess.Popen([python, preloader.__file__, lab.token, lab.place, "1000", "slow"])
    wait_until(begun.exists)
    assert len(lab.alive()) == 2
    owner.kill()
    owner.wait()
    wait_until(lambda: lab.alive() == [])
