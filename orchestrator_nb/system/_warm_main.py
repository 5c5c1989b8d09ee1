"""The program of a preloaded supervisor: ``python [-P] _warm_main.py LOG_CAP PROCESS_LIMIT CGROUP SECONDS MODULE...``.

Unlike the ordinary one it sees site-packages, as the commands do that are forked from it.
"""

if __name__ == "__main__":
    import os
    import sys
    from importlib.util import find_spec

    if not sys.flags.safe_path:
        del sys.path[0]
    here = os.path.dirname(os.path.abspath(__file__))  # noqa: PTH100, PTH120
    found = find_spec("orchestrator_nb")
    if not found:
        sys.path.append(os.path.dirname(os.path.dirname(here)))  # noqa: PTH120 - where the owner has it from
    from orchestrator_nb.system import _forking, _preloading

    if not found:
        sys.path.pop()
    if _preloading.__file__ != os.path.join(here, "_preloading.py"):  # noqa: PTH118
        sys.exit(f"another orchestrator_nb comes first in its environment: {_preloading.__file__}")
    _forking.live(_preloading.main)
