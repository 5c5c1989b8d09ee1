"""Room in budgets: reservations, waiting for what runs, questions, passes, warnings, prices."""

from __future__ import annotations

from typing import Any

from orchestrator_nb.core import events as e
from orchestrator_nb.core.decide import admit, ending, rule
from orchestrator_nb.core.ledger import RUN
from orchestrator_nb.core.models import Plan
from orchestrator_nb.core.state import State, fold
from orchestrator_nb.policies.admission import Admission
from orchestrator_nb.policies.budget import Purse, left_for, priced, warned_of
from orchestrator_nb.policies.retry import RetryPolicy

PLAN = e.Artifact("blobs/0", 1, "0")


class Scene:
    """A run whose steps are taken by hand."""

    def __init__(self, *tasks: dict[str, Any], **limits: Any) -> None:
        work = {"prompt": "do", "agent": "claude"}
        self.plan = Plan.model_validate({"tasks": [{**work, **task} for task in tasks], "limits": limits})
        self.state, self.records, self.at = State(), list[e.Record](), 100.0
        self.tell(e.PlanAccepted(1, PLAN, "t", len(tasks)), e.RunStarted(1, 1, "h"))

    def tell(self, *events: e.AnyEvent) -> Scene:
        for event in events:
            record = e.Record(len(self.records) + 1, self.at, event)
            self.state.apply(record, self.plan if isinstance(event, e.PlanAccepted) else None, self.at)
            self.records.append(record)
        return self

    def step(self) -> list[str]:
        """What the runner does; the tasks that it starts."""
        while rulings := rule(self.state, RetryPolicy()):
            self.tell(*rulings)
        purse = Purse(self.at)
        starts = admit(self.state, Admission(10), self.at, purse)
        for task in starts:
            self.tell(e.TaskStarted(task.id, task.attempt + 1, reserved=purse.reserved.get(task.id)))
        return [task.id for task in starts]

    def lacks(self) -> list[tuple[str, str, str]]:
        found, self.state.unaffordable = self.state.unaffordable, []
        return [(task.id, scope, thing) for task, scope, thing in found]

    def spend(self, task: str, cost: float | None = None, tokens: int = 0, *, end: bool = False) -> Scene:
        attempt = self.state.tasks[task].attempt
        self.tell(e.AgentSpent(task, attempt, tokens, 0, 0, cost, end))
        return self.tell(e.TaskCompleted(task, attempt)) if end else self


def claudes(*ids: str, **limits: Any) -> Scene:
    return Scene(*({"id": i} for i in ids), **limits)


def test_what_is_declared_is_kept_free_until_it_is_known() -> None:
    scene = claudes("a", "b", "c", budget={"money": 1.0, "reserve": {"money": 0.4}})
    assert scene.step() == ["a", "b"]
    assert scene.lacks() == [], "c may start when one of them has ended"
    run = scene.state.ledger.accounts[RUN]
    assert (run.money, run.kept_money) == (0, 800_000_000)
    scene.spend("a", 0.1)
    assert (run.money, run.kept_money) == (100_000_000, 700_000_000), "what is used comes out of what is kept"
    assert scene.step() == []
    scene.spend("a", 0.15, end=True)
    assert (run.money, run.kept_money) == (150_000_000, 400_000_000)
    assert scene.step() == ["c"]


def test_where_no_end_can_make_room_it_is_unaffordable() -> None:
    scene = claudes("a", "b", budget={"money": 1.0})
    assert scene.step() == ["a", "b"], "nothing is known of them"
    scene = Scene({"id": "a"}, {"id": "b", "dependencies": ["a"]}, {"id": "c", "dependencies": ["a"]},
                  {"id": "f", "agent": "", "prompt": None, "command": "x", "dependencies": ["a"]},
                  budget=1)  # fmt: skip
    scene.step()
    scene.spend("a", 1.0, end=True)
    assert scene.step() == ["f"], "a command uses no money"
    assert scene.lacks() == [("b", RUN, "money"), ("c", RUN, "money")]
    assert ending(scene.state) == ""


def test_the_largest_attempt_so_far_is_kept_free_but_never_more_than_is_left() -> None:
    scene = Scene({"id": "a"}, *({"id": i, "dependencies": ["a"]} for i in "bcd"), budget=1)
    scene.step()
    scene.spend("a", 0.4, end=True)
    assert scene.step() == ["b"], "0.4 more would pass the limit with c"
    assert scene.lacks() == []
    scene.spend("b", 0.4, end=True)
    assert scene.step() == ["c"], "0.2 are left: it may use them"
    assert scene.state.ledger.accounts[RUN].kept_money == 200_000_000


def test_a_tasks_own_budget_is_kept_free_for_it() -> None:
    scene = Scene({"id": "a", "budget": "0.6$"}, {"id": "b", "budget": "0.6$"}, budget=1)
    assert scene.step() == ["a"]
    scene.spend("a", 0.2, end=True)
    assert scene.step() == ["b"]


def test_one_scope_holds_up_its_own_tasks_only() -> None:
    scene = Scene({"id": "a"}, {"id": "b"}, {"id": "x", "agent": "codex"}, {"id": "y", "agent": "codex"},
                  budget={"agents": {"claude": "1 attempt"}})  # fmt: skip
    assert scene.step() == ["a", "x", "y"]
    assert scene.lacks() == [("b", "agent claude", "attempts")]


def test_wall_time_is_that_during_which_anything_ran() -> None:
    scene = Scene({"id": "a"}, {"id": "b"}, {"id": "c", "dependencies": ["a", "b"]}, budget="1m")
    scene.step()
    scene.at += 40
    scene.spend("a", end=True).spend("b", end=True)
    assert scene.state.ledger.accounts[RUN].seconds == 40, "side by side counts once"
    scene.at += 3600
    assert scene.step() == ["c"], "when nothing ran does not count"
    scene.at += 20
    scene.tell(e.TaskFailed("c", 1, "x"), e.TaskRetryScheduled("c", 0.0))
    scene.step()
    assert scene.lacks() == [("c", RUN, "time")]


def test_a_crashed_attempt_counts_until_the_last_thing_that_was_written() -> None:
    scene = claudes("a", budget="1h")
    scene.step()
    scene.at += 30
    scene.spend("a", 0.1)
    scene.at += 86_400
    scene.tell(e.AttemptInterrupted("a", 1, "died", crashed=True), e.RunStarted(2, 1, "h", resumed=True))
    assert scene.state.ledger.accounts[RUN].seconds == 30
    assert scene.step() == ["a"]
    assert scene.state.ledger.accounts[RUN].money == 100_000_000, "what it used was used"


def ask(scene: Scene, task: str, scope: str = RUN, thing: e.Thing = "money") -> str:
    scene.tell(e.CheckpointReached("q", task, 1, "?", "0", budget=scope, thing=thing))
    return "q"


def test_a_raise_lets_all_go_on_and_a_pass_one_attempt() -> None:
    def out_of_money() -> Scene:
        scene = Scene({"id": "a"}, *({"id": i, "dependencies": ["a"]} for i in "bc"), budget=1)
        scene.step()
        scene.spend("a", 1.0, end=True).step()
        scene.lacks()
        ask(scene, "b")
        assert scene.step() == []
        return scene

    scene = out_of_money()
    scene.tell(e.CheckpointApproved("q", "0", answer=9), e.BudgetChanged(RUN, money=9.0))
    assert scene.step() == ["b", "c"]
    scene = out_of_money()
    scene.tell(e.CheckpointApproved("q", "0"))
    assert scene.step() == ["b"]
    scene = out_of_money()
    scene.tell(e.CheckpointRejected("q", "0", "too dear"))
    assert scene.state.tasks["b"].status == "pending", "a no says nothing about the task"
    scene = out_of_money()
    scene.tell(e.TaskCancelled("b"))
    assert scene.step() == []
    assert scene.lacks() == [("c", RUN, "money")], "the next one asks"
    scene = out_of_money()
    scene.tell(e.BudgetChanged(RUN, money=9.0, by="resume"))
    assert scene.step() == ["b", "c"], "the limit was raised elsewhere: that is the answer"
    assert fold(scene.records, lambda _: scene.plan).ledger.limits == scene.state.ledger.limits


def test_an_unknown_price_keeps_what_was_kept_for_it() -> None:
    scene = claudes("a", budget={"money": 1.0, "reserve": {"money": 0.4}})
    scene.step()
    scene.spend("a", None, tokens=500, end=True)
    run = scene.state.ledger.accounts[RUN]
    assert (run.money, run.kept_money, run.unpriced) == (0, 400_000_000, 1)


def test_a_soft_limit_is_told_once_and_again_when_it_was_raised() -> None:
    scene = claudes("a", "b", budget={"money": 1.0, "soft": 0.5})
    scene.step()
    assert warned_of(scene.state, scene.at) == []
    scene.spend("a", 0.5)
    warned = warned_of(scene.state, scene.at)
    assert warned == [e.BudgetWarned(RUN, "money")]
    scene.tell(*warned).spend("a", 0.6)
    assert warned_of(scene.state, scene.at) == []
    scene.tell(e.BudgetChanged(RUN, money=2.0)).spend("b", 0.5)
    assert warned_of(scene.state, scene.at) == [e.BudgetWarned(RUN, "money")]


def test_tokens_become_money_by_the_plans_prices() -> None:
    scene = Scene({"id": "a", "agent": "codex", "parameters": {"model": "big"}}, {"id": "b", "agent": "codex"},
                  prices={"codex": {"input": 1, "output": 10}, "big": {"input": 5, "output": 50}})  # fmt: skip
    scene.step()
    told = e.AgentSpent("a", 1, 100_000, 10_000)
    assert priced(scene.state, told).cost == 1.0
    assert priced(scene.state, told).by_price
    assert priced(scene.state, e.AgentSpent("b", 1, 100_000, 10_000)).cost == 0.2
    own = e.AgentSpent("a", 1, 100_000, 10_000, cost=0.3)
    assert priced(scene.state, own) is own, "what the agent tells goes first"


def test_who_is_held_up_elsewhere_lets_the_next_one_have_the_room() -> None:
    codex = {"agent": "codex"}
    scene = Scene({"id": "x", **codex}, {"id": "y"}, {"id": "a"}, {"id": "c", **codex},
                  budget={"money": 1.2, "reserve": {"money": 0.5},
                          "agents": {"claude": {"money": 0.5, "reserve": {"money": 0.5}}}})  # fmt: skip
    assert scene.step() == ["x", "y"]
    scene.spend("x", 0.1, end=True)
    assert scene.step() == ["c"], "a waits for y, and is in nobody's way"


def test_a_nested_run_may_use_what_is_left_and_what_is_kept_for_its_attempt() -> None:
    scene = Scene({"id": "x"}, {"id": "y", "budget": {"money": 0.4, "time": 60}}, budget={"money": 1, "tokens": 100})
    scene.step()
    scene.spend("x", 0.3, tokens=40)
    scene.at += 20
    assert left_for(scene.state.ledger, "y", scene.at) == {"money": 400_000_000, "tokens": 60, "time": 40.0}
    assert left_for(scene.state.ledger, "x", scene.at) == {"money": 300_000_000, "tokens": 60}


def test_who_reviews_and_who_merges_counts_for_the_run_and_its_kind() -> None:
    scene = claudes("a", budget=1)
    for tokens, cost in ((50, 0.1), (90, 0.4)):
        told = e.AgentSpent("merging", 1, tokens, 0, 0, cost, tokens == 90)
        scene.tell(e.SideWorkTold(e.AgentStarted("merging", 1, "model")), e.SideWorkTold(told))
    accounts = scene.state.ledger.accounts
    assert (accounts[RUN].money, accounts["agent model"].tokens, accounts[RUN].attempts) == (400_000_000, 90, 0)
