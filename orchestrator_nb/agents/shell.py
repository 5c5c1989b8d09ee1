"""The agent that runs a command: a list of arguments, or one string for the shell.

What the command prints on standard output is its result, and its raw log (`log`); what it prints on standard error
is kept apart, in `log.stderr`, so that JSON on standard output stays JSON.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path

from orchestrator_nb.agents.exits import failure_of, warnings_of
from orchestrator_nb.core.ids import did_you_mean
from orchestrator_nb.core.models import Work
from orchestrator_nb.core.ports import Assignment, Command, Failure, Outcome, Services, Success
from orchestrator_nb.storage.files import Root
from orchestrator_nb.system.search_path import search_path

#: Names of the logs in the attempt's directory.
LOG, ERROR_LOG = "log", "log.stderr"

#: Linux takes no longer argument, in bytes.
MAX_ARGUMENT = 128 * 1024 - 1

_OPTIONS = ("shell", "stdin")
_SHELLS = {"sh": "/bin/sh", "bash": "bash"}


class ShellAgent:
    """Runs `command`. Its `parameters` are options: `shell` (sh or bash), `stdin` (text or JSON for standard input)."""

    def preflight(self, assignment: Assignment) -> str | None:
        """What would keep the command from starting, or None: unknown options, a missing directory or program."""
        if fault := _fault_of_options(assignment.work):
            return fault
        argv = _argv(assignment.work)
        if "${" in argv[0] or "${" in str(assignment.cwd):
            return None  # not known before it starts
        if "/" in argv[0] and assignment.task.upstream:
            return None  # a task before it may make it
        path = assignment.env.get("PATH") or search_path(os.environ)
        return _fault_of_directory(assignment) or fault_of_program(argv[0], Path(assignment.cwd), path)

    async def run(self, assignment: Assignment, services: Services) -> Outcome:
        """Run the command to its end; `ok_exit_codes` says which exit codes are no failure."""
        work, environment = assignment.work, services.environment()
        if fault := _fault_of_options(work) or _fault_of_directory(assignment):
            return Failure(fault, kind="preflight")
        argv = _argv(work)
        fault = fault_of_program(argv[0], Path(assignment.cwd), environment.get("PATH", os.defpath))
        if fault := fault or _fault_of_arguments(argv):
            return Failure(fault, kind="preflight")
        directory = Path(services.attempt_dir())
        process = await services.spawn(
            Command(
                argv=argv,
                cwd=assignment.cwd,
                env=environment,
                log=directory / LOG,
                error_log=directory / ERROR_LOG,
                stdin_file=_stdin(work, directory),
            )
        )
        end = await process.wait()
        errors = directory / ERROR_LOG
        said = errors if errors.exists() and errors.stat().st_size else directory / LOG
        return failure_of(end, said, assignment.task.ok_exit_codes) or Success(
            file=LOG, exit_code=end.code, warnings=warnings_of(end)
        )


def _argv(work: Work) -> tuple[str, ...]:
    if isinstance(work.command, str):
        return (_SHELLS[str(work.parameters.get("shell", "sh"))], "-c", work.command)
    return work.command or ()


def _stdin(work: Work, directory: Path) -> Path | None:
    given = work.parameters.get("stdin")
    if given is None:
        return None
    Root(directory).write_atomic("stdin", given if isinstance(given, str) else json.dumps(given))
    return directory / "stdin"


def _fault_of_options(work: Work) -> str | None:
    if not work.command:
        return "a shell task needs a `command`: a list of arguments, or one string for the shell"
    for name in work.parameters:
        if name not in _OPTIONS:
            known = ", ".join(_OPTIONS)
            return f"parameter '{name}' of a shell task is unknown{did_you_mean(name, _OPTIONS)} (known: {known})"
    shell = work.parameters.get("shell", "sh")
    if shell not in _SHELLS:
        return f"`shell` of a shell task is {shell!r}: say sh or bash"
    return None


def _fault_of_directory(assignment: Assignment) -> str | None:
    return None if Path(assignment.cwd).is_dir() else f"the directory to run in does not exist: {assignment.cwd}"


def _fault_of_arguments(argv: tuple[str, ...]) -> str | None:
    for number, argument in enumerate(argv):
        if "\0" in argument:
            return f"argument {number} of the command holds a NUL character, which no argument can"
        if len(argument) > MAX_ARGUMENT // 4 and (size := len(argument.encode("utf-8", "replace"))) > MAX_ARGUMENT:
            return (
                f"argument {number} of the command has {size} bytes, and no argument can have more than {MAX_ARGUMENT}:"
                " give the text as `parameters: {stdin: ...}`, or in a file"
            )
    return None


# -- programs ----------------------------------------------------------------------------------------------------------


def fault_of_program(program: str, cwd: Path, path: str) -> str | None:
    """Why `program` cannot be executed, and what to do about it, or None. `path` is the PATH to look in."""
    if "/" in program:
        return _fault_of_file(cwd / program, program, path)
    if found := shutil.which(program, path=path):
        return _fault_of_file(Path(found), program, path)
    for directory in path.split(os.pathsep):
        if (file := Path(directory, program)).is_file():
            return f"'{program}' was found as {file}, but it is not executable: chmod +x {file}"
    here = path.partition(os.pathsep)[0]
    hint = did_you_mean(program, _programs(path)) or "; is it installed in this environment?"
    return f"'{program}' was not found in PATH (which begins with {here}){hint}"


def _fault_of_file(file: Path, program: str, path: str) -> str | None:
    if not file.exists():
        return f"'{program}' does not exist: {file}"
    if file.is_dir():
        return f"'{program}' is a directory: {file}"
    if not os.access(file, os.X_OK):
        return f"'{program}' is not executable: chmod +x {file}, or run it through its interpreter"
    return _fault_of_interpreter(file, path)


def _fault_of_interpreter(file: Path, path: str) -> str | None:
    try:
        with file.open("rb") as script:
            first = script.readline(256)
    except OSError:
        return None  # executable, but not readable
    match = re.match(rb"#!\s*(\S+)(?:\s+(\S+))?", first)
    if not match:
        return None
    interpreter, argument = (os.fsdecode(part or b"") for part in match.groups())
    if not Path(interpreter).exists():
        return f"{file} is to be run by {interpreter}, which does not exist (its first line says so)"
    if Path(interpreter).name == "env" and argument[:1].isalnum() and not shutil.which(argument, path=path):
        return f"{file} is to be run by '{argument}', which was not found in PATH (its first line says so)"
    return None


def _programs(path: str) -> Mapping[str, None]:
    names: dict[str, None] = {}
    for directory in path.split(os.pathsep):
        try:
            names.update(dict.fromkeys(os.listdir(directory)))  # noqa: PTH208 - names are all that is needed
        except OSError:
            continue
    return names
