"""What an interpreter imports before kernels are forked from it: what all of them import, and what notebooks do."""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["BASE", "modules_for"]

#: What an IPython kernel imports until it has executed its first cell, as far as the first does not bring the others.
BASE = (
    "ipykernel.kernelapp",
    "orchestrator_nb.kernels._debugger",
    "orchestrator_nb.kernels._sending",
    "orchestrator_nb.kernels._shell",
    "IPython.core.completerlib",
    "IPython.core.debugger",
    "IPython.core.logger",
    "IPython.core.oinspect",
    "IPython.core.pylabtools",
    "IPython.extensions.storemagic",
    "encodings.idna",
    "encodings.latin_1",
    "faulthandler",
    "psutil",
    "sqlite3",
    "tornado.platform.asyncio",
    "tornado.queues",
)
#: What a library imports by itself when it is first used, by its name.
LATER = {
    "matplotlib": (
        "matplotlib.backends.backend_agg",
        "matplotlib.figure",
        "matplotlib_inline.config",
        *(f"PIL.{name}ImagePlugin" for name in ("Bmp", "Gif", "Jpeg", "Png", "Ppm")),
    ),
    "pandas": ("pandas.io.formats.format", "pandas.io.formats.html", "pandas.io.formats.string"),
    "pandas matplotlib": ("pandas.plotting._matplotlib",),
}


def modules_for(imports: Iterable[str]) -> tuple[str, ...]:
    """What to preload for a notebook that imports these modules, in order."""
    names = dict.fromkeys((*BASE, *imports))
    tops = {name.partition(".")[0] for name in names}
    for libraries, later in LATER.items():
        if tops.issuperset(libraries.split()):
            names.update(dict.fromkeys(later))
    return (*names, "orchestrator_nb.kernels._first_use")
