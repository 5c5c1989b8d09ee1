"""codex and gemini without a model, for tests of usage limits: programs that meet one, and say so in each one's words.

`told(seconds)` is a prompt: in its HOME the program meets a limit of so many seconds once, and then does its work. A
negative number lets gemini sleep until the limit ends, as it does for a plan's limits.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from orchestrator_nb.agents.coding.cli import Invocation, Login, Request
from orchestrator_nb.agents.coding.codex import Codex
from orchestrator_nb.agents.coding.gemini import Gemini

PROGRAM = str(Path(__file__).with_name("limited_program"))


class LimitedCodex(Codex):
    """It speaks as codex does."""

    name = "limited-codex"
    program = PROGRAM
    capabilities = msgspec.structs.replace(Codex.capabilities, oldest="")
    login = Login(files=(), variables=("PUPPET_KEY",))

    def invocation(self, request: Request) -> Invocation:
        called = super().invocation(request)
        return Invocation((self.program, *called.argv[1:]), called.env, called.home_files)


class LimitedGemini(Gemini):
    """It speaks as gemini does."""

    name = "limited-gemini"
    program = PROGRAM
    capabilities = msgspec.structs.replace(Gemini.capabilities, oldest="")
    login = Login(files=(), variables=("PUPPET_KEY",))

    def invocation(self, request: Request) -> Invocation:
        called = super().invocation(request)
        return Invocation((self.program, *called.argv[1:]), called.env, called.home_files)


#: As a plan names them.
CODEX, GEMINI = f"{__name__}:LimitedCodex", f"{__name__}:LimitedGemini"


def told(seconds: float) -> str:
    """A prompt."""
    return f"Please do this: @@{seconds}@@"
