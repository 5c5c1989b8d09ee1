"""A notebook as HTML: what it says, and that nothing of it is trusted."""

from __future__ import annotations

import json
from base64 import b64encode
from typing import Any

import pytest

from orchestrator_nb.projections.notebook_html import MAX_CELLS, MAX_SHOWN, notebook_html
from tests.payloads import PAYLOADS, problems

PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 20


def html(*cells: Any) -> str:
    return notebook_html(json.dumps({"cells": cells, "nbformat": 4}).encode())


def code(source: Any, *outputs: Any, **fields: Any) -> dict[str, Any]:
    return {"cell_type": "code", "source": source, "outputs": list(outputs), "metadata": {}, **fields}


def shown(**data: Any) -> dict[str, Any]:
    return {"output_type": "display_data", "data": data}


def test_cells_are_shown_with_what_they_printed() -> None:
    page = html(
        {"cell_type": "markdown", "source": ["# Size\n", "of *everything*"]},
        code(["a = 1\n", "a"], {"output_type": "stream", "text": ["hel", "lo\n"]}, execution_count=3),
        code("a", {"output_type": "execute_result", "data": {"text/plain": "42", "text/html": "<b>42</b>"}}),
        code("1/0", {"output_type": "error", "ename": "E", "evalue": "v", "traceback": ["\x1b[31mTraceback\x1b[0m"]}),
        code(" \n"),
        {"cell_type": "raw", "source": "raw"},
    )
    assert "<em>everything</em>" in page
    assert "<p>[3]</p><pre>a = 1\na</pre><pre>hello</pre>" in page.replace("hello\n", "hello")
    assert "<pre>42</pre>" in page
    assert "<b>42" not in page
    assert "<pre>Traceback</pre>" in page
    assert (page.count('class="o-cell"'), "raw" in page) == (4, False)


def test_a_notebook_that_is_being_executed_says_how_far_it_is() -> None:
    statuses = ("completed", "running", "pending", "failed", ["x"])
    page = html(*(code("x", metadata={"papermill": {"status": status}}) for status in statuses))
    assert [page.count(word) for word in ("] running", "] waiting", "] failed")] == [1, 1, 1]


def test_pictures_are_told_by_their_first_bytes() -> None:
    good, bad = b64encode(PNG).decode(), b64encode(b"<svg onload=window.fired=1>").decode()
    page = html(code("p", shown(**{"image/png": good})), code("q", shown(**{"image/png": bad, "text/plain": "a plot"})))
    assert page.count(f'src="data:image/png;base64,{good}"') == 1
    assert page.count("<img") == 1


def test_of_a_long_notebook_the_beginning_is_shown() -> None:
    assert "… 7 more cells" in html(*(code("x") for _ in range(MAX_CELLS + 7)))
    picture = b64encode(PNG + b"\0" * 900_000).decode()
    page = html(*(code("x", shown(**{"image/png": picture})) for _ in range(9)))
    assert len(page) < MAX_SHOWN + 1000
    assert "more cells" in page


@pytest.mark.parametrize("content", [b"", b"{}", b"[1]", b'{"cells": 3}', b"\xff", b"[" * 100_000])
def test_what_is_no_notebook_is_refused(content: bytes) -> None:
    with pytest.raises(ValueError, match="not a notebook"):
        notebook_html(content)


def test_whatever_stands_in_the_place_of_a_field_is_no_trouble() -> None:
    odd = (None, 3, "x", [], {}, [None, {}], {"a": 1})
    cells = [
        {"cell_type": kind, "source": value, "outputs": value, "metadata": value}
        for value in odd
        for kind in ("code", "markdown", value)
    ]
    outputs = [
        {"output_type": kind, "text": value, "data": value, "traceback": value}
        for value in odd
        for kind in ("stream", "display_data", "error", value)
    ]
    datas = [shown(**{kind: value}) for value in odd for kind in ("image/png", "text/plain", "text/markdown")]
    assert "x" in html(*odd, *cells, code("x", *odd, *outputs, *datas))


def test_row_F4_nothing_that_a_notebook_holds_is_run() -> None:
    for payload in PAYLOADS:
        data = dict.fromkeys(("text/html", "image/svg+xml", "application/javascript", "text/markdown"), payload)
        page = html(
            {"cell_type": "markdown", "source": payload},
            code(payload, {"output_type": "stream", "text": payload}, shown(**data), shown(**{"text/plain": payload})),
            code("x", {"output_type": "error", "ename": payload, "evalue": payload, "traceback": []}),
        )
        assert problems(page.replace(' class="o-cell"', "")) == []
