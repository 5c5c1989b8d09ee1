"""The comm of our widgets: what it sends, from which threads, and that clicks are heard while a cell is busy."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from orchestrator_nb.jupyter.comm import LiveComm
from orchestrator_nb.jupyter.widgets import Button
from tests.live_kernels import Execution, Kernel, started_kernel

BUTTON = """
import asyncio, threading, time
from orchestrator_nb.jupyter.comm import LiveComm
from orchestrator_nb.jupyter.widgets import Button
clicked = []
button = Button(description="Stop")
button.on_click(lambda _: clicked.append(time.time()))
print(button.model_id)
"""
CLICK = {"method": "custom", "content": {"event": "click"}}


@pytest.fixture(scope="module")
def kernel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kernel]:
    with started_kernel(tmp_path_factory.mktemp("kernel")) as running:
        yield running


def comms(execution: Execution, kind: str, comm: str) -> list[dict[str, object]]:
    found = (message["content"] for message in execution.messages if message["msg_type"] == kind)
    return [content for content in found if content["comm_id"] == comm]


def clicked_while(kernel: Kernel, comm: str, cell: str, result: str) -> str:
    """Click, as a page without a subshell does, while `cell` is repeated until it is heard; what `result` is then."""
    lines = [
        "print('busy', flush=True)",
        "fired = globals().get('fired', [])",
        "fired.clear()",
        "end = time.time() + 20",
    ]
    lines += ["while not clicked and time.time() < end:", f"    {cell}", f"print({result})"]
    request = kernel.start("\n".join(lines))
    while kernel.client.get_iopub_msg(timeout=20)["msg_type"] != "stream":
        pass
    kernel.client.shell_channel.send(kernel.client.session.msg("comm_msg", {"comm_id": comm, "data": CLICK}))
    return kernel.finish(request).stdout.split()[-1]


def test_a_widget_opens_tells_changes_from_any_thread_and_closes(kernel: Kernel) -> None:
    made = kernel.run(BUTTON)
    model = made.stdout.strip()
    (opened,) = comms(made, "comm_open", model)
    assert opened["target_name"] == "jupyter.widget"
    assert opened["data"]["state"]["description"] == "Stop"  # type: ignore[index]
    change = "t = threading.Thread(target=lambda: setattr(button, 'description', 'Halt'))\nt.start(); t.join()"
    (told,) = comms(kernel.run(change), "comm_msg", model)
    assert told["data"]["state"] == {"description": "Halt"}  # type: ignore[index]
    assert len(comms(kernel.run("button.close()"), "comm_close", model)) == 1


@pytest.mark.parametrize("cell", ["time.sleep(0.01)", "sum(range(10_000))", "await asyncio.sleep(0.01)"])
def test_a_click_is_heard_while_a_cell_is_busy(kernel: Kernel, cell: str) -> None:
    model = kernel.run(BUTTON).stdout.strip()
    assert clicked_while(kernel, model, cell, "len(clicked)") == "1"


def test_a_click_does_not_publish_a_figure_that_a_cell_is_making(kernel: Kernel) -> None:
    model = kernel.run(BUTTON).stdout.strip()
    count = "fired = []\nget_ipython().events.register('post_execute', lambda: fired.append(1))"
    kernel.run(count)
    assert clicked_while(kernel, model, "time.sleep(0.01)", "len(fired)") == "0"


def test_messages_are_counted(kernel: Kernel) -> None:
    kernel.run(BUTTON)
    counting = "before = LiveComm.sent\nfor n in range(5): button.description = str(n)\nprint(LiveComm.sent - before)"
    assert kernel.run(counting).stdout.strip() == "5"


def test_without_a_kernel_a_widget_is_made_and_nothing_is_sent() -> None:
    before = LiveComm.sent
    button = Button(description="Stop")
    button.description = "Halt"
    heard: list[object] = []
    button.on_click(heard.append)
    button.click()
    assert heard == [button]
    assert LiveComm.sent == before
    button.close()
