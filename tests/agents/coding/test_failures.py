from __future__ import annotations

from datetime import datetime

import pytest

from orchestrator_nb.agents.coding import failures
from orchestrator_nb.agents.coding.failures import kind_of, reset_time


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, "request"),
        (401, "auth"),
        (403, "auth"),
        (404, "request"),
        (429, "rate_limit"),
        (500, "server"),
        (502, "server"),
        (503, "overload"),
        (529, "overload"),
    ],
)
def test_statuses(status: int, kind: str) -> None:
    assert kind_of("whatever", status) == kind
    assert kind_of(f"unexpected status {status} Words: mock") == kind
    assert kind_of(f"API Error: {status} something") == kind
    assert kind_of(f'[API Error: {{"error":{{"code":{status},"message":"m"}}}}]') == kind


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        ("Not logged in · Please run /login", "auth"),
        ("Missing environment variable: `MOCK_API_KEY`.", "auth"),
        ("When using Gemini API, you must specify the GEMINI_API_KEY environment variable.", "auth"),
        ("Your access token could not be refreshed. Please log out and sign in again.", "auth"),
        ("You've hit your usage limit. Try again at 3:45 PM.", "rate_limit"),
        ("exceeded retry limit, last status: 429 Too Many Requests", "rate_limit"),
        ("We’re currently experiencing high demand, which may cause temporary errors.", "server"),
        ("Selected model is at capacity. Please try a different model.", "overload"),
        ("stream disconnected before completion: failed to lookup address information: Try again", "network"),
        ("Connection failed: error sending request", "network"),
        ("exception TypeError: fetch failed sending request", "network"),
        ("Not inside a trusted directory and --skip-git-repo-check was not specified.", "trust"),
        ("No conversation found with session ID: 11111111-2222", "session"),
        ("error: unexpected argument '--full-auto' found", "usage"),
        ("error: option '--permission-mode <mode>' argument 'nope' is invalid. Allowed choices are", "usage"),
        ("Reached maximum number of turns (3)", "turn_limit"),
        ("Prompt is too long", "request"),
        ("turn/start failed: Input exceeds the maximum length of 1048576 characters. (code -32602)", "request"),
        ("something else entirely", "other"),
    ],
)
def test_words(words: str, kind: str) -> None:
    assert kind_of(words) == kind


def test_every_class_that_may_pass_has_a_remedy() -> None:
    assert set(failures.REMEDIES) >= failures.TRANSIENT
    assert not {"auth", "usage", "request", "trust", "session"} & failures.TRANSIENT


NOW = datetime(2026, 9, 6, 12, 0).timestamp()


@pytest.mark.parametrize(
    ("words", "moment"),
    [
        ("Claude AI usage limit reached|1788700000", 1788700000.0),
        ("Your quota will reset after 13h30m2s.", NOW + 13 * 3600 + 30 * 60 + 2),
        ("Please retry in 34.5s.", NOW + 34.5),
        ("Try again in 3 days 4 hours 5 minutes.", NOW + 3 * 86400 + 4 * 3600 + 300),
        ("Try again at 3:45 PM.", datetime(2026, 9, 6, 15, 45).timestamp()),
        ("Try again at 9:05 AM.", datetime(2026, 9, 7, 9, 5).timestamp()),
        ("You've hit your session limit · resets 3pm", datetime(2026, 9, 6, 15, 0).timestamp()),
        ("Try again at Sep 7th, 2026 3:45 PM.", datetime(2026, 9, 7, 15, 45).timestamp()),
        ("Try again at Feb 31st, 2026 3:45 PM.", None),
        ("Try again later.", None),
        ("in short, no", None),
    ],
)
def test_when_a_limit_ends(words: str, moment: float | None) -> None:
    assert reset_time(words, NOW) == moment


def test_a_limit_of_the_account_is_not_a_limit_of_requests() -> None:
    assert failures.is_limit("You've hit your usage limit.")
    assert failures.is_limit("5-hour limit reached ∙ resets 3am")
    assert failures.is_limit("You exceeded your current quota")
    assert not failures.is_limit("Request rejected (429) · mock: rate limit reached")
