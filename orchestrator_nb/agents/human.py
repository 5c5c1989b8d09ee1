"""The agent that is a person: a question, with a JSON Schema of the answer if it must have a form."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from orchestrator_nb.core.ids import did_you_mean
from orchestrator_nb.core.ports import Assignment, Checkpoint, Failure, Outcome, Services, Success, subject_hash
from orchestrator_nb.errors import AgentError


class HumanAgent:
    """Asks the task's `prompt`, with `parameters.schema` as the answer's form; the answer is the task's result."""

    def preflight(self, assignment: Assignment) -> str | None:
        """What is wrong with the question or the schema, or None."""
        work = assignment.work
        if not work.prompt:
            return f"task '{assignment.task.id}' is for a person but asks nothing: say what in `prompt`"
        for name in work.parameters:
            if name != "schema":
                return f"parameter '{name}' of a human task is unknown{did_you_mean(name, ['schema'])} (known: schema)"
        return fault_of_schema(work.parameters.get("schema", {}))

    async def run(self, assignment: Assignment, _: Services) -> Outcome:
        """Ask; once it is answered, the answer is the result."""
        if fault := self.preflight(assignment):
            return Failure(fault, kind="preflight")
        question, schema = assignment.work.prompt or "", assignment.work.parameters.get("schema") or {}
        assert isinstance(schema, dict)
        shown = subject_hash(assignment.task.id, question, schema)
        if not assignment.answered or assignment.subject_sha256 != shown:
            return Checkpoint(question, schema)
        try:
            answer = answer_for(schema, assignment.answer)
        except AgentError as error:
            return Failure(str(error), kind="answer")
        return Success(text=answer) if isinstance(answer, str) else Success(value=answer)


def fault_of_schema(schema: object) -> str | None:
    """What is wrong with the JSON Schema of an answer, or None."""
    from jsonschema import SchemaError
    from jsonschema.validators import validator_for

    if not isinstance(schema, dict):
        return "`schema` of a human task must be a JSON Schema: an object"
    try:
        validator_for(schema).check_schema(schema)
    except SchemaError as error:
        return f"`schema` of a human task is no JSON Schema: {error.message} - at {error.json_path}"
    return None


def answer_for(schema: Mapping[str, Any], answer: Any) -> Any:
    """The answer in the form that `schema` asks for. Raises `AgentError` if it has another.

    Text that does not fit is read as JSON, so that ``--answer 3`` answers a question for a number.
    """
    fault = _fault(schema, answer)
    if fault and isinstance(answer, str):
        try:
            read = json.loads(answer)
        except (ValueError, RecursionError):
            pass
        else:
            answer, fault = read, _fault(schema, read)
    if fault:
        raise AgentError(f"the answer does not have the form asked for: {fault}")
    return answer


def _fault(schema: Mapping[str, Any], answer: Any) -> str | None:
    from jsonschema.exceptions import best_match
    from jsonschema.validators import validator_for
    from referencing import Registry
    from referencing.exceptions import Unresolvable

    validator = validator_for(schema)(schema, registry=Registry())  # an empty registry: nothing is fetched
    try:
        error = best_match(validator.iter_errors(answer))
    except Unresolvable as unresolvable:
        return f"the schema refers to what is not in it: {unresolvable}"
    return f"{error.message} - at {error.json_path}" if error else None
