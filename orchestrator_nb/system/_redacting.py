"""Secrets taken out of a stream of bytes before any of it is kept, wherever its chunks are split."""

from __future__ import annotations

from collections.abc import Iterable

#: What stands in a secret's place.
MARK = b"[redacted]"
#: A stream that ends with so many bytes of a secret was cut in the middle of it.
BEGINNING = 8


class Redacting:
    """Takes the exact values of secrets out of one stream.

    Args:
        secrets: Their values, of at least `BEGINNING` bytes each.
    """

    def __init__(self, secrets: Iterable[bytes]) -> None:
        self._secrets = sorted(set(secrets), key=len, reverse=True)
        #: What may be the beginning of a secret.
        self._rest = b""

    def feed(self, data: bytes | memoryview) -> bytes:
        """What may be kept now. What may be the beginning of a secret waits for what follows."""
        text = self._rest + data
        kept: list[bytes] = []
        at, pending = 0, self._pending(text, 0)
        found = {secret: text.find(secret) for secret in self._secrets}
        while places := [(place, -len(secret)) for secret, place in found.items() if place >= 0]:
            place, length = min(places)  # the first, and of those that begin there the longest
            if place >= pending:
                break
            kept += (text[at:place], MARK)
            at = place - length
            found = {secret: text.find(secret, at) if 0 <= where < at else where for secret, where in found.items()}
            pending = pending if pending >= at else self._pending(text, at)
        kept.append(text[at:pending])
        self._rest = text[pending:]
        return b"".join(kept)

    def end(self) -> bytes:
        """What is left when the stream has ended: of a secret that was cut short no more than its first bytes."""
        rest, self._rest = self._rest, b""
        return rest if len(rest) < BEGINNING else MARK

    def _pending(self, text: bytes, start: int) -> int:
        """From where on `text` may be the beginning of a secret; its length if nowhere. `start` is the first place."""
        first = len(text)
        for secret in self._secrets:
            place = text.find(secret[:1], max(start, len(text) - len(secret) + 1))
            while 0 <= place < first:
                if secret.startswith(text[place:]):
                    first = place
                place = text.find(secret[:1], place + 1)
        return first
