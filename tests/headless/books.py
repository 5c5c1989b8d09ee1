"""Notebooks for the tests of batches."""

from __future__ import annotations

from pathlib import Path

import nbformat
from nbformat.v4 import new_code_cell, new_notebook

#: A notebook that records, shows a picture and fails where it is told to, without costly imports.
PARAMETERS = "x: int = 1\nmodel = 'a'\nfail_at = 0\nhold = ''"
WORK = """
from base64 import b64decode
from IPython.display import Image, display
from orchestrator_nb.ipynb.scraps import record
record("double", x * 2)
record("label", f"{model}<{x}>")
display(Image(b64decode("iVBORw0KGgoAAAANSUhEUgAAAAIAAAACCAIAAAD91JpzAAAAEElEQVR4nGP4z8AARAwQCgAf7gP9i18U1AAAAABJRU5ErkJggg==")))
"""
CHECK = """
import pathlib, time
while hold and not pathlib.Path(hold).exists():
    time.sleep(0.02)
assert x != fail_at, f"{x} is bad"
"""


def save(path: Path, *cells: tuple[str, str] | str) -> Path:
    """A notebook with these code cells: sources, or sources with a tag."""
    made = []
    for cell in cells:
        source, *tags = (cell,) if isinstance(cell, str) else cell
        made.append(new_code_cell(source, metadata={"tags": tags}))
    spec = {"name": "python3", "display_name": "Python 3", "language": "python"}
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(new_notebook(cells=made, metadata={"kernelspec": spec}), path)
    return path


def sweep(folder: Path) -> Path:
    """The notebook that is swept."""
    return save(folder / "sweep.ipynb", (PARAMETERS, "parameters"), WORK, CHECK)
