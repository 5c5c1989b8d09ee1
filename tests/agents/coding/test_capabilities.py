from __future__ import annotations

from typing import Any

import pytest

from orchestrator_nb.agents.coding.capabilities import check, markdown, table
from orchestrator_nb.agents.coding.cli import BUILT_IN, LEVELS, Clis, Request
from orchestrator_nb.errors import CapabilityError

VALUES: dict[str, Any] = {"resume": "1-2", "turn_limit": 3, "budget": 1.0, "schema": {"type": "object"}}


@pytest.mark.parametrize("name", BUILT_IN)
@pytest.mark.parametrize("option", VALUES)
def test_an_option_is_honoured_or_an_error(name: str, option: str) -> None:
    """No option is taken and then ignored: it shows in how the CLI is started."""
    cli = Clis().get(name)
    plain = cli.invocation(Request(cwd="/w", home="/h"))
    request = Request(cwd="/w", home="/h", **{option: VALUES[option]})
    if getattr(cli.capabilities, option):
        check(cli, request)
        assert cli.invocation(request) != plain
    else:
        with pytest.raises(CapabilityError, match=f"^task build: {name} cannot honour `{option}`"):
            check(cli, request, "build")
        with pytest.raises(CapabilityError, match=f"{name} cannot honour `{option}`"):
            cli.invocation(request)


def test_an_error_names_who_can() -> None:
    clis = Clis()
    with pytest.raises(CapabilityError, match=r"task T1: codex cannot honour `budget` \(these can: claude\)"):
        check(clis.get("codex"), Request(cwd="/w", home="/h", budget=1), "T1")


@pytest.mark.parametrize("name", BUILT_IN)
def test_any_tool_only_in_a_sandbox(name: str) -> None:
    cli = Clis().get(name)
    for level in LEVELS:
        check(cli, Request(cwd="/w", home="/h", level=level, contained=True))
    with pytest.raises(
        CapabilityError, match=f"task T: level `full` of {name} is for a sandbox only: install bubblewrap"
    ):
        check(cli, Request(cwd="/w", home="/h", level="full"), "T")


def test_the_table_has_a_row_for_each_and_no_empty_cell() -> None:
    rows = {row["agent"]: row for row in table()}
    assert set(rows) >= set(BUILT_IN)
    assert all(cell for row in rows.values() for cell in row.values())
    assert [rows[name]["cost"] for name in ("claude", "codex", "gemini")] == ["yes", "no", "no"]
    assert "acceptEdits" in rows["claude"]["edit"]
    lines = markdown().splitlines()
    assert len(lines) == len(rows) + 2
    assert len({line.count("|") for line in lines}) == 1


@pytest.mark.parametrize("name", BUILT_IN)
@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("model", "--dangerously-skip-permissions"),
        ("model", "a\0b"),
        ("resume", "-1"),
        ("directories", ("/a", "--yolo")),
        ("directories", ("relative",)),
        ("directories", ("/a\nb",)),
        ("cwd", "w"),
        ("base_url", "-x"),
    ],
)
def test_no_value_is_read_as_an_option(name: str, option: str, value: Any) -> None:
    cli = Clis().get(name)
    fields = {"cwd": "/w", "home": "/h", option: value}
    with pytest.raises(CapabilityError, match=f"^task T: `{option}` (cannot be|must be an absolute path)"):
        check(cli, Request(**fields), "T")
    with pytest.raises(CapabilityError, match=f"`{option}`"):
        cli.invocation(Request(**fields))
