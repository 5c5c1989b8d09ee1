"""What decides an execution that papermill was asked for: found out before it begins, recorded in the notebook.

A notebook task knows it itself (`agents.notebook`). Here it is what papermill and the kernel's specification say.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from jupyter_client.kernelspec import KernelSpecManager, NoSuchKernel
from papermill.iorw import LocalHandler, papermill_io
from papermill.log import logger

from orchestrator_nb.ipynb.provenance import FORMAT, Circumstances, provenance
from orchestrator_nb.ipynb.seeding import VARIABLE, seed_of, source
from orchestrator_nb.kernels.modes import is_this_interpreter
from orchestrator_nb.kernels.saving import Output

__all__ = ["Request"]


@dataclass(frozen=True)
class Request:
    """One call of papermill's engine."""

    notebook: Any
    kernel_name: str
    #: The options of the engine.
    options: Mapping[str, Any]

    @cached_property
    def seed(self) -> int | None:
        """The seed that the environment asks for. Raises `ParameterError` if it is none."""
        if getattr(self.options.get("km"), "has_kernel", False):
            if os.environ.get(VARIABLE):
                logger.warning(f"{VARIABLE} is not honoured: the kernel that was given (km) runs already")
            return None
        return seed_of(os.environ)

    @property
    def extra_arguments(self) -> list[str]:
        """Arguments of the kernel: those that were given, and what seeds it.

        Raises `ParameterError` if there is a seed, and it is none, or the kernel is no Python.
        """
        given = list(self.options.get("extra_arguments") or ())
        if self.seed is None:
            return given
        language = self._spec.language if self._spec else "python"
        return [*given, f"--IPKernelApp.exec_lines={source(self.seed, language)}"]

    def provenance(self) -> dict[str, Any]:
        """What decides the execution, as `ipynb.provenance.provenance` has it; where that fails, why it is unknown."""
        try:
            return provenance(
                Circumstances(
                    notebook=self._source(),
                    parameters=self.notebook.metadata.papermill.get("parameters") or {},
                    seed=self.seed,
                    hash_seed=os.environ.get("PYTHONHASHSEED") or "random",
                    cwd=self._cwd(),
                    python=self._python(),
                    kernel_name=self.kernel_name or "",
                )
            )
        except Exception as error:  # noqa: BLE001 - whatever it is, the notebook is executed
            return {"format": FORMAT, "seed": self.seed, "why": f"it is not known: {type(error).__name__}: {error}"}

    def _source(self) -> Path | str:
        """The file that papermill has read, by its absolute path; in words, where it was none."""
        given = self.options.get("input_path")
        if not isinstance(given, str):
            return "given as an object"
        if given == "-":
            return "standard input"
        handler = papermill_io.get_handler(given)
        if isinstance(handler, Output):
            handler = handler._local
        return Path(handler._cwd or "", given).absolute() if isinstance(handler, LocalHandler) else given

    def _cwd(self) -> Path:
        """Where the cells run."""
        resources = self.options.get("resources") or {}
        return Path(resources.get("metadata", {}).get("path") or "").absolute()

    @cached_property
    def _spec(self) -> Any:
        """The kernel's specification; None if there is none, which is told when it is started."""
        try:
            return KernelSpecManager().get_kernel_spec(self.kernel_name)
        except (NoSuchKernel, ValueError, TypeError):
            return None

    def _python(self) -> str | None:
        """The kernel's interpreter; None if it is none, or hidden behind another program."""
        if self._spec is None or not self._spec.argv:
            return None
        program = str(self._spec.argv[0])
        if is_this_interpreter(program):
            return sys.executable
        return program if re.fullmatch(r"(python|pypy)[\d.]*", Path(program).name) else None
