from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from orchestrator_nb.core.models import Plan
from orchestrator_nb.core.tasks import TaskState, TaskStatus
from orchestrator_nb.errors import CommandRefused
from orchestrator_nb.jupyter.controls import LOOKS, Controls, objection
from orchestrator_nb.jupyter.subject import SessionSubject
from orchestrator_nb.jupyter.updates import updates
from orchestrator_nb.jupyter.view import View, view_of
from orchestrator_nb.runtime.orchestrator import Orchestrator
from orchestrator_nb.runtime.run import Run
from orchestrator_nb.runtime.session import Session
from orchestrator_nb.storage.settings import Settings
from orchestrator_nb.system.loop import library_loop
from tests.headless.books import save
from tests.runtime.waiting import plan, statuses, until


@pytest.fixture
def orchestrator(tmp_path: Path) -> Orchestrator:
    return Orchestrator(Settings(workspace=tmp_path / "sessions", grace=0.5, projection_interval=0.05))


def played(task_id: str, *after: str, duration: float = 0.0, fail: str = "") -> dict[str, Any]:
    script = {"duration": duration, "fail": fail}
    parameters = {key: value for key, value in script.items() if value}
    return {"id": task_id, "agent": "simulated", "parameters": parameters, "dependencies": list(after)}


@pytest.fixture
def long_run(orchestrator: Orchestrator) -> Iterator[Run]:
    """One task that lasts, one that waits for it, one that failed, one that this blocks, one that completed."""
    tasks = [played("slow", duration=60.0), played("next", "slow"), played("bad", fail="no"), played("after", "bad")]
    run = orchestrator.run(plan(*tasks, played("good")))
    until(lambda: statuses(run)["good"] == "completed" and statuses(run)["after"] == "blocked")
    until(lambda: statuses(run)["slow"] == "running")
    yield run
    if not run.done:
        run.halt()
    run.wait(10)


def view_for(shown: Run | Session) -> View:
    view: View = view_of(shown)
    return view


def can_be_clicked(controls: Controls) -> set[str]:
    return {verb for verb, button in controls.buttons.items() if not button.disabled}


def choices(controls: Controls) -> list[str]:
    """What may be answered to the question that is asked."""
    assert controls.confirmation is not None
    return [button.description for button in (*controls.confirmation.yes, controls.confirmation.no)]


def drawn() -> None:
    """Wait until all that was asked of the updates' thread so far is done."""
    done = threading.Event()
    updates.call(done.set)
    assert done.wait(5)


def test_buttons_are_grey_where_they_make_no_sense_and_say_why(long_run: Run) -> None:
    controls = view_for(long_run).controls
    until(lambda: can_be_clicked(controls) == {"pause", "stop", "halt"})
    assert controls.buttons["resume"].tooltip == "The run goes on already."
    assert controls.buttons["cancel"].tooltip == "Select a task first, in the graph or in the table."
    controls.buttons["pause"].click()
    until(lambda: can_be_clicked(controls) == {"resume", "stop", "halt"})
    assert controls.buttons["pause"].tooltip == "The run is paused."
    assert controls.buttons["resume"].tooltip == "Go on. What is finished is not run again."
    controls.buttons["resume"].click()
    until(lambda: can_be_clicked(controls) == {"pause", "stop", "halt"})


@pytest.mark.parametrize(
    ("task", "can", "why_not"),
    [
        ("slow", "cancel", "slow is running: only a task that has ended can be tried again."),
        ("next", "cancel", "next is waiting: only a task that has ended can be tried again."),
        ("bad", "retry", "bad is failed already."),
        ("good", "", "good is completed already."),
        ("after", "", "after is blocked already."),
    ],
)
def test_the_buttons_of_the_selected_task(long_run: Run, task: str, can: str, why_not: str) -> None:
    view = view_for(long_run)
    controls = view.controls
    view.select(task)
    until(lambda: f"<b>{task}</b>" in controls.children[0].children[4].value)
    assert can_be_clicked(controls) & {"retry", "cancel"} == ({can} if can else set())
    assert why_not in (controls.buttons["retry"].tooltip, controls.buttons["cancel"].tooltip)
    if can:
        assert task in controls.buttons[can].tooltip


def test_a_task_that_waits_for_a_quota_can_be_tried_now_or_cancelled() -> None:
    waiting = TaskState("t", 0, 1, status=TaskStatus.AWAITING_QUOTA)
    assert objection("retry", "running", waiting) == objection("cancel", "running", waiting) == ""


def test_what_is_grey_would_be_refused_or_change_nothing(long_run: Run) -> None:
    """The table of objections follows the rules of the run itself."""
    with long_run.state() as state:
        tasks = {task.id: (task.status, task) for task in state.by_index}
        wrong = [
            (verb, task) for verb in ("retry", "cancel") for task in tasks if objection(verb, "running", tasks[task][1])
        ]
    assert len(wrong) == 7
    for verb, task in wrong:
        with pytest.raises(CommandRefused):
            long_run.tell(verb, task=task)
    last = [record.seq for record in Session.open(long_run.path, long_run.settings).records()][-1]
    assert objection("resume", "running")
    long_run.tell("resume")
    long_run.stop()
    for verb in ("stop", "pause", "resume"):
        assert objection(verb, "stopping")
    long_run.tell("stop")
    session = Session.open(long_run.path, long_run.settings)
    until(lambda: bool(session.refresh()) or session.status == "stopping")
    assert [type(r.event).__name__ for r in session.records() if r.seq > last] == ["StopRequested"]


def test_after_the_end_only_what_a_session_on_disk_takes_can_be_clicked(orchestrator: Orchestrator) -> None:
    done = orchestrator.run(plan(played("a"))).wait(10)
    assert can_be_clicked(view_for(done).controls) == set()
    failed = orchestrator.run(plan(played("a", fail="no"))).wait(10)
    view = view_for(failed)
    view.select("a")
    until(lambda: can_be_clicked(view.controls) == {"resume", "retry"})
    for verb in ("pause", "stop", "halt", "cancel"):
        with pytest.raises(CommandRefused):
            Session.open(failed.path, failed.settings).tell(verb, task="a")


def test_a_click_is_heard_at_once_though_the_run_is_slow_to_answer(long_run: Run) -> None:
    controls = view_for(long_run).controls
    held, release = threading.Event(), threading.Event()

    def hold() -> None:
        held.set()
        release.wait(10)

    library_loop().call_soon_threadsafe(hold)
    assert held.wait(5)
    begun = time.monotonic()
    controls.buttons["pause"].click()
    assert time.monotonic() - begun < 0.1
    until(lambda: controls.buttons["pause"].description == "Pausing…", 1)
    assert controls.buttons["pause"].disabled
    assert long_run.status == "running"
    release.set()
    until(lambda: long_run.status == "paused")
    until(lambda: controls.buttons["pause"].description == "Pause" and "accepted" in controls.told.value)


def test_a_refusal_is_told_in_words(long_run: Run) -> None:
    view = view_for(long_run)
    controls = view.controls
    view.select("good")
    until(lambda: "good" in controls.buttons["retry"].tooltip)
    controls.buttons["retry"].click()
    until(lambda: "role='alert'" in controls.told.value)
    assert "Task 'good' is completed: use 'fork'" in controls.told.value.replace("&#x27;", "'")
    assert not controls.buttons["pause"].disabled


def test_what_breaks_is_told_too(orchestrator: Orchestrator, tmp_path: Path) -> None:
    run = orchestrator.run(plan(played("a", fail="no"))).wait(10)
    controls = view_for(run).controls
    (run.path / "events.jsonl").write_bytes(b"no log\n")
    controls.buttons["resume"].click()
    until(lambda: "role='alert'" in controls.told.value)
    assert "events.jsonl" in controls.told.value


def test_halt_asks_first_with_the_number_of_running_tasks(long_run: Run) -> None:
    controls = view_for(long_run).controls
    controls.buttons["halt"].click()
    until(lambda: controls.confirmation is not None)
    assert controls.confirmation is not None
    assert "End 1 running task now?" in controls.confirmation.question.value
    assert choices(controls) == ["Halt now", "Keep running"]
    controls.confirmation.no.click()
    until(lambda: controls.confirmation is None)
    assert controls.asking.children == ()
    assert long_run.status == "running"
    controls.buttons["halt"].click()
    until(lambda: controls.confirmation is not None)
    controls.confirmation.yes[0].click()
    assert long_run.wait(10).status == "halted"
    until(lambda: can_be_clicked(controls) == {"resume"})


def test_a_notebook_whose_kernel_is_kept_can_go_on_from_the_failed_cell(
    orchestrator: Orchestrator, tmp_path: Path
) -> None:
    book, once = tmp_path / "book.ipynb", f"open({str(tmp_path / 'once')!r}, 'a').write('x')"
    save(book, once, "state = [].pop()", ("state", "result"))
    spec = {"id": "T", "notebook": str(book), "keep_kernel_on_error": "1h"}
    run = orchestrator.run(Plan.model_validate({"tasks": [spec]}))
    until(lambda: run.waits, 60)
    view = view_for(run)
    controls = view.controls
    panel = view.progress
    until(lambda: panel.notes is not None and "1 kernel of failed notebooks kept" in panel.notes.value)
    view.select("T")
    until(lambda: "T" in controls.buttons["retry"].tooltip)
    controls.buttons["retry"].click()
    until(lambda: controls.confirmation is not None)
    assert choices(controls) == ["From the failed cell", "Run it whole", "Not now"]
    save(book, once, "state = [7].pop()", ("state", "result"))
    assert controls.confirmation is not None
    controls.confirmation.yes[0].click()
    assert run.wait(60).status == "completed"
    assert (run.results["T"], (tmp_path / "once").read_text()) == (7, "x")


def test_what_was_to_be_confirmed_goes_when_it_makes_no_sense_any_more(long_run: Run) -> None:
    view = view_for(long_run)
    controls = view.controls
    view.select("next")
    until(lambda: "next" in controls.buttons["cancel"].tooltip)
    controls.buttons["cancel"].click()
    until(lambda: controls.confirmation is not None)
    assert controls.confirmation is not None
    assert "End next for good now?" in controls.confirmation.question.value
    view.select("slow")
    drawn()
    assert controls.confirmation is not None
    assert controls.confirmation.task == "next"
    long_run.cancel("next")
    until(lambda: controls.confirmation is None)


def test_stop_says_what_ends_first_and_resume_goes_on_in_the_same_view(orchestrator: Orchestrator) -> None:
    release = threading.Event()

    def slow() -> str:
        release.wait(20)
        return "done"

    tasks = [{"id": "slow", "function": ":slow"}, {"id": "next", "function": ":slow", "dependencies": ["slow"]}]
    run = orchestrator.run(plan(*tasks), functions={":slow": slow})
    until(lambda: statuses(run)["slow"] == "running")
    view = view_for(run)
    controls = view.controls
    controls.buttons["stop"].click()
    until(lambda: "1 running task will end first." in controls.told.value)
    assert controls.buttons["stop"].description == "Stopping…"
    release.set()
    assert run.wait(10).status == "stopped"
    until(lambda: can_be_clicked(controls) == {"resume"})
    controls.buttons["resume"].click()  # the functions of this process go on with it
    until(lambda: view.subject.status == "completed")
    assert view.controls is controls
    until(lambda: can_be_clicked(controls) == set())
    assert [r.event.run for r in Session.open(run.path, run.settings).records() if hasattr(r.event, "resumed")] == [
        1,
        2,
    ]


def test_what_is_recorded_for_the_next_resume_is_shown_and_done(orchestrator: Orchestrator) -> None:
    run = orchestrator.run(plan(played("a", fail="no"), played("b", "a"))).wait(10)
    view = view_for(run)
    controls = view.controls
    view.select("a")
    until(lambda: not controls.buttons["retry"].disabled)
    controls.buttons["retry"].click()
    until(lambda: "it takes effect with" in controls.told.value)
    with view.subject.reading() as state:
        assert state.tasks["a"].status is TaskStatus.PENDING
    until(lambda: controls.buttons["retry"].disabled)
    controls.buttons["resume"].click()
    until(lambda: "The run goes on." in controls.told.value)
    until(lambda: _task(view, "a").attempt == 2)
    until(lambda: view.subject.status == "failed")


def test_a_resume_without_a_function_of_the_plan_says_which_is_missing(orchestrator: Orchestrator) -> None:
    release = threading.Event()
    run = orchestrator.run(plan({"id": "slow", "function": ":slow"}), functions={":slow": release.wait})
    until(lambda: statuses(run)["slow"] == "running")
    run.halt()
    release.set()
    run.wait(10)
    controls = View(SessionSubject(Session.open(run.path, run.settings))).controls
    controls.buttons["resume"].click()
    until(lambda: "role='alert'" in controls.told.value)
    assert ":slow" in controls.told.value
    until(lambda: not controls.buttons["resume"].disabled)


def test_a_changed_plan_is_shown_before_it_is_taken(tmp_path: Path, orchestrator: Orchestrator) -> None:
    file = tmp_path / "plan.yaml"
    file.write_text("tasks:\n  - {id: a, command: 'exit 1'}\n  - {id: b, command: 'true', dependencies: [a]}\n")
    run = orchestrator.run(str(file)).wait(10)
    view = view_for(run)
    controls = view.controls
    file.write_text("tasks:\n  - {id: a, command: 'echo <b>'}\n  - {id: b, command: 'true', dependencies: [a]}\n")
    controls.buttons["resume"].click()
    until(lambda: controls.confirmation is not None)
    assert controls.confirmation is not None
    assert "~ a.command: exit 1 -&gt; echo &lt;b&gt;" in controls.confirmation.question.value
    assert "The plan has changed" in controls.told.value
    file.write_text("tasks:\n  - {id: a, command: 'echo c'}\n  - {id: b, command: 'true', dependencies: [a]}\n")
    until(lambda: not controls.buttons["resume"].disabled)
    controls.confirmation.yes[0].click()  # it has changed again since: what was agreed to is not what would be run
    until(lambda: controls.confirmation is not None and "echo c" in controls.confirmation.question.value)
    until(lambda: not controls.buttons["resume"].disabled)
    controls.confirmation.yes[0].click()
    until(lambda: view.subject.status == "completed")
    assert view.subject.result_of(_task(view, "a")) == "c"


def _task(view: View, name: str) -> Any:
    with view.subject.reading() as state:
        return state.tasks[name]


ELSEWHERE = """
import sys
from pathlib import Path
from orchestrator_nb.core.models import Plan
from orchestrator_nb.runtime.orchestrator import Orchestrator
from orchestrator_nb.storage.settings import Settings
task = {"id": "slow", "command": "while [ ! -e go ]; do sleep 0.05; done"}
plan = Plan.model_validate({"tasks": [task, {**task, "id": "next", "dependencies": ["slow"]}]})
run = Orchestrator(Settings(workspace=Path(sys.argv[1]))).run(plan, cwd=sys.argv[2])
print(run.id, flush=True)
run.wait()
"""


def test_a_run_of_another_process_is_steered_through_its_inbox(tmp_path: Path) -> None:
    settings = Settings(workspace=tmp_path / "sessions")
    root = Path(__file__).parents[2]
    with subprocess.Popen(
        [sys.executable, "-c", ELSEWHERE, str(settings.workspace), str(tmp_path)],
        cwd=root,
        stdout=subprocess.PIPE,
        text=True,
    ) as other:
        assert other.stdout is not None
        session = Session.open(other.stdout.readline().strip(), settings)
        view = view_for(session)
        controls = view.controls
        until(lambda: can_be_clicked(controls) == {"pause", "stop", "halt"})
        assert f"Run by process {other.pid} on " in controls.children[0].children[4].value
        controls.buttons["stop"].click()
        until(lambda: "accepted" in controls.told.value)
        (tmp_path / "go").touch()
        assert other.wait(20) == 0
    until(lambda: can_be_clicked(controls) == {"resume"})
    assert "Run by" not in controls.children[0].children[4].value
    controls.buttons["resume"].click()
    until(lambda: view.subject.status == "completed")


def test_settled_it_says_how_to_go_on(long_run: Run) -> None:
    long_run.halt()
    long_run.wait(10)
    bundle = Controls.settled(view_for(long_run))
    assert f"The run {long_run.id} is halted." in bundle["text/plain"]
    assert f"'orchestrate resume {long_run.id}'" in bundle["text/plain"]
    assert "orchestrate resume" in bundle["text/html"]


def test_each_button_says_what_it_will_do() -> None:
    assert list(LOOKS) == ["pause", "resume", "stop", "halt", "retry", "cancel"]
    for look in LOOKS.values():
        assert look.does.endswith(".")
        assert look.heard.endswith("…")
