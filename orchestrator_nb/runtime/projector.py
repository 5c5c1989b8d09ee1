"""Writes the derived files of a session: never torn, only those that changed, and kept when a person edited one."""

from __future__ import annotations

import os
from pathlib import Path

from orchestrator_nb.core.events import Record
from orchestrator_nb.core.state import State
from orchestrator_nb.errors import StorageError, UnsafePath
from orchestrator_nb.projections.files import Content, Files, Link, is_derived
from orchestrator_nb.storage.files import Root
from orchestrator_nb.storage.settings import Settings

_FOLDERS = ("", "artifacts", "status", "agent_tasks", "logs", "pids")


class FileWriter:
    """The publisher's projector."""

    def __init__(self, root: Root, settings: Settings) -> None:
        self._root = root
        self._cap = settings.result_cap
        self._files = Files(lambda artifact: root.read_bytes(artifact.path, max(self._cap, artifact.size)))

    def follow(self, record: Record, state: State) -> None:
        """Note what `record` changes; `state` has just taken it in."""
        self._files.apply(record, state)

    def write(self) -> None:
        """Write the files that differ from what was written before. Raises `StorageError`."""
        for path, content in self._files.changed():
            self._write(path, content)

    def rewrite(self) -> list[str]:
        """Write every derived file anew; what a person changed is kept beside it as ``.edited``. Returns the paths."""
        written = []
        for path, content in self._files.changed():
            if content is not None:
                self._keep_edited(path, content)
                self._write(path, content)
                written.append(path)
        for path in self._strays(set(written)):
            self._root.remove(path)
        return sorted(written)

    def _write(self, path: str, content: Content | None) -> None:
        try:
            if content is None:
                self._root.remove(path)
            elif isinstance(content, Link):
                self._link(path, content.target)
            else:
                self._root.write_atomic(path, content)
        except (StorageError, UnsafePath):
            # Something that is no file stands in its place (a directory, a link elsewhere): it is moved aside.
            if content is None or not self._root.exists(path):
                raise
            self._root.rename(path, f"{path}.edited")
            self._write(path, content)

    def _link(self, path: str, target: str) -> None:
        place = self._root.path / path
        if place.is_symlink() and place.readlink() == Path(target):
            return
        self._root.make_dir(path.rpartition("/")[0])
        temporary = place.with_name(f"{place.name}.{os.getpid()}.new")
        temporary.unlink(missing_ok=True)
        temporary.symlink_to(target)
        temporary.replace(place)

    def _keep_edited(self, path: str, content: Content) -> None:
        if isinstance(content, Link) or not self._root.exists(path):
            return
        try:
            edited = self._root.read_bytes(path, 2 * self._cap) != content
        except (StorageError, UnsafePath):
            edited = True
        if edited:
            self._root.remove(f"{path}.edited")
            self._root.rename(path, f"{path}.edited")

    def _strays(self, wanted: set[str]) -> list[str]:
        """Derived files that the log does not call for (of a task that a new plan dropped, of a dead process)."""
        found = []
        for folder in _FOLDERS[1:]:
            top = self._root.path / folder
            found += [str(path.relative_to(self._root.path)) for path in top.rglob("*") if not path.is_dir()]
        return [path for path in found if is_derived(path) and path not in wanted and not path.endswith(".edited")]
