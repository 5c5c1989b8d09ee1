from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from orchestrator_nb.errors import ParameterError
from orchestrator_nb.ipynb import seeding

PROGRAM = """
{seed}
names = sorted(name for name in globals() if not name.startswith("__"))
import json, random, numpy
first = [random.random(), numpy.random.rand(), str({{"alpha", "beta", "gamma", "delta"}})]
print(json.dumps([names, first]))
"""


def drawn(seed: int) -> list[object]:
    """What a fresh interpreter draws, whose numpy is imported after it was seeded."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(seed=seeding.source(seed))],
        env={**os.environ, **seeding.environment(seed)},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    names, values = json.loads(done.stdout)
    assert names == []
    return list(values)


def test_a_seeded_interpreter_draws_the_same_again_and_another_seed_draws_something_else() -> None:
    first, again, other = drawn(3), drawn(3), drawn(4)
    assert first == again
    assert first[:2] != other[:2]


def test_a_module_that_is_imported_already_is_seeded_at_once() -> None:
    code = f"import numpy\n{seeding.source(7)}\nprint(numpy.random.rand())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    import numpy as np

    assert float(done.stdout) == np.random.RandomState(7).rand()


def test_a_seed_is_asked_for_by_a_variable() -> None:
    assert seeding.seed_of({}) is None
    assert seeding.seed_of({"NOTEBOOK_SEED": " "}) is None
    assert seeding.seed_of(seeding.environment(12)) == 12
    assert seeding.environment(2**32 + 5)["PYTHONHASHSEED"] == "5"
    for wrong in ("x", "-1", "1.5"):
        with pytest.raises(ParameterError, match=f"NOTEBOOK_SEED={wrong}: a seed is a whole number from 0 on"):
            seeding.seed_of({"NOTEBOOK_SEED": wrong})


def test_a_kernel_of_another_language_is_not_said_to_be_seeded() -> None:
    with pytest.raises(ParameterError, match="a notebook in R cannot be seeded from outside"):
        seeding.source(1, "R")
