"""Commands, as tasks write them."""

from __future__ import annotations

import pytest

from orchestrator_nb.core.commands import check_argv, check_text


@pytest.mark.parametrize(
    ("check", "argv", "text"),
    [
        ("test -s $ORCH_OUTPUTS/a", ("/bin/sh", "-c", "test -s $ORCH_OUTPUTS/a"), "test -s $ORCH_OUTPUTS/a"),
        (("grep", "two words", "a"), ("grep", "two words", "a"), "grep 'two words' a"),
    ],
)
def test_a_check_is_a_line_for_the_shell_or_a_list_of_arguments(check: str, argv: tuple[str, ...], text: str) -> None:
    assert (check_argv(check), check_text(check)) == (argv, text)
