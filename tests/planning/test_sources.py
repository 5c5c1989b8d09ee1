"""Everything that a run can be started from."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator_nb.core.models import Plan
from orchestrator_nb.errors import OrchestratorError, PlanError
from orchestrator_nb.planning.builder import PlanBuilder
from orchestrator_nb.planning.sources import is_prompt, plan_from

PLAN = "tasks: [{id: a, command: x}]"


def test_plans_builders_files_and_folders(tmp_path: Path) -> None:
    (tmp_path / "p.yml").write_text(PLAN)
    (tmp_path / "p.json").write_text('{"tasks": [{"id": "a", "command": "x"}]}')
    (tmp_path / "tasks").mkdir()
    (tmp_path / "tasks" / "a.md").write_text("---\ncommand: x\n---\n")
    plan = Plan.model_validate({"tasks": [{"id": "a", "command": "x"}]})
    builder = PlanBuilder()
    builder.shell("x", id="a")
    sources = [plan, builder, tmp_path / "p.yml", str(tmp_path / "p.json"), tmp_path / "tasks", plan_from(plan)]
    assert [plan_from(source).require()["a"].command for source in sources] == ["x"] * 6
    bases = [plan_from(source).base for source in sources]
    assert bases == [Path.cwd(), Path.cwd(), tmp_path, tmp_path, tmp_path / "tasks", Path.cwd()]


def test_agents_are_checked_when_the_caller_names_them(tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text("tasks: [{id: a, agent: nobody, prompt: x}]")
    (tmp_path / "tasks").mkdir()
    (tmp_path / "tasks" / "a.md").write_text("---\nagent: nobody\n---\nx")
    builder = PlanBuilder()
    builder.agent("nobody", "x")
    for source in (tmp_path / "p.yaml", tmp_path / "tasks", builder, builder.build()):
        assert not plan_from(source).errors
        assert "unknown agent 'nobody'" in str(plan_from(source, agents=["shell"]).errors[0])


@pytest.mark.parametrize("prompt", ["Review the package in ./src", "x y" * 5000, "Fix\nplan.yaml now"])
def test_a_prompt_says_that_it_is_one(prompt: str) -> None:
    assert is_prompt(prompt)
    with pytest.raises(OrchestratorError, match="is a prompt, not a plan") as caught:
        plan_from(prompt)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("word", ["x" * 5000, "a\0b", "", "plan.toml"])
def test_one_word_is_neither_plan_nor_prompt(word: str) -> None:
    assert not is_prompt(word)
    with pytest.raises(OrchestratorError, match="a prompt has more than one word") as caught:
        plan_from(word)
    assert len(str(caught.value)) < 300


def test_a_folder_with_a_blank_in_its_name_is_no_prompt(tmp_path: Path) -> None:
    (tmp_path / "my tasks").mkdir()
    assert not is_prompt(str(tmp_path / "my tasks"))
    assert not is_prompt("my plan.yaml")
    assert not is_prompt(7)


def test_a_missing_file_names_the_nearest(tmp_path: Path) -> None:
    (tmp_path / "code_review.yaml").write_text(PLAN)
    (tmp_path / "other.txt").write_text("")
    with pytest.raises(PlanError, match=r"no such file; did you mean '.*/code_review.yaml'\?"):
        plan_from(str(tmp_path / "code-review.yml"))
    with pytest.raises(PlanError, match=r"there is no such file$"):
        plan_from(tmp_path / "zzz.json")
    with pytest.raises(PlanError, match="there is no folder"):
        plan_from(str(tmp_path / "nowhere" / "plan.yaml"))
    (tmp_path / "tasks").mkdir()
    with pytest.raises(OrchestratorError, match=r"more than one word; did you mean '.*/tasks'\?"):
        plan_from(str(tmp_path / "taks"))


def test_other_things_are_no_plans() -> None:
    with pytest.raises(OrchestratorError, match="not dict"):
        plan_from({"tasks": []})
