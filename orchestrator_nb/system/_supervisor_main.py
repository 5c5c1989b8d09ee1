"""The program of the supervisor process: ``python -I -S _supervisor_main.py LOG_CAP PROCESS_LIMIT CGROUP``.

Its modules are those of this package, but the packages' own ``__init__`` are not run: each task is held by a fork of
this process, which should be small.
"""

# A reaper is to be small: neither pathlib nor contextlib is loaded.
# ruff: noqa: PTH100, PTH120

if __name__ == "__main__":
    import os
    import sys

    here = os.path.dirname(os.path.abspath(__file__))
    for name, path in (("orchestrator_nb", os.path.dirname(here)), ("orchestrator_nb.system", here)):
        package = type(sys)(name)
        package.__path__ = [path]
        sys.modules[name] = package

    from orchestrator_nb.system._router import find_coordinator, main

    main(sys.argv[1:], find_coordinator())
