"""The types that a notebook's parameters can have, and the limits of their values."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

Kind = Literal[
    "any", "none", "str", "int", "float", "number", "bool", "decimal", "path", "date", "datetime", "time",
    "list", "tuple", "set", "dict", "choice", "enum", "union",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Limits:
    """What a value must keep besides its type: pydantic's words (`pydantic.Field`). None: no such limit."""

    #: Of numbers; of dates and times as ISO text.
    ge: Any = None
    gt: Any = None
    le: Any = None
    lt: Any = None
    multiple_of: Any = None
    #: Of text (characters) and of lists, sets and dicts (elements).
    min_length: int | None = None
    max_length: int | None = None
    #: A regular expression that is found somewhere in the text (as pydantic has it).
    pattern: str | None = None

    def __bool__(self) -> bool:
        return self != _NO_LIMITS

    def over(self, other: Limits) -> Limits:
        """These limits, and those of `other` where these have none."""
        return replace(other, **self.given())

    def given(self) -> dict[str, Any]:
        """The limits that there are, by name."""
        return {name: value for name in self.__slots__ if (value := getattr(self, name)) is not None}


_NO_LIMITS = Limits()


@dataclass(frozen=True, slots=True)
class Type:
    """A type as an annotation or a default tells it.

    Kinds: `number` is int or float (what a default like ``1`` stands for); `choice` is one of `choices` (``Literal``),
    `enum` a member of an ``Enum``; `any` takes every JSON value.
    """

    kind: Kind = "any"
    #: Of list, set, tuple: of the elements; of dict: of keys and values; of union: its members.
    of: tuple[Type, ...] = ()
    #: Of a tuple: it has any number of elements, all of the one type in `of`.
    repeated: bool = False
    #: Whether None is a value too.
    optional: bool = False
    #: Of `choice`: the values. Of `enum`: the members' names with their values, which are JSON.
    choices: tuple[Any, ...] = ()
    members: tuple[tuple[str, Any], ...] = ()
    limits: Limits = _NO_LIMITS
    #: Of a path: what must be there: `file`, `directory`, `new` (nothing); empty: see `ipynb.values`.
    exists: Literal["", "file", "directory", "new"] = ""
    #: The Python expression that names the type in the notebook (``Path``, ``dt.date``, ``Color``), or empty.
    code: str = ""

    @property
    def is_any(self) -> bool:
        """Whether every JSON value is good."""
        return self.kind == "any" and not self.limits


ANY = Type()
