"""The event log and what hangs on it, under crashes, damage, power cuts and full disks."""

from __future__ import annotations

import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from orchestrator_nb.core.events import Record, TaskCompleted, TaskStarted, WarningRaised
from orchestrator_nb.errors import SessionCorrupt
from orchestrator_nb.storage.inbox import Inbox
from orchestrator_nb.storage.log import EventLog, read_records
from orchestrator_nb.storage.workspace import Workspace
from tests.faults import disk_child, log_child
from tests.faults.log_check import acknowledged, check_crashed, check_finished
from tests.faults.log_disk import Disk
from tests.faults.log_trace import CHANGES, Call, python_with, run_with, trace, with_mounts
from tests.tools import need

AT = 1_736_692_200.25
GOLDEN = Path(__file__).parents[1] / "golden"


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory in memory where there is one: most tests here are about order, not about a disk."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as directory:
        yield Path(directory)


def write_log(path: Path, tasks: int) -> bytes:
    """A log of two events a task, of different lengths; returns its bytes."""
    with EventLog.open(path) as log:
        for number in range(tasks):
            log.append([TaskStarted(f"task-{number}", 1)], AT + number)
            log.append([TaskCompleted(f"task-{number}", 1, value="v" * (number % 7))], AT + number)
    return path.read_bytes()


# -- A: crashes --------------------------------------------------------------------------------------------------------


def sweep(place: Path, calls: str, chosen: int | None = None) -> int:
    """Kill the small run before each of its calls (or only `chosen` of them), check, resume. Returns the number."""
    first = place / "traced"
    seams = [call for call in trace(first, calls) if call.changes or calls != CHANGES]
    check_finished(first)
    for number, call in enumerate(seams if chosen is None else random.Random(1).sample(seams, chosen)):
        workspace = place / f"run-{number}"
        killed = run_with(workspace, call, "signal=KILL")
        assert killed.returncode == -9, f"{call} was not reached: {killed.stderr}"
        check_crashed(workspace, acknowledged(workspace))
        log_child.run(workspace)
        check_finished(workspace)
        shutil.rmtree(workspace)
    last = seams[-1]
    clean = run_with(place / "clean", last, "signal=KILL", last.ordinal + 1)
    assert clean.returncode == 0, "the sweep ended before the run did"
    return len(seams)


def test_row_A1_killed_at_each_system_call_that_changes_something(place: Path) -> None:
    need("strace")
    assert sweep(place, CHANGES) >= 50


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_row_A1_killed_at_every_system_call(place: Path) -> None:
    need("strace")
    assert sweep(place, f"{CHANGES},close,getdents64,fstat,pread64,read,lseek") >= 200


def kill_twice(place: Path, pairs: int) -> None:
    seams = [call for call in trace(place / "traced") if call.changes]
    chance = random.Random(3)
    for number in range(pairs):
        workspace = place / f"run-{number}"
        for call in chance.choice(seams), chance.choice(seams):
            run_with(workspace, call, "signal=KILL")  # the second may come to its end: less is left to do
            check_crashed(workspace, acknowledged(workspace))
        log_child.run(workspace)
        check_finished(workspace)
        shutil.rmtree(workspace)


def test_row_A3_killed_again_while_it_recovers(place: Path) -> None:
    need("strace")
    kill_twice(place, 12)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_row_A3_killed_again_300_times(place: Path) -> None:
    need("strace")
    kill_twice(place, 300)


def test_row_A6_torn_last_record(place: Path) -> None:
    """Cut at each byte of the last record: what is before it stays, what is after it is appended."""
    path = place / "events.jsonl"
    whole = write_log(path, 3)
    begin = whole.rstrip(b"\n").rfind(b"\n") + 1
    expected = list(read_records(path))
    for cut in range(begin, len(whole)):
        path.write_bytes(whole[:cut])
        kept: list[Record] = []
        with EventLog.open(path, on_record=kept.append) as log:
            assert kept == expected[:-1]
            assert log.dropped == cut - begin
            (again,) = log.append([expected[-1].event], expected[-1].at)
        assert again == expected[-1]
        assert path.read_bytes() == whole


def mutate(data: bytes, chance: random.Random) -> tuple[str, bytes]:
    """Damage a log in one way. The last record is never deleted whole: that leaves a good, shorter log."""
    lines = data.splitlines(keepends=True)
    kind = chance.choice(("bit", "byte", "delete", "double", "swap", "zero", "insert", "cut", "block"))
    at, line = chance.randrange(len(data)), chance.randrange(len(lines) - 1)
    if kind == "bit":
        return kind, data[:at] + bytes([data[at] ^ 1 << chance.randrange(8)]) + data[at + 1 :]
    if kind == "byte":
        return kind, data[:at] + bytes([(data[at] + chance.randrange(1, 256)) % 256]) + data[at + 1 :]
    if kind == "insert":
        return kind, data[:at] + chance.randbytes(chance.randrange(1, 9)) + data[at:]
    if kind == "cut":  # in the middle: the file goes on after it
        return kind, data[:at] + data[min(len(data), at + chance.randrange(1, 40)) :]
    if kind == "block":
        return kind, data[:at] + bytes(min(64, len(data) - at)) + data[at + 64 :]
    if kind == "delete":
        del lines[line]
    elif kind == "double":
        lines.insert(chance.randrange(len(lines) + 1), lines[line])
    elif kind == "swap":
        other = chance.choice([number for number in range(len(lines)) if number != line])
        lines[line], lines[other] = lines[other], lines[line]
    else:
        lines[line] = bytes(len(lines[line]) - 1) + b"\n"
    return kind, b"".join(lines)


def test_row_A7_damage_is_never_accepted_silently(place: Path) -> None:
    """2,000 damaged logs: each is refused with file, byte and record, or reported as an unterminated last record."""
    path = place / "events.jsonl"
    whole = write_log(path, 12)
    good = list(read_records(path))
    chance = random.Random(7)
    refused = 0
    for _ in range(2000):
        kind, damaged = mutate(whole, chance)
        if damaged == whole or (whole.startswith(damaged) and damaged.endswith(b"\n")):
            continue  # whole records cut off at the end leave a good log
        path.write_bytes(damaged)
        tails: list[int] = []
        records: list[Record] = []
        said = ""
        try:
            for record in read_records(path, tails.append):
                records.append(record)
        except SessionCorrupt as error:
            said = str(error)
            refused += 1
        if said:
            offset = sum(len(line) for line in whole.splitlines(keepends=True)[: len(records)])
            assert f"{path}: record {len(records) + 1} at byte {offset}" in said
            with pytest.raises(SessionCorrupt):
                EventLog.open(path)
            assert path.read_bytes() == damaged, "a refused log was changed"
        else:
            assert tails, f"{kind}: accepted without a word"
        assert records == good[: len(records)], f"{kind}: a record that was never written"
    assert refused > 1500


def lose_power(place: Path, states: int, seed: int) -> tuple[int, int]:
    """Resume from `states` disks that a power cut could leave. Returns how many were refused, and how many opened."""
    workspace = place / "traced" / "w"
    workspace.parent.mkdir()
    disk = Disk(trace(workspace), workspace)
    assert disk.acknowledged(len(disk.calls)) == 6
    chance = random.Random(seed)
    refused = 0
    for number in range(states):
        target = place / str(number)
        target.mkdir()
        cut = chance.randrange(len(disk.calls) + 1)
        disk.after_power_loss(cut, target, chance)
        refused += check_crashed(target / "w", disk.acknowledged(cut), power_lost=True)
        log_child.run(target / "w")
        check_finished(target / "w")
        shutil.rmtree(target)
    return refused, states - refused


def test_row_A8_power_loss_keeps_what_was_acknowledged(place: Path) -> None:
    need("strace")
    refused, opened = lose_power(place, 300, seed=8)
    assert opened > refused


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_row_A8_power_loss_in_10000_states(place: Path) -> None:
    need("strace")
    refused, opened = lose_power(place, 10_000, seed=88)
    assert opened > refused


@pytest.mark.parametrize("name", sorted(path.name for path in GOLDEN.iterdir() if path.is_dir()))
def test_row_A12_log_of_an_older_release(name: str, place: Path) -> None:
    """Logs of past formats give the same records for ever, and can be gone on with."""
    expected = msgspec.json.decode((GOLDEN / name / "records.json").read_bytes(), type=list[Record])
    path = place / "events.jsonl"
    path.write_bytes((GOLDEN / name / "events.jsonl").read_bytes())
    assert len(expected) > 20
    assert list(read_records(path)) == expected
    with EventLog.open(path) as log:
        (record,) = log.append([WarningRaised("one more")], AT)
    assert list(read_records(path)) == [*expected, record]


# -- C1, C2: the disk says no ------------------------------------------------------------------------------------------


def fail_each(place: Path, seams: list[Call], fault: str, persistent: bool = False) -> int:
    """Let each call fail: the run must stop, say why, have lost nothing, and go on later. Returns failed runs."""
    failed = 0
    for number, call in enumerate(seams):
        workspace = place / f"{fault}-{call.name}-{number}-{persistent}"
        when = f"{call.ordinal}+" if persistent else f"{call.ordinal}"
        run = run_with(workspace, call, f"error={fault}", when)
        assert "Traceback" not in run.stderr
        if run.returncode:
            failed += 1
            if call.name != "write" or not persistent:  # else it cannot say it either
                assert fault in run.stderr
                assert str(place) in run.stderr
        check_crashed(workspace, acknowledged(workspace))
        log_child.run(workspace)
        check_finished(workspace)
        shutil.rmtree(workspace)
    return failed


def session_seams(place: Path, *names: str) -> list[Call]:
    """The calls of these names that work on the session (not on the file that stands for the user)."""
    calls = [call for call in trace(place / "traced") if call.changes and call.name in names]
    return [call for call in calls if "traced.acks" not in f"{call.arguments}{call.returned}"]


def test_row_C1_disk_full_at_each_write(place: Path) -> None:
    need("strace")
    writes = session_seams(place, "write", "pwrite64")
    assert fail_each(place, writes, "ENOSPC") == len(writes)


def test_row_C1_disk_stays_full(place: Path) -> None:
    need("strace")
    seams = session_seams(place, "write", "openat", "mkdirat")[::4]
    assert fail_each(place, seams, "ENOSPC", persistent=True) == len(seams)


def test_row_C1_write_that_writes_nothing(place: Path) -> None:
    """As some network file systems do when they are full: an error, and no endless loop."""
    need("strace")
    seams = [call for call in session_seams(place, "write") if "events.jsonl" in call.arguments]
    run = run_with(place / "w", seams[2], "retval=0", f"{seams[2].ordinal}..{seams[2].ordinal + 1}")
    assert run.returncode == 1
    assert "events.jsonl: Input/output error (EIO)" in run.stderr
    check_crashed(place / "w", acknowledged(place / "w"))
    log_child.run(place / "w")
    check_finished(place / "w")


def test_row_C1_small_disk_fills_up(tmp_path: Path) -> None:
    """On a real full disk the write comes short: the torn piece is cut off, and space lets it go on."""
    run = with_mounts(disk_child.__file__, "small", str(tmp_path))
    assert run.returncode == 0, run.stderr
    reason = (
        f"cannot write {tmp_path}/events.jsonl: No space left on device (ENOSPC); free some disk space, then resume"
    )
    assert run.stdout.splitlines() == [reason] * 3


def test_row_C2_fsync_fails_at_each_seam(place: Path) -> None:
    need("strace")
    syncs = session_seams(place, "fsync", "fdatasync")
    assert fail_each(place, syncs, "EIO") == len(syncs)


ONE_FAILED_SYNC = """
import sys, threading
from pathlib import Path
from orchestrator_nb.core.events import WarningRaised
from orchestrator_nb.errors import StorageError
from orchestrator_nb.storage.log import EventLog

told = threading.Event()
synced = []
log = EventLog.open(Path(sys.argv[1]), on_synced=synced.append, on_failed=lambda error: told.set())
log.append([WarningRaised("one")], 1.0)
print("told", told.wait(5), "synced", synced)
for action in (lambda: log.append([WarningRaised("two")], 1.0), log.sync):
    try:
        action()
        print("success")
    except StorageError as error:
        print(error)
log.close()
"""


def test_row_C2_failed_group_commit_is_never_a_success_later(place: Path) -> None:
    """The background sync fails once; the disk works again; the log stays dead all the same, and says so in time."""
    need("strace")
    path = place / "events.jsonl"
    run = python_with("fdatasync:error=EIO:when=1", "-c", ONE_FAILED_SYNC, str(path))
    lines = run.stdout.splitlines()
    assert lines[0] == "told True synced []"
    assert len(lines) == 3
    assert all(f"cannot sync {path}: Input/output error (EIO)" in line for line in lines[1:])


READ = """
import sys
from pathlib import Path
from orchestrator_nb.errors import StorageError
from orchestrator_nb.storage.log import LogFollower, read_records

for read in read_records, lambda path: LogFollower(path).poll():
    try:
        print(len(list(read(Path(sys.argv[1])))))
    except StorageError as error:
        print(error)
"""


@pytest.mark.parametrize(
    ("code", "said"),
    [("EIO", ["cannot read {}: Input/output error (EIO)", "cannot follow {}: Input/output error (EIO)"]),
     ("EROFS", ["4", "4"])],
)  # fmt: skip
def test_row_C2_readers_show_only_what_is_on_stable_storage(code: str, said: list[str], place: Path) -> None:
    """They sync what they read; a file system that needs no sync, being read-only, is no hindrance."""
    need("strace")
    path = place / "events.jsonl"
    write_log(path, 2)
    run = python_with(f"fdatasync:error={code}", "-c", READ, str(path))
    assert [line.partition(";")[0] for line in run.stdout.splitlines()] == [text.format(path) for text in said]


POST = """
import sys
from pathlib import Path
from orchestrator_nb.errors import StorageError
from orchestrator_nb.storage.inbox import Inbox
from orchestrator_nb.storage.workspace import SessionDir

try:
    Inbox(SessionDir(Path(sys.argv[1]))).post("stop")
except StorageError as error:
    print(error)
"""


def test_row_C2_request_that_was_not_synced_is_not_confirmed(place: Path) -> None:
    need("strace")
    session = Workspace(place).new_session()
    run = python_with("fsync:error=EIO:when=1", "-c", POST, str(session.path))
    assert f"cannot write {session.control}/" in run.stdout
    assert Inbox(session).poll() == []


# -- C12: size ---------------------------------------------------------------------------------------------------------

OPEN_AND_MEASURE = """
import resource, sys, time
from pathlib import Path
from orchestrator_nb.storage.log import EventLog

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024

before, begin = peak(), time.monotonic()
with EventLog.open(Path(sys.argv[1])) as log:
    print(log.seq, round(time.monotonic() - begin, 3), peak() - before)
"""


def open_large(place: Path, events: int, limit: float) -> None:
    path = place / "events.jsonl"
    with EventLog.open(path) as log:
        batch = [WarningRaised(f"{number} " + "x" * 900) for number in range(1000)]
        for _ in range(events // 1000):
            log.append(batch, AT)
    command = [sys.executable, "-c", OPEN_AND_MEASURE, str(path)]
    run = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    seq, seconds, mebibytes = map(float, run.stdout.split())
    assert seq == events
    assert seconds < limit
    assert mebibytes < 64, "opening must not hold the whole log"


def test_row_C12_large_log(tmp_path: Path) -> None:
    open_large(tmp_path, 50_000, limit=10)


@pytest.mark.slow
def test_row_C12_million_events_in_a_gigabyte(tmp_path: Path) -> None:
    open_large(tmp_path, 1_000_000, limit=20)


# -- I6 ----------------------------------------------------------------------------------------------------------------


def test_row_I6_events_share_their_syncs(tmp_path: Path) -> None:
    """Group commit: thousands of events are synced a few times, and the last one is told."""
    synced: list[int] = []
    with EventLog.open(tmp_path / "events.jsonl", on_synced=synced.append, sync_interval=0.05) as log:
        for number in range(5000):
            log.append([TaskStarted(f"task-{number}", 1)], AT)
        log.sync()
        assert synced[-1] == log.synced_seq == 5000
    assert synced == sorted(synced)
    assert len(synced) < 250
