"""When an agent was refused something: does its task fail for it, and what is the least that would let it through?

The rules are DESIGN 4's. A refusal is always recorded; the task fails for it when declared outputs are missing (or
checks fail, which others see), or when it declares neither and a tool that writes or runs commands was refused. To
*widen* is one directory more or one level up, unasked only within the task's own list (`recovery`), else when a person
agrees to exactly that; one consent is for one attempt. What only the text of a program says can be forged by whatever
the agent runs: for it nothing is widened unasked, and nothing that an agent merely prints or says is looked at.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from orchestrator_nb.agents.coding.cli import LEVELS, Clis, Level, Parser
from orchestrator_nb.agents.coding.vocabulary import CommandRun, PermissionDenied, Started
from orchestrator_nb.agents.coding.words import refusal
from orchestrator_nb.core.models import Task
from orchestrator_nb.core.stages import stage_of
from orchestrator_nb.errors import AgentError
from orchestrator_nb.system.sandbox.policy import Policy, check_grants

#: Tools that only look: a task does not fail because one of them was refused.
LOOKING = frozenset(
    [
        *("Read", "Glob", "Grep", "LS", "NotebookRead", "WebFetch", "WebSearch", "TodoWrite", "ExitPlanMode", "Task"),
        *("read_file", "read_many_files", "list_directory", "glob", "search_file_content", "grep_search", "web_fetch"),
        *("google_web_search", "view_image", "web_search", "update_plan", "write_todos", "save_memory"),
    ]
)
#: How the system words that our sandbox stopped a write. Other words are met where nothing is wrong, too.
_SANDBOX = "read-only file system"
#: Nothing in them is proposed, nor what is hidden in the user's home: who means it writes it into the plan.
_SYSTEM = tuple(map(Path, ("/bin", "/boot", "/dev", "/etc", "/lib", "/opt", "/proc", "/run", "/sbin", "/sys", "/usr")))
_MISSING = "No such file or directory"
_ABSOLUTE = re.compile(r"/[^\s'\"`:;,()<>|&]+")


class Widening(msgspec.Struct, frozen=True):
    """What is granted beyond what the task has."""

    level: Level | None = None
    #: Absolute.
    directories: tuple[str, ...] = ()

    def __str__(self) -> str:
        """For people: ``level full and the directory /data``."""
        parts = [f"level `{self.level}`"] if self.level else []
        parts += [f"the directory {directory}" for directory in self.directories]
        return " and ".join(parts)

    def plus(self, other: Widening) -> Widening:
        """Both."""
        return Widening(other.level or self.level, tuple(dict.fromkeys((*self.directories, *other.directories))))


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """Where an agent stands: what it has, and what it is not to get."""

    level: Level
    #: Its working directory and the others that it may use.
    cwd: Path
    directories: tuple[Path, ...] = ()
    #: Whether a sandbox is around it, without which there is no level `full`.
    contained: bool = True
    #: Directories that no agent gets: the user's own checkout, the records of the run.
    forbidden: tuple[Path, ...] = ()

    def has(self, path: Path) -> bool:
        """Whether a path lies in what it has."""
        return any(path.is_relative_to(directory) for directory in (self.cwd, *self.directories))


def decisive(
    denials: Sequence[PermissionDenied], task: Task, outputs: Path, ground: Ground
) -> tuple[PermissionDenied, ...]:
    """The refusals for which a task fails whose agent came to a good end; none if it does not.

    Args:
        denials: All that happened.
        task: What declares outputs and checks.
        outputs: Directory in which the outputs should be.
        ground: Where the agent stands.
    """
    if task.outputs:
        missing = any(not (outputs / name).exists() for name in task.outputs)
        return tuple(denials) if missing else ()
    if task.checks or stage_of(task.id) is not None:  # a planner's or verifier's answer is read strictly: that judges
        return ()
    return tuple(denial for denial in denials if _stopped_work(denial, ground))


def _stopped_work(denial: PermissionDenied, ground: Ground) -> bool:
    """Whether a tool that writes or runs commands was refused.

    What only a program says counts where something could be granted for it: agents try much that is none of their
    business, and go on without it.
    """
    if denial.tool in LOOKING or "/.git/" in denial.path:  # what it changes is committed for it
        return False
    if denial.source != "text":
        return True
    outside = denial.path.startswith("/") and not ground.has(Path(denial.path))
    return (outside or _SANDBOX in denial.reason.lower()) and _least(denial, ground) is not None


def unseen(event: CommandRun, ground: Ground) -> PermissionDenied | None:
    """The refusal that a command met by not finding what is there: a sandbox shows what is granted, and no more.

    Only what the command itself names counts, and only where something could be granted for it.
    """
    if event.exit_code == 0 or _MISSING not in event.output:
        return None
    for line in event.output.splitlines():
        if _MISSING in line:
            for found in _ABSOLUTE.findall(line):
                path = Path(os.path.normpath(found))
                if found in event.command and not ground.has(path) and (path.exists() or path.parent.is_dir()):
                    said = line.strip()[:500]
                    denial = PermissionDenied(
                        event.line, "command", event.command[:2000], said, "directory", "text", path=str(path)
                    )
                    if _least(denial, ground):
                        return denial
    return None


def propose(denials: Sequence[PermissionDenied], ground: Ground) -> Widening | None:
    """The least that would let the first of these calls through for which there is such a thing; else None."""
    return next((widening for denial in denials if (widening := _least(denial, ground))), None)


def _least(denial: PermissionDenied, ground: Ground) -> Widening | None:
    if denial.need in ("rule", "network"):
        return None
    place = denial.path or (denial.target if denial.target.startswith("/") and "\n" not in denial.target else "")
    path = Path(os.path.normpath(ground.cwd / place)) if place else None
    if denial.need == "directory" and path is not None and not ground.has(path):
        return _directory(path, ground)
    if denial.need == "directory" and path is None:
        return None
    return _next_level(ground)


def _directory(path: Path, ground: Ground) -> Widening | None:
    """The nearest directory that is there and holds `path`, if it can be granted."""
    directory = path if path.is_dir() else next(parent for parent in path.parents if parent.is_dir())
    real = directory.resolve()
    if any(real.is_relative_to(no) or no.is_relative_to(real) for no in map(Path.resolve, ground.forbidden)):
        return None
    if ground.has(real):
        return _next_level(ground)
    if any(real.is_relative_to(system) for system in _SYSTEM) or _hidden_at_home(real):
        return None
    try:
        check_grants(Policy(home=real, tmp=real))
    except AgentError:
        return None
    return Widening(directories=(str(real),))


def _hidden_at_home(path: Path) -> bool:
    """Whether it belongs to a program's settings or keys: ``~/.ssh``."""
    home = Path(os.path.expanduser("~")).resolve()  # noqa: PTH111 - works without a home
    return path.is_relative_to(home) and any(part.startswith(".") for part in path.relative_to(home).parts)


def _next_level(ground: Ground) -> Widening | None:
    above = LEVELS[LEVELS.index(ground.level) + 1 :]
    return Widening(level=above[0]) if above and (above[0] != "full" or ground.contained) else None


def allowed_unasked(
    widening: Widening, denials: Sequence[PermissionDenied], allowed: Sequence[str], base: Path
) -> bool:
    """Whether the task's own list (`recovery`) covers a widening, and the refusals are the CLI's own word.

    Args:
        widening: What is to be granted.
        denials: For what.
        allowed: Levels, and directories relative to `base`: what lies in them is covered, too.
        base: Where the plan's paths begin.
    """
    if any(denial.source == "text" for denial in denials):
        return False
    directories = [Path(base, name).resolve() for name in allowed if name not in LEVELS]
    covered = all(any(Path(d).is_relative_to(root) for root in directories) for d in widening.directories)
    return covered and (widening.level is None or widening.level in allowed)


def question(task: str, widening: Widening, refusals: Sequence[str]) -> str:
    """What a person is asked: everything that is granted is in it, so that its hash binds the answer."""
    told = "\n".join(f"- {line}" for line in refusals[:10])
    more = f"\n- and {len(refusals) - 10} more" if len(refusals) > 10 else ""
    return (
        f"The agent of task '{task}' was refused:\n{told}{more}\n\n"
        f"Grant it {widening}, for one attempt, in which it goes on with its own session?"
    )


# -- S3's name ---------------------------------------------------------------------------------------------------------


class RecoveryAction(msgspec.Struct, frozen=True):
    """What would repair a permission problem."""

    worker: str
    denial: PermissionDenied
    #: None: nothing short of a person's own hand.
    widening: Widening | None

    def __str__(self) -> str:
        """For people."""
        remedy = f"grant {self.widening}" if self.widening else "nothing that could be granted would help"
        return f"{self.worker} was refused {refusal(self.denial)}: {remedy}"


class PermissionRecoveryEngine:
    """Finds permission problems in the lines that workers print (S3 `recovery.py`).

    It differs from S3 on purpose. It matches no patterns in the log: it reads each line as the CLI's own record, so
    that a phrase that an agent prints or says is no permission problem. It has no `_fix_gemini` and `_fix_codex`,
    because what helps is the same for all (`Widening`), and it restarts nothing by itself: that takes a person's
    consent (`WorkerManager.grant`), or the task's own list (`recovery`).

    Args:
        level: What the workers may do now.
        cwd: Where they work.
        directories: What they may use beside.
        workers: Names of workers -> the CLI that each is; a name that is missing is taken for the CLI's.
    """

    def __init__(
        self,
        level: Level = "edit",
        cwd: str | Path = ".",
        directories: Sequence[str | Path] = (),
        workers: dict[str, str] | None = None,
    ) -> None:
        self._ground = Ground(level=level, cwd=Path(cwd).absolute(), directories=tuple(map(Path, directories)))
        self._workers = workers or {}
        self._clis = Clis()
        self._parsers: dict[str, Parser] = {}
        self._lines: dict[str, int] = {}

    def monitor_stream(self, line: str, worker: str) -> RecoveryAction | None:
        """What to do about the permission problem that this line of `worker`'s output tells of; None if none.

        Raises `UnknownAgent` for a worker that is neither known nor named like a CLI.
        """
        if worker not in self._parsers:
            self._parsers[worker] = self._clis.get(self._workers.get(worker, worker)).parser()
        number = self._lines[worker] = self._lines.get(worker, 0) + 1
        for event in self._parsers[worker].output(number, line.encode("utf-8", "replace")):
            if isinstance(event, Started) and event.cwd:
                self._ground = Ground(
                    level=self._ground.level, cwd=Path(event.cwd), directories=self._ground.directories
                )
            if isinstance(event, PermissionDenied):
                return RecoveryAction(worker, event, propose([event], self._ground))
        return None
