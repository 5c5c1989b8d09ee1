from __future__ import annotations

from pathlib import Path
from typing import Any

from orchestrator_nb.headless.rerunning import Executed, plan_of, without_outputs
from orchestrator_nb.ipynb.document import ERROR_TAG

SPEC = {"name": "python3", "display_name": "Python 3", "language": "python"}


def executed(provenance: dict[str, Any], **metadata: Any) -> dict[str, Any]:
    """An executed notebook that has failed, with one more cell that papermill put in."""
    tagged = {"tags": [ERROR_TAG]}
    cells = [
        {"cell_type": "markdown", "metadata": tagged, "source": "An Exception was encountered"},
        {"cell_type": "code", "metadata": {"papermill": {"status": "failed"}}, "source": "1 / 0",
         "outputs": [{"output_type": "stream", "name": "stdout", "text": "x"}], "execution_count": 1},
    ]  # fmt: skip
    metadata = {"papermill": {"parameters": {"x": 1}, "exception": True}, **metadata}
    return {"cells": cells, "metadata": {**metadata, "orchestrator": {"provenance": provenance}}, "nbformat": 4}


def test_what_an_execution_added_is_taken_away() -> None:
    fresh = without_outputs(executed({}, kernelspec=SPEC, widgets={}))
    assert fresh["metadata"] == {"kernelspec": SPEC, "papermill": {"parameters": {"x": 1}}}
    (cell,) = fresh["cells"]
    assert (cell["outputs"], cell["execution_count"], cell["metadata"]) == ([], None, {})


def test_the_kernel_is_the_one_that_was_chosen() -> None:
    """`papermill -k NAME` executes with another one than the notebook names, and does not change that."""
    fresh = without_outputs(executed({"kernel_name": "other"}, kernelspec=SPEC))
    assert fresh["metadata"]["kernelspec"] == {**SPEC, "name": "other"}
    assert without_outputs(executed({"kernel_name": "other"}))["metadata"]["kernelspec"]["name"] == "other"


def test_what_is_not_known_of_an_execution_is_told(tmp_path: Path) -> None:
    one = Executed("a.ipynb", executed({"format": 1, "seed": 3, "why": "it is not known: OSError"}), Path("a.ipynb"))
    (task,) = plan_of([one], tmp_path / "again", seed=None).tasks
    assert task.env == {"NOTEBOOK_SEED": "3", "PYTHONHASHSEED": "3"}
    assert one.notes == [f"the directory in which it ran is not known: it ran in {Path.cwd()}"]
