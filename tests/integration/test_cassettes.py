"""Runs that are recorded, and replayed without the programs of their agents."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import nbformat
import pytest

from orchestrator_nb import Orchestrator, reproduce
from orchestrator_nb.core import events as e
from orchestrator_nb.errors import CassetteError, ParameterError, SettingsError
from orchestrator_nb.projections.usage import of_run
from orchestrator_nb.runtime.run import Run
from orchestrator_nb.storage.log import read_records
from orchestrator_nb.system.sandbox.policy import Level
from tests.agents.coding.puppet import PUPPET, steps
from tests.agents.models.wire import KEY, need_models, scripted
from tests.git_repositories import make_repository
from tests.runtime.waiting import asks, plan, statuses, until
from tests.system.sandbox.place import need

SECRET = "key-of-the-puppet"


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    need(Level.BUBBLEWRAP)
    monkeypatch.setenv("PUPPET_KEY", SECRET)
    return make_repository(tmp_path / "repository")


def task(name: str, *told: Any, **fields: Any) -> dict[str, Any]:
    return {"id": name, "agent": PUPPET, "prompt": steps(*told), **fields}


def go(where: Path, *tasks: dict[str, Any], jobs: int | None = None, **settings: Any) -> Run:
    settings = {name: str(value) for name, value in settings.items()}
    made = Orchestrator(workspace=where.parent / "sessions", grace=2.0, **settings)
    return made.run(plan(*tasks), cwd=where, jobs=jobs)


def final(run: Run) -> bytes:
    return (run.path / "final_output.md").read_bytes()


def error(run: Run, name: str) -> str:
    with run.state() as state:
        return state.tasks[name].error


def events(run: Run, kind: type[Any]) -> list[Any]:
    return [record.event for record in read_records(run.path / "events.jsonl") if isinstance(record.event, kind)]


def integrated(repository: Path, run: Run) -> dict[str, str]:
    """The files of the session's integration branch."""
    branch = f"orchestrator/{run.id}"
    names = subprocess.run(
        ["git", "-C", str(repository), "ls-tree", "-r", "--name-only", branch],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    shown = (["git", "-C", str(repository), "show", f"{branch}:{name}"] for name in names)
    texts = (subprocess.run(one, capture_output=True, text=True, check=True).stdout for one in shown)
    return dict(zip(names, texts, strict=True))


def chain() -> list[dict[str, Any]]:
    return [
        task("a", ("write", "one.txt", "1\n"), ("say", "wrote one")),
        task("b", ("write", "two.txt", "2\n"), ("run", "rm a.txt"), ("say", "wrote two")),
        task("c", ("run", "cat one.txt two.txt > sum.txt; chmod +x sum.txt"), ("say", "sum"), dependencies=["a", "b"]),
        {**task("d", ("say", "read it")), "dependencies": ["c"], "parameters": {"level": "read"}},
        {"id": "e", "command": ["echo", "${result.d}"], "dependencies": ["d"]},
    ]


def test_a_recorded_run_is_replayed_without_its_programs(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cassette = tmp_path / "cassette"
    first = go(repository, *chain(), record=cassette).wait(120)
    assert first.status == "completed", error(first, "a")
    monkeypatch.delenv("PUPPET_KEY")  # without a login it would not even start
    again = go(repository, *chain(), replay=cassette).wait(120)
    assert statuses(again) == statuses(first), [error(again, name) for name in "abcde"]
    assert final(again) == final(first)
    assert integrated(repository, again) == integrated(repository, first)
    assert integrated(repository, again)["sum.txt"] == "1\n2\n"
    processes = {event.task for event in events(again, e.ProcessStarted)}
    assert processes == {"e"}, "the agents' programs were not started"
    started = events(again, e.AgentStarted)
    assert [event.recorded for event in started] == [True] * 4
    with again.state() as state:
        used, account = of_run(state), state.ledger.accounts["run"]
    assert (used.input_tokens, used.cost, used.replayed) == (0, 0.0, 4)
    assert (account.tokens, account.money) == (0, 0)
    assert (again.path / "attempts/a/1/log").read_text().count("wrote one") >= 1


def test_in_any_order_with_any_number_at_once(repository: Path, tmp_path: Path) -> None:
    """Two chains add lines to one file: who finds whose lines there is another in each run."""
    lines = "\n".join(f"line {n}" for n in range(40)) + "\n"
    (repository / "notes.txt").write_text(lines)
    tasks = []
    for name, place in (("x", 5), ("y", 35)):
        edit = f"sed -i 's/^line {place}$/line {place} of {name}/' notes.txt"
        tasks += [task(f"{name}1", ("write", f"{name}.txt", name), ("say", name)), task(f"{name}2", ("run", edit))]
        tasks[-1]["dependencies"] = [f"{name}1"]
    cassette = tmp_path / "cassette"
    first = go(repository, *tasks, jobs=1, record=cassette).wait(120)
    assert first.status == "completed"
    for order in (tasks[::-1], [*tasks[2:], *tasks[:2]]):
        again = go(repository, *sorted(order, key=lambda one: one["id"][1]), jobs=4, replay=cassette).wait(120)
        assert again.status == "completed", [error(again, one["id"]) for one in tasks]
        assert integrated(repository, again) == integrated(repository, first)
    assert "line 5 of x" in integrated(repository, first)["notes.txt"]
    assert "line 35 of y" in integrated(repository, first)["notes.txt"]


def test_no_secret_is_in_any_file(repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SERVICE_TOKEN", "token-of-a-service")
    cassette = tmp_path / "cassette"
    leaks = (
        (
            "run",
            "echo $PUPPET_KEY $SERVICE_TOKEN; echo key=$PUPPET_KEY > leaked.txt; printf '\\0%s' $PUPPET_KEY > x.bin",
        ),
        ("report",),  # of its environment, too
    )
    leaking = task("a", *leaks, parameters={"env": ["SERVICE_TOKEN"]}, env={"OWN_PASSWORD": "password-of-mine"})
    assert go(repository, leaking, record=cassette).wait(60).status == "completed"
    files = [path for path in cassette.rglob("*") if path.is_file()]
    assert len(files) > 5
    for path in files:
        data = path.read_bytes()
        assert not [name for name in (SECRET, "token-of-a-service", "password-of-mine") if name.encode() in data], path
        assert str(tmp_path).encode() not in data, f"{path} names a directory of this machine"
    monkeypatch.delenv("PUPPET_KEY")
    monkeypatch.delenv("SERVICE_TOKEN")
    again = go(repository, leaking, replay=cassette).wait(60)
    assert again.status == "completed", error(again, "a")
    assert integrated(repository, again)["leaked.txt"] == "key=[redacted]\n"


def test_what_was_not_recorded_names_the_nearest_and_what_differs(repository: Path, tmp_path: Path) -> None:
    cassette = tmp_path / "cassette"
    go(repository, task("a", ("say", "one"), ("say", "two")), record=cassette).wait(60)
    missed = go(repository, task("a", ("say", "one"), ("say", "three")), replay=cassette).wait(60)
    assert missed.status == "failed"
    told = error(missed, "a")
    assert "holds no attempt of what task 'a' asks now. The nearest is" in told
    assert '-Please do this: @@[["say", "one"], ["say", "two"]]@@' in told
    assert '+Please do this: @@[["say", "one"], ["say", "three"]]@@' in told
    assert f"record it: --replay {cassette} --refresh a" in told
    assert not events(missed, e.ProcessStarted)
    (repository / "new.txt").write_text("new")
    missed = go(repository, task("a", ("say", "one"), ("say", "two")), replay=cassette).wait(60)
    assert "files: new: new.txt" in error(missed, "a")
    missed = go(repository, task("other", ("say", "one")), replay=cassette).wait(60)
    assert "holds nothing of task 'other' (it holds: a)" in error(missed, "other")


def test_one_task_is_recorded_anew(repository: Path, tmp_path: Path) -> None:
    cassette, counter = tmp_path / "cassette", tmp_path / "counter"
    counter.mkdir()
    count = f"touch {counter}/$(ls {counter} | wc -l)"
    granted = {"directories": [str(counter)]}
    tasks = [task(name, ("run", count), ("say", name), parameters=granted) for name in "ab"]
    go(repository, *tasks, jobs=1, record=cassette).wait(60)
    takes = {path: path.read_bytes() for path in cassette.rglob("take.json")}
    assert len(list(counter.iterdir())) == 2
    again = go(repository, *tasks, jobs=1, replay=cassette, refresh="b").wait(60)
    assert again.status == "completed", error(again, "b")
    assert len(list(counter.iterdir())) == 3, "b alone was run"
    after = {path: path.read_bytes() for path in cassette.rglob("take.json")}
    changed = {path.parent.parent.name for path in takes if takes[path] != after[path]}
    assert (changed, takes.keys()) == ({"b"}, after.keys())
    with pytest.raises(ParameterError, match="refresh: the plan has no task 'bb'; did you mean 'b'"):
        go(repository, *tasks, replay=cassette, refresh="bb")


def test_each_attempt_has_its_take(repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An overloaded service at first: both attempts are on the tape, and the second goes on in the first's place."""
    soon = {"attempts": 3, "delay": 0.05, "when": "transient"}
    twice = task("a", ("write", "b.txt", "b"), ("once", 529), ("say", "done"), retry=soon)
    cassette = tmp_path / "cassette"
    first = go(repository, twice, record=cassette).wait(60)
    assert first.status == "completed", error(first, "a")
    monkeypatch.delenv("PUPPET_KEY")
    again = go(repository, twice, replay=cassette).wait(60)
    assert again.status == "completed", error(again, "a")
    assert final(again) == final(first)
    assert len(events(again, e.TaskStarted)) == len(events(first, e.TaskStarted))
    assert integrated(repository, again) == integrated(repository, first)


def test_reproduce_replays_what_was_recorded(repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = go(repository, *chain(), record=tmp_path / "cassette").wait(120)
    monkeypatch.delenv("PUPPET_KEY")
    assert reproduce(first.path).same
    again = go(repository, *chain(), replay=tmp_path / "cassette").wait(120)
    assert reproduce(again.path).same


def test_a_session_goes_on_as_it_was_run(repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cassette = tmp_path / "cassette"
    tasks = [task("a", ("say", "a")), {"id": "q", "agent": "human", "prompt": "Go on?", "dependencies": ["a"]}]
    tasks.append(task("b", ("say", "b"), dependencies=["q"]))
    first = go(repository, *tasks, record=cassette)
    until(lambda: asks(first), 60)
    first.approve("q", "yes")
    assert first.wait(60).status == "completed"
    monkeypatch.delenv("PUPPET_KEY")
    again = go(repository, *tasks, replay=cassette)
    until(lambda: asks(again), 60)
    again.stop()
    again.wait(60)
    resumed = Orchestrator(workspace=tmp_path / "sessions", grace=2.0).resume(again.path)
    until(lambda: asks(resumed), 60)
    resumed.approve("q", "yes")
    assert resumed.wait(60).status == "completed", error(resumed, "b")
    assert final(resumed) == final(first)


def notebook(path: Path) -> Path:
    cells = [
        nbformat.v4.new_code_cell("x = 1", metadata={"tags": ["parameters"]}),
        nbformat.v4.new_code_cell("import os, random\nopen(os.environ['ORCH_OUTPUTS'] + '/n.txt', 'w').write(str(x))"),
        nbformat.v4.new_code_cell("f'{x} and {random.random()}'", metadata={"tags": ["result"]}),
    ]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), path)
    return path


def test_a_notebook_is_replayed(tmp_path: Path) -> None:
    here = tmp_path / "here"
    here.mkdir()
    notebook(here / "n.ipynb")
    work = {"id": "n", "agent": "notebook", "notebook": "n.ipynb", "parameters": {"x": 3}, "outputs": ["n.txt"]}
    shown = {"id": "s", "command": ["cat", "${output.n:n.txt}"], "dependencies": ["n"]}
    first = go(here, work, shown, record=tmp_path / "cassette").wait(120)
    assert first.status == "completed", error(first, "n")
    again = go(here, work, shown, replay=tmp_path / "cassette").wait(120)
    assert again.status == "completed", error(again, "n")
    assert final(again) == final(first), "random numbers and all"
    assert {event.task for event in events(again, e.ProcessStarted)} == {"s"}
    assert [path.name for path in sorted((again.path / "outputs/n").iterdir())] == ["n.ipynb", "n.txt"]
    assert reproduce(first.path).same
    missed = go(here, {**work, "parameters": {"x": 4}}, replay=tmp_path / "cassette").wait(60)
    assert "parameters: 'x': 3 → 4" in error(missed, "n")


RECORDS = """
import sys
from pathlib import Path
from orchestrator_nb import Orchestrator
from tests.integration.test_cassettes import killed_tasks
from tests.runtime.waiting import plan
where = Path(sys.argv[1])
run = Orchestrator(workspace=where.parent / "sessions", record=where.parent / "cassette").run(
    plan(*killed_tasks()), cwd=where, jobs=1)
run.wait(60)
"""


def killed_tasks() -> list[dict[str, Any]]:
    return [task("a", ("write", "a2.txt", "a"), ("say", "a")), task("b", ("sleep", 600), dependencies=["a"])]


def test_killed_while_recording(repository: Path, tmp_path: Path) -> None:
    root = Path(__file__).parents[2]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    with subprocess.Popen([sys.executable, "-c", RECORDS, str(repository)], env=environment) as process:
        until(lambda: any((tmp_path / "cassette" / "a").glob("*.1/take.json")), 60)
        until(lambda: any((tmp_path / "sessions").glob("*/attempts/b/1/log")), 60)
        process.send_signal(signal.SIGKILL)
        process.wait(10)
    again = go(repository, *killed_tasks(), jobs=1, replay=tmp_path / "cassette").wait(60)
    assert statuses(again) == {"a": "completed", "b": "failed"}
    assert "holds nothing of task 'b' (it holds: a)" in error(again, "b")


@pytest.mark.parametrize("torn", ["take", "result", "change", "missing", "cassette"])
def test_a_torn_or_edited_cassette_is_refused(repository: Path, tmp_path: Path, torn: str) -> None:
    cassette = tmp_path / "cassette"
    work = task("a", ("write", "b.txt", "b"), ("say", "fine"))
    go(repository, work, record=cassette).wait(60)
    (take,) = (cassette / "a").iterdir()
    if torn == "cassette":
        shutil.rmtree(cassette)
        with pytest.raises(CassetteError, match="is no cassette: record one with --record"):
            go(repository, work, replay=cassette)
        return
    if torn == "take":
        text = (take / "take.json").read_text()
        (take / "take.json").write_text(text.replace('"bubblewrap"', '"none"'))
    elif torn == "missing":
        (take / "result.md").unlink()
    else:
        (take / ("result.md" if torn == "result" else "changed/b.txt.txt")).write_text("better")
    refused = go(repository, work, replay=cassette).wait(60)
    assert refused.status == "failed"
    words = "cannot be read" if torn == "missing" else "was edited or torn: it is not what was recorded"
    assert words in error(refused, "a")


def test_settings_of_a_cassette(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SettingsError, match="recorded or replayed, not both"):
        Orchestrator(record="a", replay="b")
    with pytest.raises(SettingsError, match="give `replay` too"):
        Orchestrator(refresh="a")
    (tmp_path / "orchestrator.toml").write_text("replay = 'results'\n")
    with pytest.raises(SettingsError, match="'replay' is said of a run: --replay, or ORCH_REPLAY"):
        Orchestrator()
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").write_text("x")
    (tmp_path / "orchestrator.toml").unlink()
    with pytest.raises(CassetteError, match="is no cassette, and not empty"):
        go(tmp_path, {"id": "a", "command": ["true"]}, record=tmp_path / "full")


def test_a_model_is_replayed_without_its_key_and_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    need_models()
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    says = "[[mock:text Good code.]]"

    def asked(address: str) -> dict[str, Any]:
        called = {"model": "openai-chat:gpt-5", "base_url": f"{address.removesuffix('/v1')}/v1"}
        return {"id": "m", "agent": "model", "prompt": says, "parameters": called, "outputs": ["answer.md"]}

    with scripted() as address:
        first = go(tmp_path, asked(address), record=tmp_path / "cassette").wait(60)
    assert first.status == "completed", error(first, "m")
    monkeypatch.delenv("OPENAI_API_KEY")
    again = go(tmp_path, asked("http://127.0.0.1:9/v1"), replay=tmp_path / "cassette").wait(60)
    assert again.status == "completed", error(again, "m")
    assert final(again) == final(first)
    assert not events(again, e.ProcessStarted)
    assert (again.path / "outputs/m/answer.md").read_text() == "Good code."
