"""The package as a whole: what importing it costs and does, its public names, its layers, its form."""

from __future__ import annotations

import ast
import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import orchestrator_nb

PACKAGE = Path(orchestrator_nb.__file__).parent
ROOT = PACKAGE.parent
MODULES = sorted(PACKAGE.rglob("*.py"))

#: Modules that have a reason to be longer than `MAX_LINES`.
LONG = {
    "core/events.py",  # every event that a log may hold
    "core/state.py",  # the fold over all events
}
MAX_LINES = 420

HEAVY = ("ipywidgets", "papermill", "matplotlib", "networkx", "pydantic", "nbformat", "IPython", "asyncio", "rich")

IMPORT = """
import sys, time
began = time.process_time()
import orchestrator_nb
cost = time.process_time() - began
import json, threading
print(json.dumps({"cost": cost, "modules": sorted(sys.modules), "threads": threading.active_count()}))
"""


@pytest.fixture
def imported(tmp_path: Path) -> dict[str, object]:
    """What a fresh interpreter says after importing the package, in an empty directory that must stay empty."""
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-B", "-W", "error", "-c", IMPORT],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stderr == ""
    assert done.stdout.count("\n") == 1
    assert list(tmp_path.rglob("*")) == []
    said: dict[str, object] = json.loads(done.stdout)
    return said


def test_importing_is_cheap_and_has_no_side_effect(imported: dict[str, object]) -> None:
    modules = imported["modules"]
    assert isinstance(modules, list)
    assert [name for name in HEAVY if name in modules] == []
    assert imported["threads"] == 1
    assert isinstance(imported["cost"], float)
    assert imported["cost"] < 0.5


def test_public_names_are_sorted_and_exist() -> None:
    assert list(orchestrator_nb.__all__) == sorted(orchestrator_nb.__all__)
    assert [name for name in orchestrator_nb.__all__ if not hasattr(orchestrator_nb, name)] == []
    assert set(orchestrator_nb.__all__) <= set(dir(orchestrator_nb))
    with pytest.raises(AttributeError, match="no_such_name"):
        orchestrator_nb.no_such_name  # noqa: B018 - looking it up is the test


def test_imports_run_downward_only() -> None:
    if importlib.util.find_spec("importlinter") is None:
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)("needs import-linter")
    program = "from importlinter.cli import lint_imports_command as lint; lint(['--no-cache'])"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=100, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 broken" in done.stdout


def test_every_module_is_typed_documented_and_short() -> None:
    assert (PACKAGE / "py.typed").exists()
    lengths = {path.relative_to(PACKAGE).as_posix(): len(path.read_text("utf-8").splitlines()) for path in MODULES}
    assert {name for name, length in lengths.items() if length > MAX_LINES} == LONG
    missing = [fault for path in MODULES for fault in undocumented(path)]
    assert missing == []


def undocumented(path: Path) -> Iterator[str]:
    """The module, and its public classes, methods and functions, that have no docstring."""
    tree = ast.parse(path.read_text("utf-8"))
    name = path.relative_to(PACKAGE).as_posix()
    if not ast.get_docstring(tree):
        yield name
    for node in public(tree):
        if not ast.get_docstring(node):
            yield f"{name}: {node.name}"
        if isinstance(node, ast.ClassDef):
            yield from (f"{name}: {node.name}.{item.name}" for item in public(node) if not ast.get_docstring(item))


def public(node: ast.Module | ast.ClassDef) -> Iterator[ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef]:
    """The public definitions right in `node`; overloads are documented by what they overload."""
    for item in node.body:
        if not isinstance(item, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) or item.name.startswith("_"):
            continue
        if not any(isinstance(mark, ast.Name) and mark.id == "overload" for mark in item.decorator_list):
            yield item


def test_row_D5_only_the_supervisor_forks() -> None:
    """A fork in a process with threads can hang; the supervisor has one thread, everything else starts programs."""
    forking = {"fork", "forkpty", "multiprocessing", "ProcessPoolExecutor", "preexec_fn", "pty"}
    offenders = [
        path.relative_to(PACKAGE).as_posix()
        for path in MODULES
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if (isinstance(node, ast.Attribute) and node.attr in forking and ast.unparse(node.value) in ("os", "pty"))
        or (isinstance(node, ast.keyword) and node.arg in forking)
        or (isinstance(node, ast.Import | ast.ImportFrom) and any(alias.name in forking for alias in node.names))
    ]
    assert {name.partition("/_")[0] for name in offenders} <= {"system"}, offenders


def test_the_tests_mirror_the_package() -> None:
    """A test file is named after its module, or by the beginning that several share; the program's after a topic."""
    packages = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    files = {package: sorted((ROOT / "tests" / package).glob("test_*.py")) for package in packages}
    assert [package for package, tests in files.items() if not tests] == []
    strays = [
        path.relative_to(ROOT).as_posix()
        for package in packages - {"cli"}
        for path in files[package]
        if not any(PACKAGE.joinpath(package).glob(f"*{path.stem.removeprefix('test_')}*"))
    ]
    assert strays == []


def test_the_top_level_holds_what_the_design_says() -> None:
    """No stray folders: what belongs to nobody is kept by nobody."""
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False).stdout
    tops = {line.partition("/")[0] for line in listed.splitlines()}
    if not tops:
        pytest.skip("not a git checkout")
    visible = {top for top in tops if not top.startswith(".")}
    assert visible <= {
        "CHANGELOG.md",
        "LICENSE",
        "README.md",
        "binder",
        "notebooks",
        "orchestrator_nb",
        "pyproject.toml",
        "tests",
    }
