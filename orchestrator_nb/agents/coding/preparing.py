"""From a task to what is started: options checked, login lent, place made, sandbox chosen, prompt written."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

from orchestrator_nb.agents.coding import capabilities
from orchestrator_nb.agents.coding.cli import CodingCli, Level, Request
from orchestrator_nb.agents.coding.homes import Loan, PrivateHome, environment_for, loan_of
from orchestrator_nb.agents.coding.options import Options, options_of
from orchestrator_nb.agents.coding.presence import fault_of_version, version_of
from orchestrator_nb.agents.coding.recovery import Ground, Widening
from orchestrator_nb.agents.coding.working import Workplace
from orchestrator_nb.agents.human import fault_of_schema
from orchestrator_nb.agents.shell import fault_of_program
from orchestrator_nb.core.models import Task, Work
from orchestrator_nb.core.ports import Assignment, Command
from orchestrator_nb.errors import AgentError, CapabilityError
from orchestrator_nb.storage.files import Root
from orchestrator_nb.system.reading import open_regular
from orchestrator_nb.system.sandbox.containing import contain_command
from orchestrator_nb.system.sandbox.policy import Level as Containment
from orchestrator_nb.system.sandbox.policy import Policy, check_grants
from orchestrator_nb.system.sandbox.probing import Sandbox, find_sandbox
from orchestrator_nb.system.search_path import search_path

LOG, ERROR_LOG, PROMPT = "log", "log.stderr", "prompt"
#: Most bytes of a repository's instructions that are put into a prompt.
LONGEST_INSTRUCTIONS = 1 << 16


@dataclass(frozen=True, slots=True)
class Checked:
    """A task that can be started, as far as that is known before it is."""

    options: Options
    sandbox: Sandbox

    @property
    def contained(self) -> bool:
        """Whether there is a sandbox around it."""
        return self.sandbox.level is not Containment.NONE

    @property
    def own_place(self) -> bool:
        """Whether it gets files of its own: it may write, or what it must not see could not be hidden from it."""
        return self.options.level != "read" or self.sandbox.level is Containment.LANDLOCK


def check_options(cli: CodingCli, task: Task, work: Work, *, starting: bool) -> Options:
    """The options of a task, if they make sense: what is wrong here is wrong on any machine.

    Args:
        cli: The coding agent.
        task: The task.
        work: What is to be done: the task itself, or its fallback.
        starting: Whether all values are known now.

    Raises:
        AgentError: They do not: the message says why, and what to do.
        CapabilityError: This program cannot honour one.
    """
    if not (work.prompt or "").strip():
        raise AgentError(f"a {cli.name} task needs a `prompt`: say what it is to do")
    options = options_of(work.parameters, cli.name, starting=starting)
    if options.level == "read" and task.outputs:
        raise AgentError(f"level `read` cannot write {', '.join(task.outputs)}: say `level: edit`")
    if options.answer_schema is not None and (fault := fault_of_schema(options.answer_schema)):
        raise AgentError(fault)
    if not (options.network or options.contained or cli.capabilities.network):
        raise CapabilityError(f"{cli.name} can be kept from the network by a sandbox only: leave out `sandbox: none`")
    capabilities.check(cli, _request(options, "/", "/", "/"))
    return options


def check_task(cli: CodingCli, assignment: Assignment, environment: Mapping[str, str], *, starting: bool) -> Checked:
    """Whether the task can be started. It changes nothing; programs are asked for their versions.

    Args:
        cli: The coding agent.
        assignment: The task.
        environment: The run's variables and the task's.
        starting: Whether all values are known now.

    Raises:
        AgentError: It cannot: the message says why, and what to do.
        CapabilityError: This program cannot honour an option.
    """
    options = check_options(cli, assignment.task, assignment.work, starting=starting)
    path = environment.get("PATH", os.defpath)
    if fault := fault_of_program(cli.program, Path(assignment.run.cwd), path):
        raise AgentError(fault)
    if cli.capabilities.oldest and (
        fault := fault_of_version(cli, version_of(shutil.which(cli.program, path=path) or cli.program))
    ):
        raise AgentError(fault)
    loan_of(cli, options.login, environment)
    environment_for(environment, {}, Loan({}, {}), options.env)
    for directory in options.granted(Path(assignment.run.base)):
        if not directory.is_dir():
            raise AgentError(f"`directories` names {directory}, which is no directory")
        check_grants(Policy(home=directory, tmp=directory))
    return Checked(options, find_sandbox(options.containment))


def preflight_environment(assignment: Assignment) -> dict[str, str]:
    """What the variables of a process are going to be, before there is one."""
    return {**os.environ, "PATH": search_path(os.environ), **assignment.env}


def _request(
    options: Options, cwd: str, home: str, tmp: str, level: Level | None = None, directories: tuple[str, ...] = ()
) -> Request:
    return Request(
        cwd=cwd,
        home=home,
        tmp=tmp,
        level=level or options.level,
        directories=directories,
        model=options.model,
        turn_limit=options.turn_limit,
        budget=options.budget,
        schema=options.answer_schema,
        contained=options.contained,
        network=options.network,
        base_url=options.base_url,
    )


@dataclass(frozen=True, slots=True)
class Preparation:
    """Everything that the processes of one attempt are started from."""

    cli: CodingCli
    assignment: Assignment
    checked: Checked
    loan: Loan
    home: PrivateHome
    workplace: Workplace
    #: The attempt's own directory.
    directory: Path
    #: What a process of the attempt would have, without any choice.
    environment: Mapping[str, str]

    @property
    def outputs(self) -> Path:
        """Where declared outputs are expected."""
        return self.directory / "outputs"

    def level(self, widening: Widening) -> Level:
        """What it may do."""
        return widening.level or self.checked.options.level

    def directories(self, widening: Widening) -> tuple[Path, ...]:
        """The directories beside its own that it is granted by the plan and by people."""
        given = self.checked.options.granted(Path(self.assignment.run.base))
        return tuple(dict.fromkeys((*given, *map(Path, widening.directories))))

    def ground(self, widening: Widening) -> Ground:
        """What it has, for what could be granted beyond it."""
        run = self.assignment.run
        forbidden = (Path(run.directory), Path(run.cwd)) if self.workplace.place else (Path(run.directory),)
        has = (*self.directories(widening), self.outputs, self.home.home, self.home.tmp, self.workplace.top)
        return Ground(
            level=self.level(widening),
            cwd=self.workplace.cwd,
            directories=has,
            contained=self.checked.contained,
            forbidden=forbidden,
        )

    def command(self, widening: Widening, resume: str | None, lead: str) -> Command:
        """The command to start; its HOME is furnished and its prompt written. Blocking.

        Args:
            widening: What it is granted beyond the plan.
            resume: The session to go on with.
            lead: What it is told before its task.

        Raises:
            AgentError: The sandbox or the program cannot be used so.
            UnsafePath, StorageError: The private HOME cannot be written.
        """
        request = self._request(widening, resume)
        invocation = self.cli.invocation(request)
        self.home.furnish(invocation.home_files, self.loan)
        prompt = self._prompt(lead)
        longest = self.cli.capabilities.longest_prompt
        if longest is not None and len(prompt) > longest:
            raise AgentError(
                f"{self.cli.name} takes prompts of at most {longest:,} characters, this has {len(prompt):,}:"
                " put the text into a file, and name it in `inputs`"
            )
        Root(self.directory).write_atomic(PROMPT, prompt)
        own, names = self.assignment.env, self.checked.options.env
        environment = {**environment_for(self.environment, {}, self.loan, names), **invocation.env, **own}
        command = Command(
            argv=invocation.argv,
            cwd=self.workplace.cwd,
            env=environment,
            log=self.directory / LOG,
            error_log=self.directory / ERROR_LOG,
            stdin_file=self.directory / PROMPT,
        )
        return contain_command(self.checked.sandbox.means, self._policy(widening), command)

    def _request(self, widening: Widening, resume: str | None) -> Request:
        inputs = [path if path.is_dir() else path.parent for path in map(Path, self.assignment.inputs.values())]
        wanted = [*self.directories(widening)]
        if self.assignment.task.outputs:
            wanted.append(self.outputs)
        if self.checked.contained:  # there they are only read, whatever the program thinks
            wanted += inputs
        outside = dict.fromkeys(str(path) for path in wanted if not path.is_relative_to(self.workplace.cwd))
        request = _request(
            self.checked.options,
            str(self.workplace.cwd),
            str(self.home.home),
            str(self.home.tmp),
            self.level(widening),
            tuple(outside),
        )
        return msgspec.structs.replace(request, resume=resume, logged_in=bool(self.loan.files))

    def _policy(self, widening: Widening) -> Policy:
        run, place = self.assignment.run, self.workplace.place
        directories = self.directories(widening)
        inputs = tuple(Path(path) for path in self.assignment.inputs.values())
        writes = self.level(widening) != "read"
        own = (self.workplace.top / ".git",) if self.workplace.is_repository else ()  # it is the place's alone
        return Policy(
            home=self.home.home,
            tmp=self.home.tmp,
            writable=(self.workplace.top, *own, self.outputs, *directories) if writes else (),
            readable=(
                *(place.readable if place else ()),
                *inputs,
                *(() if writes else (self.workplace.top, *directories)),
            ),
            hidden=(Path(run.directory).parent, *self._settings()),
            programs=(sys.executable,),  # so that it can run what the project is made for
            network=self.checked.options.network,
        )

    def _settings(self) -> list[Path]:
        """Files of the repository that configure the program, where they can be hidden: it must not obey them."""
        if self.checked.sandbox.level is not Containment.BUBBLEWRAP:
            return []
        tops = dict.fromkeys((self.workplace.cwd, self.workplace.top))
        return [top / name for top in tops for name in self.cli.control_files]

    def _prompt(self, lead: str) -> str:
        task, parts = self.assignment.task, [lead] if lead else []
        for name in self.cli.capabilities.instructions:
            if text := _instructions(self.workplace.cwd / name):
                parts.append(f"The repository's {name} says:\n<{name}>\n{text}\n</{name}>")
        parts.append(self.assignment.work.prompt or "")
        if task.outputs:
            parts.append(f"Write these files into the directory {self.outputs}: {', '.join(task.outputs)}")
        if self.workplace.is_repository:
            parts.append("What you leave uncommitted here is committed for you.")
        return "\n\n".join(parts)


def _instructions(path: Path) -> str:
    """The text of a file in the repository, or empty; of a link nothing."""
    try:
        with open_regular(path) as file:
            return file.read(LONGEST_INSTRUCTIONS).decode("utf-8", "replace").strip()
    except Exception:  # noqa: BLE001 - it is missing, or no file
        return ""
