"""Seeds: what is run in a notebook's kernel before its first cell, so that its random numbers are the same every time.

Seeded are `random`, numpy's global generator, torch and tensorflow, each when it is imported; and, by the variable
PYTHONHASHSEED, the order of sets of strings. What code seeds itself is left as it is, and so is what asks the system
for randomness: `numpy.random.default_rng()` without an argument, `secrets`, `uuid4`.
"""

from __future__ import annotations

from collections.abc import Mapping

from orchestrator_nb.errors import ParameterError

#: The environment variable by which whoever starts a notebook says its seed.
VARIABLE = "NOTEBOOK_SEED"
#: What numpy and PYTHONHASHSEED take: a larger seed is taken modulo this.
_MODULUS = 2**32

_SOURCE = """
import random
import sys

SEED = {seed}
seeders = {{
    "numpy.random": lambda module: module.seed(SEED % 2**32),
    "torch": lambda module: module.manual_seed(SEED % 2**63),
    "tensorflow": lambda module: module.random.set_seed(SEED % 2**63),
}}


def seed_all(*_):
    random.seed(SEED)
    for name in [name for name in seeders if name in sys.modules]:
        seeders.pop(name)(sys.modules[name])
    sys.meta_path.insert(0, Seeder)


class Seeder:
    @staticmethod
    def find_spec(name, path=None, target=None):
        seed = seeders.pop(name, None)
        if seed is None:
            return None
        specs = (finder.find_spec(name, path, target) for finder in sys.meta_path if finder is not Seeder)
        spec = next(filter(None, specs), None)
        if spec is None or not hasattr(spec.loader, "exec_module"):
            return spec
        execute = spec.loader.exec_module

        def execute_and_seed(module):
            execute(module)
            seed(module)

        spec.loader.exec_module = execute_and_seed
        return spec


shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
if shell is None:
    seed_all()
else:  # right before the first cell: until then the kernel itself draws from `random`

    def seed_first_cell(*_):
        shell.events.unregister("pre_run_cell", seed_first_cell)
        seed_all()

    shell.events.register("pre_run_cell", seed_first_cell)
"""


def source(seed: int, language: str = "python") -> str:
    """Code that seeds a kernel when its first cell is run, any other interpreter at once; it leaves no name behind.

    Raises `ParameterError` for a kernel of another language than Python: nothing here can seed it.
    """
    if language.lower() != "python":
        raise ParameterError(f"a notebook in {language} cannot be seeded from outside: set the seed in its first cell")
    return f"exec({_SOURCE.format(seed=int(seed))!r}, {{'__name__': '_orchestrator_seed'}})"


def environment(seed: int) -> dict[str, str]:
    """The variables with which a kernel has to start for `seed`."""
    return {VARIABLE: str(int(seed)), "PYTHONHASHSEED": str(int(seed) % _MODULUS)}


def seed_of(variables: Mapping[str, str]) -> int | None:
    """The seed that an environment asks for, or None. Raises `ParameterError` if it is no whole number."""
    text = variables.get(VARIABLE, "")
    if not text.strip():
        return None
    try:
        seed = int(text)
    except ValueError:
        seed = -1
    if seed < 0:
        raise ParameterError(f"{VARIABLE}={text}: a seed is a whole number from 0 on")
    return seed
