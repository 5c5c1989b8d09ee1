"""Where the code runs, and so what can be shown: a notebook somebody looks at, a headless one, a terminal, a script."""

from __future__ import annotations

import os
import sys
from enum import Enum
from typing import Any


class Environment(Enum):
    """Who is looking."""

    #: A notebook in a front end: widgets are live, a cell returns at once.
    NOTEBOOK = "notebook"
    #: A notebook run by nbclient (papermill, nbconvert): a cell waits, output is static.
    HEADLESS = "headless"
    #: IPython in a terminal: text.
    TERMINAL = "terminal"
    #: Plain Python: nothing unasked.
    SCRIPT = "script"


def shell() -> Any:
    """The IPython shell of this process, or None."""
    module = sys.modules.get("IPython")
    return module.get_ipython() if module is not None else None


def environment() -> Environment:
    """Where the current cell runs.

    A front end lets a cell ask (`allow_stdin` of its request), nbclient does not; voila runs through nbclient too, but
    its pages are live, and it says so in the kernel's environment.
    """
    here = shell()
    if here is None:
        return Environment.SCRIPT
    if getattr(here, "kernel", None) is None:
        return Environment.TERMINAL
    if os.environ.get("SERVER_SOFTWARE", "").startswith("voila"):
        return Environment.NOTEBOOK
    may_ask = request_of(here.kernel).get("content", {}).get("allow_stdin")
    return Environment.NOTEBOOK if may_ask else Environment.HEADLESS


def current_cell() -> tuple[str, str]:
    """The id of the cell that is running, and of this execution of it; empty where there is none."""
    here = shell()
    if here is None or getattr(here, "kernel", None) is None:
        return "", ""
    request = request_of(here.kernel)
    return str(request.get("metadata", {}).get("cellId", "")), str(request.get("header", {}).get("msg_id", ""))


def request_of(kernel: Any) -> dict[str, Any]:
    """The request whose cell is running, as the kernel got it; empty where it knows of none."""
    try:
        request = kernel.get_parent()
    except LookupError:  # ipykernel 7.0 knows of none in threads other than its own
        return {}
    return request if isinstance(request, dict) else {}
