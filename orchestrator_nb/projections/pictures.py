"""Figures of matplotlib without pyplot: nothing global is touched, no window is opened."""

from __future__ import annotations

from functools import lru_cache
from io import BytesIO
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@lru_cache(maxsize=1)
def picture_class() -> type[Figure]:
    """The `Figure` of matplotlib, which a notebook shows although pyplot knows nothing of it."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    class Picture(Figure):
        """A figure that shows itself."""

        def _repr_png_(self) -> bytes:
            buffer = BytesIO()
            canvas: Any = FigureCanvasAgg(self)
            canvas.print_png(buffer)
            return buffer.getvalue()

    return Picture
