"""The merge at the end of a run: by an agent, by a notebook, interrupted, failing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
from rich.console import Console

from orchestrator_nb.cli.frames import header
from orchestrator_nb.core import events as e
from orchestrator_nb.core.merges import Merge
from orchestrator_nb.errors import AgentError, CommandRefused, PlanError
from orchestrator_nb.projections.progress import progress
from orchestrator_nb.projections.usage import of_run, of_task
from orchestrator_nb.runtime.merger import with_values
from orchestrator_nb.runtime.orchestrator import Orchestrator
from orchestrator_nb.runtime.run import Run
from orchestrator_nb.runtime.session import Session
from orchestrator_nb.storage.settings import Settings
from tests.agents.models.wire import KEY, need_models, scripted
from tests.runtime.waiting import plan, run_killed, until

TASKS = (
    {"id": "a", "agent": "simulated", "parameters": {"result": "Three files."}},
    {"id": "b", "agent": "simulated", "parameters": {"result": "Two risks."}, "dependencies": ["a"]},
)
ANSWER = json.dumps({"sections": [{"heading": "All", "text": "Good.", "sources": ["a"]}]})


def by(agent: str = "simulated", **fields: Any) -> dict[str, Any]:
    return {"strategy": "agent", "agent": agent, **fields}


def events(run: Run, kind: type[Any]) -> list[Any]:
    return [record.event for record in run if isinstance(record.event, kind)]


def test_an_agent_writes_the_document_and_is_seen_at_it(orchestrator: Orchestrator) -> None:
    script = {"result": ANSWER, "steps": ["reads", "writes"], "duration": 0.02}
    run = orchestrator.run(plan(*TASKS, merge=by(parameters=script), title="Review")).wait(20)
    assert run.status == "completed"
    assert "## All\n\nGood.\n\nSources: [Agent-01: a](results/agent-01-result.md)\n" in run.result
    assert events(run, e.MergeStarted) == [e.MergeStarted(1, "simulated", "the report")]
    assert [event.message for event in events(run, e.MergeProgressed)] == ["reads", "writes"]
    (merged,) = events(run, e.ResultsMerged)
    assert merged.strategy == "agent"
    assert [event.message for event in events(run, e.WarningRaised)] == ["the merged report uses nothing of b"]
    log = (run.path / "master_plan.md").read_text()
    assert "Merge Started\n\n- By simulated: the report\n- Attempt 1\n" in log


def test_a_failing_agent_costs_a_warning_not_the_document(orchestrator: Orchestrator) -> None:
    run = orchestrator.run(plan(*TASKS, merge=by(parameters={"fail": "no"}))).wait(20)
    assert run.status == "completed"
    assert "## Collection checklist" in run.result
    (merged,) = events(run, e.ResultsMerged)
    assert merged.strategy == "structured"
    (warning,) = events(run, e.WarningRaised)
    assert warning.message.startswith("the results were merged by the strategy 'structured', because 'agent' failed")


def test_a_time_limit_holds(orchestrator: Orchestrator) -> None:
    how = by(parameters={"result": ANSWER, "duration": 60}, timeout=0.05)
    run = orchestrator.run(plan(*TASKS, merge=how))
    until(lambda: "tried again in 5 s" in _message(run))
    run.halt()
    run.wait(20)


def _attempts(run: Run) -> int:
    with run.state() as state:
        return state.merge_attempts


def _message(run: Run) -> str:
    with run.state() as state:
        return state.merge_message


def test_halt_ends_a_merge_and_resume_goes_on_with_it(orchestrator: Orchestrator, settings: Settings) -> None:
    run = orchestrator.run(plan(*TASKS, merge=by(parameters={"result": ANSWER, "steps": ["x"], "duration": 60})))
    until(lambda: _message(run) == "x")
    console = Console(width=150)
    with run.state() as state, console.capture() as seen:
        console.print(header(state, progress(state, 0.0), last=False))
    assert "Merging by simulated: x" in seen.get()
    with pytest.raises(CommandRefused, match="their results are being merged: only `halt` can be said now"):
        run.cancel("a")
    run.halt()
    run.wait(20)
    assert run.status == "halted"
    again = orchestrator.resume(run.path)
    until(lambda: _attempts(again) == 2 and _message(again) == "x")
    again.halt()
    again.wait(20)
    started = events(again, e.MergeStarted)
    assert [event.attempt for event in started] == [1, 2]
    assert [task.attempt for task in Session.open(run.path, settings).state.by_index] == [1, 1]


def test_a_merge_survives_a_kill(orchestrator: Orchestrator, settings: Settings) -> None:
    how = by(parameters={"result": ANSWER, "steps": ["x"], "duration": 60})
    run_killed(settings, plan(*TASKS, merge=how), "merge_progressed")
    again = orchestrator.resume()
    until(lambda: _attempts(again) == 2 and _message(again) == "x")
    with again.state() as state:
        assert [task.attempt for task in state.by_index] == [1, 1]
    again.halt()
    again.wait(20)


def test_what_was_answered_is_not_asked_again(orchestrator: Orchestrator) -> None:
    run = orchestrator.run(plan(*TASKS, merge=by(parameters={"result": ANSWER}))).wait(20)
    again = orchestrator.resume(run.path).wait(20)
    assert again.result == run.result
    assert [event.attempt for event in events(again, e.MergeStarted)] == [1]
    assert [event.message for event in events(again, e.MergeProgressed)] == ["the report: answered before"]


def test_a_notebook_writes_the_document(orchestrator: Orchestrator, tmp_path: Path) -> None:
    parameters = nbformat.v4.new_code_cell('collection: str = ""', metadata={"tags": ["parameters"]})
    code = (
        "import json\nfrom pathlib import Path\nfrom IPython.display import Markdown\n"
        "told = json.loads(Path(collection).read_text())\n"
        "Markdown('# ' + told['title'] + '\\n\\n' + '\\n'.join(item['result'] for item in told['results']))"
    )
    result = nbformat.v4.new_code_cell(code, metadata={"tags": ["result"]})
    notebook = tmp_path / "report.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=[parameters, result]), notebook)
    how = {"strategy": "notebook", "notebook": str(notebook)}
    run = orchestrator.run(plan(*TASKS, merge=how, title="By hand")).wait(60)
    assert run.result == "# By hand\n\nThree files.\nTwo risks.\n"
    assert (run.path / "attempts/merging/1/outputs/report.ipynb").exists()


def test_values_of_parameters_are_put_in() -> None:
    how = Merge.model_validate(by(prompt="For ${params.who}.", parameters={"model": "${params.m}", "n": "$$1"}))
    filled = with_values(how, {"who": "all", "m": "x:y"})
    assert (filled.prompt, filled.parameters) == ("For all.", {"model": "x:y", "n": "$1"})


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ({"strategy": "agent"}, "strategy 'agent' needs an `agent`"),
        ({"strategy": "agent", "agent": "modle"}, "unknown agent 'modle'"),
        ({"strategy": "notebook"}, "strategy 'notebook' needs a `notebook`"),
        ({"agent": "model"}, "`agent` means nothing to strategy 'structured'"),
        (by(prompt="${result.a}"), r"\$\{result\.a\} is not put in here"),
        (by(prompt="${params.a}"), "the plan has no such parameter"),
        (by(notebook="x.ipynb"), "`notebook` means nothing to strategy 'agent'"),
    ],
)
def test_a_merge_that_makes_no_sense_is_refused(orchestrator: Orchestrator, how: Any, words: str) -> None:
    with pytest.raises(PlanError, match=words):
        orchestrator.run(plan(*TASKS, merge=how))


def test_what_the_merge_lacks_is_said_before_the_run(orchestrator: Orchestrator) -> None:
    with pytest.raises(AgentError, match=r"merge: parameter 'resul' of a simulated task"):
        orchestrator.run(plan(*TASKS, merge=by(parameters={"resul": 1})))


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    need_models()
    with scripted() as address:
        yield address


def test_a_model_writes_the_document(orchestrator: Orchestrator, monkeypatch: pytest.MonkeyPatch, server: str) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
    directive = f"[[mock:tool final_result {ANSWER.replace(']]', '] ]')}]]"
    options = {"model": "anthropic:claude-sonnet-4-5", "base_url": server}
    run = orchestrator.run(plan(*TASKS, merge=by("model", prompt=directive, parameters=options))).wait(60)
    assert "_Written by model (anthropic:claude-sonnet-4-5) from the results" in run.result
    assert "## All\n\nGood.\n" in run.result
    assert [event.message for event in events(run, e.MergeProgressed)] == ["asks anthropic:claude-sonnet-4-5"]
    with run.state() as state:
        used = of_task(state, "merging")
        assert of_run(state) == used
    assert (used.attempts, used.output_tokens, used.cost) == (1, 30, pytest.approx(0.000816))
