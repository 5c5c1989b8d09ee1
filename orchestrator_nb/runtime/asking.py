"""From a prompt and a few words to a goal: who plans, who verifies, what the plans may use."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from orchestrator_nb.agents.registry import Registry
from orchestrator_nb.core.models import Work
from orchestrator_nb.errors import AgentError, OrchestratorError
from orchestrator_nb.planning.goal import Goal
from orchestrator_nb.planning.rights import Rights
from orchestrator_nb.storage.settings import Settings

#: Who plans or verifies: a kind of agent, ``claude`` or with a model ``claude@opus``; ``command:``, ``function:`` or
#: ``notebook:`` with what it is; a mapping with the keys of a task's work; or a function of Python's.
Who = str | Mapping[str, Any] | Callable[..., Any]

#: Characters of a prompt.
MAX_REQUEST = 200_000


@dataclass(frozen=True)
class Asked:
    """A goal, with the functions that were handed in for it."""

    goal: Goal
    functions: Mapping[str, Callable[..., Any]]


def goal_of(  # noqa: PLR0913 - what one can say beside a prompt
    request: str,
    settings: Settings,
    base: Path,
    *,
    planner: Who | None = None,
    verifier: Who | None = None,
    allow: Iterable[str] = (),
    approval: bool = True,
    sequential: bool = False,
) -> Asked:
    """The goal of a session.

    Args:
        request: The prompt.
        settings: They say who plans and verifies where that is left out.
        base: Where the paths of `allow` and of the plans begin.
        planner: Who plans.
        verifier: Who verifies; ``none`` for nobody. Left out, the planner does, if it is an agent.
        allow: What the plans may use beside the planner's kind of agent (`planning.rights.Rights.of`).
        approval: Whether a person approves each plan.
        sequential: Whether S0's router carries the plans out.

    Raises:
        OrchestratorError: The request is empty, too long or no text; nobody can plan or verify as is said.
        ParameterError: A word of `allow` means nothing.
    """
    text = request.strip()
    if not text:
        raise OrchestratorError("the prompt is empty: say what is to be reached")
    if len(text) > MAX_REQUEST:
        raise OrchestratorError(f"the prompt has {len(text):,} characters, at most {MAX_REQUEST:,}: name files instead")
    if "\0" in text or any("\ud800" <= character <= "\udfff" for character in text):
        raise OrchestratorError("the prompt holds what is no text: a NUL character or half of a surrogate pair")
    functions: dict[str, Callable[..., Any]] = {}
    plans = _work(planner or settings.planner, "planner", functions)
    if plans is None or plans.command is not None or plans.notebook is not None:
        raise OrchestratorError("the planner must be an agent or a function")
    checks: Work | None
    if verifier is None and not settings.verifier:
        checks = plans if plans.agent else None
    else:
        checks = _work(verifier or settings.verifier, "verifier", functions)
    words = [*filter(None, (word.strip() for word in settings.allow.split(","))), *allow]
    rights = Rights.of([*([f"agent:{plans.agent}"] if plans.agent else []), *words], base)
    goal = Goal(
        request=text,
        planner=plans,
        planner_timeout=settings.planner_timeout,
        verifier=checks,
        rights=rights,
        approval=approval,
        sequential=sequential,
    )
    return Asked(goal, functions)


def _work(who: Who, role: str, functions: dict[str, Callable[..., Any]]) -> Work | None:
    """The work of a planner or verifier; None for ``none``. A function is added to `functions`."""
    if callable(who):
        functions[role] = who
        return Work(function=f":{role}")
    if isinstance(who, Mapping):
        try:
            return Work.model_validate(dict(who))
        except ValidationError as error:
            raise OrchestratorError(f"the {role} cannot be that: {error.errors()[0]['msg']}") from None
    kind, _, rest = who.partition(":")
    if who == "none":
        return None
    if kind in ("command", "function", "notebook"):
        if not rest.strip():
            raise OrchestratorError(f"the {role} '{who}' names no {kind}")
        return Work(**{kind: rest.strip()})
    agent, _, model = who.partition("@")
    options: dict[str, Any] = {"level": "read"} if _is_coding(agent) else {}
    return Work(agent=agent, parameters={**options, "model": model} if model else options)


def _is_coding(kind: str) -> bool:
    """Whether agents of this kind have levels: a planner and a verifier only read."""
    try:
        return hasattr(Registry().get(kind), "cli")
    except AgentError as error:
        raise OrchestratorError(str(error)) from None
