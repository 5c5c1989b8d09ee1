"""The picture of a graph that a saved notebook keeps."""

from __future__ import annotations

import hashlib
import pickle
import subprocess
import sys
import threading
from base64 import b64encode
from pathlib import Path

from orchestrator_nb.jupyter.cells import PICTURE_SCALE
from orchestrator_nb.projections.layout import GraphView

__all__ = ["graph_png"]

_PICTURE_CHILD = Path(__file__).with_name("_picture_child.py")
#: Seconds after which a process that draws is given up.
_PATIENCE = 60.0

#: The last pictures, by what they show: at a run's end each place where it was shown, in each page, asks for its own.
_drawn: dict[str, str] = {}
_KEPT = 4
_drawing = threading.Lock()


def graph_png(view: GraphView) -> str:
    """The picture of a graph for a saved notebook, in base64; a large graph by its groups. From any thread.

    Importing matplotlib takes half a second, in which no other thread of a kernel gets far: as long as nobody else
    has imported it, a process of its own draws.
    """
    from orchestrator_nb.projections.figure import picture

    pickled = pickle.dumps(view)
    key = hashlib.sha256(pickled).hexdigest()
    with _drawing:
        if key not in _drawn:
            elsewhere = None if "matplotlib.figure" in sys.modules else _drawn_elsewhere(pickled)
            png = elsewhere or picture(view, PICTURE_SCALE)
            if len(_drawn) >= _KEPT:
                del _drawn[next(iter(_drawn))]
            _drawn[key] = b64encode(png).decode("ascii")
        return _drawn[key]


def _drawn_elsewhere(pickled: bytes) -> bytes | None:
    """The PNG, or None if there is no process to be had for it."""
    try:
        done = subprocess.run(
            [sys.executable, "-P", str(_PICTURE_CHILD), str(PICTURE_SCALE)],
            input=pickled,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=_PATIENCE,
            process_group=0,  # interrupting the kernel is not meant for it
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout if done.stdout.startswith(b"\x89PNG") else None
