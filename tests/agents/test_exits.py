from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator_nb.agents.exits import failure_of, last_lines, warnings_of
from orchestrator_nb.core.ports import Exit

NO_LOG = Path("/nonexistent")


@pytest.mark.parametrize(
    ("end", "words", "kind", "exit_code"),
    [
        (Exit(3), "failed with exit code 3", "exit_code", 3),
        (Exit(126), "a program was found but cannot be executed", "exit_code", 126),
        (Exit(127), "a program was not found; is it installed", "exit_code", 127),
        (Exit(143), "what a shell says of a program that was ended by SIGTERM", "exit_code", 143),
        (Exit(255), "failed with exit code 255", "exit_code", 255),
        (Exit(-9), "was ended by SIGKILL; SIGKILL from outside is often", "signal", None),
        (Exit(-11), "was ended by SIGSEGV", "signal", None),
        (Exit(-99), "was ended by signal 99", "signal", None),
        (Exit(-9, "memory"), "used more memory than `resources.memory_gb` allows", "memory", None),
        (Exit(-9, "supervisor_lost"), "the process that supervised it was ended", "supervisor_lost", None),
        (Exit(0, "cancelled"), "was cancelled", "cancelled", 0),
        (Exit(-9, "processes"), "started more processes than it may", "processes", None),
        (Exit(-9, "cancelled", note="pid 3 is stuck"), "was cancelled (pid 3 is stuck)", "cancelled", None),
    ],
)
def test_an_end_has_words_and_a_kind(end: Exit, words: str, kind: str, exit_code: int | None) -> None:
    failure = failure_of(end, NO_LOG)
    assert failure is not None
    assert words in failure.error
    assert (failure.kind, failure.exit_code) == (kind, exit_code)


def test_a_good_end_may_leave_something_to_say() -> None:
    assert warnings_of(Exit(0)) == ()
    assert warnings_of(Exit(0, leftovers=2, lost=1, note="log cap")) == (
        "2 processes that it had left behind had to be ended",
        "1 byte of its output are not in the log (log cap)",
    )


def test_only_a_temporary_failure_is_transient() -> None:
    assert [code for code in range(256) if (failure := failure_of(Exit(code), NO_LOG)) and failure.transient] == [75]


def test_the_last_lines_of_the_log_are_told(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_bytes(b"first\n" * 1000 + b"\n\n1\n2\n3\n4\xff\n5\n\n")
    failure = failure_of(Exit(1), log)
    assert failure is not None
    assert failure.error == "failed with exit code 1: 1\n2\n3\n4\ufffd\n5"
    assert len(last_lines(log, lines=900)) == 1000
