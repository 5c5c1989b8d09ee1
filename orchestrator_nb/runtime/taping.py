"""Whether a run's agents are recorded, replayed, or neither."""

from __future__ import annotations

from orchestrator_nb.agents.cassettes.taping import Taping
from orchestrator_nb.core.ids import did_you_mean
from orchestrator_nb.core.state import State
from orchestrator_nb.errors import ParameterError
from orchestrator_nb.storage.settings import Settings


def taping_of(settings: Settings, state: State) -> Taping | None:
    """What is done with the attempts of a session's agents; its cassette is there then. None: they just run.

    A session goes on as it was run before, unless the settings say otherwise.

    Raises:
        CassetteError: The cassette cannot be replayed, or not be recorded into.
        ParameterError: A task that is to be recorded anew is not in the plan.
    """
    before = state.run.settings if state.run is not None else {}
    taping = _said(settings) or Taping.of(before.get("cassette", {}))
    if taping is None:
        return None
    for name in taping.refresh:
        if name not in state.tasks and state.goal is None:  # of a prompt the tasks are not known yet
            raise ParameterError(f"refresh: the plan has no task '{name}'{did_you_mean(name, state.tasks)}")
    taping.begin()
    return taping


def _said(settings: Settings) -> Taping | None:
    directory = settings.replay or settings.record
    names = tuple(name.strip() for name in settings.refresh.split(",") if name.strip())
    return Taping(directory.absolute(), settings.replay is not None, names) if directory is not None else None
