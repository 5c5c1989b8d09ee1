"""A coding agent for rehearsals, which needs no account: all that a further kind of coding agent takes is such a file.

In a plan it is ``agents.rehearsal:Rehearsal``. An installed package gives its own a short name by the entry-point group
`orchestrator_nb.coding_clis`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from orchestrator_nb.agents.coding.capabilities import check
from orchestrator_nb.agents.coding.cli import Capabilities, Invocation, Login, Request
from orchestrator_nb.agents.coding.vocabulary import (
    AgentEvent,
    CommandRun,
    FileEdit,
    Finished,
    Kind,
    PermissionDenied,
    Started,
    Text,
    ToolCall,
    ToolResult,
    Unknown,
    Usage,
)

LEVELS = {level: f"--level {level}" for level in ("read", "edit", "full")}


class Rehearsal:
    """How its program is called, what it can do, and what its output says."""

    name = "rehearsal"
    program = str(Path(__file__).with_name("rehearse"))
    capabilities = Capabilities(
        contained=LEVELS,
        uncontained={level: LEVELS[level] for level in ("read", "edit")},
        resume=False,
        turn_limit=False,
        budget=False,
        schema=False,
        usage=True,
        cost=False,
    )
    login = Login(files=(), variables=())
    control_files = ()

    def invocation(self, request: Request) -> Invocation:
        check(self, request)
        directories = [argument for directory in request.directories for argument in ("--dir", directory)]
        return Invocation((self.program, "--level", request.level, *directories))

    def parser(self) -> Parser:
        return Parser()

    def failure(self, code: int, errors: str) -> tuple[Kind, str] | None:
        return ("other", errors) if code else None

    def recorded(self, home: Path, session: str, since: float) -> Iterable[AgentEvent]:
        return ()  # it keeps no record of its own


class Parser:
    """Reads one run."""

    def output(self, number: int, line: bytes) -> Sequence[AgentEvent]:
        try:
            told = json.loads(line)
        except ValueError:
            return (Unknown(number, "text"),)
        call = f"call-{number}"
        match told:
            case {"kind": "started", "model": model}:
                return (Started(number, "", model),)
            case {"kind": "said", "text": text}:
                return (Text(number, text),)
            case {"kind": "wrote", "path": path}:
                return (
                    ToolCall(number, call, "write", path),
                    ToolResult(number, call, ok=True),
                    FileEdit(number, path, "add"),
                )
            case {"kind": "ran", "command": command, "code": code, "output": output}:
                return (
                    ToolCall(number, call, "run", command),
                    ToolResult(number, call, ok=code == 0, text=output),
                    CommandRun(number, command, code, output),
                )
            case {"kind": "refused", "tool": tool, "target": target, "why": why, "need": need}:
                path = target if need == "directory" else ""
                return (PermissionDenied(number, tool, target, why, need, "event", call, path),)
            case {"kind": "finished", "text": text, "input_tokens": read, "output_tokens": written}:
                return (Usage(number, read, written), Finished(number, ok=True, kind="", text=text, turns=1))
        return (Unknown(number, str(told)[:100]),)

    def errors(self, number: int, line: bytes) -> Sequence[AgentEvent]:
        return ()

    def end(self) -> Sequence[AgentEvent]:
        return ()
