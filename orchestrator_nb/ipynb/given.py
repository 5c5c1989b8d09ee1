"""Values for a notebook's parameters as they are given on a command line: -p, -r, -y, -f and -b, as papermill has them.

What comes later wins, in papermill's order (`papermill/cli.py`): base64, files, YAML, ``-p``, ``-r``.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from orchestrator_nb.core.params import named
from orchestrator_nb.errors import ParameterError

#: Values that one document may hold, once its anchors are written out.
MAX_VALUES = 100_000


class Text(str):
    """Text that is meant as text: it is not read as a number, a word for true, or JSON."""

    __slots__ = ()


def gather(
    texts: Iterable[str] = (),
    raw: Iterable[str] = (),
    yaml: Iterable[str] = (),
    files: Iterable[Path] = (),
    encoded: Iterable[str] = (),
) -> dict[str, Any]:
    """The values that a command line gives, by name; their types are checked by `ipynb.values.resolve`.

    Args:
        texts: ``-p NAME=VALUE``: read in the type of the parameter; ``None`` is None, as for papermill.
        raw: ``-r NAME=TEXT``: text stays text.
        yaml: ``-y``: mappings in YAML. As for papermill, dates in it are text.
        files: ``-f``: files of YAML or JSON, on this machine.
        encoded: ``-b``: mappings in YAML, in base64.

    Raises:
        ParameterError: Naming the option whose value cannot be read.
    """
    values: dict[str, Any] = {}
    for text in encoded:
        values.update(_mapping(_decoded(text), f"-b {_start(text)}"))
    for file in files:
        values.update(_mapping(_content(Path(file)), f"-f {file}"))
    for text in yaml:
        values.update(_mapping(text, f"-y {_start(text)}"))
    values.update((name, None if text == "None" else text) for name, text in named(texts).items())
    values.update((name, Text(text)) for name, text in named(raw, "-r").items())
    return values


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except ValueError as error:
        raise ParameterError(f"-b {_start(text)} is not base64: {error}") from None


def _content(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except (OSError, ValueError) as error:  # ValueError: NUL in its name
        raise ParameterError(f"-f {file} cannot be read: {getattr(error, 'strerror', None) or error}") from None


def _mapping(document: str | bytes, option: str) -> dict[str, Any]:
    """The mapping in a YAML document."""
    import yaml

    try:
        value = yaml.load(document, Loader=_loader())  # noqa: S506 - a SafeLoader
        size = _size(value, {})
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ParameterError(f"{option} is not YAML: {' '.join(str(error).split())}") from None
    if size > MAX_VALUES:
        raise ParameterError(f"{option} holds more than {MAX_VALUES:,} values")
    if value is None:
        return {}
    if not isinstance(value, dict) or not all(isinstance(name, str) for name in value):
        raise ParameterError(f"{option}: write a mapping of parameters' names to their values, as in 'NAME: VALUE'")
    return {name: Text(item) if isinstance(item, str) else item for name, item in value.items()}


def _loader() -> Any:
    """YAML's safe loader, for which dates are text."""
    import yaml

    class Loader(yaml.SafeLoader):
        yaml_implicit_resolvers = {  # noqa: RUF012 - as its base has it
            first: [(tag, pattern) for tag, pattern in pairs if tag != "tag:yaml.org,2002:timestamp"]
            for first, pairs in yaml.SafeLoader.yaml_implicit_resolvers.items()
        }

    return Loader


def _size(value: Any, known: dict[int, int]) -> int:
    """How many values are in `value`, counting what anchors repeat; raises `ValueError` if it holds itself."""
    if not isinstance(value, dict | list):
        return 1
    if id(value) not in known:
        known[id(value)] = -1
        items = value.values() if isinstance(value, dict) else value
        known[id(value)] = 1 + sum(_size(item, known) for item in items)
    if known[id(value)] < 0:
        raise ValueError("a value holds itself")
    return known[id(value)]


def _start(text: str) -> str:
    return repr(text if len(text) <= 40 else text[:39] + "…")
