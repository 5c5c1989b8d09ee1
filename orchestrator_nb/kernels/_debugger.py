"""The debugger of kernels, imported without the warning about frozen modules that it writes to standard error.

A kernel imports it when it starts, whether it is going to be used or not.
"""

from __future__ import annotations

import os
from contextlib import suppress

VARIABLE = "PYDEVD_DISABLE_FILE_VALIDATION"

_before = os.environ.get(VARIABLE)
os.environ[VARIABLE] = "1"
with suppress(ImportError):  # a kernel can do without debugpy
    import ipykernel.debugger  # noqa: F401
if _before is None:
    del os.environ[VARIABLE]
else:
    os.environ[VARIABLE] = _before
