"""S1's simple concatenation."""

from __future__ import annotations

from orchestrator_nb.core.reports import Finding, Report
from orchestrator_nb.merging import Collection, Contribution, merge


def test_one_section_an_agent() -> None:
    collection = Collection(
        "Results",
        (
            Contribution("Agent-01", "a", "Text", result="# Said\nso", file="results/agent-01-result.md"),
            Contribution(
                "Agent-02",
                "b",
                "Report",
                result=Report("One.", (Finding("bad", "style"),)),
                file="results/agent-02-result.md",
            ),
            Contribution("Agent-03", "c", "Files", outputs={"a.png": "outputs/c/a.png", "b.csv": "outputs/c/b.csv"}),
            Contribution("Agent-04", "d", "Failed", missing="it failed: no"),
            Contribution("Agent-05", "e", "Quiet"),
        ),
    )
    assert merge("concatenate", collection) == (
        "# Results\n\n"
        "## Agent-01 Output\n\nText\n\n> **Said**\n>\n> so\n\n"
        "## Agent-02 Output\n\nReport\n\nOne.\n\n### Style: 1 finding (1 medium)\n\n"
        "| Severity | Where | Finding | Rule |\n| --- | --- | --- | --- |\n| 🟠 medium | – | bad | – |\n\n"
        "## Agent-03 Output\n\nFiles\n\n![Files: a.png](outputs/c/a.png)\n\n- [b.csv](outputs/c/b.csv)\n\n"
        "## Agent-04 Output\n\nFailed\n\nMissing: it failed: no\n\n"
        "## Collection checklist\n\n| Agent | Expected File | Status |\n| --- | --- | --- |\n"
        "| Agent-01 | [agent-01-result.md](results/agent-01-result.md) | ✅ |\n"
        "| Agent-02 | [agent-02-result.md](results/agent-02-result.md) | ✅ |\n"
        "| Agent-03 | [a.png](outputs/c/a.png), [b.csv](outputs/c/b.csv) | ✅ |\n"
        "| Agent-04 | agent-04-result.md | ❌ it failed: no |\n\n"
        "1 more task completed and left no result.\n"
    )
