"""A coding agent without a model, for tests: a real program (`puppet_program`) that does what its prompt says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec

from orchestrator_nb.agents.coding.claude import Claude
from orchestrator_nb.agents.coding.cli import Invocation, Login, Request


class Puppet(Claude):
    """It speaks as claude does."""

    name = "puppet"
    program = str(Path(__file__).with_name("puppet_program"))
    capabilities = msgspec.structs.replace(Claude.capabilities, oldest="")
    login = Login(files=(".puppet-login.json",), variables=("PUPPET_KEY",))

    def invocation(self, request: Request) -> Invocation:
        called = super().invocation(request)
        return Invocation((self.program, *called.argv[1:]), called.env)


#: As a plan names it.
PUPPET = "tests.agents.coding.puppet:Puppet"


def steps(*several: Any) -> str:
    """A prompt that lets it do this."""
    return f"Please do this: @@{json.dumps([list(step) for step in several])}@@"
