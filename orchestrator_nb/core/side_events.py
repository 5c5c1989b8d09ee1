"""What happened beside the plan's tasks: reviews of their work, and the merge of their results."""

from __future__ import annotations

from orchestrator_nb.core.agent_events import AgentDenied, AgentIdentified, AgentSpent, AgentStarted
from orchestrator_nb.core.event import Event
from orchestrator_nb.core.reviews import OrchestratorDecision, ReviewRequest, ReviewResponse


class MergeStarted(Event, frozen=True, tag="merge_started"):
    """An agent or a notebook begins to work on the merged document: one request of it."""

    #: Its directory is ``attempts/merging/<attempt>``.
    attempt: int
    agent: str
    #: What it is to do, in a few words.
    label: str = ""


class MergeProgressed(Event, frozen=True, tag="merge_progressed"):
    """The merge told how far it is."""

    attempt: int
    message: str


class SideWorkTold(Event, frozen=True, tag="side_work_told"):
    """An agent that works beside the plan's tasks (who reviews, who merges) told this of itself.

    What stands there for a task's id is ``merging``, or ``TASK/review-NAME``; it is the name of its directory, too.
    """

    told: AgentStarted | AgentIdentified | AgentDenied | AgentSpent


class ReviewRequested(Event, frozen=True, tag="review_requested"):
    """An attempt's work is judged by others before it counts. Its request may be asked again after a crash."""

    task: str
    attempt: int
    request: ReviewRequest


class ReviewVoted(Event, frozen=True, tag="review_voted"):
    """One of the reviewers has answered."""

    task: str
    attempt: int
    response: ReviewResponse


class ReviewDecided(Event, frozen=True, tag="review_decided"):
    """Ruling: what follows from the votes. A pause is followed by a checkpoint, a stop by the attempt's failure."""

    task: str
    attempt: int
    decision: OrchestratorDecision
