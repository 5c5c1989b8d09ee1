"""An IPython kernel in a fork of a preloaded interpreter: ``python -m orchestrator_nb.kernels._kernel -f FILE ...``.

It is what ``python -m ipykernel_launcher`` is, with what imports would have done for it had they come later.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from typing import Any, ClassVar


def main() -> None:
    """Be the kernel until it is told to end."""
    if sys.path and os.path.realpath(sys.path[0]) == os.path.realpath(os.curdir):
        del sys.path[0]  # as ipykernel_launcher: its shell puts the working directory there
    launcher = importlib.util.find_spec("ipykernel_launcher")
    sys.argv[0] = (launcher and launcher.origin) or sys.argv[0]
    os.environ["JPY_PARENT_PID"] = str(os.getppid())  # a mark by which libraries know a kernel
    os.environ.pop("ORCH_NOT_PRELOADED", None)  # (`system.preloading`) it is told elsewhere
    from ipykernel.kernelapp import IPKernelApp

    from orchestrator_nb.kernels._sending import wake_seldom

    wake_seldom()
    app = IPKernelApp.instance(parent_handle=1)  # it ends with its parent by PR_SET_PDEATHSIG: no need to look for it
    initialize(app)
    show_figures()
    app.start()


class System:
    """`sys`, without modules."""

    modules: ClassVar[dict[str, Any]] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(sys, name)


def initialize(app: Any) -> None:
    """Make the kernel.

    traitlets makes a parser of all options that there are. And ipykernel asks each module for its file, for the
    debugger. Which they are is known from before the fork: to touch a thousand modules is to have a copy of each one's
    memory. The shell is there already (`_shell`).
    """
    from ipykernel import ipkernel
    from ipykernel.zmqshell import ZMQInteractiveShell

    from orchestrator_nb.kernels import _shell
    from orchestrator_nb.kernels._first_use import files

    vars(ipkernel)["sys"] = System()
    new_shell = ZMQInteractiveShell.instance
    ZMQInteractiveShell.instance = lambda **given: _shell.take(given) or new_shell(**given)  # type: ignore[method-assign]
    app.parse_command_line = lambda words: read_arguments(app, words)
    try:
        app.initialize(sys.argv[1:])
    finally:
        vars(ipkernel)["sys"] = sys
        del ZMQInteractiveShell.instance
        del app.parse_command_line
    getattr(app.kernel, "_kernel_modules", []).extend(files)


def read_arguments(app: Any, words: list[str]) -> None:
    """As `app.parse_command_line`; by it, if there are others than the usual arguments."""
    config = usual(app, words)
    if config is None:
        type(app).parse_command_line(app, words)
        return
    app.argv, app.extra_args, app.cli_config = list(words), [], config
    app.update_config(config)


def usual(app: Any, words: list[str]) -> Any:
    """What the usual arguments configure, as traitlets reads them; None: there are others."""
    from traitlets.config.loader import Config, DeferredConfigString

    config, traits = Config(), type(app)
    rest = iter(words)
    for word in rest:
        name, _, text = word.partition("=")
        if word == "-f" and (file := next(rest, "")).startswith("/"):
            config.IPKernelApp.connection_file = traits.connection_file.from_string(file)
        elif name == "--HistoryManager.hist_file" and text:
            config.HistoryManager.hist_file = DeferredConfigString(text)
        elif name == "--IPKernelApp.exec_lines" and text and "exec_lines" not in config.IPKernelApp:
            config.IPKernelApp.exec_lines = traits.exec_lines.from_string_list([text])
        else:
            return None
    return config


def show_figures() -> None:
    """Let matplotlib draw into the notebook, although it was imported before there was one."""
    matplotlib = sys.modules.get("matplotlib")
    if matplotlib is None:
        return
    matplotlib.rcParams["backend"] = os.environ["MPLBACKEND"]
    inline = sys.modules.get("matplotlib_inline.backend_inline")
    if inline is not None:
        inline._enable_matplotlib_integration()


if __name__ == "__main__":
    main()
