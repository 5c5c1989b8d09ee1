"""Is a review needed, whom is it asked of, and what follows from what they say (S3, DESIGN 4 "Review verdict")?

What follows is evaluated in this order, over those who were asked:

    Stop      a critical finding, or most reject
    Pause     no quorum by the deadline, or votes split
    Warn      most approve, with concerns or any finding below critical
    Continue  a quorum approves, and nobody found anything
    Pause     whatever else: a minority rejects and does not say what it found

A quorum is there if more than half of those asked gave a verdict other than abstain; "most" is more than half of those
verdicts. Concerns are an approval with reservations. Votes are split if most neither approve nor reject. Before the
deadline only what later votes cannot change is decided: a critical finding, and more than half of all rejecting.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import PurePosixPath
from typing import Any

from orchestrator_nb.core.reviews import OrchestratorDecision, ReviewRequest, ReviewResponse, Trigger

__all__ = ["Circumstances", "OrchestratorDecision", "ReviewOrchestrator", "ReviewRequest", "ReviewResponse"]

#: Patterns of paths that nobody should change unseen: what runs in CI, what configures, what holds or checks secrets.
SENSITIVE = (
    ".github/*",
    ".gitlab-ci.yml",
    ".ci/*",
    "*.pem",
    "*.key",
    ".env*",
    "*auth*",
    "*credential*",
    "*secret*",
    "*password*",
    "Dockerfile*",
    "*.tf",
    "*migrations/*",
    "pyproject.toml",
    "setup.py",
    "requirements*.txt",
    "package.json",
    "*.lock",
    "package-lock.json",
)
#: Changed lines from which on a change is large; failures after which the work is looked at.
LARGE_DIFF = 400
FAILURES = 2
#: Seconds that reviewers have where nobody says otherwise.
DEADLINE = 900.0


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What is known of an attempt when it is decided whether it is reviewed."""

    #: The plan wants it reviewed in any case.
    asked: bool = False
    #: Files that it changed, with ``/``, relative to where it worked.
    paths: tuple[str, ...] = ()
    #: Attempts of the task that failed.
    failures: int = 0
    #: Something was granted to the agent beyond the plan.
    recovery: bool = False
    #: Lines added and removed.
    changed_lines: int = 0
    #: All other tasks of its phase have ended.
    phase_end: bool = False


@dataclass(frozen=True, slots=True)
class ReviewOrchestrator:
    """Answers the questions of the module's first line; S3's name for it."""

    #: What makes a review needed; `asked` is the plan's own word.
    triggers: frozenset[Trigger] = frozenset(["asked", "sensitive_paths", "failures", "recovery", "large_diff"])
    sensitive: tuple[str, ...] = SENSITIVE
    large_diff: int = LARGE_DIFF
    failures: int = FAILURES

    def why(self, seen: Circumstances) -> tuple[Trigger, ...]:
        """The triggers that have been met; none: no review is needed."""
        met: dict[Trigger, bool] = {
            "asked": seen.asked,
            "sensitive_paths": any(self.is_sensitive(path) for path in seen.paths),
            "failures": seen.failures >= self.failures,
            "recovery": seen.recovery,
            "large_diff": seen.changed_lines >= self.large_diff,
            "phase_end": seen.phase_end,
        }
        return tuple(trigger for trigger, is_met in met.items() if is_met and trigger in self.triggers)

    def is_sensitive(self, path: str) -> bool:
        """Whether a path, or its last part, fits one of the patterns; capitals make no difference."""
        lowered = path.lower()
        names = (lowered, PurePosixPath(lowered).name)
        return any(fnmatchcase(name, pattern.lower()) for pattern in self.sensitive for name in names)

    def should_trigger_review(self, events: Iterable[Any]) -> bool:
        """Whether these events of an agent and of the log call for a review (S3).

        Read are changed files (their paths), failures of the task, and what was granted to the agent beyond the plan;
        an event is told by its tag.
        """
        paths: list[str] = []
        failures, recovery = 0, False
        for event in events:
            match event.__struct_config__.tag:
                case "file_edit":
                    paths.append(event.path)
                case "task_failed":
                    failures += 1
                case "task_completed" if event.work is not None:
                    paths += [change.path for change in event.work.changes]
                case "agent_started":
                    recovery = recovery or bool(event.granted)
        return bool(self.why(Circumstances(paths=tuple(paths), failures=failures, recovery=recovery)))

    def create_review_request(self, context: Mapping[str, Any]) -> ReviewRequest:
        """The request that `context` describes, by the request's own field names; `id`, `question` and `deadline` may
        be left out.

        Raises:
            KeyError: A field is missing.
            ValueError: Nobody is asked, or somebody twice.
        """
        reviewers = tuple(context["reviewers"])
        if not reviewers or len(set(reviewers)) != len(reviewers):
            raise ValueError("a review is asked of at least one reviewer, and of each only once")
        return ReviewRequest(
            id=context.get("id") or f"{context['task']}@{context['attempt']}",
            task=context["task"],
            attempt=context["attempt"],
            subject=context["subject"],
            subject_sha256=context["subject_sha256"],
            question=context.get("question") or QUESTION,
            reviewers=reviewers,
            deadline=context.get("deadline") or DEADLINE,
            triggers=tuple(context.get("triggers", ())),
        )

    def evaluate_verdict(self, reviews: Sequence[ReviewResponse]) -> OrchestratorDecision:
        """What follows if nobody but these was asked, and all have answered (S3); `decide` knows who was asked."""
        decision = decide([review.reviewer for review in reviews], reviews)
        assert decision is not None
        return decision


#: What reviewers are asked where the plan does not say.
QUESTION = "Does this work do what its task asks for, correctly and safely?"


def decide(
    asked: Iterable[str], reviews: Iterable[ReviewResponse], *, over: bool = True
) -> OrchestratorDecision | None:
    """What follows from these reviews, or None while it has to be waited for.

    Args:
        asked: Names of the reviewers who were asked; what others say does not count.
        reviews: What was said; each reviewer's first word counts.
        over: Whether the deadline has passed.
    """
    names = tuple(dict.fromkeys(asked))
    first: dict[str, ReviewResponse] = {}
    for review in reviews:
        if review.reviewer in names:
            first.setdefault(review.reviewer, review)
    votes = list(first.values())
    if critical := [vote.reviewer for vote in votes if vote.worst == "critical"]:
        return OrchestratorDecision("stop", f"a critical finding of {', '.join(critical)}")
    verdicts = [vote.verdict for vote in votes if vote.verdict != "abstain"]
    rejecting = verdicts.count("reject")
    if not over and len(votes) < len(names):
        if 2 * rejecting > len(names):
            return OrchestratorDecision("stop", f"{rejecting} of {len(names)} reject")
        return None
    return _decided(len(names), votes, len(verdicts), rejecting)


def _decided(asked: int, votes: Sequence[ReviewResponse], verdicts: int, rejecting: int) -> OrchestratorDecision:
    """The table from "most reject" on; there is no critical finding."""
    approving = verdicts - rejecting
    if 2 * rejecting > verdicts:
        return OrchestratorDecision("stop", f"{rejecting} of {verdicts} reject")
    if 2 * verdicts <= asked:
        return OrchestratorDecision("pause", f"no quorum: {verdicts} of {asked} gave a verdict")
    if 2 * approving <= verdicts:
        return OrchestratorDecision("pause", f"votes are split: {approving} approve, {rejecting} reject")
    found = sum(vote.worst != "" for vote in votes)
    concerned = sum(vote.verdict == "concerns" for vote in votes)
    if found or concerned:
        return OrchestratorDecision("warn", f"{approving} of {verdicts} approve, {_reservations(concerned, found)}")
    if not rejecting:
        return OrchestratorDecision("continue", f"{approving} of {asked} approve, without findings")
    return OrchestratorDecision("pause", f"{rejecting} of {verdicts} reject without a finding")


def _reservations(concerned: int, found: int) -> str:
    parts = [f"{concerned} with concerns"] if concerned else []
    parts += [f"{found} with findings"] if found else []
    return ", ".join(parts)
