"""Git repositories for tests: made as a user makes them, and compared byte for byte."""

from __future__ import annotations

import hashlib
import os
import subprocess
from pathlib import Path

_WHO = ("-c", "user.name=User", "-c", "user.email=user@example.org", "-c", "init.defaultBranch=main")


def git(directory: Path, *arguments: str, ok: bool = True) -> str:
    """Run git as a user without settings does; returns what it prints, without the last line end."""
    environment = {"PATH": os.environ["PATH"], "HOME": str(directory), "GIT_CONFIG_NOSYSTEM": "1", "LC_ALL": "C"}
    done = subprocess.run(
        ["git", *_WHO, *arguments], cwd=directory, env=environment, capture_output=True, timeout=60, check=False
    )
    assert done.returncode == 0 or not ok, os.fsdecode(done.stderr)
    return os.fsdecode(done.stdout).removesuffix("\n")


def make_repository(directory: Path, files: dict[str, str] | None = None) -> Path:
    """A repository with one commit of `files`."""
    directory.mkdir(parents=True, exist_ok=True)
    git(directory, "init", "-q")
    write(directory, files if files is not None else {"a.txt": "a\n", "src/b.txt": "1\n2\n3\n4\n5\n6\n7\n"})
    git(directory, "add", "-A")
    git(directory, "commit", "-q", "--allow-empty", "-m", "start")
    return directory


def write(directory: Path, files: dict[str, str]) -> None:
    """Write text files, with the directories on the way."""
    for name, text in files.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")


def tree(directory: Path, git_too: bool = False) -> dict[str, str]:
    """Everything in a directory: kind, mode and content of each path. Without ``.git`` unless `git_too`."""
    found = {}
    for top, directories, files in os.walk(directory):
        hidden = set() if git_too else {".git"}
        directories[:] = [name for name in directories if name not in hidden]
        for name in sorted({*directories, *files} - hidden):
            path = Path(top, name)
            mode = path.lstat().st_mode
            if path.is_symlink():
                content = os.readlink(path)
            else:
                content = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
            found[path.relative_to(directory).as_posix()] = f"{mode:o} {content}"
    return found


def users_own(repository: Path) -> dict[str, str]:
    """All that is the user's: checkout, index, branches, stash, hooks, settings, logs; not objects and refs of ours."""
    ours = ("objects/", "refs/orchestrator", "refs/heads/orchestrator")
    inside = {
        name: content
        for name, content in tree(repository / ".git", git_too=True).items()
        if not f"{name}/".startswith(ours) and f"{name}/" != "objects/"
    }
    refs = git(repository, "for-each-ref", "--format=%(refname) %(objectname)").splitlines()
    theirs = [line for line in refs if "refs/orchestrator/" not in line and "refs/heads/orchestrator/" not in line]
    return {
        **tree(repository),
        **{f".git/{name}": content for name, content in inside.items()},
        "refs": "\n".join(theirs),
    }
