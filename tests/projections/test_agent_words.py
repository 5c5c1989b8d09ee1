"""Agents' events in words, in every place that tells a run."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator_nb.core import events as e
from orchestrator_nb.policies.admission import Admission
from orchestrator_nb.projections.agent_words import left, of
from orchestrator_nb.projections.explain import explain
from orchestrator_nb.projections.files import Files
from orchestrator_nb.projections.lines import Lines
from orchestrator_nb.projections.transcript import Transcript
from tests.histories import tell

OPEN = ("the network",)
PLAN = {"title": "P", "tasks": [{"id": "a", "agent": "claude", "prompt": "x"}]}
STARTED = e.AgentStarted("a", 1, "claude", "edit", "bubblewrap", "bubblewrap (/usr/bin/bwrap)", OPEN)
DENIED = e.AgentDenied("a", 1, "Bash", "make", "It requires approval.", "event", "level `full`", "call-1")
REFUSED = "Bash make: It requires approval; it would need level `full`"


@pytest.mark.parametrize(
    ("event", "words"),
    [
        (STARTED, "claude runs with level edit, contained by bubblewrap; open: the network"),
        (
            e.AgentStarted("a", 1, "codex", "full", "landlock", "no bwrap", (), "level `full`", "ann", "s-1"),
            "codex runs with level full, contained by landlock (no bwrap); granted: level `full` (by ann); "
            "it goes on with its session",
        ),
        (
            e.AgentStarted("a", 1, "claude", "edit", "uncontained", "asked for", ("everything",)),
            "claude runs with level edit, uncontained (asked for)",
        ),
        (e.AgentStarted("a", 1, "model"), ""),
        (DENIED, f"refused: {REFUSED}"),
        (
            e.AgentDenied("a", 1, "Bash", "touch /etc/x", "Permission denied", "text"),
            "refused: Bash touch /etc/x: Permission denied (as a program that it ran says); "
            "nothing that could be granted would help",
        ),
        (e.AgentSpent("a", 1, 10, 1, 0, None, final=True), "used 10 tokens in, 1 out, cost unknown"),
        (e.AgentSpent("a", 1, 10, 1), ""),
        (e.AgentIdentified("a", 1, "s-1"), ""),
        (e.TaskStarted("a", 1), ""),
    ],
)
def test_each_event_in_words(event: Any, words: str) -> None:
    assert of(event) == words


def test_what_a_task_left_in_the_repository() -> None:
    work = e.AgentWork("claude", "edit", "bubblewrap", changes=(e.Changed("a.py"),), more_changes=2)
    assert left(e.TaskCompleted("a", 1, commits=("c1", "c2"), work=work)) == "2 commits, 3 files changed"
    assert left(e.TaskCompleted("a", 1)) == ""


def test_a_run_tells_of_its_agents_everywhere() -> None:
    work = e.AgentWork("claude", "edit", "bubblewrap", changes=(e.Changed("a.py"),))
    spent = e.AgentSpent("a", 1, 100, 5, 0, 0.25)
    history = tell(PLAN, e.TaskStarted("a", 1, 1), STARTED, e.AgentIdentified("a", 1, "s"), DENIED, spent)
    history.tell(e.AgentSpent("a", 1, 100, 5, 0, 0.25, final=True), e.TaskCompleted("a", 1, commits=("c1",), work=work))
    lines, transcript, files = Lines(), Transcript(), Files(history.read)
    told, steps = [], []
    for record, state in history.replay():
        told += [line.partition("] ")[2] for line in lines.of(record, state)]
        steps.append(transcript.of(record, state))
        files.apply(record, state)
    assert [line for line in told if line.startswith("a ")] == [
        "a started: Executing a",
        "a claude runs with level edit, contained by bubblewrap; open: the network",
        f"a refused: {REFUSED}",
        "a used 100 tokens in, 5 out, 0.2500 $",
        "a completed in <0.1s: 1 commit, 1 file changed",
    ]
    assert f"2. refused: {REFUSED}" in "\n".join(steps)
    written = dict(files.changed())
    document = written["master_plan.md"]
    assert isinstance(document, bytes)
    assert f"### [2025-01-12 14:30:00] Agent-01 Was Refused\n\n- {REFUSED}\n" in document.decode()
    assert "- Used by claude: 100 tokens in, 5 out, 0.2500 \\$\n" in document.decode()
    assert "- 1 commit, 1 file changed: `c1`\n" in document.decode()
    status = written["status/a.json"]
    assert isinstance(status, bytes)
    assert b'"commits": [\n    "c1"\n  ]' in status
    sentences = explain(history.state, "a", Admission()).sentences
    assert f"It was refused: {REFUSED}." in sentences
    assert sentences[-1] == "It used 100 tokens in, 5 out, 0.2500 $."
