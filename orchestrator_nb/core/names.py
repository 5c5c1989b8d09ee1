"""Sets of known names that can say which one was meant."""

from __future__ import annotations

import re
from collections.abc import Collection
from functools import cached_property

from orchestrator_nb.core.ids import nearest

#: Names compared letter by letter, over the life of one set: what a plan full of wrong names may cost.
_BUDGET = 20_000
_NOISE = re.compile(r"[^a-z0-9]|(?<![0-9])0+(?=[0-9])")


class Names:
    """Known names; `hint` is made for error messages and stays cheap however many names and errors there are."""

    def __init__(self, known: Collection[str]) -> None:
        self._known = known
        self._budget = _BUDGET

    def __contains__(self, name: object) -> bool:
        return name in self._known

    def hint(self, name: str) -> str:
        """``did you mean 'T-02'?`` for a name that is not known, or an empty string."""
        match = self._alike.get(_bare(name))
        if match is None and len(self._known) <= self._budget:
            self._budget -= len(self._known)
            match = nearest(name, self._known)
        return f"did you mean '{match}'?" if match else ""

    @cached_property
    def _alike(self) -> dict[str, str]:
        return {_bare(name): name for name in reversed(list(self._known))}  # the first of those alike


def _bare(name: str) -> str:
    """What is left of a name without case, punctuation and leading zeros: ``T-02`` and ``t2`` are alike."""
    return _NOISE.sub("", name.lower())
