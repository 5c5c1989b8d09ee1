from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import Collection
from matplotlib.figure import Figure
from PIL import Image

from orchestrator_nb.projections.figure import MOST_PIXELS, draw, figure, png
from orchestrator_nb.projections.layout import GraphView, Node, collapse_by_phase, layout
from orchestrator_nb.projections.layout_frame import frame
from orchestrator_nb.projections.layout_glyphs import Glyphs, glyphs
from orchestrator_nb.projections.layout_text import text_width
from orchestrator_nb.projections.theme import DARK, LIGHT, STATUSES
from tests.projections.graphs import chain, layered, view_of


def pixels(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(BytesIO(data)).convert("RGB")).astype(int)


def near(color: np.ndarray, wanted: str, tolerance: int = 12) -> bool:
    return bool(np.abs(color - np.array(list(bytes.fromhex(wanted[1:])))).max() <= tolerance)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_boxes_have_the_colours_of_their_statuses_where_the_layout_says(theme: str) -> None:
    nodes = tuple(Node(status, status=status) for status in STATUSES)
    view = GraphView(nodes, tuple((node // 2, node, "data") for node in range(1, len(nodes))), title="All")
    result = layout(view)
    picture = pixels(png(result, view, theme=theme, scale=1))  # type: ignore[arg-type]
    around = frame(result, view, title="All", legend=True, critical=True)
    assert picture.shape == (around.height, around.width, 3)
    colors = LIGHT if theme == "light" else DARK
    assert picture[0, 0].tolist() == list(bytes.fromhex(colors.paper[1:]))
    for node, (x, y, width, height) in zip(nodes, result.boxes, strict=True):
        assert near(picture[around.top + y + height - 5, around.left + x + width - 8], colors.fill(node.status))
        left = around.left + x + result.metrics.pad
        badge = picture[around.top + y : around.top + y + height, left : left + result.metrics.badge].reshape(-1, 3)
        assert any(near(color, colors.color(node.status)) for color in badge)


def test_scale_multiplies_the_pixels_up_to_a_bound() -> None:
    view = view_of(5, chain(5))
    result = layout(view)
    one, two = pixels(png(result, view, scale=1)).shape, pixels(png(result, view, scale=2)).shape
    assert two[:2] == (2 * one[0], 2 * one[1])
    large = view_of(900, layered(900, 30), words=False)
    picture = figure(layout(large), large)
    assert np.prod(picture.get_size_inches() * picture.dpi) <= 1.01 * MOST_PIXELS


def test_the_same_graph_gives_the_same_bytes() -> None:
    view = view_of(12, chain(12))
    assert png(layout(view), view) == png(layout(view), view)


def test_any_sign_is_drawn_without_a_warning() -> None:
    labels = ["🚀 launch", "日本語", "$x^2$ and \\frac", "\u0338x", "عربي", "\U0010fffd", "e\u0301", "Ω", ""]
    view = GraphView(tuple(Node(f"n{n}", label, "running") for n, label in enumerate(labels)), title="🚀 $a$")
    assert len(png(layout(view), view, scale=1)) > 1000  # warnings are errors
    assert len(glyphs().path("\U0010fffd", 0, 0, 12).vertices) > 0  # a box stands for it


def test_text_is_as_wide_as_the_layout_takes_it_to_be() -> None:
    for text in ("Check the style of all modules", "WWW iii", "T-01/a_b.c (99 %)", 'a "quoted" {text} & <more>'):
        extent = glyphs().path(text, 0, 0, 13).get_extents()
        assert extent.width <= text_width(text, 13) <= 1.12 * extent.width + 3


def test_a_figure_is_of_a_few_collections_whatever_its_size() -> None:
    few, many = (figure(layout(view), view) for view in (view_of(10, chain(10)), view_of(700, layered(700, 25))))
    counts = [len(picture.axes[0].findobj(Collection)) for picture in (few, many)]
    assert max(counts) < 40
    assert all(len(picture.axes[0].texts) == len(picture.axes[0].patches) == 0 for picture in (few, many))


def test_it_draws_into_axes_that_somebody_made() -> None:
    own = Figure(figsize=(6, 4))
    FigureCanvasAgg(own)
    left, right = own.subplots(1, 2)
    view = view_of(8, chain(8))
    assert draw(left, layout(view), view, title="Here") is left
    right.plot([1, 2, 3])
    buffer = BytesIO()
    own.savefig(buffer)
    picture = pixels(buffer.getvalue())
    assert len(np.unique(picture[:, : picture.shape[1] // 2].reshape(-1, 3), axis=0)) > 20
    assert right.axison
    assert right.get_xlim() != left.get_xlim()


def test_groups_phases_and_both_directions_are_drawn() -> None:
    nodes = tuple(Node(name, phase=phase) for name, phase in zip("abcd", "xxyy", strict=True))
    phased = GraphView(nodes, ((0, 2, "data"), (1, 3, "sequential")), (("x", "Read"), ("y", "Write")), critical=(0, 2))
    for view in (phased, collapse_by_phase(view_of(40, chain(40)), 4)):
        for direction in ("LR", "TD"):
            picture = pixels(png(layout(view, direction), view, scale=1))  # type: ignore[arg-type]
            assert len(np.unique(picture.reshape(-1, 3), axis=0)) > 20


def test_pyplot_is_never_loaded() -> None:
    script = (
        "import sys; from tests.projections.graphs import *; from orchestrator_nb.projections.layout import layout; "
        "import orchestrator_nb.projections.figure as f; assert 'matplotlib' not in sys.modules; "
        "v = view_of(5, chain(5)); f.png(layout(v), v); print('matplotlib.pyplot' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_glyphs_may_be_loaded_by_several_threads_at_once() -> None:
    signs = [chr(code) for code in range(0x21, 0x250) if chr(code).isalpha()]
    expected = {sign: Glyphs("DejaVuSans").path(sign, 0, 0, 13).vertices for sign in signs}
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for _ in range(3):
            font = Glyphs("DejaVuSans")
            with ThreadPoolExecutor(8) as pool:
                paths = pool.map(lambda sign, font=font: font.path(sign, 0, 0, 13).vertices, signs)
                assert all(np.array_equal(path, expected[sign]) for sign, path in zip(signs, paths, strict=True))
    finally:
        sys.setswitchinterval(interval)
