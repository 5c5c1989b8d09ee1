from __future__ import annotations

import re
import shutil
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from orchestrator_nb.core import events as e
from orchestrator_nb.core.state import State
from orchestrator_nb.jupyter.progress import ProgressPanel, _usage
from orchestrator_nb.jupyter.view import View, view_of
from orchestrator_nb.projections.settled import progress_html, table_html
from orchestrator_nb.runtime.orchestrator import Orchestrator
from orchestrator_nb.runtime.run import Run
from orchestrator_nb.runtime.session import Session
from orchestrator_nb.storage.settings import Settings
from tests.histories import tell
from tests.limited_agent import LIMITED
from tests.runtime.waiting import plan, statuses, until


@pytest.fixture
def orchestrator(tmp_path: Path) -> Orchestrator:
    return Orchestrator(Settings(workspace=tmp_path / "sessions", grace=0.5, projection_interval=0.05))


def played(task_id: str, *after: str, duration: float = 0.0, fail: str = "", **fields: Any) -> dict[str, Any]:
    script = {"duration": duration, "fail": fail}
    parameters = {key: value for key, value in script.items() if value}
    return {"id": task_id, "agent": "simulated", "parameters": parameters, "dependencies": list(after), **fields}


def panel_of(run: Run) -> ProgressPanel:
    view: View = view_of(run)
    return view.progress


def test_it_tells_counts_time_and_status_while_the_run_goes_on_and_when_it_has_ended(
    orchestrator: Orchestrator,
) -> None:
    run = orchestrator.run(
        plan(
            played("a"),
            played("bad", fail="no"),
            played("after-bad", "bad"),
            played("slow", duration=60.0),
            {"id": "q", "agent": "human", "prompt": "Go?"},
            title="Trial",
        )
    )
    panel = panel_of(run)
    until(lambda: "1 of 5 done, 1 running, 1 awaiting approval, 1 failed, 1 blocked; 1s" in panel.head.value)
    assert "</span> Running" in panel.head.value
    assert "Trial" in panel.head.value
    assert run.id in panel.head.value
    assert (panel.bar.value, panel.bar.bar_style) == (0.6, "danger")
    run.halt()
    run.wait(10)
    until(lambda: "</span> Halted" in panel.head.value)
    assert "0 of 5" not in panel.head.value


def test_a_run_that_completes_fills_its_bar(orchestrator: Orchestrator) -> None:
    run = orchestrator.run(plan(*(played(f"t{number}") for number in range(30)), played("last", "t0", duration=0.2)))
    panel = panel_of(run)
    run.wait(10)
    until(lambda: "</span> Completed" in panel.head.value)
    assert "31 of 31 done" in panel.head.value
    assert (panel.bar.value, panel.bar.bar_style) == (1.0, "success")


def test_time_goes_on_by_itself_once_a_second(orchestrator: Orchestrator) -> None:
    run = orchestrator.run(plan(played("slow", duration=60.0)))
    panel = panel_of(run)
    heads: list[str] = []
    panel.head.observe(lambda change: heads.append(change["new"]), "value")
    until(lambda: "; 3s" in panel.head.value)
    assert "; 3s, about 57s left" in panel.head.value
    assert len(heads) <= 6
    run.halt()
    run.wait(10)


def test_many_changes_are_told_in_few_updates(orchestrator: Orchestrator) -> None:
    tasks = [played(f"t{number}", *([f"t{number - 5}"] if number >= 5 else []), duration=0.01) for number in range(500)]
    run = orchestrator.run(plan(*tasks))
    panel = panel_of(run)
    sent: list[Any] = []
    for widget in (panel.head, panel.bar):
        widget.observe(sent.append, ["value", "bar_style"])
    begun = time.monotonic()
    run.wait(30)
    until(lambda: "500 of 500 done" in panel.head.value)
    assert len(sent) <= 6 * (time.monotonic() - begun) + 8


def test_each_phase_has_a_bar_and_tells_how_far_it_is(orchestrator: Orchestrator) -> None:
    phases = [{"id": "build", "title": "Build it"}, {"id": "check"}]
    run = orchestrator.run(
        plan(
            played("a", phase="build"),
            played("b", phase="build"),
            played("c", "a", phase="check", fail="no"),
            played("d", "c", phase="check"),
            phases=phases,
        )
    )
    panel = panel_of(run)
    run.wait(10)
    until(lambda: "Failed" in panel.head.value)
    assert panel.phases is not None
    shown = [(bar.description, bar.value, bar.max, bar.bar_style) for bar in panel.phases.children]
    assert shown == [("Build it 2/2", 2.0, 2.0, "success"), ("check 0/2", 0.0, 2.0, "danger")]
    assert panel.phases.children[1].tooltip == "check: 0 of 2 done, 1 failed, 1 blocked"


def test_many_phases_are_one_list(orchestrator: Orchestrator) -> None:
    run = orchestrator.run(
        plan(*(played(f"t{i}", phase=f"p{i}") for i in range(13)), phases=[{"id": f"p{i}"} for i in range(13)])
    )
    panel = panel_of(run)
    run.wait(10)
    until(lambda: "Completed" in panel.head.value)
    assert panel.phases is not None
    assert panel.phases.value.count("<progress max='1' value='1'>") == 13
    assert "1 of 1 done" in panel.phases.value


def test_words_of_others_stay_words(orchestrator: Orchestrator) -> None:
    title = "<img src=x onerror=alert(1)>\x1b[31m"
    run = orchestrator.run(plan(played("t", phase="p"), title=title, phases=[{"id": "p", "title": "<b>p</b>"}]))
    panel = panel_of(run)
    run.wait(10)
    until(lambda: "Completed" in panel.head.value)
    assert "<img" not in panel.head.value
    assert "&lt;img src=x onerror=alert(1)&gt;" in panel.head.value
    assert "\x1b" not in panel.head.value
    assert panel.phases is not None
    assert panel.phases.children[0].description == "<b>p</b> 1/1"  # ipywidgets shows a description as text
    assert "<img" not in panel.settled(panel.view)["text/html"]


def test_warnings_are_told(orchestrator: Orchestrator, tmp_path: Path) -> None:
    left = "import subprocess; subprocess.Popen(['sleep', '30'])"
    run = orchestrator.run(plan({"id": "t", "command": ["python3", "-c", left]}))
    panel = panel_of(run)
    run.wait(20)
    with run.state() as state:
        warnings = [warning.message for warning in state.warnings]
    assert warnings
    until(lambda: panel.notes is not None and warnings[-1][:20] in panel.notes.value)


def test_a_run_that_waits_for_a_quota_says_until_when(orchestrator: Orchestrator) -> None:
    limited = {"agent": LIMITED, "parameters": {"seconds": 3600}}
    run = orchestrator.run(plan({"id": "a", **limited}, {"id": "b", **limited}, limits={"max_parallel": 1}))
    panel = panel_of(run)
    until(lambda: "0 of 2 done, 2 awaiting quota" in panel.head.value)
    until(lambda: panel.notes is not None and "2 tasks (a, b). " in panel.notes.value)
    assert panel.notes is not None
    assert "Waiting for Limited&#x27;s quota until " in panel.notes.value
    run.stop()
    run.wait(10)
    until(lambda: "Waiting for" not in (panel.notes.value if panel.notes is not None else ""))


def test_an_interrupted_session_tells_the_time_until_it_broke_off(orchestrator: Orchestrator, tmp_path: Path) -> None:
    run = orchestrator.run(plan(played("slow", duration=60.0)))
    until(lambda: statuses(run) == {"slow": "running"})
    left = shutil.copytree(run.path, tmp_path / "left")  # what a kernel that dies now leaves
    run.halt()
    run.wait(10)
    until(lambda: time.time() >= (left / "events.jsonl").stat().st_mtime + 1.5)
    view: View = view_of(Session.open(left, orchestrator.settings))
    assert "</span> Interrupted" in view.progress.head.value
    assert "0 of 1 done, 1 interrupted; " in view.progress.head.value
    assert re.search(r"; (&lt;)?0\.\ds<", view.progress.head.value)  # not the time since


def test_settled_it_says_the_same_without_widgets(orchestrator: Orchestrator) -> None:
    run = orchestrator.run(plan(played("a"), played("b"), title="Trial")).wait(10)
    bundle = ProgressPanel.settled(view_of(run))
    assert f"Trial ({run.id}): completed, 2 of 2 done" in bundle["text/plain"]
    assert "<progress" in bundle["text/html"]


def test_a_panel_that_is_shut_is_told_no_more(orchestrator: Orchestrator) -> None:
    run = orchestrator.run(plan(played("slow", duration=60.0)))
    panel = panel_of(run)
    panel.shut()
    before = panel.head.value
    run.halt()
    run.wait(10)
    done = threading.Event()
    from orchestrator_nb.jupyter.updates import updates

    updates.call(done.set)
    assert done.wait(5)
    assert panel.head.value == before


def told_html(state: State) -> str:
    """What the panel tells of agents, without the marks that keep a dollar from being mathematics."""
    return re.sub("</?span>", "", _usage(state))


def test_what_agents_use_is_told_once_they_tell() -> None:
    specs = [{"id": name, "agent": "claude", "prompt": "x"} for name in "ab"]
    begun = [e.TaskStarted("a", 1, 1), e.AgentStarted("a", 1, "claude", "edit", "bubblewrap")]
    assert told_html(tell({"tasks": specs}, *begun).state) == ""
    told = tell({"tasks": specs}, *begun, e.AgentSpent("a", 1, 1200, 34, 0, 0.25))
    assert ">claude: 1,200 tokens in, 34 out, 0.2500 $</div>" in told_html(told.state)
    told.tell(e.TaskStarted("b", 1, 1), e.AgentStarted("b", 1, "<b>codex", "edit", "bubblewrap"))
    assert ">All agents: at least 1,200 tokens in, 34 out, at least 0.2500 $; claude: 1,200 " in told_html(told.state)
    assert "&lt;b&gt;codex: tokens unknown, cost unknown" in told_html(told.state)
    assert "claude: 1,200 tokens in" in progress_html(told.state, told.at)
    assert "uncontained" not in table_html(told.state, told.at)
    told.tell(e.AgentStarted("b", 1, "codex", "edit", "uncontained"))
    assert "⚠ uncontained, tokens unknown, cost unknown" in table_html(told.state, told.at)
