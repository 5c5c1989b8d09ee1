"""The plan table as Chromium draws it."""

from __future__ import annotations

import time
from typing import Any

import pytest

from tests.browser.drawing import Drawing
from tests.payloads import PAYLOADS

TITLES = ("Read the sources", "Count the lines", "Write the report")


def plan(number: int, **columns: Any) -> dict[str, Any]:
    tasks = {
        "id": [f"T-{i:05d}" for i in range(number)],
        "title": [TITLES[i % 3] for i in range(number)],
        "kind": ["shell"] * number,
        "agent": list(range(1, number + 1)),
        "priority": [i % 4 for i in range(number)],
        "phase": [i % 2 for i in range(number)],
        "phases": ["Collect", "Write"],
        "parents": [[i - 1] if i else [] for i in range(number)],
    }
    return {"tasks": tasks | columns, "rows": [{"status": "waiting"}] * number, "usual": {}, "selected": ""}


def ids(drawing: Drawing) -> list[str]:
    """The tasks whose rows are in the document, from top to bottom."""
    return drawing.page.evaluate("[...document.querySelectorAll('tr[data-task]')].map((row) => row.dataset.task)")


def cell(drawing: Drawing, task: str, column: str) -> str:
    return drawing.page.locator(f"tr[data-task='{task}'] .o-{column}").inner_text()


def test_of_10_000_rows_only_those_that_are_seen_are_drawn(browser: Any) -> None:
    with Drawing(browser, "table", plan(10_000)) as table:
        assert len(ids(table)) < 60
        assert ids(table)[0] == "T-00000"
        assert table.page.locator("table").get_attribute("aria-rowcount") == "10001"
        table.page.evaluate("document.querySelector('.o-scroll').scrollTop = 150000")
        table.wait("document.querySelector('tr[data-task]').dataset.task > 'T-04900'")
        assert len(ids(table)) < 60
        first = table.page.locator("tr[data-task]").first
        assert first.get_attribute("aria-rowindex") == str(int(ids(table)[0][2:]) + 2)
        assert table.texts("[role=status]") == ["10,000 tasks"]


def test_headers_sort_both_ways_and_back(browser: Any) -> None:
    whole = plan(4)
    whole["rows"] = [
        {"status": "completed", "attempt": 1, "duration": 3.0},
        {"status": "running", "attempt": 2, "started": time.time() - 60},
        {"status": "failed", "attempt": 1, "duration": 7.0},
        {"status": "waiting"},
    ]
    with Drawing(browser, "table", whole) as table:
        by_duration = table.page.get_by_role("button", name="Duration")
        header = table.page.locator("th.o-duration")
        orders = []
        for _ in range(3):
            by_duration.click()
            orders.append((header.get_attribute("aria-sort"), [int(task[-1]) for task in ids(table)]))
        assert orders == [("ascending", [0, 2, 1, 3]), ("descending", [1, 2, 0, 3]), ("none", [0, 1, 2, 3])]
        table.page.get_by_role("button", name="Status").click()
        assert [int(task[-1]) for task in ids(table)] == [3, 1, 0, 2]


def test_rows_are_filtered_by_text_status_and_phase(browser: Any) -> None:
    whole = plan(12)
    whole["rows"] = [{"status": "completed" if i < 5 else "waiting"} for i in range(12)]
    with Drawing(browser, "table", whole) as table:
        status, phase = (
            table.page.get_by_label("Filter tasks by status"),
            table.page.get_by_label("Filter tasks by phase"),
        )
        assert status.locator("option").all_text_contents() == ["All statuses", "⏸️ Waiting (7)", "✅ Completed (5)"]
        status.select_option("completed")
        assert ids(table) == [f"T-{i:05d}" for i in range(5)]
        phase.select_option(label="Write")
        assert ids(table) == ["T-00001", "T-00003"]
        table.page.get_by_label("Filter tasks by text").fill("COUNT")
        assert ids(table) == ["T-00001"]
        assert table.texts("[role=status]") == ["1 of 12 tasks"]


def test_a_change_reaches_its_row_and_those_that_wait_for_it(browser: Any) -> None:
    with Drawing(browser, "table", plan(3)) as table:
        assert cell(table, "T-00001", "waits") == "T-00000"
        now = time.time()
        running = {"status": "running", "attempt": 1, "started": now - 10, "done": 2, "total": 8, "note": "part 3"}
        table.post("rows", indices=[0], rows=[running])
        assert [cell(table, "T-00000", name).strip() for name in ("status", "progress", "waits")] == [
            "Running",
            "2/8",
            "part 3",
        ]
        assert table.page.locator("tr[data-task='T-00000'] progress").evaluate("bar => [bar.value, bar.max]") == [2, 8]
        assert cell(table, "T-00000", "eta") in ("30s", "31s")
        table.post(
            "rows",
            indices=[0, 1],
            rows=[{"status": "completed", "duration": 11.0}, {"status": "running", "attempt": 1, "started": now}],
            usual={"shell": 60.0},
        )
        assert cell(table, "T-00001", "waits") == ""
        assert cell(table, "T-00001", "eta") in ("1m 00s", "59s", "60s")
        assert table.page.locator("tr[data-task='T-00001'] progress").get_attribute("value") is None
        assert table.page.locator("tr[data-task='T-00000']").get_attribute("data-status") == "completed"
        table.wait("document.querySelector('select').textContent.includes('Completed (1)')")


def test_seconds_pass_in_the_page_alone(browser: Any) -> None:
    whole = plan(2)
    whole["rows"] = [{"status": "running", "attempt": 1, "started": time.time() - 100}, {"status": "waiting"}]
    with Drawing(browser, "table", whole) as table:
        before = cell(table, "T-00000", "duration")
        assert before in ("1m 40s", "1m 41s")
        table.wait("before => document.querySelector('td.o-duration').textContent > before", before)
        assert table.sent("sync") == []


def test_a_retry_counts_down_and_a_block_says_by_what(browser: Any) -> None:
    whole = plan(2)
    whole["rows"] = [
        {"status": "retrying", "attempt": 1, "again": time.time() + 90, "note": "rate limit"},
        {"status": "blocked", "note": "blocked by T-00000"},
    ]
    with Drawing(browser, "table", whole) as table:
        assert cell(table, "T-00000", "waits").startswith("again in 1m ")
        assert cell(table, "T-00000", "waits").endswith(": rate limit")
        assert cell(table, "T-00001", "waits") == "blocked by T-00000"


def test_what_agents_use_has_a_column_once_they_tell(browser: Any) -> None:
    whole = plan(3)
    whole["rows"] = [
        {"status": "running", "attempt": 1, "note": "reads"},
        {"status": "completed"},
        {"status": "waiting"},
    ]
    with Drawing(browser, "table", whole, width=1400) as table:
        used = table.page.locator("th.o-used")
        assert not used.is_visible()
        told = {"status": "running", "attempt": 1, "note": "reads", "marks": "⚠ uncontained", "tokens": 35_000}
        table.post("rows", indices=[0], rows=[{**told, "used": "35k in, 1 out, 0.25 $", "used_told": "35,000 tokens"}])
        table.wait("document.querySelector('th.o-used').offsetWidth > 0")
        assert cell(table, "T-00000", "used") == "35k in, 1 out, 0.25 $"
        assert table.page.locator("td.o-used").first.get_attribute("title") == "35,000 tokens"
        assert cell(table, "T-00000", "waits") == "⚠ uncontained reads"
        table.page.get_by_role("button", name="Used").click()
        assert ids(table)[0] == "T-00000"


def test_keys_move_through_the_rows_and_select_one(browser: Any) -> None:
    with Drawing(browser, "table", plan(500)) as table:
        table.page.locator("table").focus()
        at = "document.getElementById(document.activeElement.getAttribute('aria-activedescendant')).dataset.task"
        places = []
        for key in ("ArrowDown", "PageDown", "ArrowUp", "End", "Home"):
            table.page.keyboard.press(key)
            places.append(int(table.page.evaluate(at)[2:]))
        assert places == [1, 10, 9, 499, 0]
        table.page.keyboard.press("End")
        table.page.keyboard.press("Enter")
        assert table.sent("select") == [{"type": "select", "task": "T-00499"}]
        assert table.page.locator("tr[aria-selected=true]").get_attribute("data-task") == "T-00499"


def test_a_click_selects_and_what_others_select_is_shown(browser: Any) -> None:
    with Drawing(browser, "table", plan(500)) as table:
        table.page.locator("tr[data-task='T-00003'] .o-status").click()
        assert table.sent("select") == [{"type": "select", "task": "T-00003"}]
        table.post("rows", selected="T-00400")
        assert table.page.locator("tr[aria-selected=true]").get_attribute("data-task") == "T-00400"
        scrolled = table.page.locator(".o-scroll").evaluate("box => box.scrollTop")
        assert 390 * 30 <= scrolled <= 400 * 30
        table.post("rows", indices=[7], rows=[{"status": "failed", "note": "no"}])
        assert table.page.locator(".o-scroll").evaluate("box => box.scrollTop") == scrolled


def test_in_a_narrow_cell_the_less_important_columns_give_way(browser: Any) -> None:
    with Drawing(browser, "table", plan(3), width=400) as table:
        seen = table.page.evaluate(
            "[...document.querySelectorAll('th')].filter((head) => head.offsetWidth).map((head) => head.textContent)"
        )
        assert seen == ["Task", "Status", "Progress"]
        assert table.page.locator("table").evaluate("table => table.scrollWidth") <= 400


@pytest.mark.parametrize("view", ["title", "note"])
def test_row_F5_what_an_agent_wrote_stays_text(browser: Any, view: str) -> None:
    number = len(PAYLOADS)
    whole = plan(number, **({"title": PAYLOADS, "kind": PAYLOADS, "phases": PAYLOADS[:2]} if view == "title" else {}))
    if view == "note":
        whole["rows"] = [{"status": "failed", "note": text} for text in PAYLOADS]
    with Drawing(browser, "table", whole, width=1400) as table:
        for top in range(0, number * 30, 600):
            table.page.evaluate("top => { document.querySelector('.o-scroll').scrollTop = top }", top)
            table.page.wait_for_timeout(20)
        drawn = (
            "document.querySelector('tbody').querySelectorAll(':not(tr, td, strong, span, progress, svg, path)').length"
        )
        assert table.page.evaluate(drawn) == 0
        assert table.page.evaluate("document.querySelectorAll('tr[data-task]').length") > 0
