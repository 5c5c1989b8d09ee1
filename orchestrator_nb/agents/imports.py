"""Functions named ``module:name``: found beside the plan, in the caller's directory, or among what is installed.

A module beside the plan is imported without leaving `sys.path` changed, and imported anew in a later run when its
file, or one beside it that it uses, was edited in between.
"""

from __future__ import annotations

import ast
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module, invalidate_caches
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

from orchestrator_nb.core.ids import did_you_mean
from orchestrator_nb.errors import AgentError

_lock = threading.RLock()

#: Modules that were imported from a plan's directory, by that directory: name -> file and its time of change.
_local: dict[str, dict[str, tuple[Path, int]]] = {}


def load(reference: str, roots: Sequence[str]) -> Any:
    """Import what ``module:name`` names; `roots` are the directories to look in before `sys.path`.

    Raises `AgentError` if there is no such module or name, or if importing it fails.
    """
    module_name, name = _parts(reference)
    try:
        target: Any = _import(module_name, roots)
    except AgentError:
        raise
    except ModuleNotFoundError as error:
        if error.name and (module_name == error.name or module_name.startswith(f"{error.name}.")):
            raise AgentError(_no_module(module_name, roots)) from None
        raise AgentError(f"module '{module_name}' cannot be imported: {error}; is it installed?") from error
    except Exception as error:  # the module's own code may raise anything
        raise AgentError(f"module '{module_name}' cannot be imported: {type(error).__name__}: {error}") from error
    for part in name.split("."):
        known = [key for key in vars(target) if not key.startswith("_")] if hasattr(target, "__dict__") else []
        if not hasattr(target, part):
            raise AgentError(f"module '{module_name}' has no function '{name}'{did_you_mean(part, known)}")
        target = getattr(target, part)
    return target


def written(reference: str, roots: Sequence[str]) -> ast.FunctionDef | ast.AsyncFunctionDef | None:
    """The function that ``module:name`` names as it is written; nothing is imported to find it.

    None if what there is cannot be judged from the source alone: a decorated function, a class, something imported.
    Raises `AgentError` if it is certain that it cannot be loaded.
    """
    module_name, name = _parts(reference)
    source = source_of(module_name, roots)
    if source is None:
        if _find(module_name, roots) is None and module_name not in sys.modules:
            raise AgentError(_no_module(module_name, roots))
        return None
    try:
        tree = ast.parse(source.read_bytes(), source)
    except (SyntaxError, ValueError) as error:
        raise AgentError(f"module '{module_name}' cannot be imported: {error}") from None
    except OSError:
        return None
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name == name:
            return None if node.decorator_list else node
    names = set(_names(tree))
    first = name.partition(".")[0]
    if first in names or "*" in names or "__getattr__" in names:
        return None
    raise AgentError(f"module '{module_name}' ({source}) has no function '{name}'{did_you_mean(first, names)}")


def source_of(module_name: str, roots: Sequence[str]) -> Path | None:
    """The Python file of a module, or None if it has none or is not found; nothing is imported to find out."""
    spec = _find(module_name, roots)
    return Path(spec.origin) if spec and spec.has_location and spec.origin and spec.origin.endswith(".py") else None


def _parts(reference: str) -> tuple[str, str]:
    module_name, _, name = reference.partition(":")
    if not all(part.isidentifier() for part in (*module_name.split("."), *name.split("."))):
        raise AgentError(f"function '{reference}' must be written as module:name (such as agents.tools:count_lines)")
    return module_name, name


def _no_module(module_name: str, roots: Sequence[str]) -> str:
    return f"no module '{module_name}' in {', '.join(roots)}, nor installed where this Python ({sys.prefix}) finds it"


def _names(tree: ast.Module) -> Iterator[str]:
    """Names that a module's top level may define; ``*`` if it may define any."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.alias):
            yield node.asname or node.name.partition(".")[0]


def _find(module_name: str, roots: Sequence[str]) -> ModuleSpec | None:
    """The module's spec, found without importing its packages."""
    invalidate_caches()
    top, *rest = module_name.split(".")
    spec = _find_top(top, roots)
    for number in range(len(rest)):
        if spec is None or spec.submodule_search_locations is None:
            return None
        spec = PathFinder.find_spec(".".join([top, *rest[: number + 1]]), list(spec.submodule_search_locations))
    return spec


def _find_top(top: str, roots: Sequence[str]) -> ModuleSpec | None:
    if top not in sys.stdlib_module_names:  # no file beside a plan takes the place of the standard library
        spec = PathFinder.find_spec(top, [*roots, *sys.path])
        if spec is not None:
            return spec
    try:
        return find_spec(top)
    except ValueError:  # a module that was made by hand
        return None


# -- importing from a plan's directory ---------------------------------------------------------------------------------


def _import(module_name: str, roots: Sequence[str]) -> ModuleType:
    top = module_name.partition(".")[0]
    with _lock:
        invalidate_caches()
        spec = _find_top(top, roots)
        root = _root_of(spec, roots) if spec else None
        if root is None:
            return import_module(module_name)
        _make_way(top, root)
        before = set(sys.modules)
        try:
            with _first_on_path(roots):
                return import_module(module_name)
        finally:
            _remember(root, set(sys.modules) - before)


def _root_of(spec: ModuleSpec, roots: Sequence[str]) -> str | None:
    """Which of `roots` holds a top-level module, None if none does."""
    if spec.submodule_search_locations:
        places = [Path(place).parent for place in spec.submodule_search_locations]
    elif spec.has_location and spec.origin:
        places = [Path(spec.origin).parent]
    else:
        return None
    return next((root for root in roots if Path(root) in places), None)


def _make_way(top: str, root: str) -> None:
    """Forget what was imported from a plan's directory, if it was edited or hides a module of the same name."""
    if any(_changed(path, time) for path, time in _local.get(root, {}).values()):
        _forget(root)
    for other in [other for other, modules in _local.items() if other != root and top in modules]:
        _forget(other)
    loaded = sys.modules.get(top)
    if loaded is None or top in _local.get(root, {}):
        return
    places = [Path(place).parent for place in getattr(loaded, "__path__", ())] or [Path(loaded.__file__ or "").parent]
    if Path(root) not in places:
        raise AgentError(
            f"module '{top}' of {root} has the name of one that is loaded already, from {places[0]}: "
            "rename one of them, or let the function run with `isolate: process`"
        )


def _remember(root: str, names: set[str]) -> None:
    modules = _local.setdefault(root, {})
    for name in names:
        module = sys.modules.get(name)
        file = getattr(module, "__file__", None)
        if file and Path(file).is_relative_to(root):
            modules[name] = (Path(file), Path(file).stat().st_mtime_ns)
        elif module is not None and any(Path(place).is_relative_to(root) for place in getattr(module, "__path__", ())):
            modules[name] = (Path(root), 0)  # a folder without __init__.py


def _forget(root: str) -> None:
    for name in _local.pop(root, {}):
        sys.modules.pop(name, None)


def _changed(path: Path, time: int) -> bool:
    try:
        return time != 0 and path.stat().st_mtime_ns != time
    except OSError:
        return True


@contextmanager
def _first_on_path(roots: Sequence[str]) -> Iterator[None]:
    added = list(roots)
    sys.path[:0] = added
    try:
        yield
    finally:
        for root in added:
            sys.path.remove(root)
