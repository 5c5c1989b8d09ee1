"""Which file system a workspace lies on, and what that means for the promises."""

from __future__ import annotations

import os
import re
from pathlib import Path

_MOUNTS = Path("/proc/self/mountinfo")

_NETWORK = "is a network file system: locks and syncs may not hold there, so two runs of one session are possible"
_WARNINGS = {
    "nfs": _NETWORK,
    "nfs4": _NETWORK,
    "cifs": _NETWORK,
    "smb3": _NETWORK,
    "smbfs": _NETWORK,
    "afs": _NETWORK,
    "ceph": _NETWORK,
    "lustre": _NETWORK,
    "glusterfs": _NETWORK,
    "9p": "is shared with the host of this virtual machine: locks do not reach the other side",
    "virtiofs": "is shared with the host of this virtual machine: locks do not reach the other side",
    "vboxsf": "is shared with the host of this virtual machine: locks do not reach the other side",
    "fuse": "is a FUSE file system: whether locks and syncs hold depends on the program behind it",
    "overlay": "is the top layer of a container: it is gone when the container is removed",
    "tmpfs": "is in memory: sessions are lost when the machine stops",
    "ramfs": "is in memory: sessions are lost when the machine stops",
}


def filesystem_kind(path: Path, mountinfo: str | None = None) -> str:
    """The type of the file system that holds `path` (``ext4``, ``nfs4``, ``fuse.sshfs``), or an empty string.

    Args:
        path: Need not exist yet.
        mountinfo: Text in the format of /proc/self/mountinfo, in place of that file.
    """
    if mountinfo is None:
        try:
            mountinfo = _MOUNTS.read_text("utf-8", "surrogateescape")
        except OSError:
            return ""
    real = os.path.realpath(path)
    best, kind = "", ""
    for line in mountinfo.splitlines():
        before, _, after = line.partition(" - ")
        fields = before.split(" ")
        if len(fields) < 5 or not after:
            continue
        point = re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), fields[4])
        inside = real == point or real.startswith(point.rstrip("/") + "/")
        if inside and len(point) >= len(best):  # a later mount on the same point hides the earlier one
            best, kind = point, after.split(" ")[0]
    return kind


def filesystem_warning(path: Path, mountinfo: str | None = None) -> str | None:
    """What people should know about the file system that holds the workspace `path`, or None."""
    kind = filesystem_kind(path, mountinfo)
    warning = _WARNINGS.get(kind) or _WARNINGS.get(kind.partition(".")[0])
    return f"the workspace {path} ({kind}) {warning}" if warning else None
