"""Files below one directory, reached by descriptors: a link swapped in on the way never leads outside.

Every step of a path is opened by itself, relative to the one before, and never through a symbolic link. Files are
made with mode 0600 and directories with 0700, whatever the umask.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from orchestrator_nb.core.events import Artifact
from orchestrator_nb.errors import StorageError, UnsafePath
from orchestrator_nb.storage.remedies import refused

#: Names of files that are being written; a crash may leave some behind (`Root.sweep`).
TEMPORARY = ".tmp-"

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_APPEND = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_KINDS = {
    stat.S_IFDIR: "a directory",
    stat.S_IFLNK: "a symbolic link",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


@dataclass(frozen=True, slots=True)
class Root:
    """A directory and what is below it. Paths are relative to it, with ``/``.

    Methods raise `UnsafePath` for a path that leaves the root, goes through a link or is not of the kind that it
    should be, and `StorageError` where the system refuses.
    """

    path: Path

    def write_atomic(self, relative: str, data: bytes | str, sync: bool = False) -> None:
        """Put a file there, whole or not at all; directories on the way are made.

        With `sync` it is on stable storage when this returns.
        """
        raw = data.encode("utf-8", "replace") if isinstance(data, str) else data
        with self._parent("write", relative, make=True, sync=sync) as (directory, name):
            temporary = TEMPORARY + os.urandom(8).hex()
            fd = os.open(temporary, _CREATE, 0o600, dir_fd=directory)
            try:
                try:
                    write_all(fd, raw)
                    if sync:
                        os.fsync(fd)
                finally:
                    os.close(fd)
                os.rename(temporary, name, src_dir_fd=directory, dst_dir_fd=directory)
            except BaseException:
                with suppress(OSError):
                    os.unlink(temporary, dir_fd=directory)
                raise
            if sync:
                os.fsync(directory)

    def read_bytes(self, relative: str, limit: int) -> bytes:
        """The content of a regular file. Raises `StorageError` if it has more than `limit` bytes."""
        with self._regular("read", relative) as (fd, found):
            if found.st_size > limit:
                raise _too_large(self.path / relative, found.st_size, limit)
            with os.fdopen(fd, "rb", closefd=False) as file:
                return file.read(found.st_size)

    def artifact(self, relative: str, limit: int | None = None) -> Artifact:
        """Name a regular file by size and hash. Raises `StorageError` if it has more than `limit` bytes.

        A file with a second hard link is refused: whoever holds the other name could change it afterwards.
        """
        with self._regular("hash", relative) as (fd, found):
            _refuse_links(self.path / relative, found)
            if limit is not None and found.st_size > limit:
                raise _too_large(self.path / relative, found.st_size, limit)
            with os.fdopen(fd, "rb", buffering=0, closefd=False) as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            after = os.fstat(fd)
            if (after.st_size, after.st_mtime_ns) != (found.st_size, found.st_mtime_ns):
                raise StorageError(f"{self.path / relative} changed while it was being read: who still writes it?")
            return Artifact(relative, found.st_size, digest)

    def promote(self, source: str, destination: str, sync: bool = True) -> None:
        """Move a regular file to its final place, by rename; with `sync` both file and place are on stable storage."""
        with (
            self._regular("promote", source) as (fd, found),
            self._parent("promote", source) as (from_directory, from_name),
            self._parent("write", destination, make=True, sync=sync) as (directory, name),
        ):
            _refuse_links(self.path / source, found)
            os.fchmod(fd, 0o600 | found.st_mode & 0o100)
            if sync:
                os.fsync(fd)
            os.rename(from_name, name, src_dir_fd=from_directory, dst_dir_fd=directory)
            if not os.path.samestat(os.stat(name, dir_fd=directory, follow_symlinks=False), found):
                with suppress(OSError):
                    os.unlink(name, dir_fd=directory)
                raise UnsafePath(f"{self.path / source} was exchanged while it was being promoted; it is not used")
            if sync:
                os.fsync(directory)

    def rename(self, source: str, destination: str) -> None:
        """Move whatever is there by that name; of a link, the link itself."""
        with (
            self._parent("move", source) as (from_directory, from_name),
            self._parent("write", destination, make=True) as (directory, name),
        ):
            os.rename(from_name, name, src_dir_fd=from_directory, dst_dir_fd=directory)

    def open_for_append(self, relative: str) -> int:
        """Open a regular file for writing at its end, made if it is missing; returns the descriptor."""
        with self._parent("open", relative, make=True) as (directory, name):
            fd = os.open(name, _APPEND, 0o600, dir_fd=directory)
            try:
                found = os.fstat(fd)
                _refuse_kinds(self.path / relative, found)
                _refuse_links(self.path / relative, found)
                os.fchmod(fd, 0o600)
            except BaseException:
                os.close(fd)
                raise
            return fd

    def names(self, relative: str = "") -> list[str]:
        """Sorted names in a directory, without files that are being written; none if there is no such directory."""
        with self._translated("list", relative):
            try:
                with self._directory(_parts(relative) if relative else (), make=False, sync=False) as fd:
                    return sorted(name for name in os.listdir(fd) if not name.startswith(TEMPORARY))  # noqa: PTH208
            except FileNotFoundError:
                return []

    def exists(self, relative: str) -> bool:
        """Whether there is anything by that name (a link counts, wherever it leads)."""
        try:
            with self._parent("find", relative) as (directory, name):
                os.stat(name, dir_fd=directory, follow_symlinks=False)
        except StorageError as error:
            if isinstance(error.__cause__, FileNotFoundError):
                return False
            raise
        return True

    def make_dir(self, relative: str, sync: bool = False) -> Path:
        """Make a directory and those on the way to it, where they are missing; returns its absolute path."""
        with self._translated("make", relative), self._directory(_parts(relative), make=True, sync=sync):
            return self.path / relative

    def remove(self, relative: str) -> None:
        """Remove a file, a link or a whole directory; nothing happens if it is missing."""
        if not self.exists(relative):
            return
        with self._parent("remove", relative) as (directory, name):
            if stat.S_ISDIR(os.stat(name, dir_fd=directory, follow_symlinks=False).st_mode):
                shutil.rmtree(name, dir_fd=directory)
            else:
                os.unlink(name, dir_fd=directory)

    def sweep(self, relative: str = "") -> None:
        """Remove what writers that were killed left half-written in this directory."""
        parts = _parts(relative) if relative else ()
        with self._translated("sweep", relative), self._directory(parts, make=False, sync=False) as fd:
            for name in os.listdir(fd):  # noqa: PTH208
                if name.startswith(TEMPORARY):
                    os.unlink(name, dir_fd=fd)

    # -- the walk ------------------------------------------------------------------------------------------------------

    @contextmanager
    def _regular(self, action: str, relative: str) -> Iterator[tuple[int, os.stat_result]]:
        with self._parent(action, relative) as (directory, name):
            try:
                fd = os.open(name, _READ, dir_fd=directory)
            except OSError as error:
                if error.errno == errno.ENXIO:  # what opening a socket says
                    raise UnsafePath(f"{self.path / relative} is a socket, not a regular file") from error
                raise
            try:
                found = os.fstat(fd)
                _refuse_kinds(self.path / relative, found)
                yield fd, found
            finally:
                os.close(fd)

    @contextmanager
    def _parent(self, action: str, relative: str, make: bool = False, sync: bool = False) -> Iterator[tuple[int, str]]:
        """Open the directory that holds `relative`; yields its descriptor and the last name."""
        *parents, name = _parts(relative)
        with self._translated(action, relative), self._directory(parents, make, sync) as fd:
            yield fd, name

    @contextmanager
    def _directory(self, parts: Iterable[str], make: bool, sync: bool) -> Iterator[int]:
        fd = os.open(self.path, _DIRECTORY & ~os.O_NOFOLLOW)
        try:
            for part in parts:
                try:
                    inner = os.open(part, _DIRECTORY, dir_fd=fd)
                except FileNotFoundError:
                    if not make:
                        raise
                    inner = _make_directory(part, fd, sync)
                os.close(fd)
                fd = inner
            yield fd
        finally:
            os.close(fd)

    @contextmanager
    def _translated(self, action: str, relative: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            path = self.path / relative
            if error.errno in (errno.ELOOP, errno.ENOTDIR):
                raise UnsafePath(f"cannot {action} {path}: a part of it is a symbolic link or no directory") from error
            raise refused(action, path, error) from error


@dataclass(frozen=True, slots=True)
class Outputs:
    """The declared outputs that an attempt left, and what is wrong with the others, in words."""

    artifacts: tuple[Artifact, ...]
    faults: tuple[str, ...]


def collect_outputs(root: Root, directory: str, names: Iterable[str], limit: int) -> Outputs:
    """Hash the files `names` that an attempt was to leave in `directory`.

    Only regular files of at most `limit` bytes count: no pipe, device, socket, link, nor a file with a second hard
    link. Nothing is ever waited for, and no archive is opened.
    """
    artifacts, faults = [], []
    for name in names:
        try:
            artifacts.append(root.artifact(f"{directory}/{name}", limit))
        except StorageError as error:
            missing = isinstance(error.__cause__, FileNotFoundError)
            faults.append(f"output '{name}' is missing" if missing else f"output '{name}': {error}")
        except UnsafePath as error:
            faults.append(f"output '{name}': {error}")
    return Outputs(tuple(artifacts), tuple(faults))


def write_all(fd: int, data: bytes) -> None:
    """Write all of it, also where the system takes it in pieces (a disk that is almost full)."""
    written = os.write(fd, data)
    while written < len(data):
        more = os.write(fd, data[written:])
        if more == 0:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        written += more


def sync_directory(path: Path) -> None:
    """Bring a directory's entries to stable storage: a new file's name is one of them."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _parts(relative: str) -> tuple[str, ...]:
    path = PurePosixPath(relative)
    if not path.parts or path.is_absolute() or ".." in path.parts or "\0" in relative:
        raise UnsafePath(f"{relative!r} is no path below the directory that it must stay in")
    return path.parts


def _make_directory(name: str, parent: int, sync: bool) -> int:
    with suppress(FileExistsError):
        os.mkdir(name, 0o700, dir_fd=parent)
    if sync:
        os.fsync(parent)
    return os.open(name, _DIRECTORY, dir_fd=parent)


def _refuse_kinds(path: Path, found: os.stat_result) -> None:
    if not stat.S_ISREG(found.st_mode):
        kind = _KINDS.get(stat.S_IFMT(found.st_mode), "something else")
        raise UnsafePath(f"{path} is {kind}, not a regular file")


def _refuse_links(path: Path, found: os.stat_result) -> None:
    if found.st_nlink > 1:
        raise UnsafePath(f"{path} has {found.st_nlink} names (hard links): copy it instead")


def _too_large(path: Path, size: int, limit: int) -> StorageError:
    return StorageError(f"{path} has {size} bytes, more than the {limit} that are allowed")
