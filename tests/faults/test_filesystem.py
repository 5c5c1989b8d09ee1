"""The files of a session on hostile ground: links swapped in, odd files, moved directories, disks that refuse."""

from __future__ import annotations

import os
import shutil
import socket
import stat
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from orchestrator_nb.core.events import WarningRaised
from orchestrator_nb.errors import OrchestratorError, StorageError, UnsafePath
from orchestrator_nb.storage.files import Root, collect_outputs
from orchestrator_nb.storage.filesystems import filesystem_kind, filesystem_warning
from orchestrator_nb.storage.lock import SessionLock
from orchestrator_nb.storage.log import EventLog
from orchestrator_nb.storage.workspace import SessionDir, Workspace
from tests.faults import disk_child, log_child
from tests.faults.log_trace import python_with, run_with, with_mounts
from tests.tools import need

AT = 1_736_692_200.0


# -- C3: read-only, no permission, no quota ----------------------------------------------------------------------------


@pytest.mark.parametrize("what", disk_child.WRITES)
def test_row_C3_read_only_place(what: str, tmp_path: Path) -> None:
    session = Workspace(tmp_path / "w").new_session()
    before = sorted(session.path.rglob("*"))
    run = with_mounts(disk_child.__file__, "read-only", str(session.path), what)
    assert run.returncode == 0, run.stderr
    assert str(session.path) in run.stdout
    assert "Read-only file system (EROFS); the file system is read-only: choose another place" in run.stdout
    assert sorted(session.path.rglob("*")) == before, "something half-made was left"


@pytest.mark.parametrize(
    ("code", "remedy"),
    [("EDQUOT", "free some space"), ("EACCES", "check who owns it"), ("EROFS", "choose another place")],
)
def test_row_C3_system_refuses_to_write(code: str, remedy: str, tmp_path: Path) -> None:
    need("strace")
    run = run_with(tmp_path / "w", "mkdirat", f"error={code}")
    assert run.returncode == 1
    assert run.stderr.startswith("StorageError: cannot ")
    assert f"({code}); " in run.stderr
    assert remedy in run.stderr
    log_child.run(tmp_path / "w")  # nothing is in the way afterwards


# -- C4: links swapped in ----------------------------------------------------------------------------------------------


def race(tmp_path: Path, wanted: int, seconds: float) -> tuple[int, int]:
    """Write, read, append and promote while the directory and the file turn into links to the outside and back."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "x.json").write_text("secret")
    session = tmp_path / "session"
    (session / "status").mkdir(parents=True)
    root = Root(session)
    stop = threading.Event()

    def swap() -> None:
        here, aside = session / "status", session / "aside"
        steps: tuple[Callable[[], object], ...] = (
            (here / "x.json").unlink,
            lambda: (here / "x.json").symlink_to(outside / "x.json"),
            lambda: here.rename(aside),
            lambda: here.symlink_to(outside),
            here.unlink,
            lambda: shutil.rmtree(here),  # the writer has made it anew
            lambda: aside.rename(here),
        )
        while not stop.is_set():
            for step in steps:
                with suppress(OSError):
                    step()

    def append() -> None:
        fd = root.open_for_append("status/x.json")
        os.write(fd, b"appended")
        os.close(fd)

    def promote() -> None:
        root.write_atomic("new/y", b"y")
        root.promote("new/y", "status/y", sync=False)

    def read() -> None:
        assert b"secret" not in root.read_bytes("status/x.json", 10_000_000)

    swapper = threading.Thread(target=swap)
    swapper.start()
    done = refused = 0
    deadline = time.monotonic() + seconds
    actions: tuple[Callable[[], object], ...] = (
        lambda: root.write_atomic("status/x.json", b"{}"),
        append,
        promote,
        read,
    )
    try:
        while (done + refused < wanted or not (done and refused)) and time.monotonic() < deadline:
            for action in actions:
                try:
                    action()
                    done += 1
                except OrchestratorError:
                    refused += 1
    finally:
        stop.set()
        swapper.join()
    assert {path.name: path.read_text() for path in outside.iterdir()} == {"x.json": "secret"}
    return done, refused


def test_row_C4_directory_and_file_swapped_for_links(tmp_path: Path) -> None:
    done, refused = race(tmp_path, 3_000, seconds=5)
    assert done > 0
    assert refused > 0, "the race never happened"


@pytest.mark.slow
def test_row_C4_10000_races(tmp_path: Path) -> None:
    done, refused = race(tmp_path, 10_000, seconds=100)
    assert done + refused >= 10_000


@pytest.mark.parametrize("path", ["../x", "/etc/x", "a/../../x", "", ".", "a/\0b", "link/x", "file/x", "loop"])
def test_row_C4_paths_that_lead_outside(path: str, tmp_path: Path) -> None:
    root = Root(tmp_path / "root")
    root.path.mkdir()
    (root.path / "link").symlink_to(tmp_path)
    (root.path / "file").write_text("a file")
    (root.path / "loop").symlink_to("loop")
    refusing: tuple[Callable[[], object], ...] = (
        lambda: root.read_bytes(path, 10),
        lambda: root.open_for_append(path),
        lambda: root.artifact(path),
        lambda: root.promote(path, "there"),
    )
    for action in refusing:
        with pytest.raises(UnsafePath):
            action()
    if path != "loop":  # a link in the place of the file itself is replaced by the file
        for action in (lambda: root.write_atomic(path, b""), lambda: root.rename("file", path)):
            with pytest.raises(UnsafePath):
                action()
    assert sorted(tmp_path.iterdir()) == [root.path]


# -- C5: readers of a file that is being replaced ----------------------------------------------------------------------


def read_while_written(tmp_path: Path, wanted: int) -> None:
    root = Root(tmp_path)
    contents = [bytes([65 + number]) * (1000 * (number + 1)) for number in range(8)]
    root.write_atomic("status/x.json", contents[0])
    stop = threading.Event()
    reads = [0] * 4
    torn: list[bytes] = []

    def read(reader: int) -> None:
        while not stop.is_set():
            data = (tmp_path / "status" / "x.json").read_bytes()
            reads[reader] += 1
            if data not in contents:
                torn.append(data)

    readers = [threading.Thread(target=read, args=(number,)) for number in range(4)]
    for reader in readers:
        reader.start()
    writes = 0
    deadline = time.monotonic() + 60
    while sum(reads) < wanted and time.monotonic() < deadline:
        root.write_atomic("status/x.json", contents[writes % 8])
        writes += 1
    stop.set()
    for reader in readers:
        reader.join()
    assert not torn
    assert sum(reads) >= wanted
    assert writes > 10


def test_row_C5_readers_never_see_a_torn_file(tmp_path: Path) -> None:
    read_while_written(tmp_path, 10_000)


@pytest.mark.slow
def test_row_C5_100000_reads(tmp_path: Path) -> None:
    read_while_written(tmp_path, 100_000)


# -- C8: what an attempt may leave as its outputs ----------------------------------------------------------------------

LIMIT = 1 << 20


def plant(outputs: Path) -> None:
    secret = outputs.parent / "secret"
    secret.write_text("secret")
    (outputs / "good.txt").write_text("good")
    os.mkfifo(outputs / "pipe")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(outputs / "socket"))
    (outputs / "hard").hardlink_to(secret)
    (outputs / "link").symlink_to(secret)
    (outputs / "inner").symlink_to("good.txt")
    (outputs / "device").symlink_to("/dev/zero")
    (outputs / "directory").mkdir()
    (outputs / "linked").symlink_to(outputs.parent)
    with (outputs / "sparse").open("wb") as file:
        file.truncate(1 << 40)
    with zipfile.ZipFile(outputs / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("zeros", bytes(50 << 20))
    if os.geteuid() == 0:
        with suppress(PermissionError):
            os.mknod(outputs / "zero", 0o600 | stat.S_IFCHR, os.makedev(1, 5))


def test_row_C8_odd_files_among_the_outputs(tmp_path: Path) -> None:
    outputs = tmp_path / "attempts" / "t" / "1" / "outputs"
    outputs.mkdir(parents=True)
    plant(outputs)
    names = {
        "pipe": "is a named pipe",
        "socket": "is a socket",
        "hard": "hard links",
        "link": "symbolic link",
        "inner": "symbolic link",
        "device": "symbolic link",
        "directory": "is a directory",
        "linked/secret": "symbolic link",
        "sparse": "more than the 1048576 that are allowed",
        "missing": "output 'missing' is missing",
        "good.txt/x": "no directory",
        "../secret": "is no path below",
    }
    if (outputs / "zero").exists():
        names["zero"] = "is a device"
    begin = time.monotonic()
    found = collect_outputs(Root(tmp_path), "attempts/t/1/outputs", ["good.txt", *names, "bomb.zip"], LIMIT)
    assert time.monotonic() - begin < 5, "something waited, or read a device"
    assert [artifact.path.rpartition("/")[2] for artifact in found.artifacts] == ["good.txt", "bomb.zip"]
    assert found.artifacts[1].size < LIMIT
    for (name, reason), fault in zip(names.items(), found.faults, strict=True):
        assert f"output '{name}'" in fault
        assert reason in fault
    for name in names:
        with pytest.raises(OrchestratorError):
            Root(tmp_path).promote(f"attempts/t/1/outputs/{name}" if name != "sparse" else "attempts", "outputs/t/x")
    assert not Root(tmp_path).exists("outputs/t/x")


# -- C9: the workspace goes away ---------------------------------------------------------------------------------------


def replace(path: Path) -> None:
    data = path.read_bytes()
    path.unlink()
    path.write_bytes(data)


LOSSES: dict[str, Callable[[SessionDir], object]] = {
    "session moved": lambda session: session.path.rename(session.path.with_name("moved")),
    "session deleted": lambda session: shutil.rmtree(session.path),
    "log deleted": lambda session: session.log_path.unlink(),
    "log replaced": lambda session: replace(session.log_path),
    "log emptied": lambda session: os.truncate(session.log_path, 0),
}


def write_and_sync(log: EventLog) -> None:
    log.append([WarningRaised("into nowhere")], AT)
    log.sync()


@pytest.mark.parametrize("busy", [False, True], ids=["idle", "writing"])
@pytest.mark.parametrize("loss", LOSSES)
def test_row_C9_workspace_lost_while_running(loss: str, busy: bool, tmp_path: Path) -> None:
    """Found out within 2 s (here: 4) also when nothing is written, and for good."""
    session = Workspace(tmp_path).new_session()
    failed = threading.Event()
    log = EventLog.open(session.log_path, on_failed=lambda _: failed.set())
    log.append([WarningRaised("before")], AT)
    log.sync()
    LOSSES[loss](session)
    if busy:
        with pytest.raises(StorageError, match=str(session.log_path)):
            write_and_sync(log)
    assert failed.wait(4)
    with pytest.raises(StorageError, match=str(session.log_path)):
        log.append([WarningRaised("after")], AT)
    with pytest.raises(StorageError, match=str(session.log_path)):
        log.sync()
    log.close()


@pytest.mark.parametrize("way", [Path.unlink, replace, lambda path: shutil.rmtree(path.parent)])
def test_row_C9_lock_file_removed_while_held(way: Callable[[Path], object], tmp_path: Path) -> None:
    session = Workspace(tmp_path).new_session()
    with SessionLock(session.lock_path).acquire() as lock:
        lock.verify()
        way(session.lock_path)
        with pytest.raises(StorageError, match="was removed or replaced while the session was running"):
            lock.verify()


LOCK_SLOWLY = """
import sys
from pathlib import Path
from orchestrator_nb.storage.lock import SessionLock

lock = SessionLock(Path(sys.argv[1])).acquire()
lock.verify()
print("holds", Path(sys.argv[1]).exists())
"""


def test_row_C9_lock_file_removed_while_it_is_being_locked(tmp_path: Path) -> None:
    """Between opening and locking it: a lock on a file that nobody else can find is none."""
    need("strace")
    path = tmp_path / "lock"

    def remove() -> None:
        while not path.exists():
            time.sleep(0.001)
        path.unlink()

    remover = threading.Thread(target=remove)
    remover.start()
    run = python_with("flock:delay_enter=500000:when=1", "-c", LOCK_SLOWLY, str(path))
    remover.join()
    assert run.stdout == "holds True\n", run.stderr


# -- C10: kinds of file systems ----------------------------------------------------------------------------------------

MOUNTS = r"""
22 1 254:0 / / rw,relatime - ext4 /dev/vda rw
30 22 0:40 / /home rw - nfs4 server:/home rw
31 30 0:41 / /home/me/cloud rw,nosuid - fuse.sshfs me@there: rw
32 22 0:42 / /container rw - overlay overlay rw
33 22 0:43 / /mnt/with\040space rw - cifs //server/share rw
34 22 0:44 / /tmp rw shared:1 master:2 - tmpfs tmpfs rw
35 22 0:45 / /host rw - virtiofs host rw
36 34 0:46 / /tmp/disk rw - ext4 /dev/vdb rw
37 36 0:47 / /tmp/disk rw - nfs hidden:/ rw
not a line of it
"""


@pytest.mark.parametrize(
    ("path", "kind", "warning"),
    [
        ("/srv/work", "ext4", None),
        ("/home/you/w", "nfs4", "two runs of one session"),
        ("/home/me/cloud/w", "fuse.sshfs", "depends on the program behind it"),
        ("/homeless", "ext4", None),
        ("/container", "overlay", "gone when the container is removed"),
        ("/mnt/with space/w", "cifs", "network file system"),
        ("/tmp/w", "tmpfs", "in memory"),
        ("/host/w", "virtiofs", "locks do not reach the other side"),
        ("/tmp/disk/w", "nfs", "network file system"),
    ],
)
def test_row_C10_network_and_other_file_systems(path: str, kind: str, warning: str | None) -> None:
    assert filesystem_kind(Path(path), MOUNTS) == kind
    said = filesystem_warning(Path(path), MOUNTS)
    assert (warning in said and path in said) if warning and said else said is warning


def test_row_C10_file_system_without_locks(tmp_path: Path) -> None:
    """It works all the same; that one run is the only one cannot be promised there."""
    need("strace")
    run = run_with(tmp_path / "w", "flock", "error=ENOLCK")
    assert (run.returncode, run.stderr) == (0, "")
    assert run_with(tmp_path / "v", "flock", "error=EBADF").returncode == 1


def test_row_C10_file_system_of_this_machine() -> None:
    assert filesystem_kind(Path("/proc/self")) == "proc"
    assert filesystem_kind(Path("/nothing"), "") == ""


# -- C11: modes --------------------------------------------------------------------------------------------------------

UMASKED = """
import os, sys
from pathlib import Path
os.umask(int(sys.argv[2], 8))
from orchestrator_nb.storage.inbox import Inbox, Reply
from orchestrator_nb.storage.workspace import Workspace
from tests.faults import disk_child, log_child

workspace = Path(sys.argv[1])
log_child.run(workspace)
session = Workspace(workspace).find("latest")
inbox = Inbox(session)
inbox.post("stop")
(request,) = inbox.poll()
inbox.answer(request, Reply(True))
inbox.post("halt")
os.close(session.root.open_for_append("attempts/one/1/log"))
"""


@pytest.mark.parametrize("umask", ["000", "002", "077"])
def test_row_C11_modes_do_not_depend_on_the_umask(umask: str, tmp_path: Path) -> None:
    workspace = tmp_path / "deep" / "workspace"
    root = str(Path(__file__).parents[2])
    environment = {**os.environ, "PYTHONPATH": root}
    command = [sys.executable, "-c", UMASKED, str(workspace), umask]
    subprocess.run(command, env=environment, check=True, timeout=30)
    found = [tmp_path / "deep", workspace, *workspace.rglob("*")]
    assert len(found) > 15
    for path in found:
        mode = path.lstat().st_mode
        if not stat.S_ISLNK(mode):
            assert stat.S_IMODE(mode) == (0o700 if stat.S_ISDIR(mode) else 0o600), path
