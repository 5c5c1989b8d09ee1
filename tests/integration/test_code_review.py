"""The demonstration, whole: `notebooks/pipelines/code_review.yaml` on code of all sorts."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from notebooks.pipelines.code_review import (
    MAX_BYTES,
    arguments,
    bandit_targets,
    examine,
    find_sources,
    take_inventory,
    verdict,
    write_report,
)
from orchestrator_nb.errors import AgentError

ROOT = Path(__file__).parents[2]
PIPELINE = ROOT / "notebooks" / "pipelines" / "code_review.yaml"

#: A small project with everything that real ones have: findings of each check, and files that no tool can read.
PROJECT = {
    "app/__init__.py": b"",
    "app/style.py": b"import os\nimport sys\n\n\ndef f(x):\n    l = x\n    return l\n",
    "app/risky code.py": b"import subprocess\n\n\ndef run(text):\n    return subprocess.call(text, shell=True)\n",
    "app/slow.py": b"def double(xs):\n    out = []\n    for x in xs:\n        out.append(x * 2)\n    return out\n",
    "app/tangled.py": b"def tangled(x):\n"
    + b"".join(b"    if x == %d:\n        return %d\n" % (n, n) for n in range(25)),
    "app/settings.py": b"S = {\n"
    + b"".join(b'    "%d": 0,\n' % n for n in range(30))
    + b'    "password": "secret",\n}\n',
    "app/100%.py": b"assert True\n",
    "app/broken.py": b"def f(:\n",
    "app/latin.py": b"# \xe9\nx = 1\n",
    "app/nul.py": b"x = 1\0\n",
    "app/deep.py": b"x = " + b"(" * 500 + b"1" + b")" * 500 + b"\n",
    "app/-r.py": b"x = 1\n",
    "app/with,comma.py": b"import os\n",
    "app/huge.py": b"# " + b"x" * MAX_BYTES + b"\n",
    "app/README.md": b"no code",
    ".venv/pyvenv.cfg": b"",
    ".venv/hidden.py": b"import os\n",
    "env/pyvenv.cfg": b"",
    "env/lib.py": b"import os\n",
    "node_modules/tool.py": b"import os\n",
    ".bandit": b"[bandit]\nskips: B602\n",
    "ruff.toml": b'lint.select = ["RUF100"]\n',
    "deeper/.bandit": b"[bandit]\nskips: B602\n",
}


def make_project(root: Path) -> Path:
    """`PROJECT` below `root`, with symbolic links among its files."""
    for name, content in PROJECT.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    (root / "app/link.py").symlink_to("style.py")
    (root / "app/dangling.py").symlink_to("nowhere.py")
    (root / "app/loop").symlink_to("..")
    return root


def orchestrate(*arguments: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    """The command line in a process of its own, without an activated environment."""
    environment = {
        "HOME": str(cwd),
        "PATH": os.defpath,
        "PYTHONPATH": str(ROOT),
        "MPLCONFIGDIR": str(cwd / "mpl"),
        "COLUMNS": "120",
    }
    command = [sys.executable, "-m", "orchestrator_nb", *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=110, check=False)


# -- the whole ---------------------------------------------------------------------------------------------------------


def review(target: Path, workplace: Path) -> Path:
    """The folder of results of a review of `target`, called from `workplace`."""
    workplace.mkdir()
    done = orchestrate("run", PIPELINE, "-p", f"target={target}", "-o", workplace / "results", cwd=workplace)
    assert done.returncode == 0, done.stdout + done.stderr
    return workplace / "results"


@pytest.fixture(scope="module")
def reviewed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where a review of the project was called from; its results are in `results`."""
    base = tmp_path_factory.mktemp("first place")
    review(make_project(base / "project"), base / "work")
    return base / "work"


def test_every_check_has_its_findings_and_nothing_else_is_in_the_document(reviewed: Path) -> None:
    document = (reviewed / "results" / "final_output.md").read_text("utf-8")
    assert "app/style.py:1" in document  # unused import: Agent-02
    assert "app/risky code.py:5" in document  # shell=True: Agent-03, whatever .bandit says
    assert "B602" in document
    assert "app/settings.py:32" in document  # a literal that bandit's SARIF writer cannot take
    assert "app/slow.py:4" in document  # PERF401: Agent-04
    assert "`tangled` has a complexity of 26 (rank D)" in document.replace("\\", "")
    assert "invalid-syntax" in document
    assert "Verdict: changes needed" in document
    for agent in ("Agent-02", "Agent-03", "Agent-04", "Agent-05"):
        assert f"from {agent}" in document, agent
    for left_out in ("hidden.py", "env/lib.py", "tool.py", "link.py", "with,comma", "RUF100"):
        assert left_out not in document
    assert str(reviewed.parent) not in document
    assert not re.search(r"\d{4}-\d\d-\d\d|\d\d:\d\d:\d\d|[Dd]uration", document)
    assert "(outputs/metrics/code_metrics-1.png)" in document


def test_equal_code_elsewhere_gives_equal_bytes(reviewed: Path, tmp_path: Path) -> None:
    again = review(make_project(tmp_path / "second" / "project"), tmp_path / "work")
    for file in ("final_output.md", "outputs/metrics/code_metrics-1.png", "outputs/T-01/files.json"):
        assert (again / file).read_bytes() == (reviewed / "results" / file).read_bytes(), file


def test_a_fork_takes_over_what_is_unchanged(reviewed: Path) -> None:
    forked = orchestrate("fork", "latest", "T-05", "--quiet", cwd=reviewed)
    assert forked.returncode == 0, forked.stderr
    shown = [orchestrate("show", task, "--json", cwd=reviewed).stdout for task in ("T-02", "metrics", "T-05")]
    assert [bool(json.loads(task)["reused_from"]) for task in shown] == [True, True, False]


def test_what_cannot_be_reviewed_is_said_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    empty = orchestrate("run", PIPELINE, "-p", "target=empty", cwd=tmp_path)
    assert empty.returncode == 1
    assert "there is no Python code in" in empty.stdout + empty.stderr
    missing = orchestrate("run", PIPELINE, "-p", "target=nowhere", cwd=tmp_path)
    assert missing.returncode == 2
    assert str(tmp_path / "nowhere") in missing.stderr
    none = orchestrate("run", PIPELINE, cwd=tmp_path)
    assert none.returncode == 2
    assert "-p target=" in none.stderr
    assert "Traceback" not in empty.stderr + missing.stderr + none.stderr


# -- its functions -----------------------------------------------------------------------------------------------------


def test_sources_are_found_in_order_and_all_else_is_left_out_with_a_reason(tmp_path: Path) -> None:
    root, names, skipped = find_sources(make_project(tmp_path))
    assert root == tmp_path
    assert names == sorted(names)
    kept = {name for name in PROJECT if name.startswith("app/") and name.endswith(".py")}
    assert set(names) == kept - {"app/with,comma.py", "app/huge.py"}
    assert {item["path"]: item["reason"] for item in skipped} == {
        "app/dangling.py": "a symbolic link",
        "app/huge.py": "2,000,003 bytes, more than 2,000,000",
        "app/link.py": "a symbolic link",
        "app/with,comma.py": "its name cannot be given to the tools",
        "env": "a virtual environment",
    }


def test_one_file_is_reviewed_in_its_directory(tmp_path: Path) -> None:
    make_project(tmp_path)
    assert find_sources(tmp_path / "app" / "style.py") == (tmp_path / "app", ["style.py"], [])
    with pytest.raises(AgentError, match=r"README.md is no Python file"):
        find_sources(tmp_path / "app" / "README.md")


def test_a_file_that_is_nested_too_deeply_for_the_tools_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("x = 1\n")
    (tmp_path / "sum.py").write_text("x = " + "-" * 100_000 + "1\n")
    _, inventory = take_inventory(tmp_path)
    assert [file["path"] for file in inventory["files"]] == ["a.py"]
    assert inventory["skipped"] == [{"path": "sum.py", "reason": "nested too deeply"}]


def test_no_code_names_what_was_left_out(tmp_path: Path) -> None:
    (tmp_path / "a.py").symlink_to("b.py")
    with pytest.raises(AgentError, match=r"no Python code in .*; left out: a.py \(a symbolic link\)"):
        take_inventory(tmp_path)


@pytest.mark.parametrize(
    ("name", "lines", "problem"),
    [
        ("app/__init__.py", 0, ""),
        ("app/style.py", 7, ""),
        ("app/broken.py", 1, "line 1: invalid syntax"),
        ("app/latin.py", 2, "not UTF-8"),
        ("app/nul.py", 1, "null bytes"),
        ("app/deep.py", 1, "too many nested parentheses"),
    ],
)
def test_files_are_examined_without_ever_failing(tmp_path: Path, name: str, lines: int, problem: str) -> None:
    file = examine(make_project(tmp_path), name)
    assert file["path"] == name
    assert file["lines"] == lines
    assert problem in file["problem"]
    assert bool(file["problem"]) == bool(problem)


def test_examining_counts_what_a_file_defines(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("class A:\n    def f(self): ...\n    async def g(self): ...\ndef h():\n    '\\d'\n")
    file = examine(tmp_path, "a.py")
    assert (file["classes"], file["functions"], file["lines"], file["problem"]) == (1, 3, 5, "")


def test_lists_for_the_tools() -> None:
    assert arguments(["-r.py", "a b.py"]) == "./-r.py\n./a b.py\n"
    assert arguments([]) == "-\n"
    assert bandit_targets(["a b.py", "100%.py"]) == "[bandit]\ntargets = a b.py,100%%.py\n"


def test_the_report_counts_and_judges() -> None:
    checks = {
        "style": {"findings": [{"message": "x", "severity": "low"}, {"message": "y"}]},
        "security": {"summary": "Bandit: no findings"},
    }
    report = write_report("/somewhere/project", {"files": 1, "lines": 1200}, checks)
    assert report.summary == (
        "Reviewed project: 1 file, 1,200 lines. 2 findings: 1 medium, 1 low. Verdict: good, with remarks."
    )
    assert report.metrics == {"style findings": 2, "security findings": 0}
    assert report.findings == ()
    assert (verdict({}), verdict({"high": 1}), verdict({"critical": 1})) == (
        "clean",
        "changes needed",
        "changes needed",
    )


# -- its notebook ------------------------------------------------------------------------------------------------------


def test_the_notebook_works_by_itself_and_is_stored_without_outputs(tmp_path: Path) -> None:
    notebook = ROOT / "notebooks" / "code_metrics.ipynb"
    stored = json.loads(notebook.read_text("utf-8"))
    assert all(not cell.get("outputs") and not cell.get("execution_count") for cell in stored["cells"])

    executed = tmp_path / "executed.ipynb"
    command = [sys.executable, "-m", "papermill", notebook, executed, "-p", "root", "pipelines", "-k", "python3"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "JUPYTER_PREFER_ENV_PATH": "1"}
    done = subprocess.run(
        command, cwd=notebook.parent, env=environment, capture_output=True, text=True, timeout=110, check=False
    )
    assert done.returncode == 0, done.stderr
    *_, report = json.loads(executed.read_text("utf-8"))["cells"]
    assert report["outputs"][0]["data"]["application/json"]["metrics"]["files"] == 2
