"""A small memory of a parser: the newest entries by id, so that an endless run needs no endless memory."""

from __future__ import annotations

from typing import Generic, TypeVar

T = TypeVar("T")

#: Entries that are kept: far more tools than run at once.
KEPT = 1000


class Recent(Generic[T]):
    """A mapping from ids that forgets its oldest entries."""

    def __init__(self, kept: int = KEPT) -> None:
        self._kept = kept
        self._entries: dict[str, T] = {}

    def __setitem__(self, key: str, value: T) -> None:
        self._entries.pop(key, None)
        self._entries[key] = value
        if len(self._entries) > self._kept:
            del self._entries[next(iter(self._entries))]

    def get(self, key: str) -> T | None:
        """The entry of `key`, or None."""
        return self._entries.get(key)
