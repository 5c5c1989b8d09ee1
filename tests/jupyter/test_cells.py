"""Outputs that change after their cell has ended, in a real kernel."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from orchestrator_nb.jupyter.cells import Output, print_text
from tests.live_kernels import Execution, Kernel, started_kernel

SHOW = """
from orchestrator_nb.jupyter.cells import Output
output = Output("graph")
output.show({"text/plain": "live"})
"""


@pytest.fixture(scope="module")
def kernel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kernel]:
    with started_kernel(tmp_path_factory.mktemp("kernel")) as running:
        yield running


def outputs(execution: Execution, kind: str) -> list[dict[str, Any]]:
    return [message for message in execution.messages if message["msg_type"] == kind]


@pytest.mark.parametrize(
    "elsewhere", ["{}", "import threading\nt = threading.Thread(target=lambda: {})\nt.start(); t.join()"]
)
def test_an_output_is_replaced_and_added_to_in_its_own_cell(kernel: Kernel, elsewhere: str) -> None:
    shown = outputs(kernel.run(SHOW), "display_data")[0]
    cell, output = shown["parent_header"]["msg_id"], shown["content"]["transient"]["display_id"]
    later = kernel.run(elsewhere.format('output.replace({"text/plain": "settled"})'))
    (update,) = outputs(later, "update_display_data")
    assert update["content"]["transient"]["display_id"] == output
    assert update["content"]["data"] == {"text/plain": "settled"}
    assert update["parent_header"]["msg_id"] == cell
    (added,) = outputs(kernel.run(elsewhere.format('output.add({"image/png": ""})')), "display_data")
    assert added["parent_header"]["msg_id"] == cell


def test_without_a_kernel_nothing_is_sent() -> None:
    output = Output("plan")
    output.replace({"text/plain": "settled"})
    output.add({"text/plain": "more"})
    assert output.name == "plan"


def test_text_in_a_terminal_ends_with_one_line_break(capsys: pytest.CaptureFixture[str]) -> None:
    print_text("one\ntwo\n\n")
    assert capsys.readouterr().out == "one\ntwo\n"
