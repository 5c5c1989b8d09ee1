from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from orchestrator_nb.system.search_path import search_path


def test_the_interpreter_comes_first_and_nothing_twice() -> None:
    own = os.path.dirname(sys.executable)
    found = search_path({"PATH": f"/usr/bin:{own}:/bin"}).split(os.pathsep)
    assert found[0] == own
    assert found[-2:] == ["/usr/bin", "/bin"]
    assert len(found) == len(set(found))


def test_an_empty_entry_is_left_out() -> None:
    assert "" not in search_path({"PATH": ":/bin::"}).split(os.pathsep)


def test_programs_of_the_environment_are_found_without_activating_it() -> None:
    found = shutil.which("python", path=search_path({}))
    assert found is not None
    assert Path(found).resolve() == Path(sys.executable).resolve()
