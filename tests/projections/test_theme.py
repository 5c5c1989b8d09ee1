from __future__ import annotations

import re
from itertools import combinations

import pytest
from rich.style import Style

from orchestrator_nb.core.tasks import TaskStatus
from orchestrator_nb.projections.theme import DARK, LIGHT, PLAIN, STATUSES, Theme, mix

THEMES = [LIGHT, DARK]
EVERY = [*STATUSES, ""]

# How dichromats see, in linear RGB: Machado, Oliveira and Fernandes (2009), severity 1.
BLINDNESS = {
    "protan": ((0.152286, 1.052583, -0.204868), (0.114503, 0.786281, 0.099216), (-0.003882, -0.048116, 1.051998)),
    "deutan": ((0.367322, 0.860646, -0.227968), (0.280085, 0.672501, 0.047413), (-0.011820, 0.042940, 0.968881)),
    "tritan": ((1.255528, -0.076749, -0.178779), (-0.078411, 0.930809, 0.147602), (0.004733, 0.691367, 0.303900)),
}


def linear(color: str) -> list[float]:
    values = [byte / 255 for byte in bytes.fromhex(color[1:])]
    return [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in values]


def luminance(color: str) -> float:
    red, green, blue = linear(color)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    """WCAG 2's ratio."""
    darker, lighter = sorted((luminance(one), luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


def lab(rgb: list[float]) -> tuple[float, float, float]:
    red, green, blue = (min(1.0, max(0.0, value)) for value in rgb)
    x = (0.4124 * red + 0.3576 * green + 0.1805 * blue) / 0.9505
    y = 0.2126 * red + 0.7152 * green + 0.0722 * blue
    z = (0.0193 * red + 0.1192 * green + 0.9505 * blue) / 1.089
    x, y, z = (v ** (1 / 3) if v > 0.008856 else 7.787 * v + 16 / 116 for v in (x, y, z))
    return 116 * y - 16, 500 * (x - y), 200 * (y - z)


def difference(one: str, other: str, blindness: str) -> float:
    """Delta E (1976) as somebody with `blindness` sees it."""
    matrix = BLINDNESS[blindness]
    seen = [lab([sum(a * b for a, b in zip(row, linear(c), strict=True)) for row in matrix]) for c in (one, other)]
    return sum((a - b) ** 2 for a, b in zip(*seen, strict=True)) ** 0.5


def test_every_status_has_its_look_and_no_other_has() -> None:
    assert set(STATUSES) == {status.value for status in TaskStatus}


def test_the_icons_of_the_specification_are_kept() -> None:
    icons = {"pending": "🟡", "running": "🔵", "completed": "✅", "failed": "❌", "retrying": "🔄", "waiting": "⏸️"}
    assert {status: STATUSES[status].icon for status in icons} == icons
    assert len({style.icon for style in STATUSES.values()}) == len(STATUSES)


@pytest.mark.parametrize("theme", THEMES, ids=lambda theme: theme.name)
@pytest.mark.parametrize("status", EVERY)
def test_contrast_is_enough(status: str, theme: Theme) -> None:
    fill, color = theme.fill(status), theme.color(status)
    assert contrast(theme.ink, fill) >= 4.5
    assert contrast(theme.muted, fill) >= 4.5  # captions
    assert contrast(color, theme.paper) >= 4.5  # words in this colour
    assert contrast(color, fill) >= 3  # border and badge on the box
    assert contrast(theme.paper, color) >= 3  # the mark on its badge


@pytest.mark.parametrize("theme", THEMES, ids=lambda theme: theme.name)
def test_lines_and_legend_can_be_seen(theme: Theme) -> None:
    for paper in (theme.paper, theme.band):
        assert contrast(theme.line, paper) >= 3
        assert contrast(theme.critical, paper) >= 7
        assert contrast(theme.muted, paper) >= 4.5
        assert contrast(theme.ink, paper) >= 7


def test_statuses_differ_without_their_colour() -> None:
    assert len({style.mark for style in STATUSES.values()}) == len(STATUSES)
    assert len({style.name for style in STATUSES.values()}) == len(STATUSES)
    assert STATUSES["completed"].shape != STATUSES["failed"].shape


@pytest.mark.parametrize("blindness", BLINDNESS)
@pytest.mark.parametrize("theme", THEMES, ids=lambda theme: theme.name)
def test_the_statuses_that_matter_most_differ_in_colour_for_everybody(theme: Theme, blindness: str) -> None:
    for one, other in combinations(["completed", "failed", "running", "waiting"], 2):
        assert difference(theme.color(one), theme.color(other), blindness) > 15, (one, other)


def test_marks_are_paths_that_svg_and_matplotlib_draw_alike() -> None:
    for style in STATUSES.values():
        for path in (style.shape, style.mark):
            assert re.fullmatch(r"(?:[ML]-?[\d.]+ -?[\d.]+|C(?:[\d.]+ ?){6}|Z)+", path), path
            assert all(0 <= float(number) <= 16 for number in re.findall(r"[\d.]+", path))


def test_terminal_styles_are_known_to_rich() -> None:
    for style in (*STATUSES.values(), PLAIN):
        assert Style.parse(style.terminal)


def test_colours_mix() -> None:
    assert mix("#ff0000", "#0000ff", 0.5) == "#800080"
    assert mix("#123456", "#ffffff", 1) == "#123456"
