"""What a run settles into: everything that matters is there, within the budget, for every reader."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import given

from orchestrator_nb.core import events as e
from orchestrator_nb.core.models import Plan
from orchestrator_nb.core.state import State
from orchestrator_nb.core.tasks import TaskStatus
from orchestrator_nb.projections.settled import (
    BUDGET,
    MIN_BUDGET,
    PICTURES,
    plan_bundle,
    progress_html,
    progress_text,
    results_html,
    settled_bundle,
    table_html,
    table_text,
)
from orchestrator_nb.projections.settled_tables import accent, columns
from orchestrator_nb.projections.words import STATUS_LABELS
from tests.histories import BEGIN, History, histories, tell
from tests.payloads import problems, words

PLAN: dict[str, Any] = {
    "title": "Code review",
    "phases": [{"id": "look", "title": "Looking"}, {"id": "tell", "title": "Telling"}],
    "tasks": [
        {"id": "lint", "title": "Lint it", "command": ["ruff"], "phase": "look"},
        {"id": "types", "function": "m:f", "phase": "look"},
        {"id": "report", "title": "Report", "agent": "simulated", "dependencies": ["lint", "types"], "phase": "tell"},
        {"id": "sign", "title": "Sign off", "prompt": "ok?", "agent": "human"},
    ],
}


def failed_run() -> History:
    history = tell(PLAN, e.TaskStarted("lint", 1, 1), e.TaskStarted("types", 1, 1), target="src", depth=3)
    history.tell(e.TaskCompleted("lint", 1, 2.0, value="E501"), after=2)
    history.tell(e.TaskFailed("types", 1, "it is wrong", "exception", 3.0), e.TaskRetryScheduled("types", 0.0), after=1)
    history.tell(e.TaskStarted("types", 2, 2), e.TaskFailed("types", 2, "it is wrong", "exception", 3.0), after=1)
    history.tell(
        e.TaskFailureSettled("types", "block"), e.TaskBlocked("report", "types"), e.TaskCancelled("sign", "ann", "late")
    )
    return history.tell(e.WarningRaised("the disk is nearly full"), e.RunEnded(1, "failed"), after=1)


def settle(history: History, **more: Any) -> dict[str, str]:
    given: dict[str, Any] = {"status": "failed", "document": None, "results": {}, "path": "/p/.orchestrator/s", **more}
    return settled_bundle(history.state, now=history.at, **given)


def cells(html: str) -> list[list[str]]:
    """The texts of a table, row by row."""
    reader = _Cells()
    reader.feed(html)
    return reader.rows


class _Cells(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self._in_cell = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")
            self._in_cell = True

    def handle_endtag(self, tag: str) -> None:
        self._in_cell = self._in_cell and tag not in ("td", "th")

    def handle_data(self, data: str) -> None:
        if self._in_cell:
            self.rows[-1][-1] += data


# -- the bundle --------------------------------------------------------------------------------------------------------


def test_a_failed_run_says_what_failed_why_and_how_to_go_on() -> None:
    bundle = settle(failed_run())
    html = bundle["text/html"]
    assert problems(html) == []
    for text in (words(html), bundle["text/plain"]):
        for said in (
            "Code review", "Failed after 5s", "20250112-143000-abcd", "100 %: 4 of 4 tasks ended",
            "1 completed, 1 failed, 1 blocked, 1 cancelled", "it is wrong. It was tried 2 times. 1 task could not",
            "the disk is nearly full", "/p/.orchestrator/s",
            "orchestrate retry types -s 20250112-143000-abcd && orchestrate resume 20250112-143000-abcd",
        ):  # fmt: skip
            assert said in text
    assert "target = src" in words(html)
    assert "depth = 3" in words(html)
    assert 'Session.open("20250112-143000-abcd").view' in words(html)
    assert html.index("it is wrong") < html.index("<table>"), "what is wrong comes first"


def test_results_and_the_document_are_rendered_in_folds() -> None:
    html = settle(
        failed_run(),
        document="# All\n\n![p](plot.png) [r](results/r.md)",
        results={"lint": "a.py:1 *E501*\nb.py", "unknown": "x", "types": " "},
        images={"plot.png": b"\x89PNG\r\n\x1a\n"},
        links=lambda path: f"files/{path}",
    )["text/html"]
    assert problems(html.replace('href="files/', 'href="http://x/')) == []
    assert html.count("<details") == 2
    assert html.count("<details open>") == 1
    assert '<img src="data:image/png;base64,' in html
    assert '<a href="files/results/r.md"' in html
    assert "<pre>a.py:1 *E501*\nb.py</pre>" in html, "what a command printed is no Markdown"


def test_a_session_without_a_plan_or_a_run_can_be_shown() -> None:
    for state in (State(), History().tell(e.SessionCreated("s", "0", 1)).state):
        bundle = settled_bundle(state, now=BEGIN, status="created", document=None, results={}, path="/p")
        assert problems(bundle["text/html"]) == []
        assert "Created" in bundle["text/plain"]
    history = History().tell(e.SessionCreated("s", "0", 1)).accept(Plan.model_validate(PLAN))
    assert "orchestrate resume s" in settle(history, status="created")["text/plain"]


def test_a_completed_run_has_no_advice() -> None:
    history = tell({"tasks": [{"id": "a", "command": ["x"]}]}, e.TaskStarted("a", 1, 1), e.TaskCompleted("a", 1, 1.0))
    assert "orchestrate " not in settle(history, status="completed")["text/plain"]


@given(histories(40))
def test_every_history_can_be_shown(history: History) -> None:
    results = {task.id: "# x\n\n$a$" for task in history.state.by_index}
    bundle = settle(history, status=history.state.status, document="**done**", results=results)
    assert problems(bundle["text/html"]) == []
    assert len(cells(table_html(history.state, history.at))) == len(history.state.by_index) + 1


# -- size --------------------------------------------------------------------------------------------------------------


def finished(number: int, failed: range = range(0)) -> History:
    tasks = [{"id": f"t{n:05}", "title": f"Task number {n}", "agent": "simulated"} for n in range(number)]
    history = tell({"title": "Many", "tasks": tasks})
    for n in range(number):
        name = f"t{n:05}"
        history.tell(e.TaskStarted(name, 1, 1))
        if n in failed:
            history.tell(e.TaskFailed(name, 1, f"error {n}", duration=1.0), e.TaskFailureSettled(name, "block"))
        else:
            history.tell(e.TaskCompleted(name, 1, 1.0, value="x"))
    return history


def test_a_run_of_100_tasks_takes_less_than_100_kb_and_shows_them_all() -> None:
    history = finished(100)
    long = "## Result\n\nAll **fine** in `file.py`.\n\n" * 100
    html = settle(history, document=long, results={task.id: long for task in history.state.by_index})["text/html"]
    assert len(html.encode()) <= BUDGET < 100_000
    assert html.count("<details") == 101
    assert html.count("border-left") == 100
    assert "more characters]" in html


def test_a_large_run_shows_failed_tasks_first_and_says_how_many_more_there_are() -> None:
    history = finished(2000, failed=range(1500, 1550))
    bundle = settle(history, results={task.id: "fine" for task in history.state.by_index})
    table = cells(table_html(history.state, history.at))
    assert [row[2].partition(" ")[0] for row in table[1:]] == [f"t{n:05}" for n in [*range(1500, 1550), *range(150)]]
    said = words(bundle["text/html"])
    shown = bundle["text/html"].count("border-left")
    assert 150 < shown <= 200
    assert f"… and {2000 - shown:,} more tasks" in said
    assert "… and 30 more problems" in said
    assert "more results" in said
    assert "… and 1,950 more tasks" in bundle["text/plain"]
    assert len(bundle["text/html"].encode()) <= BUDGET


@pytest.mark.parametrize("budget", [0, MIN_BUDGET, 50_000])
def test_the_budget_is_held(budget: int) -> None:
    history = finished(300, failed=range(100, 200))
    results = {task.id: "text $ \\ <b> & " * 500 for task in history.state.by_index}
    html = settle(history, document="| $ | \\ |\n|---|---|\n" * 500, results=results, budget=budget)["text/html"]
    assert MIN_BUDGET / 4 < len(html.encode()) <= max(budget, MIN_BUDGET)
    assert problems(html) == []
    assert len(results_html(history.state, results, budget=5000).encode()) <= 5000


def test_pictures_come_on_top_of_the_budget_and_too_large_ones_are_told_in_words() -> None:
    def picture(size: int) -> bytes:
        return b"\x89PNG\r\n\x1a\n" + bytes(size)

    images = {
        "not named.png": picture(90_000),
        "a b.png": picture(50_000),
        "c.png": picture(90_000),
        "d.png": picture(9),
    }
    text = "![1](a%20b.png) ![2](c.png) ![3](d.png)\n\n" + "words and more words\n\n" * 10_000
    html = settle(failed_run(), document=text, results={"lint": "x" * 9000}, images=images)["text/html"]
    assert problems(html) == []
    assert html.count("<img") == 2
    assert "[picture: 2, c.png]" in html
    assert BUDGET / 2 < len(html.encode()) <= BUDGET + PICTURES


# -- parts -------------------------------------------------------------------------------------------------------------


def test_the_table_tells_of_every_status() -> None:
    history = failed_run()
    header, *rows = cells(table_html(history.state, history.at))
    assert header == ["Status", "Agent", "Task", "Priority", "Duration", "Attempts", "Note"]
    assert rows == [
        [STATUS_LABELS[TaskStatus.COMPLETED], "Agent-01", "lint · Lint it", "P0", "2s", "1", ""],
        [STATUS_LABELS[TaskStatus.FAILED], "Agent-02", "types", "P1", "3s", "2", "it is wrong"],
        [STATUS_LABELS[TaskStatus.BLOCKED], "Agent-03", "report · Report", "P0", "–", "–", "because of types"],
        [STATUS_LABELS[TaskStatus.CANCELLED], "Agent-04", "sign · Sign off", "P2", "–", "–", "late"],
    ]


def test_notes_of_tasks_that_are_on_their_way() -> None:
    history = tell(PLAN, e.TaskStarted("lint", 1, 1), e.TaskProgressed("lint", 1, "reading", 2, 5))
    history.tell(e.TaskStarted("sign", 1, 1), e.CheckpointReached("sign@1", "sign", 1, "Shall it go out?", "h"))
    _, lint, types, report, sign = cells(table_html(history.state, history.at + 7))
    assert (lint[4], lint[6]) == ("7s", "2 of 5: reading")
    assert (types[5], types[6]) == ("–", "")
    assert report[6] == "waits for lint, types"
    assert sign[6] == "asks: Shall it go out?"
    assert "orchestrate approve sign@1" in settle(history, status="running")["text/plain"]


def test_files_fallbacks_and_results_taken_over_are_told() -> None:
    plan = {"tasks": [{"id": "a", "command": ["x"], "fallback": {"command": ["y"]}}, {"id": "b", "command": ["x"]}]}
    artifact = e.Artifact("outputs/a/x", 1, "0")
    history = tell(plan, e.TaskStarted("a", 1, 1, fallback=True), e.TaskCompleted("a", 1, 1.0, outputs=(artifact,)))
    history.tell(e.TaskCompleted("b", 0, reused_from="earlier"))
    assert [row[6] for row in cells(table_html(history.state, history.at))[1:]] == [
        "by its fallback, 1 file",
        "taken over from earlier",
    ]


def test_the_text_table_is_aligned_and_fits() -> None:
    history = tell(
        {
            "tasks": [
                {"id": "a", "title": "日本語の題", "command": ["x"]},
                {"id": "b", "title": "x" * 300, "command": ["x"]},
            ]
        }
    )
    lines = table_text(history.state, history.at, width=60).splitlines()
    assert all(columns(line) <= 60 for line in lines)
    assert lines[2].endswith("…")
    wide = table_text(history.state, history.at).splitlines()
    assert wide[0].split() == ["STATUS", "AGENT", "TASK", "TITLE", "PRIO", "TIME", "TRIES"], "there are no notes"
    assert columns(wide[1].partition("P2")[0]) == columns(wide[2].partition("P2")[0])


def test_progress_in_words_and_bars() -> None:
    history = failed_run()
    html = progress_html(history.state, history.at)
    assert html.count("<progress") == 3
    assert '<progress max="100" value="50"></progress> Looking: 1 of 2 completed' in html
    assert progress_text(history.state, history.at).startswith("100 %: 4 of 4 tasks ended")
    assert "0 of 0 tasks" in progress_text(State(), 0.0)


@pytest.mark.parametrize("paper", ["#ffffff", "#111111"])
def test_accents_show_on_light_and_dark_paper(paper: str) -> None:
    for status in TaskStatus:
        assert contrast(accent(status), paper) >= 3, status


def contrast(one: str, other: str) -> float:
    """Of two colours, by WCAG 2."""
    low, high = sorted(_luminance(color) for color in (one, other))
    return (high + 0.05) / (low + 0.05)


def _luminance(color: str) -> float:
    red, green, blue = (
        (v / 12.92) if (v := byte / 255) <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4
        for byte in bytes.fromhex(color[1:])
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


# -- plans -------------------------------------------------------------------------------------------------------------


def test_a_plan_is_shown_before_any_run() -> None:
    bundle = plan_bundle(Plan.model_validate({**PLAN, "description": "What it is for."}), ["task 'x' is odd"])
    html = bundle["text/html"]
    assert problems(html) == []
    assert cells(html)[1:] == [
        ["1", "◆", "lint · Lint it", "shell", "P0", ""],
        ["1", "", "types", "function", "P1", ""],
        ["1", "", "sign · Sign off", "human", "P2", ""],
        ["2", "◆", "report · Report", "simulated", "P0", "lint, types"],
    ]
    for text in (words(html), bundle["text/plain"]):
        assert "4 tasks in 2 levels" in text
        assert "task 'x' is odd" in text
        assert "Critical path (◆): lint → report" in text
    assert "What it is for." in words(html)


def test_a_large_plan_is_cut() -> None:
    tasks = [{"id": f"t{n}", "command": ["x"], "dependencies": [f"t{n - 1}"] if n else []} for n in range(1000)]
    bundle = plan_bundle(Plan.model_validate({"tasks": tasks}))
    assert len(bundle["text/html"].encode()) < 80_000
    assert "… and 800 more tasks" in bundle["text/html"]
    assert "… and 970 more" in bundle["text/plain"]
    assert plan_bundle(Plan())["text/plain"] == "Untitled plan: 0 tasks in 0 levels"
