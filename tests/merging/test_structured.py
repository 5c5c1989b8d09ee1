"""S1's structured merge."""

from __future__ import annotations

import msgspec

from orchestrator_nb.core.events import AgentWork, Changed
from orchestrator_nb.core.reports import Finding, Report
from orchestrator_nb.merging import Collection, Contribution, merge
from orchestrator_nb.merging.structured import MAX_FINDINGS, merge_findings

STYLE = tuple(Finding(f"line {n} is long", "style", "low", f"src/{n % 3}.py", n, "E501") for n in range(1, 16))
RISKS = (
    Finding("shell=True", "security", "high", "src/run.py", 4, "B602"),
    Finding("assert used", "security", "low", "src/a.py", 2, "B101"),
    STYLE[0],
)
STYLE_REPORT = Report("15 findings", STYLE)
RISK_REPORT = Report("", RISKS, {"files": 3})
FILES = ("plot one.png", "run.ipynb")
REVIEW = Collection(
    "Code review",
    (
        Contribution("Agent-01", "T-01", "Read code", result={"files": 3}, file="results/agent-01-result.md"),
        Contribution("Agent-02", "T-02", "Style check", result=STYLE_REPORT, file="results/agent-02-result.md"),
        Contribution("Agent-03", "T-03", "Security", result=RISK_REPORT, file="results/agent-03-result.md"),
        Contribution("Agent-04", "T-04", "Figures", outputs={name: f"outputs/T-04/{name}" for name in FILES}),
        Contribution("Agent-05", "T-05", "Opinion", result="Good.", file="results/agent-05-result.md"),
        Contribution("Agent-06", "T-06", "Licences", missing="it failed: exit code 2"),
        Contribution("Agent-07", "T-07", "Warm up"),
    ),
)


def test_the_whole_document() -> None:
    document = merge("structured", REVIEW)
    assert document.startswith(
        "# Code review\n\n## Summary\n\n"
        "- Issues found: 17 (15 from Agent-02, 3 from Agent-03)\n"
        "- Security risks: 2 (from Agent-03) – 1 high, 1 low\n"
        "- Style issues: 15 (15 from Agent-02, 1 from Agent-03) – 15 low\n"
        "- Style check (Agent-02): 15 findings\n"
        "- Tasks delivered: 6 of 7\n- Missing: T-06 (why: see the checklist)\n\n"
        "## Figures\n\n| Figure | Value |\n| --- | --- |\n| files | 3 |\n\n"
        "## Details\n\n### Security\n\n2 findings (from Agent-03): 1 high, 1 low.\n\n"
        "| Severity | Where | Finding | Rule |\n| --- | --- | --- | --- |\n"
        "| 🔴 high | `src/run.py:4` | shell=True | `B602` |\n| 🟡 low | `src/a.py:2` | assert used | `B101` |\n\n"
        "### Style\n\n15 findings (15 from Agent-02, 1 from Agent-03): 15 low.\n"
    )
    assert "| 🟡 low | `src/1.py:1` | line 1 is long | `E501` | Agent-02, Agent-03 |\n" in document
    assert document.endswith(
        "## Pictures\n\n### Figures\n\n![Figures: plot one.png](outputs/T-04/plot%20one.png)\n\n"
        "## Other results\n\n### Read code (Agent-01)\n\n| Figure | Value |\n| --- | --- |\n| files | 3 |\n\n"
        "### Opinion (Agent-05)\n\n> Good.\n\n"
        "## Files\n\n- [run.ipynb](outputs/T-04/run.ipynb) – Figures (Agent-04)\n\n"
        "## Collection checklist\n\n| Agent | Expected File | Status |\n| --- | --- | --- |\n"
        "| Agent-01 | [agent-01-result.md](results/agent-01-result.md) | ✅ |\n"
        "| Agent-02 | [agent-02-result.md](results/agent-02-result.md) | ✅ |\n"
        "| Agent-03 | [agent-03-result.md](results/agent-03-result.md) | ✅ |\n"
        "| Agent-04 | [plot one.png](outputs/T-04/plot%20one.png), [run.ipynb](outputs/T-04/run.ipynb) | ✅ |\n"
        "| Agent-05 | [agent-05-result.md](results/agent-05-result.md) | ✅ |\n"
        "| Agent-06 | agent-06-result.md | ❌ it failed: exit code 2 |\n"
        "\n1 more task completed and left no result.\n"
    )


def test_one_agent_is_counted_as_s1_writes_it() -> None:
    collection = Collection("T", (Contribution("Agent-02", "a", "a", result=Report("", STYLE)),))
    assert "- Issues found: 15 (from Agent-02)\n" in merge("structured", collection)


def test_equal_results_give_equal_bytes() -> None:
    again = msgspec.convert(msgspec.to_builtins([item.result for item in REVIEW.contributions[1:3]]), list[Report])
    contributions = list(REVIEW.contributions)
    contributions[1:3] = [item._replace(result=report) for item, report in zip(contributions[1:3], again, strict=True)]
    assert merge("structured", Collection("Code review", tuple(contributions))) == merge("structured", REVIEW)


def test_the_same_finding_twice_by_one_agent_counts_twice_and_by_two_agents_once() -> None:
    finding = Finding("x")
    found = merge_findings([("A", Report("", (finding, finding))), ("B", Report("", (finding,)))])
    assert [item.agents for item in found] == [("A", "B"), ("A",)]


def test_long_lists_are_cut_and_say_where_the_rest_is() -> None:
    findings = tuple(Finding("m", "style", file=f"{n:04}.py", rule="R") for n in range(MAX_FINDINGS + 5))
    item = Contribution("Agent-02", "a", "a", result=Report("", findings), file="results/agent-02-result.md")
    document = merge("structured", Collection("T", (item,)))
    assert "… and 5 more findings in [agent-02-result.md](results/agent-02-result.md)\n" in document
    assert document.count("`0") == MAX_FINDINGS


def test_nothing_at_all_is_a_document_too() -> None:
    assert merge("structured", Collection("Empty", ())) == "# Empty\n\n## Summary\n\n- Tasks delivered: 0 of 0\n"
    assert "No findings." in merge(
        "structured", Collection("T", (Contribution("Agent-01", "a", "a", result=Report("ok")),))
    )


def test_who_did_what_is_told_and_what_was_not_contained_cannot_be_overlooked() -> None:
    changes = (Changed("src/a|b.py"), Changed("new.py", "added"))
    inside = AgentWork("claude", "edit", "bubblewrap", "", changes, 3)
    outside = AgentWork("codex", "full", "uncontained", "asked for")
    collection = Collection(
        "Work",
        (
            Contribution("Agent-01", "a", "Fix it", result="Fixed.", work=inside),
            Contribution("Agent-02", "b", "Look at it", work=outside),
            Contribution("Agent-03", "c", "Try it", missing="it failed: no", work=inside),
            Contribution("Agent-04", "d", "Count", result="3"),
        ),
    )
    table = (
        "## Who did what\n\n| Agent | Task | Done by | Level | Contained by | Files changed |\n"
        "| --- | --- | --- | --- | --- | --- |\n"
        "| Agent-01 | Fix it | claude | edit | bubblewrap | src/a\\|b.py (modified), `new.py` (added) and 3 more |\n"
        "| Agent-02 | Look at it | codex | full | ⚠️ **uncontained** (asked for) | none |\n"
        "| Agent-03 | Try it | claude | edit | bubblewrap | not completed |\n"
    )
    for strategy in ("structured", "concatenate", "table"):
        assert table in merge(strategy, collection), strategy
