"""`Run`: waiting everywhere, results, verbs, events."""

from __future__ import annotations

import asyncio
import json
import threading
from pathlib import Path
from typing import Any

import pytest

from orchestrator_nb.core import events as e
from orchestrator_nb.errors import CommandRefused, RunError, RunFailed, RunNotFinished
from orchestrator_nb.planning.builder import PlanBuilder
from orchestrator_nb.runtime.orchestrator import Orchestrator
from orchestrator_nb.runtime.run import Run
from tests.runtime.waiting import asks, plan, statuses, until

HUMAN = {"id": "q", "agent": "human", "prompt": "Go?"}


def test_it_starts_at_once_and_can_be_waited_for_in_a_script(orchestrator: Orchestrator) -> None:
    run = orchestrator.run(plan({"id": "t", "command": "echo hello"}, title="Greeting"))
    assert not run.done
    with pytest.raises(RunNotFinished, match=r"run\.wait\(\)"):
        _ = run.result
    assert run.wait(20) is run
    assert run.status == "completed"
    assert run.result.startswith("# Greeting\n")
    assert run.results["t"] == "hello"
    assert list(run.results) == ["t"]
    assert "completed: 1 of 1 tasks" in repr(run)
    assert (run.path / "final_output.md").read_text() == run.result


def test_it_can_be_awaited_in_any_loop_and_by_several(orchestrator: Orchestrator) -> None:
    async def main() -> list[str]:
        run = orchestrator.run(plan({"id": "t", "command": "true"}))
        ticks = 0

        async def tick() -> None:
            nonlocal ticks
            while not run.done:
                await asyncio.sleep(0.001)
                ticks += 1

        ticking = asyncio.create_task(tick())
        await asyncio.gather(_status(run), _status(run))
        await ticking
        assert ticks > 1, "the caller's loop was free"
        return [record.event.__class__.__name__ async for record in run]

    async def _status(run: Any) -> str:
        return str((await run).status)

    names = asyncio.run(main())
    assert names[0] == "SessionCreated"
    assert names[-1] == "RunEnded"


def test_waiting_inside_a_task_of_the_run_is_refused(orchestrator: Orchestrator) -> None:
    caught: list[BaseException] = []
    runs: list[Run] = []
    build = PlanBuilder("inside")

    @build.task
    async def impatient() -> None:
        while not runs:
            await asyncio.sleep(0.001)
        try:
            runs[0].wait()
        except RunError as error:
            caught.append(error)

    impatient()
    runs.append(orchestrator.run(build))
    runs[0].wait(20)
    assert "wait for ever" in str(caught[0])


def test_a_failed_task_is_no_error_until_its_result_is_asked_for(orchestrator: Orchestrator) -> None:
    run = orchestrator.run(plan({"id": "bad", "command": "exit 3"}, {"id": "good", "command": "echo fine"}))
    assert run.wait(20).status == "failed"
    assert run.results["good"] == "fine"
    with pytest.raises(RunFailed, match=r"'bad' has no result, it is failed: .*exit code 3"):
        _ = run.results["bad"]
    with pytest.raises(KeyError):
        _ = run.results["nobody"]
    assert "bad" in run.result, "the document says what is missing"


def test_results_keep_their_types_small_or_large(orchestrator: Orchestrator) -> None:
    build = PlanBuilder("types")
    values: dict[str, Any] = {
        "number": 7,
        "nothing": None,
        "mapping": {"a": [1, 2.5, True]},
        "large": {"text": "x" * 5000},
        "text": "words " * 1000,
    }
    for name, value in values.items():
        build.task(lambda value=value: value, id=name)()
    run = orchestrator.run(build).wait(20)
    assert run.status == "completed", [r.event for r in run if isinstance(r.event, e.TaskFailed)]
    assert dict(run.results) == values


def test_pause_stop_and_resume_of_a_live_run(orchestrator: Orchestrator) -> None:
    run = orchestrator.run(plan(HUMAN, {"id": "next", "command": "true", "dependencies": ["q"]}))
    until(lambda: asks(run))
    run.pause(by="me")
    until(lambda: run.status == "paused")
    run.approve("q")
    until(lambda: statuses(run)["q"] == "pending")
    run.resume()
    assert run.wait(10).status == "completed"
    with pytest.raises(RunError, match="the run is over"):
        run.stop()


def test_stop_waits_for_what_runs_and_halt_does_not(orchestrator: Orchestrator) -> None:
    tasks = ({"id": "a", "command": "sleep 0.4"}, {"id": "b", "command": "true", "dependencies": ["a"]})
    run = orchestrator.run(plan(*tasks))
    until(lambda: statuses(run)["a"] == "running")
    run.stop()
    assert run.wait(10).status == "stopped"
    assert statuses(run) == {"a": "completed", "b": "pending"}
    with pytest.raises(RunFailed, match="stopped: there is no result"):
        _ = run.result
    resumed = orchestrator.resume(run.id).wait(10)
    assert statuses(resumed) == {"a": "completed", "b": "completed"}

    run = orchestrator.run(plan({"id": "a", "command": "sleep 60"}))
    until(lambda: statuses(run)["a"] == "running")
    run.halt()
    assert run.wait(10).status == "halted"
    assert statuses(run) == {"a": "pending"}


def test_cancel_and_retry(orchestrator: Orchestrator) -> None:
    run = orchestrator.run(plan(HUMAN, {"id": "long", "command": "sleep 60"}, {"id": "bad", "command": "exit 1"}))
    until(lambda: statuses(run) == {"q": "awaiting_approval", "long": "running", "bad": "failed"})
    run.cancel("long", reason="not needed")
    until(lambda: statuses(run)["long"] == "cancelled")
    with pytest.raises(CommandRefused, match="cancelled already"):
        run.cancel("long")
    run.retry("bad")
    until(lambda: (run.explain("bad").status, statuses(run)["bad"]) and attempts(run, "bad") == 2)
    with pytest.raises(CommandRefused, match="only a task that has ended"):
        run.retry("q")
    with pytest.raises(CommandRefused, match="no task 'nobody'"):
        run.cancel("nobody")
    run.reject("q", "no")
    assert run.wait(10).status == "failed"


def attempts(run: Any, task: str) -> int:
    with run.state() as state:
        return int(state.tasks[task].attempt)


def test_answers_must_fit_the_schema(orchestrator: Orchestrator) -> None:
    schema = {"type": "object", "required": ["version"], "properties": {"version": {"type": "integer"}}}
    run = orchestrator.run(plan({**HUMAN, "parameters": {"schema": schema}}))
    until(lambda: asks(run))
    with pytest.raises(CommandRefused, match=r"does not have the form asked for: .*'x'"):
        run.approve("q", {"version": "x"})
    run.approve("q@1", {"version": 2})
    assert run.wait(10).results["q"] == {"version": 2}


def test_iterating_gives_every_record_once_and_ends(orchestrator: Orchestrator) -> None:
    run = orchestrator.run(
        plan(*({"id": f"t{i}", "agent": "simulated", "parameters": {"duration": 0.01}} for i in range(20)))
    )
    seen: list[list[int]] = [[], []]
    threads = [threading.Thread(target=lambda s=s: s.extend(r.seq for r in run)) for s in seen]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert seen[0] == seen[1] == list(range(1, len(seen[0]) + 1))
    assert [r.seq for r in run] == seen[0], "also when it is over"


def test_only_what_is_durable_is_shown(orchestrator: Orchestrator) -> None:
    """Whatever a subscriber sees is in the file already."""
    run = orchestrator.run(plan(*({"id": f"t{i}", "agent": "simulated"} for i in range(50))))
    ahead: list[int] = []

    def subscriber(records: list[e.Record]) -> None:
        on_disk = (run.path / "events.jsonl").read_bytes().count(b"\n")
        ahead.extend(record.seq for record in records if record.seq > on_disk)

    remove = run.subscribe(subscriber)
    run.wait(20)
    remove()
    assert ahead == []


def test_explain_says_why(orchestrator: Orchestrator) -> None:
    run = orchestrator.run(plan(HUMAN, {"id": "next", "command": "true", "dependencies": ["q"]}))
    until(lambda: asks(run))
    assert "'q'" in " ".join(run.explain("next").sentences)
    run.approve("q")
    run.wait(10)


def test_the_log_is_what_people_can_read(orchestrator: Orchestrator) -> None:
    run = orchestrator.run(plan({"id": "t", "command": "true"})).wait(10)
    lines = (run.path / "events.jsonl").read_text().splitlines()
    assert [json.loads(line)["event"]["type"] for line in lines[:3]] == [
        "session_created",
        "plan_accepted",
        "run_started",
    ]


def test_an_approval_counts_only_for_the_question_that_was_shown(orchestrator: Orchestrator, tmp_path: Path) -> None:
    file = tmp_path / "plan.yaml"
    text = (
        "tasks:\n  - {id: gate, agent: human, prompt: PROMPT}\n  - {id: bad, command: exit 1, dependencies: [gate]}\n"
    )
    file.write_text(text.replace("PROMPT", "safe?"))
    run = orchestrator.run(str(file))
    until(lambda: asks(run))
    run.approve("gate")
    run.wait(20)
    file.write_text(text.replace("PROMPT", "dangerous?"))
    again = orchestrator.resume(run.id, accept_changes=True)
    until(lambda: asks(again))
    with again.state() as state:
        assert [checkpoint.question for checkpoint in state.open_checkpoints] == ["dangerous?"]
    again.halt()
    again.wait(10)


def test_what_the_log_cannot_hold_fails_its_task_or_is_refused(orchestrator: Orchestrator) -> None:
    build = PlanBuilder("large")
    text = build.task(lambda: "x" * 1_500_000, id="text")()
    build.human(f"Is this right? {text}", id="ask")
    build.human("And this?", id="small")
    run = orchestrator.run(build)
    until(lambda: asks(run) and statuses(run)["ask"] == "failed")
    with pytest.raises(CommandRefused, match="JSON"):
        run.approve("small", answer=object())
    assert statuses(run)["small"] == "awaiting_approval"
    run.approve("small", answer="yes")
    assert run.wait(20).status == "failed"
    assert "too large" in run.explain("ask").sentences[-1] or "too large" in " ".join(run.explain("ask").sentences)


def test_a_task_that_cancels_itself_fails_and_the_run_goes_on(orchestrator: Orchestrator) -> None:
    build = PlanBuilder("odd")

    @build.task
    async def odd() -> None:
        current = asyncio.current_task()
        assert current is not None
        current.cancel()
        await asyncio.sleep(10)

    odd() >> build.simulated(id="never")
    build.simulated(id="other", duration=0.05)
    run = orchestrator.run(build).wait(20)
    assert statuses(run) == {"odd": "failed", "never": "blocked", "other": "completed"}


def test_a_broken_subscriber_stops_nothing(orchestrator: Orchestrator) -> None:
    run = orchestrator.run(plan({"id": "t", "command": "sleep 0.2"}))

    def broken(records: list[e.Record]) -> None:
        raise ZeroDivisionError

    run.subscribe(broken)
    assert run.wait(20).status == "completed"
    assert run.result


def test_async_iteration_can_be_left(orchestrator: Orchestrator) -> None:
    run = orchestrator.run(plan(HUMAN))

    async def watch() -> int:
        seen = 0
        try:
            async with asyncio.timeout(0.5):
                async for _ in run:
                    seen += 1
        except TimeoutError:
            pass
        return seen

    assert asyncio.run(watch()) >= 3
    run.halt()
    run.wait(10)
