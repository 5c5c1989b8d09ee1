"""The process of an isolated function: ``python _function_child.py DIRECTORY`` (see `agents.child`)."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any


def main(directory: Path) -> None:
    """Do what the directory's request says, leave the answer in it."""
    from orchestrator_nb.agents._answering import fail, request_in, succeed
    from orchestrator_nb.agents.calls import answer_of
    from orchestrator_nb.errors import AgentError
    from orchestrator_nb.system.tracebacks import summary_of

    request = request_in(directory)
    try:
        value = call(request, directory)
    except AgentError as error:
        fail(directory, str(error), "preflight")
    except (Exception, SystemExit, KeyboardInterrupt) as error:  # noqa: BLE001 - whatever it raises is the answer
        fail(directory, summary_of(error), transient=isinstance(error, ConnectionError | TimeoutError))
    else:
        try:
            succeed(directory, **answer_of(value, request["outputs"], lambda: directory / "outputs"))
        except AgentError as error:
            fail(directory, str(error), "result")


def call(request: dict[str, Any], directory: Path) -> Any:
    """Import the function and call it."""
    from orchestrator_nb.agents._answering import tell
    from orchestrator_nb.agents.calls import Target, TaskContext
    from orchestrator_nb.agents.imports import load

    sys.path[:0] = request["roots"]
    target = Target(request["function"], load(request["function"], request["roots"]))
    about = request["context"]
    about["inputs"] = {name: Path(path) for name, path in about["inputs"].items()}

    def context() -> TaskContext:
        return TaskContext(
            **about, _outputs=lambda: directory / "outputs", _progress=lambda *said: tell(directory, *said)
        )

    return target.call(target.arguments(request["parameters"], context))


if __name__ == "__main__":
    # Started by path, so that it works wherever its package was imported from.
    sys.path.append(str(Path(__file__).resolve().parents[2]))
    main(Path(sys.argv[1]))
