"""The shell that is made before kernels are forked is the one that a kernel makes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator_nb.kernels._shell import KNOWN, steps
from tests.kernels.books import run, text
from tests.live_kernels import REPOSITORY

SHOW = """
import atexit, builtins, os, re, sys, warnings
from pathlib import Path
from IPython.core.interactiveshell import InteractiveShell
from ipykernel.kernelapp import IPKernelApp
from ipykernel.zmqshell import ZMQInteractiveShell
shell, app = get_ipython(), IPKernelApp.instance()
config = {name: dict(section) for name, section in shell.config.items()}
del config["IPKernelApp"]["connection_file"]
parts = [shell.display_formatter, shell.display_pub, shell.displayhook, shell.history_manager, shell.Completer]
formatters = shell.display_formatter.formatters
about = {
    "classes": [type(shell).__mro__, [type(part) for part in shell.configurables]],
    "one": [shell is kind.instance() for kind in (InteractiveShell, ZMQInteractiveShell)],
    "kernel": [shell.parent is app.kernel, shell.kernel is app.kernel, shell.profile_dir is app.profile_dir],
    "parents": [part.parent is shell for part in parts],
    "logs": [part.log is app.log for part in (shell, shell.history_manager)],
    "config": sorted(config.items()),
    "configured": all(part.config == shell.config for part in [*parts, *formatters.values()]),
    "state": {
        name: repr(value) for name, value in sorted(vars(shell).items())
        if isinstance(value, (str, int, bool, type(None), list)) and name != "configurables"
    },
    "traits": {
        name: repr(getattr(shell, name)) for name in sorted(shell.traits(config=True)) if name != "ipython_dir"
    },
    "namespace": [shell.user_ns is sys.modules["__main__"].__dict__, shell.user_module is sys.modules["__main__"]],
    "names": sorted(shell.user_ns), "hidden": sorted(shell.user_ns_hidden),
    "magics": {kind: sorted(magics) for kind, magics in shell.magics_manager.magics.items()},
    "lazy": sorted(map(str, getattr(shell.magics_manager, "lazy_magics", {}))),
    "hooks": sorted(vars(shell.hooks)), "events": {name: len(calls) for name, calls in shell.events.callbacks.items()},
    "formatters": {name: (type(one), one.enabled) for name, one in formatters.items()},
    "builtins": [builtins.__IPYTHON__, builtins.display],
    "prompts": [sys.ps1, sys.ps2], "warnings": [item[:1] + item[2:3] for item in warnings.filters[:3]],
    "excepthook": [shell.sys_excepthook.__qualname__, shell._orig_sys_module_state["excepthook"].__qualname__],
    "environment": {name: os.environ.get(name) for name in ("TERM", "PAGER", "CLICOLOR", "FORCE_COLOR")},
    "places": [shell.starting_dir == os.getcwd(), _dh == [Path.cwd()], shell.ipython_dir == app.ipython_dir],
    "history": [_ih[-1] is In[-1], shell.history_manager.hist_file, shell.history_manager.session_number],
    "call": [shell.call_pdb, shell.InteractiveTB.mode, shell.showing_traceback, shell.execution_count],
    "at exit": atexit.unregister(shell.atexit_operations),
}
print(*(re.sub(" at 0x[0-9a-f]+", "", f"{name}: {value}") for name, value in about.items()), sep="\\n")
"""


def test_a_fork_has_the_shell_that_a_kernel_makes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANOTHER_ENVIRONMENT", "so another interpreter is forked: one without matplotlib")
    forked, started = (text(run(tmp_path, SHOW, mode=mode).cells[0]).splitlines() for mode in ("fork", "cold"))
    assert [(ours, theirs) for ours, theirs in zip(forked, started, strict=True) if ours != theirs] == []
    assert len(forked) > 20


def test_a_shell_that_is_configured_is_made_by_its_kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    profile = tmp_path / "ipython" / "profile_default"
    profile.mkdir(parents=True)
    (profile / "ipython_config.py").write_text("c.InteractiveShell.ast_node_interactivity = 'all'\n")
    monkeypatch.setenv("IPYTHONDIR", str(profile.parent))
    outputs = run(tmp_path, "1\n2", mode="fork").cells[0].outputs
    assert [output.data["text/plain"] for output in outputs] == ["1", "2"]


def test_what_a_notebook_leaves_open_is_written_at_its_end(tmp_path: Path) -> None:
    """The shell's exit handler, and what it lets go of."""
    source = (
        "import atexit\n"
        "class Left:\n    def __del__(self, write=open('gone', 'w').write): write('gone')\n"
        "left = Left(); file = open('left', 'w'); file.write('text')\n"
        "atexit.register(lambda: open('exit', 'w').write('exit'))"
    )
    run(tmp_path, source, mode="fork", cwd=tmp_path)
    assert [(tmp_path / name).read_text() for name in ("exit", "left")] == ["exit", "text"]


def test_to_make_it_leaves_nothing_in_the_process() -> None:
    """Also programs that are no kernels are forked from what has made it."""
    program = (
        "import builtins, os, sys, warnings, ipykernel.zmqshell\n"
        "def seen(): return [os.environ.copy(), dir(builtins), sys.path[:], dir(sys), sys.modules['__main__'],\n"
        "    sys.displayhook, sys.excepthook, warnings.filters[:], os.listdir('/proc/self/fd')]\n"
        "before = seen()\n"
        "from orchestrator_nb.kernels import _shell\n"
        "from IPython import get_ipython\n"
        "print(_shell.made is not None, before == seen(), get_ipython())"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=REPOSITORY)
    assert done.stdout == "True True None\n"
    assert done.stderr == "", "nor for its end: there the shell would miss its history"


def test_IPython_is_the_one_whose_shell_is_known() -> None:
    """With another one each kernel makes its own shell, for 8 ms of CPU: look at what has changed, then here."""
    assert steps() == KNOWN
