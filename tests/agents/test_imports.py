from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from orchestrator_nb.agents.imports import load, source_of, written
from orchestrator_nb.errors import AgentError


@pytest.fixture(autouse=True)
def path_is_left_alone() -> Iterator[None]:
    before = list(sys.path)
    yield
    assert sys.path == before


def write(path: Path, source: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(source)
    return path


def test_a_module_beside_the_plan_is_found_with_its_neighbours(tmp_path: Path) -> None:
    write(tmp_path / "imp_a" / "tools.py", "from imp_a.help import value\nimport imp_a_flat\ndef f(): return value\n")
    write(tmp_path / "imp_a" / "help.py", "value = 7\n")
    write(tmp_path / "imp_a_flat.py", "")
    assert load("imp_a.tools:f", [str(tmp_path)])() == 7


def test_a_package_and_a_nested_name_are_found(tmp_path: Path) -> None:
    write(tmp_path / "imp_b" / "__init__.py", "class Box:\n    @staticmethod\n    def f(): return 'in a box'\n")
    assert load("imp_b:Box.f", [str(tmp_path)])() == "in a box"


def test_what_is_installed_needs_no_root() -> None:
    assert load("json:dumps", [])([1]) == "[1]"


def test_no_file_takes_the_place_of_the_standard_library(tmp_path: Path) -> None:
    write(tmp_path / "json.py", "def dumps(_): return 'mine'\n")
    (tmp_path / "statistics").mkdir()
    assert load("json:dumps", [str(tmp_path)])([1]) == "[1]"
    assert load("statistics:mean", [str(tmp_path)])([1, 3]) == 2


def test_an_edited_module_is_imported_anew(tmp_path: Path) -> None:
    module = write(tmp_path / "imp_c" / "tools.py", "from imp_c.help import f\n")
    helper = write(tmp_path / "imp_c" / "help.py", "def f(): return 1\n")
    first = load("imp_c.tools:f", [str(tmp_path)])
    assert load("imp_c.tools:f", [str(tmp_path)]) is first
    helper.write_text("def f(): return 22\n")
    os.utime(helper, ns=(1, module.stat().st_mtime_ns + 10**9))
    assert load("imp_c.tools:f", [str(tmp_path)])() == 22
    assert first() == 1


def test_plans_in_two_directories_may_use_the_same_names(tmp_path: Path) -> None:
    for name in ("one", "two"):
        write(tmp_path / name / "imp_d" / "tools.py", f"def f(): return {name!r}\n")
    assert [load("imp_d.tools:f", [str(tmp_path / name)])() for name in ("one", "two", "one")] == ["one", "two", "one"]


def test_a_name_that_is_loaded_from_elsewhere_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "pytest.py", "def f(): pass\n")
    with pytest.raises(AgentError, match=r"module 'pytest' of .* is loaded already, .*`isolate: process`"):
        load("pytest:f", [str(tmp_path)])


@pytest.mark.parametrize(
    ("reference", "words"),
    [
        ("imp_none:f", "no module 'imp_none' in "),
        ("imp_e.none:f", "no module 'imp_e.none' in "),
        ("imp_e.tools:prase", "has no function 'prase'; did you mean 'parse'?"),
        ("imp_e.syntax:f", "cannot be imported: "),
        ("imp_e:", "must be written as module:name"),
        ("imp_e.tools", "must be written as module:name"),
        ("../imp_e:f", "must be written as module:name"),
        ("imp_e.tools:f()", "must be written as module:name"),
    ],
)
def test_a_bad_reference_is_explained_before_and_during_the_run(tmp_path: Path, reference: str, words: str) -> None:
    write(tmp_path / "imp_e" / "tools.py", "def parse(): pass\n")
    write(tmp_path / "imp_e" / "syntax.py", "def f(:\n")
    for look in (written, load):
        with pytest.raises(AgentError) as error:
            look(reference, [str(tmp_path)])  # type: ignore[operator]
        assert words in str(error.value)


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("import imp_not_installed\n", "No module named 'imp_not_installed'; is it installed?"),
        ("raise RuntimeError('bad day')\n", "RuntimeError: bad day"),
    ],
)
def test_a_module_that_fails_says_why(tmp_path: Path, source: str, words: str) -> None:
    write(tmp_path / "imp_f.py", source)
    with pytest.raises(AgentError) as error:
        load("imp_f:f", [str(tmp_path)])
    assert words in str(error.value)


def test_a_module_that_only_lives_in_memory_is_used(tmp_path: Path) -> None:
    module = ModuleType("imp_memory")
    module.f = lambda: 5  # type: ignore[attr-defined]
    sys.modules["imp_memory"] = module
    assert written("imp_memory:f", [str(tmp_path)]) is None
    assert load("imp_memory:f", [str(tmp_path)])() == 5


def test_looking_before_the_run_imports_nothing(tmp_path: Path) -> None:
    source = write(tmp_path / "imp_g" / "tools.py", "raise SystemExit\ndef f(): pass\n")
    write(tmp_path / "imp_g" / "__init__.py", "raise SystemExit\n")
    write(tmp_path / "imp_h.py", "from os.path import *\n")
    found = written("imp_g.tools:f", [str(tmp_path)])
    assert found is not None
    assert found.name == "f"
    assert written("imp_h:anything", [str(tmp_path)]) is None
    assert written("math:sqrt", [str(tmp_path)]) is None
    assert source_of("imp_g.tools", [str(tmp_path)]) == source
    assert "imp_g" not in sys.modules
