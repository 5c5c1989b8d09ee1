"""Outputs of cells: put there at display, replaced when a run ends, from any thread, long after the cell has ended."""

from __future__ import annotations

import sys
import uuid
from base64 import b64decode
from typing import Any

from orchestrator_nb.jupyter.comm import kernel
from orchestrator_nb.jupyter.environment import request_of

#: Pixels of a picture to each that it is wide in a page.
PICTURE_SCALE = 1.5


class Output:
    """One output of the cell in which it was shown."""

    def __init__(self, name: str = "", widget: str = "") -> None:
        #: The part that it shows; empty for all.
        self.name = name
        #: The model id of the widget that it shows.
        self.widget = widget
        self._id = uuid.uuid4().hex
        here = kernel()
        self._parent = request_of(here) if here is not None else {}

    def show(self, bundle: dict[str, Any]) -> None:
        """Put it into the cell."""
        from IPython.display import display

        display(bundle, metadata=metadata_of(bundle), raw=True, display_id=self._id)  # type: ignore[no-untyped-call]

    def replace(self, bundle: dict[str, Any]) -> None:
        """Put `bundle` in its place, wherever it is shown."""
        self._publish("update_display_data", bundle, transient={"display_id": self._id})

    def add(self, bundle: dict[str, Any]) -> None:
        """Put `bundle` below, as a further output of the same cell, if that has not been run again."""
        self._publish("display_data", bundle)

    def _publish(self, kind: str, bundle: dict[str, Any], **more: Any) -> None:
        if (here := kernel()) is not None:
            content = {"data": bundle, "metadata": metadata_of(bundle), "transient": {}, **more}
            here.session.send(here.iopub_socket, kind, content, parent=self._parent, ident=b"display_data")


def metadata_of(bundle: dict[str, Any]) -> dict[str, Any]:
    """How wide a picture is shown: it has more pixels than that, for sharp screens and for print."""
    if "image/png" not in bundle:
        return {}
    header = b64decode(bundle["image/png"][:64])
    return {"image/png": {"width": round(int.from_bytes(header[16:20], "big") / PICTURE_SCALE)}}


def print_text(text: str) -> None:
    """Show text in a terminal."""
    sys.stdout.write(f"{text.rstrip()}\n")
