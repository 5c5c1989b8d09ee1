"""The functions that `code_review.yaml` calls: `read_code`, `check_security` and `write_report`."""

from __future__ import annotations

import ast
import json
import os
import stat
import subprocess
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from orchestrator_nb import TaskContext
from orchestrator_nb.core.reports import SEVERITIES, Finding, Report, severity_of
from orchestrator_nb.errors import AgentError

#: Larger files are data or generated code: nobody reviews them.
MAX_BYTES = 2_000_000

#: The problem of a file whose expressions are so deep that tools may crash on it.
TOO_DEEP = "nested too deeply"

#: Directories that hold no code of the project, beside hidden ones and virtual environments.
NOT_OURS = ("__pycache__", "node_modules")

# -- T-01: read code ---------------------------------------------------------------------------------------------------


def read_code(target: str, context: TaskContext) -> dict[str, Any]:
    """Find the Python code at `target` and leave the lists that the checks read, so that all read the same files.

    Outputs: `files.json` (the inventory), `sources.txt` (every file, one a line), `parsed.txt` (those that Python can
    parse), `bandit.ini` (every file, as bandit wants it). Paths in them are relative to the returned `root`.
    """
    root, inventory = take_inventory(Path(target), context.progress)
    sources = [file["path"] for file in inventory["files"]]
    parsed = [file["path"] for file in inventory["files"] if not file["problem"]]
    texts = {
        "files.json": json.dumps(inventory, indent=1),
        "sources.txt": arguments(sources),
        "parsed.txt": arguments(parsed),
        "bandit.ini": bandit_targets(sources),
    }
    for name, text in texts.items():
        (context.outputs / name).write_text(text, encoding="utf-8")
    return {"root": str(root), "files": len(sources), "parsed": len(parsed), "skipped": len(inventory["skipped"])}


def take_inventory(
    target: Path, progress: Callable[[str, int, int], object] = lambda *_: None
) -> tuple[Path, dict[str, list[dict[str, Any]]]]:
    """The root of the code at `target`, and what there is: `files` with what is known of each, `skipped` with why.

    Raises `AgentError` if there is no Python code at `target`.
    """
    root, names, skipped = find_sources(target)
    files = []
    for number, name in enumerate(names):
        if number % 100 == 0:
            progress(name, number, len(names))
        file = examine(root, name)
        if file["problem"] == TOO_DEEP:
            skipped.append({"path": name, "reason": TOO_DEEP})
        else:
            files.append(file)
    progress(counted(len(files), "file"), len(names), len(names))
    if not files:
        left_out = "".join(f"; left out: {item['path']} ({item['reason']})" for item in skipped[:3])
        raise AgentError(f"there is no Python code in {target}, no file that ends in .py{left_out}")
    return root, {"files": files, "skipped": skipped}


def find_sources(target: Path) -> tuple[Path, list[str], list[dict[str, str]]]:
    """The root of the code, its Python files relative to it, and what is left out with the reason, all sorted."""
    if target.is_file():
        if target.suffix != ".py":
            raise AgentError(f"{target} is no Python file: give a directory of code, or one file that ends in .py")
        return target.parent, [target.name], []
    names: list[str] = []
    skipped: list[dict[str, str]] = []
    for path, fault in sorted(_walk(target)):
        name = path.relative_to(target).as_posix()
        good_name = name.isprintable() and "," not in name
        if fault or not good_name:
            reason = fault or "its name cannot be given to the tools"
            skipped.append({"path": name if name.isprintable() else ascii(name), "reason": reason})
        else:
            names.append(name)
    return target, names, skipped


def _walk(root: Path) -> Iterator[tuple[Path, str]]:
    """Every Python file below `root`, and every directory that is left out, with the reason or an empty string."""
    unreadable: list[OSError] = []
    for place, directories, files in os.walk(root, onerror=unreadable.append):
        for directory in list(directories):
            if directory.startswith(".") or directory in NOT_OURS:
                directories.remove(directory)  # so common that naming each would say nothing
            elif Path(place, directory, "pyvenv.cfg").exists():
                directories.remove(directory)
                yield Path(place, directory), "a virtual environment"
        for file in files:
            if file.endswith(".py") and not file.startswith("."):
                yield Path(place, file), _fault(Path(place, file))
    for error in unreadable:
        yield Path(error.filename), f"cannot be read: {error.strerror}"


def _fault(path: Path) -> str:
    """Why a file is left out; empty if it is not."""
    status = path.lstat()
    if stat.S_ISLNK(status.st_mode):
        return "a symbolic link"
    if not stat.S_ISREG(status.st_mode):
        return "no regular file"
    if status.st_size > MAX_BYTES:
        return f"{status.st_size:,} bytes, more than {MAX_BYTES:,}"
    if not os.access(path, os.R_OK):
        return "cannot be read: Permission denied"
    return ""


def examine(root: Path, name: str) -> dict[str, Any]:
    """What is known of one file: its size, what it defines, and what keeps it from being analysed."""
    data = (root / name).read_bytes()
    lines = data.count(b"\n") + (not data.endswith(b"\n") and bool(data))
    file = {"path": name, "bytes": len(data), "lines": lines, "functions": 0, "classes": 0, "problem": ""}
    try:
        data.decode("utf-8")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of invalid escapes: the style check tells them
            tree = ast.parse(data)
    except UnicodeDecodeError:
        return {**file, "problem": "not UTF-8"}
    except SyntaxError as error:
        return {**file, "problem": f"line {error.lineno or 1}: {error.msg}"}
    except ValueError as error:
        return {**file, "problem": str(error)}
    except (RecursionError, MemoryError):
        return {**file, "problem": TOO_DEEP}
    nodes = Counter(type(node) for node in ast.walk(tree))
    functions = nodes[ast.FunctionDef] + nodes[ast.AsyncFunctionDef]
    return {**file, "functions": functions, "classes": nodes[ast.ClassDef]}


def arguments(names: Sequence[str]) -> str:
    """A file of arguments for ruff (`@FILE`); without names it says to read standard input, which is empty."""
    return "".join(f"./{name}\n" for name in names) or "-\n"


def bandit_targets(names: Sequence[str]) -> str:
    """A configuration for bandit that names its targets: any number of them, where a command line has a limit."""
    return f"[bandit]\ntargets = {','.join(names).replace('%', '%%')}\n"


# -- T-03: security ----------------------------------------------------------------------------------------------------


def check_security(targets: str) -> Report:
    """What bandit finds in the files that `targets` names (`bandit_targets`), relative to the current directory.

    Its JSON is read here, because its SARIF writer fails on findings in long literals (as of bandit 1.9).
    """
    command = ["bandit", f"--ini={targets}", *BANDIT_OPTIONS, "--format=json", "--quiet"]
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, check=False)
        issues = json.loads(done.stdout)["results"]  # exit code 1 stands for findings, and for a crash
    except FileNotFoundError:
        raise AgentError("bandit is not installed here: pip install 'orchestrator-nb[demo]'") from None
    except ValueError:
        raise AgentError(f"bandit failed with exit code {done.returncode}: see the log of this task") from None
    findings = [
        Finding(
            issue["issue_text"],
            category="security",
            severity=severity_of(issue["issue_severity"]),
            file=PurePosixPath(issue["filename"]).as_posix(),
            line=issue["line_number"],
            rule=issue["test_id"],
        )
        for issue in issues
    ]
    return Report(f"bandit: {counted(len(findings), 'finding') if findings else 'no findings'}", tuple(findings))


#: Nothing is excluded, because `read_code` has left out what does not count; assertions are in every test.
BANDIT_OPTIONS = ("--exclude=", "--skip=B101")

# -- T-05: report ------------------------------------------------------------------------------------------------------


def write_report(target: str, figures: Mapping[str, Any], checks: Mapping[str, Mapping[str, Any]]) -> Report:
    """Sum up what was read (`figures`) and what each check found, and give a verdict."""
    findings = {check: report.get("findings", []) for check, report in checks.items()}
    severities = Counter(finding.get("severity", "medium") for found in findings.values() for finding in found)
    total = severities.total()
    weighed = ", ".join(f"{severities[severity]:,} {severity}" for severity in SEVERITIES if severities[severity])
    return Report(
        f"Reviewed {Path(target).name}: {counted(figures['files'], 'file')}, {counted(figures['lines'], 'line')}. "
        f"{counted(total, 'finding')}{': ' if total else ''}{weighed}. Verdict: {verdict(severities)}.",
        metrics={f"{check} findings": len(found) for check, found in findings.items()},
    )


def verdict(severities: Mapping[str, int]) -> str:
    """What the findings mean, in a word or two."""
    if severities.get("critical") or severities.get("high"):
        return "changes needed"
    return "good, with remarks" if any(severities.values()) else "clean"


def counted(number: int, noun: str) -> str:
    """``1 file``, ``1,200 files``."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
