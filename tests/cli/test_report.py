from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import Call
from tests.cli.program import write_plan
from tests.headless.books import save


@pytest.fixture
def session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: Call) -> Path:
    """A workspace with one session, in the current directory."""
    monkeypatch.chdir(tmp_path)
    plan = write_plan(tmp_path / "plan.json", title="Said", tasks=[{"id": "t", "command": "echo the words"}])
    assert call("run", plan, "-q").code == 0
    return tmp_path


def test_a_session_becomes_one_file(session: Path, call: Call) -> None:
    told = call("report", "-o", "out.html")
    assert (told.code, told.out, told.err) == (0, "", "Wrote out.html\n")
    assert "the words" in (session / "out.html").read_text()


def test_the_file_is_named_after_what_it_is_of(session: Path, call: Call) -> None:
    save(session / "books/book.ipynb", "code_of_the_cell = 1")
    assert call("report", "books/book.ipynb").code == 0
    assert "code_of_the_cell" in (session / "book.html").read_text()
    assert call("report", "books/book.ipynb", "--no-input").code == 0
    assert "code_of_the_cell" not in (session / "book.html").read_text()
    assert call("report").code == 0
    assert len(list(session.glob("20*.html"))) == 1


def test_what_makes_no_sense_is_refused(session: Path, call: Call) -> None:
    assert call("report", "-o", "report.pdf").code == 6
    assert call("report", "none.ipynb").code == 2
    assert call("report", "no-such-session").code == 5
    assert call("report", "-o", "missing/out.html").code == 5
