"""orchestrator_nb: agents, notebooks, commands and functions as one durable plan, native to Jupyter.

    from orchestrator_nb import PlanBuilder, orchestrate

    plan = PlanBuilder("Squares")
    ...
    run = orchestrate(plan)
    run.wait().result

Importing it starts nothing and loads next to nothing: each public name is imported when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0.dev0"

#: Where each public name lives.
_PLACES = {
    "AgentEvent": "orchestrator_nb.agents.coding.vocabulary",
    "AgentState": "orchestrator_nb.runtime.workers",
    "Finding": "orchestrator_nb.core.reports",
    "Orchestrator": "orchestrator_nb.runtime.orchestrator",
    "OrchestratorDecision": "orchestrator_nb.core.reviews",
    "OrchestratorError": "orchestrator_nb.errors",
    "PermissionRecoveryEngine": "orchestrator_nb.agents.coding.recovery",
    "Plan": "orchestrator_nb.core.models",
    "PlanBuilder": "orchestrator_nb.planning.builder",
    "Report": "orchestrator_nb.core.reports",
    "ReviewOrchestrator": "orchestrator_nb.policies.review",
    "ReviewRequest": "orchestrator_nb.core.reviews",
    "ReviewResponse": "orchestrator_nb.core.reviews",
    "Run": "orchestrator_nb.runtime.run",
    "Session": "orchestrator_nb.runtime.session",
    "Task": "orchestrator_nb.core.models",
    "TaskBreakdown": "orchestrator_nb.planning.breakdown",
    "TaskContext": "orchestrator_nb.agents.function",
    "WorkerManager": "orchestrator_nb.runtime.workers",
    "allow_nested_loops": "orchestrator_nb.jupyter.nested",
    "batch": "orchestrator_nb.headless.batch",
    "compare": "orchestrator_nb.runtime.compare",
    "orchestrate": "orchestrator_nb.runtime.orchestrator",
    "parameter_form": "orchestrator_nb.jupyter.parameter_form",
    "record": "orchestrator_nb.ipynb.scraps",
    "report": "orchestrator_nb.headless.report",
    "reproduce": "orchestrator_nb.headless.reproduce",
}

if TYPE_CHECKING:
    from orchestrator_nb.agents.coding.recovery import PermissionRecoveryEngine
    from orchestrator_nb.agents.coding.vocabulary import AgentEvent
    from orchestrator_nb.agents.function import TaskContext
    from orchestrator_nb.core.models import Plan, Task
    from orchestrator_nb.core.reports import Finding, Report
    from orchestrator_nb.core.reviews import OrchestratorDecision, ReviewRequest, ReviewResponse
    from orchestrator_nb.errors import OrchestratorError
    from orchestrator_nb.headless.batch import batch
    from orchestrator_nb.headless.report import report
    from orchestrator_nb.headless.reproduce import reproduce
    from orchestrator_nb.ipynb.scraps import record
    from orchestrator_nb.jupyter.nested import allow_nested_loops
    from orchestrator_nb.jupyter.parameter_form import parameter_form
    from orchestrator_nb.planning.breakdown import TaskBreakdown
    from orchestrator_nb.planning.builder import PlanBuilder
    from orchestrator_nb.policies.review import ReviewOrchestrator
    from orchestrator_nb.runtime.compare import compare
    from orchestrator_nb.runtime.orchestrator import Orchestrator, orchestrate
    from orchestrator_nb.runtime.run import Run
    from orchestrator_nb.runtime.session import Session
    from orchestrator_nb.runtime.workers import AgentState, WorkerManager

__all__ = [
    "AgentEvent",
    "AgentState",
    "Finding",
    "Orchestrator",
    "OrchestratorDecision",
    "OrchestratorError",
    "PermissionRecoveryEngine",
    "Plan",
    "PlanBuilder",
    "Report",
    "ReviewOrchestrator",
    "ReviewRequest",
    "ReviewResponse",
    "Run",
    "Session",
    "Task",
    "TaskBreakdown",
    "TaskContext",
    "WorkerManager",
    "__version__",
    "allow_nested_loops",
    "batch",
    "compare",
    "orchestrate",
    "parameter_form",
    "record",
    "report",
    "reproduce",
]


def __getattr__(name: str) -> Any:
    try:
        place = _PLACES[name]
    except KeyError:
        raise AttributeError(f"module 'orchestrator_nb' has no attribute '{name}'") from None
    value = globals()[name] = getattr(import_module(place), name)
    return value


def load_ipython_extension(shell: Any) -> None:
    """``%load_ext orchestrator_nb``: the magics (`orchestrator_nb.jupyter.magics`)."""
    import_module("orchestrator_nb.jupyter.magics").load(shell)


def unload_ipython_extension(shell: Any) -> None:
    """``%unload_ext orchestrator_nb``."""
    import_module("orchestrator_nb.jupyter.magics").unload(shell)


def __dir__() -> list[str]:
    return sorted(__all__)
