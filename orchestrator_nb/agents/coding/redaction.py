"""Granted secrets are taken out of everything that is shown or kept: their exact values, nothing cleverer.

A secret that an agent encodes, reverses or spells out is not found.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from orchestrator_nb.system.reading import open_regular

#: What stands in their place.
MARK = "[redacted]"
#: Shorter values are no secrets: `true`, a port.
SHORTEST, SHORTEST_IN_FILES = 8, 16
_BLOCK = 1 << 20


class Redactor:
    """Takes secrets out of texts and files.

    Args:
        secrets: Their values; those that are too short to be one are passed over.
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        found = {secret.strip() for secret in secrets}
        self._secrets = sorted((secret for secret in found if len(secret) >= SHORTEST), key=len, reverse=True)

    def text(self, text: str) -> str:
        """`text` without them."""
        for secret in self._secrets:
            text = text.replace(secret, MARK)
        return text

    def file(self, path: Path) -> bool:
        """Take them out of a file that nobody writes to any more; whether there were any. Blocking."""
        secrets = [os.fsencode(secret) for secret in self._secrets]
        if not secrets or not path.is_file() or not _holds(path, secrets):
            return False
        clean = path.with_name(f"{path.name}.clean")
        descriptor = os.open(clean, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "wb") as target:
            for piece in _cleaned(path, secrets):
                target.write(piece)
        clean.replace(path)
        return True


def secrets_in(text: str) -> Iterator[str]:
    """The long texts in a login file, which is JSON."""
    try:
        waiting: list[Any] = [json.loads(text)]
    except (ValueError, RecursionError):
        return
    while waiting:
        value = waiting.pop()
        if isinstance(value, str) and len(value) >= SHORTEST_IN_FILES:
            yield value
        elif isinstance(value, Mapping):
            waiting += value.values()
        elif isinstance(value, list):
            waiting += value


def _holds(path: Path, secrets: list[bytes]) -> bool:
    longest = max(map(len, secrets))
    with open_regular(path) as file:
        rest = b""
        while block := file.read(_BLOCK):
            block = rest + block
            if any(secret in block for secret in secrets):
                return True
            rest = block[-longest:]
    return False


def _cleaned(path: Path, secrets: list[bytes]) -> Iterator[bytes]:
    """The file's content without secrets. What may be the beginning of one waits for the next block."""
    longest = max(map(len, secrets))
    with open_regular(path) as file:
        rest = b""
        while block := file.read(_BLOCK):
            block = rest + block
            for secret in secrets:
                block = block.replace(secret, MARK.encode())
            rest = block[-(longest - 1) :]
            yield block[: len(block) - len(rest)]
        yield rest
