"""Where programs are looked for: the running interpreter's own environment first."""

from __future__ import annotations

import os
import sys
import sysconfig
from collections.abc import Mapping


def search_path(environment: Mapping[str, str]) -> str:
    """PATH of `environment` with the running interpreter's `bin` first, so that no environment need be activated.

    Empty entries, which mean the current directory, are left out.
    """
    own = (os.path.dirname(sys.executable), sysconfig.get_path("scripts"))  # noqa: PTH120 - text in, text out
    directories = (*own, *environment.get("PATH", os.defpath).split(os.pathsep))
    return os.pathsep.join(dict.fromkeys(directory for directory in directories if directory))
