"""papermill's engine ``orchestrator``: its own engine, with faster kernels, safer files, and no hangs.

``papermill --engine orchestrator``, or ``papermill.execute_notebook(..., engine_name="orchestrator")``. It takes what
papermill's own engine takes (`papermill.engines.NBClientEngine`), and besides `kernel_mode`, `output_limit` and
`provenance`. The environment variable NOTEBOOK_SEED seeds the kernel (`ipynb.seeding`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from papermill import engines
from papermill.clientwrap import PapermillNotebookClient
from papermill.engines import NBClientEngine
from papermill.log import logger
from papermill.utils import merge_kwargs, remove_args

from orchestrator_nb.kernels.execution import Execution
from orchestrator_nb.kernels.recording import Request
from orchestrator_nb.kernels.saving import Saver

__all__ = ["OrchestratorEngine"]


class OrchestratorEngine(NBClientEngine):
    """Executes notebooks for papermill."""

    #: Makes the execution of one notebook, from papermill's manager and nbclient's options.
    client: ClassVar[Callable[..., Execution]] = Execution

    @classmethod
    def execute_notebook(  # noqa: PLR0913 - papermill's signature
        cls,
        nb: Any,
        kernel_name: str,
        output_path: str | None = None,
        progress_bar: bool | dict[str, Any] = True,
        log_output: bool = False,
        autosave_cell_every: int = 30,
        *,
        provenance: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> Any:
        """Execute `nb`, keep it saved in `output_path` meanwhile, return it; as papermill, whose words these are.

        With `provenance`, what decides the execution is known to the caller, who also seeds the kernel. Without, it is
        found out (`recording`). Raises `ParameterError` for a NOTEBOOK_SEED that is none, or a kernel that cannot be
        seeded.
        """
        if provenance is None:
            request = Request(nb, kernel_name, kwargs)
            if request.seed is not None:
                kwargs["extra_arguments"] = request.extra_arguments
            provenance = request.provenance()
        nb.metadata["orchestrator"] = {**nb.metadata.get("orchestrator", {}), "provenance": provenance}
        saver = Saver(
            nb,
            output_path=output_path,
            progress_bar=progress_bar,
            log_output=log_output,
            autosave_cell_every=autosave_cell_every,
        )
        try:
            saver.notebook_start()
            try:
                cls.execute_managed_notebook(saver, kernel_name, log_output=log_output, **kwargs)
            finally:
                saver.cleanup_pbar()
                saver.notebook_complete()
        except BaseException:
            saver.give_up()
            raise
        saver.finish()
        return saver.nb

    @classmethod
    def execute_managed_notebook(  # noqa: PLR0913 - papermill's signature
        cls,
        nb_man: Any,
        kernel_name: str,
        log_output: bool = False,
        stdout_file: Any = None,
        stderr_file: Any = None,
        start_timeout: int = 60,
        execution_timeout: int | None = None,
        **kwargs: Any,
    ) -> Any:
        """Execute the notebook of papermill's manager `nb_man`, as papermill's engine does.

        Args:
            nb_man: papermill's manager of the execution.
            kernel_name: Name of the kernelspec.
            log_output: Write outputs to papermill's log.
            stdout_file: Text file that gets what the cells write to standard output.
            stderr_file: The same for standard error.
            start_timeout: Seconds that the kernel may take to start.
            execution_timeout: Seconds that each cell may take; None: any time.
            kwargs: Options of nbclient's `NotebookClient`; and of ours: `kernel_mode`, one of ``auto``, ``fork``,
                ``warm``, ``cold`` (`kernels.modes`; without it the environment variable ORCHESTRATOR_KERNEL_MODE says,
                else ``auto``), and `output_limit`, the most characters of outputs that a cell keeps (None: no limit).

        Raises:
            AgentError: There is no such mode, or it cannot be had for this kernel.
        """
        options = merge_kwargs(
            remove_args(["input_path", "timeout", "startup_timeout"], **kwargs),
            timeout=execution_timeout if execution_timeout else kwargs.get("timeout"),
            startup_timeout=start_timeout,
            kernel_name=kernel_name,
            log=logger,
            log_output=log_output,
            stdout_file=stdout_file,
            stderr_file=stderr_file,
        )
        ours = engines.PapermillNotebookClient is PapermillNotebookClient
        client = cls.client if ours else engines.PapermillNotebookClient  # who replaced papermill's, means that one
        return client(nb_man, **options).execute()
