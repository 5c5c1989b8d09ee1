"""One writer a session, whoever is killed, stopped, forked or started at the same moment."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator_nb.core.events import WarningRaised
from orchestrator_nb.storage.lock import holder
from orchestrator_nb.storage.log import EventLog, read_records
from tests.faults import writer_child

AT = 1_736_692_200.0


class Peer:
    """Another process (`writer_child`)."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-W", "ignore", str(Path(writer_child.__file__))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        )

    def send(self, *words: object) -> None:
        assert self.process.stdin
        print(*words, file=self.process.stdin, flush=True)

    def answer(self) -> str:
        assert self.process.stdout
        return self.process.stdout.readline().rstrip("\n")

    def ask(self, *words: object) -> str:
        self.send(*words)
        return self.answer()

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.close()
        self.process.stdout.close()


@pytest.fixture
def peers() -> Iterator[list[Peer]]:
    """Two processes, and whatever is added."""
    started = [Peer(), Peer()]
    yield started
    for peer in started:
        peer.kill()


def start_together(peers: list[Peer], lock: Path, rounds: int) -> None:
    for _ in range(rounds):
        at = time.monotonic() + 0.003
        for peer in peers:
            peer.send("acquire", lock, 0, at)
        answers = [peer.answer() for peer in peers]
        winners = [peer for peer, answer in zip(peers, answers, strict=True) if answer == "won"]
        assert len(winners) == 1, answers
        assert winners[0].ask("let_go", lock) == "released"


def test_row_D1_two_coordinators_at_once(peers: list[Peer], tmp_path: Path) -> None:
    peers.append(Peer())
    start_together(peers, tmp_path / "lock", 20)


@pytest.mark.slow
def test_row_D1_two_coordinators_at_once_200_times(peers: list[Peer], tmp_path: Path) -> None:
    start_together(peers, tmp_path / "lock", 200)


def test_row_D1_loser_names_the_winner(peers: list[Peer], tmp_path: Path) -> None:
    winner, loser = peers
    lock = tmp_path / "lock"
    assert winner.ask("acquire", lock, 0) == "won"
    begin = time.monotonic()
    assert loser.ask("acquire", lock, 1.5) == f"waiting {winner.process.pid}"
    assert time.monotonic() - begin < 1.5, "told too late for whom it waits"
    refused = loser.answer()
    assert 1.4 < time.monotonic() - begin < 10
    assert refused.startswith(f"SessionLocked the session {tmp_path} is being run by process {winner.process.pid} on ")
    assert os.uname().nodename in refused
    assert f"since {time.strftime('%Y-')}" in refused
    assert "orchestrate stop" in refused


def test_row_D1_log_alone_has_one_writer(peers: list[Peer], tmp_path: Path) -> None:
    """The lock file was removed: the second run gets a new one, but not the log."""
    lock, log = tmp_path / "lock", tmp_path / "events.jsonl"
    first, second = peers
    assert first.ask("acquire", lock, 0) == "won"
    assert first.ask("open_log", log) == "open 0"
    lock.unlink()
    assert second.ask("acquire", lock, 0) == "won"
    assert second.ask("open_log", log).startswith(f"SessionLocked another process is writing {log}")


def test_row_D2_killed_holder_is_taken_over_within_a_second(peers: list[Peer], tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    for _ in range(5):
        holding, waiting = peers
        assert holding.ask("acquire", lock, 0) == "won"
        assert waiting.ask("acquire", lock, 10) == f"waiting {holding.process.pid}"
        begin = time.monotonic()
        holding.kill()
        assert waiting.answer() == "won"
        assert time.monotonic() - begin < 3
        found = holder(lock)
        assert found
        assert found.pid == waiting.process.pid
        assert waiting.ask("let_go", lock) == "released"
        peers[0] = Peer()
    assert holder(lock) is None


def test_row_D2_stopped_holder_is_never_taken_over(peers: list[Peer], tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    holding, waiting = peers
    assert holding.ask("acquire", lock, 0) == "won"
    holding.process.send_signal(signal.SIGSTOP)
    assert waiting.ask("acquire", lock, 1) == f"waiting {holding.process.pid}"
    assert waiting.answer().startswith("SessionLocked")
    found = holder(lock)
    assert found
    assert found.pid == holding.process.pid
    holding.process.send_signal(signal.SIGCONT)
    assert holding.ask("let_go", lock) == "released"
    assert waiting.ask("acquire", lock, 1) == "won"


@pytest.mark.parametrize("way", ["start_sleeper", "fork", "fork_twice", "fork_multiprocessing"])
def test_row_D3_children_do_not_keep_the_lock(way: str, peers: list[Peer], tmp_path: Path) -> None:
    """The holder is killed while a child of it lives on: lock and log are free at once."""
    lock, log = tmp_path / "lock", tmp_path / "events.jsonl"
    holding, next_one = peers
    assert holding.ask("acquire", lock, 0) == "won"
    assert holding.ask("open_log", log) == "open 0"
    child = int(holding.ask(way))
    try:
        holding.process.send_signal(signal.SIGKILL)
        holding.process.wait()
        os.kill(child, 0)  # it lives
        assert next_one.ask("acquire", lock, 1) == "won"
        assert next_one.ask("open_log", log) == "open 0"
    finally:
        os.kill(child, signal.SIGKILL)


def test_row_D3_forked_child_may_not_write(peers: list[Peer], tmp_path: Path) -> None:
    """Neither does its closing and releasing end anything for its parent."""
    lock, log = tmp_path / "lock", tmp_path / "events.jsonl"
    holding, other = peers
    assert holding.ask("acquire", lock, 0) == "won"
    assert holding.ask("open_log", log) == "open 0"
    answer = holding.ask("fork_and_use", lock, log)
    assert answer == f"{log} belongs to the process that opened it, not to its forked children"
    assert other.ask("acquire", lock, 0).startswith("SessionLocked")
    assert other.ask("open_log", log).startswith("SessionLocked")
    assert log.read_bytes() == b""


def test_row_D4_same_process_reopens_lock_and_log(peers: list[Peer], tmp_path: Path) -> None:
    """flock, not lockf: closing another descriptor of the file must not end the lock."""
    lock, log = tmp_path / "lock", tmp_path / "events.jsonl"
    holding, other = peers
    assert holding.ask("acquire", lock, 0) == "won"
    assert holding.ask("open_log", log) == "open 0"
    for _ in range(100):
        assert holding.ask("reopen", lock, log) == f"{holding.process.pid} 0"
        assert other.ask("acquire", lock, 0).startswith("SessionLocked")
    assert other.ask("open_log", log).startswith("SessionLocked")


def test_row_D9_eight_threads_log_10000_events_each(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    threads_, each = 8, 10_000
    begin = threading.Barrier(threads_)

    def write(thread: int) -> None:
        begin.wait()
        last = 0
        for number in range(each):
            (record,) = log.append([WarningRaised(str(number), task=f"thread-{thread}")], AT)
            assert record.seq > last
            last = record.seq

    with EventLog.open(path) as log:
        threads = [threading.Thread(target=write, args=(number,)) for number in range(threads_)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    seen: dict[str, int] = {}
    total = 0
    for record in read_records(path):
        total += 1
        assert record.seq == total
        assert isinstance(record.event, WarningRaised)
        assert int(record.event.message) == seen.get(record.event.task, 0)
        seen[record.event.task] = int(record.event.message) + 1
    assert total == threads_ * each
