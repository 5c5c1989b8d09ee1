"""Starting, resuming and forking, and everything that keeps a run from starting."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator_nb.core import events as e
from orchestrator_nb.errors import (
    AgentError,
    CommandRefused,
    OrchestratorError,
    ParameterError,
    PlanError,
    SessionNotFound,
)
from orchestrator_nb.planning.builder import PlanBuilder
from orchestrator_nb.runtime.orchestrator import Orchestrator, orchestrate
from orchestrator_nb.runtime.session import Session
from tests.runtime.waiting import plan, statuses, until

ECHO = {"id": "t", "command": ["echo", "${params.word}"]}


def test_orchestrate_runs_a_file_in_the_present_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("plan.yaml").write_text("params: {word: {default: hi}}\ntasks: [{id: t, command: [echo, '${params.word}']}]\n")
    run = orchestrate("plan.yaml", {"word": "ho"}).wait(20)
    assert run.results["t"] == "ho"
    assert run.path.parent == tmp_path / ".orchestrator"
    assert (tmp_path / ".orchestrator" / ".gitignore").read_text() == "*\n"


def test_nothing_is_left_of_a_run_that_cannot_start(orchestrator: Orchestrator, tmp_path: Path) -> None:
    faulty = [
        (plan({"id": "t", "command": ["no-such-program-here"]}), {}, AgentError, "no-such-program-here"),
        (plan({"id": "t", "function": "no_such_module:f"}), {}, AgentError, "no_such_module"),
        (plan({"id": "t", "notebook": "missing.ipynb"}), {}, AgentError, "missing.ipynb"),
        (plan({"id": "t", "agent": "shel", "command": "true"}), {}, PlanError, "did you mean 'shell'"),
        (plan(ECHO, params={"word": {"type": "int", "default": 1}}), {"word": "x"}, ParameterError, "word"),
        (plan(ECHO, params={"word": {}}), {}, ParameterError, "word"),
        (plan(ECHO, params={"word": "x"}), {"wrd": "y"}, ParameterError, "did you mean 'word'"),
        (plan(ECHO), {}, PlanError, "word"),
        (plan({"id": "a", "command": "true", "dependencies": ["a"]}), {}, PlanError, "a"),
        ("Review", {}, OrchestratorError, "a prompt has more than one word"),
        ("Review it", {"x": 1}, ParameterError, "a prompt has no parameters"),
        ("nowhere.yaml", {}, PlanError, "nowhere.yaml"),
    ]
    for source, params, kind, words in faulty:
        with pytest.raises(kind, match=words):
            orchestrator.run(source, params)
    workspace = tmp_path / "sessions"
    assert not workspace.exists() or [p for p in workspace.iterdir() if p.is_dir() and not p.is_symlink()] == []


def test_every_missing_thing_is_named_at_once(orchestrator: Orchestrator) -> None:
    with pytest.raises(AgentError) as refusal:
        orchestrator.run(plan({"id": "a", "command": ["nix-a"]}, {"id": "b", "command": ["nix-b"]}))
    assert "task 'a'" in str(refusal.value)
    assert "task 'b'" in str(refusal.value)


def test_paths_given_are_the_callers_and_defaults_the_plans(orchestrator: Orchestrator, tmp_path: Path) -> None:
    plans, here = tmp_path / "plans", tmp_path / "here"
    for folder in (plans, here):
        folder.mkdir()
        (folder / "data").write_text(folder.name)
    (plans / "p.yaml").write_text(
        "params: {file: {type: path, default: data}}\ntasks: [{id: t, command: [cat, '${params.file}']}]\n"
    )
    source = str(plans / "p.yaml")
    assert orchestrator.run(source, cwd=here).wait(20).results["t"] == "plans"
    assert orchestrator.run(source, {"file": "data"}, cwd=here).wait(20).results["t"] == "here"
    with pytest.raises(ParameterError) as refusal:
        orchestrator.run(source, {"file": "gone"}, cwd=here)
    assert str(here / "gone") in str(refusal.value)
    assert str(plans / "gone") in str(refusal.value)


def test_output_puts_the_results_where_people_look(orchestrator: Orchestrator, tmp_path: Path) -> None:
    task = {"id": "t", "command": "echo data > $ORCH_OUTPUTS/a.txt; echo done", "outputs": ["a.txt"]}
    run = orchestrator.run(plan(task), output=tmp_path / "report").wait(20)
    assert (tmp_path / "report" / "final_output.md").read_text() == run.result
    assert "outputs/t/a.txt" in run.result
    assert (tmp_path / "report" / "outputs" / "t" / "a.txt").read_text() == "data\n"


def test_jobs_one_is_sequential(orchestrator: Orchestrator) -> None:
    run = orchestrator.run(plan(*({"id": f"t{i}", "command": "true"} for i in range(4))), jobs=1).wait(20)
    running = most = 0
    for record in run:
        running += isinstance(record.event, e.TaskStarted) - isinstance(record.event, e.TaskCompleted)
        most = max(most, running)
    assert most == 1


def test_equal_results_give_equal_documents(orchestrator: Orchestrator) -> None:
    tasks = [{"id": f"t{i}", "command": f"sleep 0.0{i}; echo {i}"} for i in range(5)]
    documents = {orchestrator.run(plan(*tasks)).wait(20).result for _ in range(2)}
    assert len(documents) == 1


def test_fork_takes_over_what_is_unchanged(orchestrator: Orchestrator, tmp_path: Path) -> None:
    ledger = tmp_path / "ledger"
    tasks = [
        {"id": "a", "command": f"echo a >> {ledger}; echo ${{params.x}}".replace("${params.x}", "1")},
        {"id": "b", "command": ["sh", "-c", f"echo b >> {ledger}; echo ${{params.x}}"]},
        {
            "id": "c",
            "command": f"echo c >> {ledger}; echo f > $ORCH_OUTPUTS/f",
            "outputs": ["f"],
            "dependencies": ["a"],
        },
        {"id": "d", "command": f"echo d >> {ledger}", "dependencies": ["c"]},
    ]
    first = orchestrator.run(plan(*tasks, params={"x": 1})).wait(20)
    assert first.status == "completed"
    ledger.write_text("")
    fork = orchestrator.fork(first.id, "d").wait(20)
    assert ledger.read_text().split() == ["d"]
    with fork.state() as state:
        assert (state.parent, state.fork_task) == (first.id, "d")
        assert {t.id: bool(t.reused_from) for t in state.by_index} == {"a": True, "b": True, "c": True, "d": False}
    assert (fork.path / "outputs" / "c" / "f").read_text() == "f\n"

    ledger.write_text("")
    again = orchestrator.fork(first.id, "d", {"x": 2}).wait(20)
    assert "b" in ledger.read_text().split(), "it reads the parameter that changed"
    assert again.results["b"] == "2"
    with pytest.raises(CommandRefused, match="no task 'z'"):
        orchestrator.fork(first.id, "z")


def test_functions_of_a_notebook_must_be_handed_in_again(orchestrator: Orchestrator) -> None:
    build = PlanBuilder("cells")

    @build.task
    def fails() -> str:
        raise ValueError("not yet")

    fails()
    first = orchestrator.run(build).wait(20)
    assert statuses(first) == {"fails": "failed"}
    Session.open(first.id, orchestrator.settings).tell("retry", task="fails")
    with pytest.raises(AgentError, match="fails"):
        orchestrator.resume(first.id)
    name = next(iter(build.functions))
    run = orchestrator.resume(first.id, functions={name: lambda: "now"}).wait(20)
    assert run.results["fails"] == "now"


def test_resume_of_nothing_says_so(orchestrator: Orchestrator) -> None:
    with pytest.raises(SessionNotFound, match="orchestrate run"):
        orchestrator.resume()


def test_a_changed_plan_lets_interrupted_tasks_wait_for_their_new_dependencies(
    orchestrator: Orchestrator, tmp_path: Path
) -> None:
    file = tmp_path / "plan.yaml"
    file.write_text("tasks:\n  - {id: a, command: sleep 0.3; echo a}\n  - {id: b, command: exit 1}\n")
    run = orchestrator.run(str(file))
    until(lambda: statuses(run) == {"a": "running", "b": "failed"})
    run.halt()
    run.wait(10)
    file.write_text(
        "tasks:\n  - {id: a, command: echo a, dependencies: [n]}\n  - {id: n, command: sleep 0.2; echo n}\n"
    )
    again = orchestrator.resume(run.id, accept_changes=True).wait(20)
    order = [r.event.task for r in again if isinstance(r.event, e.TaskCompleted)]
    assert order == ["n", "a"]


def test_fingerprints_see_code_closures_directories_and_environment(orchestrator: Orchestrator, tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "f").write_text("1")

    def make(offset: int) -> PlanBuilder:
        build = PlanBuilder("prints")
        build.param("x", "1")
        build.task(lambda: 1 + offset, id="closure")()
        build.shell(["sh", "-c", "echo $ORCH_PARAM_x"], id="environment")
        build.shell("cat data/f", id="folder", inputs={"data": str(folder)})
        build.shell("true", id="last")
        return build

    first = orchestrator.run(make(1), cwd=tmp_path).wait(20)
    assert first.status == "completed"
    (folder / "f").write_text("2")
    name = next(iter(make(5).functions))
    fork = orchestrator.fork(first.id, "last", {"x": "9"}, functions={name: make(5).functions[name]}).wait(20)
    assert dict(fork.results) == {"closure": 6, "environment": "9", "folder": "2", "last": ""}
    same = orchestrator.fork(fork.id, "last", functions={name: make(5).functions[name]}).wait(20)
    with same.state() as state:
        assert all(task.reused_from for task in state.by_index if task.id != "last")


def test_outputs_of_other_tasks_do_not_change_a_fingerprint_by_their_place(orchestrator: Orchestrator) -> None:
    tasks = [
        {"id": "a", "command": "echo x > $ORCH_OUTPUTS/f", "outputs": ["f"]},
        {"id": "b", "command": ["cat", "${output.a:f}"], "dependencies": ["a"]},
        {"id": "c", "command": "true", "dependencies": ["b"]},
    ]
    first = orchestrator.run(plan(*tasks)).wait(20)
    fork = orchestrator.fork(first.id, "c").wait(20)
    with fork.state() as state:
        assert [bool(task.reused_from) for task in state.by_index] == [True, True, False]
