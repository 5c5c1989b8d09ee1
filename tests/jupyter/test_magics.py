"""The magics in a real kernel: what they make, start, say and steer; their help, faults and completion."""

from __future__ import annotations

import itertools
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.live_kernels import Execution, Kernel, started_kernel

PLAN = """\
title: Greeting
params:
  name: {default: World, choices: [World, Moon]}
  loud: false
  times: {type: int, help: how often}
  folder: {type: path, default: .}
tasks:
  - id: hello
    command: [echo, "Hello ${params.name} x${params.times}"]
"""
_numbers = itertools.count()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("magics")
    (place / "greeting.yaml").write_text(PLAN)
    (place / "other.txt").write_text("no plan")
    (place / "results").mkdir()
    return place


@pytest.fixture(scope="module")
def kernel(folder: Path) -> Iterator[Kernel]:
    with started_kernel(folder) as running:
        loaded = running.run("%load_ext orchestrator_nb")
        assert not loaded.error
        assert loaded.stdout == ""
        yield running


@pytest.fixture
def name() -> str:
    """A variable that no other test uses."""
    return f"plan_{next(_numbers)}"


@pytest.fixture
def complete(kernel: Kernel) -> Callable[[str], list[str]]:
    """What TAB makes of a cell whose last character is under the cursor."""

    def whole_cells(cell: str) -> list[str]:
        content = kernel.client.complete(cell, len(cell), reply=True, timeout=60)["content"]
        return [cell[: content["cursor_start"]] + match for match in content["matches"]]

    return whole_cells


def shows(kernel: Kernel, expression: str) -> str:
    """What an expression prints."""
    execution = kernel.run(f"print({expression})")
    assert not execution.error, execution.error
    return execution.stdout.strip()


def says(execution: Execution) -> str:
    """What a magic printed; it did not fail with a traceback."""
    assert not execution.error
    return execution.stdout


# -- %%plan ------------------------------------------------------------------------------------------------------------


def test_a_cell_becomes_a_plan_that_is_shown(kernel: Kernel, name: str) -> None:
    shown = kernel.run(f"%%plan {name}\n{PLAN}")
    assert not shown.error
    assert "Greeting" in shown.bundles[0]["text/plain"]
    assert shows(kernel, f"type({name}).__name__, {name}.tasks[0].id") == "Plan hello"


def test_all_faults_of_a_plan_are_named_with_their_lines_of_the_cell(kernel: Kernel, name: str) -> None:
    said = says(kernel.run(f"%%plan {name}\ntitle: T\ntasks:\n  - id: a\n    comand: x\n    dependencies: [b]\n"))
    assert "2 faults" in said
    assert "cell:5: task 'a': unknown key 'comand'; did you mean 'command'?" in said
    assert "cell:6: task 'a': unknown dependency 'b'" in said
    assert "Traceback" not in said
    assert shows(kernel, f"'{name}' in globals()") == "False"


def test_a_plan_in_a_cell_calls_the_notebooks_functions(kernel: Kernel, name: str) -> None:
    kernel.run(f"def double_{name}(number): return number * 2")
    kernel.run(f"%%plan {name}\ntasks: [{{id: a, function: ':double_{name}', parameters: {{number: 21}}}}]")
    said = kernel.run(f"run = %orchestrate {name}\nprint(run.wait().results['a'])")
    assert "42" in said.stdout


# -- %%task ------------------------------------------------------------------------------------------------------------


def test_cells_become_tasks_of_a_builder_and_run(kernel: Kernel, name: str) -> None:
    cells = [
        f"%%task numbers --plan {name}\nprint('counting')\nlist(range(4))",
        f'%%task T-02 --plan {name} --after numbers -l sh\necho "from sh: $numbers"',
        f"%%task T-03 --plan {name} --after numbers,T-02 -l bash --title 'In bash' --timeout 30 --outputs kept.txt\n"
        'declare -a list=(a b)\necho $T_02 > $ORCH_OUTPUTS/kept.txt; echo "${#list[@]} $HOMER"',
        f"%%task total --plan {name} --after numbers,T-03\n"
        "import json\nprice = '$5 ${x}'\n(context.outputs / 'f').write_text('')\n"
        "{'sum': sum(numbers), 'price': price, 'text': T_03.strip()}",
        f"%%task ok --plan {name} --after total -l markdown\nIs ${{value.total:sum}} right?",
    ]
    for cell in cells:
        assert "is added to" in says(kernel.run(cell))
    assert shows(kernel, f"{name}['T-03'].id, list({name}.tasks)") == "T-03 ['numbers', 'T-02', 'T-03', 'total', 'ok']"
    kernel.run(f"run = %orchestrate {name}", allow_stdin=False)  # waits until only a person can go on
    kernel.run("run.approve('ok', 'yes'); run.wait()", allow_stdin=False)
    assert shows(kernel, "run.results['T-02'].strip()") == "from sh: [0, 1, 2, 3]"
    assert shows(kernel, "run['T-03'].outputs['kept.txt'].read_text().strip()") == "from sh: [0, 1, 2, 3]"
    assert shows(kernel, "run['T-03'].title, run.plan['T-03'].timeout") == "In bash 30.0"
    assert shows(kernel, "run.results['total']") == "{'sum': 6, 'price': '$5 ${x}', 'text': '2'}"
    assert shows(kernel, "run.results['ok']") == "yes"
    assert shows(kernel, "run['numbers'].log.strip()") == "counting"


def test_running_a_cell_again_replaces_its_task_in_its_place(kernel: Kernel, name: str) -> None:
    for task, text in (("a", "1"), ("b", "a + 1"), ("c", "b + 1")):
        after = f"--after {chr(ord(task) - 1)}" if task != "a" else ""
        kernel.run(f"%%task {task} --plan {name} {after}\n{text}")
    assert "'b' is replaced in" in says(kernel.run(f"%%task b --plan {name} --after a\na + 10"))
    assert shows(kernel, f"list({name}.tasks)") == "['a', 'b', 'c']"
    assert "12" in kernel.run(f"run = %orchestrate {name}\nprint(run.wait().results['c'])").stdout


@pytest.mark.parametrize(
    ("line", "cell", "fault"),
    [
        ("b --after a", "(1, x", "line 2 of the cell: '(' was never closed"),
        ("b --after aa", "1", "'aa', which is no task yet; did you mean 'a'?"),
        ("a --after b", "1", "'b', which is no task yet"),
        ("a --after c", "1", "cycle: c -> a -> c"),
        ("b", "  \n", "the cell is empty"),
        ("'b c'", "1", "'b c'"),
        ("b -l perl", "1", "invalid choice: 'perl'"),
        ("b -l markdown --agent clode", "Hello", "clode"),
        ("b -l markdown", "Is ${params.nothing} right?", "nothing"),
        ("b --timeout soon", "1", "invalid float value"),
        ("b 'c", "1", "No closing quotation"),
    ],
)
def test_a_cell_that_makes_no_task_leaves_the_plan_alone(
    kernel: Kernel, name: str, line: str, cell: str, fault: str
) -> None:
    kernel.run(f"%%task a --plan {name}\n1")
    kernel.run(f"%%task c --plan {name} --after a\n1")
    before = shows(kernel, f"repr({name})")
    said = says(kernel.run(f"%%task --plan {name} {line}\n{cell}"))
    assert said.startswith("UsageError: ")
    assert fault in said
    assert shows(kernel, f"repr({name})") == before


def test_a_task_cannot_be_added_to_what_is_no_builder(kernel: Kernel, name: str) -> None:
    kernel.run(f"{name} = 5")
    assert f"'{name}' is a int, to which no task can be added" in says(kernel.run(f"%%task a --plan {name}\n1"))
    assert "cannot be a variable" in says(kernel.run("%%task a --plan two-words\n1"))


def test_a_failing_cell_is_told_with_its_line(kernel: Kernel, name: str) -> None:
    kernel.run(f"%%task bad --plan {name}\n\nvalue = 0\n1 / value")
    said = kernel.run(f"run = %orchestrate {name}\nprint(run.wait()['bad'].error)").stdout
    assert "ZeroDivisionError" in said
    assert "line 4" in said
    assert "1 / value" in said


def test_a_python_task_of_a_dead_kernel_is_resumed_by_another(tmp_path: Path) -> None:
    flag = tmp_path / "flag"
    with started_kernel(tmp_path) as first:
        first.run("%load_ext orchestrator_nb")
        first.run("%%task begun\n{'n': 20}")
        first.run(
            "%%task slow --after begun\nimport pathlib, time\n"
            f"while not pathlib.Path({str(flag)!r}).exists():\n    time.sleep(0.05)\nbegun['n'] + 1"
        )
        first.run("run = %orchestrate plan")
        first.run("import time\nwhile run['slow'].status != 'running': time.sleep(0.05)")
        first.manager.signal_kernel(signal.SIGKILL)
    flag.touch()
    with started_kernel(tmp_path) as second:
        second.run("%load_ext orchestrator_nb")
        said = second.run("run = %resume\nprint(run.wait().results['slow'], run['begun'].attempts[-1].name)")
        assert "21 1" in said.stdout


# -- %orchestrate ------------------------------------------------------------------------------------------------------


def test_a_plan_file_is_started_with_values_as_the_command_line_takes_them(kernel: Kernel, folder: Path) -> None:
    line = "%orchestrate greeting.yaml -p times=3 -p name=Moon --jobs 1 -o 'results/here'"
    said = kernel.run(f"run = {line}\nprint(run.wait().results['hello'])")
    assert "Hello Moon x3" in said.stdout
    assert "Hello Moon x3" in (folder / "results/here/final_output.md").read_text()


def test_a_bare_magic_shows_the_run_in_a_headless_notebook(kernel: Kernel) -> None:
    shown = kernel.run("%orchestrate greeting.yaml -p times=1", allow_stdin=False)
    assert not shown.error
    assert "Completed" in shown.bundles[0]["text/plain"]


def test_a_dry_run_shows_the_plan_and_makes_nothing(kernel: Kernel, folder: Path) -> None:
    before = set((folder / ".orchestrator").glob("*"))
    shown = kernel.run("%orchestrate greeting.yaml -p times=7 --dry-run")
    assert "Nothing is run" in shown.stdout
    assert "times = 7" in shown.stdout
    assert "hello" in shown.bundles[-1]["text/plain"]
    assert set((folder / ".orchestrator").glob("*")) == before


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("", "%orchestrate: the following arguments are required: PLAN"),
        ("nothing_of_this_name", "'nothing_of_this_name' is no variable"),
        ("pytest_number", "'pytest_number' is a int"),
        ("greting.yaml", "did you mean 'greeting.yaml'?"),
        ("greeting.yaml", "parameter 'times' has no value (how often)"),
        ("greeting.yaml -p times", "-p times: write NAME=VALUE"),
        ("greeting.yaml -p times=few", "parameter 'times' must be a whole number, not 'few'"),
        ("greeting.yaml -p tmes=1", "did you mean 'times'?"),
        ("greeting.yaml --jbos 3", "unrecognized arguments: --jbos"),
        ("greeting.yaml -p 'times=3", "No closing quotation"),
    ],
)
def test_what_is_wrong_with_the_line_is_said_without_a_traceback(kernel: Kernel, line: str, fault: str) -> None:
    kernel.run("pytest_number = 5")
    said = says(kernel.run(f"%orchestrate {line}"))
    assert said.startswith("UsageError: ")
    assert fault in said


# -- sessions ----------------------------------------------------------------------------------------------------------


def test_status_stop_halt_and_resume_act_on_the_run_of_the_kernel(kernel: Kernel, name: str) -> None:
    kernel.run(f"from orchestrator_nb import PlanBuilder, orchestrate\n{name} = PlanBuilder('Slow')")
    kernel.run(f"first = {name}.shell('sleep 60', id='sleeper')\n{name}.shell('echo end', id='end', after=first)")
    kernel.run(f"run = orchestrate({name}, show=False)")
    until(lambda: "running: sleeper" in says(kernel.run("%status")))
    kernel.run("run.pause()")
    until(lambda: "paused" in says(kernel.run("%status")))
    assert "session" in says(kernel.run("%resume"))  # lifts the pause
    until(lambda: "paused" not in says(kernel.run("%status")))
    assert "stop" in says(kernel.run("%stop --reason enough")).lower()
    until(lambda: "stopping" in says(kernel.run("%status")))
    assert "halt" in says(kernel.run("%halt")).lower()
    kernel.run("run.wait()")
    stands = says(kernel.run("%status"))
    assert "halted" in stands
    assert "%resume goes on with it" in stands
    assert says(kernel.run("%stop")).startswith("UsageError: ")
    session = shows(kernel, "run.id")
    assert f"session {session}" in says(kernel.run(f"%status {session}"))
    kernel.run("again = %resume")
    until(lambda: "running: sleeper" in says(kernel.run("%status")))
    assert shows(kernel, "again.id == run.id") == "True"
    kernel.run("%halt\nagain.wait()")


def test_status_tells_failures_and_questions(kernel: Kernel, name: str) -> None:
    kernel.run(f"%%task bad --plan {name} -l sh\nexit 3")
    kernel.run(f"%%task ask --plan {name} -l text\nReally?")
    kernel.run(f"run = %orchestrate {name}", allow_stdin=False)
    stands = says(kernel.run("%status"))
    assert "failed: bad" in stands
    assert "asks: Really?" in stands
    assert "run.approve('ask', ANSWER)" in stands
    kernel.run("run.reject('ask', 'no'); run.wait()")
    assert "failed" in says(kernel.run("%status"))


def test_resume_hands_the_notebooks_functions_in_again(kernel: Kernel, name: str) -> None:
    kernel.run(f"def mine_{name}(): return 'from the notebook'")
    kernel.run(f"%%plan {name}\ntasks:\n - {{id: wait, agent: human, prompt: Go on?}}\n"
               f" - {{id: mine, function: ':mine_{name}', dependencies: [wait]}}")  # fmt: skip
    kernel.run(f"run = %orchestrate {name}", allow_stdin=False)
    kernel.run("run.halt(); run.wait()")
    kernel.run("from orchestrator_nb import Session\nSession.latest().tell('approve', checkpoint='wait', answer='yes')")
    said = kernel.run("run = %resume\nprint(run.wait().results['mine'])")
    assert "from the notebook" in said.stdout


def test_graph_draws_plans_and_sessions(kernel: Kernel) -> None:
    drawn = kernel.run("%graph greeting.yaml")
    assert drawn.bundles[0]["image/png"]
    assert "hello" in drawn.bundles[0]["text/plain"]
    kernel.run("run = %orchestrate greeting.yaml -p times=1\nrun.wait()")
    session = kernel.run("%graph", allow_stdin=False)
    assert not session.error
    assert session.bundles
    assert says(kernel.run("%graph no-such-session")).startswith("UsageError: ")


# -- help, completion, loading -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("magic", ["orchestrate", "status", "graph", "stop", "halt", "resume", "task", "plan"])
def test_help_is_printed(kernel: Kernel, magic: str) -> None:
    said = says(kernel.run(f"%{magic} --help"))
    shown = f"%{'%' if magic in ('task', 'plan') else ''}{magic}"
    assert said.startswith(f"usage: {shown} ")
    assert "Print this." in said
    page = kernel.client.execute_interactive(f"%{magic}?", timeout=60, output_hook=lambda _: None)["content"]
    assert f"usage: {shown} " in page["payload"][0]["data"]["text/plain"]


def test_a_magic_for_cells_says_so(kernel: Kernel) -> None:
    assert "it takes the whole cell, which begins with %%" in says(kernel.run("%task a"))


def test_completion(kernel: Kernel, name: str, complete: Callable[[str], list[str]]) -> None:
    kernel.run(f"%%task first --plan {name}\n1")
    kernel.run(f"%%task second --plan {name}\n1")
    assert complete("%orchestrate gre") == ["%orchestrate greeting.yaml"]
    assert complete("x = 1\nrun = %orchestrate gre") == ["x = 1\nrun = %orchestrate greeting.yaml"]
    assert name in "".join(complete("%orchestrate plan_"))
    assert "results/" in "".join(complete("%orchestrate greeting.yaml -o "))
    assert "other.txt" not in "".join(complete("%orchestrate "))
    offered = complete("%orchestrate greeting.yaml -p ")
    given = [cell.rpartition(" ")[2] for cell in offered]
    assert given == ["name=World", "name=Moon", "loud=false", "loud=true", "times=", "folder="]
    assert complete("%orchestrate greeting.yaml -p name=W")[0].endswith("-p name=World")
    assert complete("%orchestrate greeting.yaml -p folder=res")[0].endswith("folder=results/")
    assert complete("%orchestrate -j 2 -o results/ greeting.yaml -p ti")[0].endswith("-p times=")
    assert complete("%orchestrate greeting.yaml --dr")[0].endswith("--dry-run")
    assert complete(f"%%task third --plan {name} --after first,s")[0].endswith("--after first,second")
    assert complete("%%task third -l ba")[0].endswith("-l bash")
    assert complete(f"%%task --plan {name[:-1]}")[-1].startswith("%%task --plan plan_")
    kernel.run("run = %orchestrate greeting.yaml -p times=1\nrun.wait()")
    session = shows(kernel, "run.id")
    for magic in ("status", "graph", "stop", "halt", "resume"):
        assert f"%{magic} {session}" in complete(f"%{magic} {session[:8]}")


def test_completion_offers_nothing_where_something_is_wrong(folder: Path, complete: Callable[[str], list[str]]) -> None:
    (folder / "broken.yaml").write_text("tasks: [")
    assert not any("=" in match for match in complete("%orchestrate broken.yaml -p "))
    assert not any("=" in match for match in complete("%orchestrate nowhere/at/all.yaml -p "))


def test_the_magics_are_loaded_once_and_unloaded_without_a_trace(tmp_path: Path) -> None:
    with started_kernel(tmp_path) as kernel:
        kernel.run("def mine(line): print('mine', line)\nget_ipython().register_magic_function(mine, 'line', 'status')")
        known = "sorted(get_ipython().magics_manager.magics['line']), len(get_ipython().Completer.custom_matchers)"
        before = shows(kernel, known)
        kernel.run("%load_ext orchestrator_nb")
        assert "already loaded" in kernel.run("%load_ext orchestrator_nb").stdout
        assert shows(kernel, known) != before
        assert "no session" in says(kernel.run("%status")).lower()
        kernel.run("%unload_ext orchestrator_nb")
        assert shows(kernel, known) == before
        assert kernel.run("%status here").stdout == "mine here\n"
        kernel.run("%load_ext orchestrator_nb")
        assert "usage" in says(kernel.run("%status --help"))


def until(condition: Callable[[], bool], patience: float = 30) -> None:
    deadline = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < deadline, "not in time"


def test_several_words_in_quotes_are_a_prompt(kernel: Kernel, folder: Path) -> None:
    (folder / "planning_by_hand.py").write_text(
        'def plan(request):\n    return {"plan": {"tasks": [{"id": "a", "agent": "simulated"}]}}\n'
    )
    kernel.run("%env ORCH_PLANNER=function:planning_by_hand:plan")
    started = kernel.run('run = %orchestrate "Write a guide"')
    assert not started.error, started.error
    assert shows(kernel, "run.plan.title") in ("Write a guide", "Untitled plan")
    kernel.run("run.halt(); run.wait()")
    assert "is a prompt, not a plan" in says(kernel.run('%orchestrate "Write a guide" --dry-run'))
