"""A form for an answer that must fit a JSON Schema: fields for what is simple, else JSON, checked as it is typed.

Simple are text, numbers, yes or no, one of some values, some of some values, and an object of these. The schema comes
from a plan or an agent: its words are cleaned, and what it asks for is checked by the same code that takes the answer.
"""

from __future__ import annotations

import html
import json
from collections.abc import Mapping
from typing import Any

import ipywidgets

from orchestrator_nb.agents.human import answer_for
from orchestrator_nb.core.jsonable import fault_of_json
from orchestrator_nb.errors import AgentError, CommandRefused
from orchestrator_nb.jupyter.updates import updates
from orchestrator_nb.jupyter.widgets import MUTED, Choice, Choices, Column, Html, Line, Lines, Looks, message, put
from orchestrator_nb.projections.text import one_line

#: Keywords of a schema that a field of its own can stand for. With any other the answer is written as JSON.
_WORDS = {"$schema", "title", "description", "default", "examples", "type"}
_SCALAR = _WORDS | {
    "enum", "format", "minLength", "maxLength", "pattern",
    "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf",
}  # fmt: skip
_LIST = _WORDS | {"items", "minItems", "maxItems", "uniqueItems"}
_OBJECT = _WORDS | {"properties", "required", "additionalProperties"}
#: Most fields of a form, and values to choose from.
_MAX_FIELDS = 20
_MAX_CHOICES = 200

_NOTHING = object()
#: The position of no choice.
_UNCHOSEN = -1


class AnswerForm(Column):
    """The fields for one answer."""

    def __init__(self, schema: Mapping[str, Any], looks: Looks) -> None:
        self._schema = dict(schema)
        self._whole = _is_object(self._schema)
        if self._whole:
            required = self._schema.get("required", ())
            properties = self._schema["properties"].items()
            self.fields = {name: _Field(name, each, looks, needed=name in required) for name, each in properties}
        else:
            self.fields = {"": _Field("Answer", self._schema, looks, needed=bool(self._schema))}
        parts = [part for field in self.fields.values() for part in (field.input, field.note)]
        super().__init__(children=parts, **looks.column)

    def answer(self) -> Any:
        """What is filled in, as the schema wants it. Raises `CommandRefused` if it does not fit; the fields say why."""
        given, fit = {}, True
        for name, field in self.fields.items():
            value, fault = field.read()
            updates.call(field.tell)
            fit = fit and not fault
            if value is not _NOTHING:
                given[name] = value
        if not fit:
            raise CommandRefused("The answer does not fit: see what is said below its fields.")
        if not self._whole:
            return given.get("")
        try:
            return answer_for(self._schema, given)
        except AgentError as error:
            raise CommandRefused(f"The answer does not fit: {_in_words(error)}.") from None


class _Field:
    """One value to be filled in, with a line below that explains it, or says what is wrong."""

    def __init__(self, name: str, schema: dict[str, Any], looks: Looks, *, needed: bool) -> None:
        self._schema, self._needed = schema, needed
        self._choices = _choices(schema)
        self._is_json = self._choices is None and not _is_simple(schema)
        label = one_line(str(schema.get("title") or name), 60)
        self.input = self._make(label, looks.field)
        self.note = Html(value=self._hint(), **looks.text)
        self.input.observe(lambda _: updates.call(self.tell), "value")

    def read(self) -> tuple[Any, str]:
        """The value, `_NOTHING` if there is none, and what is wrong with it; empty if it fits."""
        value = self.input.value
        if isinstance(value, tuple):  # some of several: none of them is an answer too, if one is needed
            given = bool(value) or self._needed
            value = [(self._choices or ())[position] for position in value]
        elif self._choices is not None:
            given = value != _UNCHOSEN
            value = self._choices[value]
        else:
            given = bool(value.strip())
        if not given:
            return _NOTHING, "This is needed." if self._needed else ""
        try:
            value = self._fitting(json.loads(value) if self._is_json else value)
        except (ValueError, RecursionError) as error:
            return _NOTHING, f"This is no JSON: {error}."
        except AgentError as error:
            return _NOTHING, _in_words(error)
        fault = fault_of_json(value)
        return (_NOTHING, f"This cannot be kept: {fault}.") if fault else (value, "")

    def _fitting(self, value: Any) -> Any:
        """`value` as the schema wants it: of a number its text. Raises `AgentError` if it does not fit."""
        if self._schema.get("type") != "string":
            return answer_for(self._schema, value)
        return answer_for({"items": self._schema}, [value])[0]  # within a list, text is never read as JSON

    def tell(self) -> None:
        """Say what is wrong with it, if anything is. In the updates' thread."""
        _, fault = self.read()
        put(self.note, value=message(fault, refused=True) if fault else self._hint())

    def _make(self, label: str, look: dict[str, Any]) -> ipywidgets.Widget:
        """The widget, filled with the schema's default."""
        default = self._schema.get("default", _NOTHING)
        if self._choices is not None:
            options = [(_as_label(value), position) for position, value in enumerate(self._choices)]
            if self._schema.get("type") == "array":
                chosen = _positions(default, self._choices)
                return Choices(options=options, value=chosen, description=label, rows=min(8, len(options)), **look)
            first = next(iter(_positions([default], self._choices)), _UNCHOSEN)
            return Choice(options=[("choose …", _UNCHOSEN), *options], value=first, description=label, **look)
        if self._is_json:
            filled = "" if default is _NOTHING else json.dumps(default, indent=2)
            return Lines(value=filled, description=label, placeholder="JSON", rows=5, **look)
        filled = "" if default is _NOTHING else default if isinstance(default, str) else json.dumps(default)
        return Line(value=filled, description=label, **look)

    def _hint(self) -> str:
        """What the schema says about the value."""
        parts = [one_line(str(self._schema.get("description", "")), 300), _bounds(self._schema)]
        parts += [] if self._needed else ["may be left empty"]
        if self._is_json:
            parts.append(f"JSON that fits {one_line(json.dumps(self._schema), 300)}")
        said = html.escape("; ".join(part for part in parts if part))
        return f"<div style='{MUTED}; line-height: 1.3'>{said}</div>"


def _is_simple(schema: Any) -> bool:
    """Whether one line of text can stand for it."""
    return schema == {} or (
        isinstance(schema, dict) and schema.get("type") in ("string", "number", "integer") and schema.keys() <= _SCALAR
    )


def _choices(schema: Any) -> list[Any] | None:
    """The values that `schema` leaves to choose from: one of them, or some where its type is ``array``."""
    if not isinstance(schema, dict):
        return None
    if schema.get("type") == "array" and schema.keys() <= _LIST:
        items = schema.get("items")
        return _choices(items) if isinstance(items, dict) and "enum" in items else None
    if schema.get("type") == "boolean" and schema.keys() <= _WORDS:
        return [True, False]
    values = schema.get("enum")
    fits = isinstance(values, list) and schema.keys() <= _SCALAR and 0 < len(values) <= _MAX_CHOICES
    return values if fits else None


def _is_object(schema: dict[str, Any]) -> bool:
    """Whether it is an object of simple fields."""
    properties = schema.get("properties")
    return (
        schema.get("type") == "object"
        and isinstance(properties, dict)
        and schema.keys() <= _OBJECT
        and 0 < len(properties) <= _MAX_FIELDS
        and set(schema.get("required", ())) <= properties.keys()
        and all(each != {} and (_is_simple(each) or _choices(each) is not None) for each in properties.values())
    )


def _bounds(schema: dict[str, Any]) -> str:
    """What a value must be, in words: ``a whole number, at least 1, at most 10``."""
    parts = {"integer": ["a whole number"], "number": ["a number"], "array": ["any of them"]}.get(
        str(schema.get("type")), []
    )
    for key, said in _BOUNDS.items():
        if key in schema:
            parts.append(said.format(one_line(str(schema[key]), 60)))
    return ", ".join(parts)


_BOUNDS = {
    "minimum": "at least {}",
    "exclusiveMinimum": "more than {}",
    "maximum": "at most {}",
    "exclusiveMaximum": "less than {}",
    "multipleOf": "a multiple of {}",
    "minLength": "at least {} characters",
    "maxLength": "at most {} characters",
    "minItems": "at least {}",
    "maxItems": "at most {}",
    "pattern": "must match {}",
}


def _as_label(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return one_line(value if isinstance(value, str) else json.dumps(value), 100)


def _positions(values: Any, choices: list[Any]) -> list[int]:
    """Where `values`, if they are a list, stand among the choices. As JSON: 1 is not true."""
    wanted = [json.dumps(value) for value in values if value is not _NOTHING] if isinstance(values, list) else []
    return [position for position, choice in enumerate(choices) if json.dumps(choice) in wanted]


def _in_words(error: AgentError) -> str:
    """What a schema's fault says, without what everybody knows."""
    said = str(error).removeprefix("the answer does not have the form asked for: ")
    return said.removesuffix(" - at $").removesuffix(" - at $[0]")
