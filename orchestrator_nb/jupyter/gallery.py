"""A batch as a notebook shows it: live while it runs, then each run's last picture and the table of results."""

from __future__ import annotations

from typing import Any, Protocol

from orchestrator_nb.jupyter.cells import Output, print_text
from orchestrator_nb.jupyter.environment import Environment, environment
from orchestrator_nb.jupyter.updates import updates

_TO_COME = "The pictures and the table of results come here when the batch has ended."


class Shown(Protocol):
    """What is shown: a `headless.batch.Batch`."""

    @property
    def done(self) -> bool:
        """Whether it is over."""

    def gallery(self) -> dict[str, str]:
        """Pictures and table."""

    def wait(self) -> Any:
        """Wait for its end."""

    def on_done(self, callback: Any) -> None:
        """Call back at its end."""


def show_gallery(batch: Shown) -> None:
    """Put the gallery into the cell, now or when the batch has ended; a headless notebook waits for that."""
    match environment():
        case Environment.NOTEBOOK if not batch.done:
            output = Output("gallery")
            output.show({"text/html": f"<p>{_TO_COME}</p>", "text/plain": _TO_COME})
            batch.on_done(lambda: updates.call(lambda: output.replace(batch.gallery())))
        case Environment.NOTEBOOK | Environment.HEADLESS:
            batch.wait()
            Output("gallery").show(batch.gallery())
        case _ if batch.done:
            print_text(batch.gallery()["text/plain"])
