"""The merge at the end of a run: results collected, a strategy asked, `final_output.md` written.

What a strategy has done by agents is done here: each request is an attempt with a directory and a log of its own
(``attempts/merging/<n>``) and events in the session's log. Its answer is kept, so that a merge which is interrupted
asks nothing twice.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from orchestrator_nb.agents.threads import in_daemon_thread
from orchestrator_nb.core import events as e
from orchestrator_nb.core.merges import Merge
from orchestrator_nb.core.models import Retry, Task, Work, agent_kind
from orchestrator_nb.core.ports import Assignment, Checkpoint, Failure, RunContext, Timeout
from orchestrator_nb.core.state import State
from orchestrator_nb.core.values import fill
from orchestrator_nb.errors import AgentError, OrchestratorError
from orchestrator_nb.executors.asking import Answer, Asker
from orchestrator_nb.merging import Collection, Document, collect, merged
from orchestrator_nb.policies.retry import PERMANENT, delay_before
from orchestrator_nb.storage.workspace import SessionDir

FINAL_OUTPUT = "final_output.md"
#: What stands for a task's id where the merge has its attempts.
NAME = "merging"
#: How often a request is tried whose failure may pass by itself.
SCHEDULE = Retry(when="transient")


class Merger:
    """Merges the results of one run.

    Args:
        state: Of the session; all tasks have ended.
        directory: The session's.
        read: Gives the content of a promoted file.
        asker: Asks agents.
        context: Of the run.
        record: Writes events.
    """

    def __init__(
        self,
        state: State,
        directory: SessionDir,
        read: Callable[[e.Artifact], bytes],
        asker: Asker,
        context: RunContext,
        record: Callable[[e.AnyEvent], None],
    ) -> None:
        assert state.plan is not None
        self._state, self._plan, self._directory, self._read = state, state.plan, directory, read
        self._asker, self._context, self._record = asker, context, record
        self._name = name_for(state)

    async def merge(self) -> None:
        """Write the document, durably, and record that."""
        how = with_values(self._plan.merge, self._state.params)
        collection = await in_daemon_thread(collect, self._state, self._read)
        document = await merged(how, collection, self)
        for warning in document.warnings:
            self._record(e.WarningRaised(warning))
        artifact = await in_daemon_thread(self._write, document)
        self._record(e.ResultsMerged(document.instead or how.strategy, artifact, collection.missing))

    def _write(self, document: Document) -> e.Artifact:
        content = document.text.encode()
        self._directory.root.write_atomic(FINAL_OUTPUT, content, sync=True)
        return e.Artifact(FINAL_OUTPUT, len(content), hashlib.sha256(content).hexdigest())

    # -- the desk (`merging.Desk`) -------------------------------------------------------------------------------------

    async def ask(self, work: Work, label: str, files: Mapping[str, str]) -> Any:
        """Have `work` done, or give the answer that it got before; raises `AgentError` if it fails for good."""
        kept = f"attempts/{self._name}/answers/{_key(work, files)}.json"
        if (answer := await asyncio.to_thread(self._kept, kept)) is not None:
            self.tell(f"{label}: answered before")
            return answer[0]
        failures = 0
        while True:
            outcome = await self._try(work, label, files)
            if isinstance(outcome, Answer):
                for warning in outcome.warnings:
                    self._record(e.WarningRaised(f"{label}: {warning}"))
                content = msgspec.json.encode([outcome.value])
                await asyncio.to_thread(self._directory.root.write_atomic, kept, content, sync=True)
                return outcome.value
            failures += 1
            error, again = _judged(outcome)
            if not again or failures >= SCHEDULE.attempts:
                raise AgentError(f"{label}: {error}")
            delay = delay_before(SCHEDULE, failures + 1)
            self.tell(f"{label} failed, and is tried again in {delay:g} s: {error}")
            await asyncio.sleep(delay)

    async def compute(self, writer: Callable[[Collection], str], collection: Collection) -> str:
        """What a function makes of the collection, in a thread."""
        return await in_daemon_thread(writer, collection)

    def tell(self, message: str) -> None:
        """Tell people how far it is."""
        self._record(e.MergeProgressed(self._state.merge_attempts, message[:500]))

    async def _try(self, work: Work, label: str, files: Mapping[str, str]) -> Answer | Failure | Checkpoint | Timeout:
        attempt = self._state.merge_attempts + 1
        kind = agent_kind(work)
        self._record(e.MergeStarted(attempt, kind, label))
        given = {name: self._file(name, content) for name, content in files.items()}
        work = work.model_copy(update={"parameters": {**work.parameters, **given}})
        task = Task(id=self._name, **work.model_dump(exclude_defaults=True))
        assignment = Assignment(
            run=self._context,
            task=task,
            number=0,
            work=task,
            attempt=attempt,
            timeout=self._plan.merge.timeout or self._plan.limits.timeout,
        )
        return await self._asker.ask(assignment, self._note)

    def _file(self, name: str, content: str) -> str:
        relative = f"{self._directory.attempt(self._name, self._state.merge_attempts)}/{name}.json"
        self._directory.root.write_atomic(relative, content)
        return str(self._directory.path / relative)

    def _note(self, event: e.Event) -> None:
        if isinstance(event, e.SideWorkTold):
            self._record(event)
        elif isinstance(event, e.TaskProgressed) and event.message:
            self.tell(event.message)

    def _kept(self, relative: str) -> list[Any] | None:
        root = self._directory.root
        try:
            answer = msgspec.json.decode(root.read_bytes(relative, 1 << 28)) if root.exists(relative) else None
        except (OrchestratorError, msgspec.DecodeError):
            return None
        return answer if isinstance(answer, list) and answer else None


def with_values(merge: Merge, params: Mapping[str, Any]) -> Merge:
    """`merge` with the values of the plan's parameters in its texts, each as in a task."""
    if merge.prompt is None and merge.notebook is None and not merge.parameters:
        return merge
    work = Work(prompt=merge.prompt, notebook=merge.notebook, parameters=merge.parameters)
    work = fill(work, lambda reference: params[reference.name])
    filled = {"prompt": work.prompt, "notebook": work.notebook, "parameters": work.parameters}
    return merge.model_copy(update=filled)


def name_for(state: State) -> str:
    """What the merge is called among the attempts: no task of the plan has this id, or one below it."""
    taken = {task_id.partition("/")[0].casefold() for task_id in state.tasks}
    return next(
        name for number in range(len(taken) + 1) if (name := NAME + "-" * bool(number) + str(number or "")) not in taken
    )


def _key(work: Work, files: Mapping[str, str]) -> str:
    asked = [work.model_dump(mode="json", exclude_defaults=True), dict(files)]
    return hashlib.sha256(msgspec.json.encode(asked, order="sorted")).hexdigest()


def _judged(outcome: Failure | Checkpoint | Timeout) -> tuple[str, bool]:
    """What went wrong, and whether trying again may help."""
    if isinstance(outcome, Checkpoint):
        return f"it asks a person, who cannot be asked while results are merged: {outcome.question}", False
    if isinstance(outcome, Timeout):
        return outcome.error, True
    return outcome.error, outcome.transient and outcome.kind not in PERMANENT
