"""Commands for plans that are not run yet: check, schema, init."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator_nb.cli import options
from orchestrator_nb.cli.output import say, say_json
from orchestrator_nb.errors import OrchestratorError

if TYPE_CHECKING:
    from orchestrator_nb.planning.loaded import LoadedPlan

#: Name of the schema's file beside a new plan; editors find it by the plan's first line.
_SCHEMA = "plan.schema.json"

_PLAN = """\
# yaml-language-server: $schema=plan.schema.json
# Look at it: orchestrate run plan.yaml --dry-run     Run it: orchestrate run plan.yaml -p name=you
title: First steps
description: Two commands work side by side, a long job is rehearsed, and a report ends it.

params:
  name:
    type: str
    default: world
    help: Whom to greet.

tasks:
  - id: greet
    title: Greet somebody
    command: [python, -c, "import sys; print('Hello', sys.argv[1])", "${params.name}"]

  - id: measure
    title: Look at this machine
    command:
      - python
      - -c
      - |
        import json, os, platform
        print(json.dumps({"system": platform.system(), "cpus": os.cpu_count()}))
    result: json

  - id: rehearse
    title: Rehearse a long job
    dependencies: [greet]
    agent: simulated
    parameters:
      duration: 1.5
      result: The long job went well.

  - id: report
    title: Write the report
    dependencies: [greet, measure, rehearse]
    command:
      - python
      - -c
      - |
        import sys
        print(*sys.argv[1:], sep="\\n")
      - ${result.greet}
      - ${result.rehearse}
"""


def check(
    plan: options.Plan,
    topology: Annotated[
        bool, typer.Option("--topology", help="Also ask that tasks depend on earlier tasks only, as planners' must.")
    ] = False,
    as_json: options.Json = False,
) -> int:
    """Name everything that is wrong in a plan.

    Each fault comes with file, line, task and what to do about it; what is missing on this machine is a warning.
    """
    from orchestrator_nb.projections.words import count

    loaded = _loaded(plan, topology)
    bad = len(loaded.errors)
    if as_json:
        say_json({"plan": plan, "valid": not bad, "faults": list(loaded.faults)})
        return 2 if bad else 0
    for fault in loaded.faults:
        say((str(fault), "" if fault.severity == "warning" else "red"))
    tasks = count(len(loaded.plan), "task") if loaded.plan is not None else "no plan"
    if bad:
        say((f"✘ {count(bad, 'error')}", "bold red"), f", {count(len(loaded.warnings), 'warning')} in {plan} ({tasks})")
        return 2
    warned = f", {count(len(loaded.warnings), 'warning')}" if loaded.warnings else ""
    say(("✔ good", "bold green"), f": {plan} ({tasks}{warned})")
    return 0


def _loaded(plan: str, topology: bool) -> LoadedPlan:
    """The plan with its faults. Raises `OrchestratorError` if there is no such plan."""
    from orchestrator_nb.agents.registry import Registry
    from orchestrator_nb.planning.sources import plan_from
    from orchestrator_nb.runtime.preflight import warned

    registry = Registry()
    loaded = plan_from(plan, topology=topology, agents=registry)
    return loaded if loaded.errors else warned(loaded, registry)


def schema(
    output: Annotated[Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write it to a file.")] = None,
    answer: Annotated[bool, typer.Option("--answer", help="That of a planner's answer instead.")] = False,
) -> None:
    """Print the JSON Schema of plan files.

    Editors complete and check plan files by it. With --answer it is what a planner's answer to a prompt must be.
    """
    content = _answer_schema() if answer else _schema()
    if output is None:
        sys.stdout.write(content)
    else:
        write(output, content.encode())


def init(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="Where to put it.", show_default=False)] = Path(),
) -> None:
    """Write a small working plan.

    The schema by which editors complete it is put beside it.
    """
    plan = directory / "plan.yaml"
    if plan.exists():
        raise OrchestratorError(f"{plan} is there already; name another directory: orchestrate init DIR")
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OrchestratorError(f"cannot make {directory}: {error.strerror}") from None
    write(plan, _PLAN.encode())
    write(directory / _SCHEMA, _schema().encode())
    say("Wrote ", (str(plan), "bold"), f" and {directory / _SCHEMA}.")
    say(f"Look at it: orchestrate run {plan} --dry-run\nRun it:     orchestrate run {plan}")


def write(path: Path, content: bytes) -> None:
    """Write a file that the user asked for. Raises `StorageError`."""
    from orchestrator_nb.storage.remedies import refused

    try:
        path.write_bytes(content)
    except OSError as error:
        raise refused("write", path, error) from None


def _answer_schema() -> str:
    from orchestrator_nb.planning.request import breakdown_schema

    return json.dumps(breakdown_schema(), indent=2, ensure_ascii=False) + "\n"


def _schema() -> str:
    from orchestrator_nb.planning.schema import plan_schema

    return json.dumps(plan_schema(), indent=2) + "\n"
