"""The visible folder of a batch: checked before the start, filled as each notebook ends.

results/
  x_1-model_a.ipynb ...         the executed notebooks, the failed ones too
  pictures/x_1-model_a.png ...  the last picture of each
  results.csv  index.html  final_output.md   at the end
  batch.json                    which session it belongs to
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

from orchestrator_nb.errors import CommandRefused, StorageError
from orchestrator_nb.headless.naming import SUFFIX
from orchestrator_nb.projections.words import some
from orchestrator_nb.runtime.companions import BATCH_MARK
from orchestrator_nb.storage.lock import holder
from orchestrator_nb.storage.remedies import refused

MARK = BATCH_MARK
PICTURES = "pictures"


class Folder:
    """Where a batch puts what people look at. Methods raise `StorageError` where the system refuses."""

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()

    # -- whose it is ---------------------------------------------------------------------------------------------------

    def earlier(self) -> Path | None:
        """The directory of the session whose batch the folder holds; None if there is none, or if it is gone.

        Raises `StorageError` if the folder is no directory, or its mark cannot be read.
        """
        if self.path.exists() and not self.path.is_dir():
            raise StorageError(f"{self.path} is no directory: choose another output folder")
        try:
            session = json.loads((self.path / MARK).read_bytes())["session"]
            found = Path(str(session))
        except FileNotFoundError:
            return None
        except OSError as error:
            raise refused("read", self.path / MARK, error) from error
        except (ValueError, KeyError, TypeError):
            raise StorageError(f"{self.path / MARK} is damaged: start anew (force), or use another folder") from None
        return found if session and (found / "events.jsonl").is_file() else None

    def check_free(self, notebook: Path, names: Collection[str], *, force: bool) -> None:
        """Refuse to start a new batch where it would overwrite something.

        Raises:
            CommandRefused: The folder holds another batch, or files with the names of this one, and not `force`; or a
                batch that is being run; or the notebook itself would be overwritten.
        """
        try:
            earlier = self.earlier()
        except StorageError:
            if not (force and self.path.is_dir()):
                raise
            earlier = None  # a damaged mark
        clash = [name for name in names if (self.path / f"{name}{SUFFIX}").resolve() == notebook]
        if clash:
            raise CommandRefused(
                f"'{clash[0]}{SUFFIX}' is the notebook itself: choose another --name, or another folder"
            )
        if earlier is not None and (who := holder(earlier / "lock")) is not None:
            raise CommandRefused(f"{self.path} belongs to session {earlier.name}, which is being run by {who}")
        if force:
            return
        if (self.path / MARK).exists():
            what = f"the results of session {earlier.name}" if earlier is not None else "the results of another batch"
            raise CommandRefused(
                f"{self.path} holds {what}: go on with it (resume), replace it (force), or choose another folder"
            )
        there = [f"{name}{SUFFIX}" for name in names if (self.path / f"{name}{SUFFIX}").exists()]
        if there:
            raise CommandRefused(
                f"{self.path} holds {some(there, 3)} already: replace what has the same name (force), or choose "
                "another folder"
            )

    def claim(self, **facts: Any) -> None:
        """Make the folder, and say in it whose it is."""
        self.put(MARK, json.dumps(facts, indent=2).encode() + b"\n")

    # -- files ---------------------------------------------------------------------------------------------------------

    def put(self, relative: str, content: bytes, more: BinaryIO | None = None) -> None:
        """Put a file there, whole or not at all: `content`, and what is left to be read of `more`."""
        target = self.path / relative
        temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                with temporary.open("wb") as file:
                    file.write(content)
                    if more is not None:
                        shutil.copyfileobj(more, file)
                temporary.replace(target)
            finally:
                with suppress(FileNotFoundError):
                    temporary.unlink()
        except OSError as error:
            raise refused("write", target, error) from error

    def read(self, relative: str) -> bytes:
        """The content of a file; nothing if it cannot be read."""
        try:
            return (self.path / relative).read_bytes()
        except OSError:
            return b""

    def has(self, relative: str) -> bool:
        """Whether there is such a file."""
        return bool(relative) and (self.path / relative).is_file()
