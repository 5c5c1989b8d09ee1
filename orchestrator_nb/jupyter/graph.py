"""`run.view.graph`: the graph of the tasks with live status; and the graph of a plan that no run shows.

Where everything stands is worked out once for a plan and a grouping, and goes to the page as it is: a `picture`. From
then on the page is told statuses only, by position in the plan; it adds up those of groups itself.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, cast

import msgspec

from orchestrator_nb.core.models import Plan
from orchestrator_nb.core.state import State
from orchestrator_nb.errors import OrchestratorError
from orchestrator_nb.jupyter.cells import Output, print_text
from orchestrator_nb.jupyter.environment import Environment, environment
from orchestrator_nb.jupyter.part import Bundle, Changes, Pane
from orchestrator_nb.jupyter.updates import updates
from orchestrator_nb.projections.layout import THRESHOLD, GraphView, Layout, Node, layout
from orchestrator_nb.projections.layout_groups import DONE_FIRST, FOREMOST, graph_of, groupings, without_circles
from orchestrator_nb.projections.layout_lines import CURVED, cornered, curved
from orchestrator_nb.projections.text import one_line
from orchestrator_nb.projections.theme import STATUSES
from orchestrator_nb.projections.words import count

if TYPE_CHECKING:
    from orchestrator_nb.jupyter.view import View

#: The statuses' numbers on the wire: as in the page's STATUSES.
CODES: dict[str, int] = {status: code for code, status in enumerate([*STATUSES, ""])}

Collapsed = bool | Literal["auto"]


class GraphPane(Pane):
    """The graph. Pan, zoom, keys and pointer are the page's own business; which groups are open holds for all pages."""

    name = "graph"

    def __init__(self, view: View, collapsed: Collapsed = "auto") -> None:
        self._collapsed: Collapsed = collapsed
        self._open: frozenset[str] = frozenset()
        #: The last picture, and of what it is.
        self._picture: tuple[tuple[Plan, bool, bool, frozenset[str]], msgspec.Raw] | None = None
        #: What all pages were told: statuses by task, and the run's status with the selected task. Read and written
        #: while the state holds still.
        self._told: dict[int, int] = {}
        self._told_of_run: tuple[str, str] | None = None
        self.view = view
        self._prepare()  # before its comms are opened: the page's answers would have to wait for it
        super().__init__(view, kind="graph")

    @property
    def collapsed(self) -> Collapsed:
        """Whether tasks are shown by group (phase, else folder of their ids, else level); ``auto``: where they are
        more than `THRESHOLD`. Setting it closes the groups that are open.
        """
        return self._collapsed

    @collapsed.setter
    def collapsed(self, collapsed: Collapsed) -> None:
        """Arrange it anew."""
        if collapsed not in (True, False, "auto"):
            raise OrchestratorError(f'collapsed is True, False or "auto", not {collapsed!r}')
        self._arrange(collapsed, frozenset())

    # -- what the page knows -------------------------------------------------------------------------------------------

    def encoded(self) -> bytes:
        """The snapshot. The picture is made before the state has to hold still."""
        self._prepare()
        return super().encoded()

    def _prepare(self) -> None:
        with self.view.subject.reading() as state:
            plan, live = state.plan, bool(state.by_index)
        if plan is not None:
            self._picture_of(plan, live=live)

    def whole(self, state: State) -> dict[str, Any]:
        """The picture, and the statuses of all tasks."""
        plan = state.plan or Plan()
        live = bool(state.by_index)
        self._told, self._told_of_run = {}, None  # one page knows this, another what came before
        return {
            "picture": self._picture_of(plan, live=live),
            "statuses": [CODES[task.status] for task in state.by_index] or [CODES[""]] * len(plan),
            "run": self.view.subject.status,
            "selected": self.view.selected,
        }

    def _picture_of(self, plan: Plan, *, live: bool) -> msgspec.Raw:
        collapsed = len(plan) > THRESHOLD if self._collapsed == "auto" else self._collapsed
        shown = plan, live, collapsed, self._open
        known = self._picture
        if known is not None and known[0][0] is plan and known[0][1:] == shown[1:]:
            return known[1]
        made = msgspec.Raw(msgspec.json.encode(picture(plan, live=live, collapsed=collapsed, opened=self._open)))
        self._picture = shown, made
        return made

    def refresh(self, changes: Changes) -> None:
        """Tell the statuses that are not what the page was told."""
        if changes.everything:
            self.post_whole()
            return
        with self.view.subject.reading() as state:
            now = {index: CODES[state.by_index[index].status] for index in changes.tasks if index < len(state.by_index)}
            run = self.view.subject.status, self.view.selected
            rows = [part for index, code in now.items() if self._told.get(index) != code for part in (index, code)]
            news = bool(rows) or run != self._told_of_run
            self._told.update(now)
            self._told_of_run = run
        if news:
            self.post("rows", rows=rows, run=run[0], selected=run[1])

    # -- what the page asks --------------------------------------------------------------------------------------------

    def received(self, message: dict[str, Any]) -> None:
        """The page wants to know why, or wants it drawn otherwise."""
        match message:
            case {"type": "why", "task": str(task)}:
                updates.call(lambda: self._explain(task))
            case {"type": "collapse", "on": bool(on)}:
                self._arrange(on, frozenset())
            case {"type": "open", "group": str(group)}:
                self._arrange(self._collapsed, self._open | {group})

    def _explain(self, task_id: str) -> None:
        try:
            sentences = self.view.subject.explain(task_id).sentences
        except OrchestratorError:
            return  # of a plan that is gone
        with self.view.subject.reading() as state:
            task = state.tasks.get(task_id)
            facts = {"since": task.started_at, "seconds": task.duration, "attempt": task.attempt} if task else {}
        self.post("why", task=task_id, sentences=sentences, **facts)

    def _arrange(self, collapsed: Collapsed, opened: frozenset[str]) -> None:
        """Draw it otherwise: worked out in a thread of its own, as it may take a second for very many tasks."""
        self._collapsed, self._open = collapsed, opened

        def renew() -> None:
            self.encoded()
            updates.call(self._tell_anew)

        threading.Thread(target=renew, name="orchestrator_nb graph", daemon=True).start()

    def _tell_anew(self) -> None:
        if self.comm is not None:
            self.post_whole()

    @classmethod
    def settled(cls, view: View) -> Bundle:
        """The graph in words."""
        with view.subject.reading() as state:
            plan = state.plan or Plan()
            counts = {status: number for status, number in state.counts.items() if number}
        edges = sum(map(len, plan.graph.parents))
        lines = [f"{one_line(plan.title)}: {count(len(plan), 'task')}, {count(edges, 'edge')}"]
        lines += [f"  {STATUSES[status].icon} {STATUSES[status].name} {number:,}" for status, number in counts.items()]
        path = [plan.tasks[index].id for index in plan.graph.critical_path()]
        if len(path) > 1:
            lines.append(f"  Critical path: {one_line(' → '.join(path), 400)}")
        return {"text/plain": "\n".join(lines)}


def plan_graph(plan: Plan, collapsed: Collapsed = "auto") -> GraphPane:
    """The graph of a plan without faults, before any run: nothing in it has a status."""
    state = State()
    state.plan = plan
    return state_graph(state, collapsed)


def state_graph(state: State, collapsed: Collapsed = "auto") -> GraphPane:
    """The graph of a state that nobody changes but the caller, who says so by `GraphPane.note`."""
    view = _StateView(state)
    view.pane = GraphPane(cast("View", view), collapsed)
    return view.pane


class _StateView:
    """A state where a pane expects the view of a run: its own subject."""

    selected = ""
    pane: GraphPane

    def __init__(self, state: State) -> None:
        self.subject = self
        self.state = state

    @property
    def status(self) -> str:
        return self.state.status if self.state.run else ""

    @contextlib.contextmanager
    def reading(self) -> Iterator[State]:
        yield self.state

    def now(self) -> float:
        return time.time()

    def explain(self, task_id: str) -> SimpleNamespace:
        """Nothing that its box does not say."""
        return SimpleNamespace(sentences=())

    def select(self, task_id: str) -> None:
        self.selected = task_id
        self.pane.note(Changes(run=True))

    def left(self) -> None:
        if not self.pane.visible:
            updates.call(self.pane.shut)

    def show(self, name: str) -> None:
        text = self.pane.settled(self.pane.view)
        if environment() is Environment.NOTEBOOK:
            widget = {"version_major": 2, "version_minor": 0, "model_id": self.pane.model_id}
            Output(name).show({"application/vnd.jupyter.widget-view+json": widget, **text})
        else:
            print_text(text["text/plain"])


# -- the picture -------------------------------------------------------------------------------------------------------


class Arranged(NamedTuple):
    """A graph as it is shown."""

    view: GraphView
    #: The node that shows each task, by position in the plan; None if every task has its own.
    units: list[int] | None
    #: The nodes that stand for several tasks.
    groups: list[int]


def picture(plan: Plan, *, live: bool, collapsed: bool, opened: frozenset[str] = frozenset()) -> dict[str, Any]:
    """What the page draws: places, lines and texts, without any status.

    Args:
        plan: A plan without faults.
        live: Whether tasks will have statuses, so that there is room for their badges.
        collapsed: Whether tasks are shown by group.
        opened: Names of the groups whose tasks are shown nevertheless.
    """
    view = GraphView.of_plan(plan, dict.fromkeys([task.id for task in plan.tasks], "waiting") if live else None)
    arranged = grouped(view, opened, live=live) if collapsed and view.nodes else Arranged(view, None, [])
    shown = arranged.view
    placed = layout(shown)
    return {
        "title": one_line(plan.title),
        "width": placed.width,
        "height": placed.height,
        "down": placed.direction == "TD",
        "metrics": placed.metrics,
        "boxes": [number for box in placed.boxes for number in box],
        "labels": placed.labels,
        "captions": {index: caption for index, caption in enumerate(placed.captions) if caption},
        "ids": [node.id for node in shown.nodes],
        "titles": _titles(shown.nodes, placed.labels),
        **_facts(shown.nodes, dict(view.phases)),
        "lines": _lines(placed, shown),
        "critical": shown.critical,
        "bands": [(one_line(title), start, end) for title, start, end in placed.bands],
        "units": arranged.units,
        "groups": arranged.groups,
        "collapsed": collapsed,
        "opened": len(opened),
        "foremost": [CODES[status] for status in (*FOREMOST, "")],
        "shares": [CODES[status] for status in (*DONE_FIRST, "")],
    }


def grouped(view: GraphView, opened: frozenset[str], *, live: bool) -> Arranged:
    """`view` with a node for each group as `collapse_by_phase` makes them, but for groups that are `opened`.

    Groups stand in no circle, so a graph in which some of them are replaced by their tasks has none either.
    """
    names = _names(view)
    order: dict[str | int, int] = {}
    units = [order.setdefault(node if name in opened else name, len(order)) for node, name in enumerate(names)]
    sizes = Counter(units)
    status = "waiting" if live else ""
    nodes = tuple(
        view.nodes[key]
        if isinstance(key, int)
        else Node(key, status=status, counts=(("completed" if live else "", sizes[unit]),))
        for key, unit in order.items()
    )
    edges: dict[tuple[int, int], str] = {}
    for source, target, kind in view.edges:
        ends = units[source], units[target]
        if ends[0] != ends[1] and edges.get(ends) != "data":
            edges[ends] = kind
    path = tuple(dict.fromkeys([units[node] for node in view.critical]))
    shown = GraphView(
        nodes,
        tuple((source, target, kind) for (source, target), kind in edges.items()),
        title=view.title,
        critical=path if len(path) > 1 else (),
    )
    return Arranged(shown, units, [unit for key, unit in order.items() if isinstance(key, str)])


def _names(view: GraphView) -> list[str]:
    """The name of each node's group, different for different groups."""
    graph = graph_of(len(view.nodes), [(source, target) for source, target, _ in view.edges])
    for names in groupings(view, graph, THRESHOLD):
        groups = without_circles(names, graph)
        order = list(dict.fromkeys(groups))
        if 1 < len(order) <= THRESHOLD:
            stretches: dict[str, list[tuple[str, int]]] = {}
            for group in order:
                stretches.setdefault(group[0], []).append(group)
            called = {
                group: name if len(parts) == 1 else f"{name} ({number})"
                for name, parts in stretches.items()
                for number, group in enumerate(parts, 1)
            }
            return [called[group] for group in groups]
    return ["All tasks"] * len(view.nodes)


def _titles(nodes: Sequence[Node], labels: Sequence[tuple[str, ...]]) -> dict[int, str]:
    """The titles on one line, of the nodes whose label is not just that."""
    return {
        index: one_line(node.label or node.id)
        for index, (node, label) in enumerate(zip(nodes, labels, strict=True))
        if len(label) > 1 or label[0].endswith("…")
    }


def _facts(nodes: Sequence[Node], phases: Mapping[str, str]) -> dict[str, Any]:
    """What is said of a task besides its title: few texts, and which one belongs to each node."""
    kinds: dict[tuple[str, str, str], int] = {}
    which = [kinds.setdefault((node.agent, node.priority, node.phase), len(kinds)) for node in nodes]
    texts = []
    for agent, priority, phase in kinds:
        parts = (
            f"agent {agent}" if agent not in ("", "none") else "",
            priority,
            phase and f"phase {phases.get(phase, phase)}",
        )
        texts.append(one_line(" · ".join([part for part in parts if part])))
    return {"facts": texts, "fact": which}


def _lines(placed: Layout, view: GraphView) -> list[dict[str, Any]]:
    """The edges by kind: path data in which an ``M`` begins each, and their ends in the same order."""
    path = set(zip(view.critical, view.critical[1:], strict=False))
    mixed = len({kind for _, _, kind in view.edges}) > 1
    kinds: dict[str, tuple[list[list[int]], list[int]]] = {"": ([], []), "order": ([], []), "path": ([], [])}
    for (source, target, kind), route in zip(view.edges, placed.routes, strict=True):
        ordered = "order" if mixed and kind == "sequential" else ""
        routes, ends = kinds["path" if (source, target) in path else ordered]
        routes.append(route)
        ends += (source, target)
    down = placed.direction == "TD"
    smooth = len(view.edges) <= CURVED
    return [
        {
            "kind": kind,
            "d": "".join([curved(r, down=down) for r in routes]) if smooth else cornered(routes),
            "ends": ends,
        }
        for kind, (routes, ends) in kinds.items()
        if routes
    ]
