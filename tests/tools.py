"""What tests share: outside tools that may be missing."""

from __future__ import annotations

import os
import shutil

import pytest

from orchestrator_nb.system.search_path import search_path


def need(*tools: str) -> None:
    """Skip the test where a tool is missing; in CI that is a failure, because CI installs them all."""
    missing = [tool for tool in tools if shutil.which(tool, path=search_path(os.environ)) is None]
    if missing:
        message = f"needs {', '.join(missing)}"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
