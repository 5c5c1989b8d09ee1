"""What planners' plans may use: what the user has said, to the letter, and nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from orchestrator_nb.core.models import Plan, Task
from orchestrator_nb.errors import ParameterError
from orchestrator_nb.planning.rights import Rights
from tests.planning.answers import plan, task


def refused(rights: Rights, base: Path, *tasks: dict[str, Any], **fields: Any) -> list[str]:
    return [fault.message for fault in rights.faults(Plan.model_validate(plan(*tasks, **fields)), base)]


@pytest.mark.parametrize(
    ("word", "allowed", "still_refused"),
    [
        ("agent:codex", task(agent="codex"), task(agent="gemini")),
        ("command:pytest -q", {"id": "a", "command": "pytest -q"}, {"id": "a", "command": "pytest -q; rm -rf ~"}),
        ("command:pytest -q", {"id": "a", "command": ["pytest", "-q"]}, {"id": "a", "command": ["pytest", "-q", "x"]}),
        ("command:pytest -q", task(checks=["pytest -q"]), task(checks=[["pytest"]])),
        ("command:sh", {"id": "a", "command": ["sh"]}, {"id": "a", "command": ["sh"], "parameters": {"stdin": "ls"}}),
        ("function:m:f", {"id": "a", "function": "m:f", "parameters": {"x": 1}}, {"id": "a", "function": "m:g"}),
        ("notebook:n.ipynb", {"id": "a", "notebook": "n.ipynb"}, {"id": "a", "notebook": "./n.ipynb"}),
        ("level:full", task(parameters={"level": "full"}), task(parameters={"level": "root"})),
        ("env:TOKEN", task(parameters={"env": ["TOKEN"]}), task(parameters={"env": ["TOKEN", "KEY"]})),
        ("address:http://a", task(parameters={"base_url": "http://a"}), task(parameters={"base_url": "http://b"})),
        ("sandbox:none", task(parameters={"sandbox": "none"}), task(parameters={"sandbox": "landlock"})),
        ("directory:../shared", task(parameters={"directories": ["../shared/x"]}), task(cwd="../other")),
    ],
)
def test_a_word_allows_one_thing(
    word: str, allowed: dict[str, Any], still_refused: dict[str, Any], tmp_path: Path
) -> None:
    rights = Rights.of(["agent:claude", word], tmp_path / "here")
    assert refused(rights, tmp_path / "here", allowed) == []
    assert len(refused(rights, tmp_path / "here", still_refused)) == 1
    assert len(refused(Rights.of(["agent:claude"], tmp_path / "here"), tmp_path / "here", allowed)) == 1


def test_a_link_out_of_the_directory_leads_nowhere(tmp_path: Path) -> None:
    here = tmp_path / "here"
    here.mkdir()
    (here / "link").symlink_to(tmp_path)
    (here / "inside").symlink_to(here)
    rights = Rights(agents=("claude",))
    assert refused(rights, here, task(cwd="link")) == [f"'link' is not in {here}"]
    assert refused(rights, here, task(cwd="inside"), task("B", inputs={"x": "inside/a.txt"})) == []
    assert len(refused(rights, here, task(parameters={"directories": ["link/x", "~", "$HOME"]}))) == 3


def test_an_option_that_nobody_has_thought_about_is_refused(tmp_path: Path) -> None:
    (told,) = refused(Rights(agents=("claude",)), tmp_path, task(parameters={"be_root": True}))
    assert told == "the option 'be_root' is not for planned tasks"


def test_a_key_that_comes_later_is_refused_until_somebody_has_thought_about_it(tmp_path: Path) -> None:
    class Later(Task):
        grant: str = ""

    later = Later(id="a", agent="claude", prompt="x", grant="root")
    faults = Rights(agents=("claude",)).faults(Plan(tasks=(later,)), tmp_path)
    assert [fault.message for fault in faults] == ["the key 'grant' is not for planned tasks"]


def test_a_merge_by_anything_else_than_this_package_is_refused(tmp_path: Path) -> None:
    assert refused(Rights(agents=("claude",)), tmp_path, task(), merge={"strategy": "table", "title": "x"}) == []


@pytest.mark.parametrize("word", ["agent", "agent:", "agent: ", "agnt:x", "", ":x", "cmd:ls"])
def test_a_word_that_allows_nothing(word: str, tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match="allows nothing"):
        Rights.of([word], tmp_path)


def test_rights_survive_the_log(tmp_path: Path) -> None:
    rights = Rights.of(["agent:codex", "command:a 'b c'", "directory:x"], tmp_path)
    assert Rights.model_validate_json(rights.model_dump_json()) == rights
    assert rights.kinds == ("codex", "shell", "human", "simulated")


def test_what_things_cost_is_not_the_planners_to_say(tmp_path: Path) -> None:
    rights = Rights.of(["agent:claude"], tmp_path)
    free = {"prices": {"claude": {"input": 0, "output": 0}}}
    assert refused(rights, tmp_path, task(), limits=free) == ["limits.prices is not for planned plans"]
    assert refused(rights, tmp_path, task(), limits={"budget": 3}) == [], "a limit takes nothing from anybody"
