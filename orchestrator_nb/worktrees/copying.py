"""Whole directories, copied and compared: what is in one is a manifest, path by path."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import stat
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from orchestrator_nb.errors import WorktreeError
from orchestrator_nb.worktrees.directories import disk
from orchestrator_nb.worktrees.places import LeftOut

#: ioctl by which two files share their blocks until one is written (btrfs, XFS, bcachefs): linux/fs.h.
_FICLONE = 0x40049409
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_CHUNK = 2**20

GIB = 2**30


@dataclass(frozen=True, slots=True)
class CopyLimits:
    """How large a directory may be for every task to get a copy of its own."""

    bytes: int = 4 * GIB
    files: int = 200_000


@dataclass(frozen=True, slots=True)
class Entry:
    """What is at a path: ``file``, ``link`` or ``directory``."""

    kind: str
    #: Permission bits of a file; 0 for the others.
    mode: int = 0
    size: int = 0
    #: SHA-256 of a file, the target of a link.
    content: str = ""


#: What a directory holds, by path.
Manifest = Mapping[str, Entry]


@dataclass(frozen=True, slots=True)
class Scanned:
    """A directory's manifest, and what is not in it."""

    manifest: dict[str, Entry]
    left_out: tuple[LeftOut, ...]


def scan(top: Path, limits: CopyLimits, skip: Collection[Path] = ()) -> Scanned:
    """Read a directory; `skip` are directories in it that are passed over. Links are not followed.

    Raises:
        WorktreeError: It is larger than `limits` allow.
        StorageError: It cannot be read.
    """
    manifest: dict[str, Entry] = {}
    left_out = []
    room = limits.bytes
    with disk("read", top):
        for path, found in _walk(top, "", skip):
            if stat.S_ISDIR(found.st_mode):
                manifest[path] = Entry("directory")
            elif stat.S_ISLNK(found.st_mode):
                manifest[path] = Entry("link", content=os.readlink(top / path))  # noqa: PTH115 - kept as it is
            elif stat.S_ISREG(found.st_mode):
                room -= found.st_size
                _refuse_size(top, room, len(manifest), limits)
                try:
                    digest = _digest(top / path)
                except PermissionError as error:
                    left_out.append(LeftOut(path, f"it cannot be read: {error.strerror}"))
                    continue
                manifest[path] = Entry("file", stat.S_IMODE(found.st_mode) & 0o777, found.st_size, digest)
            else:
                left_out.append(LeftOut(path, "it is no regular file (a pipe, a socket or a device)"))
            _refuse_size(top, room, len(manifest), limits)
    return Scanned(manifest, tuple(left_out))


def copy_tree(source: Path, destination: Path, manifest: Manifest) -> None:
    """Copy what `manifest` names from one directory to a new one; blocks are shared where the file system can.

    Times and permissions are kept, links stay links. Raises `StorageError`.
    """
    with disk("copy", destination):
        destination.mkdir(parents=True, mode=0o700)
        for path in sorted(manifest):
            copy_entry(source / path, destination / path, manifest[path])


def copy_entry(source: Path, destination: Path, entry: Entry) -> None:
    """Copy one path; its parent is there, it is not. Raises `OSError`."""
    if entry.kind == "directory":
        destination.mkdir(mode=0o755)
        return
    if entry.kind == "link":
        destination.symlink_to(entry.content)
        return
    reading = os.open(source, _READ)
    try:
        writing = os.open(destination, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            _copy_content(reading, writing)
            os.fchmod(writing, entry.mode)
            found = os.fstat(reading)
            os.utime(writing, ns=(found.st_atime_ns, found.st_mtime_ns))
        finally:
            os.close(writing)
    finally:
        os.close(reading)


def write_manifest(path: Path, manifest: Manifest, write: Callable[[Path, bytes], None]) -> None:
    """Write a manifest to a file."""
    rows = {name: [entry.kind, entry.mode, entry.size, entry.content] for name, entry in sorted(manifest.items())}
    write(path, json.dumps(rows, indent=0).encode())


def read_manifest(path: Path) -> dict[str, Entry]:
    """Read a manifest. Raises `StorageError` if it cannot be read, `WorktreeError` if it is none."""
    with disk("read", path):
        raw = path.read_bytes()
    try:
        return {name: Entry(*row) for name, row in json.loads(raw).items()}
    except (ValueError, TypeError, AttributeError) as error:
        raise WorktreeError(f"{path} is damaged: delete the session's copies, and run the tasks again") from error


def differences(before: Manifest, after: Manifest) -> list[str]:
    """The paths that are not the same, sorted."""
    return sorted(path for path in {*before, *after} if before.get(path) != after.get(path))


def merged(base: Manifest, ours: Manifest, theirs: Manifest) -> tuple[dict[str, Entry], list[str]]:
    """Three states by paths: what `theirs` changed since `base` on top of `ours`, and the paths that contradict it.

    A path that both changed is a conflict unless they agree; `ours` stays there. A file where the other side needs a
    directory is one too: then `ours` stays everywhere.
    """
    result, conflicts = dict(ours), []
    for path in differences(base, theirs):
        mine, other = ours.get(path), theirs.get(path)
        if mine == base.get(path):
            if other is None:
                result.pop(path, None)
            else:
                result[path] = other
        elif mine != other:
            conflicts.append(path)
    blocked = set()
    for path in sorted(result):
        for parent in _parents(path):
            if parent not in result:
                result[parent] = Entry("directory")  # removed there, but something is put into it here
            elif result[parent].kind != "directory":
                blocked.add(parent)
    return dict(ours) if blocked else result, sorted({*conflicts, *blocked})


def apply(tree: Path, before: Manifest, after: Manifest, source: Path) -> None:
    """Turn a directory that holds `before` into one that holds `after`; new content lies below `source`.

    Raises `StorageError`.
    """
    with disk("change", tree):
        changed = differences(before, after)
        for path in reversed(changed):
            if path in before:
                if before[path].kind == "directory":
                    (tree / path).rmdir()
                else:
                    (tree / path).unlink()
        for path in changed:
            if path in after:
                copy_entry(source / path, tree / path, after[path])


def line_counts(before: Path | None, after: Path | None) -> tuple[int | None, int | None]:
    """Lines added and removed between two files; None for what is no text, or too large to be compared."""
    import difflib

    sides: list[list[bytes]] = []
    for path in (before, after):
        try:
            raw = _small(path) if path is not None else b""
        except OSError:
            return None, None
        if raw is None or b"\0" in raw:
            return None, None
        sides.append(raw.splitlines())
    old, new = sides
    if not old or not new:
        return len(new), len(old)
    same = sum(block.size for block in difflib.SequenceMatcher(None, old, new, autojunk=False).get_matching_blocks())
    return len(new) - same, len(old) - same


#: Bytes of a file whose lines are compared.
_SMALL = 128 * 1024


def _small(path: Path) -> bytes | None:
    fd = os.open(path, _READ)
    try:
        found = os.fstat(fd)
        return os.read(fd, _SMALL) if stat.S_ISREG(found.st_mode) and found.st_size < _SMALL else None
    finally:
        os.close(fd)


def _walk(top: Path, directory: str, skip: Collection[Path]) -> Iterator[tuple[str, os.stat_result]]:
    with os.scandir(top / directory) as entries:
        found = sorted(entries, key=lambda entry: entry.name)
    for entry in found:
        path = f"{directory}/{entry.name}" if directory else entry.name
        if top / path in skip:
            continue
        yield path, entry.stat(follow_symlinks=False)
        if entry.is_dir(follow_symlinks=False):
            yield from _walk(top, path, skip)


def _refuse_size(top: Path, room: int, files: int, limits: CopyLimits) -> None:
    if room < 0 or files > limits.files:
        raise WorktreeError(
            f"{top} has more than {limits.bytes} bytes or {limits.files} files, too much for a copy for each task: "
            "work in a smaller directory, or in a git repository (git init), where files are shared"
        )


def _digest(path: Path) -> str:
    fd = os.open(path, _READ)
    with os.fdopen(fd, "rb", buffering=0) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _copy_content(reading: int, writing: int) -> None:
    try:
        fcntl.ioctl(writing, _FICLONE, reading)
    except OSError:
        with os.fdopen(reading, "rb", closefd=False) as source, os.fdopen(writing, "wb", closefd=False) as target:
            shutil.copyfileobj(source, target, _CHUNK)


def _parents(path: str) -> Sequence[str]:
    parts = path.split("/")[:-1]
    return ["/".join(parts[: count + 1]) for count in range(len(parts))]
