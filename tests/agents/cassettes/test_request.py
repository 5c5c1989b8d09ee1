"""What decides an attempt, and what is said where it differs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from orchestrator_nb.agents.cassettes.request import (
    Directories,
    differences,
    each_text,
    likeness,
    request_of,
    secrets_among,
    tree_differences,
)
from tests.agents.lab import Lab

PLACES = Directories({"session": "/w/.o/s1", "cwd": "/w", "plan": "/w/plans", "home": "/home/a", "id": "s1"})


@pytest.mark.parametrize(
    ("text", "portable"),
    [
        ("see /w/a.txt.", "see ${cassette.cwd}/a.txt."),
        ("/w/.o/s1/outputs/x and /w/plans/p.yaml", "${cassette.session}/outputs/x and ${cassette.plan}/p.yaml"),
        ("/work and /wide, /w-2", "/work and /wide, /w-2"),
        ("/home/a/.x, not /home/ab", "${cassette.home}/.x, not /home/ab"),
        ("branch orchestrator/s1", "branch orchestrator/${cassette.id}"),
        ("${cassette.cwd} as it is", "${cassette.dollar}{cassette.cwd} as it is"),
    ],
)
def test_directories_have_names(text: str, portable: str) -> None:
    assert PLACES.portable(text) == portable
    assert PLACES.here(portable) == text
    elsewhere = Directories({"session": "/x/s2", "cwd": "/x", "plan": "/x/p", "home": "/h", "id": "s2"})
    assert "/w/" not in elsewhere.here(portable)


def test_each_text_of_a_value() -> None:
    assert each_text({"a": ["b", 1, None], "c": {"d": ("e",)}}, str.upper) == {"A": ["B", 1, None], "C": {"D": ["E"]}}


def test_secrets_are_known_by_the_names_of_variables() -> None:
    variables = {"API_KEY": "12345678", "db_password": "abcdefgh", "MY_TOKEN": "short", "PATH": "/usr/bin:/bin"}
    assert set(secrets_among(variables)) == {"12345678", "abcdefgh"}


def test_the_same_on_every_machine(tmp_path: Path) -> None:
    def asked(name: str, content: str = "x", **more: Any) -> dict[str, Any]:
        (tmp_path / name).mkdir(exist_ok=True)
        lab = Lab(tmp_path / name)
        (lab.base / "data.txt").write_text(content)
        fields = {"agent": "model", "prompt": f"Look into {lab.base}", "parameters": {"model": "m", "stall": 3}, **more}
        assignment = lab.assignment(inputs={"data": lab.base / "data.txt"}, **fields)
        return request_of(assignment, "model", {"stall"}, {}, Directories.of(lab.context))

    one = asked("one")
    assert one == asked("two")
    assert one["prompt"] == "Look into ${cassette.cwd}"
    assert one["parameters"] == {"model": "m"}
    assert one != asked("three", content="y")
    assert one != asked("four", env={"A": "b"})
    assert one == asked("five", parameters={"model": "m", "stall": 9})


def test_what_differs_is_told() -> None:
    before = {"prompt": "a\nb\nc", "parameters": {"model": "m", "n": 1}, "inputs": {"x": "0" * 64, "y": "1" * 64}}
    now = {"prompt": "a\nB\nc", "parameters": {"model": "k"}, "inputs": {"x": "2" * 64, "z": "1" * 64}, "cwd": "d"}
    assert differences(before, now) == [
        'cwd: null → "d"',
        "inputs: 'x' has another content",
        "inputs: 'y' is missing now",
        "inputs: 'z' is new",
        'parameters: \'model\': "m" → "k"',
        "parameters: 'n' is missing now",
        "prompt:",
        "   a",
        "  -b",
        "  +B",
        "   c",
    ]
    assert differences(before, before) == []


def test_the_nearest_is_the_most_alike() -> None:
    asked = {"agent": "m", "prompt": "review the parser of the plan file", "cwd": "x"}
    near, far = {**asked, "prompt": "review the parser of plan files"}, {**asked, "prompt": "write a poem"}
    assert likeness(near, asked) > likeness(far, asked)
    assert likeness(asked, asked) > likeness(near, asked)


def test_files_that_differ_are_named() -> None:
    before, now = "1\ta\n2\tb\n3\tc\n", "1\ta\n9\tb\n4\td\n"
    assert tree_differences(before, now) == "new: d; gone: c; changed: b"
    assert tree_differences("", now) == ""
