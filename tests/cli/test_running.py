"""run, resume, fork, watch: what they print and how they end, by the real program."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from orchestrator_nb.runtime.session import Session
from tests.cli.conftest import Call
from tests.cli.program import Live, eventually, orchestrate, write_plan

CLOCK = re.compile(r"^\[\d\d:\d\d:\d\d] ", re.MULTILINE)
ANSI = re.compile(r"\x1b")


@pytest.fixture
def plan(tmp_path: Path) -> Path:
    """Five tasks, one of which fails as long as there is no file `fixed`, and one that it blocks."""
    return write_plan(
        tmp_path / "plan.json",
        title="Five",
        params={"name": "you"},
        tasks=[
            {"id": "greet", "command": ["echo", "Hello ${params.name}"]},
            {"id": "think", "agent": "simulated", "parameters": {"duration": 0.05, "result": "thought"}},
            {"id": "name", "function": "posixpath:basename", "parameters": {"p": "/a/b"}},
            {"id": "check", "command": "echo looking; [ -e fixed ]", "dependencies": ["greet"]},
            {
                "id": "report",
                "command": ["echo", "${result.greet}", "${result.think}"],
                "dependencies": ["check", "think", "greet"],
            },
        ],
    )


def test_in_a_pipe_it_prints_plain_lines_and_a_summary(plan: Path) -> None:
    done = orchestrate("run", plan.name, cwd=plan.parent)
    assert done.returncode == 1
    assert not ANSI.search(done.stdout + done.stderr)
    assert len(CLOCK.findall(done.stdout)) >= 10
    assert "] check failed" in done.stdout
    assert "] report blocked by check" in done.stdout
    assert "✘ Failed after" in done.stdout
    assert "check (Agent-04): failed with exit code 1: looking" in done.stdout
    assert "orchestrate logs check\n" in done.stdout
    assert "orchestrate retry check && orchestrate resume\n" in done.stdout
    result = re.search(r"Result:  (\S+)", done.stdout)
    assert result is not None
    assert (plan.parent / result[1]).is_file()


def test_out_of_budget_it_stops_with_a_code_of_its_own_and_a_resume_with_more_goes_on(tmp_path: Path) -> None:
    usage = {"input_tokens": 10, "output_tokens": 1, "cost": 0.4}
    tasks = [{"id": i, "agent": "simulated", "prompt": "x", "parameters": {"usage": usage}} for i in "abc"]
    plan = write_plan(tmp_path / "plan.json", tasks=tasks, limits={"max_parallel": 1, "budget": {"at_limit": "stop"}})
    done = orchestrate("run", plan.name, "--budget", "0.5$", cwd=tmp_path)
    assert done.returncode == 7, done.stdout + done.stderr
    assert "the budget of the run is used up: 0.8000 $ of 0.5000 $ used by 2 attempts" in done.stdout
    assert "Budget:  0.8000 $ of 0.5000 $" in done.stdout
    assert json.loads(orchestrate("status", "--json", cwd=tmp_path).stdout)["budget"][0]["limit"] == 0.5
    assert orchestrate("resume", "--budget", "5 apples", cwd=tmp_path).returncode == 2
    again = orchestrate("resume", "--budget", "2$", cwd=tmp_path)
    assert again.returncode == 0, again.stdout + again.stderr
    assert "The run may use 2.00 $ by " in again.stdout


def test_retry_and_resume_finish_it(call: Call, plan: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(plan.parent)
    assert call("run", plan.name, "-q").code == 1
    assert call("resume").code == 1  # nothing has changed
    (plan.parent / "fixed").touch()
    told = call("retry", "check", "greet")
    assert told.code == 6
    assert "retry recorded" in told.out
    assert "'greet' is completed" in told.err
    ahead = json.loads(call("resume", "--dry-run", "--json").out)
    assert ahead["kept"] == ["greet", "think", "name"]
    assert ahead["to_run"] == ["check", "report"]
    resumed = call("resume", "-o", "results")
    assert resumed.code == 0
    assert "kept:       3 tasks (greet, think, name): finished, not run again" in resumed.out
    assert "greet started" not in resumed.out
    assert "] report completed" in resumed.out
    assert "Hello you thought" in (plan.parent / "results" / "final_output.md").read_text()
    assert Session.open(plan.parent / ".orchestrator" / "latest").state.tasks["greet"].attempt == 1


def test_a_changed_plan_is_refused_with_the_difference(call: Call, plan: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(plan.parent)
    assert call("run", plan.name, "-q").code == 1
    plan.write_text(plan.read_text().replace("Hello", "Goodbye"))
    told = call("resume")
    assert told.code == 5
    assert "Goodbye" in told.out + told.err
    assert "--accept-changes" in told.err
    ahead = json.loads(call("resume", "-n", "--json").out)
    assert (ahead["kept"], ahead["changed"]) == (["think", "name"], ["greet", "check", "report"])
    assert "Goodbye" in ahead["changes"]
    assert "Goodbye" in call("resume", "-n").out
    (plan.parent / "fixed").touch()
    assert call("retry", "check").code == 0
    assert call("resume", "--accept-changes").code == 0
    assert "Goodbye you" in Session.latest().result


def test_fork_takes_over_what_is_unchanged(call: Call, plan: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(plan.parent)
    (plan.parent / "fixed").touch()
    assert call("run", plan.name, "-q").code == 0
    first = Session.latest().id
    told = call("fork", first, "check", "-p", "name=them")
    assert told.code == 0
    assert f"forked from {first} at check" in told.out
    second = Session.latest()
    assert [task.id for task in second.state.by_index if task.reused_from] == ["think", "name"]
    assert "Hello them" in second.result
    assert call("fork", first, "chekc").code == 6
    compared = call("compare", first, second.id)
    assert "parameter name: you | them" in compared.out
    assert "3 of 5 tasks have the same" in compared.out
    assert "+Hello them thought" in call("compare", first, second.id, "--diff").out


def test_json_lines_launch_events_end(plan: Path) -> None:
    done = orchestrate("run", plan.name, "--json", cwd=plan.parent)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    launch, *events, end = lines
    assert launch["type"] == "launch"
    assert launch["tasks"] == 5
    assert Path(launch["path"]).name == launch["session"]
    assert [line["type"] for line in events] == ["event"] * len(events)
    assert [line["seq"] for line in events] == list(range(1, len(events) + 1))
    assert end["type"] == "end"
    assert (end["exit_code"], end["status"], done.returncode) == (1, "failed", 1)
    assert end["counts"] == {"completed": 3, "failed": 1, "blocked": 1}
    assert [failure["task"] for failure in end["failures"]] == ["check"]
    assert Path(end["result"]).is_file()
    assert done.stderr == ""


def test_transcript_is_that_of_the_specification(call: Call, plan: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(plan.parent)
    told = call("run", plan.name, "--transcript")
    assert "🚀 Batch #1 (No Dependencies)" in told.out
    assert "🤖 Agent-02 [think]" in told.out
    assert "⏱️ Duration:" in told.out


def test_stop_halt_and_watch_of_a_live_run(call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    plan = write_plan(
        tmp_path / "plan.json",
        tasks=[
            {"id": "a", "command": "until [ -e go ]; do sleep 0.05; done"},
            {"id": "b", "agent": "simulated", "dependencies": ["a"]},
        ],
    )
    with Live(plan) as live:
        live.event("process_started", "a")
        with Live(Path(live.session), command="watch", cwd=tmp_path) as watch:
            assert watch.until(lambda line: line["type"] == "launch")["pid"] == live.process.pid
            assert call("stop", "--reason", "enough").code == 0
            watch.event("stop_requested")
            (tmp_path / "go").touch()
            end = watch.until(lambda line: line["type"] == "end")
            assert (end["status"], watch.end()) == ("stopped", 3)
        assert live.end() == 3
    (tmp_path / "go").unlink()
    with Live(Path("latest"), command="resume", cwd=tmp_path) as live:
        live.until(lambda line: line["type"] == "launch")
        assert live.end() == 0  # a had completed
    told = call("watch")
    assert told.code == 0
    assert "✔ Completed" in told.out


def test_the_reader_of_the_output_may_leave(tmp_path: Path) -> None:
    plan = write_plan(tmp_path / "plan.json", tasks=[{"id": f"t{i}", "agent": "simulated"} for i in range(50)])
    with Live(plan, "--jobs", "1") as live:
        live.until(lambda line: line["type"] == "launch")
        assert live.process.stdout is not None
        live.process.stdout.close()
        assert eventually(lambda: live.process.poll() is not None)
        assert live.process.returncode == 0
    assert Session.open(tmp_path / ".orchestrator" / "latest").status == "completed"


def test_record_replay_and_refresh(tmp_path: Path) -> None:
    agent = "tests.benchmarks.cassettes:Writer"
    plan = write_plan(
        tmp_path / "plan.json", tasks=[{"id": "w", "agent": agent, "prompt": "p", "outputs": ["report.md"]}]
    )
    done = orchestrate("run", plan.name, "--record", "cassette", "--quiet", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "cassette" / "w").is_dir()
    done = orchestrate("run", plan.name, "--replay", "cassette", "-o", "out", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "looked at p" in (tmp_path / "out" / "final_output.md").read_text()
    assert "1 of 1 attempts replayed" in orchestrate("usage", cwd=tmp_path).stdout
    done = orchestrate("run", plan.name, "--replay", "cassette", "--refresh", "x", cwd=tmp_path)
    assert done.returncode != 0
    assert "refresh: the plan has no task 'x'" in done.stdout + done.stderr
