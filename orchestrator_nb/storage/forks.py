"""Descriptors that must not live on in a forked child: its copy would keep a lock held after its owner's death."""

from __future__ import annotations

import os
import weakref
from typing import Protocol


class Abandoner(Protocol):
    """Something that holds descriptors of its own."""

    def abandon(self) -> None:
        """Called in a forked child: close them, and refuse all further work there."""


_holders: weakref.WeakSet[Abandoner] = weakref.WeakSet()
_registered = False


def abandon_in_children(holder: Abandoner) -> None:
    """Have `holder.abandon()` called in every child that this process forks (`os.fork`, multiprocessing)."""
    global _registered  # noqa: PLW0603 - the hook cannot be taken back, so it is set once and only when needed
    if not _registered:
        os.register_at_fork(after_in_child=_abandon_all)
        _registered = True
    _holders.add(holder)


def _abandon_all() -> None:
    for holder in list(_holders):
        holder.abandon()
