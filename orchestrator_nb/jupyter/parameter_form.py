"""`parameter_form(notebook)`: a form for a notebook's parameters, with a button that runs it.

Each parameter has a field that is made by its type and says below what it is for, or what is wrong with what is
written. A field that is left as it is gives no value: the notebook's own default holds. Run starts a plan of the one
notebook, and shows it below the form.
"""

from __future__ import annotations

import html
import json
import os
from pathlib import Path
from typing import Any

import ipywidgets

from orchestrator_nb.errors import OrchestratorError, ParameterError
from orchestrator_nb.ipynb.conversion import convert
from orchestrator_nb.ipynb.parameters import Parameter, Parameters, parameters_of
from orchestrator_nb.ipynb.values import resolve
from orchestrator_nb.ipynb.wording import choices, expected, type_of_parameter
from orchestrator_nb.jupyter.comm import Live
from orchestrator_nb.jupyter.environment import Environment, environment
from orchestrator_nb.jupyter.updates import updates
from orchestrator_nb.jupyter.view import view_of
from orchestrator_nb.jupyter.widgets import (
    MUTED,
    Button,
    Choice,
    Column,
    Html,
    Line,
    Looks,
    Row,
    in_background,
    message,
    put,
)  # fmt: skip
from orchestrator_nb.planning.builder import PlanBuilder
from orchestrator_nb.projections.rendering import text_html
from orchestrator_nb.projections.text import one_line
from orchestrator_nb.runtime.orchestrator import Orchestrator
from orchestrator_nb.runtime.run import Run
from orchestrator_nb.storage.settings import Settings

#: Values that a field offers in a list.
_MAX_CHOICES = 200
_NOT_CHOSEN = -1


class Day(Live, ipywidgets.DatePicker):
    """A day of the calendar."""


def parameter_form(notebook: str | os.PathLike[str], settings: Settings | None = None) -> ParameterForm:
    """A form for the parameters of the notebook in the file `notebook`, with a Run button.

    ``form.values`` is what is filled in, ``form.run`` the run that was started last. `settings` are those of its runs,
    found as always when left out. Raises `NotebookError` if the file is no notebook.
    """
    return ParameterForm(parameters_of(notebook), settings)


class ParameterForm(Column):
    """The fields, the button, and the run that it started."""

    def __init__(self, parameters: Parameters, settings: Settings | None = None) -> None:
        looks = Looks()
        self.parameters = parameters
        self._settings = settings
        #: Whether somebody looks at it; a click does not tell.
        self._live = environment() is Environment.NOTEBOOK
        #: The run that was started last.
        self.run: Run | None = None
        self.fields = {parameter.name: Field(parameter, looks) for parameter in parameters}
        self.button = Button(description="Run", icon="play", button_style="primary", **looks.button)
        self.button.on_click(lambda _: self._clicked())
        self.told = Html(**looks.text)
        self.below = Column(**looks.column)
        name = text_html(Path(parameters.path).name, 80)
        said = "" if parameters else f"<div style='{MUTED}'>{html.escape(_nothing(parameters))}</div>"
        title = Html(value=f"<b>{name}</b>{said}", **looks.text)
        parts = [part for field in self.fields.values() for part in (field.input, field.note)]
        row = Row(children=[self.button, self.told], **looks.row)
        super().__init__(children=[title, *parts, row, self.below], **looks.column)

    def __repr__(self) -> str:
        return f"<ParameterForm of {self.parameters.path}: {', '.join(self.fields) or 'no parameters'}>"

    @property
    def values(self) -> dict[str, Any]:
        """The values that are filled in, checked: JSON by name. Raises `ParameterError` with all that is wrong."""
        given = {name: field.value for name, field in self.fields.items() if field.touched}
        here = Path.cwd()
        return resolve(self.parameters, given, places=(here, here / Path(self.parameters.path).parent))

    def start(self) -> Run:
        """Run the notebook with the values filled in, and show the run below the form.

        Raises `ParameterError`, and what starting a run raises.
        """
        path = Path(self.parameters.path).absolute()
        plan = PlanBuilder(path.name)
        plan.notebook(path, literally(self.values))
        run = self.run = Orchestrator(self._settings).run(plan)
        if self._live:
            updates.call(lambda: self._show(run))
        return run

    def _show(self, run: Run) -> None:
        view = view_of(run)
        put(self.below, children=tuple(view.part(name, live=True) for name in ("progress", "controls", "outputs")))

    def _clicked(self) -> None:
        put(self.button, disabled=True, description="Starting…")
        in_background(self._start)

    def _start(self) -> None:
        said, refused = "", True
        try:
            run = self.start()
            said, refused = f"Started as {run.id}.", False
        except ParameterError as error:
            said = _without_path(str(error))
        except OrchestratorError as error:
            said = str(error)
        finally:
            updates.call(lambda: self._tell(said, refused))

    def _tell(self, said: str, refused: bool) -> None:
        for field in self.fields.values():
            field.tell(missing=refused)
        put(self.told, value=message(said, refused=refused))
        put(self.button, disabled=False, description="Run")

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        """The form, and for whoever has no kernel a table; only that where nobody can fill it in."""
        bundle = super()._repr_mimebundle_(include=include, exclude=exclude) or {}
        if environment() is Environment.HEADLESS:
            bundle.pop("application/vnd.jupyter.widget-view+json", None)
        return {**bundle, "text/plain": _plain_table(self.parameters), "text/html": _html_table(self.parameters)}


class Field:
    """One parameter: what is filled in, and a line below that explains it or says what is wrong."""

    def __init__(self, parameter: Parameter, looks: Looks) -> None:
        self._parameter = parameter
        kind = parameter.type
        known = [True, False] if kind.kind == "bool" else list(choices(kind))
        #: The values to choose from, if there are few enough.
        self._choices = [*known, None] if kind.optional else known
        if not known or len(known) > _MAX_CHOICES:
            self._choices = []
        self.input = self._made(looks.field)
        self._initial = self.input.value
        self.note = Html(value=self._hint(), **looks.text)
        self.input.observe(lambda _: updates.call(self.tell), "value")

    @property
    def touched(self) -> bool:
        """Whether somebody has filled it in."""
        return bool(self.input.value != self._initial)

    @property
    def value(self) -> Any:
        """What is filled in, as it is given to `ipynb.values`."""
        if self._choices:
            return self._choices[self.input.value] if self.input.value != _NOT_CHOSEN else None
        return self.input.value

    def fault(self) -> str:
        """What is wrong with it; empty if nothing is."""
        if not self.touched:
            return "This is needed." if self._parameter.required else ""
        try:
            convert(self._parameter.type, self.value)
        except ParameterError as error:
            return f"It {error}."
        return ""

    def tell(self, *, missing: bool = True) -> None:
        """Say what is wrong with it, if anything is; of one not filled in only if it is `missing`."""
        fault = self.fault() if missing or self.touched else ""
        put(self.note, value=message(fault, refused=True) if fault else self._hint())

    def _made(self, look: dict[str, Any]) -> Any:
        parameter, label = self._parameter, one_line(self._parameter.name, 60)
        default = parameter.default
        if self._choices:
            options = [(_label(choice), place) for place, choice in enumerate(self._choices)]
            places = [place for _, place in options if _same(self._choices[place], default)]
            if parameter.required or not places:  # a default that the notebook computes is no choice
                first = "choose …" if parameter.required else f"default: {one_line(parameter.source, 40)}"
                return Choice(options=[(first, _NOT_CHOSEN), *options], value=_NOT_CHOSEN, description=label, **look)
            return Choice(options=options, value=places[0], description=label, **look)
        if parameter.type.kind == "date" and (default is None or isinstance(default, str)):
            import datetime

            return Day(value=datetime.date.fromisoformat(default) if default else None, description=label, **look)
        written = "" if default is None else default if isinstance(default, str) else json.dumps(default)
        return Line(value=written, placeholder=one_line(parameter.source, 80), description=label, **look)

    def _hint(self) -> str:
        """What the notebook says about it."""
        kind = expected(self._parameter.type) if not self._parameter.type.is_any else "any value"
        needed = "needed" if self._parameter.required else ""
        said = "; ".join(filter(None, (one_line(self._parameter.help, 300), one_line(kind, 200), needed)))
        return f"<div style='{MUTED}; line-height: 1.3'>{html.escape(said)}</div>"


def literally(value: Any) -> Any:
    """`value` for a plan, in which a dollar sign means more."""
    if isinstance(value, str):
        return value.replace("$", "$$")
    if isinstance(value, dict):
        return {key: literally(item) for key, item in value.items()}
    return [literally(item) for item in value] if isinstance(value, list) else value


def _same(choice: Any, default: Any) -> bool:
    return choice == default and type(choice) is type(default)


def _label(choice: Any) -> str:
    return one_line(choice if isinstance(choice, str) else json.dumps(choice), 100) or '""'


def _without_path(text: str) -> str:
    """The message without the notebook's name, which stands above."""
    return text.partition(": ")[2] if "\n" not in text else text.partition("\n")[2]


def _nothing(parameters: Parameters) -> str:
    if parameters.tagged:
        return "It takes no parameters that can be read: run it as it is."
    return "It has no parameters (no cell is tagged 'parameters'): run it as it is."


def _rows(parameters: Parameters) -> list[tuple[str, str, str, str]]:
    return [
        (each.name, type_of_parameter(each), "required" if each.required else each.source, each.help)
        for each in parameters
    ]


def _plain_table(parameters: Parameters) -> str:
    lines = [
        f"{name}: {kind} = {default}{f'  # {told}' if told else ''}" for name, kind, default, told in _rows(parameters)
    ]
    return "\n".join([f"Parameters of {parameters.path}:", *(lines or [_nothing(parameters)])])


def _html_table(parameters: Parameters) -> str:
    left = "style='text-align: left'"
    head = "".join(f"<th {left}>{word}</th>" for word in ("Name", "Type", "Default", "Help"))
    cells = ("".join(f"<td {left}>{text_html(cell, 200)}</td>" for cell in row) for row in _rows(parameters))
    rows = "".join(f"<tr>{row}</tr>" for row in cells)
    name = text_html(parameters.path, 200)
    if not rows:
        return f"<p>Parameters of {name}: {html.escape(_nothing(parameters))}</p>"
    return f"<table><caption>Parameters of {name}</caption><tr>{head}</tr>{rows}</table>"
