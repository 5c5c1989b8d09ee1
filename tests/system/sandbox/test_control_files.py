"""H2: files that other programs obey cannot be planted unseen."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from orchestrator_nb.system.sandbox import control_files
from orchestrator_nb.system.sandbox.control_files import ControlGuard, locked
from orchestrator_nb.system.sandbox.policy import Level
from tests.system.sandbox.place import Place, both, git, need

#: Twenty files that an agent could plant for others to obey.
PLANTED = (
    ".git/hooks/post-checkout",
    ".git/config",
    ".git/info/attributes",
    ".git/commondir",
    ".claude/settings.json",
    ".codex/config.toml",
    ".gemini/settings.json",
    ".mcp.json",
    ".envrc",
    ".env",
    ".vscode/tasks.json",
    ".idea/workspace.xml",
    ".husky/pre-commit",
    ".devcontainer/devcontainer.json",
    "conftest.py",
    "deep/er/conftest.py",
    "site.pth",
    "sitecustomize.py",
    ".github/workflows/ci.yml",
    "vendor/.git/hooks/pre-commit",
)
PLANT = f"""
import os
for name in {PLANTED!r}:
    try:
        os.makedirs(os.path.dirname(name) or ".", exist_ok=True)
        with open(name, "a") as file:
            file.write("evil")
    except OSError:
        print("blocked", name)
"""


@pytest.fixture
def place(tmp_path: Path) -> Place:
    found = Place(tmp_path / "place")
    git(found.work)
    return found


@both
def test_h2_twenty_control_files_are_blocked_or_reported(place: Place, level: Level) -> None:
    guard = ControlGuard.begin([place.work])
    done = place.python(need(level), PLANT)
    assert done.returncode == 0, done.stderr
    blocked = {line.partition(" ")[2] for line in done.stdout.splitlines()}
    reported = {change.path.relative_to(place.work.resolve()).as_posix() for change in guard.end()}
    assert [name for name in PLANTED if name not in blocked | reported] == []
    if level is Level.BUBBLEWRAP:
        in_locked = {name for name in PLANTED if name.startswith((*control_files.LOCKED_DIRECTORIES, ".git/"))}
        assert blocked == in_locked
        assert not blocked & reported
    else:
        assert blocked == set()


@both
def test_h2_existing_control_files_are_not_changed_unseen(place: Place, level: Level) -> None:
    for name in (".mcp.json", ".envrc", "conftest.py"):
        (place.work / name).write_text("mine")
    (place.work / ".claude").mkdir()
    (place.work / ".claude" / "settings.json").write_text("mine")
    guard = ControlGuard.begin([place.work])
    code = "import os, shutil\nfor n in ('.mcp.json', '.envrc', 'conftest.py', '.claude/settings.json'):\n"
    code += "    try: open(n, 'w').write('evil')\n    except OSError: print(n)\n"
    code += "try: shutil.rmtree('.claude')\nexcept OSError: print('kept')\n"
    said = place.python(need(level), code).stdout.split()
    changes = {change.path.name: change.kind for change in guard.end()}
    if level is Level.BUBBLEWRAP:
        assert said == [".mcp.json", ".envrc", ".claude/settings.json", "kept"]
        assert changes == {"conftest.py": "changed"}
    else:
        assert changes == {
            ".mcp.json": "changed",
            ".envrc": "changed",
            "conftest.py": "changed",
            ".claude": "went",
            "settings.json": "went",
        }


def test_the_repository_cannot_be_swapped_for_another(place: Place) -> None:
    box = need(Level.BUBBLEWRAP)
    code = "import os\n"
    code += "for way in (lambda: os.rename('.git', 'git'), lambda: os.rmdir('.git'), lambda: os.unlink('.git')):\n"
    code += "    try: way(); print('open')\n    except OSError as error: print(error.strerror)"
    assert "open" not in place.python(box, code).stdout


def test_what_a_link_leads_to_is_locked_and_the_link_is_watched(place: Place) -> None:
    (place.work / "settings").mkdir()
    (place.work / "settings" / "settings.json").write_text("mine")
    (place.work / ".claude").symlink_to("settings")
    (place.work / ".vscode").symlink_to(place.outside)
    assert (place.work / "settings").resolve() in locked(place.work)
    assert place.outside.resolve() not in locked(place.work)
    guard = ControlGuard.begin([place.work])
    code = "import os\ntry: open('settings/settings.json', 'w'); print('open')\nexcept OSError: print('blocked')\n"
    code += "os.unlink('.claude'); os.mkdir('.claude'); open('.claude/settings.json', 'w').write('evil')"
    assert place.python(need(Level.BUBBLEWRAP), code).stdout == "blocked\n"
    kinds = {change.path.relative_to(place.work.resolve()).as_posix(): change.kind for change in guard.end()}
    assert kinds == {".claude": "changed", ".claude/settings.json": "appeared"}


def test_no_trace_is_left_in_the_tree(place: Place) -> None:
    before = sorted(path.relative_to(place.work) for path in place.work.rglob("*"))
    guard = ControlGuard.begin([place.work])
    assert (place.work / ".claude").is_dir()
    assert place.run(need(Level.BUBBLEWRAP), "true").returncode == 0
    assert guard.end() == ()
    assert sorted(path.relative_to(place.work) for path in place.work.rglob("*")) == before


def test_modes_and_kinds_count_as_changes(place: Place) -> None:
    (place.work / ".envrc").write_text("x")
    (place.work / "conftest.py").write_text("x")
    guard = ControlGuard.begin([place.work])
    (place.work / ".envrc").chmod(0o755)
    (place.work / "conftest.py").unlink()
    (place.work / "conftest.py").symlink_to(place.outside / "secret")
    os.mkfifo(place.work / "a.pth")
    changes = guard.end()
    assert [str(change).rpartition("/")[2] for change in changes] == [
        ".envrc changed",
        "a.pth appeared",
        "conftest.py changed",
    ]


def test_ordinary_work_is_no_change(place: Place) -> None:
    guard = ControlGuard.begin([place.work])
    (place.work / "a.py").write_text("x")
    (place.work / ".git" / "index").write_text("x")
    (place.work / ".git" / "objects" / "ab").mkdir()
    assert guard.end() == ()


def test_links_out_of_the_tree_are_not_followed(place: Place) -> None:
    (place.outside / "conftest.py").write_text("x")
    (place.work / "elsewhere").symlink_to(place.outside)
    guard = ControlGuard.begin([place.work])
    (place.outside / "conftest.py").write_text("y")
    assert guard.end() == ()


def test_names_of_all_kinds(tmp_path: Path) -> None:
    place = Place(tmp_path / "with space\nand ünïcode")
    guard = ControlGuard.begin([place.work])
    odd = os.fsencode(place.work) + b"/\xff\xfe"
    os.mkdir(odd)
    with open(odd + b"/conftest.py", "w"):
        pass
    (change,) = guard.end()
    assert change.kind == "appeared"
    assert os.fsencode(change.path) == odd + b"/conftest.py"
