"""The command usage: what coding agents cost, in tokens, dollars and time."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from orchestrator_nb.cli import options
from orchestrator_nb.cli.output import Part, say, say_json, show_table

if TYPE_CHECKING:
    from orchestrator_nb.projections.usage import TotalUsage
    from orchestrator_nb.runtime.session import Session

_COLUMNS = ("ATTEMPTS", "TOKENS IN", "CACHED", "OUT", "COST", "TIME")


def usage(session: options.Session = None, as_json: options.Json = False) -> None:
    """Show what coding agents have used.

    By agent and by task, over all attempts: tokens, US dollars, time. What is not known is "unknown", not 0.
    """
    from orchestrator_nb.cli.picking import opened
    from orchestrator_nb.projections.usage import by_agent, by_task, of_run, used

    found = opened(session)
    attempts = by_task(found.state)
    if as_json:
        say_json(usage_facts(found))
        return
    if not attempts:
        say(f"No coding agent has been started in session {found.id}.")
        return
    show_table(["AGENT", *_COLUMNS], [[agent, *_cells(figures)] for agent, figures in by_agent(found.state).items()])
    say()
    rows = [[task, _agents(found, task), *_cells(used(of_task))] for task, of_task in attempts.items()]
    show_table(["TASK", "AGENT", *_COLUMNS], rows)
    say()
    say(("All: ", "bold"), str(of_run(found.state)))


def usage_facts(session: Session) -> dict[str, Any]:
    """What ``--json`` prints: `total`, `agents` by kind, `tasks`, each with its attempts."""
    from orchestrator_nb.projections.usage import attempts_facts, by_agent, by_task, of_run, used

    state = session.state
    return {
        "session": session.id,
        "total": of_run(state).facts(),
        "agents": {agent: figures.facts() for agent, figures in by_agent(state).items()},
        "tasks": [
            {"task": task, "usage": used(attempts).facts(), "attempts": attempts_facts(attempts)}
            for task, attempts in by_task(state).items()
        ],
    }


def _agents(session: Session, task: str) -> str:
    return ", ".join(dict.fromkeys(attempt.agent for attempt in session.state.agent_attempts[task]))


def _cells(figures: TotalUsage) -> Iterable[Part]:
    from orchestrator_nb.projections.words import duration

    least = "" if figures.counted == figures.attempts else "≥ "
    known = bool(figures.counted)
    tokens = (figures.input_tokens, figures.cached_tokens, figures.output_tokens)
    time = "unknown" if not figures.timed else duration(figures.known_seconds)
    return [
        str(figures.attempts),
        *(f"{least}{number:,}" if known else "unknown" for number in tokens),
        figures.cost_in_words.removeprefix("cost "),
        f"{'' if figures.timed in (0, figures.attempts) else '≥ '}{time}",
    ]
