"""Text of agents inside our documents."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator_nb.merging.embed import LIMIT, embed
from tests.markdown import PARSER


def written(text: str) -> str:
    return embed(text, printed=False, file="results/agent-01-result.md")


def test_markdown_is_quoted_with_its_headings_in_bold() -> None:
    assert written("# One #\ntext\n\nTwo\nlines\n===\n- item\n\n```python\n# code\n```\n| a |\n|---|\n| 1 |") == (
        "> **One**\n>\n> text\n>\n> **Two lines**\n>\n> - item\n"
        ">\n> ```python\n> # code\n> ```\n> | a |\n> |---|\n> | 1 |\n"
    )
    assert written("Plain words.\n") == "> Plain words.\n"
    assert written("a\n## **bold** already ##") == "> a\n>\n> **bold** already\n"


@pytest.mark.parametrize(
    "text",
    [
        "<div>raw", "a <b>c</b>", "<!-- open", "[a]: http://evil.example", "![x](http://evil.example/p.png)",
        "- # heading inside", "> ## heading inside", "[x](javascript:alert(1))", "<data:text/html,x>", "[x]: data:y",
    ],
)  # fmt: skip
def test_what_could_reach_out_of_a_quotation_is_fenced(text: str) -> None:
    assert written(text) == f"```text\n{text}\n```\n"


def test_what_a_program_printed_keeps_its_lines() -> None:
    assert embed("# a\nb\n", printed=True, file="") == "```text\n# a\nb\n```\n"


def test_long_texts_are_cut_at_a_line_and_linked() -> None:
    text = written("0123456789\n" * 10_000)
    assert len(text) < 2 * LIMIT
    assert text.endswith("… the rest is in [agent-01-result.md](results/agent-01-result.md)\n")
    assert set(text.split("\n\n")[0].splitlines()) == {"> 0123456789"}
    assert embed("x" * 50_000, printed=True, file="").endswith("\n…\n")


def test_nothing_is_said_to_be_nothing() -> None:
    assert written("\n \n") == "_(empty)_\n"


PIECES = ["#", " ", "\n", ">", "-", "`", "```", "~~~", "a", "|", "<", "=", "[", "]", ":", "1.", "\t", "*", "</b>", "\\"]


@settings(max_examples=150, deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=30).map("".join))
def test_whatever_it_is_it_stays_in_one_block(text: str) -> None:
    document = f"before\n\n{written(text)}\n## After\n"
    tokens = PARSER.parse(document)
    top = [token.type for token in tokens if token.level == 0]
    assert top[:2] == ["paragraph_open", "paragraph_close"]
    assert top[-2:] == ["heading_open", "heading_close"]
    assert top[2:-2] in (["blockquote_open", "blockquote_close"], ["fence"], ["paragraph_open", "paragraph_close"])
    assert sum(token.type == "heading_open" for token in tokens) == 1
