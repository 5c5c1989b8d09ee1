"""A proposed plan at the terminal: shown, approved, edited in the person's own editor, or rejected with a reason."""

from __future__ import annotations

import os
import shlex
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator_nb.cli.output import say, say_error
from orchestrator_nb.errors import OrchestratorError, PlanError

if TYPE_CHECKING:
    from orchestrator_nb.core.models import Plan
    from orchestrator_nb.core.state import CheckpointState
    from orchestrator_nb.planning.breakdown import TaskBreakdown
    from orchestrator_nb.runtime.run import Run

_CHOICES = "[y]es, [n]o, [e]dit, [s]how all of it"


class Interrupted(Exception):  # noqa: N818 - never leaves the command line
    """Whoever was asked has gone, or wants to end it."""


def approve_plan(run: Run, asked: CheckpointState) -> None:
    """Show what is proposed and ask until there is an answer; give it to the run, bound to what was shown.

    Raises `Interrupted` at Ctrl-C and at the end of the input; `OrchestratorError` if the answer comes too late.
    """
    from orchestrator_nb.core.stages import planned
    from orchestrator_nb.runtime.course import proposal

    with run.state() as state:
        breakdown = proposal(state, run.directory.blobs)
    assert breakdown is not None
    earlier = planned(run.plan)
    _show(run, breakdown, earlier if len(earlier) else None)
    edited: str | None = None
    while True:
        answer = _input(f"Carry it out? {_CHOICES}: ").strip().lower()
        if answer in ("y", "yes"):
            run.tell("approve", checkpoint=asked.id, subject_sha256=asked.subject_sha256, answer=edited)
            return
        if answer in ("n", "no"):
            reason = _input("Why not? ").strip() or "no reason given"
            run.tell("reject", checkpoint=asked.id, subject_sha256=asked.subject_sha256, reason=reason)
            return
        if answer in ("s", "show"):
            say(asked.question if edited is None else edited)
        elif answer in ("e", "edit"):
            edited = _edited(breakdown.plan, edited)


def _show(run: Run, breakdown: TaskBreakdown, earlier: Plan | None) -> None:
    from orchestrator_nb.cli.preview import say_plan
    from orchestrator_nb.core.changes import differences
    from orchestrator_nb.runtime.estimates import estimates, in_words

    with run.state() as state:
        numbers = {task.id: task.number for task in state.by_index}
        given = state.agents
        warnings = state.proposed.warnings if state.proposed is not None else ()
        gaps = state.gaps.gaps if state.gaps is not None else ()
    say()
    if earlier is not None:
        say(("Missing:", "bold"))
        for gap in gaps:
            say(f"  - {gap}")
        say(("The change:", "bold"), f"\n{differences(earlier, breakdown.plan)}\n")
    about = estimates(breakdown.plan, run.settings)
    say_plan(breakdown.plan, warnings, numbers, given, about)
    done = _untouched(earlier, breakdown.plan) if earlier is not None else ()
    if told := in_words(breakdown.plan, about, done):
        say(("Estimate, from past runs: ", "bold"), told)
    for name, texts in (
        ("Goal", [breakdown.goal] if breakdown.goal else []),
        ("Assumptions", breakdown.assumptions),
        ("Implicit requirements", breakdown.implicit_requirements),
        ("Constraints", breakdown.constraints),
        ("Side by side", [breakdown.parallel] if breakdown.parallel else []),
    ):
        if texts:
            say((f"{name}:", "bold"))
            for text in texts:
                say(f"  - {text}")
    say()


def _untouched(earlier: Plan, plan: Plan) -> frozenset[str]:
    """The tasks that a change leaves as they are, which are done."""
    from orchestrator_nb.core.changes import differences

    different = differences(earlier, plan)
    return frozenset(task.id for task in plan.tasks) - different.changed.keys() - set(different.added)


def _input(prompt: str) -> str:
    try:
        return input(prompt)
    except (EOFError, KeyboardInterrupt):
        say()
        raise Interrupted from None


def _edited(plan: Plan, earlier: str | None) -> str | None:
    """The plan as the person's editor leaves it; what it was before where that is given up."""
    from orchestrator_nb.agents.registry import Registry
    from orchestrator_nb.core.changes import differences
    from orchestrator_nb.planning.proposal import edited_plan

    text = earlier or plan_as_yaml(plan)
    while True:
        written = _in_editor(text)
        if written is None or written == text:
            say("Nothing is changed.")
            return earlier
        try:
            changed = edited_plan({"plan": written}, Registry())
        except PlanError as error:
            say_error(str(error))
            if _input("Edit again? [y]es, [n]o: ").strip().lower() not in ("y", "yes", ""):
                return earlier
            text = written
            continue
        if changed is None:
            say("Nothing is changed.")
            return earlier
        say(("Your changes:", "bold"), f"\n{differences(plan, changed) or 'none'}\n")
        return written


def _in_editor(text: str) -> str | None:
    """What the person's editor makes of `text`; None if there is none, or if it fails."""
    editor = os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi"
    with tempfile.TemporaryDirectory(prefix="orchestrate-") as folder:
        file = Path(folder, "plan.yaml")
        file.write_text(text, encoding="utf-8")
        try:
            done = subprocess.run([*shlex.split(editor), str(file)], check=False)
            if done.returncode:
                say_error(f"{editor} ended with exit code {done.returncode}")
                return None
            return file.read_text(encoding="utf-8")
        except (OSError, ValueError, UnicodeDecodeError) as error:
            say_error(f"the editor '{editor}' cannot be used: {error}; set EDITOR")
            return None


def plan_as_yaml(plan: Plan) -> str:
    """A plan as a YAML file says it, its longer texts as blocks."""
    import yaml

    class Dumper(yaml.SafeDumper):
        """Texts of several lines as they are."""

    def text(dumper: Any, value: str) -> Any:
        return dumper.represent_scalar("tag:yaml.org,2002:str", value, style="|" if "\n" in value else None)

    Dumper.add_representer(str, text)
    from orchestrator_nb.planning.changing import as_data

    try:
        written: str = yaml.dump(as_data(plan), Dumper=Dumper, sort_keys=False, allow_unicode=True, width=120)
    except yaml.YAMLError as error:
        raise OrchestratorError(f"the plan cannot be written as YAML: {error}") from None
    return written
