"""Python in a cell as a task: the code is in the plan, and runs in a process of its own, now or after a resume."""

from __future__ import annotations

import ast
import linecache
import re
import sys
from types import ModuleType
from typing import Any

from orchestrator_nb.agents.calls import TaskContext

_RESULT = "__result__"
_MODULE = "task_cell"
_NO_NAME = re.compile(r"\W")


def variable(name: str) -> str:
    """The variable that stands for the result of a task, or for a parameter: ``T-01`` is ``T_01``."""
    plain = _NO_NAME.sub("_", name)
    return f"_{plain}" if plain[:1].isdigit() else plain


def names_in(code: str) -> set[str]:
    """The names that Python code uses. Raises `SyntaxError`."""
    return {node.id for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Name)}


def run_code(code: str, variables: dict[str, Any], context: TaskContext) -> Any:
    """Run the code of a task with `variables` and `context`; the value of its last expression is the result."""
    file = f"<cell of task {context.task}>"
    linecache.cache[file] = (len(code), None, code.splitlines(keepends=True), file)  # for tracebacks
    tree = ast.parse(code, file)
    last = tree.body[-1] if tree.body else None
    if isinstance(last, ast.Expr):
        target = ast.Name(_RESULT, ast.Store())
        tree.body[-1] = ast.fix_missing_locations(ast.copy_location(ast.Assign([target], last.value), last))
    module = sys.modules[_MODULE] = ModuleType(_MODULE)
    vars(module).update(variables, context=context)
    exec(compile(tree, file, "exec"), vars(module))  # noqa: S102 - code of the plan, as that of any function task
    return vars(module).get(_RESULT)
