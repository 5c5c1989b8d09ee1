"""Text as HTML: what Markdown becomes, what is refused, and that nothing takes long."""

from __future__ import annotations

import base64
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator_nb.projections.rendering import markdown_html, plain_html, text_html, value_html
from orchestrator_nb.projections.text import clean
from tests.payloads import PAYLOADS, problems, words

PNG = b"\x89PNG\r\n\x1a\n" + bytes(20)

#: Texts made of what matters in Markdown and HTML more often than chance would.
markup = st.lists(
    st.sampled_from(
        ["<", ">", "&", '"', "'", "[", "](", ")", "!", "`", "```\n", "*", "_", "~~", "|", "\n", "\n\n", "# "]
    )
    | st.sampled_from(
        ["|-|-|\n", "- ", "> ", "1. ", "$", "\\", "(", "http://x.y", "javascript:", "data:", "img", "<b x='"]
    )
    | st.sampled_from(["[a]: ", "    ", "\t", "\x1b[1m", "\u202e", "&#106;", "&amp;", "==="])
    | st.sampled_from(PAYLOADS)
    | st.text(max_size=4),
    max_size=30,
).map("".join)


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("*em* **strong** ~~gone~~ `code`", "<p><em>em</em> <strong>strong</strong> <s>gone</s> <code>code</code></p>"),
        ("# Title\n\n#### Small", "<h4><strong>Title</strong></h4>\n<h6><strong>Small</strong></h6>"),
        ("- a\n- b", "<ul>\n<li>a</li>\n<li>b</li>\n</ul>"),
        ("3. c\n4. d", '<ol start="3">\n<li>c</li>\n<li>d</li>\n</ol>'),
        ("> q\n\n---", "<blockquote>\n<p>q</p>\n</blockquote>\n<hr>"),
        ("```python\nx < 1\n```", "<pre><code>x &lt; 1\n</code></pre>"),
        ("a  \nb\nc", "<p>a<br>\nb\nc</p>"),
        ("https://example.org is no link", "<p>https://example.org is no link</p>"),
        ("", ""),
    ],
)  # fmt: skip
def test_markdown_becomes_html(text: str, html: str) -> None:
    assert markdown_html(text).strip() == html


def test_cells_say_how_they_are_aligned() -> None:
    html = markdown_html("| a | b | c |\n|---|:-:|--:|\n| 1 | 2 | 3 |")
    for alignment in ("left", "center", "right"):
        assert html.count(f'style="text-align:{alignment}"') == 2
    assert problems(html) == []


def test_links_to_other_places_are_kept_and_name_nobody() -> None:
    html = markdown_html('[a](https://example.org/x?a=1&b=2 "title") <mailto:a@example.org>')
    assert html.count('rel="noopener noreferrer"') == 2
    assert 'href="https://example.org/x?a=1&amp;b=2"' in html
    assert "title" not in html


def test_links_to_files_lead_where_the_caller_says_or_nowhere() -> None:
    text = "[r](results/agent%2001.md) [x](missing.md) *[y](/abs)*"
    assert "<a" not in markdown_html(text)
    asked: list[str] = []

    def address(path: str) -> str | None:
        asked.append(path)
        return "review/agent 01.md" if path.startswith("results/") else None

    html = markdown_html(text, links=address)
    assert asked == ["results/agent 01.md", "missing.md", "/abs"]
    assert html == '<p><a href="review/agent 01.md" rel="noopener noreferrer">r</a> x <em>y</em></p>\n'


@pytest.mark.parametrize(
    "address", ["javascript:alert(1)", "//evil.example/x", "data:text/html,x", "\\\\evil\\x", "http://["]
)
def test_not_even_the_caller_can_make_a_bad_link(address: str) -> None:
    assert "<a" not in markdown_html("[x](file.md)", links=lambda _: address)


def test_pictures_are_shown_if_they_are_given_and_are_what_they_say() -> None:
    images = {"outputs/a b.png": PNG, "fake.png": b"<svg onload=x>", "j.jpg": b"\xff\xd8\xff\xe0", "g.gif": b"GIF89a.."}
    html = markdown_html("![a plot](outputs/a%20b.png)", images=images)
    assert html == f'<p><img src="data:image/png;base64,{base64.b64encode(PNG).decode()}" alt="a plot"></p>\n'
    assert "data:image/jpeg" in markdown_html("![](j.jpg)", images=images)
    assert "data:image/gif" in markdown_html("![](g.gif)", images=images)
    for source in ("fake.png", "http://example.org/x.png", "other.png", html.split('"')[1]):
        shown = markdown_html(f"![words]({source})", images=images)
        assert "<img" not in shown
        assert words(shown).startswith("[picture: words, ")


def test_a_picture_of_another_text_is_not_let_through() -> None:
    address = f"data:image/png;base64,{base64.b64encode(PNG).decode()}"
    assert "<img" not in markdown_html(f"![x]({address})", images={"a.png": PNG})


def test_nothing_is_typeset() -> None:
    html = markdown_html(r"It costs $5 or $6, \\(x\\), $$y$$, \begin{equation}, `$code$`")
    assert problems(html) == []
    assert words(html) == "It costs $5 or $6, \\(x\\), $$y$$, \\begin{equation}, $code$\n"
    assert text_html("$x$") == "<span>$</span>x<span>$</span>"


def test_plain_text_stays_as_it_is() -> None:
    text = "a <b>\n\n\n  c & 'd' \"e\"\n\t$x$"
    assert words(plain_html(text)) == text
    assert problems(plain_html(text)) == []
    assert words(text_html("a\n<b>")) == "a <b>"


def test_long_texts_are_cut_and_the_rest_is_counted() -> None:
    assert markdown_html("word " * 100, limit=20).endswith("<p>… [480 more characters]</p>")
    assert plain_html("x" * 30, limit=10) == "<pre>xxxxxxxxxx</pre><p>… [20 more characters]</p>"
    assert words(text_html("x" * 300, 10)) == "xxxxxxxxx…"


@pytest.mark.parametrize(
    ("value", "format_", "shown"),
    [
        ("*text*", "", "<em>text</em>"),
        ("*text*", "json", "&quot;*text*&quot;"),
        ({"a": ["<b>", 1, None]}, "json", "&lt;b&gt;"),
        ([1.5, "ä"], "", "ä"),
        (None, "", "null"),
        ({"summary": "Two findings.", "findings": [{"message": "bad *thing*", "file": "a.py"}]}, "report", "a.py"),
        ("no report at all", "report", "no report at all"),
    ],
)
def test_results_are_shown_by_their_format(value: Any, format_: str, shown: str) -> None:
    html = value_html(value, format_)
    assert shown in html
    assert problems(html) == []


def test_what_was_printed_keeps_its_lines() -> None:
    assert value_html("a *b*\nc", printed=True) == "<pre>a *b*\nc</pre>"
    assert "<em>" in value_html("a *b*\nc")


def test_a_value_nested_too_deeply_is_no_end() -> None:
    value: Any = []
    for _ in range(20_000):
        value = [value]
    assert "nested too deeply" in value_html(value, "json")


def test_deep_nesting_is_shown_as_it_is_written() -> None:
    for text in ("> " * 24 + "end", "".join(f"{'  ' * n}- x\n" for n in range(24)), "*" * 60 + "end" + "*" * 60):
        html = markdown_html(text)
        assert html.startswith("<pre>")
        assert words(html) == text
    shallow = markdown_html("> " * 6 + "end")
    assert shallow.count("<blockquote>") == 6


@pytest.mark.parametrize("piece", [">", "> ", "- ", "> - ", "1. ", "\t- ", "- > 1. ", "<div>", "<b><i>"])
def test_nesting_takes_no_time(piece: str) -> None:
    """50,000 in one another: nh3 alone would need 10 s and more for these."""
    assert seconds_for(piece * 50_000) < 0.5


@pytest.mark.parametrize("piece", ["[", "![", "*", "_a", "`a", "a|b\n-|-\n", "|\n", "- a\n\n", "[a](b"])
def test_no_text_takes_long(piece: str) -> None:
    assert seconds_for(piece * 50_000) < 5


def seconds_for(text: str) -> float:
    began = time.process_time()
    html = markdown_html(text)
    took = time.process_time() - began
    assert problems(html) == []
    return took


@given(markup)
def test_whatever_the_text_only_what_is_allowed_comes_out(text: str) -> None:
    for html in (
        markdown_html(text, images={"x.png": PNG}, links=lambda path: f"https://example.org/{len(path)}"),
        markdown_html(text),
        plain_html(text),
        text_html(text),
        value_html({"a": text}),
    ):
        assert problems(html) == []


@given(st.text(max_size=200))
def test_plain_text_loses_nothing_that_is_safe(text: str) -> None:
    assert words(plain_html(text)) == clean(text)
