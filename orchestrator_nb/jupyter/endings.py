"""What stays of a run, for pages that were not there at its end, or have forgotten where they show it.

JupyterLab replaces an output by its display id, which a page knows only until it is loaded again. So each page of the
kernel is also told which of the widgets that were displayed have ended; one that finds such a widget in an output of
its notebook asks for what stays of it, and puts that in its place, so that the notebook is saved with it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib.resources import files
from typing import Any

import traitlets
from anywidget import AnyWidget

from orchestrator_nb.errors import OrchestratorError
from orchestrator_nb.jupyter.cells import metadata_of
from orchestrator_nb.jupyter.comm import Live
from orchestrator_nb.jupyter.part import Bundle
from orchestrator_nb.jupyter.updates import updates
from orchestrator_nb.jupyter.widgets import in_background

#: Makes what stays of a widget: the outputs that take its place.
Maker = Callable[[], list[Bundle]]

#: The last so many that have ended are remembered.
_REMEMBERED = 200


class Endings(Live, AnyWidget):
    """A widget that nobody displays: every page of the kernel holds its model and so runs its module."""

    _esm = (files(__package__) / "static" / "endings.js").read_text("utf-8")
    #: The model ids of widgets that have ended.
    ended = traitlets.List(traitlets.Unicode()).tag(sync=True)

    def __init__(self) -> None:
        self._makers: dict[str, Maker] = {}
        super().__init__()
        self.on_msg(self._received)

    def add(self, makers: Mapping[str, Maker]) -> None:
        """Tell the pages of further widgets, by model id. For the updates' thread."""
        remembered = {**self._makers, **makers}
        self._makers = dict(list(remembered.items())[-_REMEMBERED:])
        self.ended = list(self._makers)

    def _received(self, _: Any, message: Any, buffers: Any) -> None:
        match message:
            case {"type": "ended", "widget": str(widget)} if widget in self._makers:
                in_background(lambda: self._answer(widget, self._makers[widget]))

    def _answer(self, widget: str, make: Maker) -> None:
        try:
            bundles = make()
        except OrchestratorError as error:  # its directory is gone
            bundles = [{"text/plain": str(error)}]
        outputs = [{"output_type": "display_data", "data": made, "metadata": metadata_of(made)} for made in bundles]
        updates.call(lambda: self.send({"type": "ended", "widget": widget, "outputs": outputs}))


_endings: Endings | None = None


def ended(makers: Mapping[str, Maker]) -> None:
    """These widgets, by model id, are shown no more; `makers` make what takes their places. From any thread."""
    if makers:
        updates.call(lambda: _tell(makers))


def _tell(makers: Mapping[str, Maker]) -> None:
    global _endings  # noqa: PLW0603 - one a kernel
    if _endings is None:
        _endings = Endings()
    _endings.add(makers)
