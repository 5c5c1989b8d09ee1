"""From what an agent answered to the task's result: read as declared, checked, small enough to travel or a file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from orchestrator_nb.core.jsonable import fault_of_json
from orchestrator_nb.core.models import Result
from orchestrator_nb.core.ports import Assignment, Success
from orchestrator_nb.core.reports import as_json, report_from, report_from_sarif
from orchestrator_nb.errors import AgentError, OrchestratorError
from orchestrator_nb.storage.files import Root
from orchestrator_nb.storage.workspace import SessionDir
from orchestrator_nb.system.reading import read_ends

#: A JSON value of at most this many bytes travels in the event; a larger one becomes a file.
MAX_INLINE = 1024


class Reading(msgspec.Struct, frozen=True):
    """A task's result, read and checked."""

    #: text, json or report; empty where there is no result.
    format: str = ""
    value: Any = None
    #: The content of the result's file, where the value is too large to travel.
    content: bytes | None = None
    warnings: tuple[str, ...] = ()


class Reader:
    """Reads the result of one attempt; paths of files in its findings are made relative to where it ran.

    Args:
        assignment: The attempt.
        cap: Most bytes of a result; longer text is cut in its middle, anything else is refused.
    """

    __slots__ = ("_assignment", "_cap")

    def __init__(self, assignment: Assignment, cap: int) -> None:
        self._assignment = assignment
        self._cap = cap

    def read(self, success: Success) -> Reading:
        """The result that `success` stands for. Raises `AgentError` if it is not what the task declares."""
        declared = self._assignment.task.result
        source = None if declared is None or declared.source == "stdout" else declared.source
        file = f"outputs/{source}" if source is not None else success.file
        if file is None and success.text is None and success.value is None:
            if declared is not None and declared.format != "text":
                raise AgentError(f"the result is declared as {declared.format}, but the task answered nothing")
            return Reading()
        form = _format(success, declared, is_file=file is not None)
        try:
            if form == "text":
                return self._text(success, file)
            answer = self._bytes(file) if file is not None else success.text if success.value is None else success.value
            return _sized(*_structured(answer, form, str(self._assignment.cwd) if form == "sarif" else ""))
        except OrchestratorError as error:
            where = f"output '{source}'" if source else "what it printed" if file else "its answer"
            raise AgentError(f"the result ({form}, from {where}) cannot be used: {error}") from None

    def _text(self, success: Success, file: str | None) -> Reading:
        warnings = []
        if file is not None:
            try:
                raw, left_out = read_ends(attempt_dir(self._assignment) / file, self._cap)
            except FileNotFoundError:
                raise AgentError("there is no such file") from None
            if left_out:
                warnings.append(f"the result was cut: {left_out} bytes were left out, all of it is in {file}")
            text = raw.decode("utf-8", "replace")
            if "\ufffd" in text and (bad := text.count("\ufffd") - raw.count("\ufffd".encode())):
                warnings.append(f"the result is not UTF-8: {bad} bytes were replaced, the raw ones are in {file}")
        elif success.text is None:
            raise AgentError("it is a JSON value, not text")
        else:
            text = success.text.encode("utf-8", "replace").decode()
        return _sized("text", text.rstrip("\r\n"), tuple(warnings))

    def _bytes(self, file: str) -> bytes:
        return Root(attempt_dir(self._assignment)).read_bytes(file, self._cap)


def attempt_dir(assignment: Assignment) -> Path:
    """The attempt's directory, absolute, whether it was made or not."""
    session = SessionDir(Path(assignment.run.directory))
    return session.path / session.attempt(assignment.task.id, assignment.attempt)


def _format(success: Success, declared: Result | None, *, is_file: bool) -> str:
    if declared is not None:
        return declared.format
    return success.format or ("text" if is_file or success.value is None else "json")


def _structured(answer: Any, form: str, cwd: str) -> tuple[str, Any]:
    """The answer as a JSON value, and the format that it has then (a SARIF log becomes a report)."""
    if form == "sarif":
        return "report", as_json(report_from_sarif(answer, root=cwd))
    if isinstance(answer, str | bytes):
        try:
            answer = msgspec.json.decode(answer)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise AgentError(f"it is not JSON: {error}") from None
    if form == "report":
        answer = as_json(report_from(answer))
    if fault := fault_of_json(answer):
        raise AgentError(fault)
    return form, answer


def _sized(form: str, value: Any, warnings: tuple[str, ...] = ()) -> Reading:
    encoded = msgspec.json.encode(value)
    if len(encoded) <= MAX_INLINE:
        return Reading(form, value, None, warnings)
    return Reading(form, None, value.encode() if form == "text" else encoded, warnings)
