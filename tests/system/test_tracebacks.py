from __future__ import annotations

from orchestrator_nb.system.tracebacks import MAX_TEXT, summary_of


def caught(error: BaseException) -> str:
    try:
        raise error
    except BaseException as raised:
        return summary_of(raised)


def test_what_and_where() -> None:
    text = caught(ValueError("bad"))
    assert text.startswith('ValueError: bad\n  File "')
    assert "in caught\n    raise error" in text


def test_notes_are_kept() -> None:
    error = ValueError("bad")
    error.add_note("while looking")
    assert caught(error).startswith("ValueError: bad\nwhile looking\n")


def test_an_exit_is_explained() -> None:
    assert caught(SystemExit(3)).startswith("SystemExit: the code called exit(3)")
    assert caught(SystemExit()).startswith("SystemExit: the code called exit()")


def test_a_long_message_is_cut_but_its_place_is_kept() -> None:
    text = caught(ValueError("x" * 1_000_000))
    assert len(text) < MAX_TEXT + 100
    assert "in caught" in text


def test_an_exception_that_cannot_be_printed_is_named() -> None:
    class OddError(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    assert "OddError" in caught(OddError())
