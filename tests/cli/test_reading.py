"""sessions, status, logs, show, explain, graph, export, rebuild, compare: on one session that has ended."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from pathlib import Path

import networkx
import pytest

from orchestrator_nb.cli.app import run_command
from orchestrator_nb.runtime.session import Session
from tests.cli.conftest import Call, Told
from tests.cli.program import PROGRAM, Live, environment, write_plan


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> Session:
    """A session that failed: a task with two attempts, one with output, one in a folder, one blocked."""
    directory = tmp_path_factory.mktemp("reading")
    plan = write_plan(
        directory / "plan.json",
        title="Reading",
        params={"name": "you"},
        tasks=[
            {"id": "prints", "title": "Prints", "command": "echo out; echo err >&2; printf 'no end'"},
            {"id": "sub/file", "command": "echo data > $ORCH_OUTPUTS/x.txt", "outputs": ["x.txt"]},
            {"id": "twice", "command": "echo attempt $ORCH_ATTEMPT; exit 4", "retry": {"attempts": 2, "delay": 0}},
            {"id": "blocked", "agent": "simulated", "dependencies": ["twice", "prints"]},
            {"id": "value", "function": "json:loads", "parameters": {"s": "[1, 2]"}},
        ],
    )
    assert run_command(["--workspace", str(directory / "sessions"), "run", str(plan), "-q"]) == 1
    return Session.open(directory / "sessions" / "latest")


@pytest.fixture
def look(call: Call, ended: Session) -> Call:
    """A command in that session's workspace."""

    def looking(*args: object) -> Told:
        return call("--workspace", ended.path.parent, *args)

    return looking


def test_sessions(look: Call, ended: Session) -> None:
    told = look("sessions")
    assert told.out.splitlines()[1].split()[:3] == [ended.id, "failed", "3/5"]
    (facts,) = json.loads(look("sessions", "--json").out)
    assert (facts["session"], facts["status"], facts["counts"]["blocked"]) == (ended.id, "failed", 1)


def test_a_damaged_session_is_listed_as_such(look: Call, ended: Session) -> None:
    broken = ended.path.parent / "20200101-000000-aaaaa"
    broken.mkdir()
    (broken / "events.jsonl").write_text("nonsense\n{}\n")
    told = look("sessions")
    assert f"{broken.name}  damaged" in told.out
    assert look("status", broken.name).code == 5
    (broken / "events.jsonl").unlink()
    broken.rmdir()


def test_status(look: Call, ended: Session) -> None:
    told = look("status", ended.id[:15])
    assert "name = you" in told.out
    assert "twice" in told.out
    assert "failed (attempt 2)" in told.out
    assert "blocked by twice" in told.out
    facts = json.loads(look("status", "--json").out)
    assert [task["status"] for task in facts["tasks"]] == ["completed", "completed", "failed", "blocked", "completed"]
    assert facts["params"] == {"name": "you"}


def test_logs(look: Call) -> None:
    assert look("logs", "prints") == (0, "out\nno end", "err\n")
    facts = json.loads(look("logs", "prints", "--json").out)
    assert (facts["out"]["text"], facts["err"]["text"], facts["attempt"]) == ("out\nno end", "err\n", 1)
    assert look("logs", "twice").out == "attempt 2\n"
    assert look("logs", "twice", "--attempt", 1, "--follow").out == "attempt 1\n"
    assert look("logs", "twice", "--attempt", 9).code == 6
    told = look("logs", "value")
    assert told.code == 6
    assert "(agent: function)" in told.err
    assert "was not started" in look("logs", "blocked").err
    assert "did you mean 'prints'?" in look("logs", "prints2").err


def test_a_log_that_is_no_file_is_not_read(look: Call, ended: Session) -> None:
    log = ended.path / "attempts" / "prints" / "1" / "log"
    kept = log.with_name("kept")
    log.rename(kept)
    log.symlink_to("/etc/passwd")
    told = look("logs", "prints")
    assert told.code != 0
    assert "root:" not in told.out
    log.unlink()
    kept.rename(log)


def test_show(look: Call, ended: Session) -> None:
    told = look("show", "sub/file")
    assert str(ended.path / "outputs" / "sub" / "file" / "x.txt") in told.out
    facts = json.loads(look("show", "value", "--json").out)
    assert (facts["value"], facts["status"], facts["kind"]) == ([1, 2], "completed", "function")


def test_explain(look: Call) -> None:
    assert "cannot start because of 'twice'" in look("explain", "blocked").out
    facts = json.loads(look("explain", "blocked", "--json").out)
    assert (facts["blocked_by"], facts["command"]) == ("twice", "orchestrate retry twice")


def test_graph_as_text_and_pictures(look: Call, ended: Session, tmp_path: Path) -> None:
    assert look("graph").out.startswith("flowchart ")
    assert ":::failed" in look("graph", ended.id).out
    assert look("graph", "-f", "dot").out.startswith("digraph ")
    svg, png = tmp_path / "g.svg", tmp_path / "g.png"
    assert look("graph", ended.path, "-o", svg, "--theme", "dark").code == 0
    assert svg.read_text().startswith("<svg")
    assert look("graph", "latest", "-o", png).code == 0
    assert png.read_bytes().startswith(b"\x89PNG")
    foreign = tmp_path / "graph.json"
    foreign.write_text(json.dumps(networkx.node_link_data(networkx.DiGraph([("x", "y")]), edges="edges")))
    assert '"x"' in look("graph", foreign, "-f", "dot").out
    assert "say the format" in look("graph", "-o", tmp_path / "g").err


def test_export(look: Call) -> None:
    graph = networkx.node_link_graph(json.loads(look("export").out), edges="edges")
    assert graph.nodes["twice"]["status"] == "failed"
    assert list(graph.successors("twice")) == ["blocked"]
    rows = list(csv.DictReader(io.StringIO(look("export", "-f", "csv").out)))
    assert [row["status"] for row in rows] == ["completed", "completed", "failed", "blocked", "completed"]


def test_rebuild(look: Call, ended: Session) -> None:
    before = (ended.path / "master_plan.md").read_bytes()
    (ended.path / "master_plan.md").unlink()
    assert look("rebuild").code == 0
    assert (ended.path / "master_plan.md").read_bytes() == before


def test_following_a_log_until_the_task_has_ended(tmp_path: Path) -> None:
    plan = write_plan(
        tmp_path / "plan.json",
        tasks=[{"id": "a", "command": "echo one; until [ -e go ]; do sleep 0.05; done; echo two"}],
    )
    with Live(plan) as live:
        live.event("process_started", "a")
        follower = subprocess.Popen(
            [*PROGRAM, "logs", "a", "-f"], cwd=tmp_path, env=environment(), stdout=subprocess.PIPE, text=True
        )
        assert follower.stdout is not None
        assert follower.stdout.readline() == "one\n"
        (tmp_path / "go").touch()
        assert follower.communicate(timeout=20)[0] == "two\n"
        assert live.end() == 0


def test_reading_ends_quietly_when_nobody_listens(ended: Session) -> None:
    log = ended.path / "attempts" / "prints" / "1" / "log"
    kept = log.read_bytes()
    log.write_bytes(b"line\n" * 1_000_000)
    command = f"{sys.executable} -m orchestrator_nb --workspace {ended.path.parent} logs prints | head -1"
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {command}"], env=environment(), capture_output=True, text=True, check=False
    )
    log.write_bytes(kept)
    assert (done.stdout, done.stderr, done.returncode) == ("line\n", "", 141)


def test_a_session_of_another_process_can_be_read_by_its_path(call: Call, ended: Session) -> None:
    assert json.loads(call("status", ended.path, "--json").out)["session"] == ended.id
