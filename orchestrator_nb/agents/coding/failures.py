"""Classes of errors: which status or words of a CLI mean which, which may pass by themselves, and what to do.

Only what the CLI itself says is classified (its final event, its error events, its standard error), never what the
model or a tool wrote.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta

from orchestrator_nb.agents.coding.vocabulary import Kind

#: Trying again later may help; all others stay until somebody does something.
TRANSIENT: frozenset[Kind] = frozenset({"rate_limit", "overload", "server", "network"})

#: What to do about each class, for people.
REMEDIES: dict[Kind, str] = {
    "auth": "log in with the CLI, or name its key variable in the agent's login grant",
    "rate_limit": "wait for the limit to end, or use another account or vendor",
    "overload": "try again later",
    "server": "try again later",
    "network": "check the network, and whether this agent is granted network access",
    "request": "check the model's name, the options, and the length of the prompt",
    "usage": "this version of the CLI refuses the options: check `orchestrate doctor`",
    "trust": "the CLI does not trust the directory",
    "session": "the session is unknown to the CLI: start a clean attempt",
    "turn_limit": "raise the turn limit, or give it less to do",
    "budget": "raise the budget, or give it less to do",
    "interrupted": "resume the session",
}

#: Names of errors in the vendors' records.
NAMED: dict[str, Kind] = {
    "authentication_failed": "auth",
    "authentication_error": "auth",
    "permission_error": "auth",
    "UNAUTHENTICATED": "auth",
    "PERMISSION_DENIED": "auth",
    "rate_limit": "rate_limit",
    "rate_limit_error": "rate_limit",
    "billing_error": "rate_limit",
    "RESOURCE_EXHAUSTED": "rate_limit",
    "overloaded": "overload",
    "overloaded_error": "overload",
    "UNAVAILABLE": "overload",
    "server_error": "server",
    "api_error": "server",
    "INTERNAL": "server",
    "connection_failed": "network",
    "connection_error": "network",
    "timeout": "network",
    "invalid_request": "request",
    "invalid_request_error": "request",
    "not_found_error": "request",
    "model_not_found": "request",
    "INVALID_ARGUMENT": "request",
    "NOT_FOUND": "request",
}

_STATUS: dict[int, Kind] = {401: "auth", 403: "auth", 407: "network", 408: "network", 429: "rate_limit"}

#: Words of the CLIs, the first that fits counts.
_WORDS: dict[Kind, str] = {
    "turn_limit": r"max(imum number of| session)? turns",
    "budget": r"maximum budget|budget (limit )?(was |is )?(reached|exceeded|exhausted)",
    "session": r"no conversation found|session id \S+ is already in use|already in use|no rollout found|"
    r"thread (id )?not found|session not found|invalid session|error resuming session|no previous sessions",
    "trust": r"not inside a trusted directory|untrusted|not trusted|trust(ed)? folder|--skip-trust",
    "auth": r"not logged in|/login|api key|authenticat|unauthorized|unauthenticated|invalid auth|auth method|"
    r"missing environment variable|API_KEY|access token|credential|log in again|sign in",
    "rate_limit": r"usage limit|rate.?limit|limit reached|hit your .{0,40}limit|quota|too many requests|"
    r"resource.exhausted|out of credits|credit balance",
    "overload": r"overloaded|at capacity|service unavailable|\bunavailable\b",
    "server": r"high demand|internal (server )?error|server error|bad gateway|gateway timeout",
    "network": r"connection|connect\b|ECONN|ENOTFOUND|ETIMEDOUT|EAI_AGAIN|fetch failed|lookup address|network|"
    r"stream (disconnected|closed|ended|error)|disconnected|error sending request|socket|premature|terminated|"
    r"incomplete json|timed? ?out|dropped",
    "usage": r"unexpected argument|unknown (option|argument)|invalid value|is invalid\. allowed|"
    r"input must be provided|no (input|prompt) provided|requires --|cannot be used with|not found\. available|"
    r"^usage:",
    "request": r"invalid.?request|bad request|too (long|large)|exceeds the maximum|context (window|length)|"
    r"not found|invalid_argument|not supported",
}
_MEANT: list[tuple[Kind, re.Pattern[str]]] = [(kind, re.compile(words, re.I)) for kind, words in _WORDS.items()]

_STATUS_IN_WORDS = re.compile(
    r"(?:status(?: code)?:?|API Error:?|\"code\":|HTTP|error code:?|status\":)\s*[:=]?\s*([45]\d\d)\b", re.IGNORECASE
)


def kind_of_status(status: int) -> Kind:
    """The class of an HTTP status from 400 on."""
    if status in _STATUS:
        return _STATUS[status]
    if status in (503, 529):
        return "overload"
    return "server" if status >= 500 else "request"


def status_in(text: str) -> int | None:
    """The HTTP status that a CLI's words name, or None."""
    found = _STATUS_IN_WORDS.search(text[:4000])
    return int(found[1]) if found else None


def kind_of(text: str, status: int | None = None) -> Kind:
    """The class of an error, from its HTTP status if there is one, else from the CLI's words."""
    if status is None:
        status = status_in(text)
    if status is not None and status >= 400:
        return kind_of_status(status)
    text = text[:4000]
    return next((kind for kind, words in _MEANT if words.search(text)), "other")


# -- usage limits ------------------------------------------------------------------------------------------------------

_LIMIT = re.compile(
    r"(usage|session|weekly|daily|hour|opus|sonnet) limit|(?<!rate )limit reached|hit your .{0,40}limit|quota", re.I
)
_EPOCH = re.compile(r"\|(\d{10})\b")
_UNITS = {"d": 86400, "h": 3600, "m": 60, "s": 1}
_AMOUNT = r"\d[\d.]*\s*(?:days?|hours?|min|minutes?|sec|seconds?|[dhms])(?![a-z])[,\s]*"
_DURATION = re.compile(rf"\b(?:in|after)\s+((?:{_AMOUNT}){{1,5}})", re.I)
_PART = re.compile(r"(\d+(?:\.\d+)?)\s*([dhms])", re.I)
_AT = re.compile(
    r"(?:at|resets)\s+(?:(?P<month>[A-Z][a-z]{2})[a-z]*\.? (?P<day>\d{1,2})(?:st|nd|rd|th)?,?\s*"
    r"(?P<year>\d{4})?,?\s*(?:at )?)?(?P<hour>\d{1,2})(?::(?P<minute>\d{2}))?\s*(?P<half>[AaPp][Mm])"
)
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def is_limit(text: str) -> bool:
    """Whether a CLI's words say that the account's usage limit is reached (not only that requests come too fast)."""
    return bool(_LIMIT.search(text[:4000]))


def epoch_in(text: str) -> float | None:
    """The reset time in numbers that older claudes append (``limit reached|1749924000``), or None."""
    found = _EPOCH.search(text[:4000])
    return float(found[1]) if found else None


def reset_time(text: str, now: float) -> float | None:
    """When a limit ends, in seconds since the epoch, from the CLI's words; None if they don't say.

    Durations count from `now`. Times of day are read in this machine's time zone, as the CLI that runs here writes
    them, and mean the next such time after `now`.
    """
    text = text[:4000]
    if (epoch := epoch_in(text)) is not None:
        return epoch
    if found := _DURATION.search(text):
        seconds = sum(float(amount) * _UNITS[unit.lower()] for amount, unit in _PART.findall(found[1]))
        return now + seconds if seconds else None
    found = _AT.search(text)
    return _moment(found, now) if found else None


def _moment(found: re.Match[str], now: float) -> float | None:
    hour = int(found["hour"]) % 12 + (12 if found["half"].lower() == "pm" else 0)
    today = datetime.fromtimestamp(now)  # local time is meant
    try:
        moment = today.replace(hour=hour, minute=int(found["minute"] or 0), second=0, microsecond=0)
        if found["month"]:
            month = _MONTHS.index(found["month"]) + 1
            moment = moment.replace(year=int(found["year"] or today.year), month=month, day=int(found["day"]))
        elif moment <= today:
            moment += timedelta(days=1)
        return moment.timestamp()
    except (ValueError, OverflowError):
        return None
