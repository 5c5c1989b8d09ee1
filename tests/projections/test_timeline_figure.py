from __future__ import annotations

from io import BytesIO

import numpy as np
import pytest
from matplotlib.collections import Collection
from matplotlib.figure import Figure
from PIL import Image

from orchestrator_nb.core import events as e
from orchestrator_nb.core.models import Plan
from orchestrator_nb.projections.theme import DARK, LIGHT
from orchestrator_nb.projections.timeline import INTERRUPTED, Bar, Break, Lane, Row, Timeline, timeline
from orchestrator_nb.projections.timeline_figure import draw, figure
from tests.histories import HOSTILE, tell

STATUSES = ("completed", "failed", "cancelled", INTERRUPTED, "running", "awaiting_approval")


def pixels(picture: Figure) -> np.ndarray:
    data = picture._repr_png_()  # type: ignore[attr-defined]
    return np.asarray(Image.open(BytesIO(data)).convert("RGB")).astype(int)


def shown(picture: np.ndarray, color: str) -> int:
    """How many pixels have this colour, about."""
    return int((np.abs(picture - np.array(list(bytes.fromhex(color[1:])))).max(axis=2) <= 3).sum())


def staircase(size: int, lanes: int = 1) -> Timeline:
    rows = [Row(f"T-{n}", f"Task {n}", (Bar(f"T-{n}", 1, n, n + 3.0, STATUSES[n % 6]),)) for n in range(size)]
    step = -(-size // lanes)
    parts = tuple(Lane(f"Phase {n}", tuple(rows[n * step : (n + 1) * step])) for n in range(lanes))
    return Timeline("Stairs", parts, size + 2.0, (rows[0].bars[0], rows[-1].bars[0]), (Break(1.0, 60.0),), 2, 3)


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("size", [6, 240])
def test_each_status_has_its_colour_and_the_paper_is_the_theme_s(theme: str, size: int) -> None:
    picture = pixels(figure(staircase(size), theme))  # type: ignore[arg-type]
    colors = LIGHT if theme == "light" else DARK
    assert picture[0, 0].tolist() == list(bytes.fromhex(colors.paper[1:]))
    for status in STATUSES:
        assert shown(picture, colors.color("cancelled" if status == INTERRUPTED else status)) > 20, status
    assert shown(picture, colors.critical) > 100


def test_of_few_tasks_all_rows_are_of_one_height_and_of_many_the_figure_stays_bounded() -> None:
    heights = [figure(staircase(size)).get_size_inches()[1] * 96 for size in (5, 40, 1000, 10_000)]
    assert heights[1] - heights[0] == pytest.approx(35 * 20)
    assert heights[1] < heights[2] < 1500
    assert heights[3] < 1500


def test_a_figure_is_of_a_few_collections_whatever_its_size() -> None:
    counts = [len(figure(staircase(size, 3)).axes[0].findobj(Collection)) for size in (10, 2000)]
    assert max(counts) < 40


def test_it_is_drawn_into_axes_of_any_size() -> None:
    for size in ((0.2, 0.2), (3, 1), (12, 3)):
        picture = Figure(figsize=size)
        axes = picture.subplots()
        assert draw(axes, staircase(40, 4), "dark") is axes
        assert axes.collections
        picture.canvas.draw()


def test_in_small_axes_words_give_way_to_bars() -> None:
    def green(width: float, height: float) -> float:
        picture = Figure(figsize=(width, height), dpi=96)
        draw(picture.add_axes((0, 0, 1, 1)), staircase(12, 4))
        buffer = BytesIO()
        picture.savefig(buffer, format="png")
        return shown(np.asarray(Image.open(buffer).convert("RGB")).astype(int), LIGHT.color("completed"))

    assert green(3, 2.2) > 50
    assert green(8, 6) > 500


def test_hostile_texts_are_drawn_as_text_without_a_warning() -> None:
    tasks = [{"id": f"t{n}", "title": text, "command": "true", "phase": f"p{n}"} for n, text in enumerate(HOSTILE)]
    phases = [{"id": f"p{n}", "title": text} for n, text in enumerate(HOSTILE)]
    plan = {"title": "$x^2$ 🚀 \\frac" + "".join(HOSTILE), "tasks": tasks, "phases": phases}
    history = tell(plan, *(e.TaskStarted(task["id"], 1) for task in tasks))
    history.tell(*(e.TaskCompleted(task["id"], 1) for task in tasks), after=1)
    told = timeline(history.records, Plan.model_validate(plan))
    assert shown(pixels(figure(told)), LIGHT.color("completed")) > 1000  # warnings are errors


@pytest.mark.parametrize("length", [0.0, 0.004, 0.7, 59, 3601, 90_000, 40_000_000])
def test_the_axis_has_a_few_marks_whatever_the_length(length: float) -> None:
    from orchestrator_nb.projections.timeline_figure import _marks

    marks = list(_marks(length, 11))
    assert 1 <= len(marks) <= 12
    assert len({mark.label for mark in marks}) == len(marks)
    bar = Bar("a", 1, 0, length, "completed")
    one = Timeline("", (Lane("shell", (Row("a", "", (bar,)),)),), length, (bar,), (), 0, 0)
    assert shown(pixels(figure(one)), LIGHT.color("completed")) > 0
