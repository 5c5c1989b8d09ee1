"""Findings as Markdown, organised by category (S1 4.2), for one agent's result and for the merged report."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from orchestrator_nb.core.reports import SEVERITIES, Finding
from orchestrator_nb.projections.text import code, inline, table
from orchestrator_nb.projections.words import count, some

SEVERITY_ICONS = {"critical": "🟣", "high": "🔴", "medium": "🟠", "low": "🟡", "info": "🔵"}
#: A category with more findings than this gets an overview by rule first.
_OVERVIEW = 15
#: Rules that an overview lists.
_RULES = 20


class Found(NamedTuple):
    """A finding, and the agents that made it."""

    finding: Finding
    agents: tuple[str, ...] = ()


def by_category(found: Iterable[Found]) -> dict[str, list[Found]]:
    """Findings by category, the worst first; in each by severity, file, line. What is of equal rank stays in order."""
    groups: dict[str, list[Found]] = {}
    for item in sorted(found, key=_rank):
        groups.setdefault(item.finding.category.strip().lower() or "general", []).append(item)
    return dict(sorted(groups.items(), key=lambda group: (_severity(group[1][0]), group[0])))


def _rank(item: Found) -> tuple[int, str, int, str]:
    finding = item.finding
    return _severity(item), finding.file, finding.line or 0, finding.rule


def _severity(item: Found) -> int:
    return SEVERITIES.index(item.finding.severity)


def breakdown(found: Sequence[Found]) -> str:
    """``1 high, 4 low``: worst first."""
    counts = Counter(item.finding.severity for item in found)
    return ", ".join(f"{counts[severity]:,} {severity}" for severity in SEVERITIES if counts[severity])


def sources(found: Sequence[Found]) -> str:
    """``from Agent-02``, or ``12 from Agent-02, 3 from Agent-03``: a finding of two agents counts for both."""
    counts = Counter(agent for item in found for agent in item.agents)
    if len(counts) == 1:
        return f"from {next(iter(counts))}"
    return some([f"{number:,} from {agent}" for agent, number in sorted(counts.items())])


def category_title(category: str) -> str:
    """``Security``, ``Code smell``: for a heading."""
    words = category.replace("_", " ")
    return inline(words[:1].upper() + words[1:], 80)


def findings_tables(found: Sequence[Found], limit: int, more: str) -> str:
    """At most `limit` findings of a category, after an overview if they are many; `more` says where the rest is."""
    parts: list[str] = []
    if len(found) > _OVERVIEW:
        parts.append(_overview(found))
    attributed = len({item.agents for item in found}) > 1
    header = ("Severity", "Where", "Finding", "Rule", *(["From"] if attributed else ()))
    parts.append(table(header, (_row(item, attributed) for item in found[:limit])))
    if len(found) > limit:
        parts.append(f"… and {count(len(found) - limit, 'more finding')}{more}\n")
    return "\n".join(parts)


def _row(item: Found, attributed: bool) -> tuple[str, ...]:
    finding = item.finding
    severity = _severity_label(finding.severity)
    cells = (severity, _where(finding), inline(finding.message, 300), code(finding.rule, 80) or "–")
    return (*cells, ", ".join(item.agents)) if attributed else cells


def _where(finding: Finding) -> str:
    if finding.line is None:
        return code(finding.file) or "–"
    return code(f"{finding.file}:{finding.line}") if finding.file else f"line {finding.line}"


def _severity_label(severity: str) -> str:
    return f"{SEVERITY_ICONS[severity]} {severity}"


def _overview(found: Sequence[Found]) -> str:
    """The rules that were broken most, if findings have rules that repeat; else nothing."""
    rules: dict[str, list[Finding]] = {}
    for item in found:
        rules.setdefault(item.finding.rule, []).append(item.finding)
    if len(rules) * 2 > len(found):
        return ""
    ranked = sorted(rules.items(), key=lambda rule: -len(rule[1]))
    rows = [
        (
            code(rule, 80) or "–",
            _severity_label(findings[0].severity),
            f"{len(findings):,}",
            f"{len({finding.file for finding in findings}):,}",
            inline(findings[0].message, 100),
        )
        for rule, findings in ranked[:_RULES]
    ]
    rest = f"\n… and {count(len(ranked) - _RULES, 'more rule')}.\n" if len(ranked) > _RULES else ""
    return table(("Rule", "Severity", "Findings", "Files", "For example"), rows) + rest


def figures_table(figures: Iterable[tuple[str, Mapping[str, Any]]]) -> str:
    """Metrics of one or more agents (label, metrics) as a table; empty if there are none."""
    rows = [(inline(name), figure(value), label) for label, metrics in figures for name, value in metrics.items()]
    if not rows:
        return ""
    if len({label for *_, label in rows}) == 1:
        return table(("Figure", "Value"), (cells[:2] for cells in rows))
    return table(("Figure", "Value", "From"), rows)


def figure(value: Any) -> str:
    """A metric's value: numbers with thousands, text as it is, the rest as JSON."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return code(msgspec.json.encode(value))
    return inline(value) if isinstance(value, str) else f"{value:,}"
