"""The control inbox: how other processes (a second terminal, a server) ask a session's run for something.

A request is a file in the session's `control/`, put there whole by rename, and stays until it is answered: what was
asked of a session that nobody runs is there at its next resume.
"""

from __future__ import annotations

import os
import time
from typing import Any, Literal, get_args

import msgspec

from orchestrator_nb.core.ids import did_you_mean
from orchestrator_nb.errors import CommandRefused, OrchestratorError
from orchestrator_nb.storage.workspace import SessionDir

Verb = Literal["pause", "resume", "stop", "halt", "cancel", "retry", "approve", "reject"]

#: Most bytes of one request: an answer to a checkpoint is in it.
MAX_REQUEST = 256 * 1024

_POLL = 0.02


class Request(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What somebody asks for. Which fields matter depends on the verb."""

    id: str
    #: Seconds since the epoch.
    at: float
    verb: Verb
    #: Who asks, for people.
    by: str = ""
    #: For `cancel` and `retry`.
    task: str = ""
    #: For `retry`: in the kernel that was kept.
    from_failed_cell: bool = False
    #: For `approve` and `reject`: the checkpoint, and the hash of what was shown.
    checkpoint: str = ""
    subject_sha256: str = ""
    answer: Any = None
    reason: str = ""


class Reply(msgspec.Struct, frozen=True):
    """What the run did about a request."""

    ok: bool
    message: str = ""


class Inbox:
    """A session's inbox, for both sides: `post`, `wait_answer` and `withdraw`; `poll` and `answer`."""

    def __init__(self, session: SessionDir) -> None:
        self._root = session.root
        #: What was moved aside because it is no request, in words: to be reported and emptied by whoever polls.
        self.refused: list[str] = []
        self._known: set[str] = set()

    def post(self, verb: str, **fields: Any) -> str:
        """Ask for something; returns the request's id. It is on stable storage when this returns.

        Raises:
            CommandRefused: No such verb or field, or too large.
            StorageError: The request cannot be written.
        """
        request_id = f"{time.time_ns():020d}-{os.urandom(4).hex()}"
        try:
            request = msgspec.convert({**fields, "id": request_id, "at": time.time(), "verb": verb}, Request)
            data = msgspec.json.encode(request)
        except (msgspec.ValidationError, TypeError, ValueError) as error:
            hint = "" if verb in get_args(Verb) else did_you_mean(verb, get_args(Verb))
            raise CommandRefused(f"'{verb}' cannot be asked like this: {error}{hint}") from error
        if len(data) > MAX_REQUEST:
            raise CommandRefused(f"the answer or reason is too long: {len(data)} bytes, at most {MAX_REQUEST}")
        self._root.write_atomic(_request(request_id), data, sync=True)
        return request_id

    def poll(self) -> list[Request]:
        """The requests that are new since the last call, the oldest first. Each stays on disk until it is answered."""
        requests = []
        for name in self._root.names("control"):
            if not name.endswith(".json") or name in self._known:
                continue
            self._known.add(name)
            try:
                requests.append(self._read(name))
            except (OrchestratorError, msgspec.DecodeError, ValueError) as error:
                self._put_aside(name, str(error))
        return requests

    def answer(self, request: Request, reply: Reply) -> None:
        """Say what was done, once that is durable, and end the request."""
        self._root.write_atomic(_answer(request.id), msgspec.json.encode(reply))
        self._root.remove(_request(request.id))
        self._known.discard(f"{request.id}.json")

    def wait_answer(self, request_id: str, timeout: float) -> Reply | None:
        """Wait up to `timeout` seconds for the reply, and take it; None if there is none yet."""
        path = _answer(request_id)
        deadline = time.monotonic() + timeout
        while not self._root.exists(path):
            if time.monotonic() >= deadline:
                return None
            time.sleep(_POLL)
        reply = msgspec.json.decode(self._root.read_bytes(path, MAX_REQUEST), type=Reply)
        self._root.remove(path)
        return reply

    def withdraw(self, request_id: str) -> None:
        """Take a request back that was not answered: it shall not surprise the next resume."""
        self._root.remove(_request(request_id))

    def _read(self, name: str) -> Request:
        request = msgspec.json.decode(self._root.read_bytes(f"control/{name}", MAX_REQUEST), type=Request)
        if _request(request.id) != f"control/{name}":
            raise ValueError("its id is not its name")
        return request

    def _put_aside(self, name: str, reason: str) -> None:
        try:
            self._root.rename(f"control/{name}", f"control/refused/{name}")
            self.refused.append(f"control/{name} is no request and was moved to control/refused: {reason}")
        except OrchestratorError as error:
            self.refused.append(f"control/{name} is no request ({reason}) and could not be moved aside: {error}")


def _request(request_id: str) -> str:
    return f"control/{request_id}.json"


def _answer(request_id: str) -> str:
    return f"control/answers/{request_id}.json"
