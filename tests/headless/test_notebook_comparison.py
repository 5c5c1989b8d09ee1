from __future__ import annotations

import base64
import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

from orchestrator_nb.headless.notebook_comparison import CellDifference, NotebookComparison, Rules, compare_notebooks
from orchestrator_nb.ipynb.scraps import SCRAP


def stream(text: str, name: str = "stdout") -> dict[str, Any]:
    return {"output_type": "stream", "name": name, "text": text}


def shows(**data: Any) -> dict[str, Any]:
    kinds = {"text": "text/plain", "html": "text/html", "png": "image/png", "svg": "image/svg+xml"}
    kinds["scrap"] = SCRAP
    kinds |= {"json": "application/json", "widget": "application/vnd.jupyter.widget-view+json"}
    return {"output_type": "display_data", "data": {kinds[kind]: value for kind, value in data.items()}, "metadata": {}}


def error(name: str, message: str) -> dict[str, Any]:
    return {"output_type": "error", "ename": name, "evalue": message, "traceback": [f"at 0x7f{id(object()):x}"]}


def cell(source: str, *outputs: Any, tags: tuple[str, ...] = (), kind: str = "code", **more: Any) -> dict[str, Any]:
    return {"cell_type": kind, "source": source, "metadata": {"tags": list(tags)}, "outputs": list(outputs), **more}


def compared(old: Any, new: Any, **rules: Any) -> NotebookComparison:
    """Two notebooks of these cells (or of one cell), compared."""
    sides = [side if isinstance(side, list) else [side] for side in (old, new)]
    before, after = ({"cells": cells, "metadata": {}} for cells in sides)
    return compare_notebooks(before, after, Rules(**rules))


def difference(old: Any, new: Any, **rules: Any) -> CellDifference:
    """The only difference."""
    (found,) = compared(old, new, **rules).differences
    return found


def png(pixels: Any) -> str:
    file = io.BytesIO()
    Image.fromarray(np.asarray(pixels, np.uint8)).save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()


# -- what is the same --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ([stream("a\n"), stream("b\n")], [stream("a\nb\n")]),  # however it came in pieces
        ([stream("a"), stream("w", "stderr"), stream("b")], [stream("ab"), stream("w", "stderr")]),
        ([shows(text="<object at 0x7f3a2b1c0d10>")], [shows(text="<object at 0x7f0000000000>")]),
        ([stream("/tmp/ipykernel_12/34.py:1: Warning\n")], [stream("/tmp/ipykernel_9/8.py:1: Warning\n")]),
        ([stream("CPU times: user 3 ms\nWall time: 4 ms\n1\n")], [stream("CPU times: user 9 s\nWall time: 4 s\n1\n")]),
        ([stream("10%\r50%\rdone\n")], [stream("20%\rdone\n")]),
        ([shows(widget={"model_id": "a"}, text="IntSlider()")], [shows(widget={"model_id": "b"}, text="IntSlider()")]),
        (
            [shows(html='<table id="T_ab12c"><tr><td>1</td></tr></table>')],
            [shows(html="<table><tr><td> 1 </td></tr></table>")],
        ),
        ([shows(json={"a": float("nan")})], [shows(json={"a": float("nan")})]),
        ([error("ValueError", "at 0x7f3a2b1c0d10")], [error("ValueError", "at 0x7f3a2b1c0d99")]),
    ],
)
def test_what_differs_by_nature_is_the_same(old: list[Any], new: list[Any]) -> None:
    first = cell("code", *old, execution_count=3)
    second = cell("code", *new, execution_count=9)
    second["metadata"]["papermill"] = {"start_time": "2026-01-01"}
    assert compared(first, second) == NotebookComparison((), 1, 0, ())


# -- what differs ------------------------------------------------------------------------------------------------------


def test_texts_differ_line_by_line() -> None:
    old, new = (cell("# NBVAL_CHECK_OUTPUT\nprint(x)", stream(f"same\n{n}\nend\n")) for n in (1, 2))
    assert difference([cell("x = 1"), old], [cell("x = 1"), new]) == CellDifference(
        2, "print(x)", "stdout", ("-1", "+2")
    )


def test_tables_differ_cell_by_cell() -> None:
    table = "<table><thead><tr><th></th><th>a</th></tr></thead><tr><th>mean</th><td>{}</td></tr></table>"
    old, new = (cell("df", shows(html=table.format(n), text=f"mean {n}")) for n in ("1.5", "1.75"))
    found = difference(old, new)
    assert (found.what, found.lines) == ("table", ("row 1 (mean), a: 1.5 → 1.75",))
    longer = cell("df", shows(html=table.format("1.5").replace("</table>", "<tr><th>max</th></tr></table>")))
    assert difference(old, longer).lines == ("2 rows → 3 rows", "+max")


def test_json_differs_by_its_path() -> None:
    old, new = (cell("j", shows(json={"a": [1, {"b": n}], "c": 0})) for n in (2, 3))
    assert difference(old, new).lines == ("a[1].b: 2 → 3",)


def test_recorded_values_differ_by_their_names() -> None:
    old, new = (cell("r", shows(scrap={"name": "low", "data": n, "version": 1})) for n in (1, 2))
    found = difference(old, new)
    assert (found.what, found.lines) == ("recorded", ("low: 1 → 2",))


def test_errors_differ_in_name_and_message() -> None:
    assert difference(cell("f()", error("ValueError", "a")), cell("f()", error("ValueError", "b"))).lines == (
        "-ValueError: a",
        "+ValueError: b",
    )
    assert difference(cell("f()", error("ValueError", "a")), cell("f()", stream("fine"))).what == "output"


def test_pictures_differ_by_their_pixels() -> None:
    plain = np.full((20, 30, 3), 200)
    spot, shade = plain.copy(), plain.copy()
    spot[4:6, 7:10] = 0
    shade += 3
    old, new, nearly = (cell("plot", shows(png=png(p), text="<Figure>")) for p in (plain, spot, shade))
    found = difference(old, new)
    assert (found.what, found.lines) == ("picture", ("6 of 600 pixels differ (1.00%), between x 7 to 9, y 4 to 5",))
    assert compared(old, nearly).same
    assert compared(old, new, tolerance=0.01).same
    assert not compared(old, new, tolerance=0.009).same
    other = cell("plot", shows(png=png(np.zeros((20, 31, 3)))))
    assert difference(old, other).lines == ("other size: 30 × 20 → 31 × 20 pixels",)
    broken = cell("plot", shows(png="bm90IGEgcGljdHVyZQ=="))
    assert difference(old, broken).lines[0].startswith("other bytes (")


def test_cells_of_another_code_are_told_and_the_others_still_compared() -> None:
    old = [cell("a", stream("1")), cell("b", stream("2")), cell("d", stream("4"))]
    new = [cell("a", stream("1")), cell("c"), cell("d", stream("5")), cell("text", kind="markdown")]
    found = compared(old, new).differences
    assert [(one.cell, one.what, one.lines) for one in found] == [
        (2, "code", ("-b", "+c")),
        (3, "stdout", ("-4", "+5")),
        (4, "cell", ("only the second notebook has it",)),
    ]


def test_a_huge_text_is_not_aligned() -> None:
    old, new = ("\n".join(f"line {n}" for n in range(start, 50_000)) for start in (0, 10))
    lines = difference(cell("x", stream(old)), cell("x", stream(new))).lines
    assert lines[0] == "from line 1 of 50,000 on:"
    assert len(lines) == 7


def test_cells_that_papermill_added_do_not_count() -> None:
    marker = cell("<span>failed</span>", kind="markdown", tags=("papermill-error-cell-tag",))
    assert compared([marker, cell("a", stream("1"))], [cell("a", stream("1"))]).same


# -- what may differ ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mark", ["nbval-ignore-output", "nbval-skip"])
def test_tags_of_nbval_are_obeyed(mark: str) -> None:
    old, new = (cell("x", stream(text), tags=(mark,)) for text in "ab")
    assert compared(old, new) == NotebookComparison((), 0, 1, ())


@pytest.mark.parametrize("mark", ["NBVAL_IGNORE_OUTPUT", "NBVAL_SKIP"])
def test_comments_of_nbval_are_obeyed(mark: str) -> None:
    old, new = (cell(f"# {mark}\nx", stream(text)) for text in "ab")
    assert compared(old, new).same


def test_lax_compares_only_what_asks_for_it() -> None:
    checked, free = (([cell(f"{mark}x", stream(text)) for text in "ab"]) for mark in ("# NBVAL_CHECK_OUTPUT\n", ""))
    assert compared(*free, lax=True) == NotebookComparison((), 0, 1, ())
    assert not compared(*checked, lax=True).same


@pytest.mark.parametrize("tag", ["raises-exception", "nbval-raises-exception"])
def test_of_an_expected_error_only_the_name_counts(tag: str) -> None:
    one, other, third = (cell("f()", error(*e), tags=(tag,)) for e in (("E", "a"), ("E", "b"), ("F", "a")))
    assert compared(one, other).same
    assert difference(one, third).lines == ("-E", "+F")


def test_the_numbers_of_a_timing_cell_may_differ_its_words_may_not() -> None:
    def timed(text: str, picture: int = 0) -> dict[str, Any]:
        return cell("run()", stream(text), shows(png=png(np.full((2, 2, 3), picture))), tags=("timing",))

    assert compared(
        timed("took 1.25 s, 1,000 rows at 12:30:01", 1), timed("took  98 ms,  20 rows at 9:00:59", 200)
    ).same
    assert not compared(timed("took 1 s"), timed("failed after 1 s")).same


# -- why ---------------------------------------------------------------------------------------------------------------


def test_a_cell_tells_why_it_may_differ() -> None:
    old, new = (cell("print({'a', 'b'})", stream(text)) for text in ("{'a', 'b'}", "{'b', 'a'}"))
    assert difference(old, new).hint.startswith("the same characters in another order")
    old, new = (cell("print(time.time())", stream(text)) for text in ("1.5", "22.25"))
    assert "the tag 'timing' lets them" in difference(old, new).hint


def test_missing_seeds_and_records_are_reasons() -> None:
    old, new = (cell("import random; random.random()", stream(text)) for text in "12")
    assert compared(old, new).reasons == (
        "the code draws random numbers, and no seed was set from outside (--seed N)",
        "the first notebook does not say with which packages, input files and seed it was executed",
    )
    assert compared(old, old).reasons == ()
