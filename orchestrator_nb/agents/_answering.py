"""What a child process leaves for its parent to read (`agents.child`): progress lines, then one answer."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any


def request_in(directory: Path) -> dict[str, Any]:
    """What the parent asks for."""
    request: dict[str, Any] = json.loads((directory / "request.json").read_bytes())
    return request


def tell(directory: Path, message: str, done: int, total: int) -> None:
    """One line of progress."""
    line = json.dumps({"message": message, "done": done, "total": total})
    _append(directory / "progress.jsonl", line.encode() + b"\n")


def succeed(directory: Path, **fields: Any) -> None:
    """Answer with the fields of a `core.ports.Success`."""
    write(directory / "answer.json", json.dumps({"success": fields}, allow_nan=False).encode())


def fail(directory: Path, error: str, kind: str = "exception", *, transient: bool = False) -> None:
    """Answer with the fields of a `core.ports.Failure`."""
    fields = {"error": error, "kind": kind, "transient": transient}
    write(directory / "answer.json", json.dumps({"failure": fields}).encode())


def write(path: Path, data: bytes) -> None:
    """Write a file whole or not at all, readable for its owner only."""
    temporary = path.with_suffix(".tmp")
    _append(temporary, data)
    temporary.replace(path)


def _append(path: Path, data: bytes) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    with os.fdopen(fd, "wb") as file:
        file.write(data)
