"""How Claude Code words a refusal, and what the refused call would need."""

from __future__ import annotations

import re
from collections.abc import Sequence

from orchestrator_nb.agents.coding.vocabulary import Need

_OUTSIDE = re.compile(
    r"outside (of )?(the |its |your )?(allowed )?(working|workspace) director|confines the file tools", re.I
)

#: How it words a refusal as a tool's result, from the first character on: what a command printed comes after
#: ``Exit code N``, and other tools' errors in ``<tool_use_error>``.
REFUSING = re.compile(
    r"Claude requested permissions to |This (Bash )?command (requires approval|contains )|Permission to use |"
    r"Permission for this tool use was denied|Cannot (write to|edit|use) .{1,500}(while )?in plan mode|"
    r"[\w./-]{1,60} in '[^'\n]+' (needs approval|was blocked)|"
    r"(?!Exit code )[^\n]{0,200}--restricted confines the file tools",
    re.DOTALL,
)


def need_of(reason: str, why: str, path: str, roots: Sequence[str]) -> Need:
    """What a refused call would need.

    Args:
        reason: claude's words, or empty.
        why: Its `decision_reason_type`, or empty.
        path: What the call was to work on, or empty.
        roots: The directories that the session may use.
    """
    if why == "workingDir" or _OUTSIDE.search(reason):
        return "directory"
    if why == "rule" or re.match(r"Permission to use .* has been denied\.?$", reason, re.DOTALL):
        return "rule"
    inside = any(path == root or path.startswith(root.rstrip("/") + "/") for root in roots)
    return "directory" if path.startswith("/") and roots and not inside else "mode"


def path_in_words(reason: str) -> str:
    """The path that claude's words for a refusal name, or empty."""
    found = re.search(
        r"permissions to (?:write to|read from|edit|use) (/[^\n]{1,1000}?), but |in '(/[^'\n]+)' ", reason
    )
    return (found[1] or found[2]) if found else ""
