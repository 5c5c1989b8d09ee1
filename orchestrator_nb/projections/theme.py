"""How each status looks, in one table for SVG, PNG, terminal and widget; and the colours around it, light and dark.

A status is told by colour, by the shape of its badge and by the mark in it, so that no one needs to tell colours apart.
Badge colours reach a contrast of 4.5 with the paper (WCAG AA for text), so they may colour words too; marks reach 3 on
their badge, ink reaches 4.5 on every box.
"""

from __future__ import annotations

from typing import NamedTuple

# Outlines and marks are paths on a square of 16 x 16, made of absolute M, L, C and Z only.
_CIRCLE = "M8 1C11.87 1 15 4.13 15 8C15 11.87 11.87 15 8 15C4.13 15 1 11.87 1 8C1 4.13 4.13 1 8 1Z"
_OCTAGON = "M5 1L11 1L15 5L15 11L11 15L5 15L1 11L1 5Z"
_SQUARE = "M2 2L14 2L14 14L2 14Z"
_DIAMOND = "M8 0L16 8L8 16L0 8Z"


class StatusStyle(NamedTuple):
    """How one status is shown."""

    #: For people.
    name: str
    #: S1 2.3's sign, or one in its manner, for text.
    icon: str
    #: Colour of badge and border on light and on dark paper.
    light: str
    dark: str
    #: Outline of the badge, and what is drawn in it: stroked, and filled where it is closed.
    shape: str
    mark: str
    #: Style of rich, for terminals.
    terminal: str
    #: Whether the box has a dashed border: the task is not, or no longer, on its way.
    dashed: bool = False


#: By status (`core.tasks.TaskStatus`), in the order of a task's life: the order of legends.
STATUSES: dict[str, StatusStyle] = {
    "waiting": StatusStyle(
        "Waiting", "⏸️", "#677180", "#9aa3b2", _CIRCLE, "M6 5.5L6 10.5M10 5.5L10 10.5", "bright_black", dashed=True
    ),
    "pending": StatusStyle(
        "Pending", "🟡", "#9a6700", "#e3b341", _CIRCLE,
        "M8 6C9.1 6 10 6.9 10 8C10 9.1 9.1 10 8 10C6.9 10 6 9.1 6 8C6 6.9 6.9 6 8 6Z", "yellow",
    ),
    "running": StatusStyle("Running", "🔵", "#1d6fd8", "#58a6ff", _CIRCLE, "M6.5 5L11 8L6.5 11Z", "bright_blue"),
    "retrying": StatusStyle(
        "Retrying", "🔄", "#7c3aed", "#b794f6", _CIRCLE,
        "M11.2 9.4C10.4 11.2 8.2 12 6.3 11C4.2 9.9 3.9 7.1 5.5 5.5C7.1 4 9.6 4.3 10.9 6M11.3 3.4L11.2 6.2L8.4 6.2",
        "magenta",
    ),
    "awaiting_approval": StatusStyle(
        "Awaiting approval", "✋", "#b4187f", "#f07cc3", _DIAMOND, "M8 4.5L8 8.5M8 11L8 11.3", "bright_magenta"
    ),
    "awaiting_quota": StatusStyle(
        "Awaiting quota", "⏳", "#0e7490", "#4cc3d9", _DIAMOND, "M6 5L10 5L6 11L10 11Z", "cyan"
    ),
    "awaiting_review": StatusStyle(
        "Awaiting review", "👀", "#5145cd", "#a5b4fc", _DIAMOND, "M4.5 8C6 5.8 10 5.8 11.5 8C10 10.2 6 10.2 4.5 8Z",
        "blue",
    ),
    "completed": StatusStyle("Completed", "✅", "#0b7a5b", "#4acd9c", _CIRCLE, "M4.5 8.3L7 10.8L11.5 5.5", "green"),
    "failed": StatusStyle(
        "Failed", "❌", "#c62828", "#fb6259", _OCTAGON, "M5.5 5.5L10.5 10.5M10.5 5.5L5.5 10.5", "red"
    ),
    "blocked": StatusStyle("Blocked", "⛔", "#8a4b12", "#d9a066", _OCTAGON, "M4.5 8L11.5 8", "bright_red", dashed=True),
    "skipped": StatusStyle(
        "Skipped", "⏭️", "#64748b", "#8b98a9", _SQUARE, "M5 5.5L7.5 8L5 10.5M9 5.5L11.5 8L9 10.5", "bright_black",
        dashed=True,
    ),
    "cancelled": StatusStyle("Cancelled", "🚫", "#4b5563", "#b6bcc6", _SQUARE, "M5 11L11 5", "white", dashed=True),
}  # fmt: skip

#: A node without a status, and a status that this version does not know.
PLAIN = StatusStyle("No status", "▫️", "#56606f", "#a3acb9", "", "", "default")


class Theme(NamedTuple):
    """The colours of one kind of paper."""

    name: str
    paper: str
    #: Labels; captions and legends.
    ink: str
    muted: str
    #: Edges, and those of the critical path.
    line: str
    critical: str
    #: Every second phase's background.
    band: str

    def color(self, status: str) -> str:
        """Of a status's badge and border, and of words about it."""
        style = STATUSES.get(status, PLAIN)
        return style.dark if self.name == "dark" else style.light

    def fill(self, status: str) -> str:
        """Of the box behind the label."""
        return mix(self.color(status), self.paper, 0.2 if self.name == "dark" else 0.13)


LIGHT = Theme("light", "#ffffff", "#1f2430", "#4b5462", "#7d8796", "#111827", "#f3f5f8")
DARK = Theme("dark", "#11151c", "#e8ecf2", "#b3bcc9", "#7b8698", "#f4f6f9", "#191f29")


def mix(color: str, paper: str, share: float) -> str:
    """`share` of `color` on `paper`, both as ``#rrggbb``."""
    pairs = zip(bytes.fromhex(color[1:]), bytes.fromhex(paper[1:]), strict=True)
    return "#" + bytes(round(a * share + b * (1 - share)) for a, b in pairs).hex()
