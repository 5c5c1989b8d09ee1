"""The files of a task: S2's status, S1's task for an agent."""

from __future__ import annotations

import json
from typing import Any

from orchestrator_nb.core import events as e
from orchestrator_nb.projections.task_files import agent_file, status_json
from tests.histories import History, tell
from tests.markdown import shown

S2_FIELDS = [
    "task_id", "status", "started_at", "completed_at", "agent_id", "outputs_validated", "duration_seconds", "exit_code",
]  # fmt: skip


def status_of(history: History, task: str) -> dict[str, Any]:
    content = status_json(history.state.tasks[task])
    assert content.endswith(b"}\n")
    status: dict[str, Any] = json.loads(content)
    assert list(status)[:8] == S2_FIELDS
    return status


def test_a_status_file_has_s2s_fields_in_every_state() -> None:
    plan = {
        "tasks": [{"id": "01-analysis/01-run", "command": ["x"]}, {"id": "b", "dependencies": ["01-analysis/01-run"]}]
    }
    history = tell(plan).tell(e.TaskStarted("01-analysis/01-run", 1, 1), after=10)
    running = status_of(history, "01-analysis/01-run")
    assert running == {
        "task_id": "01-analysis/01-run",
        "status": "running",
        "started_at": "2025-01-12T14:30:10Z",
        "completed_at": None,
        "agent_id": "agent-1",
        "outputs_validated": False,
        "duration_seconds": None,
        "exit_code": None,
    }
    history.tell(
        e.TaskFailed("01-analysis/01-run", 1, "\x1b[31mbroken\x1b[0m\nbadly", "exit_code", 9.87654, 3), after=10
    )
    failed = status_of(history, "01-analysis/01-run")
    assert failed["error"] == "broken\nbadly"
    assert (failed["exit_code"], failed["duration_seconds"], failed["completed_at"]) == (
        3,
        9.877,
        "2025-01-12T14:30:20Z",
    )
    history.tell(e.TaskFailureSettled("01-analysis/01-run", "block"), e.TaskBlocked("b", "01-analysis/01-run"))
    blocked = status_of(history, "b")
    assert (blocked["status"], blocked["blocked_by"], blocked["started_at"]) == ("blocked", "01-analysis/01-run", None)


def test_a_second_attempt_does_not_show_the_first_ones_end() -> None:
    history = tell({"tasks": [{"id": "a", "command": ["x"]}]}, e.TaskStarted("a", 1, 1))
    history.tell(e.TaskFailed("a", 1, "broken", "exit_code", 2.0, 3), e.TaskRetryScheduled("a", 5.0))
    assert status_of(history, "a")["status"] == "retrying"
    assert status_of(history, "a")["completed_at"] is None
    history.tell(e.TaskStarted("a", 2, 2))
    again = status_of(history, "a")
    assert (again["duration_seconds"], again["exit_code"], "error" in again) == (None, None, False)
    history.tell(e.TaskCompleted("a", 2, 1.0, exit_code=0))
    assert status_of(history, "a")["outputs_validated"] is True
    assert "error" not in status_of(history, "a")


def test_a_task_file_tells_all_that_an_agent_needs() -> None:
    plan = {
        "tasks": [
            {"id": "T-01", "function": "m:read"},
            {
                "id": "T-02",
                "title": "Security",
                "agent": "claude",
                "role": "auditor",
                "phase": "checks",
                "prompt": "Look at ${params.target}.\n```\ndone",
                "parameters": {"depth": 2},
                "dependencies": ["T-01", {"task": "db", "kind": "resource"}],
                "inputs": {"report": "T-01/report.json"},
                "files": ["a.py"],
                "outputs": ["findings.json"],
                "result": {"source": "findings.json", "format": "report"},
                "checks": ["python -m json.tool findings.json"],
                "timeout": 600,
                "fallback": {"command": ["bandit", "-r", "."]},
            },
        ]
    }
    history = tell(plan, target="src", other=1)
    text = agent_file(history.state, history.state.tasks["T-02"])
    assert text == (
        "# Agent-02: Security\n\n"
        "- Task: `T-02`\n- Agent: claude\n- Role: auditor\n- Phase: checks\n- Priority: P0\n- Time limit: 10m 00s\n\n"
        "## Task\n\n````text\nLook at ${params.target}.\n```\ndone\n````\n\n"
        'With\n\n```json\n{\n  "depth": 2\n}\n```\n\n'
        '## Values\n\n| Name | Value |\n| --- | --- |\n| `${params.target}` | `"src"` |\n\n'
        "## Inputs\n\n| Name | File |\n| --- | --- |\n| `report` | `T-01/report.json` |\n|  | `a.py` |\n\n"
        "## Outputs\n\nTo be left in `$ORCH_OUTPUTS`:\n\n- `findings.json`\n\n"
        "## Dependencies\n\n- Agent-01, `T-01` (data)\n- `db` (resource)\n\n"
        "## Success criteria\n\n- It ends without an error.\n- All outputs exist.\n"
        "- The result can be read as report from `findings.json`.\n"
        "- `python -m json.tool findings.json` exits with 0.\n\n"
        '## Fallback\n\nOnce its attempts have failed (agent: shell):\n\n```json\n["bandit", "-r", "."]\n```\n'
    )


def test_who_works_by_hand_is_told_where_the_results_of_others_are() -> None:
    prompt = "Judge ${result.T-01} and ${value.T-01:n} by ${output.a/b:x.json}; ${result.T-01} again."
    tasks = [
        {"id": "T-01", "agent": "claude", "prompt": "x"},
        {"id": "a/b", "agent": "claude", "prompt": "x", "outputs": ["x.json"]},
        {"id": "T-03", "agent": "claude", "prompt": prompt, "dependencies": ["T-01", "a/b"]},
    ]
    history = tell({"tasks": tasks})
    assert (
        "## Values\n\n| Name | Value |\n| --- | --- |\n"
        "| `${result.T-01}` | in `results/agent-01-result.md` |\n"
        "| `${value.T-01:n}` | in `results/agent-01-result.md` |\n"
        "| `${output.a/b:x.json}` | `outputs/a/b/x.json` |\n\n"
    ) in agent_file(history.state, history.state.tasks["T-03"])


def test_every_kind_of_work_is_told() -> None:
    works: dict[str, dict[str, Any]] = {
        "sh": {"command": "echo $HOME", "ok_exit_codes": [0, 1]},
        "fn": {"function": "m:f"},
        "nb": {"notebook": "a.ipynb", "cwd": "sub"},
        "none": {},
    }
    history = tell({"tasks": [{"id": name, **work} for name, work in works.items()]})
    told = {name: shown(agent_file(history.state, history.state.tasks[name])) for name in works}
    assert "echo $HOME" in told["sh"]
    assert "The exit code is 0 or 1." in told["sh"]
    assert "Call the Python function m:f." in told["fn"]
    assert "Run the notebook a.ipynb." in told["nb"]
    assert "Runs in: sub" in told["nb"]
    assert "Nothing is to be done." in told["none"]
