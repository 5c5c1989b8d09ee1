"""What the README says is true: its commands and examples run, its tables are complete, its links lead somewhere."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

from orchestrator_nb.cli.app import COMMANDS, name_of
from orchestrator_nb.cli.codes import EXIT_CODES
from orchestrator_nb.storage.settings import NAMES

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text("utf-8")


def blocks(language: str) -> list[str]:
    """The fenced blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


def section(title: str) -> str:
    """The text below a heading, up to the next."""
    return re.split(r"^## ", README.partition(f"## {title}\n")[2], maxsplit=1, flags=re.MULTILINE)[0]


def python(*arguments: str | Path, cwd: Path, home: Path) -> str:
    """What a Python process prints that does as the README says; it must end well."""
    environment = {
        "HOME": str(home),
        "PATH": os.defpath,
        "PYTHONPATH": str(ROOT),
        "ORCH_WORKSPACE": str(home / "sessions"),
        "MPLCONFIGDIR": str(home / "mpl"),
    }
    done = subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_first_command_runs_on_real_code(tmp_path: Path) -> None:
    first, second = (line for line in section("Try it").splitlines() if line.startswith("python3 -m venv"))
    install, command = first.split(" && ")[1:]
    assert install == '.venv/bin/pip install ".[demo]"'
    assert second.endswith('.venv/bin/pip install -e ".[test]" && .venv/bin/python -m pytest')
    program, *arguments = shlex.split(command)
    assert program == ".venv/bin/orchestrate"
    assert arguments.pop() == "target=orchestrator_nb"

    said = python(
        "-m", "orchestrator_nb", *arguments, "target=notebooks", "-o", tmp_path / "out", cwd=ROOT, home=tmp_path
    )
    assert str(tmp_path / "out" / "final_output.md") in said
    assert "Reviewed notebooks: 3 files" in (tmp_path / "out" / "final_output.md").read_text("utf-8")


def test_the_plan_in_python_works(tmp_path: Path) -> None:
    example, _ = blocks("python")
    (tmp_path / "example.py").write_text(example)
    (tmp_path / "a.md").write_text("one two https://example.org\n")
    said = python("example.py", cwd=tmp_path, home=tmp_path)
    assert said.startswith("completed 3\n# Words\n")
    assert "https://example.org" in said
    assert "Published." in said


def test_the_batches_work(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "notebooks", tmp_path / "notebooks")
    _, example = blocks("python")
    told = 'print([(run["status"], run["window"]) for run in sweep.wait().results])'
    (tmp_path / "example.py").write_text(f"{example}\n{told}\n")
    said = python("example.py", cwd=tmp_path, home=tmp_path)
    assert said.splitlines()[-1] == str([("completed", window) for window in (1, 7, 28)] * 2)

    commands = [shlex.split(line, comments=True)[1:] for line in section("Notebooks in batches").splitlines()[2:7]]
    assert [name for name, *_ in commands] == ["params", "batch", "batch", "reproduce", "report"]
    (tmp_path / "table.csv").write_text("counter,window\npark,3\n")
    commands[1][3], commands[1][5] = "counter=bridge,park", "window=1..2"  # fewer, so that it is fast
    shutil.rmtree(tmp_path / "sweep")
    for arguments in commands:
        python("-m", "orchestrator_nb", *arguments, cwd=tmp_path, home=tmp_path)
    assert (tmp_path / "sweep" / "index.html").stat().st_size > 1000
    assert (tmp_path / "bridge.html").stat().st_size > 1000


def test_the_plan_in_a_file_works(tmp_path: Path) -> None:
    (example,) = blocks("yaml")
    (tmp_path / "words.yaml").write_text(example)
    (tmp_path / "a.md").write_text("one two three\n")
    python("-m", "orchestrator_nb", "check", "words.yaml", cwd=tmp_path, home=tmp_path)
    python("-m", "orchestrator_nb", "run", "words.yaml", "-o", "out", cwd=tmp_path, home=tmp_path)
    assert "Published 3 words." in (tmp_path / "out" / "final_output.md").read_text("utf-8")


def test_every_command_exit_code_and_setting_is_listed() -> None:
    commands = section("Command line")
    named = set(re.findall(r"[a-z]+", " ".join(re.findall(r"^\| (`.*?) \|", commands, re.MULTILINE))))
    assert {name_of(function) for _, function, _ in COMMANDS} <= named
    codes = {int(code) for row in re.findall(r"^\| ([\d, ]+) \|", commands, re.MULTILINE) for code in row.split(",")}
    assert codes == set(EXIT_CODES)
    assert set(re.findall(r"`([a-z_]+)`", section("Settings"))) & set(NAMES) >= {
        "workspace",
        "max_parallel",
        "durability",
        "grace",
        "disk_floor",
    }


def test_links_lead_somewhere() -> None:
    links = re.findall(r"\]\((?!https?://)([^)#]+)\)", README)
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_it_is_short() -> None:
    assert len(README.splitlines()) <= 300
