"""Values for a notebook's parameters: checked and converted before any kernel starts, or all that is wrong with them.

What comes out is JSON, as papermill can write it into a notebook: dates, times, decimal numbers and paths as text (ISO
8601; absolute paths), members of an Enum as their values, tuples and sets as lists. `ipynb.injection` makes of it what
the annotation says, in the notebook.

Paths (parameters annotated `Path`, or with a default like ``Path("x")``): relative to the first of the given places
where the path exists (the caller's directory, then the notebook's), and absolute from then on. One that exists nowhere
may be what the notebook is to write, so it is good if the directory that it would be in exists. pydantic's `FilePath`
and `DirectoryPath` must exist, `NewPath` must not. A default that is a path is looked up too (`beside`).
"""

from __future__ import annotations

import keyword
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from orchestrator_nb.core.ids import did_you_mean
from orchestrator_nb.core.values import leaves
from orchestrator_nb.errors import ParameterError
from orchestrator_nb.ipynb.conversion import convert
from orchestrator_nb.ipynb.parameters import Parameter, Parameters
from orchestrator_nb.ipynb.wording import example, expected

_UNKNOWN = "there is no parameter"


def resolve(
    parameters: Parameters, given: Mapping[str, Any], *, typed: bool = False, places: Sequence[Path] | None = None
) -> dict[str, Any]:
    """The values to put into the notebook, by name: those given, and the defaults that its ``Field`` calls hold.

    Args:
        parameters: What the notebook declares.
        given: Values by name; text is read in the type of its parameter, as it comes from a command line or CSV.
        typed: The values have their types (they come from Python, JSON, YAML): text stays text where text is good.
        places: Directories that paths are looked up in, in order; None leaves paths as they are.

    Raises:
        ParameterError: With all faults and the notebook's file: names that are none or unknown (with the nearest),
            missing values, values of a wrong type or beyond their limits.
    """
    values, faults = check(parameters, given, typed=typed, places=places)
    if faults:
        raise ParameterError(message(parameters, faults))
    return values


def check(
    parameters: Parameters,
    given: Mapping[str, Any],
    *,
    typed: bool = False,
    places: Sequence[Path] | None = None,
    later: Collection[str] = (),
) -> tuple[dict[str, Any], list[str]]:
    """The values as `resolve` has them, and what is wrong, one fault an entry: for who has many rows to check.

    The values of the names in `later` are not known yet: only their names are checked.
    """
    values: dict[str, Any] = {}
    faults: list[str] = []
    for name, value in given.items():
        if fault := fault_of_name(parameters, name):
            faults.append(fault)
        elif name not in later:
            parameter = parameters.by_name.get(name, Parameter(name))
            try:
                values[name] = convert(parameter.type, value, typed=typed, places=places)
            except ParameterError as error:
                faults.append(f"parameter '{name}' {error}{_help(parameter)}")
    for parameter in parameters:
        if parameter.name not in given and parameter.required:
            faults.append(_missing(parameter))
        elif parameter.name not in given and parameter.injected:
            values[parameter.name] = parameter.default
    return values, faults


def beside(parameters: Parameters, given: Mapping[str, Any], cwd: Path) -> dict[str, Any]:
    """Paths that the notebook finds beside itself, and not where it is executed (`cwd`): absolute, by name.

    These are defaults: a notebook that has its data in its own directory can be executed from anywhere (DESIGN 4).
    """
    directory = Path(parameters.path).absolute().parent
    found = {}
    for parameter in parameters:
        default = parameter.default
        if parameter.type.kind != "path" or parameter.name in given or not isinstance(default, str) or not default:
            continue
        if not (cwd / default).exists() and (directory / default).exists():
            found[parameter.name] = str(directory / default)
    return found


def waiting(given: Mapping[str, Any]) -> set[str]:
    """Names of the values of a task that are known only once it starts: they hold ``${...}``."""
    return {name for name, value in given.items() if any("$" in str(leaf) for _, leaf in leaves(value))}


def message(parameters: Parameters, faults: Sequence[str]) -> str:
    """One text that tells all faults, and names the notebook."""
    where = f"notebook {parameters.path}" if parameters.path else "the notebook"
    unknown = any(fault.startswith(_UNKNOWN) for fault in faults)
    known = f"its parameters: {', '.join(parameters.by_name) or 'none'}" if unknown else ""
    if len(faults) == 1:
        return f"{where}: {faults[0]}{f' ({known})' if known else ''}"
    return "\n".join([f"{where}:", *(f"  - {fault}" for fault in faults), *([f"  {known}"] if known else [])])


def fault_of_name(parameters: Parameters, name: str) -> str | None:
    """Why a value cannot be put into the notebook under this name, or None. papermill writes names into code (F6)."""
    parts = name.split(".") if parameters.language == "r" else [name]
    if not all(part.isidentifier() for part in parts) or keyword.iskeyword(name):
        return f"'{name}' cannot be the parameter of a notebook: it must be a name like my_param"
    if parameters.complete and name not in parameters.by_name:
        return f"{_UNKNOWN} '{name}'{did_you_mean(name, parameters.by_name)}"
    return None


def _missing(parameter: Parameter) -> str:
    told = f"parameter '{parameter.name}' has no value{_help(parameter)}"
    return f"{told}; give {expected(parameter.type)} with -p {parameter.name}={example(parameter.type)}"


def _help(parameter: Parameter) -> str:
    return f" ({parameter.help})" if parameter.help else ""
