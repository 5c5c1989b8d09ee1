"""A review as data: what is asked of whom, what each reviewer says, what follows from it (S3, DESIGN 4)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Literal, get_args

import msgspec

from orchestrator_nb.core.reports import SEVERITIES, Finding, Severity

#: What a reviewer says: `concerns` is a yes with reservations, `abstain` is no verdict at all.
Verdict = Literal["approve", "concerns", "reject", "abstain"]
VERDICTS: tuple[Verdict, ...] = get_args(Verdict)

#: What follows from a review, from worst to best.
Ruling = Literal["stop", "pause", "warn", "continue"]

#: Why a review is asked for.
Trigger = Literal["asked", "sensitive_paths", "failures", "recovery", "large_diff", "phase_end"]
TRIGGERS: tuple[Trigger, ...] = get_args(Trigger)


class ReviewRequest(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """One attempt's work, to be judged by some reviewers."""

    id: str
    task: str
    attempt: int
    #: What is judged, in words, and the hash of exactly what the reviewers are shown.
    subject: str
    subject_sha256: str
    #: What the reviewers are asked.
    question: str
    #: Names of those who are asked; each has one vote.
    reviewers: tuple[str, ...]
    #: Seconds that they have, from the request on.
    deadline: float
    #: Why it is asked for.
    triggers: tuple[Trigger, ...] = ()


class ReviewResponse(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """What one reviewer says."""

    #: Id of the request.
    request: str
    #: As the request names it, and who makes it (`anthropic`, `openai`, `human`, ...).
    reviewer: str
    vendor: str
    verdict: Verdict
    #: The worst that was seen; empty for nothing. A finding may be worse still (`worst`).
    severity: Severity | Literal[""] = ""
    findings: tuple[Finding, ...] = ()
    #: From 0 to 1; None if the reviewer does not say. Told to people, never counted.
    confidence: float | None = None
    #: A sentence or a few.
    comment: str = ""

    @property
    def worst(self) -> Severity | Literal[""]:
        """The worst severity of what was seen; empty if nothing was."""
        seen = {self.severity, *(finding.severity for finding in self.findings)}
        return next((severity for severity in SEVERITIES if severity in seen), "")


def votes_text(votes: Iterable[ReviewResponse]) -> str:
    """Who said what, as lines of text."""
    lines = []
    for vote in votes:
        worst = f", {vote.worst}" if vote.worst else ""
        sure = f", confidence {vote.confidence:.0%}" if vote.confidence is not None else ""
        comment = f": {' '.join(vote.comment.split())}" if vote.comment.strip() else ""
        lines.append(f"- {vote.reviewer} ({vote.vendor}): {vote.verdict}{worst}{sure}{comment}")
        for finding in vote.findings:
            at = f" ({finding.file}{f':{finding.line}' if finding.line else ''})" if finding.file else ""
            lines.append(f"  - {finding.severity}: {' '.join(finding.message.split())}{at}")
    return "\n".join(lines)


def review_id(task: str, reviewer: str) -> str:
    """What stands for a task's id where a reviewer has its attempt: no task has such an id beside `task`."""
    name = re.sub(r"[^A-Za-z0-9]+", "-", reviewer).strip("-")[:60] or "x"
    return f"{task}/review-{name}"


class OrchestratorDecision(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """What follows from a review: evaluated in code, never by a reviewer."""

    ruling: Ruling
    #: Which rule it was, in words.
    reason: str
