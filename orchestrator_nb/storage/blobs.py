"""Content by its hash: what events name instead of carrying it (plans, above all)."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from orchestrator_nb.core.events import Artifact
from orchestrator_nb.errors import SessionCorrupt, StorageError
from orchestrator_nb.storage.files import Root

_DIRECTORY = "blobs"


@dataclass(frozen=True, slots=True)
class Blobs:
    """The session's `blobs/<sha256>`."""

    root: Root

    def put(self, data: bytes) -> Artifact:
        """Keep `data`: on stable storage when this returns, so that an event may name it. Twice is once."""
        digest = hashlib.sha256(data).hexdigest()
        blob = Artifact(f"{_DIRECTORY}/{digest}", len(data), digest)
        # Also where it exists: whoever wrote it may have been killed before it was on stable storage.
        self.root.write_atomic(blob.path, data, sync=True)
        return blob

    def get(self, artifact: Artifact) -> bytes:
        """The content that was put, or of any other small file that an event names.

        Raises:
            SessionCorrupt: The file is missing, or is not what the event says.
        """
        path = self.root.path / artifact.path
        try:
            data = self.root.read_bytes(artifact.path, limit=artifact.size)
        except StorageError as error:
            raise SessionCorrupt(f"the session's log names a file that cannot be used: {error}") from error
        if len(data) != artifact.size or hashlib.sha256(data).hexdigest() != artifact.sha256:
            raise SessionCorrupt(
                f"{path} is not the file that the session's log names (its content has changed): restore it from a copy"
            )
        return data
