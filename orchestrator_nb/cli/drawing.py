"""The command graph: a plan, a session with its statuses, or a graph of somebody else's, as a picture or as text."""

from __future__ import annotations

import json
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator_nb.cli import options
from orchestrator_nb.cli.output import harmless, say
from orchestrator_nb.cli.plans import write
from orchestrator_nb.errors import OrchestratorError

if TYPE_CHECKING:
    from orchestrator_nb.projections.layout import GraphView


class Format(StrEnum):
    """Kinds of pictures."""

    PNG = "png"
    SVG = "svg"
    DOT = "dot"
    MERMAID = "mermaid"


class Paper(StrEnum):
    """Colours of pictures; `auto` follows the reader's preference where a picture can (SVG), else it is light."""

    AUTO = "auto"
    LIGHT = "light"
    DARK = "dark"


_ENDINGS = {".png": Format.PNG, ".svg": Format.SVG, ".dot": Format.DOT, ".gv": Format.DOT, ".mmd": Format.MERMAID}
#: Bytes of a node-link file.
_MAX_SIZE = 50_000_000


def graph(
    target: Annotated[
        str,
        typer.Argument(
            metavar="PLAN|SESSION|GRAPH",
            help="A plan, a session (with its statuses), or a graph in networkx's node-link JSON; "
            "the latest session when left out.",
            autocompletion=options.completion.targets,
            show_default=False,
        ),
    ] = "latest",
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="Where to; its ending says the format. '-' prints it."),
    ] = None,
    form: Annotated[Format | None, typer.Option("--format", "-f", help="When the file's ending does not say.")] = None,
    theme: Annotated[Paper, typer.Option("--theme", help="Colours.")] = Paper.AUTO,
) -> None:
    """Draw a plan, a session or a graph.

    As PNG, SVG, DOT or Mermaid; a session with the statuses of its tasks.
    """
    chosen = form or (_ENDINGS.get(output.suffix.lower()) if output is not None else Format.MERMAID)
    if chosen is None:
        raise OrchestratorError(f"{output}: say the format with --format (one of {', '.join(Format)})")
    if chosen is Format.PNG and (output is None or str(output) == "-") and sys.stdout.isatty():
        raise OrchestratorError("a PNG is no text: write it to a file with -o graph.png")
    content = _drawn(_view(target), chosen, theme)
    if output is None or str(output) == "-":
        sys.stdout.buffer.write(content if chosen is Format.PNG else harmless(content.decode()).encode())
        sys.stdout.flush()
    else:
        write(output, content)
        say(f"Wrote {output}", err=True)


def _view(target: str) -> GraphView:
    """What is to be drawn."""
    from orchestrator_nb.planning.sources import plan_from
    from orchestrator_nb.projections.layout import GraphView

    path = Path(target)
    if path.suffix == ".json" and path.is_file() and (data := _node_link(path)) is not None:
        return GraphView.from_node_link(data)
    if path.suffix in (".yaml", ".yml", ".json") or (path.is_dir() and not (path / "events.jsonl").is_file()):
        return GraphView.of_plan(plan_from(target).require())
    from orchestrator_nb.cli.picking import opened

    session = opened(target)
    tasks = session.state.by_index
    notes = {task.id: task.error or (f"blocked by {task.blocked_by}" if task.blocked_by else "") for task in tasks}
    return GraphView.of_plan(session.plan, {task.id: task.status.value for task in tasks}, notes)


def _node_link(path: Path) -> dict[str, object] | None:
    """The graph in a JSON file, or None if it is something else (a plan)."""
    try:
        if path.stat().st_size > _MAX_SIZE:
            raise OrchestratorError(f"{path} is larger than {_MAX_SIZE // 1_000_000} MB")
        data = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
    return data if isinstance(data, dict) and "nodes" in data and "tasks" not in data else None


def _drawn(view: GraphView, form: Format, theme: Paper) -> bytes:
    from orchestrator_nb.projections.layout import collapse_by_phase, layout

    match form:
        case Format.DOT:
            from orchestrator_nb.projections.diagrams import dot

            return dot(view).encode()
        case Format.MERMAID:
            from orchestrator_nb.projections.diagrams import mermaid

            return mermaid(view).encode()
        case Format.SVG:
            from orchestrator_nb.projections.svg import svg

            view = collapse_by_phase(view)
            return svg(layout(view), view, theme=theme.value).encode()
        case Format.PNG:
            from orchestrator_nb.projections.figure import png

            view = collapse_by_phase(view)
            return png(layout(view), view, theme="dark" if theme is Paper.DARK else "light")
