from __future__ import annotations

import json
import struct
import sys
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from orchestrator_nb.agents._notebook_child import SCRAP, tagged_result
from orchestrator_nb.core.events import TaskProgressed
from tests.agents.lab import Lab


def code(source: str, *tags: str, outputs: Any = ()) -> Any:
    return new_code_cell(source, metadata={"tags": list(tags)}, outputs=list(outputs))


def save(path: Path, *cells: Any, **metadata: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(new_notebook(cells=list(cells), metadata=metadata), path)


PARAMETERS = code("n = 1\nname = 'x'", "parameters")


def test_a_notebook_is_executed_with_its_pictures_and_result(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    plot = "import matplotlib.pyplot as plt\nplt.plot([1, n])\nplt.show()"
    where = "import os, sys\n{'n': n, 'cwd': os.getcwd(), 'python': sys.prefix, 'task': os.environ['ORCH_TASK_ID']}"
    save(
        lab.base / "books" / "size {of} code.ipynb",
        new_markdown_cell("# Sizes"),
        PARAMETERS,
        code(plot),
        code(where, "result"),
        kernelspec={"name": "no-such-kernel", "language": "python", "display_name": "?"},
    )
    execution = lab.run(notebook="books/size {of} code.ipynb", parameters={"n": 7})
    expected = {"n": 7, "cwd": str(lab.base), "python": sys.prefix, "task": "T-01"}
    assert execution.outcome.value == expected  # type: ignore[union-attr]
    names = ["size__of__code.ipynb", "size__of__code-1.png"]
    assert [artifact.path for artifact in execution.outputs] == [f"outputs/T-01/{name}" for name in names]
    width, height = struct.unpack(">II", lab.read(f"outputs/T-01/{names[1]}")[16:24])
    assert width > 100
    assert height > 100
    executed = json.loads(lab.read(f"outputs/T-01/{names[0]}"))
    assert executed["metadata"]["papermill"]["parameters"] == {"n": 7}
    assert b"kernel 'no-such-kernel' is not installed: using python3 of" in lab.read("attempts/T-01/1/log")
    progress = [event for event in lab.events if isinstance(event, TaskProgressed)]
    assert [(event.done, event.total) for event in progress] == [(0, 4), (1, 4), (2, 4), (3, 4)]
    assert progress[2].message == "import matplotlib.pyplot as plt"


def test_a_cell_that_fails_is_told_and_what_was_executed_is_kept(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    save(lab.base / "bad.ipynb", code("print('so far')"), code("def f():\n    return 1 / 0\nf()"), code("never = 1"))
    failure = lab.fail(notebook="bad.ipynb")
    assert failure.error.startswith("cell 2 failed: ZeroDivisionError: division by zero\n")
    assert "----> 2     return 1 / 0" in failure.error
    assert "\x1b" not in failure.error
    kept = json.loads(lab.read("attempts/T-01/1/outputs/bad.ipynb"))
    assert "so far" in json.dumps(kept)
    assert not (lab.session.path / "outputs").exists()
    assert lab.read("attempts/T-01/1/log").endswith(b"so far\n")


@pytest.mark.slow
def test_a_kernel_that_dies_is_told_with_its_cell(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    save(lab.base / "dead.ipynb", code("1"), code("import os; os._exit(3)"))
    failure = lab.fail(notebook="dead.ipynb")
    assert failure.error.startswith("the notebook's kernel died ")
    assert "import os; os._exit(3)" in failure.error


@pytest.mark.slow
def test_the_time_limit_ends_a_notebook_and_keeps_what_was_executed(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    save(lab.base / "long.ipynb", code("'first'"), code("import time; time.sleep(60)"))
    execution = lab.run(notebook="long.ipynb", timeout=15)
    assert execution.outcome.error == "Task Timeout: Agent exceeded 15s"  # type: ignore[union-attr]
    assert execution.duration < 30
    assert b"'first'" in lab.read("attempts/T-01/1/outputs/long.ipynb")


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"notebook": "none.ipynb"}, "notebook 'none.ipynb' does not exist: tried {base}/none.ipynb and {cwd}/none"),
        ({"notebook": "good.py"}, "must be a file that ends in .ipynb"),
        ({"notebook": "text.ipynb"}, "is not a notebook in the format of Jupyter (version 4)"),
        ({"notebook": "good.ipynb", "parameters": {"nam": 1}}, "no parameter 'nam'; did you mean 'name'?"),
        ({"notebook": "good.ipynb", "parameters": {"a=1; open('pwn','w')#": 1}}, "must be a name like my_param"),
        ({"notebook": "good.ipynb", "parameters": {"class": 1}}, "must be a name like my_param"),
        ({"notebook": "good.ipynb", "parameters": {"n": "x", "name": 5}}, "'n' must be a number, not 'x'"),
        ({"notebook": "good.ipynb", "parameters": {"n": "x", "name": 5}}, "'name' must be text, not 5"),
    ],
)
def test_a_bad_notebook_task_is_refused(tmp_path: Path, fields: dict[str, Any], words: str) -> None:
    lab = Lab(tmp_path)
    caller = tmp_path / "caller"
    lab.at(caller)
    save(lab.base / "good.ipynb", PARAMETERS)
    (lab.base / "text.ipynb").write_text("no json")
    words = words.format(base=lab.base, cwd=caller) if "{base}" in words else words
    assert words in (lab.preflight(**fields) or "")
    failure = lab.fail(**fields)
    assert words in failure.error
    assert failure.kind == "preflight"


def test_a_notebook_is_found_beside_the_plan_or_where_the_caller_is(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    lab.at(tmp_path / "caller")
    save(tmp_path / "caller" / "mine.ipynb", PARAMETERS)
    assert lab.preflight(notebook="mine.ipynb", parameters={"n": 2}) is None
    save(tmp_path / "caller" / "magic.ipynb", code("%matplotlib inline\nn = 1", "parameters"))
    assert lab.preflight(notebook="magic.ipynb", parameters={"anything": 2}) is None
    save(tmp_path / "caller" / "bare.ipynb", code("n"))
    assert lab.preflight(notebook="bare.ipynb", parameters={"n": 2}) is None
    assert lab.preflight(notebook="${output.T-00:made.ipynb}") is None


def test_values_that_come_later_are_not_checked_before_the_run(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    save(lab.base / "good.ipynb", PARAMETERS)
    assert lab.preflight(notebook="good.ipynb", parameters={"n": "${result.T-00}"}) is None
    assert "no parameter 'm'" in (lab.preflight(notebook="good.ipynb", parameters={"m": "${result.T-00}"}) or "")
    save(lab.base / "needs.ipynb", code("n: int  # how many", "parameters"))
    assert lab.preflight(notebook="needs.ipynb", parameters={"n": "${result.T-00}"}) is None
    assert "parameter 'n' has no value (how many)" in (lab.preflight(notebook="needs.ipynb") or "")


def test_a_path_is_relative_to_the_plan_then_to_the_notebook(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    lab.at(tmp_path / "caller")
    save(lab.base / "books" / "paths.ipynb", code("from pathlib import Path\ndata: Path", "parameters"))
    task = {"notebook": "books/paths.ipynb", "parameters": {"data": "in/data.csv"}}
    assert lab.preflight(**task) is None  # another task may make it
    tried = [f"{place}/in/data.csv" for place in (lab.base, tmp_path / "caller", lab.base / "books")]
    assert f"tried {' and '.join(tried)}" in lab.fail(**task).error


def test_what_the_fork_does_not_have_is_named_in_the_log_and_in_the_notebook(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    cell = "import os\ntry:\n    import no_such_library\nexcept ImportError:\n    pass\n"
    save(lab.base / "book.ipynb", code(cell), code("[name for name in os.environ if 'PRELOADED' in name]", "result"))
    execution = lab.run(notebook="book.ipynb")
    executed = json.loads(lab.read(execution.outputs[0].path))
    kernel = executed["metadata"]["orchestrator"]["kernel"]
    assert (kernel["mode"], kernel["not_preloaded"]) == ("fork", {"no_such_library": "is not installed"})
    assert b"not preloaded: no_such_library (is not installed)" in lab.read("attempts/T-01/1/log")
    assert execution.outcome.value == []  # type: ignore[union-attr]


def test_papermill_does_not_call_checked_parameters_unknown(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    cell = "from typing import Literal\nmodel: Literal['a', 'b'] = 'a'\nrate: float | None = None  # a = b\n"
    save(lab.base / "book.ipynb", code(cell, "parameters"), code("[model, rate]", "result"))
    assert lab.succeed(notebook="book.ipynb", parameters={"model": "b", "rate": 0.5}) == ["b", 0.5]
    log = lab.read("attempts/T-01/1/log")
    assert b"kernel: " in log
    assert b"Passed unknown" not in log
    assert b"Unable to parse" not in log


def test_the_notebook_gets_values_of_the_types_that_it_says(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    cell = (
        "from datetime import date\nfrom enum import Enum\nfrom pathlib import Path\nfrom pydantic import Field\n"
        "class Color(Enum):\n    RED = 'r'\nday: date\ndata: Path = Path('x')\ncolor = Color.RED\n"
        "pair: tuple[int, date] = None\nsize: int = Field(10, gt=0)\nn: float = 1.0"
    )
    save(lab.base / "typed.ipynb", code(cell, "parameters"), code("repr([day, data, color, pair, size, n])", "result"))
    (lab.base / "typed.csv").write_text("")
    values = {"day": "2025-01-02", "data": "typed.csv", "color": "RED", "pair": [1, "2025-01-03"], "n": "2"}
    outcome = lab.run(notebook="typed.ipynb", parameters=values).outcome
    assert outcome.value == (  # type: ignore[union-attr]
        f"[datetime.date(2025, 1, 2), PosixPath('{lab.base}/typed.csv'), <Color.RED: 'r'>, "
        "(1, datetime.date(2025, 1, 3)), 10, 2.0]"
    )


def shows(**data: Any) -> Any:
    return new_output("display_data", data=data)


@pytest.mark.parametrize(
    ("outputs", "result"),
    [
        ([shows(**{"text/plain": "{'a': (1)}"})], {"value": {"a": 1}}),
        ([shows(**{"text/plain": "'words'"})], {"text": "words"}),
        ([shows(**{"text/plain": "<Figure>"})], {"text": "<Figure>"}),
        ([shows(**{"text/plain": "(1, 2)"})], {"text": "(1, 2)"}),
        ([shows(**{"text/plain": "<IPython.JSON>", "application/json": {"b": [None]}})], {"value": {"b": [None]}}),
        ([new_output("stream", name="stdout", text='{"c": null}\n')], {"value": {"c": None}}),
        ([shows(**{"text/plain": "1"}), new_output("stream", name="stderr", text="2")], {"value": 1}),
    ],
)
def test_the_result_is_what_the_tagged_cell_shows(outputs: Any, result: dict[str, Any]) -> None:
    cells = [code("x", outputs=[shows(**{"text/plain": "0"})]), code("y", "result", outputs=outputs)]
    assert tagged_result(new_notebook(cells=cells)) == result


def test_scraps_are_a_result() -> None:
    def scrap(name: str, data: Any) -> Any:
        return shows(**{SCRAP: {"name": name, "data": data, "encoder": "json", "version": 1}})

    assert tagged_result(new_notebook(cells=[code("", outputs=[scrap("a", 1), scrap("b", [2])])])) == {
        "value": {"a": 1, "b": [2]}
    }
    assert tagged_result(new_notebook(cells=[code("", outputs=[scrap("a", 1), scrap("result", 3)])])) == {"value": 3}


def test_a_tagged_cell_must_show_something() -> None:
    with pytest.raises(LookupError, match="the cell tagged 'result' shows nothing"):
        tagged_result(new_notebook(cells=[code("x = 1", "result")]))
