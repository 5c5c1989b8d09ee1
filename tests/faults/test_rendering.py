"""Hostile text in static HTML: terminal sequences (E6), templates (E7), saved notebooks (F5), HTML exports (F8)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

from orchestrator_nb.core import events as e
from orchestrator_nb.core.models import Plan
from orchestrator_nb.projections.rendering import markdown_html, plain_html, text_html, value_html
from orchestrator_nb.projections.settled import BUDGET, MIN_BUDGET, plan_bundle, settled_bundle
from tests.faults.test_text import SEQUENCES, is_safe
from tests.histories import History, tell
from tests.payloads import PAYLOADS, problems, words

RENDERERS: dict[str, Callable[[str], str]] = {
    "markdown": markdown_html,
    "plain": plain_html,
    "text": text_html,
    "result": value_html,
    "printed": lambda text: value_html(text, printed=True),
    "json": lambda text: value_html({text: [text]}, "json"),
    "report": lambda text: value_html(
        {"summary": text, "findings": [{"message": text, "file": text, "rule": text}], "metrics": {text: text}},
        "report",
    ),
}


def sinks(hostile: str) -> Iterator[tuple[str, str]]:
    """Every HTML that can be made of a hostile text."""
    for name, render in RENDERERS.items():
        yield name, render(hostile)
    history = session(hostile)
    yield "settled", settled(history, hostile)["text/html"]
    assert history.state.plan is not None
    yield "plan", plan_bundle(history.state.plan, [hostile])["text/html"]


def session(hostile: str) -> History:
    """A session with `hostile` wherever somebody else chooses the words."""
    plan = {
        "title": hostile,
        "description": hostile,
        "phases": [{"id": "p", "title": hostile}, *({"id": f"p{n}", "title": hostile} for n in range(20))],
        "tasks": [
            {"id": "a", "title": hostile, "command": ["x"], "phase": "p"},
            {"id": "b", "title": hostile, "prompt": hostile, "agent": "simulated"},
            {"id": "c", "title": hostile, "prompt": hostile, "agent": "human"},
            {"id": "d", "title": hostile, "command": ["x"], "dependencies": ["b"]},
            {"id": "e", "title": hostile, "command": ["x"]},
            {"id": "f", "title": hostile, "command": ["x"]},
        ],
    }
    return tell(
        plan,
        e.TaskStarted("a", 1, 1),
        e.TaskCompleted("a", 1, 1.0, value=hostile),
        e.TaskStarted("b", 1, 1),
        e.TaskFailed("b", 1, hostile, "exit_code", 1.0, 1),
        e.TaskFailureSettled("b", "block"),
        e.TaskBlocked("d", "b"),
        e.TaskStarted("c", 1, 1),
        e.CheckpointReached("c@1", "c", 1, hostile, "h"),
        e.TaskStarted("e", 1, 2),
        e.TaskProgressed("e", 1, hostile, 1, 2),
        e.TaskCancelled("f", hostile, hostile),
        e.WarningRaised(hostile, "a"),
        e.WarningRaised(hostile),
        e.RunEnded(1, "failed", hostile),
        **{f"param{n}": hostile for n in range(20)},
    )


def settled(history: History, hostile: str) -> dict[str, str]:
    return settled_bundle(
        history.state,
        now=history.at,
        status="failed",
        document=hostile,
        results={"a": hostile, "b": hostile},
        path=hostile,
    )


def test_row_F5_F8_no_payload_becomes_anything_but_harmless_html() -> None:
    assert len(PAYLOADS) >= 60
    for payload in PAYLOADS:
        for text in (payload, f"- {payload}\n> before {payload} after"):
            for name, html in sinks(text):
                assert problems(html) == [], (name, text)


def test_row_F5_the_text_of_a_payload_can_be_read() -> None:
    shown = words(markdown_html("<script>window.fired=1</script>"))
    assert shown.strip() == "<script>window.fired=1</script>"
    assert "http://evil.example/x.png" in words(markdown_html("![p](http://evil.example/x.png)")), (
        "it says what it is not showing"
    )


def test_row_F8_the_bundle_stays_one_piece_of_html_inside_markdown() -> None:
    """A blank line would end it, and what an agent wrote would be read as Markdown (nbconvert --to markdown)."""
    for payload in PAYLOADS:
        html = settled(session(payload), f"```\na\n\n{payload}\n\n```\n")["text/html"]
        kinds = [token.type for token in MarkdownIt("commonmark").parse(f"{html}\n\nafter")]
        assert kinds == ["html_block", "paragraph_open", "inline", "paragraph_close"], payload


def test_row_E6_no_sequence_reaches_html_or_text() -> None:
    for at in range(0, len(SEQUENCES), 10):
        hostile = " ".join(SEQUENCES[at : at + 10])
        for name, html in sinks(hostile):
            assert is_safe(words(html)), name
        assert is_safe(settled(session(hostile), hostile)["text/plain"])
    assert words(markdown_html("a \u202eb")) == "a ⟨U+202E⟩b\n"


TEMPLATES = [
    "{{7*7}}",
    "${7*7}",
    "#{7*7}",
    "<%= 7*7 %>",
    "{7*7}",
    "%(x)s %s %n {0} {x!r}",
    "$(touch {file})",
    "`touch {file}`",
]


@pytest.mark.parametrize("template", TEMPLATES)
def test_row_E7_templates_are_only_text(template: str, tmp_path: Path) -> None:
    file = tmp_path / "canary"
    hostile = template.replace("{file}", str(file))
    for name, html in sinks(hostile):
        assert "49" not in words(html), name
        assert problems(html) == [], name
    assert hostile in words(plain_html(hostile))
    assert hostile in settled(session(hostile), hostile)["text/plain"]
    assert not file.exists()


def test_row_F5_the_budget_is_held_whatever_the_texts_are() -> None:
    for payload in [*PAYLOADS[::8], "$" * 300, "$\\" * 100, '"' * 200, "\U000e0041" * 50, "| a " * 60, "🟡" * 200]:
        history, much = session(payload * 40), payload * 3000
        for budget in (MIN_BUDGET, BUDGET):
            html = settled_bundle(
                history.state,
                now=history.at,
                status="failed",
                document=much,
                results=dict.fromkeys("abcdef", much),
                path=payload * 40,
                budget=budget,
            )["text/html"]
            assert len(html.encode()) <= budget, payload
            assert problems(html) == [], payload


def test_row_F5_a_plan_that_is_wrong_is_shown_too() -> None:
    plan = Plan.model_validate(
        {
            "tasks": [
                {"id": "a", "dependencies": ["b"]},
                {"id": "b", "dependencies": ["a"]},
                {"id": "c", "dependencies": ["x"]},
            ]
        }
    )
    bundle = plan_bundle(plan, ["a circle"])
    assert problems(bundle["text/html"]) == []
    for text in (words(bundle["text/html"]), bundle["text/plain"]):
        assert "3 tasks in 1 level" in text
        assert "a circle" in text
