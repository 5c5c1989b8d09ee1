"""What all events are made of (`core.events` has the events themselves)."""

from __future__ import annotations

import msgspec


class Event(msgspec.Struct, frozen=True, gc=False, tag_field="type", omit_defaults=True):
    """Base of all events. They hold JSON, so no cycle that a garbage collector would have to look for."""


class Artifact(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """A file of the session, by name and content."""

    #: Relative to the session directory, with ``/``.
    path: str
    #: Bytes.
    size: int
    #: Hex digest of the content.
    sha256: str
