"""Contained commands as the supervisor runs them: what they find, what they cannot do, how they end."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest

import orchestrator_nb
from orchestrator_nb.core.ports import Command
from orchestrator_nb.errors import AgentError
from orchestrator_nb.system import _proc
from orchestrator_nb.system.sandbox.containing import Means, contain, contain_command
from orchestrator_nb.system.sandbox.policy import Level
from orchestrator_nb.system.supervisor import Supervisor
from tests.system.lab import HOSTILE, Lab, open_lab, wait_until
from tests.system.sandbox.place import PATH, Place, both, git, need


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place((tmp_path / "place").resolve())


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    yield from open_lab(tmp_path)


def supervised(lab: Lab, work: Callable[[Supervisor], Coroutine[Any, Any, None]]) -> None:
    async def main() -> None:
        async with Supervisor(lab.token) as supervisor:
            await work(supervisor)

    asyncio.run(main())


def contained(lab: Lab, place: Place, level: Level, *argv: str, **more: Any) -> Command:
    policy = more.pop("policy", place.policy())
    return contain_command(need(level).means, policy, lab.command(*argv, cwd=place.work, **more))


@both
@pytest.mark.parametrize("name", ["plain", "with space", "new\nline", "ünïcode ✔", "-dash", "a=b", "'\"$(x)`;"])
def test_writes_stay_in_granted_directories_whatever_they_are_called(tmp_path: Path, level: Level, name: str) -> None:
    place = Place((tmp_path / name).resolve())
    code = "echo in > file; echo t > $TMPDIR/t; echo h > ~/h; echo out > ../outside/new; cat ../outside/secret; :"
    done = place.run(need(level), "sh", "-c", code)
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    assert (place.work / "file").read_text() == "in\n"
    assert (place.base / "tmp" / "t").read_text() == "t\n"
    assert (place.base / "home" / "h").read_text() == "h\n"
    assert [path.name for path in place.outside.iterdir()] == ["secret"]


@both
def test_readable_directories_can_be_read_only(place: Place, level: Level) -> None:
    policy = place.policy(readable=(place.outside,))
    done = place.run(need(level), "sh", "-c", "cat ../outside/secret; echo x > ../outside/new", policy=policy)
    assert done.stdout == "canary"
    assert not (place.outside / "new").exists()


@both
def test_h4_the_environment_is_what_was_given_and_secrets_are_on_no_command_line(place: Place, level: Level) -> None:
    box = need(level)
    env = {"PATH": PATH, "KEY": "canary-1", "ODD": "a\nb=c\xff\\", "LD_PRELOAD": "/nothing.so", "BASH_ENV": "/x"}
    made = contain(box.means, place.policy(), ("env", "-0"), place.work, env)
    assert not any("canary-1" in word for word in made.argv)
    assert not {"KEY", "LD_PRELOAD", "PATH", "BASH_ENV"} & made.env.keys()  # they say nothing to what goes in
    done = place.run(box, "env", "-0", env=env)
    found = dict(line.split("=", 1) for line in done.stdout.split("\0") if line)
    found.pop("PWD", None)
    assert found == env | {"HOME": str(place.base / "home"), "TMPDIR": str(place.base / "tmp")}


@both
def test_h4_a_planned_preload_does_not_run_outside(place: Place, level: Level) -> None:
    """The library is loaded by what runs inside, never by what goes in."""
    env = {"LD_PRELOAD": str(place.work / "evil.so"), "LD_AUDIT": str(place.work / "evil.so")}
    done = place.run(need(level), "true", env=env)
    assert done.returncode == 0
    assert done.stderr.count("evil.so") <= 4 * 2  # said by `env` and `true`, which are inside
    made = contain(need(level).means, place.policy(), ("true",), place.work, {"PATH": PATH} | env)
    assert not {"LD_PRELOAD", "LD_AUDIT"} & made.env.keys()


@both
def test_input_reaches_the_program_and_cannot_be_changed_by_it(place: Place, level: Level) -> None:
    given = place.outside / "input"
    given.write_text("prompt")
    with given.open("rb") as stdin:
        done = place.run(
            need(level), "sh", "-c", "cat; echo evil > /proc/self/fd/0; echo evil >> /dev/stdin", stdin=stdin
        )
    assert done.stdout == "prompt"
    assert given.read_text() == "prompt"


@both
def test_exit_codes_and_missing_programs(place: Place, level: Level) -> None:
    box = need(level)
    assert place.run(box, "sh", "-c", "exit 7").returncode == 7
    with pytest.raises(AgentError, match="'no-such-tool' was not found"):
        place.run(box, "no-such-tool")
    with pytest.raises(AgentError, match="empty list"):
        contain(box.means, place.policy(), (), place.work, {})


def test_a_program_with_an_equals_sign_in_its_name_is_no_variable(place: Place) -> None:
    tool = place.work / "a=b"
    tool.write_text("#!/bin/sh\necho ran\n")
    tool.chmod(0o755)
    assert place.run(need(Level.BUBBLEWRAP), "./a=b").stdout == "ran\n"


@both
def test_it_runs_in_granted_directories_only(place: Place, level: Level) -> None:
    with pytest.raises(AgentError, match="outside, which it is not granted"):
        place.run(need(level), "true", cwd=place.outside)
    (place.work / "link").symlink_to(place.outside)
    with pytest.raises(AgentError, match="not granted"):
        place.run(need(level), "true", cwd=place.work / "link")


@both
def test_hostile_links_lead_nowhere(place: Place, level: Level) -> None:
    (place.work / "file").symlink_to(place.outside / "secret")
    (place.work / "directory").symlink_to(place.outside)
    (place.work / "loop").symlink_to("loop")
    (place.work / ".claude").symlink_to(place.outside)
    (place.work / ".mcp.json").symlink_to(place.outside / "secret")
    (place.base / "home" / ".config").symlink_to("/etc/shadow")
    code = "cat file directory/secret .mcp.json .claude/secret; echo x > directory/new; echo x > .claude/new; echo ran"
    done = place.run(need(level), "sh", "-c", code)
    assert done.stdout == "ran\n"
    assert [path.name for path in place.outside.iterdir()] == ["secret"]


def test_h13_the_records_of_a_run_inside_a_granted_directory_can_be_hidden(place: Place) -> None:
    records = place.work / ".orchestrator"
    (records / "session" / "home").mkdir(parents=True)
    (records / "events.jsonl").write_text("log")
    policy = place.policy(hidden=(records, place.work / "nothing"), home=records / "session" / "home")
    code = "ls -A .orchestrator; echo evil > .orchestrator/events.jsonl; rm -rf .orchestrator; echo kept > ~/file"
    done = place.run(need(Level.BUBBLEWRAP), "sh", "-c", code, policy=policy)
    assert done.stdout == "session\n"
    assert (records / "events.jsonl").read_text() == "log"
    assert (records / "session" / "home" / "file").read_text() == "kept\n"
    assert not (place.work / "nothing").exists()


def test_landlock_refuses_what_it_cannot_keep(place: Place) -> None:
    box = need(Level.LANDLOCK)
    (place.work / "inner").mkdir()
    with pytest.raises(AgentError, match="cannot hide"):
        place.run(box, "true", policy=place.policy(hidden=(place.work / "inner",)))
    with pytest.raises(AgentError, match="from being written to"):
        place.run(box, "true", policy=place.policy(readable=(place.work / "inner",)))


@both
def test_the_network_is_off_or_on(place: Place, level: Level) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        code = f"import socket; socket.create_connection(('127.0.0.1', {server.getsockname()[1]}), 5); print('open')"
        assert place.python(need(level), code).stdout == ""
        done = place.python(need(level), code, policy=place.policy(network=True))
        assert done.stdout == "open\n", done.stderr


def test_what_is_written_beside_the_grants_is_an_error_not_lost(place: Place) -> None:
    done = place.run(
        need(Level.BUBBLEWRAP), "sh", "-c", "for p in / /etc /usr /dev/pts; do touch $p/lost || echo told; done"
    )
    assert done.stdout == 4 * "told\n"


def test_h11_a_hostile_home_or_configuration_of_the_user_is_not_there(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = place.base / "people"
    home.mkdir()
    for name in (".bashrc", ".profile", ".gitconfig", ".npmrc"):
        (home / name).write_text("echo evil")
    monkeypatch.setenv("HOME", str(home))
    done = place.run(need(Level.BUBBLEWRAP), "sh", "-c", f"ls -A ~; ls -A {home}; git config --list")
    assert done.stdout == ""


def test_git_works_in_a_repository_that_it_cannot_change(place: Place) -> None:
    git(place.work)
    (place.work / "file").write_text("x")
    box = need(Level.BUBBLEWRAP)
    done = place.run(box, "git", "status", "--short")
    assert done.stdout == "?? file\n", done.stderr
    assert place.run(box, "git", "config", "core.fsmonitor", "evil").returncode != 0
    assert "evil" not in (place.work / ".git" / "config").read_text()


def test_git_works_in_a_worktree_whose_repository_is_readable(place: Place) -> None:
    """As agents work: the worktree may be written to, the repository that it belongs to may only be read."""
    repository, worktree = place.outside / "repository", place.work / "tree"
    git(repository)
    name = ("-c", "user.name=x", "-c", "user.email=x@y")
    for words in ((*name, "commit", "-q", "--allow-empty", "-m", "first"), ("worktree", "add", "-q", str(worktree))):
        subprocess.run(["git", "-C", str(repository), *words], check=True)
    policy = place.policy(writable=(worktree,), readable=(repository / ".git",))
    code = (
        "echo x > file; git status --short; git log --format=%s; git -c user.name=x -c user.email=x commit -qam no"
        " || echo refused; echo 'gitdir: /tmp' > .git; rm .git; mv .git git; cat .git"
    )
    done = place.run(need(Level.BUBBLEWRAP), "sh", "-c", code, policy=policy, cwd=worktree)
    gitdir = f"gitdir: {repository}/.git/worktrees/tree"
    assert done.stdout.splitlines() == ["?? file", "first", "refused", gitdir], done.stderr


def test_what_contains_cannot_be_written_to_from_inside(place: Place) -> None:
    """A project may hold the environment that runs us; what is planted there would run outside, next time."""
    package = Path(orchestrator_nb.__file__).parent
    policy = place.policy(writable=(package.parent,))
    code = f"echo x > {package}/planted.py || echo kept; mv {package} {package}2 || echo kept"
    done = place.run(need(Level.BUBBLEWRAP), "sh", "-c", code, policy=policy, cwd=place.base / "home")
    assert done.stdout == "kept\nkept\n", done.stderr
    with pytest.raises(AgentError, match="cannot be granted for writing"):
        place.run(need(Level.BUBBLEWRAP), "true", policy=place.policy(writable=(package,)))
    with pytest.raises(AgentError, match="Landlock cannot keep"):
        place.run(need(Level.LANDLOCK), "true", policy=policy, cwd=place.base / "home")


@both
def test_no_privilege_is_kept_or_gained(place: Place, level: Level) -> None:
    done = place.run(
        need(level), "sh", "-c", "grep -E '^(CapEff|CapPrm|CapBnd|CapAmb|NoNewPrivs|Seccomp):' /proc/self/status"
    )
    facts = dict(line.split(":\t") for line in done.stdout.splitlines())
    assert facts["NoNewPrivs"] == "1"
    assert facts["Seccomp"] == "2"
    assert {facts["CapEff"], facts["CapPrm"], facts["CapAmb"]} == {"0000000000000000"}


def test_without_containment_the_command_is_what_it_was(place: Place) -> None:
    made = contain(Means(Level.NONE), place.policy(), ("tool", "a"), place.work, {"X": "y"})
    assert made.argv == ("tool", "a")
    assert made.env == {"X": "y", "HOME": str(place.base / "home"), "TMPDIR": str(place.base / "tmp")}
    assert made.level.label == "uncontained"


def test_a_contained_command_is_no_fork_of_ours(lab: Lab, place: Place) -> None:
    command = Command(argv=[sys.executable, "x.py"], cwd=place.work, env={}, log=lab.place / "log", preload=("json",))
    assert contain_command(need(Level.BUBBLEWRAP).means, place.policy(), command).preload is None
    assert contain_command(Means(Level.NONE), place.policy(), command).preload == ("json",)


# -- under the supervisor


@both
def test_term_reaches_the_inside_and_there_is_time_to_end(lab: Lab, place: Place, level: Level) -> None:
    code = "trap 'sleep 0.3; echo bye > bye; exit 3' TERM; echo up > up; while :; do sleep 0.05; done"

    async def work(supervisor: Supervisor) -> None:
        process = await supervisor.spawn(contained(lab, place, level, "sh", "-c", code))
        await asyncio.to_thread(wait_until, (place.work / "up").exists)
        end = await process.terminate(grace=30)
        assert end.code == 3
        assert (place.work / "bye").read_text() == "bye\n"

    supervised(lab, work)


@both
def test_term_ends_a_program_that_does_not_listen(lab: Lab, place: Place, level: Level) -> None:
    async def work(supervisor: Supervisor) -> None:
        process = await supervisor.spawn(contained(lab, place, level, "sh", "-c", "echo up > up; exec sleep 1000"))
        await asyncio.to_thread(wait_until, (place.work / "up").exists)
        end = await process.terminate(grace=60)
        assert end.code == (143 if level is Level.BUBBLEWRAP else -15)

    supervised(lab, work)


@both
def test_kill_leaves_nothing_of_a_hostile_tree(lab: Lab, place: Place, level: Level) -> None:
    policy = place.policy(readable=(Path(HOSTILE),), programs=(sys.executable,))

    async def work(supervisor: Supervisor) -> None:
        alone = len(lab.alive())
        command = contained(lab, place, level, sys.executable, "-I", "-S", HOSTILE, lab.token, policy=policy)
        process = await supervisor.spawn(command)
        said = process.output()
        assert await anext(said) == b"ready\n"
        assert len(lab.alive()) > alone + 5
        end = await process.terminate(grace=0)
        assert (end.reason, end.note) == ("cancelled", "")
        await said.aclose()

    supervised(lab, work)
    assert lab.left() == []


@both
def test_what_outlives_the_program_is_ended(lab: Lab, place: Place, level: Level) -> None:
    async def work(supervisor: Supervisor) -> None:
        code = "setsid sleep 1000 & echo $$ > up; exit 4"
        process = await supervisor.spawn(contained(lab, place, level, "sh", "-c", code))
        assert (await process.wait()).code == 4
        assert not any(b"sleep\x001000" in _proc.read(f"/proc/{pid}/cmdline") for pid in lab.alive())

    supervised(lab, work)
    assert lab.left() == []


def test_output_and_input_go_through_the_supervisor(lab: Lab, place: Place) -> None:
    (lab.place / "prompt").write_text("hello " * 100_000)

    async def work(supervisor: Supervisor) -> None:
        command = contained(lab, place, Level.BUBBLEWRAP, "cat", stdin_file=lab.place / "prompt")
        process = await supervisor.spawn(command)
        said = b"".join([chunk async for chunk in process.output()])
        assert said == b"hello " * 100_000
        assert (await process.wait()).code == 0

    supervised(lab, work)
