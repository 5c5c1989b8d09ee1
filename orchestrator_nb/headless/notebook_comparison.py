"""Two executions of a notebook, compared cell by cell: text, tables, JSON and errors as they read, pictures by pixels.

Not compared is what differs by nature: execution counts, times, ids, memory addresses, the state of widgets, and what
`%time` and `%timeit` say. Cells say by tags, or by comments as nbval reads them, what else may differ:

    nbval-ignore-output, # NBVAL_IGNORE_OUTPUT      its output
    nbval-skip, # NBVAL_SKIP                        everything
    nbval-check-output, # NBVAL_CHECK_OUTPUT        nothing; with `lax`, only such cells are compared
    nbval-raises-exception, raises-exception        the message of its error, the error's name not
    timing                                          all numbers in its texts, and its pictures
"""

from __future__ import annotations

import difflib
import itertools
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from orchestrator_nb.headless.output_comparison import Shown, compare_outputs, line_diff, shown_by
from orchestrator_nb.ipynb.document import ERROR_TAG, source_of, tags_of
from orchestrator_nb.ipynb.provenance import provenance_of, reasons
from orchestrator_nb.projections.text import one_line

_RANDOM = re.compile(r"random|rand[nis]?\b|shuffle|sample|uuid|secrets|choice|permutation")
_CLOCK = re.compile(r"datetime|time\.|now\(|today\(|getpid|perf_counter")
_MARK = re.compile(r"#\s*NBVAL_(IGNORE_OUTPUT|SKIP|CHECK_OUTPUT|RAISES_EXCEPTION)\b")
_IMPORTED = re.compile(r"^\s*(?:import|from)\s+(\w+)", re.MULTILINE)


@dataclass(frozen=True)
class CellDifference:
    """One cell of which the two executions show something different."""

    #: Its number in the notebook, from 1, counting cells of all kinds, and its first line.
    cell: int
    source: str
    #: What differs: ``stdout``, ``text``, ``table``, ``picture``, ``JSON``, ``error``, ``code``, ``output``, ...
    what: str
    #: How, as lines of a short diff.
    lines: tuple[str, ...]
    #: Why it may, as far as the cell itself tells.
    hint: str = ""


@dataclass(frozen=True)
class NotebookComparison:
    """Two executed notebooks, cell by cell."""

    differences: tuple[CellDifference, ...]
    #: Code cells whose output was compared, and those that say that theirs may differ.
    compared: int
    masked: int
    #: Why they may differ, by what the notebooks record; the likeliest first.
    reasons: tuple[str, ...]

    @property
    def same(self) -> bool:
        """Whether nothing differs."""
        return not self.differences


@dataclass(frozen=True)
class Rules:
    """How strictly outputs are compared."""

    #: The share of a picture's pixels that may differ.
    tolerance: float = 0.0
    #: Whether only cells are compared that ask for it (`nbval-check-output`).
    lax: bool = False


def compare_notebooks(
    before: Mapping[str, Any], after: Mapping[str, Any], rules: Rules | None = None
) -> NotebookComparison:
    """What differs between two executed notebooks, given as what their files say (`ipynb.document.read_notebook`).

    Cells are matched by their code: one that only one notebook has is a difference, too.
    """
    rules = rules or Rules()
    old, new = _cells(before), _cells(after)
    differences: list[CellDifference] = []
    compared = masked = 0
    for left, right in _matched(old, new):
        if left is None or right is None or left.source != right.source:
            differences.append(_different_code(left, right))
            continue
        if left.kind != "code":
            continue
        if left.is_masked(rules):
            masked += 1
            continue
        compared += 1
        differences += _differences(left, right, rules)
    known = _reasons(before, after, old) if differences else ()
    return NotebookComparison(tuple(differences), compared, masked, tuple(known))


# -- cells -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Cell:
    number: int
    kind: str
    source: str
    marks: frozenset[str]
    outputs: Sequence[Any]

    def is_masked(self, rules: Rules) -> bool:
        """Whether its output does not count."""
        if "check-output" in self.marks:
            return False
        return rules.lax or not self.marks.isdisjoint(("ignore-output", "skip"))

    @property
    def title(self) -> str:
        """The first line that is no comment of nbval's, for people."""
        lines = [line for line in self.source.splitlines() if line.strip() and not _MARK.search(line)]
        return one_line(lines[0], 80) if lines else ""


def _cells(notebook: Mapping[str, Any]) -> list[_Cell]:
    """Its cells, without those that papermill adds where one failed."""
    kept = [cell for cell in notebook["cells"] if ERROR_TAG not in tags_of(cell)]
    return [_cell(number, cell) for number, cell in enumerate(kept, 1)]


def _cell(number: int, cell: Mapping[str, Any]) -> _Cell:
    source, outputs = source_of(cell), cell.get("outputs")
    marks = {tag.removeprefix("nbval-") for tag in tags_of(cell)}
    if cell.get("cell_type") == "code":
        marks |= {name.lower().replace("_", "-") for name in _MARK.findall(source)}
    return _Cell(
        number,
        str(cell.get("cell_type")),
        source,
        frozenset(marks),
        outputs if isinstance(outputs, list) else [],
    )


def _matched(old: Sequence[_Cell], new: Sequence[_Cell]) -> Iterator[tuple[_Cell | None, _Cell | None]]:
    """Pairs of cells with the same code; what stands between them in pairs as far as it goes."""
    a_code, b_code = ([(cell.kind, cell.source) for cell in cells] for cells in (old, new))
    if a_code == b_code:
        yield from zip(old, new, strict=True)
        return
    matcher = difflib.SequenceMatcher(a=a_code, b=b_code, autojunk=False)
    for _, a, b, c, d in matcher.get_opcodes():
        yield from itertools.zip_longest(old[a:b], new[c:d])


def _different_code(left: _Cell | None, right: _Cell | None) -> CellDifference:
    cell = left or right
    assert cell is not None
    if left is None or right is None:
        only = "first" if right is None else "second"
        return CellDifference(cell.number, cell.title, "cell", (f"only the {only} notebook has it",))
    lines = line_diff(left.source.splitlines(), right.source.splitlines())
    return CellDifference(cell.number, cell.title, "code", lines)


# -- outputs -----------------------------------------------------------------------------------------------------------


def _differences(left: _Cell, right: _Cell, rules: Rules) -> Iterator[CellDifference]:
    timing = "timing" in left.marks
    messages = "raises-exception" not in left.marks
    old, new = (shown_by(cell.outputs, timing=timing, messages=messages) for cell in (left, right))
    for what, lines in compare_outputs(old, new, rules.tolerance, timing=timing):
        yield CellDifference(left.number, left.title, what, lines, _hint(left, old, new, what))


def _hint(cell: _Cell, old: Sequence[Shown], new: Sequence[Shown], what: str) -> str:
    """Why a cell may show something else, by its own code and output."""
    texts = [[item.value for item in side if item.what == what and isinstance(item.value, str)] for side in (old, new)]
    if len(texts[0]) != len(texts[1]):
        return ""
    if texts[0] and all(sorted(a) == sorted(b) for a, b in zip(*texts, strict=True)):
        return "the same characters in another order: a set, or files or threads in the order in which they came"
    if _CLOCK.search(cell.source) and [_unnumbered(t) for t in texts[0]] == [_unnumbered(t) for t in texts[1]]:
        return "only numbers differ, and the cell asks for the time: the tag 'timing' lets them"
    return ""


def _unnumbered(text: str) -> str:
    return re.sub(r"[\d.\s]+", "", text)


# -- why ---------------------------------------------------------------------------------------------------------------


def _reasons(before: Mapping[str, Any], after: Mapping[str, Any], cells: Iterable[_Cell]) -> Iterator[str]:
    code = "\n".join(cell.source for cell in cells if cell.kind == "code")
    yield from reasons(before, after, _IMPORTED.findall(code))
    recorded = provenance_of(before)
    if recorded.get("seed") is None and _RANDOM.search(code):
        yield "the code draws random numbers, and no seed was set from outside (--seed N)"
    if not recorded:
        yield "the first notebook does not say with which packages, input files and seed it was executed"
