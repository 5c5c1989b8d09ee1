"""S1 4.2's simple concatenation: one section an agent, in dependency order."""

from __future__ import annotations

from orchestrator_nb.merging import parts
from orchestrator_nb.merging.collection import Collection, Contribution, checklist
from orchestrator_nb.projections.text import inline


def concatenate(collection: Collection) -> str:
    """The document."""
    sections = [f"# {inline(collection.title)}\n"]
    sections += [_section(item) for item in collection.contributions if not item.is_empty]
    if who := parts.credits_table(collection.contributions):
        sections.append(f"## Who did what\n\n{who}")
    return "\n".join([*sections, f"## Collection checklist\n\n{checklist(collection)}"])


def _section(item: Contribution) -> str:
    content = [parts.result(item, 2), *parts.pictures(item), "".join(f"- {file}\n" for file in parts.files(item))]
    if item.missing:
        content.append(f"Missing: {inline(item.missing, 500)}\n")
    return "\n".join([f"## {item.agent} Output\n\n{inline(item.title)}\n", *(part for part in content if part)])
