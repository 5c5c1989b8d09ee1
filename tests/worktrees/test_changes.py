from __future__ import annotations

import os
from pathlib import Path

import pytest

from orchestrator_nb.worktrees.changes import changes_between, is_control, leads_out
from orchestrator_nb.worktrees.git import Git
from tests.git_repositories import git, make_repository


@pytest.mark.parametrize(
    "path",
    [
        ".git/hooks/pre-commit",
        "sub/.git/config",
        ".gitattributes",
        ".gitmodules",
        ".claude/settings.json",
        ".CLAUDE/settings.json",
        ".codex/config.toml",
        ".gemini/settings.json",
        ".mcp.json",
        "docs/CLAUDE.md",
        "AGENTS.md",
        ".envrc",
        ".env",
        ".env.local",
        ".vscode/tasks.json",
        "x.code-workspace",
        ".github/workflows/ci.yml",
        ".pre-commit-config.yaml",
        "tests/conftest.py",
        "lib/python3/site-packages/evil.pth",
        "sitecustomize.py",
        "usercustomize.py",
        ".npmrc",
        ".ipython/profile_default/startup/00.py",
        "jupyter_server_config.py",
    ],
)
def test_row_H2_files_that_programs_obey_are_flagged(path: str) -> None:
    assert is_control(path)


@pytest.mark.parametrize(
    "path", ["a.py", "git/x", "environment.yml", "src/claude.py", "my.env", "paths.txt", "agents.py"]
)
def test_other_files_are_not_flagged(path: str) -> None:
    assert not is_control(path)


@pytest.mark.parametrize(
    ("path", "target", "out"),
    [
        ("a", "b", False),
        ("a/b/c", "../../d", False),
        ("a/b", "../..", True),
        ("a", "..", True),
        ("a", "../x", True),
        ("a/b", "../../x", True),
        ("a", "/etc/passwd", True),
        ("a", ".git/hooks", True),
        ("a", "b/../../x", True),
        ("a", "..x", False),
    ],
)
def test_links_that_leave_the_tree_are_told(path: str, target: str, out: bool) -> None:
    assert leads_out(path, target) == out


def test_links_that_lead_out_are_told_from_the_others_whatever_is_in_them(tmp_path: Path) -> None:
    top = make_repository(tmp_path / "repo")
    targets = {"in": "a.txt", "same": "a.txt", "odd": "a\nb ", "out": "../x", "root": "/etc", "raw": "\udcff"}
    for name, target in targets.items():
        (top / name).symlink_to(target)
    git(top, "add", "-A")
    found = Git.find(tmp_path).within(git_dir=top / ".git")
    endless = found.run("hash-object", "-w", "--stdin", stdin=b"x" * 5000).decode().strip()
    found.run("update-index", "--add", "--cacheinfo", f"120000,{endless},endless")
    changes = changes_between(found, "HEAD", found.word("write-tree"))
    assert {change.path for change in changes} == {*targets, "endless"}
    assert {change.path for change in changes if change.control} == {"out", "root", "endless"}
    assert os.fsencode(targets["raw"]) == b"\xff"
