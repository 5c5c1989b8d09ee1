"""The registry, and a fourth CLI: everything that it takes is the class `Parrot` in this one file."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import pytest

from orchestrator_nb.agents.coding.capabilities import check, markdown, table
from orchestrator_nb.agents.coding.cli import BUILT_IN, Capabilities, Clis, CodingCli, Invocation, Login, Request
from orchestrator_nb.agents.coding.judging import judge
from orchestrator_nb.agents.coding.streams import record_of, text_in
from orchestrator_nb.agents.coding.vocabulary import AgentEvent, Finished, Kind, Started, Text, Unknown
from orchestrator_nb.errors import AgentError, CapabilityError, UnknownAgent
from tests.agents.coding.recorded import read

PARROT = """
import json, sys
print(json.dumps({"kind": "hello", "session": "p1"}))
print(json.dumps({"kind": "says", "text": sys.stdin.read()}))
print(json.dumps({"kind": "squawk"}))
print(json.dumps({"kind": "bye"}))
"""


class Parrot:
    """A coding agent that repeats its prompt."""

    name = "parrot"
    program = sys.executable
    capabilities = Capabilities(
        contained={"read": "always", "edit": "never mind"},
        uncontained={"read": "always"},
        resume=False,
        turn_limit=True,
        budget=True,
        schema=False,
        usage=False,
        cost=False,
    )
    login = Login(files=(), variables=("PARROT_KEY",))
    control_files = (".parrot",)

    def invocation(self, request: Request) -> Invocation:
        check(self, request, clis=Clis({"parrot": self}))
        return Invocation((self.program, "-c", PARROT), {"PARROT_DIR": request.cwd})

    def parser(self) -> ParrotParser:
        return ParrotParser()

    def failure(self, code: int, errors: str) -> tuple[Kind, str] | None:
        return ("auth", errors) if code == 7 else None

    def recorded(self, home: Path, session: str, since: float) -> Iterable[AgentEvent]:
        return ()


class ParrotParser:
    """Reads what a parrot says."""

    def output(self, number: int, line: bytes) -> Sequence[AgentEvent]:
        record = record_of(line) or {}
        match text_in(record, "kind"):
            case "hello":
                return (Started(number, text_in(record, "session")),)
            case "says":
                return (Text(number, text_in(record, "text")),)
            case "bye":
                return (Finished(number, ok=True),)
            case kind:
                return (Unknown(number, kind),)

    def errors(self, number: int, line: bytes) -> Sequence[AgentEvent]:
        return ()

    def end(self) -> Sequence[AgentEvent]:
        return ()


def test_a_fourth_cli_takes_one_file(tmp_path: Path) -> None:
    clis = Clis({"parrot": Parrot()})
    assert clis.names() == ["claude", "codex", "gemini", "parrot"]
    cli = clis.get("parrot")
    invocation = cli.invocation(Request(cwd=str(tmp_path), home=str(tmp_path)))
    done = subprocess.run(invocation.argv, input=b"Polly", capture_output=True, env=invocation.env, check=False)
    events = read(cli, [done.stdout])
    summary = judge(cli, events, done.returncode, done.stderr.decode())
    assert (summary.state, summary.session, summary.text, summary.unknown) == ("succeeded", "p1", "Polly", 1)
    assert summary.usage is None
    assert judge(cli, (), 7, "no key").error == "auth"


def test_a_fourth_cli_is_in_the_table_and_is_checked() -> None:
    clis = Clis({"parrot": Parrot()})
    assert [row["agent"] for row in table(clis)] == ["claude", "codex", "gemini", "parrot"]
    assert "| parrot | no | yes | yes | no |" in markdown(clis)
    with pytest.raises(
        CapabilityError, match=r"task T1: codex cannot honour `turn_limit` \(these can: claude, .*parrot"
    ):
        check(clis.get("codex"), Request(cwd="/w", home="/h", turn_limit=2), "T1", clis)
    with pytest.raises(CapabilityError, match="parrot has no level `full`"):
        clis.get("parrot").invocation(Request(cwd="/w", home="/h", level="full", contained=True))


# -- the registry ------------------------------------------------------------------------------------------------------


def test_built_in_clis_are_loaded_once_and_complete() -> None:
    clis = Clis()
    for name in BUILT_IN:
        cli: CodingCli = clis.get(name)
        assert cli is clis.get(name)
        assert cli.name == cli.program == name
        assert cli.login.files
        assert cli.login.variables
        assert cli.parser() is not cli.parser()
    assert len(clis) == len(list(clis)) >= 3
    assert "claude" in clis
    assert "nope" not in clis


def test_an_unknown_name_and_its_nearest() -> None:
    with pytest.raises(UnknownAgent, match=r"unknown coding agent 'claud'; did you mean 'claude'\?"):
        Clis().get("claud")


def test_a_cli_of_an_installed_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "squawker.py").write_text(
        "from tests.agents.coding.test_cli import Parrot\nclass Half:\n    name = 'half'\nbroken = None\n"
    )
    info = tmp_path / "squawker-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: squawker\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[orchestrator_nb.coding_clis]\nsquawker = squawker:Parrot\n")
    monkeypatch.syspath_prepend(tmp_path)
    clis = Clis()
    assert "squawker" in clis
    assert clis.get("squawker").name == "parrot"
    assert clis.get("squawker:Parrot").name == "parrot"
    with pytest.raises(AgentError, match="coding agent 'squawker:Half' at squawker:Half lacks program, capabilities"):
        clis.get("squawker:Half")
    with pytest.raises(AgentError, match="cannot be loaded from squawker:broken: TypeError"):
        clis.get("squawker:broken")
