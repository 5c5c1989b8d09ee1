"""The first use of what notebooks use, before kernels are forked: what it makes and keeps, none of them has to make.

To be imported after the modules that it is about. Nothing of it can be seen by a notebook but its speed.
"""

from __future__ import annotations

import gc
import io
import os
import sys
from contextlib import suppress

from IPython.core.inputtransformer2 import TransformerManager


def tokenize() -> None:
    """IPython reads each cell with Python's own tokenizer, whose expressions are compiled when they are first used."""
    TransformerManager().transform_cell("%pwd\nx = !ls\nprint(x)\n")


def describe() -> None:
    """A table of pandas as HTML."""
    if pandas := sys.modules.get("pandas"):
        pandas.DataFrame({"a": [1.5, 2.0]}).describe()._repr_html_()


def draw() -> None:
    """A figure of matplotlib as PNG; the fonts, which are open files, are let go of."""
    if "matplotlib.pyplot" not in sys.modules:
        return
    from matplotlib import font_manager
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.backends.registry import backend_registry
    from matplotlib.figure import Figure

    backend_registry.list_all()  # which reads what all installed packages offer
    figure = Figure()
    FigureCanvasAgg(figure)
    figure.subplots().plot([1, 2])
    figure.savefig(io.BytesIO(), format="png", bbox_inches="tight")
    font_manager._get_font.cache_clear()  # type: ignore[attr-defined]


def find_plotting() -> None:
    """What pandas draws with: it looks through all installed packages for that."""
    if "pandas.plotting._matplotlib" in sys.modules:
        sys.modules["pandas.plotting._core"]._get_plot_backend("matplotlib")


def files_of_modules() -> list[str]:
    """The files of all modules, as texts of their own: side by side in memory (`_kernel.initialize`)."""
    named = [getattr(module, "__file__", None) for module in tuple(sys.modules.values())]
    return [os.fsdecode(os.fsencode(file)) for file in named if file]


gc.freeze()  # so that only what is made here is looked through for garbage, and not all that was imported
for use in (tokenize, describe, draw, find_plotting):
    with suppress(Exception):  # a notebook that does the same will be told
        use()
gc.collect()
gc.unfreeze()
files = files_of_modules()
