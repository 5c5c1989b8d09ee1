from __future__ import annotations

import os
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from orchestrator_nb.errors import CommandRefused
from orchestrator_nb.storage.inbox import MAX_REQUEST, Inbox, Reply
from orchestrator_nb.storage.workspace import SessionDir, Workspace


@pytest.fixture
def session(tmp_path: Path) -> SessionDir:
    return Workspace(tmp_path).new_session()


def test_request_is_polled_once_and_answered(session: SessionDir) -> None:
    asking, run = Inbox(session), Inbox(session)
    request_id = asking.post("approve", checkpoint="ask-1", subject_sha256="ff", answer={"yes": 1}, by="me")
    (request,) = run.poll()
    assert (request.id, request.verb, request.checkpoint, request.answer) == (
        request_id,
        "approve",
        "ask-1",
        {"yes": 1},
    )
    assert (request.subject_sha256, request.by, request.task, request.reason) == ("ff", "me", "", "")
    assert abs(request.at - time.time()) < 60
    assert run.poll() == []
    assert asking.wait_answer(request_id, timeout=0) is None
    run.answer(request, Reply(True, "approved"))
    assert asking.wait_answer(request_id, timeout=0) == Reply(True, "approved")
    assert asking.wait_answer(request_id, timeout=0) is None, "a reply is taken once"
    assert os.listdir(session.control) == ["answers"]
    assert os.listdir(session.control / "answers") == []


def test_requests_come_in_the_order_in_which_they_were_made(session: SessionDir) -> None:
    inbox = Inbox(session)
    posted = [inbox.post("cancel", task=f"t{number}") for number in range(20)]
    assert [request.id for request in inbox.poll()] == posted


def test_request_outlives_a_run_that_did_not_answer(session: SessionDir) -> None:
    request_id = Inbox(session).post("stop")
    assert len(Inbox(session).poll()) == 1
    (again,) = Inbox(session).poll()
    assert again.id == request_id
    Inbox(session).withdraw(request_id)
    assert Inbox(session).poll() == []


def test_waiting_for_an_answer(session: SessionDir) -> None:
    asking, run = Inbox(session), Inbox(session)
    request_id = asking.post("pause")

    def serve() -> None:
        for request in run.poll():
            run.answer(request, Reply(False, "already paused"))

    timer = threading.Timer(0.1, serve)
    timer.start()
    begin = time.monotonic()
    assert asking.wait_answer(request_id, timeout=5) == Reply(False, "already paused")
    assert time.monotonic() - begin < 1
    timer.join()
    begin = time.monotonic()
    assert asking.wait_answer("nothing", timeout=0.1) is None
    assert time.monotonic() - begin >= 0.1


@pytest.mark.parametrize(
    ("verb", "fields", "message"),
    [
        ("aprove", {}, "'aprove' cannot be asked like this: .*did you mean 'approve'"),
        ("explode", {}, "'explode' cannot be asked like this"),
        ("cancel", {"tsak": "a"}, "unknown field `tsak`"),
        ("cancel", {"task": 1}, "Expected `str`, got `int`"),
        ("approve", {"answer": object()}, "cannot be asked like this"),
        ("approve", {"answer": "\ud800"}, "cannot be asked like this"),
        ("approve", {"answer": "x" * MAX_REQUEST}, f"too long: .* at most {MAX_REQUEST}"),
    ],
)
def test_bad_request_is_refused_to_who_asks(verb: str, fields: Any, message: str, session: SessionDir) -> None:
    with pytest.raises(CommandRefused, match=message):
        Inbox(session).post(verb, **fields)
    assert os.listdir(session.control) == []


def test_what_is_no_request_is_moved_aside_and_reported(session: SessionDir) -> None:
    control = session.control
    (control / "a.json").write_text("{half")
    (control / "b.json").write_text('{"id":"b","at":1.0,"verb":"explode"}')
    (control / "c.json").write_text('{"id":"../../x","at":1.0,"verb":"stop"}')
    (control / "d.json").write_bytes(b'{"id":"d","at":1.0,"verb":"stop","reason":"\xff"}')
    (control / "e.json").write_text("x" * (MAX_REQUEST + 1))
    (control / "f.json").mkdir()
    (control / "g.json").symlink_to("/etc/passwd")
    os.mkfifo(control / "h.json")
    (control / "readme").write_text("not looked at")
    inbox = Inbox(session)
    request_id = inbox.post("stop")
    assert [request.id for request in inbox.poll()] == [request_id]
    assert sorted(os.listdir(control / "refused")) == [f"{letter}.json" for letter in "abcdefgh"]
    for letter, said in zip("abcdefgh", inbox.refused, strict=True):
        assert f"control/{letter}.json is no request" in said
    assert "its id is not its name" in inbox.refused[2]
    assert inbox.poll() == []


def test_bad_file_that_cannot_be_moved_is_reported_once(session: SessionDir) -> None:
    (session.control / "refused").write_text("in the way")
    (session.control / "a.json").write_text("{half")
    inbox = Inbox(session)
    assert inbox.poll() == []
    assert inbox.poll() == []
    (said,) = inbox.refused
    assert "could not be moved aside" in said


def test_inbox_of_a_session_without_control_is_empty(session: SessionDir) -> None:
    session.control.rmdir()
    assert Inbox(session).poll() == []
    Inbox(session).post("stop")
    assert len(Inbox(session).poll()) == 1
