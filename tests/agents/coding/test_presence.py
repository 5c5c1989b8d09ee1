from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from orchestrator_nb.agents.coding.claude import Claude
from orchestrator_nb.agents.coding.cli import Clis
from orchestrator_nb.agents.coding.presence import fault_of_version, look_around, look_for, version_of


def program(directory: Path, name: str, says: str) -> Path:
    path = directory / name
    path.write_text(f"#!/bin/sh\n{says}\n")
    path.chmod(0o755)
    return path


@pytest.mark.parametrize(
    ("says", "version"),
    [
        ("echo '2.1.328 (Claude Code)'", "2.1.328"),
        ("echo 'codex-cli 0.169.0'", "0.169.0"),
        ("echo hello", ""),
        ("exit 3", ""),
        ('echo "0.1 $SECRET"; test -z "$(ls $HOME)" || echo 9.9', "0.1"),
    ],
)
def test_a_program_is_asked_for_its_version(
    says: str, version: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET", "9.9.9")
    assert version_of(str(program(tmp_path, "tool", says))) == version
    assert version_of(str(tmp_path / "none")) == ""


def test_it_is_asked_once_until_it_changes(tmp_path: Path) -> None:
    counting = f"echo x >> {tmp_path}/count; wc -l < {tmp_path}/count | sed 's/.*/1.&/'"
    path = str(program(tmp_path, "tool", counting))
    assert version_of(path) == version_of(path) == "1.1"
    program(tmp_path, "tool", f"{counting} # changed")
    assert version_of(path) == "1.2"


@pytest.mark.parametrize(
    ("version", "old"), [("2.1.196", True), ("2.0.999", True), ("2.1.197", False), ("2.2", False), ("", False)]
)
def test_row_H12_a_version_with_known_holes_is_refused(version: str, old: bool) -> None:
    fault = fault_of_version(Claude(), version)
    assert bool(fault) is old
    assert not old or "2.1.197 is the first that can be used; update it" in fault


def test_what_is_here_and_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    program(tmp_path, "claude", "echo 2.1.400")
    environment = {"PATH": str(tmp_path), "ANTHROPIC_API_KEY": "k"}
    found = {presence.name: presence for presence in look_around(environment)}
    assert found["claude"].version == "2.1.400"
    assert (found["claude"].login, found["claude"].fault) == ("ANTHROPIC_API_KEY", "")
    assert found["codex"].fault == "install codex, and see that it is in PATH"
    assert "no login for claude" in look_for(Claude(), {"PATH": str(tmp_path)}).fault


def test_a_cli_without_versions_is_not_asked(tmp_path: Path) -> None:
    class Own(Claude):
        name = program = "own"
        capabilities = msgspec.structs.replace(Claude.capabilities, oldest="")

    program(tmp_path, "own", f"touch {tmp_path}/asked")
    (found,) = [p for p in look_around({"PATH": str(tmp_path)}, Clis({"own": Own()})) if p.name == "own"]
    assert found.path == str(tmp_path / "own")
    assert not (tmp_path / "asked").exists()
