"""What papermill loads as its engine ``orchestrator``: the engine, which is imported when it is first asked for.

papermill loads all installed engines while it is itself imported, also those that nobody uses; ours needs papermill.
"""

from __future__ import annotations

from typing import Any

__all__ = ["engine"]


class _Engine:
    """Stands for `kernels.engine.OrchestratorEngine`."""

    def __getattr__(self, name: str) -> Any:
        from orchestrator_nb.kernels.engine import OrchestratorEngine

        return getattr(OrchestratorEngine, name)


#: To be registered with papermill.
engine = _Engine()
