from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from orchestrator_nb.errors import CommandRefused, NotebookError, RunFailed, SessionNotFound
from orchestrator_nb.headless.batch import start
from orchestrator_nb.headless.reproduce import Reproduction, reproduce, rerun
from orchestrator_nb.headless.reproduction import Checked
from orchestrator_nb.ipynb.document import read_notebook
from orchestrator_nb.runtime.orchestrator import Orchestrator
from orchestrator_nb.runtime.session import Session
from orchestrator_nb.storage.settings import Settings
from tests.headless.books import save
from tests.runtime.waiting import plan, until

DRAWS = """
import os, random
from pathlib import Path
print(random.random())
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("reproduce")


@pytest.fixture(scope="module")
def settings(place: Path) -> Settings:
    return Settings(workspace=place / "sessions", grace=0.5, projection_interval=0.05)


@pytest.fixture(scope="module")
def results(place: Path, settings: Settings) -> Path:
    """A batch of two runs, of which the second fails at its second cell."""
    path = save(place / "book.ipynb", ("x = 1", "parameters"), DRAWS, "assert x != 2, 'two'", "x")
    batch = start(path, grid={"x": [1, 2]}, settings=settings, output=place / "results")
    batch.wait()
    return place / "results"


@pytest.fixture(scope="module")
def seeded(results: Path, place: Path, settings: Settings) -> Path:
    """The same, executed with a seed."""
    reproduce(results, seed=5, output=place / "seeded", settings=settings)
    return place / "seeded"


def named(result: Reproduction, name: str) -> Checked:
    return next(one for one in result.checked if one.name == name)


# -- notebooks ---------------------------------------------------------------------------------------------------------


def test_a_folder_of_notebooks_is_run_again_and_the_drawn_numbers_differ(results: Path, settings: Settings) -> None:
    before = {path: path.read_bytes() for path in results.rglob("*") if path.is_file()}
    result = reproduce(results, settings=settings)
    assert [one.name for one in result.checked] == ["x_1.ipynb", "x_2.ipynb"]
    for one in result.checked:
        assert one.cells is not None
        assert [(difference.cell, difference.what) for difference in one.cells.differences] == [(3, "stdout")]
        assert one.differs == ()  # the second one fails again, in the same way
        assert "the code draws random numbers, and no seed was set from outside (--seed N)" in one.reasons
    assert not result.same
    assert result.output is None
    assert "results: 2 of 2 differ" in str(result)
    assert {path: path.read_bytes() for path in results.rglob("*") if path.is_file()} == before


def test_what_was_seeded_comes_out_the_same(seeded: Path, settings: Settings) -> None:
    decided = read_notebook(seeded / "x_1.ipynb")["metadata"]["orchestrator"]["provenance"]
    assert (decided["seed"], decided["hash_seed"]) == (5, "5")
    result = reproduce(seeded, settings=settings)
    assert [(one.name, one.summary) for one in result.checked] == [("x_1.ipynb", "5 cells"), ("x_2.ipynb", "5 cells")]
    assert result.same


def test_another_seed_is_named_as_the_reason(seeded: Path, settings: Settings) -> None:
    (one,) = reproduce(seeded / "x_1.ipynb", seed=6, settings=settings).checked
    assert one.reasons[:2] == ("seed: 5 → 6", "PYTHONHASHSEED: 5 → 6")


def test_a_changed_input_file_and_a_changed_variable_are_told(place: Path, settings: Settings) -> None:
    data = place / "data.txt"
    data.write_text("old")
    read = "import os\nprint(open(os.environ['ORCH_INPUT_data']).read(), os.environ['LEVEL'])"
    save(place / "reads.ipynb", read)
    task = {"id": "t", "notebook": str(place / "reads.ipynb"), "inputs": {"data": str(data)}, "env": {"LEVEL": "high"}}
    run = Orchestrator(settings).run(plan(task)).wait()
    executed = run.path / "outputs/t/reads.ipynb"
    assert reproduce(executed, settings=settings).same
    data.write_text("new")
    (one,) = reproduce(executed, settings=settings).checked
    assert one.cells is not None
    assert one.cells.differences[0].lines == ("-old high", "+new high")
    assert one.reasons == (f"input file 'data' has changed: {data}",)


def test_what_was_executed_is_run_also_when_its_file_has_changed(place: Path, settings: Settings) -> None:
    path = save(place / "changing.ipynb", ("n: int", "parameters"), "print(n)")
    run = Orchestrator(settings).run(plan({"id": "t", "notebook": str(path), "parameters": {"n": 3}})).wait()
    path.unlink()
    assert reproduce(run.path / "outputs/t/changing.ipynb", settings=settings).same


def test_a_notebook_of_plain_papermill_is_run_with_what_is_known(
    place: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = save(place / "plain.ipynb", "import os\nos.getcwd()")
    document = json.loads(path.read_text())
    document["metadata"]["papermill"] = {"parameters": {}, "input_path": "plain.ipynb"}
    shown = {"output_type": "execute_result", "execution_count": 1, "metadata": {}}
    document["cells"][0] |= {
        "outputs": [{**shown, "data": {"text/plain": f"'{place / 'else'}'"}}],
        "execution_count": 1,
    }
    path.write_text(json.dumps(document))
    (place / "else").mkdir()
    monkeypatch.chdir(place / "else")
    (one,) = reproduce(path, settings=settings).checked
    assert one.same
    assert one.notes == (f"the directory in which it ran is not known: it ran in {place / 'else'}",)


def test_a_secret_variable_that_is_not_set_here_is_told(
    place: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("API_KEY", raising=False)
    path = save(place / "secret.ipynb", "import os\n'API_KEY' in os.environ")
    task = {"id": "t", "notebook": str(path), "env": {"API_KEY": "hunter2"}}
    run = Orchestrator(settings).run(plan(task)).wait()
    executed = run.path / "outputs/t/secret.ipynb"
    assert "hunter2" not in executed.read_text()
    (one,) = reproduce(executed, settings=settings).checked
    assert one.notes == ("environment variable API_KEY was set, is secret, and is not set here",)
    assert not one.same


@pytest.mark.parametrize(("name", "words"), [("none.ipynb", "does not exist"), ("fresh.ipynb", "was not executed")])
def test_what_is_no_executed_notebook_is_refused(place: Path, settings: Settings, name: str, words: str) -> None:
    save(place / "fresh.ipynb", "1")
    with pytest.raises(NotebookError, match=words):
        reproduce(place / name, settings=settings)


def test_folders_are_checked_before_anything_runs(results: Path, tmp_path: Path, settings: Settings) -> None:
    with pytest.raises(NotebookError, match="holds no executed notebook"):
        reproduce(tmp_path, settings=settings)
    with pytest.raises(CommandRefused, match="is not empty"):
        reproduce(results, output=results, settings=settings)
    with pytest.raises(SessionNotFound):
        reproduce("nothing", settings=settings)


# -- sessions ----------------------------------------------------------------------------------------------------------


def deterministic(place: Path) -> list[dict[str, Any]]:
    save(place / "seven.ipynb", ("n = 1", "parameters"), ("n * 7", "result"))
    return [
        {"id": "list", "command": ["printf", "a\\nb\\n"]},
        {"id": "book", "notebook": str(place / "seven.ipynb"), "parameters": {"n": 6}, "dependencies": ["ask"]},
        {"id": "ask", "agent": "human", "prompt": "Good?", "parameters": {"schema": {"type": "string"}}},
        {"id": "load", "function": "json:loads", "parameters": {"s": "[1, 2]"}},
        {"id": "bad", "command": "exit 3"},
    ]


@pytest.fixture
def finished(place: Path, settings: Settings) -> Session:
    run = Orchestrator(settings).run(plan(*deterministic(place), title="All kinds", params={"p": 1}))
    until(lambda: "ask" in [checkpoint.task for checkpoint in _open(run)])
    run.approve("ask", "yes, good")
    return Session.open(run.wait().path, settings)


def _open(run: Any) -> list[Any]:
    with run.state() as state:
        return list(state.open_checkpoints)


def test_a_session_of_deterministic_tasks_is_reproduced_with_its_document(
    finished: Session, settings: Settings
) -> None:
    result = reproduce(finished.path, settings=settings)
    assert [(one.name, one.kind, one.same) for one in result.checked] == [
        *((name, "task", True) for name in ("list", "book", "ask", "load", "bad")),
        ("final_output.md", "document", True),
    ]
    assert "yes, good" in finished.result
    assert named(result, "book").summary == "3 cells"


def test_tasks_that_differ_are_told_with_their_results_and_files(place: Path, settings: Settings) -> None:
    # each run leaves one line more, so the second one finds another number
    count = place / "count"
    counts = f"echo x >> {count}; wc -l < {count}"
    keeps = f"wc -l < {count} > $ORCH_OUTPUTS/n.txt"
    tasks = [
        {"id": "counts", "command": counts},
        {"id": "keeps", "command": keeps, "outputs": ["n.txt"], "dependencies": ["counts"]},
        {"id": "once", "command": f"test $(wc -l < {count}) = 1", "dependencies": ["counts"]},
    ]
    run = Orchestrator(settings).run(plan(*tasks)).wait()
    result = reproduce(run.path, settings=settings)
    assert named(result, "counts").differs == ("result:", "  -1", "  +2")
    assert named(result, "keeps").differs == ("output n.txt:", "  -1", "  +2")
    assert "what it reads of other tasks" in named(result, "keeps").reasons[0]
    assert named(result, "once").differs[0].startswith("completed → failed: ")
    document = named(result, "final_output.md")
    assert document.differs[0] == "not the same bytes:"
    assert document.reasons == ("it holds what differs of counts, keeps, once",)
    assert "final_output.md  differs" in str(result)


def test_functions_that_were_handed_in_have_to_be_again(settings: Settings) -> None:
    functions = {"double": lambda: 21 * 2}
    run = Orchestrator(settings).run(plan({"id": "t", "function": ":double"}), functions=functions).wait()
    with pytest.raises(CommandRefused, match=r"functions from a notebook or script \(:double\)"):
        reproduce(run.path, settings=settings)
    assert reproduce(run.path, functions=functions, settings=settings).same


def test_only_what_has_ended_can_be_reproduced(settings: Settings) -> None:
    run = Orchestrator(settings).run(plan({"id": "t", "agent": "human", "prompt": "?"}))
    try:
        with pytest.raises(CommandRefused, match="only one that has ended can be reproduced"):
            reproduce(run.path, settings=settings)
    finally:
        run.halt()
        run.wait()


def test_a_reproduction_that_is_left_ends_its_run_and_leaves_nothing(place: Path, settings: Settings) -> None:
    (place / "hold").touch()
    run = Orchestrator(settings).run(plan({"id": "t", "command": f"test -e {place}/hold || sleep 300"})).wait()
    assert run.status == "completed"
    (place / "hold").unlink()
    with rerun(run.path, settings=settings) as running:
        workspace = running.run.path.parent
        with pytest.raises(RunFailed, match="nothing was compared"):
            running.result()
    assert running.run.status == "halted"
    assert not workspace.exists()
    assert not os.path.exists(workspace.parent)


def test_of_a_prompt_the_plan_is_reproduced_and_nothing_is_planned_anew(settings: Settings) -> None:
    def planner(request: str) -> dict[str, Any]:
        asked.append(request)
        tasks = [{"id": name, "agent": "simulated", "parameters": {"result": name}} for name in ("a", "b")]
        return {"plan": {"title": "Two", "tasks": tasks}}

    asked: list[str] = []
    run = Orchestrator(settings).ask("Do both", planner=planner, approval=False).wait(30)
    again = reproduce(run.path, settings=settings)
    assert [checked.name for checked in again.checked] == ["a", "b", "final_output.md"]
    assert again.same
    assert len(asked) == 1
    bad = Orchestrator(settings).ask("Do both", planner=lambda request: "no", approval=False).wait(30)
    with pytest.raises(CommandRefused, match="no plan that was carried out"):
        reproduce(bad.path, settings=settings)
