"""A large graph as a small one: tasks grouped by phase, by folder of their ids, or by level."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from orchestrator_nb.core.graph import Graph
from orchestrator_nb.projections.layout_view import GraphView, Node

#: Graphs of more nodes than this are shown by group.
THRESHOLD = 500
#: Most groups that levels are put into.
MOST_LEVELS = 60
#: The order in which a group's tasks are counted.
DONE_FIRST = (
    "completed", "skipped", "cancelled", "running", "retrying", "awaiting_approval", "awaiting_review",
    "awaiting_quota", "pending", "waiting", "blocked", "failed",
)  # fmt: skip
#: The status of a group: the first of these that one of its tasks has.
FOREMOST = (
    "failed", "awaiting_approval", "awaiting_review", "awaiting_quota", "retrying", "running", "blocked", "cancelled",
    "pending", "waiting", "skipped", "completed",
)  # fmt: skip


def collapse_by_phase(view: GraphView, threshold: int = THRESHOLD) -> GraphView:
    """`view` itself up to `threshold` nodes; above it one node for each group, with its counts by status.

    Groups are the plan's phases, where it has any; else the folders of the ids, as deep as `threshold` allows; else
    the levels of the graph, several together where there are many. A group that would stand in a circle with others is
    split into the stretches that the order of the tasks makes.
    """
    if len(view.nodes) <= threshold:
        return view
    graph = graph_of(len(view.nodes), [(source, target) for source, target, _ in view.edges])
    for names in groupings(view, graph, threshold):
        groups = without_circles(names, graph)
        if 1 < len(set(groups)) <= threshold:
            return _grouped(view, groups)
    return _grouped(view, [("All tasks", 0)] * len(view.nodes))


def graph_of(count: int, edges: Sequence[tuple[int, int]]) -> Graph:
    """The graph of `count` nodes with these edges."""
    upstream: list[list[str]] = [[] for _ in range(count)]
    for source, target in edges:
        upstream[target].append(str(source))
    return Graph([str(index) for index in range(count)], upstream)


def groupings(view: GraphView, graph: Graph, threshold: int) -> Iterator[list[str]]:
    """The name of each node's group, in one way after another."""
    titles = dict(view.phases)
    if any(node.phase for node in view.nodes):
        yield [titles.get(node.phase, node.phase) or "No phase" for node in view.nodes]
    folders = [node.id.split("/")[:-1] for node in view.nodes]
    for depth in range(max(map(len, folders)), 0, -1):
        yield ["/".join(folder[:depth]) or "No folder" for folder in folders]
    levels = graph.levels()
    step = -(-len(levels) // min(MOST_LEVELS, threshold))
    names = [""] * len(view.nodes)
    for number, level in enumerate(levels):
        first, last = number - number % step, min(number - number % step + step, len(levels)) - 1
        for node in level:
            names[node] = f"Level {first}" if first == last else f"Levels {first}–{last}"
    yield names


def without_circles(names: Sequence[str], graph: Graph) -> list[tuple[str, int]]:
    """Groups as (name, stretch): one stretch, or as many as keep every edge from pointing back."""
    order = {name: index for index, name in enumerate(dict.fromkeys(names))}
    edges = {
        (order[names[node]], order[name])
        for node, children in enumerate(graph.children)
        for name in {names[child] for child in children}
        if names[node] != name
    }
    if graph_of(len(order), sorted(edges)).cycle() is None:
        return [(name, 0) for name in names]
    stretch = [0] * len(names)
    for node in graph.order():
        steps = [stretch[parent] + (names[parent] != names[node]) for parent in graph.parents[node]]
        stretch[node] = max(steps, default=0)
    return list(zip(names, stretch, strict=True))


def _grouped(view: GraphView, groups: Sequence[tuple[str, int]]) -> GraphView:
    index = {group: number for number, group in enumerate(dict.fromkeys(groups))}
    stretches = Counter(name for name, _ in index)
    seen: Counter[str] = Counter()
    members: list[list[Node]] = [[] for _ in index]
    for node, group in zip(view.nodes, groups, strict=True):
        members[index[group]].append(node)
    nodes = []
    for (name, _), tasks in zip(index, members, strict=True):
        seen[name] += 1
        nodes.append(_group(name if stretches[name] == 1 else f"{name} ({seen[name]})", tasks))
    kinds: dict[tuple[int, int], str] = {}
    for source, target, kind in view.edges:
        edge = index[groups[source]], index[groups[target]]
        if edge[0] != edge[1] and kinds.get(edge) != "data":
            kinds[edge] = kind
    critical = dict.fromkeys([index[groups[node]] for node in view.critical])
    return GraphView(
        tuple(nodes),
        tuple((source, target, kind) for (source, target), kind in kinds.items()),
        title=view.title,
        critical=tuple(critical) if len(critical) > 1 else (),
    )


def _group(label: str, tasks: Sequence[Node]) -> Node:
    counts = Counter(task.status for task in tasks)
    status = next((status for status in FOREMOST if counts[status]), "")
    failed = [task.id for task in tasks if task.status == "failed"]
    note = f"failed: {', '.join(failed[:5])}{', …' if len(failed) > 5 else ''}" if failed else ""
    ordered = [(status, counts.pop(status)) for status in DONE_FIRST if status in counts]
    rest = sum(counts.values())
    return Node(label, status=status, note=note, counts=(*ordered, *([("", rest)] if rest else [])))
