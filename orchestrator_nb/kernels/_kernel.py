"""An IPython kernel in a fork of a preloaded interpreter: ``python -m orchestrator_nb.kernels._kernel -f FILE ...``.

It is what ``python -m ipykernel_launcher`` is, with what imports would have done for it had they come later.
"""

from __future__ import annotations

import importlib.util
import os
import sys


def main() -> None:
    """Be the kernel until it is told to end."""
    if sys.path and os.path.realpath(sys.path[0]) == os.path.realpath(os.curdir):
        del sys.path[0]  # as ipykernel_launcher: its shell puts the working directory there
    launcher = importlib.util.find_spec("ipykernel_launcher")
    sys.argv[0] = (launcher and launcher.origin) or sys.argv[0]
    os.environ["JPY_PARENT_PID"] = str(os.getppid())  # a mark by which libraries know a kernel
    from ipykernel.kernelapp import IPKernelApp

    app = IPKernelApp.instance(parent_handle=1)  # it ends with its parent by PR_SET_PDEATHSIG: no need to look for it
    app.initialize(sys.argv[1:])
    show_figures()
    app.start()


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
