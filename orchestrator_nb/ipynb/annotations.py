"""Types out of annotations, read from their syntax: nothing is imported or executed.

Known are the built-in types, those of `typing`, `pathlib`, `datetime`, `decimal`, `enum` classes that the notebook
defines, and pydantic's constrained types, `Field` and the like in `Annotated`. Names count by their last part, so that
``t.Optional[dt.date]`` is read as what it is; what is not known takes every value.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from orchestrator_nb.ipynb.kinds import ANY, Kind, Limits, Type

_KINDS: dict[str, Kind] = {
    "str": "str", "int": "int", "float": "float", "bool": "bool", "Text": "str", "EmailStr": "str",
    "StrictStr": "str", "StrictInt": "int", "StrictFloat": "float", "StrictBool": "bool", "FiniteFloat": "float",
    "Decimal": "decimal", "Path": "path", "PurePath": "path", "PosixPath": "path", "PathLike": "path",
    "date": "date", "datetime": "datetime", "time": "time", "NaiveDatetime": "datetime",
    "list": "list", "List": "list", "Sequence": "list", "MutableSequence": "list", "Iterable": "list",
    "Collection": "list", "tuple": "tuple", "Tuple": "tuple", "set": "set", "Set": "set", "frozenset": "set",
    "FrozenSet": "set", "AbstractSet": "set", "dict": "dict", "Dict": "dict", "Mapping": "dict",
    "MutableMapping": "dict", "None": "none", "NoneType": "none", "Number": "number", "Real": "number",
}  # fmt: skip
_NAMED: dict[str, Type] = {
    **{name: Type(kind) for name, kind in _KINDS.items()},
    "PositiveInt": Type("int", limits=Limits(gt=0)), "NonNegativeInt": Type("int", limits=Limits(ge=0)),
    "NegativeInt": Type("int", limits=Limits(lt=0)), "NonPositiveInt": Type("int", limits=Limits(le=0)),
    "PositiveFloat": Type("float", limits=Limits(gt=0)), "NonNegativeFloat": Type("float", limits=Limits(ge=0)),
    "NegativeFloat": Type("float", limits=Limits(lt=0)), "NonPositiveFloat": Type("float", limits=Limits(le=0)),
    "FilePath": Type("path", exists="file"), "DirectoryPath": Type("path", exists="directory"),
    "NewPath": Type("path", exists="new"),
}  # fmt: skip

#: pydantic's constrained types that are called: ``conint(ge=0)``.
_CONSTRAINED: dict[str, Kind] = {"conint": "int", "confloat": "float", "constr": "str", "condecimal": "decimal",
                                 "condate": "date"}  # fmt: skip
#: Calls that make a value of a type: what a default without annotation tells. `fromisoformat` and `now` belong to it.
_MAKERS = ("Path", "PurePath", "PosixPath", "date", "datetime", "time", "Decimal")
#: Single limits as `annotated_types` has them: the class, and the limits that its arguments are, in order.
_MARKS = {"Ge": ("ge",), "Gt": ("gt",), "Le": ("le",), "Lt": ("lt",), "MultipleOf": ("multiple_of",),
          "MinLen": ("min_length",), "MaxLen": ("max_length",), "Len": ("min_length", "max_length"),
          "Interval": (), "StringConstraints": (), "Field": ()}  # fmt: skip
_GENERIC = ("Annotated", "Literal", "Optional", "Union", "Final")
_LIMITS = Limits.__slots__
#: How deep types may lie in one another.
_MAX_DEPTH = 12


@dataclass(slots=True)
class FieldCall:
    """What a ``Field(...)`` says besides limits."""

    limits: Limits = field(default_factory=Limits)
    help: str = ""
    default: ast.expr | None = None
    #: It has a default that cannot be read (`default_factory`).
    unreadable: bool = False


class Annotations:
    """Reads annotations of a cell, with the names that the notebook gives to types before it."""

    def __init__(self, definitions: Callable[[], Mapping[str, ast.expr | ast.ClassDef]]) -> None:
        """Classes and type aliases by name; asked for when a name is met that is not known."""
        self._find = definitions
        self._found: Mapping[str, ast.expr | ast.ClassDef] | None = None

    def read(self, annotation: ast.expr, depth: int = 0) -> tuple[Type, str]:
        """The type of an annotation, and the help in it (`Field(description=...)`, `Doc(...)`)."""
        if depth > _MAX_DEPTH:
            return ANY, ""
        match annotation:
            case ast.Constant(value=None):
                return Type("none"), ""
            case ast.Constant(value=str(text)):
                inner = _expression(text)
                return self.read(inner, depth + 1) if inner is not None else (ANY, "")
            case ast.Subscript(value=head, slice=inner) if self._head(head) == "Annotated":
                first, *marks = _elements(inner)
                return self._annotated(first, marks, depth)
            case ast.Subscript(value=head, slice=inner):
                return self._subscripted(head, _elements(inner), depth), ""
            case ast.BinOp(op=ast.BitOr()):
                return union([self._type(side, depth) for side in (annotation.left, annotation.right)]), ""
            case ast.Call(func=function, keywords=keywords) if last_name(function) in _CONSTRAINED:
                return Type(_CONSTRAINED[last_name(function)], limits=limits_in(keywords)), ""
            case ast.Name() | ast.Attribute():
                return self._named(annotation, depth)
        return ANY, ""

    def _type(self, annotation: ast.expr, depth: int) -> Type:
        return self.read(annotation, depth + 1)[0]

    def _named(self, annotation: ast.Name | ast.Attribute, depth: int) -> tuple[Type, str]:
        name = last_name(annotation)
        definition = self._definitions().get(name) if isinstance(annotation, ast.Name) else None
        if isinstance(definition, ast.ClassDef):
            return enum_of(definition) or ANY, ""
        if definition is not None:
            return self.read(definition, depth + 1)
        known = _NAMED.get(name, ANY)
        return (replace(known, code=ast.unparse(annotation)) if known is not ANY else ANY), ""

    def _definitions(self) -> Mapping[str, ast.expr | ast.ClassDef]:
        if self._found is None:
            self._found = self._find()
        return self._found

    def _annotated(self, first: ast.expr, marks: list[ast.expr], depth: int) -> tuple[Type, str]:
        kind, told = self.read(first, depth + 1)
        for mark in marks:
            if isinstance(mark, ast.Call):
                name = last_name(mark.func)
                if name == "Doc" and mark.args:
                    told = _text(mark.args[0]) or told
                elif name in _MARKS:
                    said = field_call(mark)
                    kind, told = limited(kind, said.limits), said.help or told
        return kind, told

    def _head(self, head: ast.expr) -> str:
        """The name of a generic type, whatever name the notebook imports it by."""
        name = last_name(head)
        if name in _NAMED or name in _GENERIC:
            return name
        definition = self._definitions().get(name)
        return last_name(definition) if isinstance(definition, ast.expr) else name

    def _subscripted(self, generic: ast.expr, inner: list[ast.expr], depth: int) -> Type:
        head = self._head(generic)
        if head == "Literal":
            return literal(inner, self._definitions)
        if head in ("Optional", "Final"):
            kind = self._type(inner[0], depth)
            return replace(kind, optional=True) if head == "Optional" else kind
        if head == "Union":
            return union([self._type(member, depth) for member in inner])
        known = _NAMED.get(head, ANY)
        if known.kind == "tuple":
            repeated = len(inner) == 2 and isinstance(inner[1], ast.Constant) and inner[1].value is ...
            kinds = tuple(self._type(element, depth) for element in (inner[:1] if repeated else inner))
            return replace(known, of=kinds, repeated=repeated)
        if known.kind in ("list", "set", "dict"):
            return replace(known, of=tuple(self._type(element, depth) for element in inner))
        return known

    # -- types of defaults ---------------------------------------------------------------------------------------------

    def of_default(self, default: ast.expr) -> Type:
        """The type that a default alone tells: numbers take every number, None and what is computed take everything."""
        match default:
            case ast.Attribute(value=ast.Name(id=name)) if isinstance(
                made := self._definitions().get(name), ast.ClassDef
            ):
                return enum_of(made) or ANY
            case ast.Call(func=function) if (maker := _maker(function)) is not None:
                return replace(_NAMED[last_name(maker)], code=ast.unparse(maker))
            case ast.BinOp(left=left, op=ast.Div()):  # Path("data") / "x.csv"
                kind = self.of_default(left)
                return kind if kind.kind == "path" else ANY
        try:
            value = ast.literal_eval(default)
        except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
            return ANY
        return _OF_VALUES.get(type(value), ANY)


_OF_VALUES = {str: Type("str"), bool: Type("bool"), int: Type("number"), float: Type("number"), list: Type("list"),
              tuple: Type("tuple"), dict: Type("dict"), set: Type("set")}  # fmt: skip


def _maker(function: ast.expr) -> ast.expr | None:
    """The type whose value a call makes: `Path` of ``Path(...)`` and ``Path.cwd()``, `date` of ``date.today()``."""
    if last_name(function) in _MAKERS:
        return function
    if isinstance(function, ast.Attribute) and last_name(function.value) in _MAKERS:
        same = function.attr in ("cwd", "home", "today", "now", "utcnow", "fromisoformat", "strptime")
        return function.value if same else None
    return None


def union(members: list[Type]) -> Type:
    """The type of values of any of `members`."""
    optional = any(member.optional or member.kind == "none" for member in members)
    flat = [inner for member in members for inner in (member.of if member.kind == "union" else (member,))]
    kinds = tuple(member for member in flat if member.kind != "none")
    if len(kinds) == 1:
        return replace(kinds[0], optional=optional)
    if not kinds:
        return Type("none")
    if any(member.is_any for member in kinds):
        return ANY
    return Type("union", of=kinds, optional=optional)


def limited(kind: Type, limits: Limits) -> Type:
    """`kind` with more limits."""
    return replace(kind, limits=limits.over(kind.limits)) if limits else kind


def literal(inner: list[ast.expr], definitions: Callable[[], Mapping[str, Any]]) -> Type:
    """The type of ``Literal[...]``."""
    choices: list[Any] = []
    for element in inner:
        match element:
            case ast.Attribute(value=ast.Name(id=name), attr=member) if isinstance(
                made := definitions().get(name), ast.ClassDef
            ):
                kind = enum_of(made)
                if kind is None or member not in dict(kind.members):
                    return ANY
                picked = [pair for each in inner for pair in kind.members if last_name(each) == pair[0]]
                return replace(kind, members=tuple(picked))
            case ast.Subscript(value=head, slice=nested) if last_name(head) == "Literal":
                choices += literal(_elements(nested), definitions).choices
            case _:
                value = literal_value(element)
                if not isinstance(value, str | int | float | bool | None):
                    return ANY
                choices.append(value)
    return Type("choice", choices=tuple(choice for choice in choices if choice is not None), optional=None in choices)


def enum_of(definition: ast.ClassDef) -> Type | None:
    """The type of a class that is an Enum, or None if it is none."""
    bases = [last_name(base) for base in definition.bases]
    if not any(base.endswith("Enum") for base in bases):
        return None
    members: dict[str, Any] = {}
    for statement in definition.body:
        if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
            name = statement.targets[0].id
            if name.startswith("_"):
                continue
            members[name] = _member(name, statement.value, "StrEnum" in bases, members)
    return Type("enum", members=tuple(members.items()), code=definition.name)


def _member(name: str, value: ast.expr, is_text: bool, before: Mapping[str, Any]) -> Any:
    """The value of a member as JSON; its name where that cannot be told."""
    if isinstance(value, ast.Call) and last_name(value.func) == "auto":
        numbers = [number for number in before.values() if isinstance(number, int)]
        return name.lower() if is_text else max(numbers, default=0) + 1
    known = literal_value(value)
    return known if isinstance(known, str | int | float | bool) else name


# -- pieces of syntax --------------------------------------------------------------------------------------------------


def last_name(expression: ast.expr) -> str:
    """`c` of ``a.b.c``; empty for what is no name."""
    match expression:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
        case ast.Constant(value=None):
            return "None"
    return ""


def literal_value(expression: ast.expr | None) -> Any:
    """The value of a literal, and of a date or time that is called with literals as its ISO text; else `...`."""
    import datetime

    match expression:
        case None:
            return ...
        case ast.Call(func=function, args=args, keywords=[]) if last_name(function) in ("date", "datetime", "time"):
            try:
                made = getattr(datetime, last_name(function))(*(ast.literal_eval(arg) for arg in args))
            except (ValueError, TypeError, SyntaxError):
                return ...
            return made.isoformat()
        case ast.Call(func=function, args=[ast.Constant(value=str(text))], keywords=[]) if _maker(function) is not None:
            return text
    try:
        return ast.literal_eval(expression)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return ...


def field_call(call: ast.Call) -> FieldCall:
    """What a call of ``Field``, ``StringConstraints`` or of a mark of `annotated_types` says."""
    name = last_name(call.func)
    by_place = dict(zip(_MARKS.get(name, ()), (literal_value(argument) for argument in call.args), strict=False))
    said = FieldCall(limits=limits_in(call.keywords, by_place))
    if name == "Field":
        named = {keyword.arg: keyword.value for keyword in call.keywords}
        said.help = _text(named.get("description")) or _text(named.get("title"))
        said.default = call.args[0] if call.args else named.get("default")
        said.unreadable = "default_factory" in named
    return said


def limits_in(keywords: list[ast.keyword], by_place: Mapping[str, Any] | None = None) -> Limits:
    """The limits among the arguments of a call."""
    given = dict(by_place or {})
    given.update({keyword.arg: literal_value(keyword.value) for keyword in keywords if keyword.arg})
    if isinstance(given.get("regex"), str):
        given["pattern"] = given["regex"]
    return Limits(**{name: value for name, value in given.items() if name in _LIMITS and _is_limit(name, value)})


def _is_limit(name: str, value: Any) -> bool:
    if name in ("min_length", "max_length"):
        return type(value) is int
    if name == "pattern":
        return isinstance(value, str)
    return isinstance(value, int | float | str) and not isinstance(value, bool)


def _elements(inner: ast.expr) -> list[ast.expr]:
    return list(inner.elts) if isinstance(inner, ast.Tuple) and inner.elts else [inner]


def _expression(text: str) -> ast.expr | None:
    try:
        return ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _text(expression: ast.expr | None) -> str:
    value = literal_value(expression)
    return " ".join(value.split()) if isinstance(value, str) else ""
