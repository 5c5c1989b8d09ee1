"""Safe text: what is taken out, what is shown, and Markdown that shows the text it was given."""

from __future__ import annotations

import time
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator_nb.projections.text import (
    MAX_LINE,
    Cleaner,
    clean,
    code,
    fence,
    gist,
    image,
    inline,
    link,
    one_line,
    table,
)
from tests.markdown import PARSER, shown, skeleton

#: Texts made of what matters here more often than chance would.
nasty = st.lists(
    st.sampled_from(
        ["\x1b", "[", "]", "31m", "0;x", "\x07", "\\", "\x9b", "\x9d", "\r", "\n", "a", "é", "🟡", "\u202e", "P", " "]
    )
    | st.characters(codec="utf-8"),
    max_size=40,
).map("".join)
markup = st.text(st.sampled_from("`|\\*_[]()<>#&;!~$-=+.:1a x\n"), max_size=30) | st.text(max_size=30)


def test_plain_text_stays_as_it_is() -> None:
    text = "Zeile 1\n\tZeile 2 äöü 🟡 ⚙️ ✅\n"
    assert clean(text) == text
    assert clean(text.encode()) == text
    assert clean(b"") == ""


@pytest.mark.parametrize(
    ("raw", "safe"),
    [
        ("\x1b[1;31mred\x1b[0m", "red"),
        ("\x1b]0;title\x07x", "x"),
        ("\x1b]8;;http://evil\x1b\\text\x1b]8;;\x1b\\", "text"),
        ("\x9b31mred", "red"),
        ("\x1bPq sixel\x1b\\x", "x"),
        ("\x1b(B\x1b=\x1b7x", "x"),
        ("a\x00\x07\x08\x7fb", "ab"),
        ("a\u202eb\u2066c", "a⟨U+202E⟩b⟨U+2066⟩c"),
        ("zero\u200bwidth", "zero⟨U+200B⟩width"),
        ("tag\U000e0041", "tag⟨U+E0041⟩"),
        ("\ud800x", "\ufffdx"),
        ("10%\r20%\r30%\n", "30%\n"),
        ("line\r\nline\r\n", "line\nline\n"),
        ("\x1b]never ends", "never ends"),
    ],
)
def test_what_is_taken_out_and_what_is_shown(raw: str, safe: str) -> None:
    assert clean(raw) == safe


def test_bytes_are_capped_before_they_are_decoded() -> None:
    assert clean("ä".encode() * 10, limit=5) == "ää\n… [15 more bytes]\n"
    assert clean("x" * 10, limit=4) == "xxxx\n… [6 more characters]\n"
    assert clean(b"\xef\xbb\xbfwith a mark") == "with a mark"


@settings(max_examples=150, deadline=None)
@given(nasty, st.lists(st.integers(0, 200), max_size=6))
def test_a_stream_is_cleaned_alike_wherever_it_is_cut(text: str, cuts: list[int]) -> None:
    data = text.encode("utf-8", "surrogatepass")
    whole = Cleaner()
    expected = whole.feed(data) + whole.end()
    cleaner = Cleaner()
    edges = [0, *sorted(cut for cut in cuts if cut < len(data)), len(data)]
    parts = [cleaner.feed(data[start:end]) for start, end in pairwise(edges)]
    assert "".join(parts) + cleaner.end() == expected
    assert not set(expected) & {"\x1b", "\x9b", "\x9d", "\r", "\x07"}
    assert cleaner.lossy == whole.lossy


def test_a_line_is_passed_on_when_it_is_finished() -> None:
    cleaner = Cleaner()
    assert cleaner.feed(b"10%\r20%") == ""
    assert cleaner.unfinished == "20%"
    assert cleaner.feed(b"\r30%\nnext") == "30%\n"
    assert not cleaner.lossy
    assert cleaner.feed(b" \xff") == ""
    assert cleaner.lossy
    assert cleaner.end() == "next \ufffd"


def test_a_line_without_end_takes_no_memory() -> None:
    cleaner = Cleaner()
    passed_on = sum(len(cleaner.feed(b"x" * 10_000)) for _ in range(100))
    assert passed_on + len(cleaner.unfinished) == 1_000_000
    assert len(cleaner.unfinished) <= MAX_LINE


@pytest.mark.parametrize("unit", ["\x1b]", "\x9d", "\x1b[", "\x1b[1;", "\x1b", "\x1b[ ", "\r", "`", "_", "#"])
def test_no_text_takes_long(unit: str) -> None:
    text = unit * (200_000 // len(unit))
    begun = time.process_time()
    clean(text)
    inline(text)
    fence(text)
    Cleaner().feed(text.encode())
    assert time.process_time() - begun < 3


def test_one_line_is_one_line_of_limited_width() -> None:
    assert one_line("  a\n\n b\tc  ") == "a b c"
    assert one_line("word " * 100, 20) == "word word word word…"
    assert one_line("x" * 10_000, 10) == "x" * 9 + "…"
    assert len(one_line("\u202e" * 500, 40)) == 40


# -- Markdown ----------------------------------------------------------------------------------------------------------


@settings(max_examples=150, deadline=None)
@given(markup)
def test_inline_shows_the_text_and_nothing_else(text: str) -> None:
    expected = one_line(text)
    for document in (f"# {inline(text)}\n", f"- {inline(text)}\n", f"{inline(text)}\n"):
        tokens = PARSER.parse(document)
        assert skeleton(document) == skeleton(document.replace(inline(text), "x" if expected else "")), document
        kinds = {child.type for token in tokens for child in token.children or ()}
        assert kinds <= {"text", "text_special", "code_inline"}
        assert _letters(shown(document)) == _letters(expected)


def _letters(text: str) -> str:
    """What must be the same: backticks may have become code, and spaces beside them are trimmed."""
    return "".join(text.replace("`", "").split())


@settings(max_examples=150, deadline=None)
@given(st.lists(markup, min_size=2, max_size=2), st.sampled_from([inline, code]))
def test_cells_cannot_leave_their_table(cells: list[str], write: object) -> None:
    assert callable(write)
    document = table(("A", "B"), [[write(cell) for cell in cells]])
    assert skeleton(document) == skeleton(table(("A", "B"), [["x", "x"]]))


@settings(max_examples=150, deadline=None)
@given(nasty | markup)
def test_a_fence_holds_whatever_is_in_it(text: str) -> None:
    document = f"before\n\n{fence(text, 'text')}\nafter\n"
    tokens = PARSER.parse(document)
    assert [token.type for token in tokens if token.level == 0] == [
        "paragraph_open", "paragraph_close", "fence", "paragraph_open", "paragraph_close",
    ]  # fmt: skip
    held = next(token for token in tokens if token.type == "fence").content
    assert held.rstrip("\n") == clean(text).rstrip("\n")


def test_words_between_backticks_stay_code() -> None:
    assert inline("unused import `os.path`") == "unused import `os.path`"
    assert inline("a ` b") == "a \\` b"
    assert inline("`a | b`") == "\\`a \\| b\\`"
    assert code("a`b") == "``a`b``"
    assert code("`") == "`` ` ``"


@settings(max_examples=150, deadline=None)
@given(st.text(max_size=20), st.text(min_size=1, max_size=20))
def test_links_lead_where_they_should(label: str, target: str) -> None:
    for document in (link(label, target), image(label, target)):
        kinds = [child.type for token in PARSER.parse(document) for child in token.children or ()]
        assert sum(kind in ("link_open", "image") for kind in kinds) == 1
        assert "softbreak" not in kinds


def test_the_gist_of_a_question_ends_before_its_first_table_or_block() -> None:
    assert gist("Go?") == "Go?"
    assert gist("Carry it out?\n\nTwo tasks.\n\n| Task |\n| --- |\n") == "Carry it out?\n\nTwo tasks.\n"
    assert gist("Which?\n  ```json\n{}\n```") == "Which?"
    assert gist("\n| only |\n| --- |") == "\n| only |\n| --- |"
