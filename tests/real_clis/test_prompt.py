"""A prompt through the real claude, codex and gemini: planned, two tasks side by side, a gap, planned again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from orchestrator_nb import Orchestrator
from tests.git_repositories import git, make_repository, users_own
from tests.real_clis.test_real_clis import MODELS, cli, server

__all__ = ["cli", "server"]  # fixtures

pytestmark = [pytest.mark.real_clis, pytest.mark.timeout(240)]


def as_told(*objects: Any) -> str:
    """JSON that lets the scripted model say it as it is: what would be a directive to it is written otherwise."""
    text = " ".join(map(json.dumps, objects))
    return text.replace("[[mock:", r"\u005b\u005bmock:").replace("]]", r"\u005d\u005d")


def test_a_prompt_is_planned_carried_out_verified_and_mended(cli: str, server: str, tmp_path: Path) -> None:
    repository = make_repository(tmp_path / "repository")
    before = users_own(repository)
    address = f"{server}/v1" if cli == "codex" else server
    options = {"base_url": address, "model": MODELS[cli]}

    def writes(name: str) -> dict[str, Any]:
        return {"id": name, "agent": cli, "prompt": f"[[mock:write {name}.txt {name}]]", "parameters": options}

    plan = {"plan": {"title": "A guide", "tasks": [writes("one"), writes("two")]}}
    change = {"change": {"tasks": [writes("three")]}}
    seen: list[list[str]] = []

    def verifier(request: str, results: dict[str, Any]) -> Any:
        seen.append(list(results))
        return len(results) > 2 or {"passed": False, "gaps": [{"gap": "three is missing"}]}

    run = Orchestrator(workspace=tmp_path / "sessions", grace=2.0).ask(
        f"Write the guide. [[mock:text Here it is: {as_told(plan, change)}]]",
        planner={"agent": cli, "parameters": {"level": "read", **options}},
        verifier=verifier,
        approval=False,
        allow=[f"address:{address}"],
        cwd=repository,
    )
    run.wait(200)
    assert run.status == "completed", str(run.log)
    assert seen == [["one", "two"], ["one", "two", "three"]]
    merged = git(repository, "ls-tree", "-r", "--name-only", f"orchestrator/{run.id}").split()
    assert {"one.txt", "two.txt", "three.txt"} <= set(merged)
    assert users_own(repository) == before
