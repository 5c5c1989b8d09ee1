"""What a run and a session can be asked: tables, the story, the timeline, another try; and two of them compared."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import pandas as pd
import pytest
from matplotlib.figure import Figure

from orchestrator_nb.errors import AgentError, CommandRefused, ParameterError, PlanError, SessionNotFound
from orchestrator_nb.planning.builder import PlanBuilder
from orchestrator_nb.runtime.compare import compare
from orchestrator_nb.runtime.orchestrator import Orchestrator
from orchestrator_nb.runtime.run import Run
from orchestrator_nb.runtime.session import Session
from orchestrator_nb.storage.settings import Settings
from tests.runtime.waiting import asks, plan, until

HUMAN = {"id": "q", "agent": "human", "prompt": "Go?"}


def squares(orchestrator: Orchestrator, calls: list[str]) -> Run:
    """numbers -> squares -> total, and one beside them; each notes that it was called."""
    builder = PlanBuilder("Squares")
    factor = builder.param("factor", 1)

    @builder.task
    def numbers(count: int) -> list[int]:
        calls.append("numbers")
        return list(range(count))

    @builder.task
    def powers(of: list[int], exponent: int = 2) -> list[int]:
        calls.append("powers")
        return [number**exponent for number in of]

    @builder.task
    def total(of: list[int], factor: int) -> int:
        calls.append("total")
        return sum(of) * factor

    @builder.task
    def beside() -> str:
        calls.append("beside")
        return "same"

    total(powers(numbers(4)), factor)
    beside()
    return orchestrator.run(builder).wait(20)


# -- the table, the story, the picture ---------------------------------------------------------------------------------


def test_the_tasks_as_a_data_frame(orchestrator: Orchestrator, settings: Settings) -> None:
    run = orchestrator.run(
        plan(
            {"id": "ok", "title": "Fine", "command": "true", "phase": "p"},
            {"id": "bad", "command": "exit 3", "dependencies": ["ok"]},
            {"id": "never", "command": "true", "dependencies": ["bad"]},
            phases=[{"id": "p"}],
        )
    ).wait(20)
    for frame in (run.to_frame(), Session.open(run.id, settings).to_frame()):
        assert list(frame.index) == ["ok", "bad", "never"]
        assert frame.index.name == "id"
        assert list(frame.status) == ["completed", "failed", "blocked"]
        assert isinstance(frame.status.dtype, pd.CategoricalDtype)
        assert str(frame.started.dt.tz) == str(frame.ended.dt.tz) == "UTC"
        assert frame.started["ok"].timestamp() == pytest.approx(run["ok"].started.timestamp())  # type: ignore[union-attr]
        assert frame.duration["ok"] == run["ok"].duration
        assert frame.loc["never", ["started", "duration", "exit_code"]].isna().all()
        assert frame.exit_code["bad"] == 3
        assert frame.blocked_by["never"] == "bad"
        assert (frame.ended - frame.started).dt.total_seconds()["ok"] >= 0
        assert frame.groupby("agent").attempts.sum()["shell"] == 2


def test_a_plan_none_of_whose_tasks_began_is_a_frame_too(orchestrator: Orchestrator) -> None:
    run = orchestrator.run(
        plan({"id": "a", "command": "sleep 9"}, {"id": "b", "command": "true", "dependencies": ["a"]})
    )
    assert str(run.to_frame().started.dt.tz) == "UTC"
    run.halt()
    run.wait(20)


def test_without_pandas_the_error_says_what_to_do() -> None:
    code = """
        import sys
        sys.modules["pandas"] = None  # as if it were not installed
        from orchestrator_nb.errors import OrchestratorError
        from orchestrator_nb.runtime.exploring import Explorable
        try:
            Explorable.to_frame(None)
        except OrchestratorError as error:
            print(error)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=True)
    assert "pip install pandas" in done.stdout


def test_the_story_in_lines(orchestrator: Orchestrator, settings: Settings) -> None:
    run = orchestrator.run(plan({"id": "t", "title": "Do it", "command": "true"}, title="Job")).wait(20)
    for log in (run.log, Session.open(run.id, settings).log):
        lines = [line.partition("] ")[2] for line in log.splitlines()]
        assert lines[:3] == ["Job: 1 task", "Run 1 started", "t started: Executing Do it"]
        assert lines[-1] == "All tasks completed. Phase Complete"


def test_the_timeline_is_a_figure_that_shows_itself(orchestrator: Orchestrator, settings: Settings) -> None:
    run = orchestrator.run(plan({"id": "a", "command": "true"}, HUMAN | {"dependencies": ["a"]}))
    until(lambda: asks(run))
    session = Session.open(run.id, settings)
    for source in (run, session):  # while it goes on
        assert source.timeline(theme="dark")._repr_png_().startswith(b"\x89PNG")  # type: ignore[attr-defined]
    run.approve("q")
    run.wait(20)
    axes = Figure(figsize=(6, 3)).subplots()
    assert run.timeline(axes) is axes.figure
    assert axes.collections


def test_a_session_in_which_nothing_began_has_no_timeline(orchestrator: Orchestrator, settings: Settings) -> None:
    run = orchestrator.run(plan({"id": "a", "command": "true"}), cwd="/").wait(20)
    again = orchestrator.fork(run.id, "a")
    again.wait(20)
    assert again.timeline().axes
    halted = orchestrator.run(plan(HUMAN))
    until(lambda: asks(halted))
    halted.halt()
    assert halted.wait(20).timeline().axes


# -- another try -------------------------------------------------------------------------------------------------------


def test_rerun_runs_the_task_with_its_new_parameters_and_what_depends_on_it(
    orchestrator: Orchestrator, settings: Settings
) -> None:
    calls: list[str] = []
    run = squares(orchestrator, calls)
    assert sorted(calls) == ["beside", "numbers", "powers", "total"]
    calls.clear()
    again = run.rerun("powers", {"exponent": 3}).wait(20)
    assert calls == ["powers", "total"]
    assert (run.results["total"], again.results["total"]) == (0 + 1 + 4 + 9, 0 + 1 + 8 + 27)
    assert again.results["beside"] == "same"
    assert f"beside taken over from session {run.id}" in again.log
    assert again["powers"].why[0].startswith("'powers' completed")
    assert Session.open(again.id, settings).state.parent == run.id
    assert run.plan["powers"].parameters.keys() == {"of"}  # the first one is as it was

    calls.clear()
    third = again.rerun("total", params={"factor": "10"}).wait(20)  # of the plan; functions were handed on twice
    assert calls == ["total"]
    assert third.results["total"] == 360


def test_a_rerun_with_other_parameters_can_be_resumed(orchestrator: Orchestrator, tmp_path: Path) -> None:
    file = tmp_path / "plan.yaml"
    simulated = "{id: s, agent: simulated, prompt: x, parameters: {duration: 0, result: a}}"
    file.write_text(f"tasks: [{simulated}, {{id: h, agent: human, prompt: Go?}}]")
    run = orchestrator.run(str(file))
    until(lambda: asks(run))
    run.stop()
    run.wait(20)
    again = run.rerun("s", {"result": "b"})
    until(lambda: asks(again))
    again.halt()
    again.wait(20)
    resumed = orchestrator.resume(again.id)  # its plan is not the file's, which is no reason to refuse
    until(lambda: asks(resumed))
    resumed.approve("h")
    assert resumed.wait(20).results["s"] == "b"


def test_rerun_of_a_session_takes_functions_anew(orchestrator: Orchestrator, settings: Settings) -> None:
    def double(x: int) -> int:
        return 2 * x

    work = {"id": "d", "function": ":double", "parameters": {"x": 1}}
    run = orchestrator.run(plan(work), functions={"double": double}).wait(20)
    session = Session.open(run.id, settings)
    with pytest.raises(AgentError, match="double"):
        session.rerun("d", {"x": 5})
    assert session.rerun("d", {"x": 5}, functions={"double": double}).wait(20).results["d"] == 10


def test_what_makes_no_sense_is_refused_and_leaves_no_session(orchestrator: Orchestrator, settings: Settings) -> None:
    run = squares(orchestrator, [])
    sessions = len(Session.all(settings))
    refused = [
        (PlanError, "parameters must be a mapping", ["exponent"]),
        (PlanError, "is of type set", {"exponent": {1}}),
        (PlanError, "must be finite", {"exponent": float("nan")}),
        (PlanError, "is no name of a parameter", {"expo nent": 1}),
        (PlanError, "no task has the id 'nobody'", {"of": "${result.nobody}"}),
        (AgentError, "has no parameter 'exponnent'", {"exponnent": 1}),
    ]
    for kind, words, parameters in refused:
        with pytest.raises(kind, match=words):
            run.rerun("powers", parameters)  # type: ignore[arg-type]
    with pytest.raises(ParameterError, match="factr"):
        run.rerun("powers", params={"factr": 1})
    with pytest.raises(KeyError, match="did you mean 'powers'"):
        run.rerun("power")
    assert len(Session.all(settings)) == sessions


def test_a_run_that_goes_on_is_not_rerun(orchestrator: Orchestrator, settings: Settings) -> None:
    run = orchestrator.run(plan({"id": "a", "command": "true"}, HUMAN))
    until(lambda: asks(run))
    for source in (run, Session.open(run.id, settings)):
        with pytest.raises(CommandRefused, match="is still being run"):
            source.rerun("a")
    run.halt()
    run.wait(20)


# -- side by side ------------------------------------------------------------------------------------------------------


def test_compare_takes_runs_sessions_ids_and_paths(orchestrator: Orchestrator, settings: Settings) -> None:
    run = squares(orchestrator, [])
    again = run.rerun("powers", {"exponent": 3}).wait(20)
    session = Session.open(again.id, settings)
    seen = [compare(run, side) for side in (again, session, again.id, again.path, str(again.path))]
    seen.append(compare(run.id, again.id, settings))
    assert all(comparison == seen[0] for comparison in seen)
    assert seen[0].params == {"powers.exponent": (None, 3)}
    assert [task.task for task in seen[0].tasks if task.differs] == ["powers", "total"]
    assert seen[0].diff("total").endswith("-14\n+36")
    assert seen[0].diff("beside") == ""
    bundle = seen[0]._repr_mimebundle_()
    assert "2 of 4 tasks have the same status" in bundle["text/plain"]
    assert "+36</pre>" in bundle["text/html"]
    with pytest.raises(SessionNotFound):
        compare(run, "nothing")
