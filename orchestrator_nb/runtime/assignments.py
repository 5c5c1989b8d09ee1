"""From a task that may start to the assignment that an agent gets: values substituted, identity computed."""

from __future__ import annotations

import hashlib
import marshal
from collections.abc import Callable, Mapping
from pathlib import Path, PurePath
from typing import Any

import msgspec

from orchestrator_nb.agents.imports import source_of
from orchestrator_nb.core.events import Artifact
from orchestrator_nb.core.models import DependencyKind, Task, Work
from orchestrator_nb.core.ports import Assignment, RunContext
from orchestrator_nb.core.reviews import votes_text
from orchestrator_nb.core.state import State
from orchestrator_nb.core.tasks import TaskState
from orchestrator_nb.core.values import Reference, fill, quoted
from orchestrator_nb.errors import BadReference
from orchestrator_nb.runtime.results import read_result

#: Looked up once: see `core.tasks.WAITING`.
_DATA = DependencyKind.DATA


class Assigner:
    """Makes assignments for one run."""

    def __init__(self, run: RunContext, state: State, read: Callable[[Artifact], bytes]) -> None:
        self.run = run
        self._state = state
        self._read = read
        self._hashes: dict[tuple[str, str], str] = {}
        self._directory = msgspec.json.encode(str(run.directory))[1:-1]

    def assign(self, task_state: TaskState, attempt: int, fallback: bool) -> Assignment:
        """The assignment of a task's next attempt. Raises `BadReference` for a value that cannot be had."""
        assert self._state.plan is not None
        spec = self._state.plan.tasks[task_state.index]
        work: Work = spec.fallback if fallback and spec.fallback is not None else spec
        timeout = spec.timeout or self._state.plan.limits.timeout
        if spec.phase and not spec.timeout:
            timeout = next((p.timeout for p in self._state.plan.phases if p.id == spec.phase), None) or timeout
        assignment = Assignment(
            run=self.run, task=spec, number=task_state.number, work=work, attempt=attempt, timeout=timeout
        )
        if task_state.checkpoint and (checkpoint := self._state.checkpoints[task_state.checkpoint]).approved:
            assignment = msgspec.structs.replace(
                assignment,
                answered=True,
                answer=checkpoint.answer,
                answered_by=checkpoint.by,
                subject_sha256=checkpoint.subject_sha256,
            )
        if not (spec.inputs or spec.env or has_references(spec, work)):
            return assignment

        def lookup(reference: Reference) -> Any:
            return self._value(spec, reference)

        task = fill(spec, lookup)
        return msgspec.structs.replace(
            assignment,
            task=task,
            work=task if work is spec else fill(work, lookup),
            inputs={name: self._input(path) for name, path in task.inputs.items()},
            env=task.env,
        )

    def _input(self, path: str) -> PurePath:
        """Where an input lies: absolute, an output of a task (S2's ``TASK/FILE``), or relative to the plan."""
        if not PurePath(path).is_absolute() and _owner(path, self._state):
            return PurePath(self.run.directory, "outputs", path)
        return PurePath(self.run.base, path)

    def _value(self, spec: Task, reference: Reference) -> Any:
        if reference.kind == "params":
            return self.run.params[reference.name]
        other = self._state.tasks[reference.name]
        if reference.kind == "output":
            for artifact in other.outputs:
                if artifact.path == f"outputs/{other.id}/{reference.key}":
                    return str(PurePath(self.run.directory, artifact.path))
            raise BadReference(f"task '{spec.id}': task '{other.id}' has left no output '{reference.key}'")
        value = read_result(other, self._read)
        if reference.kind == "result":
            return value
        if isinstance(value, Mapping) and reference.key in value:
            return value[reference.key]
        raise BadReference(
            f"task '{spec.id}': the result of task '{other.id}' has no value '{reference.key}'"
            + (f" (it has {', '.join(map(str, value))})" if isinstance(value, Mapping) else " (it is no mapping)")
        )

    def reviewed(self, assignment: Assignment, task: TaskState, fingerprint: str) -> Assignment:
        """`assignment` of a task whose work is reviewed; after a stop, its agent is told why."""
        work, review = assignment.work, self._state.reviews.get(task.id)
        if task.reworks and work.prompt and review is not None:
            said = quoted("What the reviewers said", votes_text(review.votes))
            work = work.model_copy(update={"prompt": f"{work.prompt}\n\n{_REWORK}\n\n{said}"})
        return msgspec.structs.replace(assignment, work=work, fingerprint=fingerprint)

    # -- identity ------------------------------------------------------------------------------------------------------

    def fingerprint(self, assignment: Assignment) -> str:
        """Hash of all that affects what the attempt does (DESIGN 4 "Task identity"), as 32 hex digits.

        The work with its values substituted, what is expected of it, the code or notebook, the content of declared
        inputs, and the results of the tasks that it depends on for data.
        """
        spec, work = assignment.task, assignment.work
        identity: list[Any] = [work.agent, work.prompt, work.command, work.function, work.notebook, work.parameters]
        if spec.outputs or spec.checks or spec.env or spec.result or spec.cwd or spec.isolate != "thread":
            identity += [spec.outputs, spec.checks, dict(assignment.env), spec.cwd, spec.isolate]
            identity.append(spec.result.model_dump() if spec.result else None)
        if spec.ok_exit_codes != (0,):
            identity.append(spec.ok_exit_codes)
        if work.function or work.notebook:
            identity.append(self._code_hash(work))
        if assignment.inputs:
            identity.append({name: _content_hash(Path(path)) for name, path in assignment.inputs.items()})
        if spec.dependencies:
            identity.append([self._upstream_hash(d.task) for d in spec.dependencies if d.kind is _DATA])
        if assignment.run.params and (work.command is not None or work.notebook or spec.isolate == "process"):
            identity.append(dict(assignment.run.params))  # a process finds them all in its environment
        encoded = msgspec.json.encode(identity, enc_hook=str)
        if spec.dependencies:  # paths of outputs are the same in every session
            encoded = encoded.replace(self._directory, b"$SESSION")
        return hashlib.blake2b(encoded, digest_size=16).hexdigest()

    def forget_code(self) -> None:
        """Code and notebooks may have been changed: hash them again."""
        self._hashes.clear()

    def _upstream_hash(self, task_id: str) -> Any:
        task = self._state.tasks[task_id]
        result = task.result.sha256 if task.result is not None else None
        value = None if task.value is msgspec.UNSET else task.value
        return [task.status, result, value, [(output.path, output.sha256) for output in task.outputs]]

    def _code_hash(self, work: Work) -> str:
        key = (work.function or "", work.notebook or "")
        if key not in self._hashes:
            if work.notebook:
                path = Path(self.run.base, work.notebook)
                self._hashes[key] = _file_hash(path if path.exists() else Path(self.run.cwd, work.notebook))
            else:
                self._hashes[key] = _function_hash(work.function or "", self.run)
        return self._hashes[key]


#: What an agent is told whose work was stopped.
_REWORK = (
    "You did this task before, and reviewers stopped your work, which was not kept. Do it anew, so that what they"
    " found is right this time."
)


def has_references(spec: Task, work: Work) -> bool:
    """Whether anything in the task or its work may hold a ``${...}`` or a ``$$`` that has to be substituted."""
    if not (work.prompt or work.command or work.parameters or work.notebook or spec.checks or spec.cwd):
        return False
    texts = [text for text in (work.prompt, work.notebook, spec.cwd) if text]
    if isinstance(work.command, tuple):
        texts.extend(work.command)
    if work.parameters or spec.checks:
        texts.append(f"{work.parameters} {spec.checks}")
    return bool(texts) and "$" in "".join(texts)


def _owner(path: str, state: State) -> str | None:
    """S2's form of an input, ``TASK/FILE``: the task whose output it is, if there is one."""
    parts = path.split("/")
    candidates = ("/".join(parts[:end]) for end in range(len(parts) - 1, 0, -1))
    return next((candidate for candidate in candidates if candidate in state.tasks), None)


def _content_hash(path: Path) -> str:
    """Hash of a file, or of all files below a directory with their names; empty if there is no such thing."""
    if not path.is_dir():
        return _file_hash(path)
    files = sorted(file for file in path.rglob("*") if file.is_file())
    listed = [(str(file.relative_to(path)), _file_hash(file)) for file in files]
    return hashlib.sha256(msgspec.json.encode(listed)).hexdigest()


def _file_hash(path: Path) -> str:
    try:
        if not path.is_file():  # a pipe would be waited for
            return ""
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""


def _function_hash(reference: str, run: RunContext) -> str:
    """Hash of the file that holds an importable function, or of the code of one that was handed in."""
    module, _, name = reference.partition(":")
    if module:
        source = source_of(module, [str(run.base), str(run.cwd)])
        return _file_hash(source) if source is not None else ""
    function = run.functions.get(reference) or run.functions.get(name)
    code = getattr(function, "__code__", None)
    if code is None:
        return ""
    closure = [repr(cell.cell_contents) for cell in function.__closure__ or ()]  # type: ignore[union-attr]
    defaults = repr((function.__defaults__, function.__kwdefaults__, closure))  # type: ignore[union-attr]
    return hashlib.sha256(marshal.dumps(code) + defaults.encode()).hexdigest()
