from __future__ import annotations

import importlib.util
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from orchestrator_nb.core import events as e
from orchestrator_nb.core.models import Plan
from orchestrator_nb.core.state import State
from orchestrator_nb.errors import OrchestratorError
from orchestrator_nb.jupyter.envelope import Envelope
from orchestrator_nb.jupyter.graph import CODES, GraphPane, plan_graph, state_graph
from orchestrator_nb.jupyter.module import CSS, ESM
from orchestrator_nb.jupyter.part import Changes
from orchestrator_nb.jupyter.view import view_of
from orchestrator_nb.projections.layout import THRESHOLD, GraphView, collapse_by_phase
from orchestrator_nb.projections.theme import STATUSES
from orchestrator_nb.runtime.orchestrator import Orchestrator
from orchestrator_nb.storage.settings import Settings
from tests.histories import HOSTILE, tell
from tests.runtime.waiting import until
from tests.tools import need

PHASES = ("one", "two", "three")


class Told(GraphPane):
    """A pane that writes down what it tells the page."""

    def __init__(self, view: Any) -> None:
        self.told: list[dict[str, Any]] = []
        self.envelope = Envelope()  # a pane that another test left behind must not carry what this one tells
        super().__init__(view)

    def send(self, content: Any, buffers: Any = None) -> None:
        self.told.append(json.loads(buffers[0]) if buffers else content)


def task(name: str, *dependencies: str, **more: Any) -> dict[str, Any]:
    return {"id": name, "agent": "simulated", "dependencies": list(dependencies), **more}


def chain(number: int, **more: Any) -> dict[str, Any]:
    """A plan of `number` tasks, each after the one before, in three phases."""
    tasks = [
        task(f"t{index}", *[f"t{index - 1}"] * (index > 0), phase=PHASES[index * 3 // number])
        for index in range(number)
    ]
    return {"title": "A chain", "tasks": tasks, "phases": [{"id": phase} for phase in PHASES], **more}


DIAMOND = {
    "title": "A diamond",
    "tasks": [
        task("top", title="The beginning"), task("left", "top"), task("right", "top"), task("end", "left", "right"),
    ],
}  # fmt: skip


def pane_of(state: State) -> Told:
    """A pane that shows `state`."""
    view = state_graph(state).view
    pane = view.pane = Told(view)  # type: ignore[attr-defined]
    return pane


def started(*names: str) -> list[e.AnyEvent]:
    return [e.TaskStarted(name, 1, 1, "f") for name in names]


def snapshot(pane: GraphPane) -> dict[str, Any]:
    return json.loads(pane.encoded())


def test_the_snapshot_holds_places_and_statuses_of_all_tasks() -> None:
    whole = snapshot(pane_of(tell(DIAMOND, *started("top"), e.TaskCompleted("top", 1, 0.5)).state))
    picture = whole["picture"]
    assert picture["ids"] == ["top", "left", "right", "end"]
    assert len(picture["boxes"]) == 16
    assert [CODES["completed"], CODES["pending"], CODES["pending"], CODES["waiting"]] == whole["statuses"]
    edges = [tuple(line["ends"][at : at + 2]) for line in picture["lines"] for at in range(0, len(line["ends"]), 2)]
    assert sorted(edges) == [(0, 1), (0, 2), (1, 3), (2, 3)]
    assert [line["d"].count("M") for line in picture["lines"]] == [len(line["ends"]) // 2 for line in picture["lines"]]
    assert [line["ends"] for line in picture["lines"] if line["kind"] == "path"] == [[0, 1, 1, 3]]


def test_codes_are_the_positions_of_the_statuses_in_the_module() -> None:
    looks = json.loads(ESM.splitlines()[0].removeprefix("const STATUSES = ").removesuffix(";"))
    assert {status: code for code, status in enumerate(looks)} == CODES


def test_a_change_is_told_once_and_as_small_rows() -> None:
    history = tell(DIAMOND)
    pane = pane_of(history.state)
    number = snapshot(pane)["number"]
    history.tell(*started("top"))
    for _ in range(2):
        pane.refresh(Changes(tasks={0}))
    history.tell(e.TaskProgressed("top", 1, "half", 1, 2))
    pane.refresh(Changes(tasks={0}))
    assert [(told["number"], told["rows"]) for told in pane.told] == [(number + 1, [0, CODES["running"]])]


def test_what_a_page_learnt_from_a_snapshot_is_told_anew_when_it_changes_back() -> None:
    history = tell(DIAMOND, *started("top"))
    pane = pane_of(history.state)
    pane.refresh(Changes(tasks={0}))
    history.tell(e.AttemptInterrupted("top", 1, "crash", crashed=True))
    assert snapshot(pane)["statuses"][0] == CODES["pending"]  # of a page that was just opened
    history.tell(e.TaskStarted("top", 2, 2, "f"))
    pane.refresh(Changes(tasks={0}))
    assert [told["rows"] for told in pane.told] == 2 * [[0, CODES["running"]]]


def test_another_plan_is_told_whole() -> None:
    history = tell(DIAMOND)
    pane = pane_of(history.state)
    history.accept(Plan.model_validate(chain(3)))
    pane.refresh(Changes(everything=True))
    assert pane.told[0]["picture"]["ids"] == ["t0", "t1", "t2"]
    assert pane.told[0]["number"] == snapshot(pane)["number"]


def test_the_picture_is_made_once_a_plan() -> None:
    pane = pane_of(tell(DIAMOND).state)
    made = pane._picture
    pane.encoded()
    assert pane._picture is made is not None


@pytest.mark.parametrize(("number", "collapsed"), [(THRESHOLD, False), (THRESHOLD + 1, True)])
def test_large_graphs_are_shown_by_group(number: int, collapsed: bool) -> None:
    picture = snapshot(pane_of(tell(chain(number)).state))["picture"]
    assert picture["collapsed"] is collapsed
    assert len(picture["ids"]) == (3 if collapsed else number)


def test_groups_are_those_of_the_static_picture_and_hold_every_task() -> None:
    plan = Plan.model_validate(chain(THRESHOLD + 100))
    picture = snapshot(pane_of(tell(chain(THRESHOLD + 100)).state))["picture"]
    static = collapse_by_phase(GraphView.of_plan(plan))
    assert picture["ids"] == [node.id for node in static.nodes]
    assert [picture["units"].count(group) for group in picture["groups"]] == [
        node.counts[0][1] for node in static.nodes
    ]


def test_groups_that_interleave_are_split_and_stay_apart() -> None:
    tasks = [task(f"t{index}", *[f"t{index - 1}"] * (index > 0), phase="ab"[index % 2]) for index in range(8)]
    pane = pane_of(tell({"title": "x", "tasks": tasks}).state)
    pane._collapsed = True
    picture = snapshot(pane)["picture"]
    assert picture["ids"][:2] == ["a (1)", "b (1)"]
    assert len(set(picture["ids"])) == len(picture["ids"]) == 8


def test_an_open_group_shows_its_tasks_among_the_other_groups() -> None:
    pane = pane_of(tell(chain(9)).state)
    pane._collapsed, pane._open = True, frozenset(["two"])
    picture = snapshot(pane)["picture"]
    assert picture["ids"] == ["one", "t3", "t4", "t5", "three"]
    assert picture["groups"] == [0, 4]
    assert picture["units"] == [0, 0, 0, 1, 2, 3, 4, 4, 4]


def test_collapsing_from_python_and_from_the_page_tells_the_page() -> None:
    pane = pane_of(tell(chain(9)).state)
    pane.collapsed = True
    until(lambda: len(pane.told) == 1)
    pane.received({"type": "open", "group": "two"})
    until(lambda: len(pane.told) == 2)
    pane.received({"type": "collapse", "on": False})
    until(lambda: len(pane.told) == 3)
    assert [len(told["picture"]["ids"]) for told in pane.told] == [3, 5, 9]
    assert pane.collapsed is False
    with pytest.raises(OrchestratorError, match="auto"):
        pane.collapsed = "yes"  # type: ignore[assignment]


def test_the_page_can_ask_why(tmp_path: Path) -> None:
    orchestrator = Orchestrator(Settings(workspace=tmp_path))
    run = orchestrator.run(Plan.model_validate({"title": "x", "tasks": [task("a", parameters={"fail": "no luck"})]}))
    run.wait(10)
    pane = Told(view_of(run))
    pane.received({"type": "why", "task": "gone"})
    pane.received({"type": "why", "task": "a"})
    until(lambda: bool(pane.told))
    assert pane.told[0]["task"] == "a"
    assert "no luck" in " ".join(pane.told[0]["sentences"])
    assert pane.told[0]["attempt"] == 1


@pytest.mark.parametrize("text", HOSTILE)
def test_row_F4_hostile_titles_come_out_as_plain_lines(text: str) -> None:
    plan = {"title": text, "tasks": [task("a", title=text, phase=text)], "phases": [{"id": text}]}
    pane = pane_of(tell(plan).state)
    pane._collapsed = True
    for collapsed in (True, False):
        pane._collapsed = collapsed
        raw = pane.encoded().decode()
        picture = json.loads(raw)["picture"]
        shown = [
            picture["title"],
            *picture["facts"],
            *picture["titles"].values(),
            *[line for label in picture["labels"] for line in label],
        ]
        assert not {"\x1b", "\x00", "\x07", "\u202e", "\u200b", "\n", "\r"} & set("".join(shown))
    assert pane.settled(pane.view)["text/plain"].count("\n") == 1


def test_a_plan_without_a_run_has_no_statuses() -> None:
    pane = plan_graph(Plan.model_validate(DIAMOND))
    whole = snapshot(pane)
    assert whole["statuses"] == [CODES[""]] * 4
    assert whole["run"] == ""
    assert "Critical path: top → left → end" in pane.settled(pane.view)["text/plain"]
    pane.view.select("left")
    assert snapshot(pane)["selected"] == "left"


# -- in a browser ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    if os.environ.get("CI") != "true" and importlib.util.find_spec("playwright") is None:
        pytest.skip("needs playwright")
    need(os.environ.get("CHROMIUM", "chromium"))
    from tests.browser.lab import started_browser

    with started_browser() as running:
        yield running


class Drawn:
    """The graph in a page whose kernel is played: what it tells is in `sent`."""

    def __init__(self, page: Any, whole: dict[str, Any], number: int = 0) -> None:
        self.page, self.number = page, whole["number"]
        page.set_content(f'<style>{CSS}</style><body data-jp-theme-light="true"><div id="out"></div></body>')
        page.add_script_tag(type="module", content=ESM.replace("export default", "window.orchestrator ="))
        page.wait_for_function("() => window.orchestrator")
        page.evaluate(
            """whole => {
                window.sent = []; window.handlers = [];
                const snapshot = new TextEncoder().encode(JSON.stringify(whole));
                const model = {get: (name) => (name === "kind" ? "graph" : snapshot), off() {},
                    on: (name, take) => name === "msg:custom" && handlers.push(take),
                    send: (message) => sent.push(message)};
                const drawing = orchestrator();
                drawing.initialize({model});
                drawing.render({model, el: document.getElementById("out")});
            }""",
            whole,
        )

    def post(self, kind: str, **content: Any) -> None:
        self.number += 1
        message = {"type": kind, "number": self.number, "now": 0, **content}
        self.page.evaluate("message => handlers.forEach((take) => take(message, []))", message)

    def rows(self, *rows: int, run: str = "running", selected: str = "") -> None:
        self.post("rows", rows=rows, run=run, selected=selected)

    def node(self, name: str) -> Any:
        return self.page.locator(f'[data-task="{name}"], [data-group="{name}"]')

    def sent(self, kind: str) -> list[dict[str, Any]]:
        return [message for message in self.page.evaluate("sent") if message["type"] == kind]

    @property
    def active(self) -> str:
        script = "() => document.getElementById(document.activeElement.getAttribute('aria-activedescendant'))"
        return str(self.page.evaluate(f"{script}.dataset.task"))

    @property
    def camera(self) -> str:
        return str(self.page.locator(".o-graph-svg > g").get_attribute("transform"))


@pytest.fixture
def drawn(browser: Any) -> Iterator[Callable[..., Drawn]]:
    """Draws a snapshot; afterwards nothing may have gone wrong in the page."""
    page = browser.new_page(viewport={"width": 900, "height": 700})
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    yield lambda pane: Drawn(page, snapshot(pane))
    page.close()
    assert errors == []


def test_every_task_is_drawn_with_its_status(drawn: Callable[..., Drawn]) -> None:
    graph = drawn(pane_of(tell(DIAMOND, *started("top"), e.TaskFailed("top", 1, "no", "exit_code", 0.5, 1)).state))
    nodes = graph.page.locator(".o-node")
    assert nodes.evaluate_all("all => all.map((node) => [node.dataset.task, node.dataset.status])") == [
        ["top", "failed"], ["left", "waiting"], ["right", "waiting"], ["end", "waiting"],
    ]  # fmt: skip
    assert graph.page.locator(".o-graph-legend").inner_text().split("\n") == ["Waiting 3", "Failed 1", "Critical path"]


def test_a_change_of_status_changes_colour_and_shape_of_one_box(drawn: Callable[..., Drawn]) -> None:
    graph = drawn(pane_of(tell(DIAMOND).state))
    colour = "node => getComputedStyle(node).stroke"
    sign = f'.o-graph-details .o-badge-shape[d="{STATUSES["failed"].shape}"]'
    before, other = graph.node("left").evaluate(colour), graph.node("right").evaluate(colour)
    assert graph.page.locator(sign).count() == 0
    graph.rows(1, CODES["failed"])
    assert graph.node("left").get_attribute("data-status") == "failed"
    assert graph.node("left").evaluate(colour) != before
    assert graph.node("right").evaluate(colour) == other == before
    assert graph.page.locator(sign).count() == 1
    assert "Failed 1" in graph.page.locator(".o-graph-legend").inner_text()


def test_keys_go_along_the_lines_and_choose(drawn: Callable[..., Drawn]) -> None:
    graph = drawn(pane_of(tell(DIAMOND).state))
    keyboard = graph.page.keyboard
    graph.page.locator(".o-graph-bar button:visible").last.focus()
    keyboard.press("Tab")
    assert graph.active == "top"
    keyboard.press("ArrowRight")
    reached = {graph.active}
    for key in ("ArrowDown", "ArrowUp"):
        keyboard.press(key)
        reached.add(graph.active)
    assert reached == {"left", "right"}
    keyboard.press("ArrowRight")
    assert graph.active == "end"
    keyboard.press("ArrowRight")
    assert graph.active == "end"
    keyboard.press("Enter")
    assert graph.sent("select") == [{"type": "select", "task": "end"}]
    assert graph.node("end").get_attribute("aria-selected") == "true"
    before = graph.camera
    keyboard.press("+")
    assert graph.camera != before
    keyboard.press("0")
    assert graph.camera == before


def test_nodes_say_what_they_are_and_changes_are_announced(drawn: Callable[..., Drawn]) -> None:
    graph = drawn(pane_of(tell(DIAMOND).state))
    graph.node("end").click()
    assert graph.node("end").get_attribute("aria-label") == "end, waiting, agent simulated, P0, waits for left, right"
    graph.rows(1, CODES["completed"], 3, CODES["running"])
    assert graph.page.locator("[role=status]").inner_text() == "end: running"
    assert graph.node("end").get_attribute("aria-label").startswith("end, running, agent simulated")
    graph.rows(run="completed")
    assert (
        graph.page.locator("[role=status]").inner_text()
        == "Run completed: 1 waiting, 1 pending, 1 running, 1 completed"
    )


def test_a_task_that_is_selected_elsewhere_is_marked(drawn: Callable[..., Drawn]) -> None:
    graph = drawn(pane_of(tell(DIAMOND).state))
    graph.rows(selected="right")
    assert graph.page.locator("[aria-selected=true]").get_attribute("data-task") == "right"
    assert graph.page.locator(".o-selected-ring").get_attribute("visibility") == "visible"


def test_hovering_tells_what_and_why(drawn: Callable[..., Drawn]) -> None:
    graph = drawn(pane_of(tell(DIAMOND).state))
    graph.node("end").hover()
    tip = graph.page.locator(".o-tip")
    tip.wait_for()
    assert "end" in tip.inner_text()
    assert graph.sent("why") == [{"type": "why", "task": "end"}]
    graph.post("why", task="end", sentences=["'end' waits for <i>left</i>."], since=None, seconds=None, attempt=0)
    assert "'end' waits for <i>left</i>." in tip.inner_text()
    graph.page.mouse.move(5, 5)
    tip.wait_for(state="hidden")


def test_the_wheel_is_the_page_s_until_the_graph_is_meant(drawn: Callable[..., Drawn]) -> None:
    graph = drawn(pane_of(tell(DIAMOND).state))
    wheel = """more => {
        const event = new WheelEvent("wheel", {deltaY: -100, clientX: 200, clientY: 150, cancelable: true, ...more});
        document.querySelector(".o-graph-svg").dispatchEvent(event);
        return event.defaultPrevented; }"""
    before = graph.camera
    assert not graph.page.evaluate(wheel, {})
    assert graph.camera == before
    assert graph.page.evaluate(wheel, {"ctrlKey": True})
    assert graph.camera != before
    graph.page.locator(".o-graph-svg").dblclick(position={"x": 5, "y": 5})
    assert graph.camera == before
    assert graph.page.evaluate(wheel, {})  # it has the focus now


def test_groups_count_their_tasks_and_open(drawn: Callable[..., Drawn]) -> None:
    pane = pane_of(tell(chain(9)).state)
    pane._collapsed = True
    graph = drawn(pane)
    assert graph.page.locator(".o-node").count() == 3
    graph.rows(0, CODES["completed"], 1, CODES["failed"], 3, CODES["running"])
    assert graph.node("one").get_attribute("data-status") == "failed"
    assert graph.node("two").get_attribute("data-status") == "running"
    assert "1 of 3, 1 failed" in graph.page.locator(".o-graph-details").text_content()
    graph.node("two").dblclick()
    assert graph.sent("open") == [{"type": "open", "group": "two"}]
    assert graph.sent("select") == []
    graph.page.get_by_role("button", name="Groups").click()
    assert graph.sent("collapse") == [{"type": "collapse", "on": False}]


def test_row_F4_hostile_titles_stay_text_in_the_page(drawn: Callable[..., Drawn]) -> None:
    titles = [*HOSTILE, "<img src=x onerror='window.bad=1'>", "</text></svg><script>window.bad=1</script>"]
    tasks = [task(f"t{index}", title=title) for index, title in enumerate(titles)]
    graph = drawn(pane_of(tell({"title": titles[-1], "tasks": tasks}).state))
    for name in ("t11", "t13", "t14"):
        graph.node(name).hover()
        graph.page.locator(".o-tip").wait_for()
    assert graph.page.locator("#out script, #out img, #out a, #out iframe").count() == 0
    assert graph.page.evaluate("window.bad") is None
    assert "</svg>" in str(graph.page.locator(".o-graph-title").text_content())


def test_ten_thousand_tasks_are_drawn(drawn: Callable[..., Drawn]) -> None:
    tasks = [task(f"t{index}", *[f"t{index - 100}"] * (index >= 100)) for index in range(10_000)]
    pane = pane_of(tell({"title": "Many", "tasks": tasks}).state)
    pane._collapsed = False
    graph = drawn(pane)
    assert graph.page.locator(".o-node").count() == 10_000
    graph.rows(9_999, CODES["failed"])
    assert graph.node("t9999").get_attribute("data-status") == "failed"
    assert graph.page.locator(".o-graph-details > g").count() == 1  # failures are marked even from far away
