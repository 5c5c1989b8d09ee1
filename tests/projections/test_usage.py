"""What agents used: sums that know what they do not know."""

from __future__ import annotations

import pytest

from orchestrator_nb.core import events as e
from orchestrator_nb.merging import collect
from orchestrator_nb.projections.usage import (
    TotalUsage,
    attempts_facts,
    by_agent,
    by_task,
    label,
    line,
    marks,
    of_run,
    of_task,
)
from tests.histories import History, tell

PLAN = {"tasks": [{"id": name, "agent": "claude", "prompt": "x"} for name in "abc"]}


def begin(task: str, agent: str = "claude", attempt: int = 1, sandbox: str = "bubblewrap") -> list[e.AnyEvent]:
    return [e.TaskStarted(task, attempt, 1), e.AgentStarted(task, attempt, agent, "edit", sandbox)]


def told(*events: e.AnyEvent) -> History:
    return tell(PLAN, *events)


BOTH = [
    *begin("b", "codex"),
    *begin("a"),
    e.AgentSpent("a", 1, 1200, 34, 1000, 0.25, final=True),
    e.AgentSpent("b", 1, 100, 5, 0, None, final=True),
    e.TaskCompleted("a", 1, 2.0),
    e.TaskCompleted("b", 1, 3.0),
]


def test_nothing_is_told_before_an_agent_works() -> None:
    history = told(e.TaskStarted("a", 1, 1))
    assert of_run(history.state) == TotalUsage()
    assert (str(of_run(history.state)), line(history.state)) == ("", "")
    assert line(told(*begin("a")).state) == ""


def test_an_unknown_price_makes_a_sum_a_least() -> None:
    state = told(*BOTH).state
    assert str(of_task(state, "a")) == "1,200 tokens in, 34 out, 0.2500 $"
    assert str(of_task(state, "b")) == "100 tokens in, 5 out, cost unknown"
    whole = of_run(state)
    assert (whole.cost, whole.known_cost, whole.seconds) == (None, 0.25, 5.0)
    assert str(whole) == "1,300 tokens in, 39 out, at least 0.2500 $"
    assert whole.facts()["cost"] is None
    assert list(by_agent(state)) == ["codex", "claude"]
    assert line(state) == (
        "All agents: 1,300 tokens in, 39 out, at least 0.2500 $; codex: 100 tokens in, 5 out, cost unknown; "
        "claude: 1,200 tokens in, 34 out, 0.2500 $"
    )


def test_an_attempt_that_told_nothing_is_unknown_and_not_0() -> None:
    history = told(*begin("a"), e.TaskFailed("a", 1, "broken"))
    assert str(of_task(history.state, "a")) == "tokens unknown, cost unknown"
    assert of_task(history.state, "a").short == "unknown"
    history.tell(e.TaskRetryScheduled("a", 0.0), *begin("a", attempt=2), e.AgentSpent("a", 2, 10, 1, cost=0.5))
    assert str(of_task(history.state, "a")) == "at least 10 tokens in, 1 out, at least 0.5000 $"


def test_only_attempts_that_are_over_are_in_files() -> None:
    state = told(*BOTH, *begin("c"), e.AgentSpent("c", 1, 10**6, 1)).state
    assert by_agent(state, over=True)["claude"].input_tokens == 1200
    assert by_agent(state)["claude"].input_tokens == 1_001_200
    assert list(by_task(state)) == ["a", "b", "c"]


@pytest.mark.parametrize(("tokens", "words"), [(999, "999"), (1200, "1.2k"), (35_400, "35k"), (1_300_000, "1.3M")])
def test_a_tables_cell_is_short(tokens: int, words: str) -> None:
    state = told(*begin("a"), e.AgentSpent("a", 1, tokens, 5, 0, 1234.5)).state
    assert of_task(state, "a").short == f"{words} in, 5 out, 1,234.50 $"


def test_what_is_not_contained_and_what_was_refused_is_marked() -> None:
    denied = [e.AgentDenied("a", 1, "Bash", "make", "no", remedy="level `full`", id=f"{n}") for n in range(2)]
    attempts = told(*begin("a", sandbox="uncontained"), *denied).state.agent_attempts["a"]
    assert marks(attempts) == "⚠ uncontained, 2 refused"
    assert marks(told(*begin("a")).state.agent_attempts["a"]) == ""
    assert marks([]) == ""
    (facts,) = attempts_facts(attempts)
    assert (facts["sandbox"], facts["usage"]["cost"], facts["over"]) == ("uncontained", None, False)
    assert facts["denials"][0]["remedy"] == "level `full`"


def test_an_agent_that_touches_nothing_tells_what_it_uses_as_well() -> None:
    events = [
        e.TaskStarted("a", 1, 1),
        e.AgentStarted("a", 1, "model"),
        e.AgentSpent("a", 1, 10, 1, 0, 0.5, final=True),
    ]
    history = told(*events)
    assert history.state.tasks["a"].message == "model"
    history.tell(e.TaskFailed("a", 1, "broken"))
    assert line(history.state) == "model: 10 tokens in, 1 out, 0.5000 $"
    assert label(history.state.agent_attempts["a"][0]) == "model"
    assert collect(history.state, history.read).contributions[0].work is None
