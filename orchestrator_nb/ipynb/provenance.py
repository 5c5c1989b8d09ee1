"""What decided an executed notebook: code, parameters, input files, the interpreter and its packages, the seed.

It is kept in the executed notebook's metadata, under ``orchestrator.provenance``; `orchestrate reproduce` reads it to
say why two executions may differ. Of environment variables only those are kept that were passed on purpose; of values
that look secret no more than what tells that they have changed.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from orchestrator_nb.ipynb.seeding import VARIABLE

FORMAT = 1

#: Names of variables, and values, that are taken for secrets.
_SECRET_NAME = re.compile(r"KEY|TOKEN|SECRET|PASS|PWD|CREDENTIAL|AUTH|PRIVATE|COOKIE|DSN|SIGNATURE", re.IGNORECASE)
_SECRET_VALUE = re.compile(
    r"-----BEGIN|://[^/\s:@]*:[^/\s@]+@|\beyJ[\w-]{10,}\.|\b(?:AKIA|ASIA)[A-Z0-9]{12}|[A-Za-z0-9+_-]{40,}"
    r"|\b(?:sk|pk|rk|ghp|gho|ghs|github_pat|glpat|xox[abps]|hf|npm)[-_]\w{8}"
)
_PACKAGE = re.compile(r"(?P<name>.+?)-(?P<version>[^-]+)(?:-py[\d.]+)?\.(?:dist-info|egg-info)")
_CHUNK = 2**20
#: Seconds that git, and another interpreter, are given to answer.
_GIT_TIMEOUT, _PYTHON_TIMEOUT = 5, 30
#: Seconds for which an answer of git is used again: a batch starts many notebooks.
_GIT_INTERVAL = 10


@dataclass(frozen=True, kw_only=True)
class Circumstances:
    """What whoever executes a notebook knows about the execution."""

    #: The notebook's file, as it is before the execution; where it came from, in words, if that is no local file.
    notebook: Path | str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    #: The declared input files, by name.
    inputs: Mapping[str, Path] = field(default_factory=dict)
    #: The environment variables that were passed on purpose.
    environment: Mapping[str, str] = field(default_factory=dict)
    seed: int | None = None
    #: PYTHONHASHSEED as the kernel has it.
    hash_seed: str = "random"
    #: The directory in which the cells run.
    cwd: Path | None = None
    #: The kernel's interpreter; None if the kernel is no Python.
    python: str | None = sys.executable
    #: As `git_state` gives it, where that is known already.
    git: Mapping[str, Any] | None = None
    #: The kernel that was chosen, where it need not be the one that the notebook names.
    kernel_name: str = ""


def provenance(given: Circumstances) -> dict[str, Any]:
    """What decided the execution, as JSON. What cannot be found out is None."""
    return {
        "format": FORMAT,
        "notebook": _source(given.notebook),
        "parameters": {"sha256": value_hash(dict(given.parameters))},
        "inputs": {name: _file(path) for name, path in given.inputs.items()},
        "interpreter": interpreter(given.python) if given.python else None,
        "seed": given.seed,
        "hash_seed": given.hash_seed,
        "environment": {
            name: guarded(name, value)
            for name, value in sorted(given.environment.items())
            if name not in (VARIABLE, "PYTHONHASHSEED")  # they have places of their own
        },
        "cwd": str(given.cwd or Path.cwd()),
        "git": dict(given.git) if given.git is not None else _git_around(given.notebook),
        **({"kernel_name": given.kernel_name} if given.kernel_name else {}),
    }


def _source(notebook: Path | str) -> dict[str, Any]:
    if isinstance(notebook, str):
        return {"path": notebook, "sha256": None, "why": "it is no local file"}
    digest = file_hash(notebook)
    return {"path": str(notebook), "sha256": digest, **({} if digest else {"why": "it cannot be read again"})}


def _git_around(notebook: Path | str) -> dict[str, Any] | None:
    return git_state(notebook.absolute().parent) if isinstance(notebook, Path) else None


def provenance_of(notebook: Mapping[str, Any]) -> dict[str, Any]:
    """What an executed notebook records; empty if it records nothing."""
    recorded = kept_in(notebook).get("provenance")
    return dict(recorded) if isinstance(recorded, Mapping) else {}


def kept_in(notebook: Mapping[str, Any]) -> Mapping[str, Any]:
    """What stands in the metadata of a notebook under ``orchestrator``."""
    metadata = notebook.get("metadata")
    ours = metadata.get("orchestrator") if isinstance(metadata, Mapping) else None
    return ours if isinstance(ours, Mapping) else {}


# -- hashes ------------------------------------------------------------------------------------------------------------


def file_hash(path: Path) -> str | None:
    """The SHA-256 of a file's content; None if it is no file, or cannot be read."""
    digest = hashlib.sha256()
    try:
        if not path.is_file():  # a pipe was read already, or would be waited for
            return None
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                digest.update(chunk)
    except OSError:
        return None
    return digest.hexdigest()


def value_hash(value: Any) -> str:
    """The SHA-256 of a value as JSON with sorted names."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=str)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _file(path: Path) -> dict[str, Any]:
    absolute = path.absolute()
    return {"path": str(absolute), "sha256": file_hash(absolute)}


def guarded(name: str, value: str) -> str:
    """The value of an environment variable, or, if it looks secret, its mark: enough to see that it is another one.

    A mark has 16 bits: who knows it still has one in 65,536 of all guesses before him.
    """
    if _SECRET_NAME.search(name) or _SECRET_VALUE.search(value):
        return f"secret:{hashlib.sha256(value.encode('utf-8', 'surrogateescape')).hexdigest()[:4]}"
    return value


def is_guarded(value: str) -> bool:
    """Whether a recorded value is only the mark of one."""
    return re.fullmatch(r"secret:[0-9a-f]{4}", value) is not None


# -- the interpreter ---------------------------------------------------------------------------------------------------


def interpreter(python: str = sys.executable) -> dict[str, Any] | None:
    """An interpreter, its system, and what is installed in it; None if it does not answer."""
    if Path(python).absolute() != Path(sys.executable).absolute():
        return _asked(python)
    system = os.uname()
    return {
        "executable": python,
        "implementation": sys.implementation.name,
        "version": sys.version.partition(" ")[0],
        "system": f"{system.sysname} {system.machine}",
        "packages": list(packages()),
    }


def packages(path: Iterable[str] | None = None) -> list[str]:
    """What is installed, as the lines ``name==version`` of a lock, sorted; as the names of its directories say.

    `path` is where modules are found: `sys.path` if left out.
    """
    found: dict[str, str] = {}
    for place in sys.path if path is None else path:
        with suppress(OSError):
            directory = os.path.abspath(place)  # noqa: PTH100 - also of the empty text, which is the current directory
            for name, version in _installed_in(directory, os.stat(directory).st_mtime_ns):  # noqa: PTH116
                found.setdefault(name, version)  # the first one on the path is imported
    return [f"{name}=={version}" for name, version in sorted(found.items())]


@lru_cache(maxsize=256)
def _installed_in(directory: str, _: int) -> list[tuple[str, str]]:
    """Names and versions; looked up once for each time that something is installed, which changes the directory."""
    with os.scandir(directory) as entries:
        matches = [match for entry in entries if (match := _PACKAGE.fullmatch(entry.name))]
    return [(re.sub(r"[-_.]+", "-", match["name"]).lower(), match["version"]) for match in matches]


_PROGRAM = """
import json, os, re, sys
system = os.uname()
print(json.dumps([sys.implementation.name, sys.version.partition(" ")[0], system.sysname, system.machine, sys.path]))
"""


def _asked(python: str) -> dict[str, Any] | None:
    """As `interpreter`, of another one."""
    try:
        implementation, version, system, machine, path = _answer_of(python, Path(python).stat().st_mtime_ns)
    except (OSError, subprocess.SubprocessError, ValueError):
        return None
    return {
        "executable": python,
        "implementation": implementation,
        "version": version,
        "system": f"{system} {machine}",
        "packages": packages(path),
    }


@lru_cache(maxsize=16)
def _answer_of(python: str, _: int) -> list[Any]:
    """Asked once for each time that the interpreter is replaced."""
    command = [python, "-I", "-"]
    done = subprocess.run(command, input=_PROGRAM, capture_output=True, text=True, timeout=_PYTHON_TIMEOUT, check=True)
    return list(json.loads(done.stdout))


# -- git ---------------------------------------------------------------------------------------------------------------


def checked_out(directory: Path) -> dict[str, Any] | None:
    """As `git_state`, with what git says of changed files; that is asked again after some seconds only."""
    return _checked_out(directory, int(time.monotonic() / _GIT_INTERVAL))


@lru_cache(maxsize=64)
def _checked_out(directory: Path, _: int) -> dict[str, Any] | None:
    return git_state(directory, ask_git=True)


def git_state(directory: Path, *, ask_git: bool = False) -> dict[str, Any] | None:
    """What is checked out where `directory` lies: ``revision``, ``branch`` and ``dirty``; None outside of git.

    It is read from git's files. Whether tracked files were changed (``dirty``) only git can say: None unless `ask_git`.
    """
    for top in (directory, *directory.parents):
        if (top / ".git").exists():
            break
    else:
        return None
    try:
        home = _git_directory(top)
        head = (home / "HEAD").read_text("utf-8").strip()
        common = _common_directory(home)
        branch = head.removeprefix("ref: ") if head.startswith("ref: ") else ""
        revision = _revision(home, common, branch) if branch else head
    except (OSError, UnicodeDecodeError):
        return None
    return {
        "revision": revision,
        "branch": branch.removeprefix("refs/heads/"),
        "dirty": _is_dirty(top) if ask_git else None,
    }


def _git_directory(top: Path) -> Path:
    place = top / ".git"
    if place.is_dir():
        return place
    return top / place.read_text("utf-8").strip().removeprefix("gitdir: ")  # a worktree, or a submodule


def _common_directory(home: Path) -> Path:
    try:
        return home / (home / "commondir").read_text("utf-8").strip()
    except FileNotFoundError:
        return home


def _revision(home: Path, common: Path, branch: str) -> str | None:
    """What a branch points to; None before its first commit."""
    for place in (home, common):
        with suppress(OSError):
            return (place / branch).read_text("utf-8").strip()
    with suppress(OSError):
        for line in (common / "packed-refs").read_text("utf-8").splitlines():
            revision, _, name = line.partition(" ")
            if name == branch:
                return revision
    return None


def _is_dirty(top: Path) -> bool | None:
    command = ["git", "--no-optional-locks", "status", "--porcelain", "-uno"]
    no_monitor = {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "core.fsmonitor", "GIT_CONFIG_VALUE_0": "false"}
    environment = {**os.environ, **no_monitor}
    try:
        done = subprocess.run(command, cwd=top, env=environment, capture_output=True, timeout=_GIT_TIMEOUT, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return bool(done.stdout.strip())


# -- what differs ------------------------------------------------------------------------------------------------------


def reasons(before: Mapping[str, Any], after: Mapping[str, Any], imports: Iterable[str] = ()) -> list[str]:
    """Why two executed notebooks may differ, by what they record; the likeliest first.

    `before` and `after` are what stands in the notebooks; `imports` are the names of modules that the code imports:
    packages of these names are told first.
    """
    a, b = provenance_of(before), provenance_of(after)
    told: list[str] = []
    if a and b:
        told += _changed_inputs(a, b)
        told += _changed_interpreter(_mapping(a, "interpreter"), _mapping(b, "interpreter"), set(imports))
        told += _changed_seed(a, b)
        told += _changed_environment(_mapping(a, "environment"), _mapping(b, "environment"))
        told += _changed_surroundings(a, b)
    modes = [(_mapping(kept_in(side), "kernel")).get("mode") for side in (before, after)]
    if all(modes) and modes[0] != modes[1]:
        told.append(f"kernel mode: {modes[0]} → {modes[1]}")
    return told


def _changed_inputs(a: Mapping[str, Any], b: Mapping[str, Any]) -> Iterator[str]:
    old, new = _mapping(a, "inputs"), _mapping(b, "inputs")
    for name in sorted({*old, *new}):
        left, right = _mapping(old, name), _mapping(new, name)
        if left.get("sha256") != right.get("sha256"):
            path = right.get("path") or left.get("path")
            yield f"input file '{name}' {'is gone' if right.get('sha256') is None else 'has changed'}: {path}"


def _changed_interpreter(a: Mapping[str, Any], b: Mapping[str, Any], imports: set[str]) -> Iterator[str]:
    if not (a and b):  # of one it is not known
        return
    for what in ("implementation", "version", "system"):
        if a.get(what) != b.get(what):
            yield f"Python's {what}: {a.get(what)} → {b.get(what)}" if what != "system" else f"{a[what]} → {b[what]}"
    old, new = _versions(a), _versions(b)
    changed = [name for name in sorted({*old, *new}) if old.get(name) != new.get(name)]
    changed.sort(key=lambda name: name.replace("-", "_") not in imports)
    for name in changed[:10]:
        yield f"package {name}: {old.get(name, 'none')} → {new.get(name, 'none')}"
    if len(changed) > 10:
        yield f"… and {len(changed) - 10} more packages"


def _versions(interpreter: Mapping[str, Any]) -> dict[str, str]:
    lock = interpreter.get("packages")
    lines = [line for line in lock if isinstance(line, str)] if isinstance(lock, list) else []
    return {name: version for name, _, version in (line.partition("==") for line in lines)}


def _changed_seed(a: Mapping[str, Any], b: Mapping[str, Any]) -> Iterator[str]:
    old, new = a.get("seed"), b.get("seed")
    if old != new:
        yield f"seed: {_said(old)} → {_said(new)}"
    if a.get("hash_seed") != b.get("hash_seed"):
        yield f"PYTHONHASHSEED: {a.get('hash_seed')} → {b.get('hash_seed')}"


def _said(seed: Any) -> str:
    return "none" if seed is None else str(seed)


def _changed_environment(a: Mapping[str, Any], b: Mapping[str, Any]) -> Iterator[str]:
    for name in sorted({*a, *b}):
        if a.get(name) != b.get(name):
            yield f"environment variable {name}: {a.get(name, 'not set')} → {b.get(name, 'not set')}"


def _changed_surroundings(a: Mapping[str, Any], b: Mapping[str, Any]) -> Iterator[str]:
    old, new = _mapping(a, "git"), _mapping(b, "git")
    if old and new and old.get("revision") != new.get("revision"):
        yield f"git revision: {str(old.get('revision'))[:10]} → {str(new.get('revision'))[:10]}"
    elif (old or new) and True in (old.get("dirty"), new.get("dirty")):
        yield "files in the git repository were changed and not committed"


def _mapping(facts: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = facts.get(name)
    return value if isinstance(value, Mapping) else {}
