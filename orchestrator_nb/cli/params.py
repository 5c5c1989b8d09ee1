"""`orchestrate params`: what values a notebook takes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestrator_nb.cli import completion, options
from orchestrator_nb.cli.output import Part, is_terminal, say, say_json, show_table

if TYPE_CHECKING:
    from orchestrator_nb.ipynb.parameters import Parameter, Parameters

Notebook = Annotated[
    str,
    typer.Argument(metavar="NOTEBOOK", help="An .ipynb file.", autocompletion=completion.paths, show_default=False),
]
#: Characters of a default on a terminal: choices and help have to be seen too.
_MAX_DEFAULT = 40
_HOW = "put the default values into a cell of their own and tag it 'parameters'"
_WHERE = "(in JupyterLab: property inspector, the gears at the right; Cell Tags)"


def params(notebook: Notebook, as_json: options.Json = False) -> None:
    """List the parameters of a notebook.

    They are what the cell tagged 'parameters' assigns: names, types (annotations, or papermill's '# type:'), defaults,
    and help in comments. Nothing of the notebook is executed.
    """
    from orchestrator_nb.ipynb.parameters import parameters_of

    found = parameters_of(notebook)
    if as_json:
        say_json(
            {
                "notebook": notebook,
                "language": found.language,
                "tagged": found.tagged,
                "complete": found.complete,
                "parameters": [_facts(parameter) for parameter in found],
            }
        )
        return
    if found:
        show_table(["NAME", "TYPE", "DEFAULT", "CHOICES", "HELP"], map(_row, found))
    if note := _note(notebook, found):
        say(note)


def _note(notebook: str, found: Parameters) -> str:
    """What is to be said besides the table."""
    if not found.tagged:
        return f"{notebook} has no parameters: {_HOW} {_WHERE}."
    if found.language not in ("python", "ipython"):
        return (
            f"{notebook} is written in {found.language}: its cell tagged 'parameters' is not read, any name is taken."
        )
    if not found.complete:
        more = "more than is listed here" if found else "what cannot be read here"
        return f"The cell tagged 'parameters' may set {more} (magics, import *, faults): any name is taken."
    return "" if found else f"{notebook} has no parameters: its cell tagged 'parameters' assigns nothing."


def _row(parameter: Parameter) -> list[Part]:
    from orchestrator_nb.ipynb.wording import type_of_parameter
    from orchestrator_nb.projections.text import one_line

    source = one_line(parameter.source, _MAX_DEFAULT if is_terminal() else len(parameter.source))
    default: Part = ("required", "yellow") if parameter.required else source
    choices = ", ".join(str(choice) for choice in parameter.choices)
    return [(parameter.name, "bold"), type_of_parameter(parameter), default, choices, parameter.help]


def _facts(parameter: Parameter) -> dict[str, Any]:
    from orchestrator_nb.ipynb.wording import type_of_parameter

    return {
        "name": parameter.name,
        "type": type_of_parameter(parameter),
        "annotation": parameter.annotation,
        "required": parameter.required,
        "default": parameter.default,
        "source": parameter.source,
        "choices": list(parameter.choices),
        "optional": parameter.type.optional,
        "limits": parameter.type.limits.given(),
        "help": parameter.help,
    }
