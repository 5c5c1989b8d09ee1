"""How an object of a lower layer shows itself in Jupyter: the front end is found by name, at the moment it is needed.

`Plan`, `Run` and `Session` know that they can be shown; how is known by `orchestrator_nb.jupyter.display` alone, which
stands above them and is not loaded before something is shown.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any

FRONT_END = "orchestrator_nb.jupyter.display"


def front_end() -> Any:
    """The module that shows things."""
    return import_module(FRONT_END)


def in_ipython() -> bool:
    """Whether somebody may be looking: the process runs IPython, in a kernel or a terminal. Imports nothing."""
    shell = sys.modules.get("IPython")
    return shell is not None and shell.get_ipython() is not None


def loaded() -> bool:
    """Whether anything was shown in this process."""
    return FRONT_END in sys.modules
