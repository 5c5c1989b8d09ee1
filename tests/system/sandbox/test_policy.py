"""What may be granted, and what may not."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator_nb.errors import AgentError
from orchestrator_nb.system.sandbox.policy import Level, check_grants, covered
from tests.system.sandbox.place import Place


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path / "place")


def test_a_level_is_called_what_it_is() -> None:
    assert [level.label for level in Level] == ["bubblewrap", "landlock", "uncontained"]


def test_ordinary_directories_may_be_granted(place: Place) -> None:
    check_grants(place.policy(readable=(place.outside,)))


@pytest.mark.parametrize("path", ["/", "/usr", "/etc", "/home/../", "/var", "/tmp", "/home", "/var/tmp"])
def test_what_opens_everything_is_refused(place: Place, path: str) -> None:
    with pytest.raises(AgentError, match="would open /"):
        check_grants(place.policy(readable=(Path(path),)))
    with pytest.raises(AgentError, match="would open /"):
        check_grants(place.policy(writable=(Path(path),)))


@pytest.mark.parametrize("path", ["/proc", "/proc/self", "/sys/fs"])
def test_nothing_of_the_kernel_is_granted(place: Place, path: str) -> None:
    with pytest.raises(AgentError, match="belongs to the kernel"):
        check_grants(place.policy(readable=(Path(path),)))


def test_the_home_of_the_user_is_refused_and_so_is_what_holds_it(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    home = place.base / "people" / "me"
    (home / "project").mkdir(parents=True)
    monkeypatch.setenv("HOME", str(home))
    for path in (home, home.parent, place.base):
        with pytest.raises(AgentError, match=f"would open {home} "):
            check_grants(place.policy(writable=(path,)))
    check_grants(place.policy(writable=(home / "project",)))


def test_what_is_missing_or_relative_is_refused(place: Place) -> None:
    with pytest.raises(AgentError, match="No such file or directory"):
        check_grants(place.policy(readable=(place.base / "nothing",)))
    with pytest.raises(AgentError, match="must be absolute"):
        check_grants(place.policy(readable=(Path("work"),)))


def test_a_link_planted_in_a_granted_directory_widens_nothing(place: Place) -> None:
    """An agent that replaces a directory of its own by a link to another does not get that one at its next attempt."""
    (place.work / "part").symlink_to(place.outside)
    for grant in ({"readable": (place.work / "part",)}, {"writable": (place.work, place.work / "part")}):
        with pytest.raises(AgentError, match="leads out of"):
            check_grants(place.policy(**grant))
    (place.base / "by-name").symlink_to(place.outside)
    check_grants(place.policy(readable=(place.base / "by-name",)))


def test_covered_compares_whole_names() -> None:
    assert covered(Path("/a/b/c"), [Path("/x"), Path("/a/b")])
    assert covered(Path("/a/b"), [Path("/a/b")])
    assert not covered(Path("/a/bc"), [Path("/a/b")])
