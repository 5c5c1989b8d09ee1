"""`allow_nested_loops` in real kernels: refused where cells would be lost, and runs work where it is allowed."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import pytest

from orchestrator_nb.jupyter.nested import FRAGILE_KERNEL, GOOD_PATCH
from tests.live_kernels import REPOSITORY, Kernel, started_kernel

NESTED = """
import asyncio

async def answer():
    await asyncio.sleep(0.01)
    return 42

print("answer:", asyncio.run(answer()), asyncio.get_event_loop().run_until_complete(answer()))
"""
RUN = """
from orchestrator_nb import PlanBuilder, orchestrate

builder = PlanBuilder("Nested")

@builder.task
async def one():
    await asyncio.sleep(0.05)
    return 1

@builder.task
def two(number):
    return number + 1

builder.shell(["echo", two(one())], id="said")
"""


@pytest.fixture
def kernel(tmp_path: Path) -> Iterator[Kernel]:
    with started_kernel(tmp_path) as running:
        yield running


@pytest.fixture
def good_patch() -> None:
    assert tuple(int(part) for part in version("nest-asyncio2").split(".")[:3]) >= GOOD_PATCH, (
        "the tests' own requirement"
    )


@pytest.mark.usefixtures("good_patch")
def test_nested_loops_work_in_a_cell_and_runs_go_on(kernel: Kernel) -> None:
    assert "cannot be called from a running event loop" in kernel.run(NESTED).error
    started = kernel.run(f"{RUN}\nearlier = orchestrate(builder, show=False)")
    assert not started.error
    allowed = kernel.run("from orchestrator_nb import allow_nested_loops\nallow_nested_loops(); allow_nested_loops()")
    assert not allowed.error
    assert "answer: 42 42" in kernel.run(NESTED).stdout
    later = kernel.run(
        "later = orchestrate(builder, show=False)\n"
        "print([run.wait(60).results['said'] for run in (earlier, later)], earlier.status, later.status)"
    )
    assert "['2', '2'] completed completed" in later.stdout
    waited = kernel.run("async def all_of_it():\n    return (await orchestrate(builder, show=False)).results['said']\n"
                        "print('nested:', asyncio.run(all_of_it()))")  # fmt: skip
    assert "nested: 2" in waited.stdout


@pytest.mark.usefixtures("good_patch")
def test_cells_that_are_queued_while_a_loop_is_nested_are_not_lost(kernel: Kernel) -> None:
    kernel.run("import asyncio\nfrom orchestrator_nb import allow_nested_loops\nallow_nested_loops()")
    slow = kernel.start("asyncio.run(asyncio.sleep(0.5)); print('slow')")
    queued = [kernel.start(f"print('queued {number}')") for number in range(3)]
    assert "slow" in kernel.finish(slow).stdout
    assert [kernel.finish(request).stdout.strip() for request in queued] == ["queued 0", "queued 1", "queued 2"]


@pytest.mark.parametrize("installed", ["1.7.2", "1.6"])
def test_a_patch_that_loses_cells_is_refused_with_what_to_do(kernel: Kernel, tmp_path: Path, installed: str) -> None:
    _need_fragile_kernel()
    _pretend(tmp_path / "old", installed)
    refused = kernel.run(
        f"import sys; sys.path.insert(0, {str(tmp_path / 'old')!r})\n"
        "from orchestrator_nb import allow_nested_loops\nallow_nested_loops()"
    )
    assert "OrchestratorError" in refused.error
    for words in ("loses the cells", "await run", "run.wait()", 'pip install "nest-asyncio2>=1.7.3"'):
        assert words in refused.error
    assert "cannot be called from a running event loop" in kernel.run(NESTED).error  # nothing was patched


def test_a_bad_patch_that_somebody_applied_is_named(kernel: Kernel) -> None:
    _need_fragile_kernel()
    refused = kernel.run(
        "import nest_asyncio; nest_asyncio.apply()\n"
        "from orchestrator_nb import allow_nested_loops\nallow_nested_loops()"
    )
    assert "has been applied in this kernel already" in refused.error
    assert "restart the kernel" in refused.error


def test_a_script_without_a_kernel_may_nest_too() -> None:
    program = "from orchestrator_nb import allow_nested_loops; allow_nested_loops()\nimport asyncio\n"
    program += (
        "async def inner(): return 7\nasync def outer(): return asyncio.run(inner())\nprint(asyncio.run(outer()))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=REPOSITORY, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stdout == "7\n", done.stderr


def _need_fragile_kernel() -> None:
    if tuple(int(part) for part in version("ipykernel").split(".")[:2]) < FRAGILE_KERNEL:
        pytest.skip("this ipykernel loses nothing")


def _pretend(folder: Path, installed: str) -> None:
    """A nest_asyncio2 of this version, for whoever asks what is installed."""
    metadata = folder / f"nest_asyncio2-{installed}.dist-info" / "METADATA"
    metadata.parent.mkdir(parents=True)
    metadata.write_text(f"Metadata-Version: 2.1\nName: nest-asyncio2\nVersion: {installed}\n")
