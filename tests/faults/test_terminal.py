"""Text that attacks a terminal: whatever a plan, a task or its output says, no sequence of it is let through (E6)."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.cli.conftest import Call, call  # noqa: F401 - a fixture
from tests.cli.program import eventually, orchestrate, write_plan
from tests.cli.terminal import Terminal

CSI = [
    "\x1b[2J", "\x1b[H", "\x1b[5;7;41;37m", "\x1b[999A", "\x1b[6n", "\x1b[?1049h", "\x1b[5i", "\x1b[38;5;196m",
    "\x1b[!p", "\x1b[20h", "\x1b[3g", "\x1b[0c", "\x1b[1;1r", "\x1b[?2004h", "\x1b[200~", "\x1b[21t", "\x1b[",
    "\x1b[12;34",
]  # fmt: skip
STRINGS = [
    "\x1b]0;evil\x07", "\x1b]2;evil\x1b\\", "\x1b]8;;http://evil\x1b\\link\x1b]8;;\x1b\\", "\x1b]52;c;ZXZpbA==\x07",
    "\x1b]4;0;rgb:00/00/00\x07", "\x1b]1337;File=:AA==\x07", "\x1b]777;notify;a;b\x07", "\x1b]9;evil\x07",
    "\x1b]10;?\x07", "\x1b]133;A\x07", "\x1b]never ends", "\x1bPq#0\x1b\\", "\x1bP$qm\x1b\\", "\x1bP+q544e\x1b\\",
    "\x1b_Gf=100;AAAA\x1b\\", "\x1b^pm\x1b\\", "\x1bXsos\x1b\\",
]  # fmt: skip
ESCAPES = ["\x1bc", "\x1b7", "\x1b8", "\x1b=", "\x1b#8", "\x1b(0", "\x1b%G", "\x1bN", "\x1b"]
C1 = ["\x9b31m", "\x9d0;evil\x9c", "\x90q\x9c", "\x85", "\x84", "\x8d", "\x98x\x9c", "\x9e", "\x9f"]
C0 = ["\x07", "\x08\x08\x08", "\x0b", "\x0c", "\x0e", "\x0f", "\x05", "\x7f"]
UNSEEN = ["\u202e", "\u2066", "\u200f", "\u061c", "\u200b", "\u200d", "\ufeff", "\u2060", "\u00ad"]
HOSTILE = [*CSI, *STRINGS, *ESCAPES, *C1, *C0, *UNSEEN]

#: What may be in no output: controls but for tab, newline and return; what is invisible or turns the direction.
HARMFUL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]")
QUESTION = "Shall \x1b]0;evil\x07 we \x1b[2J\u202e ship it?"


def _plan(path: Path) -> Path:
    """Every sequence in titles, errors, outputs, parameters and a question, a few in each."""
    groups = [HOSTILE[start : start + 6] for start in range(0, len(HOSTILE), 6)]
    said = ["".join(f"<{sequence}>" for sequence in group) for group in groups]
    printed = path.with_name("printed")
    printed.write_bytes("\n".join(HOSTILE).encode() + b"\x1b[31" + b"x" * 70_000 + b"\xff\xfe\x1b]0;" + b"y" * 70_000)
    tasks: list[dict[str, object]] = [
        {"id": f"t{number}", "title": text, "agent": "simulated", "parameters": {"duration": 0.01, "fail": text}}
        for number, text in enumerate(said)
    ]
    tasks += [
        {"id": "prints", "title": said[0], "command": ["cat", str(printed)]},
        {"id": "dies", "command": ["sh", "-c", f"cat {printed}; exit 3"]},
        {"id": "asks", "title": said[1], "agent": "human", "prompt": QUESTION},
        {"id": "waits", "title": said[2], "agent": "simulated", "dependencies": ["t0"]},
    ]
    return write_plan(path, title=said[1], params={"name": said[3]}, tasks=tasks)


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Terminal]:
    """A run of that plan on a terminal, its question answered from elsewhere."""
    directory = tmp_path_factory.mktemp("terminal")
    plan = _plan(directory / "plan.json")
    with Terminal("run", plan.name, cwd=directory, columns=120, rows=50) as terminal:
        terminal.until("orchestrate approve asks@1")
        status = directory / ".orchestrator" / "latest" / "status" / "asks.json"
        eventually(status.exists)
        told = orchestrate("approve", "asks", "--answer", "\x1b[2J yes", cwd=directory)
        assert told.returncode == 0, told.stderr
        assert "ship it?" in told.stderr
        _assert_harmless(told.stdout + told.stderr)
        assert terminal.end() == 1
    return directory, terminal


def _assert_harmless(text: str) -> None:
    found = HARMFUL.search(text)
    assert found is None, text[max(0, found.start() - 80) : found.end() + 80]


def test_row_E6_live_display(shown: tuple[Path, Terminal]) -> None:
    _, terminal = shown
    assert "ship it?" in terminal.text
    for sequence in ("\x1b[5;7;41;37m", "\x1b[38;5;196m"):  # colours, but none of ours
        assert sequence not in terminal.raw.decode()
    _assert_harmless(terminal.text)


@pytest.mark.parametrize(
    "args",
    [
        "status", "status --all --json", "sessions", "sessions --json", "show t0", "show t1 --json", "show prints",
        "show asks", "logs prints", "logs dies", "explain t2", "explain waits", "resume -n", "resume -n --json",
        "graph", "graph -f dot", "graph -f svg", "export", "export -f csv", "compare latest latest --all --diff",
        "watch --no-progress", "watch --json", "watch --transcript",
    ],
)  # fmt: skip
def test_row_E6_reading_commands(call: Call, shown: tuple[Path, Terminal], args: str) -> None:  # noqa: F811
    directory, _ = shown
    told = call("--workspace", directory / ".orchestrator", *args.split())
    assert told.code in (0, 1)
    assert len(told.out) > 30
    _assert_harmless(told.out + told.err)


@pytest.mark.parametrize("how", ["", "--transcript", "--json", "--quiet", "--dry-run", "--dry-run --json"])
def test_row_E6_running_in_a_pipe(call: Call, tmp_path: Path, how: str) -> None:  # noqa: F811
    plan = _plan(tmp_path / "plan.json")
    raw = json.loads(plan.read_text())
    raw["tasks"] = [task for task in raw["tasks"] if task["id"] != "asks"]
    plan.write_text(json.dumps(raw))
    told = call("--workspace", tmp_path / "sessions", "run", plan, *how.split())
    assert told.code == (0 if "dry" in how else 1)
    _assert_harmless(told.out + told.err)


@pytest.mark.parametrize("sequence", ["\x1b[2J", "\x1b]0;evil\x07", "\x9b31m", "\u202e"])
def test_row_E6_errors(call: Call, shown: tuple[Path, Terminal], sequence: str) -> None:  # noqa: F811
    directory, _ = shown
    before = ("--workspace", directory / ".orchestrator")
    for args in (
        [f"no{sequence}command"],
        ["run", f"no{sequence}plan.yaml"],
        ["logs", f"no{sequence}task"],
        ["status", f"no{sequence}session"],
        ["approve", f"no{sequence}checkpoint"],
        ["run", directory / "plan.json", "-p", f"no{sequence}name=1"],
        ["status", f"--no{sequence}option"],
    ):
        told = call(*before, *args)
        assert told.code in (2, 5, 6)
        assert "no" in told.err
        _assert_harmless(told.out + told.err)


def test_row_E6_raw_log_is_raw_when_asked_for(call: Call, shown: tuple[Path, Terminal]) -> None:  # noqa: F811
    directory, _ = shown
    told = call("--workspace", directory / ".orchestrator", "logs", "prints", "--raw")
    assert "\x1b]52;c;ZXZpbA==\x07" in told.out
