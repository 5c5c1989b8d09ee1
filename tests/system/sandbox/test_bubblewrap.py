"""The arguments of bubblewrap: what is mounted where, and in which order."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator_nb.system.sandbox import bubblewrap
from orchestrator_nb.system.sandbox.policy import Level
from orchestrator_nb.system.sandbox.programs import Needed
from tests.system.sandbox.place import Place, git, need


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place((tmp_path / "place").resolve())


def told(place: Place, needed: Needed | None = None, **more: object) -> list[str]:
    return bubblewrap.arguments(place.policy(**more), needed or Needed(), place.work, without_namespaces=True)


def mounts(arguments: list[str]) -> dict[str, tuple[str, str]]:
    """Of each place how it came about and from what."""
    found: dict[str, tuple[str, str]] = {}
    words = iter(arguments)
    for word in words:
        if word in ("--bind", "--ro-bind", "--symlink", "--ro-bind-data"):
            source = next(words)
            found[next(words)] = (word, source)
        elif word in ("--tmpfs", "--proc", "--dev"):
            found[next(words)] = (word, "")
    return found


def test_the_recipe_is_complete(place: Place) -> None:
    arguments = told(place)
    for flag in ("--unshare-all", "--unshare-user", "--disable-userns", "--new-session", "--die-with-parent"):
        assert flag in arguments
    assert "--clearenv" in arguments
    assert "--share-net" not in arguments
    assert "--share-net" in told(place, network=True)
    assert arguments[arguments.index("--uid") + 1] != "0"  # root outside is nobody special inside


def test_the_whole_root_is_never_mounted(place: Place) -> None:
    found = mounts(told(place))
    assert not {"/", "/etc", "/home", "/root", "/run", "/sys", "/var", "/opt"} & found.keys()
    assert found["/usr"] == ("--ro-bind", "/usr")
    assert found["/tmp"] == ("--tmpfs", "")
    assert all(how.startswith("--ro-bind") for path, (how, _) in found.items() if path.startswith("/etc/"))
    assert {path for path, (how, _) in found.items() if how == "--bind"} == {
        str(place.work),
        str(place.base / "home"),
        str(place.base / "tmp"),
    }


def test_what_is_deeper_comes_later(place: Place) -> None:
    git(place.work)
    inner = place.work / "inner"
    inner.mkdir()
    found = mounts(told(place, readable=(inner,), hidden=(place.work / ".git" / "hooks",)))
    order = list(found)
    assert order == sorted(order, key=lambda path: len(Path(path).parts))
    assert found[str(inner)] == ("--ro-bind", str(inner))
    assert found[str(place.work / ".git")] == ("--ro-bind", str(place.work / ".git"))
    assert found[str(place.work / ".git" / "hooks")] == ("--tmpfs", "")


def test_a_repository_is_written_to_only_where_it_is_named(place: Place) -> None:
    git(place.work)
    repository = place.work / ".git"
    assert mounts(told(place))[str(repository)] == ("--ro-bind", str(repository))
    assert mounts(told(place, writable=(place.work, repository)))[str(repository)] == ("--bind", str(repository))


def test_what_programs_need_does_not_override_a_grant(place: Place) -> None:
    needed = Needed(
        (place.work / "venv", place.base / "tool"), ((place.work / "x", "/etc"), (place.base / "y", "tool"))
    )
    found = mounts(told(place, needed))
    assert str(place.work / "venv") not in found
    assert str(place.work / "x") not in found
    assert found[str(place.base / "tool")] == ("--ro-bind", str(place.base / "tool"))
    assert found[str(place.base / "y")] == ("--symlink", "tool")


def test_a_directory_granted_by_a_link_is_there_under_both_names(place: Place) -> None:
    (place.base / "alias").symlink_to(place.outside)
    policy = place.policy(readable=(place.base / "alias",))
    done = place.run(need(Level.BUBBLEWRAP), "cat", f"{place.base}/alias/secret", policy=policy)
    assert done.stdout == "canary"
    done = place.run(need(Level.BUBBLEWRAP), "cat", f"{place.outside}/secret", policy=policy)
    assert done.stdout == "canary"


def test_the_accounts_are_made_up(place: Place) -> None:
    passwd, group = bubblewrap.accounts(place.policy())
    assert len(passwd.splitlines()) == 3
    assert f"{place.base}/home" in passwd
    done = place.run(need(Level.BUBBLEWRAP), "sh", "-c", "cat /etc/passwd; id -un; echo ~")
    assert done.stdout == f"{passwd}agent\n{place.base}/home\n", done.stderr
    assert group.count("\n") == 3


def test_a_home_of_an_odd_name_makes_no_account_of_its_own(tmp_path: Path) -> None:
    odd = Place((tmp_path / "x\nroot2:x:0:0::").resolve())
    passwd, _ = bubblewrap.accounts(odd.policy())
    assert len(passwd.splitlines()) == 3
    assert odd.run(need(Level.BUBBLEWRAP), "true").returncode == 0
