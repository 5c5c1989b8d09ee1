from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator_nb.agents.coding import streams
from orchestrator_nb.agents.coding.streams import Lines, Reader, record_of
from orchestrator_nb.agents.coding.vocabulary import AgentEvent, Unknown


@given(st.lists(st.binary(max_size=20)), st.lists(st.integers(0, 300), max_size=10))
def test_lines_do_not_depend_on_chunks(parts: list[bytes], cuts: list[int]) -> None:
    output = b"\n".join(parts)
    edges = sorted({0, len(output), *(cut for cut in cuts if cut < len(output))})
    lines = Lines()
    found = [line for a, b in zip(edges, edges[1:], strict=False) for line in lines.feed(output[a:b])] + lines.end()
    expected = [(number, line) for number, line in enumerate(output.split(b"\n"), 1) if line and not line.isspace()]
    assert found == expected


def test_a_line_of_ten_megabytes_is_kept_whole() -> None:
    lines, line = Lines(), json.dumps({"text": "x" * 10_000_000}).encode()
    chunks = [line[at : at + 65_536] for at in range(0, len(line), 65_536)]
    assert [found for chunk in chunks for found in lines.feed(chunk)] == []
    assert lines.feed(b"\n{}\n") == [(1, line), (2, b"{}")]
    assert lines.overlong == 0


def test_a_longer_line_than_memory_allows_is_cut_and_counted() -> None:
    lines = Lines(longest=10_000)
    found = [line for _ in range(100) for line in lines.feed(b'{"text": "' + b"x" * 1000)]
    assert found == []
    assert lines.feed(b'"}\n{"next": 1}\n')[1] == (2, b'{"next": 1}')
    assert lines.overlong == 1


def test_what_a_cut_line_held_is_unknown_not_lost() -> None:
    def read(number: int, line: bytes) -> list[AgentEvent]:
        return [] if record_of(line) else [Unknown(number, "text")]

    reader = Reader(read, longest=100)
    assert reader.feed(b'{"text": "' + b"x" * 5000 + b'"}\n{"a": 1}\n') == [Unknown(1, "text")]


def test_a_last_line_without_newline_counts() -> None:
    lines = Lines()
    assert lines.feed(b"one\n\n  \ntwo") == [(1, b"one")]
    assert lines.end() == [(4, b"two")]
    assert lines.end() == []


@pytest.mark.parametrize(
    ("line", "record"),
    [
        (b'{"a": 1}', {"a": 1}),
        (b' {"a": 1} \r', {"a": 1}),
        (b'{"a": "\xff\xfe"}', {"a": "��"}),
        (b'{"a": "x\x00y\ttab"}', {"a": "x\x00y\ttab"}),
        (b'{"a": NaN, "b": 1e999}', None),
        (rb'{"a": "\ud800 \ude00 \ud83d\ude00"}', {"a": "� � \U0001f600"}),
        (b'{"a": 1, "a": 2}', {"a": 2}),
        (b"[1]", None),
        (b'"text"', None),
        (b"{", None),
        (b'{"a": 1} {"b": 2}', None),
        (b'{"a":' * 100_000, None),
        (b"", None),
    ],
)
def test_records_of_odd_lines(line: bytes, record: dict[str, Any] | None) -> None:
    found = record_of(line)
    if b"NaN" in line:
        assert found is not None
        assert streams.number_in(found, "a") is streams.number_in(found, "b") is None
    else:
        assert found == record
    json.dumps(found).encode("utf-8")


def test_numbers_that_are_none() -> None:
    table = {"ok": 3, "whole": 3.0, "half": 0.5, "true": True, "text": "3", "minus": -1, "huge": 10**30, "none": None}
    assert [streams.count_in(table, key) for key in (*table, "missing")] == [3, 3, 0, 0, 0, 0, 0, 0, 0]
    assert [streams.number_in(table, key) for key in table] == [3.0, 3.0, 0.5, None, None, None, None, None]
    assert [streams.code_in(table, key) for key in ("ok", "minus", "true", "huge", "text")] == [3, -1, None, None, None]


def test_texts_in_parts() -> None:
    content = {"content": [{"type": "text", "text": "one"}, {"type": "image"}, "two", 3]}
    assert streams.words_in(content, "content") == "one\ntwo"
    assert streams.words_in({"content": {"text": "x"}}, "content") == ""


def test_the_argument_that_says_most() -> None:
    assert streams.summary_of({"description": "d", "command": "ls -l"}) == "ls -l"
    assert streams.summary_of({"command": ["bash", "-lc", "ls"]}) == "bash -lc ls"
    assert streams.summary_of({"b": 1, "a": [2]}) == '{"a": [2], "b": 1}'
    assert streams.summary_of({}) == ""
