"""A cassette on disk: a directory for each task, in it one for each take, which is one attempt as it went.

    cassette.json                       says that this is one
    review+api/1f0c….1/take.json        what was asked, what came of it, what was told meanwhile
    review+api/1f0c….1/prompt.md …      the texts, as files: prompt, result, log, outputs, changed files
    blobs/3a7b…                         what is no text, by its SHA-256
    trees/90ab….txt                     the files that agents were given, by name and content

A take's name is the hash of what was asked and its place in the *lane* of all attempts that asked for the same. A take
appears by a rename, whole or not at all. Nothing in a cassette is obeyed by programs: files that agents wrote get
``.txt`` behind their names. Whatever is read is held against its hash: a cassette that was torn or edited is refused.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import Any

import msgspec

from orchestrator_nb.agents.coding.redaction import MARK, Redactor
from orchestrator_nb.core.ports import Checkpoint, Failure, Success
from orchestrator_nb.errors import CassetteError, OrchestratorError, StorageError
from orchestrator_nb.storage.files import TEMPORARY, Root
from orchestrator_nb.system.reading import open_regular
from orchestrator_nb.worktrees.naming import one_name

FORMAT = 1
#: Most bytes of one file in a cassette, and of one take's record; most files of a take.
MOST_BYTES, MOST_RECORD, MOST_FILES = 256 << 20, 16 << 20, 10_000
_SIGN, _RECORD, _BLOBS, _TREES = "cassette.json", "take.json", "blobs", "trees"
_HASH = re.compile("[0-9a-f]{64}")
#: Digits of a hash in the name of a take.
_DIGITS = 16
#: Bytes in which a text's paths may be written where it lies.
_LONGEST_NAME = 120


class Content(msgspec.Struct, frozen=True, omit_defaults=True):
    """A file of a take: ``prompt``, ``outputs/report.md``, ``changed/src/x.py``."""

    name: str
    sha256: str
    #: Whether it lies among the blobs.
    blob: bool = False


class Change(msgspec.Struct, frozen=True, omit_defaults=True):
    """A file that the agent changed in the tree that it was given."""

    path: str
    #: What it holds now; None: it is gone, or is a link.
    content: Content | None = None
    #: What it held before, and the hash of that; none if there was no such file, or no text to merge with.
    before: Content | None = None
    was: str = ""
    executable: bool = False
    #: Where it leads to, if it is a link now.
    link: str = ""


class Take(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """One attempt as it went. `success`, `failure` or `checkpoint` is how it ended."""

    format: int
    task: str
    #: What was asked (`request.request_of`), of its prompt the hash; and the hash of it all.
    request: dict[str, Any]
    key: str
    prompt: Content | None = None
    #: Seconds that it took.
    seconds: float = 0.0
    success: Success | None = None
    failure: Failure | None = None
    checkpoint: Checkpoint | None = None
    #: The events that it told, as in a session's log.
    told: tuple[dict[str, Any], ...] = ()
    #: The text of its result, if it has one.
    text: Content | None = None
    #: Files of the attempt's directory: its logs, its outputs.
    files: tuple[Content, ...] = ()
    #: Files that it changed in its tree; whether it went on in that of its attempt before.
    changes: tuple[Change, ...] = ()
    continues: bool = False
    #: Hash of all that is above.
    check: str = ""


_takes = msgspec.json.Decoder(Take)


class Recorded:
    """A take that was read, and where its files are."""

    def __init__(self, cassette: Cassette, directory: str, take: Take) -> None:
        self._cassette, self.directory, self.take = cassette, directory, take

    @property
    def place(self) -> str:
        """For people: where it lies."""
        return str(self._cassette.root.path / self.directory)

    @property
    def request(self) -> dict[str, Any]:
        """What was asked, with the prompt. Raises `CassetteError`."""
        prompt = self.take.prompt
        return self.take.request | ({"prompt": self.read(prompt).decode()} if prompt is not None else {})

    def read(self, content: Content) -> bytes:
        """A file of it. Raises `CassetteError` if it is gone or not what was recorded."""
        return self._cassette.content(self.directory, content)


class Draft:
    """A take that is being written: files are put into it, and `Cassette.keep` makes it a take.

    Everything in it is without secrets.
    """

    def __init__(self, cassette: Cassette, directory: str, redactor: Redactor) -> None:
        self._cassette, self.directory, self._redactor = cassette, directory, redactor
        self._secrets = [secret.encode() for secret in redactor.secrets]

    def put(self, name: str, data: bytes) -> Content:
        """Put a file into it.

        Raises:
            CassetteError: It is too large, or there are too many.
            StorageError: The disk refuses.
        """
        if len(data) > MOST_BYTES:
            raise CassetteError(f"{name} has {len(data):,} bytes, and a cassette holds files of {MOST_BYTES:,} at most")
        for secret in self._secrets:
            data = data.replace(secret, MARK.encode())
        digest, shown = hashlib.sha256(data).hexdigest(), _shown(name)
        if _is_text(data) and _is_plain(shown):
            self._cassette.root.write_atomic(f"{self.directory}/{shown}", data)
            return Content(name, digest)
        if not self._cassette.root.exists(f"{_BLOBS}/{digest}"):
            self._cassette.root.write_atomic(f"{_BLOBS}/{digest}", data)
        return Content(name, digest, blob=True)

    def plain(self, value: Any) -> Any:
        """A JSON value without secrets."""
        return msgspec.json.decode(self._redactor.text(msgspec.json.encode(value).decode()))


class Cassette:
    """A directory of takes.

    Args:
        directory: Where it is.
    """

    def __init__(self, directory: Path) -> None:
        self.root = Root(directory)

    def make(self) -> None:
        """Make it, where there is none. Raises `CassetteError` if the directory holds something else."""
        path = self.root.path
        try:
            path.mkdir(parents=True, exist_ok=True)
            if any(path.iterdir()) and not (path / _SIGN).is_file():
                raise CassetteError(f"{path} is no cassette, and not empty: choose another directory to record into")
        except OSError as error:
            raise CassetteError(f"cannot record into {path}: {error.strerror}") from error
        if not (path / _SIGN).exists():
            self.root.write_atomic(_SIGN, msgspec.json.format(msgspec.json.encode({"format": FORMAT})) + b"\n")

    def check(self) -> None:
        """Raise `CassetteError` if it cannot be replayed: it is none, or of a later version."""
        path = self.root.path
        try:
            found = msgspec.json.decode(self.root.read_bytes(_SIGN, 4096))["format"]
        except (OrchestratorError, msgspec.DecodeError, UnicodeDecodeError, LookupError, TypeError):
            raise CassetteError(f"{path} is no cassette: record one with --record {path}") from None
        if found != FORMAT:
            raise CassetteError(
                f"the cassette {path} is of format {found}, this version reads {FORMAT}: record it anew"
            )

    # -- reading -------------------------------------------------------------------------------------------------------

    def find(self, task: str, key: str, number: int) -> Recorded | None:
        """The take of a lane with this number, from 1 on; None if there is none. Raises `CassetteError`."""
        return self._read(_directory(task, key, number), task, key)

    def lane(self, task: str, key: str) -> list[str]:
        """The directories of a lane's takes."""
        return [name for name in self._names(task) if name.partition(".")[0] == key[:_DIGITS]]

    def takes(self, task: str) -> Iterator[Recorded]:
        """All takes of a task that can be read."""
        for name in self._names(task):
            with suppress(CassetteError):
                if (found := self._read(f"{one_name(task)}/{name}", task)) is not None:
                    yield found

    def tasks(self) -> list[str]:
        """The names of the directories of its tasks."""
        return [name for name in self.root.names() if name not in (_SIGN, _BLOBS, _TREES) and name[:1] != "."]

    def _names(self, task: str) -> list[str]:
        return [name for name in self.root.names(one_name(task)) if name[:1] != "."]

    def _read(self, directory: str, task: str, key: str = "") -> Recorded | None:
        where = self.root.path / directory / _RECORD
        try:
            take = _takes.decode(_bytes_of(where, MOST_RECORD))
        except FileNotFoundError:
            return None
        except (msgspec.DecodeError, UnicodeDecodeError, OrchestratorError) as error:
            raise CassetteError(f"{where} cannot be read: {error}; record the task anew") from None
        if take.format != FORMAT:
            raise CassetteError(f"{where} is of format {take.format}, this version reads {FORMAT}: record it anew")
        if take.check != check_of(take) or take.key != key_of(take.request):
            raise CassetteError(f"{where} was edited or torn: it is not what was recorded; record the task anew")
        prompt = take.prompt.sha256 if take.prompt is not None else None
        if take.request.get("prompt") != prompt:
            raise CassetteError(f"{where} names another prompt than it was recorded with; record the task anew")
        if take.task != task or (key and take.key != key):
            raise CassetteError(f"{where} is a take of other work than its name says; record the task anew")
        if sum(ending is not None for ending in (take.success, take.failure, take.checkpoint)) != 1:
            raise CassetteError(f"{where} does not say how the attempt ended; record the task anew")
        if len(take.files) + len(take.changes) > MOST_FILES:
            raise CassetteError(f"{where} names more than {MOST_FILES:,} files")
        return Recorded(self, directory, take)

    def content(self, directory: str, content: Content) -> bytes:
        """A file of a take. Raises `CassetteError`."""
        if not (_HASH.fullmatch(content.sha256) and (content.blob or _is_plain(content.name))):
            raise CassetteError(f"{self.root.path / directory} names a file that none is: it was tampered with")
        path = f"{_BLOBS}/{content.sha256}" if content.blob else f"{directory}/{_shown(content.name)}"
        try:
            data = _bytes_of(self.root.path / path, MOST_BYTES)
        except (OSError, OrchestratorError) as error:
            raise CassetteError(f"a recorded file cannot be read: {error}; record the task anew") from None
        if hashlib.sha256(data).hexdigest() != content.sha256:
            raise CassetteError(f"{self.root.path / path} was edited or torn: it is not what was recorded")
        return data

    # -- writing -------------------------------------------------------------------------------------------------------

    def begin(self, task: str, redactor: Redactor, session: str) -> Draft:
        """Begin a take, in a hidden directory that is none; what the session has begun before is given up."""
        directory = f"{one_name(task)}/.new-{session}"
        self.root.remove(directory)
        self.root.make_dir(directory)
        return Draft(self, directory, redactor)

    def keep(self, draft: Draft, take: Take, number: int) -> str:
        """Make it a take; the first of a lane takes the place of all that were there. Returns its directory."""
        take = msgspec.structs.replace(take, check=check_of(take))
        text = msgspec.json.format(msgspec.json.encode(take), indent=2) + b"\n"
        if len(text) > MOST_RECORD:
            raise CassetteError(f"what is to be recorded of task '{take.task}' is too much: {len(text):,} bytes")
        self.root.write_atomic(f"{draft.directory}/{_RECORD}", text, sync=True)
        directory = _directory(take.task, take.key, number)
        later = [name for name in self.lane(take.task, take.key) if int(name.partition(".")[2] or 0) >= number]
        for name in later:
            self.root.remove(f"{one_name(take.task)}/{name}")
        self.root.rename(draft.directory, directory)
        return directory

    def drop(self, draft: Draft) -> None:
        """Give up a take that was begun."""
        self.root.remove(draft.directory)

    def keep_tree(self, digest: str, listing: str) -> None:
        """Keep the list of an agent's files, so that a later miss can say which of them differ."""
        if not self.root.exists(f"{_TREES}/{digest}.txt"):
            self.root.write_atomic(f"{_TREES}/{digest}.txt", listing)

    def tree(self, digest: str) -> str:
        """That list; empty if there is none."""
        try:
            return self.root.read_bytes(f"{_TREES}/{digest}.txt", MOST_RECORD).decode("utf-8", "replace")
        except OrchestratorError:
            return ""


def key_of(request: Mapping[str, Any]) -> str:
    """The hash of what was asked, as a take holds it (`hashed`)."""
    return hashlib.sha256(msgspec.json.encode(request, order="deterministic")).hexdigest()


def hashed(request: Mapping[str, Any]) -> dict[str, Any]:
    """What was asked, with its prompt's hash instead of the prompt."""
    prompt = request.get("prompt")
    if prompt is None:
        return dict(request)
    return {**request, "prompt": hashlib.sha256(prompt.encode("utf-8", "replace")).hexdigest()}


def check_of(take: Take) -> str:
    """The hash of a take's record."""
    whole = msgspec.to_builtins(msgspec.structs.replace(take, check=""))
    return hashlib.sha256(msgspec.json.encode(whole, order="deterministic")).hexdigest()


def _bytes_of(path: Path, limit: int) -> bytes:
    """A regular file. Raises `FileNotFoundError`, `UnsafePath`, `StorageError` if it has more than `limit` bytes."""
    with open_regular(path) as file:
        data = file.read(limit + 1)
    if len(data) > limit:
        raise StorageError(f"{path} has more than the {limit:,} bytes that are allowed")
    return data


def _directory(task: str, key: str, number: int) -> str:
    return f"{one_name(task)}/{key[:_DIGITS]}.{number}"


def _shown(name: str) -> str:
    """The name under which a text lies in its take's directory: none that a program obeys."""
    return f"{name}.txt" if "/" in name else name


def _is_text(data: bytes) -> bool:
    if b"\0" in data:
        return False
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def _is_plain(name: str) -> bool:
    """Whether a file can lie there by its own name, on any machine."""
    path = PurePosixPath(name)
    return (
        name.isascii()
        and name.isprintable()
        and not set(name) & set('<>:"|?*\\')
        and len(name) <= _LONGEST_NAME
        and not path.is_absolute()
        and not any(part in ("..", ".git") or part.startswith(TEMPORARY) for part in path.parts)
    )
