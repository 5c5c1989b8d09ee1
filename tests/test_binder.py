"""`binder/` as repo2docker reads it: a local install of this project with Python, and nothing that hides it."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

ROOT = Path(__file__).parents[1]
BINDER = ROOT / "binder"
#: What repo2docker looks for before `requirements.txt`, in its order, and files that would change the image.
BEFORE = ("Dockerfile", "Project.toml", "REQUIRE", "default.nix", "install.R", "DESCRIPTION", "environment.yml",
          "Pipfile", "Pipfile.lock", "setup.py")  # fmt: skip


@pytest.fixture(scope="module")
def project() -> dict[str, object]:
    table = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert isinstance(table, dict)
    return table


def requirements() -> list[str]:
    lines = (re.sub(r"(^|\s)#.*", "", line).strip() for line in (BINDER / "requirements.txt").read_text().splitlines())
    return [line for line in lines if line]


def test_there_is_one_folder_and_python_is_what_is_found_in_it() -> None:
    assert not (ROOT / ".binder").exists()  # both are an error
    assert [name for name in BEFORE if (BINDER / name).exists()] == []


def test_this_project_is_installed_from_where_it_lies(project: dict[str, object]) -> None:
    """pip runs in the repository's root; only a local line lets repo2docker stage the whole repository before."""
    local = [line for line in requirements() if line.startswith(".")]
    assert len(local) == 1
    parts = re.fullmatch(r"\.\[(\w+)\]", local[0])
    assert parts is not None
    extras = project["optional-dependencies"]
    assert isinstance(extras, dict)
    assert parts[1] in extras
    assert (ROOT / "pyproject.toml").is_file()


def test_the_other_requirements_can_be_read_and_are_what_the_tests_use(project: dict[str, object]) -> None:
    others = [Requirement(line) for line in requirements() if not line.startswith(".")]
    extras = project["optional-dependencies"]
    assert isinstance(extras, dict)
    tested = {Requirement(line).name: Requirement(line) for line in extras["test"]}
    assert [each.name for each in others if tested.get(each.name) is None] == []
    assert [each.name for each in others if each.specifier != tested[each.name].specifier] == []


def test_its_python_is_one_that_the_project_supports(project: dict[str, object]) -> None:
    version = re.fullmatch(r"python-(3\.\d+)\n?", (BINDER / "runtime.txt").read_text())
    assert version is not None
    assert version[1] in SpecifierSet(str(project["requires-python"]))
    assert f"Programming Language :: Python :: {version[1]}" in str(project["classifiers"])


def test_the_link_opens_a_tutorial_that_is_there() -> None:
    assert (ROOT / "notebooks" / "01-first-run.ipynb").is_file()
    links = re.findall(
        r"mybinder\.org/v2/\S+?urlpath=(?:lab/tree/|lab%2Ftree%2F)([^)\s]+)", (ROOT / "README.md").read_text()
    )
    assert [link for link in links if not (ROOT / link.replace("%2F", "/")).is_file()] == []
