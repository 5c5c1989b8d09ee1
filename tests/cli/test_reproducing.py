from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Call
from tests.cli.program import orchestrate, write_plan
from tests.headless.books import save


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_session_that_agrees_ends_with_0(place: Path, call: Call) -> None:
    plan = write_plan(place / "plan.json", tasks=[{"id": "t", "command": "echo same"}])
    assert call("run", plan, "-q").code == 0
    told = call("reproduce", "latest")
    assert told.code == 0
    assert [line.split() for line in told.out.splitlines()[1:3]] == [["t", "ok", "-"], ["final_output.md", "ok", "-"]]
    assert told.out.endswith(": everything agrees.\n")
    assert len(list((place / ".orchestrator").glob("20*"))) == 1  # it left no session behind


def test_a_session_that_differs_ends_with_1_and_says_how(place: Path, call: Call) -> None:
    plan = write_plan(place / "plan.json", tasks=[{"id": "t", "command": "echo x >> f; wc -l < f"}])
    assert call("run", plan, "-q").code == 0
    told = call("reproduce", "latest", "-q")
    assert told.code == 1
    assert told.out.startswith("t:\n  result:\n    -1\n    +2\n")
    assert told.out.endswith(": 2 of 2 differ.\n")
    facts = json.loads(call("reproduce", "latest", "--json").out)
    assert facts["same"] is False
    assert [(one["name"], one["same"]) for one in facts["checked"]] == [("t", False), ("final_output.md", False)]


def test_a_notebook_is_run_again_by_the_program(place: Path) -> None:
    save(place / "book.ipynb", "import random\nrandom.random()")
    write_plan(place / "plan.json", tasks=[{"id": "t", "notebook": "book.ipynb"}])
    assert orchestrate("run", "plan.json", "-q", "-o", "first", cwd=place).returncode == 0
    executed = "first/outputs/t/book.ipynb"
    done = orchestrate("reproduce", executed, "--seed", "3", "-o", "second", cwd=place)
    assert done.returncode == 1, done.stderr
    assert "cell 1, text: import random" in done.stdout
    assert "- the code draws random numbers, and no seed was set from outside (--seed N)" in done.stdout
    assert "What was executed anew is in" in done.stdout
    done = orchestrate("reproduce", "second", cwd=place)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith("second: everything agrees.\n")


def test_wrong_usage_ends_before_anything_runs(place: Path, call: Call) -> None:
    save(place / "fresh.ipynb", "1")
    assert call("reproduce").code == 2
    assert "was not executed: there is nothing to reproduce" in call("reproduce", "fresh.ipynb").err
    assert call("reproduce", "fresh.ipynb").code == 2
    assert call("reproduce", ".").code == 2
    assert call("reproduce", "nothing").code == 5
    assert call("reproduce", "fresh.ipynb", "--seed", "-1").code == 2
    assert call("reproduce", "fresh.ipynb", "-o", ".").code == 6
