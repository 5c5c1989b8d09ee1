"""What a planner answered, read strictly: a task breakdown (S1 phase 1), or everything that is wrong with it (E8)."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from orchestrator_nb.core import faults as core_faults
from orchestrator_nb.core.faults import Fault
from orchestrator_nb.core.ids import nearest
from orchestrator_nb.core.models import Plan
from orchestrator_nb.core.params import fault_of_value
from orchestrator_nb.core.stages import reserved_faults
from orchestrator_nb.planning.changing import apply_change
from orchestrator_nb.planning.documents import Document, parse
from orchestrator_nb.planning.loaded import located
from orchestrator_nb.planning.objects_in_text import Broken, Found, objects_in
from orchestrator_nb.planning.rights import Rights
from orchestrator_nb.planning.validation import validate

#: Characters of an answer; a planner that says more has not understood.
MAX_ANSWER = 1_000_000
#: Entries of one list beside the plan, and characters of one of them.
MAX_NOTES, MAX_NOTE = 50, 2_000
#: How the answer is called in messages.
ANSWER = "answer"


class TaskBreakdown(BaseModel):
    """A request, broken down: the plan, and S1's four questions answered."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    goal: str = ""
    """What is to be reached: by what one can tell that it is done."""
    implicit_requirements: tuple[str, ...] = ()
    """What was not said and is meant."""
    constraints: tuple[str, ...] = ()
    """Limits of time, resources, scope."""
    parallel: str = ""
    """What can be done side by side, and what cannot."""
    assumptions: tuple[str, ...] = ()
    """What was taken for granted: whoever approves the plan approves these."""
    plan: Plan
    """The tasks."""


#: Keys of an answer, beside `plan` or `change`.
_TEXTS, _LISTS = ("goal", "parallel"), ("implicit_requirements", "constraints", "assumptions")


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer that was read: the breakdown, or the faults that keep it from being one; and warnings."""

    breakdown: TaskBreakdown | None
    faults: tuple[Fault, ...] = ()

    @property
    def errors(self) -> tuple[Fault, ...]:
        """What keeps it from being used."""
        return tuple(fault for fault in self.faults if fault.severity == "error")

    @property
    def warnings(self) -> tuple[Fault, ...]:
        """What does not."""
        return tuple(fault for fault in self.faults if fault.severity == "warning")


@dataclass(frozen=True, slots=True)
class Terms:
    """What an answer is held against."""

    rights: Rights
    #: Where the plan's relative paths begin.
    base: Path
    #: Names of all agents that there are; None leaves open which those are.
    agents: Collection[str] | None = None
    #: The plan that is to be changed; None: a new one is asked for.
    earlier: Plan | None = None

    def not_allowed(self, plan: Plan) -> list[Fault]:
        """What `plan` may not do; its tasks that are in the earlier plan were approved with that."""
        new = None
        if self.earlier is not None:
            approved = {task.id: task for task in self.earlier.tasks}
            new = [task.id for task in plan.tasks if approved.get(task.id) != task]
        return [*reserved_faults(plan), *self.rights.faults(plan, self.base, new)]


def read_answer(answer: Any, terms: Terms) -> Answer:
    """The breakdown in a planner's answer: text with one JSON object in it, or a JSON value.

    One fault for each thing that is wrong, each with what to do about it: they are what the planner is told. It never
    raises, whatever the answer is.
    """
    if answer is None or (isinstance(answer, str) and not answer.strip()):
        return _refused("the answer is empty", "answer with one JSON object")
    text = answer if isinstance(answer, str) else _as_text(answer)
    if text is None:
        return _refused(f"the answer is no JSON value but {type(answer).__name__}", "answer with one JSON object")
    if len(text) > MAX_ANSWER:
        return _refused(f"the answer has {len(text):,} characters, at most {MAX_ANSWER:,}", "plan larger steps")
    key = "plan" if terms.earlier is None else "change"
    found = _only_object(text, key)
    if isinstance(found, Answer):
        return found
    document = parse(text[found.start : found.end], ANSWER, "json", text.count("\n", 0, found.start))
    if document.faults or not isinstance(document.value, dict):
        return Answer(None, tuple(document.faults))
    return _breakdown(document, key, terms)


def _as_text(value: Any) -> str | None:
    """A JSON value as the text that it would be; None where it is none."""
    if fault_of_value(value):
        return None
    try:
        return json.dumps(value, ensure_ascii=False)
    except (TypeError, ValueError, RecursionError):
        return None


def _refused(message: str, remedy: str = "") -> Answer:
    return Answer(None, (Fault("error", message, remedy=remedy),))


# -- finding it --------------------------------------------------------------------------------------------------------


def _only_object(text: str, key: str) -> Found | Answer:
    """The one object in `text` that is an answer. Braces in prose are none; what begins as JSON has to end as JSON."""
    found, broken = objects_in(text)
    meant = [each for each in found if key in each.value or "tasks" in each.value]
    if len(meant) > 1:
        lines = " and ".join(str(text.count("\n", 0, each.start) + 1) for each in meant[:5])
        return _refused(f"the answer holds {len(meant)} plans (lines {lines})", "answer with one")
    torn = [each for each in broken if each.too_deep or text[each.start + 1 : each.stopped].strip()]
    if torn or (broken and not found):
        return _refused(_said(text, (torn or broken)[0]), "answer with one JSON object, whole")
    if meant:
        return meant[0]
    if found:
        return _refused(f"no JSON object in the answer has the key '{key}'", f"put the tasks into `{key}`")
    what = "is a JSON list, not an object" if text.lstrip()[:1] == "[" else "holds no JSON object"
    return _refused(f"the answer {what}", f"answer with one JSON object that has the key `{key}`")


def _said(text: str, broken: Broken) -> str:
    if broken.too_deep:
        return "the answer's JSON is nested too deep"
    if not text[broken.stopped :].strip(" \n\t`") or broken.message.startswith("Unterminated string"):
        line = text.count("\n", 0, broken.start) + 1
        return f"the answer is cut off: the JSON object that begins in line {line} has no end"
    line = text.count("\n", 0, broken.stopped) + 1
    column = broken.stopped - text.rfind("\n", 0, broken.stopped)
    return f"the answer's JSON is broken in line {line}, column {column}: {broken.message}"


# -- reading it --------------------------------------------------------------------------------------------------------


def _breakdown(document: Document, key: str, terms: Terms) -> Answer:
    raw = document.value
    if key not in raw:  # the plan alone, without the answers around it
        raw, inside = {key: raw}, core_faults.Path()
    else:
        inside = (key,)

    def locate(path: core_faults.Path) -> tuple[str, int, int]:
        return (ANSWER, *document.locate(path))

    faults = located(_faults_around(raw, key), locate)
    if terms.earlier is None:
        plan, of_plan = _new_plan(raw["plan"], terms)
    else:
        plan, of_plan = apply_change(terms.earlier, raw["change"], terms.agents, terms.not_allowed)
    faults += located((replace(fault, path=(*inside, *fault.path)) for fault in of_plan), locate)
    if plan is None or any(fault.severity == "error" for fault in faults):
        return Answer(None, tuple(faults))
    notes = {name: raw[name] for name in (*_TEXTS, *_LISTS) if name in raw}
    return Answer(TaskBreakdown(plan=plan, **notes), tuple(faults))


def _new_plan(raw: Any, terms: Terms) -> tuple[Plan | None, list[Fault]]:
    if isinstance(raw, Mapping) and isinstance(raw.get("tasks"), Mapping):  # their order is what S0's rule is about
        message, remedy = "`tasks` must be a list, not a mapping", "write a list of tasks with ids"
        return None, [Fault("error", message, "", ("tasks",), remedy)]
    plan, faults = validate(raw, topology=True, agents=terms.agents)
    if plan is not None:
        faults += terms.not_allowed(plan)
    return plan, faults


def _faults_around(raw: Mapping[str, Any], key: str) -> list[Fault]:
    """What is wrong beside the plan."""
    known = (*_TEXTS, *_LISTS, key)
    faults = []
    for name, value in raw.items():
        if name not in known:
            match = nearest(name, known)
            remedy = f"did you mean '{match}'?" if match else f"known keys: {', '.join(known)}"
            faults.append(Fault("error", f"unknown key '{name}'", "", (name,), remedy))
        elif name in _TEXTS and not isinstance(value, str):
            faults.append(Fault("error", f"{name} must be text", "", (name,), "say it in a sentence"))
        elif name in _LISTS and not (isinstance(value, list) and all(isinstance(item, str) for item in value)):
            faults.append(Fault("error", f"{name} must be a list of texts", "", (name,), "write one text for each"))
        elif name in _LISTS and len(value) > MAX_NOTES:
            faults.append(Fault("error", f"{name} has more than {MAX_NOTES} entries", "", (name,), "keep what matters"))
        elif name != key and max(map(len, [value] if isinstance(value, str) else value), default=0) > MAX_NOTE:
            faults.append(Fault("error", f"{name} is longer than {MAX_NOTE} characters", "", (name,), "say it shorter"))
    return faults
