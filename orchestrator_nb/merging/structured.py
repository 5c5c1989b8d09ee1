"""S1 4.2's structured merge: findings counted and attributed, details by category and not by agent."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import msgspec

from orchestrator_nb.core.reports import Finding, Report
from orchestrator_nb.merging import parts
from orchestrator_nb.merging.collection import Collection, checklist
from orchestrator_nb.projections.findings import (
    Found,
    breakdown,
    by_category,
    category_title,
    figures_table,
    findings_tables,
    sources,
)
from orchestrator_nb.projections.text import inline
from orchestrator_nb.projections.words import count, some

#: Findings of one category that the document lists; the agents' own files hold them all.
MAX_FINDINGS = 100
#: What findings of a category are called in the summary, where "issues" would not say it.
_NOUNS = {"security": "Security risks"}


def structured(collection: Collection) -> str:
    """The document."""
    found = merge_findings(collection.reports)
    sections = [
        f"# {inline(collection.title)}\n",
        _section("Summary", _summary(collection, found)),
        _section("Figures", figures_table((agent, report.metrics) for agent, report in collection.reports)),
        _section("Details", _details(collection, found)),
        _section("Pictures", _pictures(collection)),
        _section("Other results", _others(collection)),
        _section("Files", _files(collection)),
        _section("Who did what", parts.credits_table(collection.contributions)),
        _section("Collection checklist", checklist(collection)),
    ]
    return "\n".join(section for section in sections if section)


def _section(title: str, body: str) -> str:
    return f"## {title}\n\n{body}" if body else ""


def merge_findings(reports: Iterable[tuple[str, Report]]) -> list[Found]:
    """All findings; one that several agents made stands once, with all their names."""
    agents: dict[tuple[Finding, int], list[str]] = {}
    for agent, report in reports:
        seen: Counter[Finding] = Counter()
        for finding in report.findings:
            seen[finding] += 1
            agents.setdefault((finding, seen[finding]), []).append(agent)
    return [Found(finding, tuple(names)) for (finding, _), names in agents.items()]


def _summary(collection: Collection, found: list[Found]) -> str:
    items: list[str] = []
    if collection.reports:
        items.append(f"Issues found: {len(found):,}{_attributed(found)}")
        for category, group in by_category(found).items():
            noun = _NOUNS.get(category, f"{category_title(category)} issues")
            items.append(f"{noun}: {len(group):,}{_attributed(group)} – {breakdown(group)}")
    for item in collection.contributions:
        if isinstance(item.result, Report) and item.result.summary:
            items.append(f"{inline(item.title)} ({item.agent}): {inline(item.result.summary, 1000)}")
    total = len(collection.contributions)
    items.append(f"Tasks delivered: {total - len(collection.missing):,} of {total:,}")
    if collection.missing:
        items.append(f"Missing: {some([inline(task) for task in collection.missing])} (why: see the checklist)")
    return "".join(f"- {item}\n" for item in items)


def _attributed(found: list[Found]) -> str:
    return f" ({sources(found)})" if found else ""


def _details(collection: Collection, found: list[Found]) -> str:
    if not collection.reports:
        return ""
    links = {item.agent: parts.result_link(item) for item in collection.contributions if item.file}
    sections: list[str] = []
    for category, group in by_category(found).items():
        agents = sorted({agent for item in group for agent in item.agents})
        rest = f" in {', '.join(links[agent] for agent in agents if agent in links)}"
        told = f"{count(len(group), 'finding')} ({sources(group)}): {breakdown(group)}."
        tables = findings_tables(group, MAX_FINDINGS, rest)
        sections.append(f"### {category_title(category)}\n\n{told}\n\n{tables}")
    return "\n".join(sections) or "No findings.\n"


def _pictures(collection: Collection) -> str:
    sections = [(item.title, parts.pictures(item)) for item in collection.contributions if item.outputs]
    return "\n".join("\n".join([f"### {inline(title)}\n", *pictures]) for title, pictures in sections if pictures)


def _others(collection: Collection) -> str:
    return "\n".join(
        f"### {inline(item.title)} ({item.agent})\n\n{parts.result(item, 3)}"
        for item in collection.contributions
        if item.result is not msgspec.UNSET and not isinstance(item.result, Report)
    )


def _files(collection: Collection) -> str:
    return "".join(
        f"- {file} – {inline(item.title)} ({item.agent})\n"
        for item in collection.contributions
        if item.outputs
        for file in parts.files(item)
    )
