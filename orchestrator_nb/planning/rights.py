"""What a plan may use that nobody has read yet: an agent made it, perhaps after reading a hostile repository.

A planner can propose tasks for agents, and nothing else of this machine, unless the user has said so: no other kind of
agent, no command, no code of a project, no directory, variable or level beyond those that were given, nothing that
weakens a sandbox or sends a key elsewhere (DESIGN 4 "Trust and containment"). What is not known to be harmless is
refused, so that an option that comes later is refused until somebody has thought about it.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from orchestrator_nb.core.commands import check_text
from orchestrator_nb.core.faults import Fault
from orchestrator_nb.core.faults import Path as PlanPath
from orchestrator_nb.core.ids import did_you_mean
from orchestrator_nb.core.models import Plan, Task, Work, agent_kind
from orchestrator_nb.errors import ParameterError

#: Agents that do nothing by themselves: a person, and one that plays.
HARMLESS = ("human", "simulated")
#: Tasks of one plan.
MAX_TASKS = 200
#: Tasks running at once (S2's number), if the plan says so itself.
MAX_PARALLEL = 10
#: Attempts of one task.
MAX_ATTEMPTS = 5
#: Options of agents that need no permission, whatever their value.
_FREE = frozenset(["budget", "model", "network", "schema", "stall", "tool_stall", "turn_limit"])
#: Keys of a plan that are harmless, or judged below.
_PLAN_KEYS = frozenset(["description", "limits", "merge", "params", "phases", "title"])
#: Keys of tasks that are harmless, or judged below.
_KEYS = frozenset(
    (
        "agent", "cell_timeout", "checks", "command", "cwd", "dependencies", "env", "fallback", "files", "function",
        "id", "inputs", "isolate", "join", "keep_kernel_on_error", "notebook", "ok_exit_codes", "on_failure",
        "outputs", "parameters", "phase", "priority", "prompt", "resources", "result", "retry", "role", "timeout",
        "title",
    )
)  # fmt: skip
#: What a plan may say of its merge: neither a notebook nor an agent that the user has not chosen.
_FREE_MERGE = frozenset(["strategy", "tasks", "title"])
_FREE_STRATEGIES = frozenset(["concatenate", "structured", "table"])
#: Options of which these values need none.
_SAFE_VALUES: Mapping[str, tuple[Any, ...]] = {
    "login": ("auto", "none"),
    "recovery": ("never", "ask"),
    "sandbox": ("auto", "bubblewrap"),
}
_OWN_OPTIONS: Mapping[str, frozenset[str]] = {
    "human": frozenset(["schema"]),
    "simulated": frozenset(["duration", "fail", "result", "steps"]),
}
#: An input that is another task's output.
_OUTPUT = re.compile(r"\$\{output\.[^{}]*\}")
#: Agents whose `parameters` are arguments of code that the user has allowed.
_CALLED = ("function", "notebook")


class Rights(BaseModel):
    """What the user allows the plans of a planner to use."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    agents: tuple[str, ...] = ()
    """Kinds of agents, beside those that do nothing by themselves."""
    commands: tuple[str, ...] = ()
    """Commands, for tasks and checks: to the letter, whether a plan writes them as text or as a list of arguments."""
    functions: tuple[str, ...] = ()
    """Functions, as ``module:name``."""
    notebooks: tuple[str, ...] = ()
    """Paths of notebooks."""
    levels: tuple[str, ...] = ("read", "edit")
    """Levels of coding agents."""
    directories: tuple[str, ...] = ()
    """Directories outside of the plan's own, absolute, with all that is in them."""
    env: tuple[str, ...] = ()
    """Names of environment variables."""
    sandboxes: tuple[str, ...] = ()
    """Kinds of sandboxes weaker than the best: ``landlock``, ``none``."""
    addresses: tuple[str, ...] = ()
    """Other addresses of models' APIs, which will see the keys."""

    @classmethod
    def of(cls, words: Iterable[str], base: Path) -> Rights:
        """The rights that these words give: ``agent:codex``, ``command:pytest -q``, ``level:full``, ...

        Paths are relative to `base`. Raises `ParameterError` for a word that means nothing.
        """
        given: dict[str, list[str]] = {name: [] for name in _WORDS.values()}
        for word in words:
            kind, colon, value = word.partition(":")
            if kind not in _WORDS or not colon or not value.strip():
                known = ", ".join(f"{name}:..." for name in _WORDS)
                raise ParameterError(f"'{word}' allows nothing{did_you_mean(kind, _WORDS)} (known: {known})")
            value = str(Path(base, value).expanduser().resolve()) if kind == "directory" else value.strip()
            given[_WORDS[kind]].append(value)
        given["levels"] = [*cls().levels, *given["levels"]]
        return cls(**{name: tuple(dict.fromkeys(values)) for name, values in given.items()})

    @property
    def kinds(self) -> tuple[str, ...]:
        """All kinds of agents that a plan may use."""
        by_work = {"shell": self.commands, "function": self.functions, "notebook": self.notebooks}
        allowed = (kind for kind, things in by_work.items() if things)
        return tuple(dict.fromkeys((*self.agents, *allowed, *HARMLESS)))

    def faults(self, plan: Plan, base: Path, tasks: Collection[str] | None = None) -> list[Fault]:
        """Everything in `plan` that is not allowed; its paths are relative to `base`. Follows symbolic links.

        With `tasks` only the tasks of these ids are judged: the rest of the plan was approved before.
        """
        return list(_Check(self, base.resolve()).plan(plan, tasks))


def too_many_tasks(plan: Plan) -> Iterator[Fault]:
    """The fault of a plan that is larger than the loop carries out."""
    if len(plan) > MAX_TASKS:
        message = f"the plan has {len(plan)} tasks, at most {MAX_TASKS}"
        yield Fault("error", message, "", ("tasks",), "plan larger steps")


def params_faults(plan: Plan) -> Iterator[Fault]:
    """The fault of a plan that wants values: it is carried out as it is."""
    if plan.params:
        yield Fault("error", "nobody gives values to a planned plan", "", ("params",), "write them where they go")


_WORDS = {
    "address": "addresses",
    "agent": "agents",
    "command": "commands",
    "directory": "directories",
    "env": "env",
    "function": "functions",
    "level": "levels",
    "notebook": "notebooks",
    "sandbox": "sandboxes",
}


class _Check:
    """One plan being held against rights."""

    def __init__(self, rights: Rights, base: Path) -> None:
        self._rights = rights
        self._base = base
        self._commands = {text: _argv(text) for text in rights.commands}

    def plan(self, plan: Plan, ids: Collection[str] | None) -> Iterator[Fault]:
        if too_many := list(too_many_tasks(plan)):
            yield from too_many
            return
        if ids is None:
            yield from self.whole(plan)
        for position, task in enumerate(plan.tasks):
            for path, message, remedy in self.task(task) if ids is None or task.id in ids else ():
                yield Fault("error", message, task.id, ("tasks", position, *path), remedy)

    def whole(self, plan: Plan) -> Iterator[Fault]:
        """What is wrong beside the tasks."""
        yield from params_faults(plan)
        said = plan.model_dump(exclude_defaults=True, exclude={"tasks"})
        for name in sorted(said.keys() - _PLAN_KEYS):
            yield Fault("error", f"the key '{name}' is not for planned plans", "", (name,), "leave it out")
        if (plan.limits.max_parallel or 0) > MAX_PARALLEL:
            message, remedy = f"{plan.limits.max_parallel} tasks at once are too many", f"at most {MAX_PARALLEL}"
            yield Fault("error", message, "", ("limits", "max_parallel"), remedy)
        if plan.limits.prices:
            yield Fault("error", "limits.prices is not for planned plans", "", ("limits", "prices"), "leave it out")
        for name, value in said.get("merge", {}).items():
            if name not in _FREE_MERGE or (name == "strategy" and value not in _FREE_STRATEGIES):
                message = f"merge.{name} {_short(repr(value))} is not for planned plans"
                yield Fault("error", message, "", ("merge", name), "leave it out")

    def task(self, task: Task) -> Iterator[tuple[PlanPath, str, str]]:
        """Where, what, remedy."""
        for name in sorted(task.model_dump(exclude_defaults=True).keys() - _KEYS):
            yield (name,), f"the key '{name}' is not for planned tasks", "leave it out"
        yield from self.work(task, ())
        if task.fallback is not None:
            yield from self.work(task.fallback, ("fallback",))
        for number, check in enumerate(task.checks):
            if not self._allowed_command(check):
                yield ("checks", number), *self._refused("command", check_text(check), self._rights.commands)
        for name in task.env:
            if name not in self._rights.env:
                yield ("env", name), *self._refused("env", name, self._rights.env)
        if task.cwd is not None and not self._inside(task.cwd):
            yield ("cwd",), *self._outside(task.cwd)
        for name, path in task.inputs.items():
            if not _OUTPUT.fullmatch(path) and not self._inside(path):
                yield ("inputs", name), *self._outside(path)
        if task.retry is not None and task.retry.attempts > MAX_ATTEMPTS:
            yield ("retry",), f"{task.retry.attempts} attempts are too many", f"ask for at most {MAX_ATTEMPTS}"

    def work(self, work: Work, at: PlanPath) -> Iterator[tuple[PlanPath, str, str]]:
        kind = agent_kind(work)
        rights = self._rights
        if kind not in rights.kinds and kind not in ("none", "shell", *_CALLED):
            yield (*at, "agent"), *self._refused("agent", kind, rights.kinds)
        if work.command is not None and not self._allowed_command(work.command):
            yield (*at, "command"), *self._refused("command", check_text(work.command), rights.commands)
        if work.function is not None and work.function not in rights.functions:
            yield (*at, "function"), *self._refused("function", work.function, rights.functions)
        if work.notebook is not None and work.notebook not in rights.notebooks:
            yield (*at, "notebook"), *self._refused("notebook", work.notebook, rights.notebooks)
        if kind not in _CALLED:
            for name, value in work.parameters.items():
                for message, remedy in self.option(kind, name, value):
                    yield (*at, "parameters", name), message, remedy

    def option(self, kind: str, name: str, value: Any) -> Iterator[tuple[str, str]]:
        """What is wrong with one of an agent's options."""
        rights = self._rights
        if kind in _OWN_OPTIONS or kind == "shell":
            if name not in _OWN_OPTIONS.get(kind, ()):
                yield f"the option '{name}' is not for planned tasks of kind {kind}", "leave it out"
        elif name in _WORD_OF:
            one_by_one = _ALLOWED[name]
            values = value if isinstance(value, list) else [value]
            for single in values:
                if not isinstance(single, str) or not one_by_one(self, single):
                    yield self._refused(_WORD_OF[name], f"{single}", getattr(rights, _WORDS[_WORD_OF[name]]))
        elif name in _SAFE_VALUES:
            if value not in _SAFE_VALUES[name]:
                allowed = " or ".join(_SAFE_VALUES[name])
                yield f"{name} {_short(repr(value))} is not for planned tasks", f"write {allowed}, or leave it out"
        elif name not in _FREE:
            yield f"the option '{name}' is not for planned tasks", "leave it out"

    # -- single things -------------------------------------------------------------------------------------------------

    def _allowed_command(self, command: str | tuple[str, ...]) -> bool:
        if isinstance(command, str):
            return command.strip() in self._commands
        return command in self._commands.values()

    def _inside(self, path: str) -> bool:
        """Whether a path leads into the plan's directory, or into one that was given."""
        if "$" in path or path.startswith("~") or "\0" in path:
            return False
        try:
            real = Path(self._base, path).resolve()
        except (OSError, RuntimeError, ValueError):
            return False
        return any(real.is_relative_to(place) for place in (self._base, *map(Path, self._rights.directories)))

    def _outside(self, path: str) -> tuple[str, str]:
        return f"'{path}' is not in {self._base}", "keep to that directory"

    def _refused(self, word: str, value: str, allowed: Iterable[str]) -> tuple[str, str]:
        known = list(allowed)
        remedy = f"allowed: {', '.join(known)}" if known else "do without it"
        return f"the user has not allowed the {_NOUNS.get(word, word)} '{_short(value)}'", remedy


_WORD_OF = {"base_url": "address", "level": "level", "directories": "directory", "env": "env", "sandbox": "sandbox"}
_NOUNS = {"env": "environment variable"}
_ALLOWED: Mapping[str, Callable[[_Check, str], bool]] = {
    "base_url": lambda check, address: address in check._rights.addresses,
    "level": lambda check, level: level in check._rights.levels,
    "directories": lambda check, directory: check._inside(directory),
    "env": lambda check, name: name in check._rights.env,
    "sandbox": lambda check, kind: kind in _SAFE_VALUES["sandbox"] or kind in check._rights.sandboxes,
}


def _short(text: str) -> str:
    return text if len(text) <= 80 else text[:77] + "..."


def _argv(text: str) -> tuple[str, ...]:
    try:
        return tuple(shlex.split(text))
    except ValueError:  # an open quote: only to the letter
        return ()
