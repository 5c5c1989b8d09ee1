"""One row a task."""

from __future__ import annotations

from orchestrator_nb.core.tasks import TaskStatus
from orchestrator_nb.merging import Collection, Contribution, merge
from orchestrator_nb.merging.tabular import MAX_COLUMNS

FILES = {"n.ipynb": "outputs/a/n.ipynb", "n-1.png": "outputs/a/n-1.png", "n-2.png": "outputs/a/n-2.png"}


def test_parameters_values_result_and_the_last_picture_stand_in_columns() -> None:
    collection = Collection(
        "Sweep",
        (
            Contribution(
                *("Agent-01", "a", "a"), result="Best.", outputs=FILES, values={"score": 0.123456789, "n": [1]},
                parameters={"x": 1, "same": True, "seed": 7},
            ),
            Contribution(
                *("Agent-02", "b", "b", TaskStatus.FAILED), missing="it failed: cell 1\nTraceback",
                parameters={"x": 2, "same": True, "seed": 7},
            ),
            Contribution("Agent-03", "c", "c", parameters={"x": "a|b", "same": True, "y": None, "seed": 7}),
        ),
    )  # fmt: skip
    assert merge("table", collection) == (
        "# Sweep\n\n"
        "- Runs completed: 2 of 3\n"
        "- Missing: b\n"
        "- The same in all: same = true, seed = 7\n\n"
        "| Run | x | y | Status | score | n | Result | Picture |\n"
        "| --- | --- | --- | --- | --- | --- | --- | --- |\n"
        "| [a](outputs/a/n.ipynb) | 1 |  | ✅ | 0.123457 | \\[1\\] | Best. | ![a](outputs/a/n-2.png) |\n"
        "| b | 2 |  | ❌ it failed: cell 1 |  |  |  |  |\n"
        "| c | a\\|b | null | ✅ |  |  |  |  |\n"
    )


def test_what_the_agent_says_itself_and_what_is_among_the_values_is_no_result() -> None:
    recorded = {"result": 5, "n": 1}
    items = (
        Contribution("Agent-01", "a", "a", result="Executed n.ipynb: 3 code cells.", outputs=FILES),
        Contribution("Agent-02", "b", "b", result=recorded, values=recorded),
        Contribution("Agent-03", "c", "c", result=5, values=recorded),
    )
    assert "Result" not in merge("table", Collection("t", items)).replace("result", "")


def test_very_many_columns_are_counted() -> None:
    items = (Contribution("Agent-01", "a", "a", values={f"v{n}": n for n in range(100)}),)
    text = merge("table", Collection("t", items))
    assert f"Shown are the first {MAX_COLUMNS} parameters and values" in text
    assert f"| v{MAX_COLUMNS - 1} |" in text
    assert f"v{MAX_COLUMNS}" not in text


def test_text_cannot_break_the_table() -> None:
    hostile = "a | b\n\n# heading\n<script>alert(1)</script> [x](javascript:alert(1)) ${x}"
    items = (Contribution("Agent-01", "a", "a", result=hostile, parameters={hostile: hostile}, values={"v": hostile}),)
    lines = merge("table", Collection(hostile, items)).splitlines()
    table = [line for line in lines if line.startswith("|")]
    assert len(table) == 3
    assert {len(line.replace("\\|", "").split("|")) for line in table} == {7}
    assert not any(line.startswith("#") for line in lines[1:])
    assert "<script" not in "".join(lines).replace("\\<", "")
