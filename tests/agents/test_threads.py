from __future__ import annotations

import asyncio
import subprocess
import sys
import threading

import pytest

from orchestrator_nb.agents.threads import in_thread


def test_what_a_function_raises_is_raised() -> None:
    def stop() -> None:
        raise StopIteration("even this")

    async def main() -> None:
        await in_thread(stop, {})

    with pytest.raises(RuntimeError, match="coroutine raised StopIteration"):
        asyncio.run(main())


def test_threads_are_used_again() -> None:
    async def main() -> set[int]:
        return {await in_thread(threading.get_ident, {}) for _ in range(50)}

    assert len(asyncio.run(main())) <= 3


def test_functions_run_side_by_side() -> None:
    barrier = threading.Barrier(8, timeout=10)

    async def main() -> int:
        return len(await asyncio.gather(*(in_thread(barrier.wait, {}) for _ in range(8))))

    assert asyncio.run(main()) == 8


def test_a_function_that_never_ends_does_not_keep_the_interpreter_alive() -> None:
    code = (
        "import asyncio, threading\n"
        "from orchestrator_nb.agents.threads import in_thread\n"
        "async def main():\n"
        "    try: await asyncio.wait_for(in_thread(threading.Event().wait, {}), 0.1)\n"
        "    except TimeoutError: print('gave up')\n"
        "asyncio.run(main())\n"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=20, check=True)
    assert said.stdout == "gave up\n"


def test_many_calls_at_once_all_answer() -> None:
    async def main() -> list[int]:
        return list(await asyncio.gather(*(in_thread(lambda n=n: n, {}) for n in range(500))))

    assert asyncio.run(main()) == list(range(500))
