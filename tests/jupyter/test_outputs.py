"""What the outputs and the log tell their pages: logs as they grow, and what came of tasks."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest

from orchestrator_nb.core.state import State
from orchestrator_nb.errors import OrchestratorError
from orchestrator_nb.jupyter.contents import content
from orchestrator_nb.jupyter.envelope import Envelope
from orchestrator_nb.jupyter.log import LogPane
from orchestrator_nb.jupyter.outputs import OutputPane
from orchestrator_nb.jupyter.part import Changes
from orchestrator_nb.jupyter.tail import MAX_SIZE, Recent, Records, Tail
from orchestrator_nb.jupyter.view import view_of
from orchestrator_nb.runtime.orchestrator import Orchestrator
from orchestrator_nb.runtime.run import Run
from orchestrator_nb.storage.settings import Settings
from orchestrator_nb.system.sandbox.policy import Level
from tests.agents.coding.puppet import PUPPET, steps
from tests.git_repositories import make_repository
from tests.runtime.waiting import plan, statuses, until
from tests.system.sandbox.place import need

# -- tails -------------------------------------------------------------------------------------------------------------


def test_a_log_is_read_as_it_grows(tmp_path: Path) -> None:
    path = tmp_path / "log"
    tail = Tail(path)
    assert tail.read() == []
    path.write_bytes(b"one\ntwo\x1b[31m red\x1b[0m\nthr")
    assert (tail.read(), tail.unfinished) == (["one", "two red"], "thr")
    with path.open("ab") as log:
        log.write(b"ee\n50%\r100%\n\xe2\x82")
    assert tail.read() == ["three", "100%"]
    with path.open("ab") as log:
        log.write(b"\xac end")
    assert (tail.read(), tail.unfinished) == ([], "€ end")
    assert (tail.finish(), tail.unfinished) == (["€ end"], "")


def test_of_a_large_log_the_end_is_read_and_the_rest_is_counted(tmp_path: Path) -> None:
    path = tmp_path / "log"
    lines = [f"line {n}" for n in range(100_000)]
    path.write_text("\n".join(lines) + "\n")
    tail = Tail(path)
    read = tail.read()
    assert read == lines[-len(read) :]
    assert tail.left_out == path.stat().st_size - sum(len(line) + 1 for line in read)
    assert MAX_SIZE - 20 < sum(len(line) + 1 for line in read) <= MAX_SIZE
    with path.open("a") as log:
        log.writelines(f"more {n}\n" for n in range(100_000))
    assert tail.read()[-1] == "more 99999"


def test_a_line_without_end_is_passed_on_in_pieces(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"x" * 200_000)
    tail = Tail(path)
    read = tail.read()
    assert "".join(read) + tail.unfinished == "x" * 200_000
    assert max(map(len, read)) <= 64 * 1024


def test_a_link_in_the_place_of_a_log_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("password\n")
    (tmp_path / "log").symlink_to(tmp_path / "secret")
    tail = Tail(tmp_path / "log")
    assert tail.finish() == []
    assert "cannot be read" in tail.trouble


def test_the_newest_lines_are_kept_and_told_by_number() -> None:
    recent = Recent(max_lines=3)
    recent.add(["a", "b"])
    assert recent.since(1) == {"first": 0, "begin": 1, "lines": ["b"], "open": []}
    recent.add([("c", "error"), "d"])
    assert recent.since(0) == {"first": 1, "begin": 1, "lines": ["b", ("c", "error"), "d"], "open": []}
    recent.add(["x" * MAX_SIZE])
    assert (recent.first, recent.end) == (5, 5)


def test_records_at_hand_spare_reading_the_log_unless_earlier_ones_are_missing(tmp_path: Path) -> None:
    run = Orchestrator(workspace=tmp_path / "work").run(plan({"id": "a", "agent": "simulated"})).wait(20)
    log = run.directory.log_path
    known = Records(log).read(10**9)
    last = known[-1].seq
    assert len(known) > 3
    records = Records(log)
    assert records.read(3) == known[:3]
    log.rename(tmp_path / "away")
    assert records.read(3) == records.read(last) == []
    assert records.read(last, known[4:]) == []
    assert records.read(4, known[2:4]) == known[3:4]
    assert records.read(last, known[4:]) == known[4:]
    assert records.read(last, known[4:]) == []
    (tmp_path / "away").rename(log)
    assert Records(log, after=2).read(last, known[3:]) == known[2:]


# -- panes -------------------------------------------------------------------------------------------------------------


class ToldOutputs(OutputPane):
    """Outputs whose page keeps what it is told."""

    def __init__(self, view: Any) -> None:
        self.told: list[dict[str, Any]] = []
        self.envelope = Envelope()  # a pane that another test left behind must not carry what this one tells
        super().__init__(view)

    def send(self, content: dict[str, Any], buffers: Any = None) -> None:
        """Keep it, as the page would get it."""
        told = json.loads(json.dumps(content))
        self.told += told["messages"] if told["type"] == "together" else [told]

    def last(self, kind: str) -> dict[str, Any]:
        """The last message of this type."""
        return [message for message in self.told if message["type"] == kind][-1]

    def shows(self) -> tuple[str, bool] | None:
        """Which task, and whether it follows."""
        heads = [message for message in self.told if message["type"] == "task"]
        return (heads[-1]["task"]["id"], heads[-1]["follow"]) if heads else None

    def lines(self) -> list[Any]:
        """The text that the page holds, put together from all messages."""
        held: list[Any] = []
        for message in self.told:
            if message["type"] == "text":
                text = message["text"]
                held = held[: text["begin"]] + text["lines"]
        return held


class ToldLog(LogPane):
    """A log whose page keeps what it is told."""

    def __init__(self, view: Any) -> None:
        self.lines: list[Any] = []
        self.envelope = Envelope()  # a pane that another test left behind must not carry what this one tells
        super().__init__(view)

    def send(self, content: dict[str, Any], buffers: Any = None) -> None:
        """Keep the lines."""
        text = content["text"]
        self.lines = self.lines[: text["begin"]] + text["lines"]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Run]]:
    orchestrator = Orchestrator(Settings(workspace=tmp_path / "sessions", grace=0.5, projection_interval=0.05))
    started: list[Run] = []

    def starting(*tasks: dict[str, Any]) -> Run:
        started.append(orchestrator.run(plan(*tasks)))
        return started[-1]

    yield starting
    for run in started:
        with suppress(OrchestratorError):  # it may have ended
            run.halt()
        run.wait(10)


def state_of(run: Run) -> State:
    with run.state() as state:
        return state


def shown(run: Run, task: str, what: str, name: str = "") -> dict[str, Any]:
    state = state_of(run)
    assert state.plan is not None
    found = state.tasks[task]
    return content(view_of(run).subject, state.plan.tasks[found.index], found, what, name)


def test_what_a_command_prints_is_told_while_it_runs(start: Callable[..., Run], tmp_path: Path) -> None:
    go = tmp_path / "go"
    script = f"echo one; echo two >&2; printf begun; while [ ! -e {go} ]; do sleep 0.01; done; echo ' and ended'"
    run = start({"id": "a", "command": script})
    until(lambda: statuses(run)["a"] == "running")
    pane = ToldOutputs(view_of(run))

    def told(*lines: Any) -> bool:
        pane.note(Changes())
        return pane.lines() == list(lines)

    until(lambda: told("one", ["two", "stderr"]))
    until(lambda: told("one", ["two", "stderr"]) and pane.last("text")["text"]["open"] == ["begun"])
    assert pane.last("task")["task"]["live"] is True
    go.touch()
    run.wait(10)
    until(lambda: told("one", ["two", "stderr"], "begun and ended"))
    until(lambda: pane.last("task")["task"]["live"] is False)
    until(lambda: pane.last("text")["text"]["open"] == [])


def test_of_a_task_without_a_log_the_steps_are_told(start: Callable[..., Run]) -> None:
    run = start({"id": "a", "agent": "simulated", "parameters": {"steps": ["open", "read <b>"], "duration": 0.01}})
    run.wait(10)
    pane = ToldOutputs(view_of(run))
    pane.note(Changes())
    until(lambda: pane.lines() == ["0/2 open", "1/2 read <b>"])


def test_what_a_coding_agent_does_is_told_in_words_while_it_works(
    start: Callable[..., Run], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    need(Level.BUBBLEWRAP)
    monkeypatch.setenv("PUPPET_KEY", "key-of-the-puppet")
    go = tmp_path / "shared" / "go"
    go.parent.mkdir()
    told = (
        *(("say", "I look.\nI see."), ("run", "echo '<b>'; false"), ("bash", "make"), ("spend", 500, 20)),
        *(("run", f"while [ ! -e {go} ]; do sleep 0.02; done"), ("say", "Done.")),
    )
    parameters = {"directories": [str(go.parent)]}
    monkeypatch.chdir(make_repository(tmp_path / "repository"))
    run = start({"id": "a", "agent": PUPPET, "prompt": steps(*told), "parameters": parameters})
    pane = ToldOutputs(view_of(run))
    words = [
        "[puppet runs with level edit, contained by bubblewrap; open: the network: egress, loopback and its neighbours]",  # noqa: E501
        "[at work (puppet-1)]",
        *("I look.", "I see.", "> Bash: echo '<b>'; false", "  | <b>", ["  exit code 1", "warning"]),
        *("> Bash: make", ["refused: Bash make: This command requires approval", "warning"]),
    ]
    until(lambda: pane.note(Changes()) or pane.lines()[: len(words)] == words, 30)
    until(lambda: pane.note(Changes()) or "500 tokens in, 20 out, cost unknown" in pane.last("task")["task"]["by"])
    assert pane.last("task")["task"]["marks"] == "1 refused"
    assert pane.last("task")["task"]["live"]
    go.touch()
    run.wait(30)
    until(lambda: pane.note(Changes()) or "Done." in pane.lines())
    until(lambda: pane.note(Changes()) or "[used 105 tokens in, 10 out, 0.2500 $]" in pane.lines())
    again = ToldOutputs(view_of(run))
    until(lambda: again.note(Changes()) or "Done." in again.lines())
    assert again.lines()[: len(words)] == words  # it is read whole, and what it started with comes first
    assert "I see." in run["a"].log
    assert any("make" in sentence and "level `full`" in sentence for sentence in shown(run, "a", "why")["lines"])


def test_it_follows_what_runs_until_somebody_selects_a_task(start: Callable[..., Run]) -> None:
    simulated = {"agent": "simulated", "parameters": {"duration": 60.0}}
    run = start(
        {"id": "a", "agent": "simulated"}, {"id": "b", **simulated, "dependencies": ["a"]}, {"id": "c", **simulated}
    )
    view = view_of(run)
    until(lambda: statuses(run)["b"] == statuses(run)["c"] == "running")
    pane = ToldOutputs(view)
    pane.note(Changes())
    until(lambda: pane.shows() == ("b", True))
    until(lambda: pane.last("text")["text"]["key"] == "b/1")
    view.select("a")
    pane.note(Changes(run=True))
    until(lambda: pane.shows() == ("a", False))
    pane.received({"type": "follow", "on": True})
    until(lambda: pane.note(Changes()) or pane.shows() == ("b", True))
    pane.received({"type": "find", "text": "c"})
    assert view.selected == "c"


def test_an_earlier_attempt_can_be_read(start: Callable[..., Run], tmp_path: Path) -> None:
    script = f"echo $ORCH_ATTEMPT; [ -e {tmp_path}/again ] || {{ touch {tmp_path}/again; exit 3; }}"
    run = start({"id": "a", "command": script, "retry": {"attempts": 2, "delay": 0.01}}).wait(10)
    pane = ToldOutputs(view_of(run))
    pane.note(Changes())
    until(lambda: pane.lines() == ["2"])
    pane.received({"type": "attempt", "attempt": 1})
    until(lambda: pane.lines() == ["1"])
    assert pane.last("text")["text"]["key"] == "a/1"


def test_results_files_and_reasons_are_made_for_the_page(start: Callable[..., Run]) -> None:
    script = (
        "echo '# Done <script>'; cd $ORCH_OUTPUTS; echo '*well* ![p](plot.png)' > note.md; "
        "echo '{\"a\": 1}' > data.json; "
        "printf 'a\\0b' > raw.bin; printf '\\211PNG\\r\\n\\032\\n' > plot.png; echo '<b>' > page.html"
    )
    files = ["note.md", "data.json", "raw.bin", "plot.png", "page.html"]
    run = start({"id": "a", "command": script, "outputs": files}, {"id": "bad", "command": "exit 3"}).wait(20)
    assert shown(run, "a", "result")["html"] == "<pre># Done &lt;script&gt;</pre>"
    assert "<em>well</em>" in shown(run, "a", "file", "note.md")["html"]
    assert 'src="data:image/png;base64,' in shown(run, "a", "file", "note.md")["html"]
    assert '"a": 1' in shown(run, "a", "file", "data.json")["html"].replace("&quot;", '"')
    assert shown(run, "a", "file", "raw.bin") == {"lines": ["It is not text, and no picture that can be shown here."]}
    assert shown(run, "a", "file", "plot.png")["image"].startswith("data:image/png;base64,iVBORw0KGgo")
    assert "&lt;b&gt;" in shown(run, "a", "file", "page.html")["html"]
    assert shown(run, "a", "file", "../../events.jsonl") == {"lines": ["The task has no such file."]}
    assert "exit code" in shown(run, "bad", "result")["html"]
    assert "failed" in shown(run, "bad", "why")["lines"][0]
    (run.path / "outputs/a/note.md").write_text("changed")
    assert "was changed" in shown(run, "a", "file", "note.md")["lines"][0]


def test_a_question_of_the_page_is_answered_in_the_background(start: Callable[..., Run]) -> None:
    run = start({"id": "a", "agent": "simulated", "parameters": {"result": "**fine**"}}).wait(10)
    pane = ToldOutputs(view_of(run))
    pane.received({"type": "ask", "what": "result", "key": "a 1 completed 0"})
    until(lambda: any(message["type"] == "content" for message in pane.told))
    assert pane.last("content") | {"now": 0, "number": 0} == {
        "type": "content", "what": "result", "key": "a 1 completed 0", "name": "", "now": 0, "number": 0,
        "content": {"html": "<p><strong>fine</strong></p>\n"},
    }  # fmt: skip


def test_the_log_tells_the_past_and_then_what_happens(start: Callable[..., Run]) -> None:
    simulated = {"agent": "simulated"}
    run = start(
        {"id": "a", **simulated},
        {"id": "bad", **simulated, "parameters": {"fail": "no disk"}},
        {"id": "q", "agent": "human", "prompt": "Go?"},
    )
    log = ToldLog(view_of(run))

    def says(words: str) -> bool:
        log.note(Changes())
        return any(words in (line if isinstance(line, str) else line[0]) for line in log.lines)

    until(lambda: says("Checkpoint Reached: Go?") and says("a completed"))
    assert [line[1] for line in log.lines if "no disk" in line[0]] == ["error"]
    run.approve("q")
    run.wait(10)
    until(lambda: says("approved"))
    assert len(log.lines) == len(log._recent.since(0)["lines"])
    assert "Checkpoint Reached: Go?" in log.settled(log.view)["text/plain"]


def test_nothing_is_told_that_is_not_published(start: Callable[..., Run]) -> None:
    run = start({"id": "a", "agent": "simulated"}).wait(10)
    path = view_of(run).subject.directory.log_path
    records = Records(path)
    seen = records.read(3)
    assert [record.seq for record in seen] == [1, 2, 3]
    assert [record.seq for record in records.read(5)] == [4, 5]
    with path.open("ab") as log:
        log.write(b'{"seq":99')
    rest = records.read(10**6)
    assert rest[-1].seq == state_of(run).seq
    assert records.read(10**6) == []


def test_the_results_of_all_tasks_stay(start: Callable[..., Run]) -> None:
    simulated = {"agent": "simulated"}
    run = start(
        {"id": "a", **simulated, "parameters": {"result": "**fine** <script>"}},
        {"id": "b", **simulated, "parameters": {"result": {"n": 5}}},
        {"id": "c", **simulated, "parameters": {"fail": "no"}},
    ).wait(10)
    bundle = OutputPane.settled(view_of(run))
    assert "<strong>fine</strong>" in bundle["text/html"]
    assert "<script" not in bundle["text/html"]
    assert bundle["text/plain"].splitlines()[0] == "a: **fine** <script>"
    assert msgspec.json.encode(bundle)
