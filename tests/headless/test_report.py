from __future__ import annotations

import base64
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from orchestrator_nb.errors import NotebookError, SessionNotFound
from orchestrator_nb.headless.report import report
from orchestrator_nb.headless.report_cells import cells_html, safe_html
from orchestrator_nb.runtime.orchestrator import Orchestrator
from orchestrator_nb.storage.settings import Settings
from tests.headless.books import save
from tests.runtime.waiting import plan

PNG = "iVBORw0KGgoAAAANSUhEUgAAAAIAAAACCAIAAAD91JpzAAAAEElEQVR4nGP4z8AARAwQCgAf7gP9i18U1AAAAABJRU5ErkJggg=="
SVG = '<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script><circle r="4"/></svg>'
DATAFRAME = (
    '<div><style scoped>.dataframe td { color: red }</style><table border="1" class="dataframe">'
    '<thead><tr style="text-align: right;"><th></th><th>a</th></tr></thead>'
    '<tbody><tr><th>0</th><td style="background-color: #fee; background: url(https://evil.example/z)">7</td></tr></tbody>'
    "</table></div>"
)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(workspace=tmp_path / "sessions", grace=0.5, projection_interval=0.05)


def shows(**data: Any) -> dict[str, Any]:
    kinds = {"text": "text/plain", "html": "text/html", "png": "image/png", "svg": "image/svg+xml"}
    kinds |= {"json": "application/json", "js": "application/javascript"}
    return {"output_type": "display_data", "data": {kinds[kind]: value for kind, value in data.items()}, "metadata": {}}


def stream(text: str) -> dict[str, Any]:
    return {"output_type": "stream", "name": "stdout", "text": text}


def code(source: str, *outputs: Any, tags: tuple[str, ...] = ()) -> dict[str, Any]:
    shown = {"outputs": list(outputs), "execution_count": 1}
    return {"cell_type": "code", "id": "c", "source": source, "metadata": {"tags": list(tags)}, **shown}


def markdown(source: str) -> dict[str, Any]:
    return {"cell_type": "markdown", "id": "m", "source": source, "metadata": {}}


def book(*cells: dict[str, Any], **metadata: Any) -> dict[str, Any]:
    numbered = [{**cell, "id": f"cell-{n}"} for n, cell in enumerate(cells)]
    return {"nbformat": 4, "nbformat_minor": 5, "metadata": metadata, "cells": numbered}


class Page(HTMLParser):
    """What a page holds: tags, and addresses that a browser would fetch or follow."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.fetched: list[str] = []
        self.links: list[str] = []
        self.handlers: list[str] = []
        self.styles: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        for name, value in attrs:
            if name in ("src", "srcset", "data", "poster", "background", "action"):
                self.fetched.append(value or "")
            elif name == "href":
                self.links.append(value or "")
            elif name == "style":
                self.styles.append(value or "")
            elif name.startswith("on"):
                self.handlers.append(name)


def shown(*cells: dict[str, Any], inputs: bool = True) -> str:
    return cells_html(book(*cells), Path.cwd(), inputs=inputs)


# -- what is safe ------------------------------------------------------------------------------------------------------

HOSTILE = [
    "<script>alert(1)</script>",
    '<img src="https://evil.example/x.png" onerror="alert(1)">',
    '<img src="data:image/png;base64,bm90IGEgcGljdHVyZQ==">',
    '<a href="javascript:alert(1)">x</a>',
    '<iframe src="https://evil.example"></iframe>',
    '<object data="https://evil.example/x.swf"></object><embed src="https://evil.example">',
    '<link rel="stylesheet" href="https://evil.example/x.css"><meta http-equiv="refresh" content="0; url=https://evil">',
    '<style>@import "https://evil.example/x.css"; body { display: none }</style>',
    '<div style="background-image: url(https://evil.example/x)">x</div>',
    '<div style="position: fixed; inset: 0">x</div>',
    "<svg><image href='https://evil.example/x'/><script>alert(1)</script></svg>",
    '<form action="https://evil.example"><input name="password"></form>',
    '<base href="https://evil.example/">',
    '<math><mtext><table><mglyph><style><img src=x onerror="alert(1)">',
]


@pytest.mark.parametrize("hostile", HOSTILE)
def test_row_E4_nothing_of_a_notebook_runs_or_is_fetched(hostile: str) -> None:
    html = shown(
        markdown(f"before\n\n{hostile}\n\nafter"),
        code("x", shows(html=f"<p>before</p>{hostile}"), shows(js="alert(1)"), shows(svg=SVG)),
        code("x", stream(hostile), {"output_type": "error", "ename": hostile, "evalue": "", "traceback": [hostile]}),
        code(hostile),
    )
    page = Page(html)
    forbidden = [
        "script",
        "iframe",
        "object",
        "embed",
        "style",
        "link",
        "meta",
        "form",
        "input",
        "svg",
        "base",
        "image",
    ]
    assert page.tags.isdisjoint(forbidden)
    assert page.handlers == []
    assert [address for address in page.fetched if not address.startswith("data:image/svg+xml;base64,")] == []
    assert [link for link in page.links if not link.startswith(("http", "#", "mailto:"))] == []
    assert [style for style in page.styles if "url" in style or "position" in style] == []


def test_what_is_left_out_is_told() -> None:
    html = safe_html('<p>a <img src="https://evil.example/x.png" alt="a > chart"> b</p>')
    assert html == '<p>a <span class="left-out">[a picture from elsewhere: a &gt; chart]</span> b</p>'


# -- what is shown -----------------------------------------------------------------------------------------------------


def test_tables_pictures_and_text_are_shown() -> None:
    html = shown(
        markdown("# Title\n\n| a | b |\n|---|---|\n| 1 | *2* |\n\n[link](https://example.org)"),
        code("df", shows(html=DATAFRAME, text="   a\n0  7")),
        code("plot()", shows(png=PNG, text="<Figure>")),
        code("j", shows(json={"k": [1, 2]}, text="<JSON>")),
        code("slow()", stream("10%\r100%\n\x1b[31mred\x1b[0m <b>")),
        code("chart", shows(html="<div id='x'></div><script>draw()</script>", text="Chart(3)")),
    )
    assert '<table class="dataframe">' in html
    assert '<td style="background-color: #fee">7</td>' in html
    assert "<em>2</em>" in html
    assert 'href="https://example.org"' in html
    assert f'src="data:image/png;base64,{PNG}"' in html
    assert "&lt;Figure&gt;" not in html
    assert '"k": [' in html
    assert "10%" not in html
    assert '<span class="ansi-red-fg">red</span> &lt;b&gt;' in html
    assert "Chart(3)" in html
    assert '<span class="n">df</span>' in html


def test_without_input_there_is_no_code_but_all_output() -> None:
    html = shown(markdown("words"), code("secret_code()", stream("the output")), inputs=False)
    assert "secret_code" not in html
    assert "the output" in html
    assert "words" in html


def test_tags_of_authors_are_obeyed() -> None:
    html = shown(
        code("hidden_a", stream("shown-a"), tags=("remove-input",)),
        code("shown_b", stream("hidden-b"), tags=("remove-output",)),
        code("hidden_c", stream("hidden-c"), tags=("remove-cell",)),
    )
    assert re.findall(r"(?:shown|hidden)[-_]\w", html) == ["shown-a", "shown_b"]


def test_row_E5_a_huge_output_is_cut_and_counted() -> None:
    html = shown(code("x", stream("x" * 1_000_000)))
    assert len(html) < 300_000
    assert "more characters]" in html


# -- whole pages -------------------------------------------------------------------------------------------------------


def test_an_executed_notebook_is_one_file_with_what_decided_it(tmp_path: Path, settings: Settings) -> None:
    save(
        tmp_path / "book.ipynb",
        ("n = 1", "parameters"),
        "from orchestrator_nb import record\nrecord('double', n * 2)",
    )
    task = {"id": "t", "notebook": str(tmp_path / "book.ipynb"), "parameters": {"n": 21}}
    run = Orchestrator(settings).run(plan(task)).wait()
    html = report(run.path / "outputs/t/book.ipynb")
    page = Page(html)
    assert "script" not in page.tags
    assert page.fetched == []
    assert "default-src 'none'; img-src data:" in html
    assert "@import" not in html
    assert re.findall(r"url\(", html) == []
    assert "prefers-color-scheme: dark" in html
    assert re.search(r"<code>n</code></td><td class=number>21</td>", html)
    assert re.search(r"<code>double</code></td><td class=number>42</td>", html)
    assert "What decided it" in html
    assert "papermill==" in html
    assert "<title>book</title>" in html


def test_a_failed_notebook_says_so_and_leads_to_its_cell(tmp_path: Path, settings: Settings) -> None:
    save(tmp_path / "bad.ipynb", "1 / 0")
    run = Orchestrator(settings).run(plan({"id": "t", "notebook": str(tmp_path / "bad.ipynb")})).wait()
    html = report(run.path / "attempts/t/1/outputs/bad.ipynb")
    assert 'It failed: <a href="#papermill-error-cell">ZeroDivisionError: division by zero</a>' in html
    assert 'id="papermill-error-cell"' in html


def test_a_session_is_told_with_graph_tasks_document_and_notebooks(tmp_path: Path, settings: Settings) -> None:
    picture = f"from base64 import b64decode\nfrom IPython.display import Image\nImage(b64decode('{PNG}'))"
    save(tmp_path / "book.ipynb", picture, "print('from the notebook')")
    tasks = [
        {"id": "words", "title": "Words", "command": ["echo", "<script>alert(1)</script> words"]},
        {"id": "book", "notebook": str(tmp_path / "book.ipynb"), "dependencies": ["words"]},
        {"id": "bad", "command": "exit 4"},
    ]
    run = Orchestrator(settings).run(plan(*tasks, title="Some <work>", params={"level": 3}), {}).wait()
    html = report(run.path, settings=settings)
    page = Page(html)
    assert "script" not in page.tags
    assert all(address.startswith("data:image/png;base64,") for address in page.fetched)
    graphs = [base64.b64decode(address.partition(",")[2]) for address in page.fetched[:2]]
    assert graphs[0] != graphs[1]  # in light and dark
    assert page.fetched.count(f"data:image/png;base64,{PNG}") == 2  # in the document and in the notebook
    assert "<h1>Some &lt;work&gt;</h1>" in html
    assert "failed with exit code 4" in html
    assert "from the notebook" in html
    assert "b64decode" in html
    assert "b64decode" not in report(run.path, inputs=False, settings=settings)


def test_what_cannot_be_reported_is_refused(tmp_path: Path, settings: Settings) -> None:
    with pytest.raises(NotebookError, match="does not exist"):
        report(tmp_path / "none.ipynb")
    (tmp_path / "text.ipynb").write_text(json.dumps({"a": 1}))
    with pytest.raises(NotebookError, match="is not a notebook"):
        report(tmp_path / "text.ipynb")
    with pytest.raises(SessionNotFound):
        report("nothing", settings=settings)
