"""Findings as Markdown: order, attribution, long lists."""

from __future__ import annotations

from orchestrator_nb.core.reports import Finding
from orchestrator_nb.projections.findings import (
    Found,
    breakdown,
    by_category,
    category_title,
    figure,
    figures_table,
    findings_tables,
    sources,
)


def finding(severity: str = "low", file: str = "a.py", line: int | None = 1, **more: str) -> Finding:
    return Finding("message", more.get("category", "style"), severity, file, line, more.get("rule", "R1"))  # type: ignore[arg-type]


def test_categories_come_worst_first_and_findings_by_severity_file_and_line() -> None:
    found = [
        Found(finding("low", "b.py", 2)),
        Found(finding("low", "b.py", 1)),
        Found(finding("high", "c.py", 9)),
        Found(finding("critical", category="Security ")),
        Found(finding("info", category="other")),
        Found(finding("info", category="another")),
    ]
    groups = by_category(reversed(found))
    assert list(groups) == ["security", "style", "another", "other"]
    assert [(item.finding.file, item.finding.line) for item in groups["style"]] == [
        ("c.py", 9),
        ("b.py", 1),
        ("b.py", 2),
    ]
    assert breakdown(found) == "1 critical, 1 high, 2 low, 2 info"


def test_sources_are_counted_when_there_are_several() -> None:
    first, second = Found(finding(), ("Agent-02",)), Found(finding(line=2), ("Agent-02", "Agent-03"))
    assert sources([first, first]) == "from Agent-02"
    assert sources([first, second]) == "2 from Agent-02, 1 from Agent-03"
    assert "| From |" in findings_tables([first, second], 10, "")
    assert "| Agent-02, Agent-03 |" in findings_tables([first, second], 10, "")
    assert "| From |" not in findings_tables([first, first], 10, "")


def test_long_lists_begin_with_an_overview_and_are_cut() -> None:
    found = [Found(finding(line=line, rule="R1" if line % 3 else "R2")) for line in range(1, 31)]
    text = findings_tables(found, 20, " in x.md")
    overview, table = text.split("\n\n", 1)
    assert "| `R1` | 🟡 low | 20 | 1 | message |\n| `R2` | 🟡 low | 10 | 1 | message |" in overview
    assert table.count("`a.py:") == 20
    assert table.endswith("… and 10 more findings in x.md\n")
    assert findings_tables(found[:5], 20, "").count("| Rule |") == 1
    different = [Found(finding(rule=f"R{n}")) for n in range(30)]
    assert "For example" not in findings_tables(different, 100, "")


def test_places_and_titles() -> None:
    text = findings_tables(
        [Found(finding(file="", line=3)), Found(finding(line=None)), Found(finding(file="", line=None))], 9, ""
    )
    assert "| line 3 |" in text
    assert "| `a.py` |" in text
    assert "| – | message" in text
    assert category_title("code_smell") == "Code smell"
    assert category_title("# x") == "\\# x"


def test_figures() -> None:
    assert [figure(value) for value in (1234567, 1.5, "a|b", True, None, [1])] == [
        "1,234,567", "1.5", "a\\|b", "`true`", "`null`", "`[1]`",
    ]  # fmt: skip
    assert figures_table([("A", {}), ("B", {})]) == ""
    assert "| From |" in figures_table([("A", {"n": 1}), ("B", {"n": 2})])
