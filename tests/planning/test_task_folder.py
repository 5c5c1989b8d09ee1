"""Folders of Markdown tasks (S2)."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from orchestrator_nb.planning.loaded import LoadedPlan
from orchestrator_nb.planning.task_folder import load_folder

RUN = """---
title: Run the tests
agent: shell
command: [pytest]
outputs: [test-results.json]
---
What this is for, for the reader.
"""
CATEGORIZE = """---
agent: human
dependencies:
  - 01-analysis/01-run
inputs: [01-analysis/01-run/test-results.json, notes.txt]
---

# Categorize failures

Look at ${output.01-analysis/01-run:test-results.json}.
"""


def folder(root: Path, **files: str) -> LoadedPlan:
    for name, text in files.items():
        path = root / name.replace("__", "/").replace("_md", ".md").replace("_yaml", ".yaml")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return load_folder(root)


def said(loaded: LoadedPlan) -> list[str]:
    return [str(fault) for fault in loaded.faults]


def write(root: Path, files: dict[str, str]) -> LoadedPlan:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return load_folder(root)


def test_a_folder_as_S2_has_it(tmp_path: Path) -> None:
    loaded = write(
        tmp_path,
        {
            "plan.yaml": "title: Parser\nlimits: {max_parallel: 3}\nphases: [{id: 01-analysis, max_parallel: 6}]\n",
            "01-analysis/01-run.md": RUN,
            "01-analysis/02-categorize.md": CATEGORIZE,
            "02-planning/03-plan.md": "---\nagent: human\n---\nWhat next?\n",
            "README.md": "no task",
            "01-analysis/TEMPLATE.md": "no task",
            "01-analysis/notes.txt": "no task",
            ".hidden/x.md": "no task",
        },
    )
    assert said(loaded) == []
    plan = loaded.require()
    assert (plan.title, plan.limits.max_parallel, loaded.base) == ("Parser", 3, tmp_path)
    assert [task.id for task in plan.tasks] == [
        "01-analysis/01-run",
        "01-analysis/02-categorize",
        "02-planning/03-plan",
    ]
    assert [(phase.id, phase.max_parallel) for phase in plan.phases] == [("01-analysis", 6), ("02-planning", None)]
    run, categorize, _ = plan.tasks
    assert (run.title, run.prompt, run.phase, run.kind) == ("Run the tests", None, "01-analysis", "shell")
    assert categorize.title == "Categorize failures"
    assert (categorize.prompt or "").startswith("# Categorize failures\n\nLook at")
    assert categorize.inputs == {
        "test_results": "${output.01-analysis/01-run:test-results.json}",
        "notes": "notes.txt",
    }
    assert loaded.where("01-analysis/02-categorize") == f"{tmp_path}/01-analysis/02-categorize.md:2"


def test_tasks_are_sorted_by_what_they_depend_on(tmp_path: Path) -> None:
    head = "---\ncommand: x\ndependencies: [{}]\n---\n"
    loaded = write(tmp_path, {"a.md": head.format("c"), "b.md": "---\ncommand: x\n---", "c.md": head.format("b")})
    assert [task.id for task in loaded.require().tasks] == ["b", "c", "a"]


def test_every_fault_has_its_file_and_line(tmp_path: Path) -> None:
    loaded = write(
        tmp_path,
        {
            "plan.yaml": "titel: x\n",
            "a.md": "---\ncomand: x\ndependencies: [c, b]\n---\n",
            "b.md": "---\nagent: human\ndependencies: [a]\n---\n\nWhat is ${HOME}?\n",
            "d e.md": "---\ncommand: x\n---\n",
            "f.md": "---\ncommand: x\ncommand: y\n---\n",
            "g.md": "---\ncommand: x\n",
            "h.md": "---\n- x\n---\n",
            "i.md": "---\nid: other\ncommand: x\n---\n",
            "j.md": "Do something.\n",
        },
    )
    assert loaded.plan is None
    assert [line.removeprefix(f"{tmp_path}/") for line in sorted(said(loaded))] == [
        "a.md:2: task 'a': unknown key 'comand'; did you mean 'command'?",
        "a.md:3: task 'a': cycle: a -> b -> a; remove one of these dependencies",
        "a.md:3: task 'a': unknown dependency 'c'; add such a task, or remove the dependency",
        "b.md:6: task 'b': '${HOME}' names no value of the plan; write $${HOME} for the text itself",
        "d e.md:2: 'd e': an id is made of letters, digits, '.', '_' and '-', begins with a letter or digit, and uses "
        "'/' only between such parts; rename the file",
        "f.md:3: the key 'command' is doubled; remove one",
        "g.md:1: the front matter has no end; write --- below it, in a line of its own",
        "h.md:2: the front matter must be a mapping of keys to values",
        "i.md:2: the task's id is the name of its file, 'i'; remove `id`",
        "j.md:1: task 'j': says what to do, but not who does it; add `agent` (human, simulated, ...)",
        "plan.yaml:1: unknown key 'titel'; did you mean 'title'?",
    ]


def test_tasks_do_not_stand_in_plan_yaml(tmp_path: Path) -> None:
    loaded = write(tmp_path, {"plan.yaml": "title: x\ntasks: []\n", "a.md": "---\ncommand: x\n---\n"})
    assert [line.rpartition("/")[2] for line in said(loaded)] == [
        "plan.yaml:2: the tasks of a folder are its .md files; move each task to a file of its own"
    ]


def test_folders_without_tasks_and_bad_settings(tmp_path: Path) -> None:
    assert "holds no task" in said(load_folder(tmp_path))[0]
    loaded = write(tmp_path, {"plan.yaml": "[]", "a.md": "---\ncommand: x\n---\n"})
    assert said(loaded)[0].endswith("plan.yaml: must be a mapping of keys to values")


def test_line_ends_of_windows_and_files_that_are_no_files(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_bytes(b"---\r\ncommand: x\r\ntitle: T\r\n---\r\nText\r\n")
    os.mkfifo(tmp_path / "b.md")
    (tmp_path / "loop").symlink_to(tmp_path)
    loaded = load_folder(tmp_path)
    assert said(loaded) == [f"{tmp_path}/b.md: is not a regular file"]


def test_the_front_matter_has_the_plan_files_keys(tmp_path: Path) -> None:
    keys: dict[str, Any] = {"timeout": "60", "retry": "2", "priority": "P0", "resources": "{cpu: 4, memory_gb: 8}"}
    head = "".join(f"{key}: {value}\n" for key, value in keys.items())
    task = write(tmp_path, {"a.md": f"---\ncommand: x\n{head}---\n"}).require().tasks[0]
    assert (task.timeout, task.retry and task.retry.attempts, task.priority) == (60, 2, "P0")
    assert task.resources is not None
    assert (task.resources.cpu, task.resources.memory_gb) == (4, 8)
