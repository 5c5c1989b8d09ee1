from __future__ import annotations

import pytest

from orchestrator_nb.worktrees.changes import is_control, leads_out


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
