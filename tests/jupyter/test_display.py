"""What a cell shows, by where it runs: real kernels, driven as a front end and as nbclient drive them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.live_kernels import Kernel, started_kernel

WIDGET = "application/vnd.jupyter.widget-view+json"
PLAN = """
from orchestrator_nb import PlanBuilder, Session, orchestrate
plan = PlanBuilder("Trip")
first = plan.simulated(title="First", duration={duration}, result="one")
second = plan.simulated(title="Second", result="two")
first >> second
"""


#: The run is over, and what stays of it is in the place of its view: calls are carried out in turn.
SETTLED = """
import threading
from orchestrator_nb.jupyter.updates import updates
run.wait()
while run.view._outputs:
    threading.Event().wait(0.01)
done = threading.Event()
updates.call(done.set)
assert done.wait(60)
"""


@pytest.fixture(scope="module")
def kernel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kernel]:
    with started_kernel(tmp_path_factory.mktemp("kernel")) as running:
        yield running


def _parent(message: dict[str, Any]) -> str:
    """The request that a message belongs to."""
    return str(message["parent_header"].get("msg_id"))


def test_in_a_notebook_the_cell_returns_at_once_with_a_live_view(kernel: Kernel) -> None:
    cell = kernel.run(PLAN.format(duration=30) + "run = orchestrate(plan)\nprint(run.status)", cell="a")
    assert cell.stdout.strip() in ("created", "running")
    assert [WIDGET in bundle for bundle in cell.bundles] == [True]
    assert "Trip" in cell.bundles[0]["text/plain"]
    assert kernel.run("run.halt(); run.wait(); print(run.status)").stdout.strip() == "halted"


def test_the_last_expression_does_not_show_the_run_twice(kernel: Kernel) -> None:
    cell = kernel.run(PLAN.format(duration=0) + "orchestrate(plan)")
    assert [WIDGET in bundle for bundle in cell.bundles] == [True]


def test_a_finished_run_shows_what_stays(kernel: Kernel) -> None:
    kernel.run(PLAN.format(duration=0) + "run = orchestrate(plan).wait()")
    cell = kernel.run("run")
    assert not any(WIDGET in bundle for bundle in cell.bundles)
    assert "text/html" in cell.bundles[0]
    assert "Second" in cell.bundles[0]["text/plain"]
    assert any("image/png" in bundle for bundle in cell.bundles)
    assert any(WIDGET in bundle for bundle in kernel.run("run.view").bundles)


def test_the_end_of_a_run_replaces_its_live_view(kernel: Kernel) -> None:
    request = kernel.start(PLAN.format(duration=1) + "run = orchestrate(plan)", cell="b")
    shown = kernel.finish(request)
    (message,) = (m for m in shown.messages if m["msg_type"] == "display_data" and _parent(m) == request)
    later = kernel.run(SETTLED)
    (update,) = (m for m in later.messages if m["msg_type"] == "update_display_data" and _parent(m) == request)
    assert update["content"]["transient"]["display_id"] == message["content"]["transient"]["display_id"]
    assert WIDGET not in update["content"]["data"]
    assert "Second" in update["content"]["data"]["text/html"]
    (picture,) = (m for m in later.messages if m["msg_type"] == "display_data" and _parent(m) == request)
    assert "image/png" in picture["content"]["data"]


def test_headless_a_cell_waits_and_shows_no_widget(kernel: Kernel) -> None:
    cell = kernel.run(PLAN.format(duration=0.3) + "run = orchestrate(plan)\nprint(run.status)", allow_stdin=False)
    assert cell.stdout.strip() == "completed"
    assert not any(WIDGET in bundle for bundle in cell.bundles)
    assert "Second" in cell.bundles[0]["text/html"]


def test_headless_nothing_makes_a_widget(kernel: Kernel) -> None:
    kernel.run(PLAN.format(duration=0) + "run = orchestrate(plan)", allow_stdin=False)
    for shown in ("run.view", "run.view.plan", "run.view.graph", "run.view.log", "run.view.replay()", "plan", "run"):
        cell = kernel.run(shown, allow_stdin=False)
        assert cell.bundles, shown
        assert not any(WIDGET in bundle for bundle in cell.bundles), shown
        assert not any(message["msg_type"].startswith("comm") for message in cell.messages), shown


def test_headless_a_cell_does_not_wait_for_people(kernel: Kernel) -> None:
    code = """
from orchestrator_nb import PlanBuilder, orchestrate
plan = PlanBuilder("Question")
plan.human("Go?", id="ask")
run = orchestrate(plan)
"""
    cell = kernel.run(code, allow_stdin=False)
    assert "waits for a person: 'ask'" in cell.stdout
    cell = kernel.run("run.approve('ask')\nrun.wait()\nprint(run.status)", allow_stdin=False)
    assert cell.stdout.strip() == "completed", cell.error
    assert "Question" in cell.bundles[0]["text/plain"]


def test_row_F3_a_cell_run_twice_starts_one_run(kernel: Kernel) -> None:
    code = PLAN.format(duration=30) + "run = orchestrate(plan)\nprint(run.id)"
    first, second = kernel.run(code, cell="same"), kernel.run(code, cell="same")
    assert "still goes on" in second.stdout
    assert second.stdout.split()[-1] == first.stdout.split()[-1]
    assert any(WIDGET in bundle for bundle in second.bundles)
    other = kernel.run(code.replace("orchestrate(plan)", "orchestrate(plan, again=True)"), cell="same")
    assert other.stdout.split()[-1] != first.stdout.split()[-1]
    loop = PLAN.format(duration=30) + "runs = [orchestrate(plan) for _ in range(2)]\nprint(len({r.id for r in runs}))"
    assert kernel.run(loop, cell="loop").stdout.strip() == "2"
    kernel.run("[s.tell('halt') for s in Session.all() if s.holder()]")


def test_row_F3_a_second_notebook_attaches_and_steers_from_afar(kernel: Kernel, tmp_path: Path) -> None:
    started = kernel.run(PLAN.format(duration=60) + "run = orchestrate(plan)\nprint(run.path)")
    with started_kernel(tmp_path) as other:
        code = f"from orchestrator_nb import Session\ns = Session.open({started.stdout.strip()!r})\ns.show()"
        shown = other.run(code)
        assert any(WIDGET in bundle for bundle in shown.bundles), shown.error
        assert "SessionLocked" in other.run("s.resume()").error
        assert "halt" in other.run("print(s.tell('halt'))").stdout.lower()
    assert kernel.run("run.wait(); print(run.status)").stdout.strip() == "halted"


def test_bad_input_is_told_without_a_traceback(kernel: Kernel) -> None:
    error = kernel.run("from orchestrator_nb import orchestrate\norchestrate('nope.yaml')").error
    assert "nope.yaml" in error
    assert "File" not in error


PROMPT = """
from orchestrator_nb import orchestrate

def planner(request):
    return {{"plan": {{"title": "A guide", "tasks": [{{"id": "write", "agent": "simulated"}}]}}}}

run = orchestrate("Write a {thing}", planner=planner)
print(run.id)
"""


def test_a_prompt_is_a_live_view_and_is_not_begun_twice(kernel: Kernel) -> None:
    first, second = (kernel.run(PROMPT.format(thing="guide"), cell="prompt") for _ in range(2))
    assert any(WIDGET in bundle for bundle in first.bundles)
    assert "still goes on" in second.stdout
    assert second.stdout.split()[-1] == first.stdout.split()[-1]
    other = kernel.run(PROMPT.format(thing="song"), cell="prompt")
    assert "still goes on" not in other.stdout
    approved = """
import threading
def asked():
    with run.state() as state:
        return bool(state.open_checkpoints)
while not asked():
    threading.Event().wait(0.01)
run.approve("planning/1-approve")
print(run.wait().status)
"""
    assert kernel.run(approved).stdout.strip() == "completed"
    kernel.run("from orchestrator_nb import Session\n[s.tell('halt') for s in Session.all() if s.holder()]")
