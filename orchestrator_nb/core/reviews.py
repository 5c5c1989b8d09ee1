"""A review as data: what is asked of whom, what each reviewer says, what follows from it (S3, DESIGN 4)."""

from __future__ import annotations

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


class OrchestratorDecision(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """What follows from a review: evaluated in code, never by a reviewer."""

    ruling: Ruling
    #: Which rule it was, in words.
    reason: str
