"""Log and outputs as Chromium draws them."""

from __future__ import annotations

import re
import time
from typing import Any

from tests.browser.drawing import Drawing
from tests.payloads import PAYLOADS


def text(lines: list[Any], begin: int = 0, first: int = 0, key: str = "", **more: Any) -> dict[str, Any]:
    return {"key": key, "first": first, "begin": begin, "lines": lines, "open": [], **more}


def task(name: str = "T-01", **fields: Any) -> dict[str, Any]:
    return {
        "id": name, "title": "List the files", "kind": "shell", "agent": "Agent-01", "status": "running", "attempt": 1,
        "attempts": 1, "live": True, "done": 0, "total": 0, "message": "", "started": time.time(), "duration": None,
        "error": "", "files": [], "more_files": 0, "key": f"{name} 1 running 0", **fields,
    }  # fmt: skip


def outputs(**fields: Any) -> dict[str, Any]:
    shown = task(**fields)
    return {"task": shown, "text": None, "follow": True, "choices": ["T-01", "T-02"], "contents": {}}


def lines(drawing: Drawing) -> list[str]:
    return drawing.texts(".o-line")


AT_END = """(() => {
  const box = document.querySelector(".o-lines");
  return box.scrollTop + box.clientHeight >= box.scrollHeight - 8;
})()"""
#: A picture of one point.
PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="


def test_lines_are_taken_once_however_often_they_come(browser: Any) -> None:
    with Drawing(browser, "text", {"text": text(["one", "two"])}) as log:
        log.post("text", text=text(["two", ["three failed", "error"]], begin=1))
        assert lines(log) == ["one", "two", "three failed"]
        assert (
            log.page.locator(".o-line.o-error").evaluate("line => getComputedStyle(line, '::before').content")
            == '"error  "'
        )
        log.post("text", text=text(["four"], begin=3, first=2) | {"open": ["fi"]})
        assert lines(log) == ["three failed", "four", "fi"]
        assert log.texts(".o-note")[0] == "… 2 earlier lines"
        log.post("text", text=text(["nine"], begin=9, first=9))
        assert lines(log) == ["nine"]


def test_it_follows_the_end_until_somebody_scrolls_up(browser: Any) -> None:
    with Drawing(browser, "text", {"text": text([f"line {n}" for n in range(200)])}) as log:
        log.wait(AT_END)
        log.post("text", text=text([f"line {n}" for n in range(200, 300)], begin=200))
        log.wait(AT_END)
        log.page.locator(".o-lines").evaluate("box => { box.scrollTop = 100 }")
        follow = log.page.get_by_role("button", name="Go to the end")
        log.wait("document.querySelector('[aria-pressed]').getAttribute('aria-pressed') === 'false'")
        log.post("text", text=text(["the last"], begin=300))
        assert log.page.locator(".o-lines").evaluate("box => box.scrollTop") == 100
        follow.click()
        log.wait(AT_END)
        log.wait("document.querySelector('[aria-pressed]').getAttribute('aria-pressed') === 'true'")


def test_a_search_marks_counts_and_steps(browser: Any) -> None:
    with Drawing(browser, "text", {"text": text([f"Line {n} of many lines" for n in range(100)])}) as log:
        log.page.get_by_label("Search the log").fill("LINE")
        found = log.page.locator(".o-bar [role=status]")
        assert found.inner_text() == "200 of 200"
        assert log.texts("mark")[:2] == ["Line", "line"]
        log.page.keyboard.press("Enter")
        assert found.inner_text() == "1 of 200"
        log.wait("document.querySelector('.o-lines').scrollTop === 0")
        log.page.keyboard.press("Shift+Enter")
        assert found.inner_text() == "200 of 200"
        log.post("text", text=text(["one more line"], begin=100))
        assert found.inner_text() == "200 of 201"
        log.page.get_by_label("Search the log").fill("nowhere")
        assert (found.inner_text(), log.texts("mark")) == ("not found", [])
        assert lines(log)[0] == "Line 0 of many lines"


def test_5_000_lines_are_drawn_fast_enough_to_follow(browser: Any) -> None:
    with Drawing(browser, "text", {"text": text([f"line {n} " + "x" * 40 for n in range(5000)])}) as log:
        took = log.page.evaluate(
            """() => { const began = performance.now();
               for (let i = 0; i < 10; i++) post("text", {text: {key: "", first: 50 * (i + 1), begin: 5000 + 50 * i,
                 lines: Array(50).fill("more"), open: []}});
               return (performance.now() - began) / 10; }"""
        )
        assert log.page.locator(".o-line").count() == 5000
        assert took < 100  # ms; about 5 on an idle machine


def test_the_head_says_which_task_and_how_far(browser: Any) -> None:
    started = time.time() - 65
    with Drawing(browser, "text", outputs(done=3, total=8, message="cell 4", started=started)) as pane:
        assert pane.page.get_by_label("Task", exact=True).input_value() == "T-01"
        assert pane.page.locator(".o-state").inner_text().strip() == "Running"
        assert pane.page.locator("progress").evaluate("bar => [bar.value, bar.max]") == [3, 8]
        said = re.search(r"3/8 · cell 4 · 1m (\d\d)s", pane.page.locator(".o-outputs > .o-bar").inner_text())
        assert said
        assert 65 <= 60 + int(said[1]) <= round(time.time() - started)
        assert pane.texts(".o-lines .o-note:not([hidden])") == ["Nothing was written so far."]
        pane.post("text", text=text(["hello"], key="T-01/1"))
        pane.post(
            "task", follow=True, task=task(status="failed", live=False, duration=2.0, attempts=2, attempt=2, key="k")
        )
        assert pane.page.locator("progress").is_hidden()
        assert pane.page.get_by_label("Attempt").locator("option").all_text_contents() == ["Attempt 1", "Attempt 2"]
        pane.page.get_by_label("Attempt").select_option("1")
        assert pane.sent("attempt") == [{"type": "attempt", "attempt": 1}]


def test_tabs_ask_for_what_they_show_and_again_when_the_task_goes_on(browser: Any) -> None:
    with Drawing(browser, "text", outputs()) as pane:
        pane.page.get_by_role("tab", name="Why").click()
        asked = {"type": "ask", "what": "why", "name": "", "key": "T-01 1 running 0"}
        assert pane.sent("ask") == [asked]
        pane.post("content", what="why", name="", key=asked["key"], content={"lines": ["It is <b>running</b>."]})
        assert pane.texts(".o-panel p") == ["It is <b>running</b>."]
        pane.post("task", follow=True, task=task(status="completed", live=False, key="T-01 1 completed 0"))
        assert [question["key"] for question in pane.sent("ask")] == [asked["key"], "T-01 1 completed 0"]
        assert pane.texts(".o-panel p") == ["It is <b>running</b>."]  # until there is a newer one
        pane.page.keyboard.press("ArrowLeft")
        assert pane.page.locator("[role=tab][aria-selected=true]").inner_text() == "Files"
        pane.page.keyboard.press("ArrowLeft")
        result = {"html": "<p>It is <strong>done</strong></p>"}
        pane.post("content", what="result", name="", key="T-01 1 completed 0", content=result)
        assert pane.texts(".o-made strong") == ["done"]
        assert pane.page.locator("[data-tab=notebook]").is_hidden()


def test_what_is_shown_is_of_the_task_that_is_shown(browser: Any) -> None:
    first, second = (task(name, status="completed", live=False, key=f"{name} 1 completed 0") for name in ("A", "B"))
    with Drawing(browser, "text", outputs()) as pane:
        pane.page.get_by_role("tab", name="Result").click()
        for shown in (first, second, first):
            pane.post("task", follow=False, task=shown)
            assert pane.texts(".o-panel") == ["…"]
            pane.post("content", what="result", name="", key=shown["key"], content={"lines": [shown["id"]]})
            assert pane.texts(".o-panel p") == [shown["id"]]
        assert [question["key"][0] for question in pane.sent("ask")] == ["T", "A", "B", "A"]


def test_after_a_loss_all_is_asked_for_anew(browser: Any) -> None:
    with Drawing(browser, "text", outputs()) as pane:
        pane.page.get_by_role("tab", name="Why").click()
        pane.page.evaluate("number += 5")
        pane.post("text", text=text(["lost"], key="T-01/1"))
        assert len(pane.sent("sync")) == 1
        pane.whole(outputs(status="failed", key="T-01 1 failed 0") | {"text": text(["one"], key="T-01/1")})
        assert lines(pane) == ["one"]
        assert [question["key"] for question in pane.sent("ask")] == ["T-01 1 running 0", "T-01 1 failed 0"]


def test_a_notebook_that_was_being_written_is_asked_for_again(browser: Any) -> None:
    with Drawing(browser, "text", outputs(kind="notebook")) as pane:
        pane.page.get_by_role("tab", name="Notebook").click()
        pane.post("content", what="notebook", name="", key="T-01 1 running 0", content={"again": True})
        pane.wait("sent.filter((message) => message.type === 'ask').length === 2")
        pane.post("content", what="notebook", name="", key="T-01 1 running 0", content={"html": "<p>cell</p>"})
        assert pane.texts(".o-made p") == ["cell"]


def test_a_file_is_shown_below_its_name(browser: Any) -> None:
    files = [{"name": "plot.png", "path": "/s/outputs/T-01/plot.png", "size": 2048}]
    shown = {"status": "completed", "live": False, "files": files, "key": "T-01 1 completed 0"}
    with Drawing(browser, "text", outputs(**shown)) as pane:
        pane.page.get_by_role("tab", name="Files (1)").click()
        assert pane.texts(".o-path") == ["/s/outputs/T-01/plot.png"]
        pane.page.get_by_role("button", name="Show").click()
        assert [(question["what"], question["name"]) for question in pane.sent("ask")] == [("file", "plot.png")]
        picture = f"data:image/png;base64,{PNG}"
        pane.post("content", what="file", name="plot.png", key="T-01 1 completed 0", content={"image": picture})
        pane.wait("document.querySelector('.o-file img').naturalWidth === 1")
        pane.page.get_by_role("button", name="Hide").click()
        assert pane.page.locator(".o-file img").count() == 0


def test_a_task_is_chosen_by_its_id_and_following_is_told(browser: Any) -> None:
    with Drawing(browser, "text", outputs()) as pane:
        assert pane.page.locator("datalist option").evaluate_all("all => all.map((one) => one.value)") == [
            "T-01",
            "T-02",
        ]
        chooser = pane.page.get_by_label("Task", exact=True)
        chooser.fill("T-02")
        chooser.press("Enter")
        assert pane.sent("find") == [{"type": "find", "text": "T-02"}]
        pane.page.get_by_label("Follow what runs").uncheck()
        assert pane.sent("follow") == [{"type": "follow", "on": False}]
        other = task("T-02", kind="simulated", status="completed", live=False, key="T-02 1 completed 0")
        pane.post("task", follow=False, task=other)
        assert chooser.input_value() == "T-02"
        assert pane.page.locator("[role=tab][aria-selected=true]").inner_text() == "Result"


def test_row_F5_what_an_agent_wrote_stays_text(browser: Any) -> None:
    files = [{"name": payload, "path": payload, "size": 1} for payload in PAYLOADS]
    hostile = {"title": PAYLOADS[0], "message": PAYLOADS[4], "kind": PAYLOADS[6], "files": files}
    with Drawing(browser, "text", outputs(**hostile)) as pane:
        pane.post(
            "text",
            text=text([*PAYLOADS, *([payload, "stderr"] for payload in PAYLOADS)], key="T-01/1", note=PAYLOADS[4]),
        )
        assert pane.page.locator(".o-lines").evaluate("box => box.querySelectorAll(':not(div, p)').length") == 0
        pane.page.get_by_label("Search what").fill("script")
        assert pane.page.locator(".o-lines").evaluate("box => box.querySelectorAll(':not(div, p, mark)').length") == 0
        pane.page.get_by_role("tab", name="Files").click()
        assert pane.page.locator(".o-file").count() == len(PAYLOADS)
        pane.page.get_by_role("tab", name="Why").click()
        pane.post(
            "content",
            what="why",
            name="",
            key="T-01 1 running 0",
            content={"lines": PAYLOADS, "image": "javascript:window.fired=1"},
        )
        assert pane.page.locator(".o-panel p").count() == len(PAYLOADS)
        assert pane.page.locator(".o-panel").evaluate("panel => panel.querySelectorAll('p *, img').length") == 0


def test_how_an_agent_runs_is_told_below_the_head(browser: Any) -> None:
    by = "claude · level edit · contained by bubblewrap · 105 tokens in, 10 out, <b>0.25</b> $"
    with Drawing(browser, "text", outputs()) as pane:
        assert not pane.page.locator(".o-by").is_visible()
        pane.post("task", task=task(by=by, marks="1 refused"), follow=True)
        assert pane.page.locator(".o-by").inner_text() == f"1 refused · {by}"
        assert pane.texts(".o-by .o-marks") == ["1 refused"]
        pane.post("task", task=task("T-02"), follow=True)
        assert not pane.page.locator(".o-by").is_visible()
