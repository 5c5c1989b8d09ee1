"""The parsers and the judge on recorded runs of the real CLIs, whole and mangled."""

from __future__ import annotations

import json
import random
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator_nb.agents.coding.cli import Clis
from orchestrator_nb.agents.coding.judging import judge
from orchestrator_nb.agents.coding.vocabulary import AgentEvent, PermissionDenied, Unknown
from tests.agents.coding.recorded import LABELS, Run, judged, read, read_errors, runs, shuffled, streams

CLIS = Clis()
STREAMS = streams()
MANGLED = settings(deadline=None, max_examples=60)
one_run = st.sampled_from([run for run in STREAMS if run.output])


def test_every_run_has_its_label() -> None:
    assert sorted(LABELS) == sorted(runs())
    assert len(STREAMS) >= 100


@pytest.mark.parametrize("run", STREAMS, ids=lambda run: run.name)
def test_a_run_is_judged_as_its_label_says(run: Run) -> None:
    label = LABELS[run.name]
    seen = read(run.cli, [run.output])
    stream = judge(run.cli, seen, run.code, "", run.ended)
    whole = judged(run)
    assert {
        "state": whole.state,
        "error": whole.error or None,
        "retried": stream.retries > 0,
        "session": whole.session,
        "usage": whole.usage and {name: getattr(whole.usage, name) for name in label["usage"] or ()},
        "denials": [{"tool": denial.tool, "target": denial.target} for denial in stream.denials],
    } == {key: label[key] for key in ("state", "error", "retried", "session", "usage", "denials")}
    elsewhere = label.get("on_stderr", {})
    told = [event for event in read_errors(run.cli, run.errors) if isinstance(event, PermissionDenied)]
    assert len(told) >= elsewhere.get("denials", 0)
    assert whole.retries > 0 or not elsewhere.get("retried")
    assert not [event for event in seen if isinstance(event, Unknown)], "these versions are known"


@pytest.mark.parametrize("run", [run for run in runs().values() if run not in STREAMS], ids=lambda run: run.name)
def test_other_output_crashes_no_parser(run: Run) -> None:
    """Text, one JSON document, messages of other protocols: each parser takes it, what it doesn't know is counted."""
    for name in CLIS:
        cli = CLIS.get(name)
        events = [*read(cli, [run.output]), *read_errors(cli, run.errors)]
        summary = judge(cli, events, run.code, run.errors.decode("utf-8", "replace"), run.ended)
        lines = sum(1 for line in run.output.split(b"\n") if line.strip())
        assert summary.unknown == sum(isinstance(event, Unknown) for event in events) <= lines


def test_the_events_of_every_run_are_plain_data() -> None:
    codec = msgspec.json.Decoder(AgentEvent)
    for run in STREAMS:
        for event in read(run.cli, [run.output]):
            assert codec.decode(msgspec.json.encode(event)) == event
            assert event.line >= 1


@MANGLED
@given(run=one_run, data=st.data())
def test_any_chunks_give_the_same_events(run: Run, data: st.DataObject) -> None:
    size = len(run.output)
    cuts = sorted(data.draw(st.lists(st.integers(0, size), max_size=30)))
    chunks = [run.output[a:b] for a, b in zip([0, *cuts], [*cuts, size], strict=True)]
    assert read(run.cli, chunks) == read(run.cli, [run.output])


def test_single_bytes_give_the_same_events() -> None:
    for run in (runs()["claude-write-denied"], runs()["codex-bash-readonly-slow"], runs()["gemini-write-plan"]):
        assert read(run.cli, (bytes([byte]) for byte in run.output)) == read(run.cli, [run.output])


@MANGLED
@given(run=one_run, seed=st.integers())
def test_any_order_of_keys_gives_the_same_events(run: Run, seed: int) -> None:
    order = random.Random(seed)
    lines = [json.dumps(shuffled(json.loads(line), order)) for line in run.output.splitlines() if line.strip()]
    assert read(run.cli, ["\n".join(lines).encode()]) == read(run.cli, [run.output])


@MANGLED
@given(run=one_run, data=st.data())
def test_torn_output_loses_only_what_is_torn(run: Run, data: st.DataObject) -> None:
    torn = run.output[: data.draw(st.integers(0, len(run.output)))]
    whole_lines = torn.count(b"\n")
    before = [event for event in read(run.cli, [run.output]) if event.line <= whole_lines]
    events = [event for event in read(run.cli, [torn]) if event.line <= whole_lines]
    assert events[: len(before)] == before[: len(events)]
    assert len(events) >= len(before) - 1, "a text that was still to be completed at most"
    assert judge(run.cli, events, -9, "", "stopped").state in ("succeeded", "failed", "interrupted")


# -- lines that no version writes --------------------------------------------------------------------------------------

WORDS = """
type subtype message content text thinking id name input tool_use_id is_error tool_result_meta permission_decision
decision reject permission_denials tool_input tool_name usage input_tokens output_tokens session_id event delta
item status failed completed declined command aggregated_output exit_code changes path kind error thread_id role
assistant tool_id parameters output stats cached attempt error_status rate_limit_info rejected resetsAt num_turns
result errors system init permission_denied api_retry user tool_use tool_result text_delta stream_event
rate_limit_event thread.started turn.completed turn.failed item.started item.completed agent_message
command_execution file_change Bash Write run_shell_command write_file policy_violation tool_not_registered success
api_error_status
"""
names = st.sampled_from(WORDS.split())
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | names | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names | st.text(max_size=5), inner, max_size=6),
    max_leaves=25,
)
records = st.dictionaries(names, values, max_size=8)


@settings(deadline=None, max_examples=120)
@given(name=st.sampled_from(CLIS.names()), lines=st.lists(records | values, max_size=6))
def test_arbitrary_json_crashes_no_parser(name: str, lines: list[Any]) -> None:
    cli = CLIS.get(name)
    output = b"\n".join(json.dumps(line).encode() for line in lines)
    events = [*read(cli, [output]), *read_errors(cli, output)]
    assert msgspec.json.decode(msgspec.json.encode(events), type=list[AgentEvent]) == events
    judge(cli, events, 1, output.decode())


@settings(deadline=None, max_examples=120)
@given(name=st.sampled_from(CLIS.names()), chunks=st.lists(st.binary(max_size=200), max_size=10))
def test_arbitrary_bytes_crash_no_parser(name: str, chunks: list[bytes]) -> None:
    cli = CLIS.get(name)
    events = [*read(cli, chunks), *read_errors(cli, b"".join(chunks))]
    assert all(event.line >= 1 for event in events)


@MANGLED
@given(run=one_run, data=st.data())
def test_changed_values_crash_no_parser(run: Run, data: st.DataObject) -> None:
    """A later version that gives a key another type."""
    lines = [json.loads(line) for line in run.output.splitlines() if line.strip()]
    for record in lines:
        tables = [record, *(value for value in record.values() if isinstance(value, dict))]
        table = data.draw(st.sampled_from(tables))
        if table:
            table[data.draw(st.sampled_from(sorted(table)))] = data.draw(values)
    events = read(run.cli, ["\n".join(map(json.dumps, lines)).encode()])
    judge(run.cli, events, run.code)
