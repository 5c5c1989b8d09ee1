from __future__ import annotations

import pytest

from orchestrator_nb.agents.coding.refusals import refused


@pytest.mark.parametrize(
    ("output", "path"),
    [
        ("touch: cannot touch 'made.txt': Read-only file system\n", "made.txt"),
        ("Exit code 1\ntouch: cannot touch '/x/y': Permission denied", "/x/y"),
        ("/bin/bash: line 1: made.txt: Read-only file system", "made.txt"),
        ("fatal: Unable to create '/r/.git/index.lock': Read-only file system", "/r/.git/index.lock"),
        ("Traceback\n  x\nOSError: [Errno 30] Read-only file system: '/x/y'", "/x/y"),
        ("PermissionError: [Errno 13] Permission denied: '/x'", "/x"),
        ("Error: EACCES: permission denied, open '/x/y'", "/x/y"),
        ("mkdir: cannot create directory ‘/x’: Operation not permitted", "/x"),
        ("sh: 1: cannot create /x/y: Permission denied", "/x/y"),
    ],
)
def test_refusals_by_the_system_are_found(output: str, path: str) -> None:
    found = refused(output, "make all", 1)
    assert found is not None
    assert (found.path, found.need) == (path, "directory")


def test_a_refused_connection_needs_the_network() -> None:
    found = refused("urllib.error.URLError: <urlopen error [Errno 1] Operation not permitted>", "x", 1)
    assert found is None, "no such line: the words are not its end"
    found = refused("curl: (7) connect to h port 80: Operation not permitted", "x", 1)
    assert found is not None
    assert found.need == "network"


@pytest.mark.parametrize(
    "output",
    [
        "",
        "all good",
        "git@github.com: Permission denied (publickey).",
        "the words Permission denied inside a line",
        "Permission denied",
        "1: Read-only file systems are fine",
    ],
)
def test_other_output_holds_none(output: str) -> None:
    assert refused(output, "make", 1) is None


@pytest.mark.parametrize("code", [None, 0, 1])
def test_h16_a_command_that_prints_the_words_proves_nothing(code: int | None) -> None:
    phrase = "touch: cannot touch 'x': Read-only file system"
    assert refused(phrase, f'echo "{phrase}"; exit 1', code) is None


def test_a_command_that_ended_well_must_have_tried_it_itself() -> None:
    output = "touch: cannot touch '.git/x': Read-only file system\nrc=1\n"
    assert refused(output, "/bin/bash -lc 'touch .git/x; echo rc=$?'", 0) is not None
    assert refused(output, "cat build.log", 0) is None
    assert refused(output, "touch other", 0) is None


def test_only_the_ends_of_a_long_output_are_searched() -> None:
    line = "\ntouch: cannot touch 'x': Read-only file system\n"
    assert refused("a\n" * 100_000 + line, "make", 1) is not None
    assert refused("a\n" * 100_000 + line + "b\n" * 100_000, "make", 1) is None
