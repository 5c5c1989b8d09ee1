"""What a program needs to be there: found in installations as they really are."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from orchestrator_nb.errors import AgentError
from orchestrator_nb.system.sandbox.policy import Level, covered
from orchestrator_nb.system.sandbox.programs import SYSTEM, Needed, join, needs, trail
from tests.system.sandbox.place import PATH, Place, both, need

SCRIPT = "#!/bin/sh\necho ran $0\n"


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place((tmp_path / "place").resolve())


def program(path: Path, text: str = SCRIPT) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


def found(path: Path | str, place: Place, untrusted: tuple[Path, ...] = ()) -> Needed:
    return needs(str(path), PATH, place.base, untrusted)


def test_programs_of_the_system_need_nothing(place: Place) -> None:
    assert found("sh", place) == Needed()
    assert found("/bin/sh", place) == Needed()


def test_a_lone_program_needs_itself_and_nothing_beside_it(place: Place) -> None:
    (place.base / "bin").mkdir()
    (place.base / "bin" / "secret").write_text("x")
    tool = program(place.base / "bin" / "tool")
    assert found(tool, place) == Needed((tool,))


def test_links_are_followed_and_shown(place: Place) -> None:
    """As of a native installer: ``~/.local/bin/tool -> ~/.local/share/tool/versions/1``."""
    real = program(place.base / ".local" / "share" / "tool" / "versions" / "1")
    first = place.base / ".local" / "bin" / "tool"
    first.parent.mkdir()
    first.symlink_to(place.base / "current")
    (place.base / "current").symlink_to(".local/share/tool/versions/1")
    needed = found(first, place)
    assert needed.paths == (real,)
    assert dict(needed.links) == {
        first: str(place.base / "current"),
        place.base / "current": ".local/share/tool/versions/1",
    }


def test_a_global_npm_package_comes_with_its_modules_and_its_node(place: Place) -> None:
    prefix = place.base / "node-v22"
    node = program(prefix / "bin" / "node")
    package = prefix / "lib" / "node_modules" / "@vendor" / "cli"
    program(package / "cli.js", "#!/usr/bin/env -S node --no-warnings\n")
    (prefix / "bin" / "cli").symlink_to("../lib/node_modules/@vendor/cli/cli.js")
    needed = needs("cli", f"{prefix}/bin:{PATH}", place.base)
    assert needed.paths == (prefix,)
    assert covered(node, needed.paths)


def test_a_package_in_a_project_comes_with_the_modules_beside_it(place: Place) -> None:
    modules = place.base / "tools" / "node_modules"
    program(modules / "cli" / "cli.js", "#!/bin/sh\n")
    (modules / ".bin").mkdir()
    (modules / ".bin" / "cli").symlink_to("../cli/cli.js")
    (place.base / "tools" / "secret").write_text("x")
    assert found(modules / ".bin" / "cli", place).paths == (modules,)


def test_a_virtual_environment_comes_with_its_python(place: Place) -> None:
    needed = found(sys.executable, place)
    for path in (sys.prefix, sys.base_prefix):
        assert covered(Path(path).resolve(), (*needed.paths, *SYSTEM))


def test_of_a_personal_prefix_only_libraries_are_taken(place: Place) -> None:
    local = place.base / ".local"
    tool = program(local / "bin" / "tool", f"#!{sys.executable}\n")
    (local / "lib" / "python3.11" / "site-packages").mkdir(parents=True)
    (local / "share" / "keyrings").mkdir(parents=True)
    needed = found(tool, place).paths
    assert local / "lib" / "python3.11" in needed
    assert tool in needed
    assert not covered(local / "share", needed)


def test_what_agents_can_write_decides_about_nothing(place: Place) -> None:
    """A link, a first line or a virtual environment planted in a granted directory would open what they name."""
    private = program(place.outside / "bin" / "private")
    (place.work / "link").symlink_to(private)
    script = program(place.work / "script", f"#!{private}\n")
    environment = place.work / "venv"
    python = program(environment / "bin" / "python")
    (environment / "pyvenv.cfg").write_text(f"home = {place.outside}/bin\n")
    (place.base / "alias").symlink_to(place.work)
    for path in (place.work / "link", script, python, place.base / "alias" / "venv" / "bin" / "python"):
        needed = found(path, place, (place.work,))
        assert not any(covered(place.outside, (shown,)) or covered(shown, (place.outside,)) for shown in needed.paths)
        assert str(private) not in dict(needed.links).values()
    assert found(place.work / "link", place).paths  # it is the trust that makes the difference


@both
def test_a_planted_link_shows_nothing_inside(place: Place, level: Level) -> None:
    (place.work / "tool").symlink_to(place.outside / "secret")
    (place.outside / "secret").chmod(0o755)
    done = place.run(need(level), "./tool")
    assert done.returncode != 0
    (place.work / "tool").unlink()
    program(place.work / "tool", f"#!{place.outside}/secret\n")
    done = place.run(need(level), "sh", "-c", "./tool; cat ../outside/secret")
    assert "canary" not in done.stdout


@both
def test_installations_run_inside(place: Place, level: Level) -> None:
    prefix = place.base / "odd näme\nwith lines" / "node"
    program(prefix / "bin" / "node", '#!/bin/sh\nshift; echo node runs "$@"\n')
    program(prefix / "lib" / "node_modules" / "cli" / "cli.js", "#!/usr/bin/env -S node --flag\n")
    (prefix / "bin" / "cli").symlink_to("../lib/node_modules/cli/cli.js")
    done = place.run(need(level), "cli", "a b", env={"PATH": f"{prefix}/bin:{PATH}"})
    assert done.stdout.startswith("node runs "), done.stderr
    assert done.stdout.endswith("a b\n")
    done = place.run(need(level), sys.executable, "-c", "import sys; print(sys.prefix)")
    assert done.stdout == f"{sys.prefix}\n", done.stderr


def test_a_program_that_is_not_there_is_named(place: Place) -> None:
    with pytest.raises(AgentError, match="'no-such-tool' was not found; PATH is /usr/local/bin"):
        found("no-such-tool", place)
    with pytest.raises(AgentError, match="is not executable"):
        found(place.outside / "secret", place)


def test_links_in_circles_come_to_an_end(place: Place) -> None:
    (place.base / "a").symlink_to("b")
    (place.base / "b").symlink_to("a")
    links, steps = trail(place.base / "a")
    assert len(links) == 2
    assert len(steps) == 40


def test_what_several_need_is_joined() -> None:
    one, two = Needed((Path("/a"), Path("/b")), ((Path("/l"), "a"),)), Needed((Path("/b"),), ((Path("/l"), "a"),))
    assert join([one, two]) == one
