"""The process that draws a graph: a pickled `GraphView` comes in, its PNG goes out (see `jupyter.pictures`)."""

from __future__ import annotations

import pickle
import sys
from pathlib import Path


def main() -> None:
    """Draw what standard input holds onto standard output."""
    from orchestrator_nb.projections.figure import picture

    sys.stdout.buffer.write(picture(pickle.load(sys.stdin.buffer), scale=float(sys.argv[1])))  # noqa: S301 - its parent wrote it


if __name__ == "__main__":
    # Started by path, so that it works wherever its package was imported from.
    sys.path.append(str(Path(__file__).resolve().parents[2]))
    main()
