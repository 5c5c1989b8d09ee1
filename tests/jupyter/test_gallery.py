"""A batch as real kernels show it: live, headless, and what stays."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.headless.books import sweep
from tests.live_kernels import Kernel, started_kernel

BATCH = "from orchestrator_nb import batch\nb = batch('sweep.ipynb', grid={'x': '1..2'}, output='OUT', jobs=2)"


@pytest.fixture(scope="module")
def kernel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kernel]:
    directory = tmp_path_factory.mktemp("gallery")
    sweep(directory)
    with started_kernel(directory) as kernel:
        yield kernel


def updates_of(kernel: Kernel, wanted: str, timeout: float = 60) -> dict[str, Any]:
    """The next output that replaces another one and holds this text."""
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        message = kernel.client.get_iopub_msg(timeout=deadline - time.monotonic())
        if message["msg_type"] == "update_display_data":
            html = message["content"]["data"].get("text/html", "")
            if wanted in html:
                return dict(message["content"]["data"])
    raise TimeoutError


def test_in_a_notebook_the_cell_returns_and_the_gallery_comes_when_the_batch_has_ended(kernel: Kernel) -> None:
    begun = kernel.run(f"{BATCH.replace('OUT', 'live')}\nb")
    assert begun.error == ""
    live = [bundle for bundle in begun.bundles if "application/vnd.jupyter.widget-view+json" in bundle]
    assert len(live) == 1
    assert [bundle for bundle in begun.bundles if "come here when the batch has ended" in str(bundle)] != []
    assert len(begun.bundles) == 2
    bundle = updates_of(kernel, "index.html")
    html = bundle["text/html"]
    assert html.count('<img src="data:image/png;base64,') == 2
    assert "x = 2" in html
    assert "a&lt;2&gt;" in html
    assert "<script" not in html
    assert "✅ Completed x_1: double = 2" in bundle["text/plain"]
    assert kernel.run("print([row['double'] for row in b.wait().results])").stdout == "[2, 4]\n"


def test_a_cell_that_is_run_again_goes_on_with_its_batch(kernel: Kernel) -> None:
    call = BATCH.replace("OUT", "again").replace("jobs=2", "jobs=2, resume=True")
    first = kernel.run(f"{call}\nprint(b.id)")
    second = kernel.run(f"{call}\nprint(b.id)")
    assert second.error == ""
    assert first.stdout == second.stdout
    assert kernel.run("print(b.wait().status)").stdout == "completed\n"
    third = kernel.run(f"{call}\nprint(b.id, b.wait().status, len(b.run.log.splitlines()))")
    assert third.stdout.startswith(first.stdout.strip())
    other = kernel.run("batch('sweep.ipynb', output='again')").error
    assert "CommandRefused" in other
    assert "go on with it (resume)" in other


def test_headless_the_cell_waits_and_keeps_the_gallery(kernel: Kernel) -> None:
    done = kernel.run(f"{BATCH.replace('OUT', 'headless')}\nb", allow_stdin=False)
    assert done.error == ""
    assert not any("application/vnd.jupyter.widget-view+json" in bundle for bundle in done.bundles)
    shown = [bundle for bundle in done.bundles if "index.html" in bundle.get("text/html", "")]
    assert len(shown) == 1
    assert shown[0]["text/html"].count("<img ") == 2
    assert "2 of 2 tasks ended" in str(done.bundles[0]["text/plain"])


def test_headless_a_cell_waits_for_kept_kernels_and_says_so(kernel: Kernel) -> None:
    """As `orchestrate batch` does: who is asked to mend the notebook does that elsewhere."""
    call = "batch('sweep.ipynb', grid={'x': '1..2'}, params={'fail_at': 1}, output='kept', keep_kernel_on_error=3)"
    done = kernel.run(f"from orchestrator_nb import batch\nb = {call}\nprint(b.status)", allow_stdin=False)
    assert done.error == ""
    assert "1 kernel of failed notebooks kept" in done.stdout
    assert done.stdout.rstrip().endswith("failed")
    shown = [bundle for bundle in done.bundles if "index.html" in bundle.get("text/html", "")]
    assert len(shown) == 1


def test_a_batch_that_is_over_shows_its_gallery_at_once(kernel: Kernel) -> None:
    kernel.run(f"{BATCH.replace('OUT', 'over')}\nb.wait()")
    shown = kernel.run("b")
    assert any(bundle.get("text/html", "").count("<img ") == 2 for bundle in shown.bundles)
