"""The agent that asks a model: one prompt, one answer, by any provider that pydantic-ai knows.

The call is made in a process of its own (`_model_child`): it sees its provider's variables and no other key, its time
limit and its cancellation are real, and the library is not imported where people work. What the model writes goes
into the attempt's log as it comes.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from orchestrator_nb.agents.child import REQUEST, run_child_with
from orchestrator_nb.agents.coding.homes import INHERITED, OF_THE_ATTEMPT
from orchestrator_nb.agents.coding.redaction import Redactor
from orchestrator_nb.agents.human import answer_for, fault_of_schema
from orchestrator_nb.agents.models import providers
from orchestrator_nb.agents.models.options import Options, options_of
from orchestrator_nb.core.events import AgentSpent, AgentStarted
from orchestrator_nb.core.models import Task, Work
from orchestrator_nb.core.ports import Assignment, Failure, Outcome, Services, Success
from orchestrator_nb.core.values import quoted
from orchestrator_nb.errors import AgentError, OrchestratorError
from orchestrator_nb.storage.files import Root
from orchestrator_nb.system.reading import open_regular

#: File of the attempt's directory that says how it went.
SUMMARY = "agent.json"
#: Most bytes of one input that a prompt takes in.
LONGEST_INPUT = 1 << 20

_PROGRAM = Path(__file__).with_name("_model_child.py")


class ModelAgent:
    """Asks the model that `parameters.model` names the task's `prompt`; the other `parameters` are `options.Options`.

    The answer is the task's result: text, or JSON by its `schema`. Declared `inputs` are text files, and are put into
    the prompt as quoted material; a declared output is the answer as a file.
    """

    #: Failures of a model's service that pass by themselves are tried again unasked (DESIGN 4).
    patient = True
    #: Its attempts can be recorded and replayed; these options say how it is called from here, not what it is asked.
    recordable = True
    incidental = frozenset(("base_url", "env", "stall"))

    def fault_of(self, task: Task, work: Work) -> str | None:
        """What is wrong with the work on any machine, or None (`core.ports.Checking`)."""
        if any("${" in f"{value}" for value in work.parameters.values()):
            return None  # not known before it starts
        try:
            _check_form(task, work, options_of(work.parameters))
        except AgentError as error:
            return str(error)
        return None

    def preflight(self, assignment: Assignment) -> str | None:
        """What would keep the call from being made, or None: options, libraries, keys, the form of the task."""
        parameters = assignment.work.parameters
        if any("${" in f"{value}" for value in parameters.values()):
            return None  # not known before it starts
        try:
            _check(assignment, options_of(parameters), {**os.environ, **assignment.env})
        except AgentError as error:
            return str(error)
        return None

    async def run(self, assignment: Assignment, services: Services) -> Outcome:
        """Ask it, and wait for its answer."""
        given = services.environment()
        options = options_of(assignment.work.parameters)
        _check(assignment, options, given)
        environment = environment_for(options, given, assignment.env)
        redactor = Redactor(environment[name] for name in secrets_of(options) if name in environment)
        prompt = await asyncio.to_thread(_prompt, assignment)
        request = {"prompt": prompt, "secrets": list(secrets_of(options)), **options.model_dump(by_alias=True)}
        preload = ("pydantic_ai", *providers.client_of(options.model))  # calls of one run are forks that have them
        task, attempt = assignment.task.id, assignment.attempt
        services.report(AgentStarted(task, attempt, "model", level="", sandbox=""))
        services.progress(f"asks {options.model}")
        directory = Path(services.attempt_dir())
        try:
            outcome = await run_child_with(
                environment, redactor.secrets, _PROGRAM, request, assignment, services, preload
            )
        finally:
            _redact(directory, redactor)
            if (used := _usage(directory)) is not None:
                services.report(AgentSpent(task, attempt, **used, final=True))
        if isinstance(outcome, Failure):
            return msgspec.structs.replace(outcome, error=redactor.text(outcome.error))
        return _answered(outcome, options, assignment, directory)


def _check(assignment: Assignment, options: Options, environment: Mapping[str, str]) -> None:
    """Raise `AgentError` for what is known to be wrong before the call."""
    _check_form(assignment.task, assignment.work, options)
    if missing := [name for name in options.env if name not in environment]:
        raise AgentError(f"`env` of the task names {', '.join(missing)}, which is not set")
    providers.check(options.model, environment, address=options.base_url is not None)


def _check_form(task: Task, work: Work, options: Options) -> None:
    """The same, as far as the machine has no part in it."""
    providers.split(options.model)
    if not (work.prompt or "").strip():
        raise AgentError("a model task needs a `prompt`: say what it is to do")
    if len(task.outputs) > 1:
        raise AgentError("a model writes no files: its answer can be one output, not several")
    if options.answer_schema is not None and (fault := fault_of_schema(options.answer_schema)):
        raise AgentError(fault)
    if options.answer_schema is not None and options.answer_schema.get("type") != "object":
        raise AgentError("`schema` of a model task must describe an object (type: object): models answer with one")


def secrets_of(options: Options) -> tuple[str, ...]:
    """The variables whose values nobody else may see."""
    known = providers.PROVIDERS.get(options.model.partition(":")[0])
    return (*(known.keys if known else ()), *options.env)


def environment_for(options: Options, given: Mapping[str, str], own: Mapping[str, str]) -> dict[str, str]:
    """The whole environment of a call: what every program needs, what the model's provider reads, what is named."""
    wanted = {*INHERITED, *OF_THE_ATTEMPT, *providers.variables(options.model), *options.env}
    chosen = {name: value for name, value in given.items() if name in wanted}
    known = providers.PROVIDERS.get(options.model.partition(":")[0])
    address = {known.address: options.base_url} if known and options.base_url else {}
    return {**chosen, **address, **own, "PYTHONUNBUFFERED": "1"}


def _prompt(assignment: Assignment) -> str:
    """What is asked, with the declared inputs as quoted material. Blocking. Raises `AgentError`."""
    parts = [assignment.work.prompt or ""]
    for name, path in assignment.inputs.items():
        with open_regular(Path(path)) as file:
            content = file.read(LONGEST_INPUT + 1)
        if len(content) > LONGEST_INPUT:
            raise AgentError(
                f"the input '{name}' ({path}) has more than {LONGEST_INPUT} bytes: a prompt cannot hold it"
            )
        try:
            text = content.decode()
        except UnicodeDecodeError:
            raise AgentError(f"the input '{name}' ({path}) is no text: a model is given texts only") from None
        parts.append(quoted(f"File '{name}'", text))
    return "\n\n".join(parts)


def _redact(directory: Path, redactor: Redactor) -> None:
    """Take secrets out of what was asked; what was printed and answered never held them."""
    root = Root(directory)
    if not root.exists(REQUEST):
        return
    asked = root.read_bytes(REQUEST, 1 << 28).decode("utf-8", "replace")
    if (clean := redactor.text(asked)) != asked:
        root.write_atomic(REQUEST, clean)


def _usage(directory: Path) -> dict[str, Any] | None:
    """What the call used, as its process told at its end; None if it was ended before, which is not 0."""
    try:
        told: dict[str, Any] = msgspec.json.decode(Root(directory).read_bytes(SUMMARY, 1 << 20))["usage"]
    except (OrchestratorError, msgspec.DecodeError):
        return None
    return told


def _answered(success: Success, options: Options, assignment: Assignment, directory: Path) -> Success | Failure:
    """The answer in the form that the task wants, also as its output."""
    value: Any = success.value
    if options.answer_schema is not None:
        try:
            value = answer_for(options.answer_schema, value)
        except AgentError as error:
            return Failure(str(error), "answer")
    for name in assignment.task.outputs:
        text = success.text if success.text is not None else msgspec.json.format(msgspec.json.encode(value)).decode()
        Root(directory / "outputs").write_atomic(name, text)
    return msgspec.structs.replace(success, value=value)
