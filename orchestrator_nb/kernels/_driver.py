"""What a process that executes notebooks needs, ready: to be imported before such processes are forked."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from types import ModuleType
from typing import Any


@contextmanager
def put_off(name: str, function: str) -> Iterator[None]:
    """Let who imports `function` from the module `name` here get one that imports the module when it is called."""

    def later(*args: Any, **kwargs: Any) -> Any:
        return getattr(importlib.import_module(name), function)(*args, **kwargs)

    if name in sys.modules or find_spec(name) is None:
        yield
        return
    sys.modules[name] = stand_in = ModuleType(name)
    setattr(stand_in, function, later)
    try:
        yield
    finally:
        del sys.modules[name]


# jsonschema, where it is installed to check all formats, makes a grammar of addresses for 0.8 s: nbformat checks none.
with put_off("rfc3987_syntax", "is_valid_syntax"):
    import nbformat
    import papermill.execute  # noqa: F401
    from jupyter_client.kernelspec import NATIVE_KERNEL_NAME, KernelSpecManager, NoSuchKernel
    from nbformat.v4 import new_notebook

    import orchestrator_nb.kernels.adoption
    import orchestrator_nb.kernels.engine  # noqa: F401

for _minor in (4, 5):  # reading and writing make a validator for each version of the format, at 60 ms
    nbformat.reads(nbformat.writes(new_notebook(nbformat_minor=_minor)), as_version=4)
with suppress(NoSuchKernel):  # the first that is asked for looks through all installed packages, for provisioners
    KernelSpecManager().get_kernel_spec(NATIVE_KERNEL_NAME)
