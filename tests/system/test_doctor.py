"""What the doctor finds."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from orchestrator_nb.system.doctor import machine_facts


def test_facts_say_what_is_there_and_what_to_do_where_something_is_not() -> None:
    facts = {fact.name: fact for fact in machine_facts()}
    assert {"Python", "kernel", "cores", "memory", "Landlock", "bubblewrap", "Jupyter kernels", "git"} <= facts.keys()
    assert {"cgroup v2, kill", "cgroup v2, memory", "user namespaces", "claude", "codex", "gemini"} <= facts.keys()
    assert all(fact.value for fact in facts.values())
    assert all(fact.ok or fact.remedy for fact in facts.values())
    assert facts["cores"].value == str(len(os.sched_getaffinity(0)))


def test_programs_are_asked_for_their_version_but_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scripts = {
        "claude": "echo '9.9.9 (Claude\033[31m Code)'; echo more",
        "codex": "sleep 1000",
        "gemini": "echo broken; exit 1",
    }
    for name, script in scripts.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    begin = time.monotonic()
    found = {fact.name: fact.value for fact in machine_facts(patience=1.0)}
    assert time.monotonic() - begin < 10
    assert found["claude"] == f"9.9.9 (Claude[31m Code) ({tmp_path / 'claude'})"
    assert found["codex"] == f"does not say its version ({tmp_path / 'codex'})"
    assert found["gemini"] == f"does not say its version ({tmp_path / 'gemini'})"
