"""The ipywidgets that panels are made of, on our own comm: clicks are heard while a cell is busy, messages counted.

Each widget brings a layout and a style, which the page must be told of too; those of one panel share them (`Looks`).
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import cached_property
from typing import Any

import ipywidgets
from ipywidgets.widgets.widget_string import HTMLStyle, TextStyle

from orchestrator_nb.jupyter.comm import Live
from orchestrator_nb.projections.rendering import text_html
from orchestrator_nb.projections.theme import STATUSES

#: JupyterLab's own colours, with what stands for them elsewhere.
MUTED = "color: var(--jp-content-font-color2, #616161)"
ERROR = "color: var(--jp-error-color1, #c62828)"


class Box(Live, ipywidgets.Box):
    """Widgets in a flow or grid."""


class Column(Live, ipywidgets.VBox):
    """Widgets below each other."""


class Row(Live, ipywidgets.HBox):
    """Widgets side by side."""


class Button(Live, ipywidgets.Button):
    """A button."""


class Html(Live, ipywidgets.HTML):
    """Words. What comes from outside must have been through `projections.rendering`."""


class Bar(Live, ipywidgets.FloatProgress):
    """A progress bar."""


class Line(Live, ipywidgets.Text):
    """A line of text to be written."""


class Lines(Live, ipywidgets.Textarea):
    """Text to be written."""


class Choice(Live, ipywidgets.Dropdown):
    """One of several values."""


class Choices(Live, ipywidgets.SelectMultiple):
    """Some of several values."""


class Looks:
    """What the widgets of one panel share: arguments for their constructors."""

    @cached_property
    def column(self) -> dict[str, Any]:
        """For columns."""
        return {"layout": ipywidgets.Layout(max_width="100%")}

    @cached_property
    def row(self) -> dict[str, Any]:
        """For rows, which break where there is no room."""
        return {"layout": ipywidgets.Layout(max_width="100%", flex_flow="row wrap", align_items="center")}

    @cached_property
    def button(self) -> dict[str, Any]:
        """For buttons, as wide as their words."""
        return {"layout": ipywidgets.Layout(width="auto"), "style": ipywidgets.ButtonStyle()}

    @cached_property
    def text(self) -> dict[str, Any]:
        """For words."""
        return {"layout": ipywidgets.Layout(width="auto", max_width="100%", margin="2px"), "style": HTMLStyle()}

    @cached_property
    def field(self) -> dict[str, Any]:
        """For what is filled in."""
        layout = ipywidgets.Layout(width="auto", max_width="560px", min_height="28px")
        return {"layout": layout, "style": TextStyle(description_width="120px")}


def put(widget: Any, **traits: Any) -> None:
    """Set traits in one message, which holds only those that differ; none if all are so already."""
    with widget.hold_sync():
        for name, value in traits.items():
            setattr(widget, name, value)


def badge(status: str) -> str:
    """A task status as a small picture: its shape, colour and mark. The words beside it say the same."""
    style = STATUSES[status]
    return (
        f"<span class='orchestrator'><svg class='s-{status}' viewBox='0 0 16 16' width='1.15em' height='1.15em' "
        f"aria-hidden='true' style='vertical-align: -0.2em'><path d='{style.shape}' "
        f"style='fill: var(--status, {style.light})'/><path d='{style.mark}' style='fill: none; stroke-width: 2; "
        "stroke: var(--jp-layout-color1, #fff); stroke-linecap: round; stroke-linejoin: round'/></svg></span>"
    )


def message(text: str, *, refused: bool = False) -> str:
    """HTML that says `text` from outside, and lets a screen reader say it: at once if it is a refusal."""
    if not text:
        return ""
    role, style, sign = ("alert", ERROR, "✗ ") if refused else ("status", MUTED, "")
    return (
        f"<span role='{role}' aria-live='polite' style='{style}; line-height: 1.4'>{sign}{text_html(text, 600)}</span>"
    )


def in_background(work: Callable[[], None]) -> None:
    """Do `work` in a thread of its own: what a click asks for must not hold up the next click."""
    threading.Thread(target=work, name="orchestrator_nb errand", daemon=True).start()
