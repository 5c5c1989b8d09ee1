"""Granted secrets are taken out of everything that is shown or kept: their exact values, and those as JSON spells them.

A secret that an agent encodes, reverses or spells out is not found. Logs never hold one: the reaper takes them out of
the output before it writes it (`Command.secrets`).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

#: What stands in their place.
MARK = "[redacted]"
#: Shorter values are no secrets: `true`, a port.
SHORTEST, SHORTEST_IN_FILES = 8, 16


class Redactor:
    """Takes secrets out of texts.

    Args:
        secrets: Their values; those that are too short to be one are passed over.
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        found = {secret for given in secrets if len(secret := given.strip()) >= SHORTEST}
        found |= {json.dumps(secret, ensure_ascii=plain)[1:-1] for secret in found for plain in (True, False)}
        #: All values to take out, the longest first.
        self.secrets = tuple(sorted(found, key=len, reverse=True))

    def text(self, text: str) -> str:
        """`text` without them."""
        for secret in self.secrets:
            text = text.replace(secret, MARK)
        return text


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
