"""What came of running something again: what agrees, what differs, how, and why it may."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from orchestrator_nb.headless.notebook_comparison import NotebookComparison
from orchestrator_nb.projections.rendering import plain_html
from orchestrator_nb.projections.text import clean, one_line
from orchestrator_nb.projections.words import count


@dataclass(frozen=True)
class Checked:
    """One thing that was made again: an executed notebook, a task, or the final document."""

    name: str
    kind: Literal["notebook", "task", "document"]
    #: How it differs as a whole: in how it ended, in its result; lines for people. Empty if it does not.
    differs: tuple[str, ...] = ()
    #: Its executed notebook, cell by cell, where there is one on both sides.
    cells: NotebookComparison | None = None
    #: Why it may differ, the likeliest first, and what could not be made as it was.
    reasons: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def same(self) -> bool:
        """Whether it came out the same."""
        return not self.differs and (self.cells is None or self.cells.same)

    @property
    def summary(self) -> str:
        """In a few words what was compared, or what differs."""
        parts = [] if self.differs == () else [one_line(self.differs[0], 100).rstrip(":")]
        if self.cells is None:
            return parts[0] if parts else ""
        if places := sorted({difference.cell for difference in self.cells.differences}):
            shown = ", ".join(map(str, places[:8])) + (", …" if len(places) > 8 else "")
            parts.append(f"{'cell' if len(places) == 1 else 'cells'} {shown}")
        elif not parts:
            masked = f", {self.cells.masked} may differ" if self.cells.masked else ""
            parts.append(f"{count(self.cells.compared, 'cell')}{masked}")
        return "; ".join(parts)

    def story(self) -> Iterator[str]:
        """How it differs and why it may, as indented lines; what could not be made as it was."""
        yield from (f"  {line}" for line in self.differs)
        for difference in self.cells.differences if self.cells is not None else ():
            yield f"  cell {difference.cell}, {difference.what}: {difference.source}"
            yield from (f"      {line}" for line in difference.lines)
            if difference.hint:
                yield f"      ({difference.hint})"
        if not self.same and self.reasons:
            yield "  It may be because:"
            yield from (f"    - {reason}" for reason in self.reasons)
        yield from (f"  note: {note}" for note in self.notes)


@dataclass(frozen=True)
class Reproduction:
    """Everything that was made again."""

    #: What was run again, for people.
    target: str
    checked: tuple[Checked, ...]
    #: Where the new notebooks are, or the new session; None if they were not kept.
    output: Path | None = None

    @property
    def same(self) -> bool:
        """Whether all of it came out the same."""
        return all(one.same for one in self.checked)

    @property
    def summary(self) -> str:
        """In one sentence."""
        same = sum(one.same for one in self.checked)
        total = len(self.checked)
        return "everything agrees" if same == total else f"{total - same:,} of {total:,} differ"

    def __str__(self) -> str:
        width = max((len(one.name) for one in self.checked), default=0)
        table = [f"{one.name:{width}}  {'ok' if one.same else 'differs':7}  {one.summary}" for one in self.checked]
        stories = [line for one in self.checked if not one.same for line in (f"{one.name}:", *one.story())]
        return clean("\n".join([*table, *stories, f"{self.target}: {self.summary}"]))

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        return {"text/plain": str(self), "text/html": plain_html(str(self))}
