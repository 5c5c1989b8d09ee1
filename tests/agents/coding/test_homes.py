from __future__ import annotations

import os
from pathlib import Path

import pytest

from orchestrator_nb.agents.coding.homes import Loan, PrivateHome, environment_for, loan_of
from orchestrator_nb.errors import AgentError, UnsafePath
from tests.agents.coding.puppet import Puppet

LOGIN = ".puppet-login.json"


@pytest.fixture
def user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    home = tmp_path / "user"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    return home


@pytest.fixture
def private(tmp_path: Path) -> PrivateHome:
    (tmp_path / "session").mkdir()
    made = PrivateHome(tmp_path / "session", "folder/T-01")
    made.make()
    return made


def test_a_key_goes_before_a_login_file(user: Path) -> None:
    (user / LOGIN).write_text('{"token": "x"}')
    assert loan_of(Puppet(), "auto", {"PUPPET_KEY": "k", "OTHER": "o"}) == Loan({"PUPPET_KEY": "k"}, {})
    assert loan_of(Puppet(), "files", {"PUPPET_KEY": "k"}).files == {LOGIN: b'{"token": "x"}'}
    assert loan_of(Puppet(), "auto", {}).words == f"~/{LOGIN}"
    assert loan_of(Puppet(), "none", {"PUPPET_KEY": "k"}) == Loan({}, {})


def test_no_login_says_what_to_do(user: Path) -> None:
    with pytest.raises(AgentError, match=r"no login for puppet was found: log in with it .*, or set PUPPET_KEY"):
        loan_of(Puppet(), "auto", {})
    (user / LOGIN).write_bytes(b"x" * (1 << 20))  # no login
    with pytest.raises(AgentError, match="no login for puppet"):
        loan_of(Puppet(), "files", {"PUPPET_KEY": "k"})


def test_row_H4_the_environment_is_an_allow_list() -> None:
    given = {
        "PATH": "/bin",
        "LANG": "C",
        "ORCH_TASK_ID": "t",
        "ORCH_INPUT_data": "/d",
        "ORCH_PARAM_secret": "s",
        "ORCH_WORKSPACE": "/w",
        "AWS_SECRET_ACCESS_KEY": "s",
        "CI": "1",
    }
    made = environment_for(given, {"OWN": "1"}, Loan({"KEY": "k"}, {}), ("CI",))
    expected = {"PATH": "/bin", "LANG": "C", "ORCH_TASK_ID": "t", "ORCH_INPUT_data": "/d", "CI": "1"}
    assert made == {**expected, "KEY": "k", "OWN": "1"}
    with pytest.raises(AgentError, match="`env` of the task names NONE, which is not set"):
        environment_for(given, {}, Loan({}, {}), ("NONE",))


def test_it_is_private_and_furnished(private: PrivateHome) -> None:
    private.furnish({"settings/a.json": "{}"}, Loan({}, {LOGIN: b"login"}))
    assert (private.home / "settings/a.json").read_text() == "{}"
    assert (private.home / LOGIN).read_bytes() == b"login"
    assert private.home.stat().st_mode & 0o777 == private.tmp.stat().st_mode & 0o777 == 0o700
    assert "/attempts/folder/T-01/.agent/" in str(private.home)


def test_row_C4_a_link_in_it_is_not_followed(private: PrivateHome, user: Path) -> None:
    (private.home / "settings").symlink_to(user)
    with pytest.raises(UnsafePath):
        private.furnish({"settings/a.json": "{}"}, Loan({}, {}))
    assert list(user.iterdir()) == []


def test_a_renewed_login_is_written_back_once_and_privately(private: PrivateHome, user: Path) -> None:
    old, new = b'{"a": {"token": "1"}}', b'{"a": {"token": "2"}}'
    (user / LOGIN).write_bytes(old)
    loan = Loan({}, {LOGIN: old})
    private.furnish({}, loan)
    assert private.write_back(loan) == ()
    (private.home / LOGIN).write_bytes(new)
    assert private.write_back(loan) == ()
    assert (user / LOGIN).read_bytes() == new
    assert (user / LOGIN).stat().st_mode & 0o777 == 0o600


def test_a_login_that_the_user_renewed_meanwhile_stays(private: PrivateHome, user: Path) -> None:
    loan = Loan({}, {LOGIN: b'{"token": "1"}'})
    (user / LOGIN).write_bytes(b'{"token": "3"}')
    (private.home / LOGIN).write_bytes(b'{"token": "2"}')
    assert private.write_back(loan) == ()
    assert (user / LOGIN).read_bytes() == b'{"token": "3"}'


@pytest.mark.parametrize("planted", [b"no json", b'{"token": "1", "url": "x"}', b"[]", b'{"token": {"a": 1}}'])
def test_what_has_another_form_is_not_taken_back(private: PrivateHome, user: Path, planted: bytes) -> None:
    loan = Loan({}, {LOGIN: b'{"token": "1"}'})
    (user / LOGIN).write_bytes(loan.files[LOGIN])
    (private.home / LOGIN).write_bytes(planted)
    assert "has another form than it had" in private.write_back(loan)[0]
    assert (user / LOGIN).read_bytes() == b'{"token": "1"}'


def test_a_link_in_the_place_of_a_login_is_not_read(private: PrivateHome, user: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b'{"token": "stolen"}')
    loan = Loan({}, {LOGIN: b'{"token": "1"}'})
    (user / LOGIN).write_bytes(loan.files[LOGIN])
    os.symlink(tmp_path / "secret", private.home / LOGIN)
    assert "is not taken back" in private.write_back(loan)[0]
    assert (user / LOGIN).read_bytes() == b'{"token": "1"}'
