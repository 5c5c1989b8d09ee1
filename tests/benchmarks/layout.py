"""Drawing graphs, against graphviz `dot` on the same graph: `python -m tests.benchmarks.layout [--size N] [--reps N]`.

Two tables of JSON lines. `time`: CPU seconds of layout and SVG together, and of `dot -Tsvg` (the whole process: it is
started for each picture), paired in each repetition, on layered graphs with about 1.5 edges a node, with and without
edges that pass layers; medians over all repetitions.
`crossings`: pairs of lines that cross in the picture, ours by the layout's corners, dot's by the control points of its
splines, counted by the same exact test of segments; over shapes and seeds the geometric mean of the ratios, and the
worst. `--size` is the number of nodes of the first table; the second is measured at a hundredth and a tenth of it.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from orchestrator_nb.projections.layout import GraphView, Node, layout
from orchestrator_nb.projections.svg import svg

Edges = list[tuple[int, int]]
#: Corners of a line: x, y, x, y, ...
Line = Sequence[float]


def layered(size: int, width: int, far: float, seed: int) -> Edges:
    """Layers of `width`; each node has one or two parents in the layer before, a share `far` of them further back."""
    dice = random.Random(seed)
    edges = set()
    for node in range(width, size):
        layer = node // width
        for _ in range(dice.choice((1, 2))):
            back = dice.randint(2, min(4, layer)) if layer > 1 and dice.random() < far else 1
            edges.add((dice.randrange((layer - back) * width, (layer - back + 1) * width), node))
    return sorted(edges)


def grown(size: int, reach: int, seed: int) -> Edges:
    """Each node has one or two parents among the last `reach` nodes before it, as plans written by hand have."""
    dice = random.Random(seed)
    choices = ((dice.randrange(max(0, node - reach), node), node) for node in range(1, size) for _ in range(2))
    return sorted({edge for edge in choices if dice.random() < 0.75})


def shapes(size: int, seeds: int) -> Iterator[tuple[str, Edges]]:
    """The graphs of the second table."""
    root = max(2, round(math.sqrt(size)))
    for seed in range(seeds):
        yield f"square, seed {seed}", layered(size, root, 0.0, seed)
        yield f"square with far edges, seed {seed}", layered(size, root, 0.15, seed)
        yield f"deep with far edges, seed {seed}", layered(size, max(2, root // 2), 0.1, seed)
        yield f"grown, seed {seed}", grown(size, root, seed)


def view_of(size: int, edges: Edges) -> GraphView:
    """The graph as a view of tasks that all ran."""
    nodes = tuple(Node(f"T-{node:04d}", status="completed", agent="shell") for node in range(size))
    return GraphView(nodes, tuple((source, target, "data") for source, target in edges))


def dot(size: int, edges: Edges, form: str) -> tuple[str, float]:
    """What graphviz makes of the graph, and the CPU seconds that it takes."""
    names = "".join(f'{node} [label="T-{node:04d}", shape=box];' for node in range(size))
    graph = f"digraph {{{names}{''.join(f'{source}->{target};' for source, target in edges)}}}"
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(["dot", f"-T{form}"], input=graph, capture_output=True, text=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return done.stdout, after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def dot_lines(plain: str) -> list[Line]:
    """The control points of each edge in graphviz's `plain` format."""
    rows = [row.split() for row in plain.replace("\\\n", "").splitlines() if row.startswith("edge")]
    return [[float(number) for number in row[4 : 4 + 2 * int(row[3])]] for row in rows]


def crossings(lines: Iterable[Line]) -> int:
    """How often two lines cross: segments of two lines that share one point, an end of neither."""
    segments, owners = [], []
    for owner, line in enumerate(lines):
        for at in range(0, len(line) - 2, 2):
            segments.append(line[at : at + 4])
            owners.append(owner)
    x, y, to_x, to_y = np.array(segments, dtype=float).reshape(-1, 4).T
    owner = np.array(owners)
    total = 0
    for one in range(len(segments) - 1):
        rest = slice(one + 1, None)
        begin = _side(x[one], y[one], to_x[one], to_y[one], x[rest], y[rest])
        end = _side(x[one], y[one], to_x[one], to_y[one], to_x[rest], to_y[rest])
        from_ = _side(x[rest], y[rest], to_x[rest], to_y[rest], x[one], y[one])
        to = _side(x[rest], y[rest], to_x[rest], to_y[rest], to_x[one], to_y[one])
        total += int(np.count_nonzero((begin * end < 0) & (from_ * to < 0) & (owner[rest] != owner[one])))
    return total


def _side(x: Any, y: Any, to_x: Any, to_y: Any, at_x: Any, at_y: Any) -> Any:
    """On which side of the line from (x, y) to (to_x, to_y) a point lies: the sign of the cross product."""
    return np.sign((to_x - x) * (at_y - y) - (to_y - y) * (at_x - x))


def cpu_of_drawing(view: GraphView) -> float:
    """CPU seconds of layout and SVG: the middle of three."""
    seconds = []
    for _ in range(3):
        begin = time.process_time()
        svg(layout(view), view)
        seconds.append(time.process_time() - begin)
    return statistics.median(seconds)


def time_table(size: int, reps: int) -> Iterator[dict[str, object]]:
    """Layout and SVG against `dot -Tsvg`, paired in each repetition."""
    for far in (0.1, 0.0):
        edges = layered(size, max(2, size // 100), far, 1)
        view = view_of(size, edges)
        pairs = [(cpu_of_drawing(view), dot(size, edges, "svg")[1]) for _ in range(reps)]
        yield {
            "table": "time",
            "nodes": size,
            "edges": len(edges),
            "far_edges": far,
            "ours_s": round(statistics.median([ours for ours, _ in pairs]), 4),
            "dot_s": round(statistics.median([theirs for _, theirs in pairs]), 4),
            "times_faster": round(statistics.median([theirs / ours for ours, theirs in pairs]), 1),
        }


def crossings_table(size: int, seeds: int) -> Iterator[dict[str, object]]:
    """Crossings of the drawn lines against dot's."""
    ratios = []
    for name, edges in shapes(size, seeds):
        view = view_of(size, edges)
        begin = time.process_time()
        result = layout(view)
        seconds = time.process_time() - begin
        ours, theirs = crossings(result.routes), crossings(dot_lines(dot(size, edges, "plain")[0]))
        ratios.append((ours + 1) / (theirs + 1))
        row = {
            "table": "crossings",
            "nodes": size,
            "graph": name,
            "ours": ours,
            "dot": theirs,
            "layout_s": round(seconds, 4),
        }
        yield {**row, "ratio": round(ratios[-1], 2)}
    mean = math.exp(statistics.fmean([math.log(ratio) for ratio in ratios]))
    yield {"table": "crossings", "nodes": size, "mean_ratio": round(mean, 2), "worst_ratio": round(max(ratios), 2)}


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=5000, help="nodes of the first table")
    parser.add_argument("--reps", type=int, default=3, help="repetitions, and seeds of the second table")
    options = parser.parse_args(arguments)
    sizes = (max(10, options.size // 100), max(20, options.size // 10))
    tables = [time_table(options.size, options.reps), *[crossings_table(size, options.reps) for size in sizes]]
    for table in tables:
        for row in table:
            sys.stdout.write(json.dumps(row) + "\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
