"""A finished session run again from its recorded plan and parameters, and what came of it compared task by task."""

from __future__ import annotations

import json
import queue
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePath
from typing import Any

import msgspec

from orchestrator_nb.agents.cassettes.taping import Taping
from orchestrator_nb.core import events as e
from orchestrator_nb.core.models import Plan
from orchestrator_nb.core.stages import planned
from orchestrator_nb.core.tasks import TaskState, TaskStatus
from orchestrator_nb.errors import CommandRefused, OrchestratorError, RunError
from orchestrator_nb.headless.notebook_comparison import Rules, compare_notebooks
from orchestrator_nb.headless.output_comparison import compare_pictures, line_diff, normal
from orchestrator_nb.headless.reproduction import Checked
from orchestrator_nb.ipynb.document import parse_notebook
from orchestrator_nb.ipynb.seeding import environment
from orchestrator_nb.planning.loaded import LoadedPlan
from orchestrator_nb.projections.words import some
from orchestrator_nb.runtime.orchestrator import Functions, Orchestrator
from orchestrator_nb.runtime.run import Run
from orchestrator_nb.runtime.session import Session
from orchestrator_nb.storage.settings import Settings

_PICTURES = (".png", ".jpg", ".jpeg", ".gif", ".webp")
#: Bytes of an output up to which two texts are compared line by line.
_MAX_TEXT = 2**20


def start_again(
    session: Session, orchestrator: Orchestrator, seed: int | None, jobs: int | None, functions: Functions
) -> Run:
    """Run the session's plan again, with its parameters, in the directory of its caller.

    What people answered is answered again. Of a session that began with a prompt it is the plan that was carried out
    last: nothing is planned or verified anew. Raises `CommandRefused` if the session has not ended.
    """
    if session.status not in ("completed", "failed"):
        raise CommandRefused(f"session {session.id} is {session.status}: only one that has ended can be reproduced")
    accepted = session.state.accepted
    assert accepted is not None
    if session.state.goal is not None and not session.state.round:
        raise CommandRefused(f"session {session.id} has no plan that was carried out: its prompt was not planned")
    plan = _for_comparison(_carried_out(session), seed)
    loaded = LoadedPlan(plan, Path(accepted.base), accepted.source)
    run = orchestrator.run(loaded, accepted.params, jobs=jobs, cwd=accepted.cwd, functions=functions)
    _answer_as_before(run, session)
    return run


def _carried_out(session: Session) -> Plan:
    """The plan without the steps of the loop that made it."""
    return planned(session.plan) if session.state.goal is not None else session.plan


def replaying(settings: Settings, session: Session) -> Settings:
    """The settings with the cassette that the session was recorded into or replayed from, unless they name one."""
    started = session.state.run
    taping = Taping.of(started.settings.get("cassette", {})) if started is not None else None
    if taping is None or settings.replay is not None:
        return settings
    return msgspec.structs.replace(settings, record=None, replay=taping.directory)


def _for_comparison(plan: Plan, seed: int | None) -> Plan:
    """The plan with this seed, if one is given; nobody is going to mend a notebook that fails, so no kernel is kept."""
    seeded = {} if seed is None else environment(seed)
    tasks = [
        task.model_copy(update={"env": {**task.env, **seeded}, "keep_kernel_on_error": None}) if task.notebook else task
        for task in plan.tasks
    ]
    return plan.model_copy(update={"tasks": tuple(tasks)})


def _answer_as_before(run: Run, session: Session) -> None:
    """Give each question the answer that it got in `session`, from a thread of its own."""
    inbox: queue.SimpleQueue[list[e.Record] | None] = queue.SimpleQueue()

    def answer() -> None:
        while (records := inbox.get()) is not None:
            for record in records:
                if isinstance(record.event, e.CheckpointReached):
                    _answer(run, session, record.event)

    run.subscribe(inbox.put)
    run.on_done(lambda: inbox.put(None))
    threading.Thread(target=answer, name="orchestrator_nb answers", daemon=True).start()


def _answer(run: Run, session: Session, asked: e.CheckpointReached) -> None:
    task = session.state.tasks.get(asked.task)
    before = session.state.checkpoints.get(task.checkpoint) if task is not None else None
    by = f"session {session.id}"
    try:
        if before is not None and before.approved:
            run.approve(asked.checkpoint, before.answer, by=by)
        else:
            run.reject(asked.checkpoint, f"nobody approved it in session {session.id}", by=by)
    except (CommandRefused, RunError) as error:  # it has another form now, or the run is over
        run.stop(by=by, reason=str(error)) if not run.done else None


# -- compared ----------------------------------------------------------------------------------------------------------


def compare_sessions(old: Session, new: Session, rules: Rules) -> Iterator[Checked]:
    """Each task of `old` with the same of `new`, then the final documents, byte by byte."""
    others = []
    tasks = [old.state.tasks[task.id] for task in _carried_out(old).tasks]
    for task in tasks:
        checked = _compared(old, new, task, new.state.tasks[task.id], rules)
        others += [] if checked.same else [task.id]
        yield checked
    if old.state.merged is not None:
        why = (f"it holds what differs of {some(others, 5)}",) if others else ()
        yield Checked("final_output.md", "document", tuple(_documents(old, new)), reasons=why)


def _compared(old: Session, new: Session, a: TaskState, b: TaskState, rules: Rules) -> Checked:
    differs: list[str] = []
    cells = None
    if a.status is not b.status:
        differs.append(f"{a.status} → {b.status}" + (f": {b.error.strip()}" if b.error else ""))
    elif a.status is TaskStatus.FAILED and normal(_first_line(a.error)) != normal(_first_line(b.error)):
        differs.append(f"it failed otherwise: {_first_line(a.error)} → {_first_line(b.error)}")
    elif a.status is TaskStatus.COMPLETED:
        differs += _results(old, new, a)
        files = [{PurePath(o.path).name if o.path.endswith(".ipynb") else o.path: o for o in t.outputs} for t in (a, b)]
        for name in sorted({*files[0], *files[1]}):
            left, right = files[0].get(name), files[1].get(name)
            if left is None or right is None:
                differs.append(f"output {PurePath(name).name}: only {'before' if right is None else 'now'}")
            elif left.sha256 == right.sha256:
                continue
            elif name.endswith(".ipynb"):
                before, now = (parse_notebook(s.read(f), f.path) for s, f in ((old, left), (new, right)))
                cells = compare_notebooks(before, now, rules)
            else:
                differs += _files(PurePath(name).name, old.read(left), new.read(right), rules)
    reasons = [*(cells.reasons if cells is not None else ()), *_why(a, b)]
    return Checked(a.id, "task", tuple(differs), cells, tuple(reasons))


def _first_line(text: str) -> str:
    return text.strip().partition("\n")[0]


def _results(old: Session, new: Session, task: TaskState) -> Iterator[str]:
    try:
        a, b = (_text(session.result_of(task.id)) for session in (old, new))
    except OrchestratorError as error:
        yield str(error)
        return
    if a != b:
        yield "result:"
        yield from (f"  {line}" for line in line_diff(a.splitlines(), b.splitlines()))


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False)


def _files(name: str, a: bytes, b: bytes, rules: Rules) -> Iterator[str]:
    if name.lower().endswith(_PICTURES):
        if how := compare_pictures(a, b, rules.tolerance):
            yield f"output {name}: {how}"
    elif max(len(a), len(b)) > _MAX_TEXT or b"\0" in a[:1024]:
        yield f"output {name}: other bytes ({len(a):,} → {len(b):,})"
    else:
        yield f"output {name}:"
        texts = [content.decode("utf-8", "replace").splitlines() for content in (a, b)]
        yield from (f"  {line}" for line in line_diff(texts[0], texts[1]))


def _why(a: TaskState, b: TaskState) -> Iterator[str]:
    if a.fingerprint and b.fingerprint and a.fingerprint != b.fingerprint:
        yield "its code, its notebook, its input files or what it reads of other tasks are not what they were"


def _documents(old: Session, new: Session) -> Iterator[str]:
    if new.state.merged is None:
        yield "there is none now"
    elif old.result != new.result:
        yield "not the same bytes:"
        yield from (f"  {line}" for line in line_diff(old.result.splitlines(), new.result.splitlines()))


def recorded_functions(plan: Plan) -> list[str]:
    """Names of the functions that were handed in when the session was started, and have to be again."""
    works = [work for task in plan.tasks for work in (task, task.fallback) if work is not None]
    return sorted({work.function for work in works if work.function and work.function.startswith(":")})


def check_functions(session: Session, functions: Mapping[str, Any]) -> None:
    """Raise `CommandRefused` if the plan names functions that nobody has handed in."""
    wanted = recorded_functions(_carried_out(session))
    missing = [name for name in wanted if name not in functions and name[1:] not in functions]
    if missing:
        raise CommandRefused(
            f"session {session.id} was started with functions from a notebook or script ({', '.join(missing)}): "
            "reproduce it there, with reproduce(session, functions={...})"
        )
