"""A forked kernel: what forks are known to break (the figures of trap 1 are in `test_engine`)."""

from __future__ import annotations

import ast
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, ClassVar

import psutil
import pytest
from ipykernel.kernelapp import IPKernelApp
from nbclient.exceptions import DeadKernelError

from orchestrator_nb.kernels import modes
from orchestrator_nb.kernels._kernel import read_arguments, usual
from orchestrator_nb.kernels._sending import KNOWN
from orchestrator_nb.kernels.preload import BASE
from tests.kernels.books import notebook, run, text
from tests.kernels.waiting import wait_for
from tests.live_kernels import REPOSITORY


def values(directory: Path, source: str, **options: Any) -> Any:
    """What the cell shows, in a fork."""
    return ast.literal_eval(text(run(directory, source, mode="fork", **options).cells[0]))


def test_trap_2_random_numbers_differ(tmp_path: Path) -> None:
    source = (
        "import random, numpy, uuid\n"
        "(random.random(), numpy.random.rand(), uuid.uuid4().hex, numpy.random.default_rng().random())"
    )
    first, second = values(tmp_path, source), values(tmp_path, source)
    assert [one for one, other in zip(first, second, strict=True) if one == other] == []


OWNER = """
import sys
from pathlib import Path
from tests.kernels.books import execute
execute(Path(sys.argv[1]), "fork")
"""


def test_trap_3_A4_kernels_end_when_their_owner_is_killed(tmp_path: Path) -> None:
    cell = (
        "import os, subprocess, time\nchild = subprocess.Popen(['sleep', '600'])\n"
        "open('pids.tmp', 'w').write(f'{os.getpid()} {child.pid}')\nos.rename('pids.tmp', 'pids')\ntime.sleep(600)"
    )
    path = notebook(tmp_path / "a.ipynb", cell)
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER, str(path)], cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(REPOSITORY)}
    )
    wait_for((tmp_path / "pids").exists)
    processes = [psutil.Process(int(pid)) for pid in (tmp_path / "pids").read_text().split()]
    owner.send_signal(signal.SIGKILL)
    owner.wait()
    _, alive = psutil.wait_procs(processes, timeout=10)
    assert alive == []


@pytest.mark.parametrize("death", ["os._exit(3)", "os.kill(os.getpid(), 9)"])
def test_trap_4_a_death_is_noticed(death: str, tmp_path: Path) -> None:
    with pytest.raises(DeadKernelError):
        run(tmp_path, f"import os\n{death}", mode="fork")


def test_trap_5_libraries_have_their_threads(tmp_path: Path) -> None:
    source = "import numpy, threadpoolctl\nmax(pool['num_threads'] for pool in threadpoolctl.threadpool_info())"
    assert values(tmp_path, source) == len(os.sched_getaffinity(0))


def test_trap_6_what_starts_threads_is_not_preloaded_and_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = tmp_path / "site" / "threaded_library.py"
    module.parent.mkdir()
    module.write_text("import threading\nthreading.Thread(target=threading.Event().wait, daemon=True).start()\n")
    monkeypatch.setenv("PYTHONPATH", str(module.parent))
    executed = run(tmp_path, "import threaded_library; 1", mode="fork")
    refused = executed.metadata.orchestrator.kernel.not_preloaded
    assert "threaded_library" in refused
    assert text(executed.cells[0]) == "1"


def test_trap_7_what_is_edited_is_imported_anew(tmp_path: Path) -> None:
    for number in (1, 2):
        (tmp_path / "edited.py").write_text(f"value = {number}  #{number * 'x'}\n")
        assert values(tmp_path, "import edited\nedited.value", cwd=tmp_path) == number


def test_trap_9_only_on_linux() -> None:
    class Spec:
        """A kernelspec that can be forked here."""

        argv = (sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}")
        metadata: ClassVar[dict[str, str]] = {}
        display_name = "Python"

    assert modes.obstacle(Spec()) == ""
    assert modes.obstacle(Spec(), platform="darwin") == "forks are sound on Linux only"


def test_nothing_of_one_notebook_is_seen_by_the_next(tmp_path: Path) -> None:
    leave = (
        "import os, json, sys\nos.environ['LEFT'] = '1'; json.left = 1; sys.path.append('/left'); left = 1\nos.getpid()"
    )
    first = values(tmp_path, leave)
    seen = (
        "import os, json, sys\n('LEFT' in os.environ, hasattr(json, 'left'), '/left' in sys.path, 'left' in globals())"
    )
    assert values(tmp_path, seen) == (False, False, False, False)
    assert values(tmp_path, "import os; os.getpid()") != first


def test_the_kernel_has_what_it_imports_while_it_starts(tmp_path: Path) -> None:
    """What is preloaded is nearly all that it needs: the rest would cost each notebook."""
    packages = ("ipykernel", "IPython", "debugpy", "zmq", "tornado", "traitlets", "jupyter_client")
    source = f"import sys\n[name for name in sys.modules if name.partition('.')[0] in {packages}]"
    have = values(tmp_path, source)
    program = f"import importlib, sys\nfor name in {BASE!r}: importlib.import_module(name)\nprint(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True, text=True, check=True, env={**os.environ, "PYTHONPATH": str(REPOSITORY)}, cwd=tmp_path,
    )  # fmt: skip
    assert sorted(set(have) - set(done.stdout.split())) == []


def test_what_is_used_before_the_fork_is_what_later_notebooks_import(tmp_path: Path) -> None:
    values(tmp_path, "1")
    source = (
        "import matplotlib.pyplot, sys\norder = list(sys.modules)\n"
        "order.index('matplotlib.pyplot') < order.index('orchestrator_nb.kernels._first_use')"
    )
    assert values(tmp_path, source) is True


def test_what_was_imported_before_the_fork_is_not_looked_through_for_garbage(tmp_path: Path) -> None:
    source = "import gc\ngc.isenabled(), gc.get_freeze_count(), len(gc.get_objects())"
    enabled, left_alone, looked_through = values(tmp_path, source)
    assert enabled
    assert left_alone > 10 * looked_through


def test_the_sockets_are_for_this_user_only(tmp_path: Path) -> None:
    source = (
        "import os, stat, pathlib\nfrom ipykernel.connect import get_connection_file\n"
        "folder = pathlib.Path(get_connection_file()).parent\n"
        "modes = sorted({stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir() if file.name != 'log'})\n"
        "[folder.stat().st_mode & 0o777, *modes], str(folder)"
    )
    shown, folder = values(tmp_path, source)
    assert shown == [0o700, 0o600]
    assert not Path(folder).exists()


def test_the_engine_is_imported_without_what_only_plans_need() -> None:
    """One notebook by papermill's command must not cost more than by papermill alone: pydantic's models take 0.1 s."""
    program = "import sys, orchestrator_nb.kernels.engine\nprint('orchestrator_nb.core.models' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=REPOSITORY)
    assert done.stdout == "False\n"


def test_ipykernel_is_the_one_whose_wake_ups_are_known() -> None:
    """With another one `wake_seldom` does nothing, and each cell costs more: look at what has changed, then here."""
    assert [method.__qualname__ for method, names in KNOWN.items() if method.__code__.co_names != names] == []


def test_the_debugger_is_told_the_files_of_all_modules(tmp_path: Path) -> None:
    source = (
        "import sys\nknown = get_ipython().kernel._kernel_modules\n"
        "[name for name, module in list(sys.modules.items()) if name.startswith(('zmq', 'traitlets', 'IPython'))"
        " and getattr(module, '__file__', None) and module.__file__ not in known], len(known) > 500"
    )
    assert values(tmp_path, source) == ([], True)


def test_all_that_is_said_comes_in_order(tmp_path: Path) -> None:
    """The sending thread is woken once for all that waits."""
    source = (
        "import sys, threading\nfrom IPython.display import display\n"
        "def say():\n    for number in range(300): print('x', flush=number % 3 == 0)\n"
        "threads = [threading.Thread(target=say) for _ in range(3)]\n"
        "for thread in threads: thread.start()\n"
        "for thread in threads: thread.join()\n"
        "print('one'); display(2); print('three', file=sys.stderr); display(4); print('five')"
    )
    shown = text(run(tmp_path, source, mode="fork").cells[0])
    assert shown.count("x") == 900
    assert "".join(shown.replace("x", "").split()) == "one2three4five"


FILE = ("-f", "/there/kernel.json")
HISTORY, LINES = "--HistoryManager.hist_file=:memory:", "--IPKernelApp.exec_lines="


@pytest.mark.parametrize(
    ("words", "is_usual"),
    [
        ([*FILE, HISTORY], True),
        ([*FILE, f"{LINES}import random\nrandom.seed(1); x = 'a=b'", HISTORY], True),
        ([*FILE, f"{LINES}a", f"{LINES}b"], False),
        (["-f", "relative.json"], False),
        ([*FILE, "--debug", HISTORY], False),
        ([*FILE, "--Session.username=me"], False),
    ],
)
def test_arguments_are_read_as_traitlets_reads_them(words: list[str], is_usual: bool) -> None:
    theirs, ours = IPKernelApp(parent_handle=1), IPKernelApp(parent_handle=1)
    theirs.parse_command_line(words)
    read_arguments(ours, words)
    assert (usual(ours, words) is not None) == is_usual
    for name in ("argv", "extra_args", "cli_config", "config", "connection_file", "exec_lines", "log_level"):
        assert repr(getattr(ours, name)) == repr(getattr(theirs, name)), name
        assert type(getattr(ours, name)) is type(getattr(theirs, name))


def test_a_kernel_is_configured_as_one_that_was_started(tmp_path: Path) -> None:
    source = (
        "from ipykernel.kernelapp import IPKernelApp\napp = IPKernelApp.instance()\n"
        "config = {name: dict(section) for name, section in app.config.items()}\n"
        "del config['IPKernelApp']['connection_file']\n"
        "repr(config), app.extra_args, len(app.argv), app.argv[2:], app.parse_command_line.__name__"
    )
    forked, started = (
        text(run(tmp_path, source, mode=mode, extra_arguments=[f"{LINES}x = 1"]).cells[0]) for mode in ("fork", "cold")
    )
    assert forked == started
    assert "x = 1" in forked
