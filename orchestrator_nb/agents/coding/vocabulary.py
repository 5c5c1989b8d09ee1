"""What a coding agent does, in one vocabulary whatever its CLI.

A parser turns each line of a CLI's output into any number of these events (`orchestrator_nb.coding_clis`, see
`agents.coding.cli`). They are frozen, hold only JSON, and are bounded: what a tool printed is shortened
(`shortened`), the raw line stays in the attempt's log under the number that every event carries.
"""

from __future__ import annotations

from typing import Literal

import msgspec

#: What would let a refused call through: one directory more, a wider grant level, a rule of the CLI's, network access.
Need = Literal["directory", "mode", "rule", "network", "unknown"]

#: Where a refusal was found: an event of its own, the structured part of a result, the CLI's own record of the session,
#: its standard error, or only the text of a tool's result. What a program printed can be forged by whatever runs in
#: it, so a refusal known from `text` alone is a hint for people: nothing may be widened for it unasked.
Source = Literal["event", "result", "rollout", "stderr", "text"]

#: Classes of errors (`agents.coding.failures` says which text or status means which).
Kind = Literal[
    "",
    "auth",
    "rate_limit",
    "overload",
    "server",
    "network",
    "request",
    "usage",
    "trust",
    "session",
    "turn_limit",
    "budget",
    "interrupted",
    "other",
]

#: Longest text of a tool's result in an event, in characters.
LONGEST = 8000


class Seen(msgspec.Struct, frozen=True, gc=False, tag_field="event", omit_defaults=True):
    """Base of all events: what was seen, and where."""

    #: Number of its source line, from 1: in standard output, or in the source that a refusal names.
    line: int


class Started(Seen, frozen=True, tag="started"):
    """The CLI is at work. What its stream doesn't say is empty."""

    #: The name under which this session can be resumed.
    session: str
    model: str = ""
    version: str = ""
    cwd: str = ""


class Text(Seen, frozen=True, tag="text"):
    """The agent's words. Pieces come with `partial`, as they are written; the whole text follows without it."""

    text: str
    partial: bool = False


class Thought(Seen, frozen=True, tag="thought"):
    """The agent's reasoning, as far as it is shown. `partial` as in `Text`."""

    text: str
    partial: bool = False


class ToolCall(Seen, frozen=True, tag="tool_call"):
    """The agent calls a tool. A tool runs from here to the `ToolResult` of the same id."""

    id: str
    #: As the CLI names it (`Bash`, `command_execution`, `write_file`).
    tool: str
    #: The argument that matters most (a command, a path), else all of them as JSON, shortened.
    input: str = ""


class ToolResult(Seen, frozen=True, tag="tool_result"):
    """A tool has ended. `ok` is what the CLI says: gemini calls a shell command that failed a success."""

    id: str
    ok: bool
    text: str = ""


class FileEdit(Seen, frozen=True, tag="file_edit"):
    """A file was written by a tool for files (what commands write is not seen)."""

    path: str
    kind: Literal["add", "update", "delete"] = "update"


class CommandRun(Seen, frozen=True, tag="command_run"):
    """A shell command has ended."""

    command: str
    #: None where the stream doesn't say.
    exit_code: int | None = None
    output: str = ""


class PermissionDenied(Seen, frozen=True, tag="permission_denied"):
    """A call was refused. Told once per call; once more if a better source than `text` confirms it."""

    tool: str
    #: What it was to work on: the path of a tool for files, the command of a shell. Empty if the source doesn't say.
    target: str
    #: Why, in the CLI's words.
    reason: str
    need: Need
    source: Source
    #: The tool call's id, if known.
    id: str = ""
    #: The path that was out of reach, if the source names one.
    path: str = ""


class Usage(Seen, frozen=True, tag="usage"):
    """Tokens and cost since the `Usage` before in the same run, or, if cumulative, of the whole session.

    They are as the CLI counts them: claude's `input_tokens` are without cached ones, the others' with (`tokens_in`).
    """

    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    reasoning_tokens: int = 0
    #: US dollars. None: unknown, which is not 0.
    cost: float | None = None
    #: The tokens are those of the whole session, over all its runs (codex).
    cumulative: bool = False
    #: The cost is that of the whole session, over all its runs (older versions of claude).
    cost_cumulative: bool = False
    #: Tokens that the cache has taken in, where they are not among `input_tokens` (claude).
    cache_write_tokens: int = 0
    #: The cached tokens are not among `input_tokens` (claude).
    cached_apart: bool = False
    #: Of one answer of the model, told at once: the `Usage` at the end of the run counts it, too.
    partial: bool = False

    @property
    def tokens_in(self) -> int:
        """All tokens that were read, cached or not."""
        return self.input_tokens + (self.cached_tokens + self.cache_write_tokens if self.cached_apart else 0)


class Retry(Seen, frozen=True, tag="retry"):
    """The CLI tries a request again by itself."""

    attempt: int
    #: How often it tries; 0 if it doesn't say.
    most: int = 0
    #: Seconds until it does; None if it doesn't say.
    delay: float | None = None
    #: HTTP status that made it necessary.
    status: int | None = None
    #: Class of the error that made it necessary.
    reason: Kind = "other"


class RateLimit(Seen, frozen=True, tag="rate_limit"):
    """The account's usage limit is reached."""

    #: When it ends, in seconds since the epoch; None if the CLI doesn't say so in numbers (`failures.reset_time`).
    resets_at: float | None = None
    text: str = ""


class ErrorSeen(Seen, frozen=True, tag="error_seen"):
    """An error or a warning on the way; what ends a run is in `Finished`."""

    kind: Kind
    message: str
    #: Trying again later may help.
    transient: bool = False
    #: The CLI gives up for it.
    final: bool = False


class Finished(Seen, frozen=True, tag="finished"):
    """The CLI's final event. Alone it is no success: `agents.coding.judging` says what is."""

    ok: bool
    #: Class of the error that ended it, empty if `ok`.
    kind: Kind = ""
    #: The agent's last words, or what went wrong.
    text: str = ""
    #: 0 if the CLI doesn't say.
    turns: int = 0


class Unknown(Seen, frozen=True, tag="unknown"):
    """A line that no rule covers: of another version, torn, or no JSON at all (`kind` is "text" then)."""

    kind: str = ""


AgentEvent = (
    Started
    | Text
    | Thought
    | ToolCall
    | ToolResult
    | FileEdit
    | CommandRun
    | PermissionDenied
    | Usage
    | Retry
    | RateLimit
    | ErrorSeen
    | Finished
    | Unknown
)
"""What S3 calls `AgentEvent`. There it is one model of the log; here it is any of the events above, because each kind
carries what it needs and no more. They are what is read from an agent; the log keeps `core.events`."""


def shortened(text: str, longest: int = LONGEST) -> str:
    """`text`, or its beginning and end with a note of how much is left out, at most about `longest` characters."""
    if len(text) <= longest:
        return text
    half = longest // 2
    return f"{text[:half]}\n[... {len(text) - 2 * half} characters left out ...]\n{text[-half:]}"
