"""What a process that executes notebooks needs, ready: to be imported before such processes are forked."""

from __future__ import annotations

import nbformat
import papermill.execute  # noqa: F401
from nbformat.v4 import new_notebook

import orchestrator_nb.kernels.adoption
import orchestrator_nb.kernels.engine  # noqa: F401

for _minor in (4, 5):  # reading and writing make a validator for each version of the format, at 60 ms
    nbformat.reads(nbformat.writes(new_notebook(nbformat_minor=_minor)), as_version=4)
