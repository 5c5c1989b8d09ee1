"""The one ES module with its style sheet, put together from the files in `static`, with the statuses' looks in front.

Widgets bring the module as `code`, and as what anywidget imports for each of them a small one that loads it once.
"""

from __future__ import annotations

import hashlib
import json
from importlib.resources import files

from orchestrator_nb.projections.theme import PLAIN, STATUSES

_STATIC = files(__package__) / "static"

#: In the order in which they build on each other.
_SCRIPTS = (
    "shared.js",
    "graph_camera.js",
    "graph_scene.js",
    "graph.js",
    "table.js",
    "text.js",
    "outputs.js",
    "module.js",
)


def _script() -> str:
    looks = {
        name: {"name": style.name, "icon": style.icon, "shape": style.shape, "mark": style.mark, "dashed": style.dashed}
        for name, style in {**STATUSES, "": PLAIN}.items()
    }
    parts = [(_STATIC / name).read_text("utf-8") for name in _SCRIPTS]
    constants = {"STATUSES": looks, "STYLE": CSS}
    told = [f"const {name} = {json.dumps(value, ensure_ascii=False)};" for name, value in constants.items()]
    return "\n".join([*told, *parts])


def _loader() -> str:
    version = hashlib.sha256(ESM.encode()).hexdigest()[:16]
    return f"const VERSION = {json.dumps(version)};\n{(_STATIC / 'loader.js').read_text('utf-8')}"


def _style() -> str:
    """The style sheet, with a colour `--status` for what has class ``s-<status>``, by JupyterLab's light or dark."""
    colors = {**STATUSES, "plain": PLAIN}
    light = [f".orchestrator .s-{name} {{ --status: {style.light}; }}" for name, style in colors.items()]
    dark = [
        f'[data-jp-theme-light="false"] .orchestrator .s-{name} {{ --status: {style.dark}; }}'
        for name, style in colors.items()
    ]
    return "\n".join([(_STATIC / "style.css").read_text("utf-8"), *light, *dark])


CSS = _style()
ESM = _script()
LOADER = _loader()
