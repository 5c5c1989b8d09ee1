"""Crashes of the coordinator: SIGKILL at random moments and at the worst ones, then resume."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


def lives(folder: Path, mode: str, seeds: range, timeout: float = 110) -> list[dict[str, Any]]:
    """What the harness reports of each seed."""
    command = [sys.executable, "-m", "tests.faults.lives", str(folder), mode, *map(str, seeds)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=timeout, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return [json.loads(line) for line in done.stdout.splitlines()]


def check_random_kills(reports: list[dict[str, Any]]) -> None:
    for report in reports:
        assert report["lost"] == 0, report
        assert report["completed_rerun"] == 0, report
        assert report["unexplained_effects"] == 0, report
        assert report["different"] == 0, report  # row A15: the same document as an undisturbed run


def test_row_A2_A3_and_A15_random_kills_lose_and_repeat_nothing(tmp_path: Path) -> None:
    reports = lives(tmp_path, "random_kills", range(14))
    check_random_kills(reports)
    assert sum(report["kills"] for report in reports) >= 20


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_row_A2_two_thousand_kills(tmp_path: Path) -> None:
    reports = lives(tmp_path, "random_kills", range(1000, 2000), timeout=7000)
    check_random_kills(reports)
    assert sum(report["kills"] for report in reports) >= 1500


def test_row_A4_coordinator_and_all_keepers_killed_together(tmp_path: Path) -> None:
    for report in lives(tmp_path, "everyone_killed", range(3)):
        assert report["survivors"] == 0, report
        assert report["proven_dead"], report
        assert report["interrupted"] >= 1, report


def test_row_A9_killed_between_exit_and_event(tmp_path: Path) -> None:
    for report in lives(tmp_path, "after_exit", range(15)):
        assert report["lost"] == 0, report
        assert report["completed_rerun"] == 0, report
        first, in_all = report["effects"]
        assert first == 1, report
        assert in_all <= 2, report  # adopted, or run again once


def test_row_A13_a_task_that_kills_the_coordinator_is_given_up(tmp_path: Path) -> None:
    [report] = lives(tmp_path, "poison", range(1))
    assert report["effects"] == 3, report
    assert report["statuses"] == {"poison": "failed", "after": "blocked", "free": "completed"}, report


@pytest.mark.slow
@pytest.mark.timeout(9 * 3600)
def test_row_I3_soak_with_random_kills(tmp_path: Path) -> None:
    """Hours of lives, each killed and resumed: 8 hours when ORCH_SOAK_MINUTES says 480, else ten minutes."""
    deadline = time.monotonic() + 60 * float(os.environ.get("ORCH_SOAK_MINUTES", "10"))
    kills, seed = 0, 100_000
    while time.monotonic() < deadline:
        reports = lives(tmp_path / str(seed), "random_kills", range(seed, seed + 20), timeout=600)
        check_random_kills(reports)
        kills += sum(report["kills"] for report in reports)
        shutil.rmtree(tmp_path / str(seed))
        seed += 20
    assert kills > 0
