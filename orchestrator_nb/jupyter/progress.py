"""`run.view.progress`: how far the run is, and each of its phases, in bars and in words.

One update a second, and one at each change of the run's status. Judging the progress costs O(plan) and may take one
part of the time in `_JUDGING`; what the state counts by itself is always of now.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import ipywidgets
from ipywidgets.widgets.widget_float import ProgressStyle

from orchestrator_nb.core.state import State
from orchestrator_nb.core.tasks import SETTLED, TaskStatus
from orchestrator_nb.jupyter.comm import Live
from orchestrator_nb.jupyter.part import Bundle, Changes, Part, close_all
from orchestrator_nb.jupyter.updates import updates
from orchestrator_nb.jupyter.widgets import MUTED, Bar, Box, Html, Looks, badge, put
from orchestrator_nb.projections import quotas
from orchestrator_nb.projections.budgets import line as budget_line
from orchestrator_nb.projections.progress import PhaseProgress, Progress, progress
from orchestrator_nb.projections.rendering import text_html
from orchestrator_nb.projections.settled import progress_html
from orchestrator_nb.projections.text import one_line
from orchestrator_nb.projections.theme import STATUSES
from orchestrator_nb.projections.usage import line as usage_line
from orchestrator_nb.projections.words import duration

if TYPE_CHECKING:
    from orchestrator_nb.jupyter.view import View

#: Seconds between two updates, whether something happens or only time passes; and where a pane that tells of what
#: happens carries this too.
_INTERVAL = 1.0
_CARRIED_INTERVAL = 0.4
#: Judging the progress may take one part of the time in so many, and is not done more often than once in a second.
_JUDGING = 50
_JUDGE_INTERVAL = 1.0
#: Phases with a bar of their own; more are listed in a compact form.
_MAX_BARS = 12
_MAX_WARNINGS = 3

#: Statuses of a run: the status of tasks whose badge it has, and its name.
RUN_STATUSES = {
    "created": ("pending", "Starting"),
    "running": ("running", "Running"),
    "paused": ("waiting", "Paused"),
    "stopping": ("waiting", "Stopping"),
    "halting": ("cancelled", "Halting"),
    "completed": ("completed", "Completed"),
    "failed": ("failed", "Failed"),
    "error": ("failed", "Broken off by an error"),
    "stopped": ("skipped", "Stopped"),
    "halted": ("cancelled", "Halted"),
    "interrupted": ("blocked", "Interrupted"),
}
#: Statuses of a run in which time goes on.
_TICKING = ("created", "running", "paused", "stopping", "halting")
_BAR_STYLES = {"completed": "success", "failed": "danger", "error": "danger", "running": "info", "created": "info"}
#: What is told besides the completed tasks, in this order.
_TOLD = (
    TaskStatus.RUNNING,
    TaskStatus.RETRYING,
    TaskStatus.AWAITING_APPROVAL,
    TaskStatus.AWAITING_QUOTA,
    TaskStatus.AWAITING_REVIEW,
    TaskStatus.FAILED,
    TaskStatus.BLOCKED,
    TaskStatus.SKIPPED,
    TaskStatus.CANCELLED,
)


class ProgressPanel(Part, Live, ipywidgets.VBox):
    """A bar for the run and one for each phase, with the same in words."""

    name = "progress"

    def __init__(self, view: View) -> None:
        looks = Looks()
        self._looks = looks
        self.head = Html(**looks.text)
        layout = ipywidgets.Layout(width="auto", height="20px", margin="2px")
        self.bar = Bar(max=1.0, layout=layout, style=ProgressStyle())
        self.phases: _PhaseBars | _PhaseList | None = None
        self.notes: Html | None = None
        self._judged: Progress | None = None
        self._judged_at = self._judge_at = 0.0
        self._status = ""
        self._drawn_at = 0.0
        super().__init__(view, children=[self.head, self.bar], **looks.column)
        self._draw(view.subject.status)

    @property
    def most(self) -> int:
        """How many messages it sends at one turn."""
        bars = len(self.phases.ids) if self.phases is not None else 0
        return 1 if self.view.carried else 2 + (bars if bars <= _MAX_BARS else 1)

    def refresh(self, changes: Changes) -> None:
        """Draw, if it is time to."""
        status = self.view.subject.status
        passed = time.monotonic() - self._drawn_at
        early = _INTERVAL - passed
        carried = passed >= _CARRIED_INTERVAL and changes.tasks and self.view.carried
        if changes.everything:
            self._judge_at = 0.0
        elif early > 0 and status == self._status and not carried:
            updates.due(self, after=early)
            return
        self._draw(status)

    @classmethod
    def settled(cls, view: View) -> Bundle:
        """The same, of now, without widgets."""
        subject = view.subject
        status, now = subject.status, view.now()
        with subject.reading() as state:
            said = told(state, status, now, progress(state, now).eta)
            plain = f"{_title(state)} ({state.session}): {RUN_STATUSES[status][1].lower()}, {said}"
            return {"text/plain": plain, "text/html": progress_html(state, now)}

    def _draw(self, status: str) -> None:
        now = self._now()
        with self.view.subject.reading() as state:
            judged = self._judge(state, status, now)
            total, settled = len(state.by_index), sum(state.counts[ended] for ended in SETTLED)
            share = max(judged.fraction, settled / max(1, total))
            eta = judged.eta - (now - self._judged_at) if judged.eta is not None else None
            head = _head(state, status, told(state, status, now, eta))
            bad = state.counts[TaskStatus.FAILED] or state.counts[TaskStatus.BLOCKED]
            notes = _usage(state) + _notes(state)
            quota = quotas.waiting(state) if self.view.subject.live else ""
        if waits := quota or self.view.subject.waits:
            notes += f"<div style='line-height: 1.4'>{text_html(waits, 500)}</div>"
        style = "danger" if bad else _BAR_STYLES.get(status, "warning")
        put(self.head, value=head)
        put(self.bar, value=round(share, 4), bar_style=style)
        self._draw_phases(judged.phases)
        self._draw_notes(notes)
        self._status, self._drawn_at = status, time.monotonic()
        if self.view.subject.live:
            updates.due(self, after=_INTERVAL)

    def _judge(self, state: State, status: str, now: float) -> Progress:
        """The progress, not always of just now."""
        begun = time.monotonic()
        if self._judged is None or begun >= self._judge_at or status != self._status:
            self._judged, self._judged_at = progress(state, now), now
            self._judge_at = begun + max(_JUDGE_INTERVAL, _JUDGING * (time.monotonic() - begun))
        return self._judged

    def _draw_phases(self, phases: tuple[PhaseProgress, ...]) -> None:
        ids = tuple(phase.id for phase in phases)
        old = self.phases
        if ids != (old.ids if old is not None else ()):
            self.phases = (_PhaseBars if len(phases) <= _MAX_BARS else _PhaseList)(ids) if ids else None
            self._arrange()
            if old is not None:
                close_all(old)
        if self.phases is not None:
            self.phases.draw(phases)

    def _draw_notes(self, notes: str) -> None:
        if notes and self.notes is None:
            self.notes = Html(**self._looks.text)
            self._arrange()
        if self.notes is not None:
            put(self.notes, value=notes)

    def _arrange(self) -> None:
        parts = (self.head, self.bar, self.phases, self.notes)
        self.children = [part for part in parts if part is not None]

    def _now(self) -> float:
        """The time that counts: of the last record, where nobody has run the session since."""
        if self.view.subject.live:
            return self.view.now()
        with self.view.subject.reading() as state:
            return state.at


class _PhaseBars(Box):
    """A bar for each phase, as many side by side as there is room for."""

    def __init__(self, ids: tuple[str, ...]) -> None:
        self.ids = ids
        columns = "repeat(auto-fill, minmax(min(280px, 100%), 1fr))"
        grid = ipywidgets.Layout(display="grid", grid_template_columns=columns, grid_gap="0 16px", max_width="100%")
        look = {
            "layout": ipywidgets.Layout(width="auto", height="22px"),
            "style": ProgressStyle(description_width="60%"),
        }
        self.bars = [Bar(**look) for _ in ids]
        super().__init__(children=self.bars, layout=grid)

    def draw(self, phases: tuple[PhaseProgress, ...]) -> None:
        """Show how far they are."""
        for bar, phase in zip(self.bars, phases, strict=True):
            name = f"{one_line(phase.title, 40)} {phase.completed:,}/{phase.total:,}"
            bad, all_done = phase.failed or phase.blocked, phase.completed == phase.total
            style = "danger" if bad else "success" if all_done else "info"
            put(
                bar,
                max=float(max(1, phase.total)),
                value=float(phase.completed),
                description=name,
                bar_style=style,
                tooltip=f"{one_line(phase.title, 100)}: {_phase_told(phase)}",
            )


class _PhaseList(Html):
    """Many phases, in one widget."""

    def __init__(self, ids: tuple[str, ...]) -> None:
        self.ids = ids
        super().__init__(**Looks().text)

    def draw(self, phases: tuple[PhaseProgress, ...]) -> None:
        """Show how far they are."""
        rows = "".join(
            f"<label>{text_html(phase.title, 40)} "
            f"<progress max='{max(1, phase.total)}' value='{phase.completed}'></progress> "
            f"<span style='{MUTED}'>{_phase_told(phase)}</span></label>"
            for phase in phases
        )
        style = "display: grid; grid-template-columns: repeat(auto-fill, minmax(min(300px, 100%), 1fr)); gap: 0 16px"
        put(self, value=f"<div style='{style}; max-height: 220px; overflow: auto'>{rows}</div>")


def told(state: State, status: str, now: float, eta: float | None) -> str:
    """How far a run of this `status` is: ``12 of 30 done, 3 running, 1 failed; 1m 05s, about 40s left``."""
    counts, live = state.counts, status in _TICKING
    parts = [f"{counts[TaskStatus.COMPLETED]:,} of {len(state.by_index):,} done"]
    names = {other: STATUSES[other].name.lower() for other in _TOLD}
    if not live:  # its process is gone
        names[TaskStatus.RUNNING] = "interrupted"
    parts += [f"{counts[other]:,} {name}" for other, name in names.items() if counts[other]]
    said = ", ".join(parts)
    if state.run is None:
        return said
    elapsed = max(0.0, (state.ended_at if state.ended is not None else now) - state.run_started_at)
    said += f"; {duration(max(1.0, round(elapsed)) if live else elapsed)}"
    return (
        f"{said}, about {duration(round(eta))} left" if status == "running" and eta is not None and eta >= 1 else said
    )


def _phase_told(phase: PhaseProgress) -> str:
    others = (("running", phase.running), ("failed", phase.failed), ("blocked", phase.blocked))
    return ", ".join(
        [f"{phase.completed:,} of {phase.total:,} done", *(f"{number:,} {name}" for name, number in others if number)]
    )


def _title(state: State) -> str:
    return one_line(state.plan.title, 120) if state.plan is not None and state.plan.title else "Run"


def _head(state: State, status: str, said: str) -> str:
    look, name = RUN_STATUSES[status]
    return (
        "<div style='display: flex; flex-wrap: wrap; gap: 0 12px; align-items: baseline; line-height: 1.5'>"
        f"<b style='overflow-wrap: anywhere'>{text_html(_title(state))}</b>"
        f"<span style='{MUTED}'>{text_html(state.session)}</span>"
        f"<span data-status='{status}'>{badge(look)} {name}</span>"
        f"<span style='font-variant-numeric: tabular-nums'>{text_html(said, 400)}</span></div>"
    )


def _usage(state: State) -> str:
    """What coding agents have used so far; empty until they tell."""
    budget = budget_line(state, time.time()) if state.ledger.limits else ""
    used = "; ".join(filter(None, [usage_line(state) if state.agent_attempts else "", budget and f"budget: {budget}"]))
    style = f"{MUTED}; line-height: 1.4; font-variant-numeric: tabular-nums"
    return f"<div data-usage style='{style}'>{text_html(used, 500)}</div>" if used else ""


def _notes(state: State) -> str:
    """What people should know: the last warnings, and what broke the run."""
    notes = [warning.message for warning in state.warnings[-_MAX_WARNINGS:]]
    if state.ended is not None and state.ended.message:
        notes.append(state.ended.message)
    return "".join(f"<div style='line-height: 1.4'>⚠️ {text_html(note, 500)}</div>" for note in notes)
