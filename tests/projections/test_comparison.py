from __future__ import annotations

from dataclasses import asdict

from orchestrator_nb.core import events as e
from orchestrator_nb.core.state import State
from orchestrator_nb.projections.comparison import MAX_LINES, MAX_TASKS, MAX_WIDTH, Comparison, compared, html, text
from tests.histories import HOSTILE, tell


def done(
    value: object = 1, seconds: float = 1.0, parameters: dict[str, object] | None = None, **params: object
) -> State:
    task = {"id": "t", "function": "m:f", "parameters": parameters or {}}
    plan = {"params": dict.fromkeys(params), "tasks": [task]}
    events = e.TaskStarted("t", 1), e.TaskCompleted("t", 1, seconds, value=value)
    return tell(plan, *events, **params).state


def test_parameters_of_the_plan_and_of_tasks_are_compared() -> None:
    result = compared(
        done(word="x", same=1, parameters={"k": 1, "j": 2}),
        done(word="y", same=1, parameters={"k": 1, "i": 3}),
        ("", ""),
    )
    assert result.params == {"word": ("x", "y"), "t.j": (2, None), "t.i": (None, 3)}
    assert "parameter t.j: 2 | null" in text(result)


def test_durations_have_a_ratio_where_they_say_something() -> None:
    slow = compared(done(seconds=2.0), done(seconds=3.0), ("", ""))
    assert slow.tasks[0].ratio == 1.5
    assert "×1.50" in text(slow)
    assert "×1.50" in html(slow)
    quick = compared(done(seconds=0.0001), done(seconds=0.01), ("", ""))
    assert "×" not in text(quick)
    assert compared(done(seconds=0.0), done(), ("", "")).tasks[0].ratio is None


def test_the_text_is_aligned_and_the_differences_are_in_the_html() -> None:
    result = compared(done(1), done(2), ("completed", "failed"), lambda _: ["--- a", "+++ b", "@@ 1 @@", "-1", "+2"])
    header, row = text(result).splitlines()[-3:-1]
    assert header.index("took A") == row.index("1s")
    assert header.index("result") == row.index("different")
    assert "-1\n+2</pre>" in html(result)
    assert "<strong>t</strong>" in html(result)
    assert result.diff("t").endswith("-1\n+2")
    bundle = result._repr_mimebundle_()
    assert bundle == {"text/plain": text(result), "text/html": html(result)}
    assert set(asdict(result)) == {"sessions", "statuses", "params", "tasks"}


def test_row_F4_nothing_of_what_agents_wrote_is_html() -> None:
    bad = "$x$" + "".join(HOSTILE) + "</pre><img src=x onerror=alert(1)>"
    a = done(1, word=bad, parameters={"k": bad})
    b = done(2, word="", parameters={"k": f"{bad}2"})
    shown = html(compared(a, b, ("completed", "failed"), lambda _: [f"-{bad}", f"+{bad}"]))
    assert "<script" not in shown
    assert "<img" not in shown
    assert "\x1b" not in shown + text(compared(a, b, ("", "")))
    assert "\u202e" not in shown
    assert "\n\n" not in shown
    assert "$x" not in shown.partition("<pre>")[0]  # where it would be typeset
    assert shown.count("<pre>") == shown.count("</pre>") == 1


def test_large_comparisons_stay_bounded() -> None:
    def many(value: int) -> State:
        tasks = [{"id": f"t{n}", "function": "m:f"} for n in range(MAX_TASKS + 50)]
        history = tell({"tasks": tasks})
        for n, task in enumerate(tasks):
            history.tell(e.TaskStarted(task["id"], 1), e.TaskCompleted(task["id"], 1, value=value if n % 2 else 0))
        return history.state

    lines = ["-" + "x" * 10_000] * 10_000
    result = compared(many(1), many(2), ("completed", "completed"), lambda _: lines)
    half = (MAX_TASKS + 50) // 2
    assert f"… and {half} more tasks" in text(result)
    assert "75 more results that differ" in html(result)
    assert len(html(result)) < 60 * MAX_LINES * (MAX_WIDTH + 20)
    assert isinstance(result, Comparison)
