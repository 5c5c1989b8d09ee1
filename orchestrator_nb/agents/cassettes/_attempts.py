"""What of an attempt goes onto a tape and comes from it: what it tells, its files, and which take it is."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from orchestrator_nb.agents.cassettes.request import Directories, each_text
from orchestrator_nb.agents.cassettes.tape import MOST_BYTES, Change, Content, Draft, Recorded
from orchestrator_nb.agents.coding.redaction import MARK as REDACTED
from orchestrator_nb.agents.coding.redaction import Redactor
from orchestrator_nb.agents.coding.replaying import FileChange
from orchestrator_nb.core.events import AgentSpent, AgentStarted, AttemptEvent, ProcessStarted, TaskProgressed
from orchestrator_nb.core.ports import Assignment, Command, Outcome, Process, Services, Success
from orchestrator_nb.errors import CassetteError, OrchestratorError
from orchestrator_nb.storage.files import Root, write_all

#: File of an attempt's directory that says which take it is: an attempt after it goes on behind that one.
MARK = "cassette.json"
#: Logs of an attempt that are recorded.
LOGS = ("log", "log.stderr")
#: Most progress messages and events of one attempt that are recorded.
MOST_TOLD = 2000

_events = msgspec.json.Decoder(AttemptEvent)


class Tap:
    """The services of an attempt; what is told through them is kept."""

    def __init__(self, services: Services) -> None:
        self.services = services
        self.secrets: dict[str, None] = {}
        self._told: list[AttemptEvent] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self.services, name)

    async def spawn(self, command: Command) -> Process:
        """Start a process; what it must not tell is not recorded either."""
        self.secrets.update(dict.fromkeys(command.secrets))
        return await self.services.spawn(command)

    def progress(self, message: str = "", done: int = 0, total: int = 0, *, logged: bool = False) -> None:
        """Pass it on."""
        self._told.append(TaskProgressed("", 0, message, done, total, logged))
        self.services.progress(message, done, total, logged=logged)

    def report(self, event: AttemptEvent) -> None:
        """Pass it on."""
        self._told.append(event)
        self.services.report(event)

    def told(self, draft: Draft, places: Directories) -> tuple[dict[str, Any], ...]:
        """The events as they are recorded, without those that later ones took the place of."""
        last = [event for event in self._told if isinstance(event, AgentSpent)][-1:]
        kept = [event for event in self._told if not isinstance(event, ProcessStarted | AgentSpent) or event in last]
        told = [{**msgspec.to_builtins(event), "task": "", "attempt": 0} for event in kept[-MOST_TOLD:]]
        return tuple(draft.plain(each_text(event, places.portable)) for event in told)


def told_again(found: Recorded, assignment: Assignment, places: Directories) -> Iterator[AttemptEvent]:
    """The recorded events as those of this attempt, whatever they say of another."""
    for told in found.take.told:
        try:
            event = _events.decode(msgspec.json.encode(each_text(told, places.here)))
        except msgspec.DecodeError as error:
            raise CassetteError(f"{found.place} tells what is no event of an agent: {error}") from None
        if isinstance(event, ProcessStarted):
            raise CassetteError(f"{found.place} tells of a process: it was tampered with")
        event = msgspec.structs.replace(event, task=assignment.task.id, attempt=assignment.attempt)
        if isinstance(event, AgentSpent | AgentStarted):
            event = msgspec.structs.replace(event, recorded=True)
        yield event


def warned(outcome: Outcome, services: Services, warning: str) -> Outcome:
    """The outcome with a warning; one that carries none has it told as progress."""
    if isinstance(outcome, Success):
        return msgspec.structs.replace(outcome, warnings=(*outcome.warnings, warning))
    services.progress(warning)
    return outcome


# -- files -------------------------------------------------------------------------------------------------------------


def recorded_files(draft: Draft, assignment: Assignment, outcome: Outcome, places: Directories) -> Iterator[Content]:
    """Put the attempt's logs and outputs into the draft."""
    directory = Path(assignment.directory)
    root, outputs = Root(directory), directory / "outputs"
    named = [outcome.file] if isinstance(outcome, Success) and outcome.file else []
    for name in dict.fromkeys((*LOGS, *named)):
        if root.exists(name):
            text = root.read_bytes(name, MOST_BYTES)
            with suppress(UnicodeDecodeError):
                text = places.portable(text.decode()).encode()
            yield draft.put(name, text)
    for path in sorted(outputs.rglob("*")):
        if path.is_file() and not path.is_symlink():
            name = path.relative_to(directory).as_posix()
            yield draft.put(name, root.read_bytes(name, MOST_BYTES))


def restore(found: Recorded, services: Services, places: Directories) -> None:
    """Write the recorded logs and outputs into the attempt's directory."""
    directory = Path(services.attempt_dir())
    success = found.take.success
    for content in found.take.files:
        name, data = content.name, found.read(content)
        if name.startswith("outputs/"):
            _write(directory, name, data)
            continue
        if name not in LOGS and (success is None or name != success.file):
            raise CassetteError(f"{found.place} holds {name!r}, which is no file of an attempt: it was tampered with")
        with suppress(UnicodeDecodeError):
            data = places.here(data.decode()).encode()
        _write(directory, name, data)


def _write(directory: Path, name: str, data: bytes) -> None:
    """Write a file of an attempt, which is new as its directory is."""
    fresh = name.count("/") == name.startswith("outputs/") and name.rpartition("/")[2] not in ("", ".", "..")
    if fresh:
        with suppress(FileExistsError):
            fd = os.open(directory / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            try:
                write_all(fd, data)
            finally:
                os.close(fd)
            return
    Root(directory).write_atomic(name, data)


def put_change(draft: Draft, change: FileChange) -> Change:
    """Put a changed file into the draft."""
    content = draft.put(f"changed/{change.path}", change.content) if change.content is not None else None
    mergeable = change.before is not None and change.content is not None
    before = draft.put(f"before/{change.path}", change.before or b"") if mergeable else None
    return Change(change.path, content, before, change.was, change.executable, change.link)


def change_of(found: Recorded, change: Change) -> FileChange:
    """A recorded change with all that it holds. Raises `CassetteError`."""
    content = found.read(change.content) if change.content is not None else None
    before = found.read(change.before) if change.before is not None else None
    return FileChange(change.path, content, before, change.was, change.executable, change.link)


def redacted_change(change: FileChange, redactor: Redactor) -> FileChange:
    """A change without secrets."""

    def clean(data: bytes | None) -> bytes | None:
        for secret in redactor.secrets if data is not None else ():
            data = data.replace(secret.encode(), REDACTED.encode()) if data is not None else None
        return data

    return FileChange(
        redactor.text(change.path),
        clean(change.content),
        clean(change.before),
        change.was,
        change.executable,
        redactor.text(change.link),
    )


# -- which take an attempt is ------------------------------------------------------------------------------------------


class Mark(msgspec.Struct, frozen=True):
    """Which take an attempt is."""

    key: str
    number: int
    #: Hash of the files that it changed.
    changed: str = ""


def write_mark(services: Services, mark: Mark) -> None:
    """Remember which take an attempt is."""
    _write(Path(services.attempt_dir()), MARK, msgspec.json.encode(mark))


def read_mark(assignment: Assignment, task: str, attempt: int) -> Mark | None:
    """Which take an attempt of a task is; None if that is not on record."""
    session = Root(Path(assignment.run.directory))
    try:
        return msgspec.json.decode(session.read_bytes(f"attempts/{task}/{attempt}/{MARK}", 4096), type=Mark)
    except (OrchestratorError, msgspec.DecodeError):
        return None


def attempts_of(assignment: Assignment, task: str) -> list[int]:
    """The numbers of the attempts of a task that have a directory."""
    names = Root(Path(assignment.run.directory)).names(f"attempts/{task}")
    return sorted(int(name) for name in names if name.isdigit())
