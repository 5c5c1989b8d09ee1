"""Values on a command line, in papermill's order."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest

from orchestrator_nb.errors import ParameterError
from orchestrator_nb.ipynb.given import Text, gather


def test_what_comes_later_wins(tmp_path: Path) -> None:
    file = tmp_path / "f.yaml"
    file.write_text("{b: file, c: file, d: file, e: file}")
    given = gather(
        texts=["d=-p", "e=-p"],
        raw=["e=-r"],
        yaml=["{c: -y, d: -y, e: -y}"],
        files=[file],
        encoded=[base64.b64encode(b"{a: -b, b: -b, e: -b}").decode()],
    )
    assert given == {"a": "-b", "b": "file", "c": "-y", "d": "-p", "e": "-r"}


def test_text_that_is_meant_as_text_is_marked() -> None:
    given = gather(["a=5", "b=None"], ["c=5"], ["d: '5'\ne: 5\nf: 2025-01-02\ng: [x, null]"])
    assert given == {"a": "5", "b": None, "c": "5", "d": "5", "e": 5, "f": "2025-01-02", "g": ["x", None]}
    assert [name for name, value in given.items() if isinstance(value, Text)] == ["d", "f", "c"]


def test_nothing_gives_nothing(tmp_path: Path) -> None:
    (tmp_path / "empty").write_text("")
    assert gather(yaml=["", "null"], files=[tmp_path / "empty"], encoded=[""]) == {}


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"texts": ["a"]}, "-p a: write NAME=VALUE"),
        ({"raw": ["=a"]}, "-r =a: write NAME=VALUE"),
        ({"yaml": ["- 1"]}, "-y '- 1': write a mapping"),
        ({"yaml": ["1: a"]}, "write a mapping"),
        ({"yaml": ["a: ["]}, "-y 'a: [' is not YAML: while parsing"),
        ({"yaml": ["a: !!python/object:os.system x"]}, "is not YAML: could not determine a constructor"),
        ({"yaml": ["a: &a [*a]"]}, "a value holds itself"),
        ({"yaml": ["a: " + "[" * 5000]}, "is not YAML"),
        ({"files": [Path("none.yaml")]}, "-f none.yaml cannot be read: No such file"),
        ({"encoded": ["%%"]}, "-b '%%' is not base64"),
        ({"encoded": ["/w=="]}, "is not YAML"),
    ],
)
def test_what_cannot_be_read_is_named(options: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ParameterError) as caught:
        gather(**options)
    assert complaint in str(caught.value)


def test_a_bomb_of_anchors_is_refused() -> None:
    lines = ["a0: &a0 [x, x]", *(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]" for n in range(1, 40))]
    with pytest.raises(ParameterError, match="more than 100,000 values"):
        gather(yaml=["\n".join(lines)])
