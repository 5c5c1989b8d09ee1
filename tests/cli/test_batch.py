"""`orchestrate batch`, as people type it."""

from __future__ import annotations

import base64
import csv
import json
import os
import signal
from pathlib import Path

import pytest

from tests.cli.conftest import Call
from tests.cli.program import Live, eventually, orchestrate
from tests.headless.books import save, sweep


def rows_of(folder: Path) -> list[dict[str, str]]:
    with (folder / "results.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_batch_in_a_pipe_tells_lines_and_where_everything_is(tmp_path: Path) -> None:
    sweep(tmp_path)
    (tmp_path / "table.csv").write_text("x,model\n1,a\n2,\n")
    done = orchestrate(
        "batch", "sweep.ipynb", "--from", "table.csv", "-p", "fail_at=2", "-j", "2", "-o", "out", cwd=tmp_path
    )
    assert done.returncode == 1
    assert "[" in done.stdout.splitlines()[1]
    assert "x_1-model_a" in done.stdout
    assert "  Result:  out/final_output.md\n  Gallery: out/index.html\n" in done.stdout
    assert "AssertionError: 2 is bad" in done.stdout
    assert "Again:   orchestrate retry x_2 && orchestrate resume\n" in done.stdout
    assert [(row["x"], row["status"]) for row in rows_of(tmp_path / "out")] == [("1", "completed"), ("2", "failed")]
    again = orchestrate("retry", "x_2", cwd=tmp_path)
    assert again.returncode == 0
    (tmp_path / "out/x_2.ipynb").unlink()
    resumed = orchestrate("resume", cwd=tmp_path)
    assert resumed.returncode == 1
    assert "  Gallery: out/index.html\n" in resumed.stdout
    assert "x_1-model_a started" not in resumed.stdout
    assert (tmp_path / "out/x_2.ipynb").exists()
    assert [row["attempts"] for row in rows_of(tmp_path / "out")] == ["1", "2"]


def test_parameters_come_in_all_of_papermills_ways(tmp_path: Path) -> None:
    sources = ("a = 1\nb = 'x'\nc = 1.5\nd = []\ne = 0", "parameters")
    save(
        tmp_path / "n.ipynb", sources, "from orchestrator_nb.ipynb.scraps import record\nrecord('all', [a, b, c, d, e])"
    )
    (tmp_path / "p.yaml").write_text("c: 3\nd: [1]\n")
    encoded = base64.b64encode(b"{c: 9, e: 5}").decode()
    done = orchestrate(
        *("batch", "n.ipynb", "-p", "a=7", "-r", "b=42", "-y", "d: [2, x]", "-f", "p.yaml", "-b", encoded, "--json"),
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert (lines[0]["type"], lines[-1]["type"]) == ("launch", "end")
    assert json.loads(rows_of(tmp_path / "n-runs")[0]["all"]) == [7, "42", 3.0, [2, "x"], 5]


def test_ctrl_c_stops_a_batch_and_resume_goes_on(tmp_path: Path) -> None:
    sweep(tmp_path)
    grid = ("--grid", "x=1..3", "-p", f"hold={tmp_path / 'go'}", "--jobs", "1", "-o", "out")
    with Live(tmp_path / "sweep.ipynb", *grid, command="batch") as live:
        live.event("task_started")
        live.process.send_signal(signal.SIGINT)
        live.event("stop_requested")
        (tmp_path / "go").touch()
        assert live.end(60) == 130
    assert [row["status"] for row in rows_of(tmp_path / "out")] == ["completed", "pending", "pending"]
    refused = orchestrate("batch", "sweep.ipynb", *grid, cwd=tmp_path)
    assert refused.returncode == 6
    assert "go on with it (resume)" in refused.stderr
    done = orchestrate("batch", "sweep.ipynb", *grid, "--resume", "-q", cwd=tmp_path)
    assert done.returncode == 0
    assert "3 completed of 3 tasks" in done.stdout
    assert [row["attempts"] for row in rows_of(tmp_path / "out")] == ["1", "1", "1"]


def test_c1_a_killed_batch_leaves_nothing_running_and_goes_on(tmp_path: Path) -> None:
    sweep(tmp_path)
    grid = ("--grid", "x=1..2", "-p", f"hold={tmp_path / 'go'}", "--jobs", "2", "-o", "out")
    with Live(tmp_path / "sweep.ipynb", *grid, command="batch") as live:
        pid = live.event("process_started")["event"]["pid"]
        live.process.kill()
    eventually(lambda: not os.path.exists(f"/proc/{pid}"), 15)
    (tmp_path / "go").touch()
    done = orchestrate("batch", "sweep.ipynb", "--resume", "-o", "out", "-q", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert [row["status"] for row in rows_of(tmp_path / "out")] == ["completed"] * 2


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("no.ipynb",), 2, "does not exist"),
        (("sweep.ipynb", "--grid", "y=1"), 2, "there is no parameter 'y'"),
        (("sweep.ipynb", "--grid", "x=1..2", "-p", "x=3"), 2, "'x' is given twice"),
        (("sweep.ipynb", "--grid", "x=1,2", "--name", "{z}"), 2, "no row gives 'z'"),
        (("sweep.ipynb", "--from", "no.csv"), 2, "no.csv"),
        (("sweep.ipynb", "--memory", "lots"), 2, "write 500MB"),
        (("sweep.ipynb", "--fail-fast", "--max-failures", "2"), 2, "give one of the two"),
        (("sweep.ipynb", "--timeout", "-1"), 2, "timeout"),
        (("sweep.ipynb", "--jobs", "0"), 2, "--jobs"),
        (("sweep.ipynb", "--resume", "--force"), 6, "exclude each other"),
        (("sweep.ipynb", "-b", "###"), 2, "-b"),
        (("sweep.ipynb", "-f", "no.yaml"), 2, "no.yaml"),
    ],
)
def test_f6_wrong_usage_starts_nothing(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], code: int, words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    sweep(tmp_path)
    told = call("batch", *arguments)
    assert told.code == code
    assert words in told.err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["sweep.ipynb"]


def test_the_help_names_every_option(call: Call) -> None:
    told = call("batch", "--help")
    assert told.code == 0
    for option in ("--grid", "--from", "--raw", "--resume", "--max-failures", "--cell-timeout", "--memory", "--name"):
        assert option in told.out


def test_b5_a_run_that_hangs_ends_with_its_time_and_the_others_go_on(tmp_path: Path) -> None:
    """The kernel ignores what asks it to end, and so does what it started."""
    hangs = (
        "import os, pathlib, signal, subprocess, time\n"
        "if x == 1:\n"
        "    signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "    child = subprocess.Popen(['sh', '-c', 'trap \"\" TERM; sleep 600'])\n"
        "    pathlib.Path('pids').write_text(f'{os.getpid()} {child.pid}')\n"
        "    while True:\n"
        "        try:\n"
        "            time.sleep(600)\n"
        "        except KeyboardInterrupt:\n"
        "            pass\n"
    )
    save(tmp_path / "hang.ipynb", ("x = 0", "parameters"), "print('so far')", hangs)
    done = orchestrate(
        "batch", "hang.ipynb", "--grid", "x=1..2", "--timeout", "15", "--jobs", "1", "-o", "out", cwd=tmp_path
    )
    assert done.returncode == 1, done.stdout + done.stderr
    first, second = rows_of(tmp_path / "out")
    assert (first["status"], second["status"]) == ("failed", "completed")
    assert first["error"] == "Task Timeout: Agent exceeded 15s"
    assert "so far" in (tmp_path / "out" / "x_1.ipynb").read_text()
    pids = [int(pid) for pid in (tmp_path / "pids").read_text().split()]
    eventually(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in pids), 15)
