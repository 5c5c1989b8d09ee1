"""Hostile text on its way to people: terminal sequences (E6), bytes that are no text (E4), Markdown tricks (E10)."""

from __future__ import annotations

import random
from collections.abc import Iterator

import msgspec
import pytest

from orchestrator_nb.core import events as e
from orchestrator_nb.core.changes import differences
from orchestrator_nb.core.models import Plan
from orchestrator_nb.core.reports import Finding, Report
from orchestrator_nb.core.state import State
from orchestrator_nb.merging import WRITERS, Collection, Contribution, merge
from orchestrator_nb.planning.breakdown import TaskBreakdown
from orchestrator_nb.planning.proposal import proposal_text
from orchestrator_nb.policies.admission import Admission
from orchestrator_nb.projections.explain import explain
from orchestrator_nb.projections.files import Files
from orchestrator_nb.projections.lines import Lines
from orchestrator_nb.projections.text import Cleaner, clean, inline, one_line
from orchestrator_nb.projections.transcript import Transcript
from tests.markdown import skeleton

SEQUENCES = [
    # SGR, cursor, erasing, scrolling, modes
    "\x1b[31m", "\x1b[1;4;38;5;196m", "\x1b[38;2;1;2;3m", "\x1b[2J", "\x1b[H", "\x1b[1A", "\x1b[2K", "\x1b[?25l",
    "\x1b[?1049h", "\x1b[6n", "\x1b[c", "\x1b[>c", "\x1b[!p", "\x1b[ q", "\x1b[1;2\"q", "\x1b[21t", "\x1b[8;10;10t",
    "\x1b[?2004h", "\x1b[s\x1b[u",
    # OSC: title, link, clipboard, colours, notification, with either end
    "\x1b]0;title\x07", "\x1b]2;title\x1b\\", "\x1b]8;;http://evil.example\x07text\x1b]8;;\x07",
    "\x1b]8;id=1;file:///\x1b\\x\x1b]8;;\x1b\\", "\x1b]52;c;ZXZpbA==\x07", "\x1b]52;c;?\x1b\\",
    "\x1b]4;1;rgb:f/0/0\x07", "\x1b]9;hello\x07", "\x1b]777;notify;a;b\x07", "\x1b]1337;File=:AA\x07",
    "\x1b]unfinished", "\x1b]0;cut by\x18cancel", "\x1b]0;cut by\x1b[31mescape",
    # DCS, APC, PM, SOS
    "\x1bPq#0;2\x1b\\", "\x1bP$qm\x1b\\", "\x1b_Gf=24\x1b\\", "\x1b^pm\x1b\\", "\x1bXsos\x1b\\", "\x1bP\x1bP\x1b\\",
    # other escapes
    "\x1bc", "\x1b7\x1b8", "\x1b(0", "\x1b#8", "\x1b%G", "\x1b=", "\x1bN", "\x1b", "\x1b\x1b\x1b[m",
    # C1
    "\x9b31m", "\x9d0;title\x9c", "\x9d0;title\x07", "\x90q\x9c", "\x84\x85\x8d", "\x9e\x9f\x98",
    # C0
    "\x00", "\x07\x07", "\x08\x08\x08", "\x0b\x0c", "\x0e\x0f", "\x7f",
    # direction, invisible
    "\u202eevil\u202c", "\u2066\u2067\u2068\u2069", "\u200e\u200f\u061c", "a\u200bb\u200cc\u200dd\ufeff",
    "\u2028\u2029", "\U000e0041\U000e007f",
]  # fmt: skip

UNSEEN = set(
    "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200b\u200c\u200d\u200e\u200f\u061c\ufeff\u2028\u2029"
)


def is_safe(text: str) -> bool:
    controls = {c for c in text if (ord(c) < 0x20 and c not in "\n\t") or 0x7F <= ord(c) < 0xA0}
    return not controls and not UNSEEN & set(text) and not any(0xE0000 <= ord(c) <= 0xE0FFF for c in text)


def test_row_E6_sequences_are_removed_or_shown() -> None:
    assert len(SEQUENCES) >= 60
    for sequence in SEQUENCES:
        for text in (f"before {sequence} after", sequence, f"a\n{sequence}\nb", sequence * 3):
            assert is_safe(clean(text)), repr(text)
            assert is_safe(one_line(text)), repr(text)
            assert is_safe(inline(text)), repr(text)
    assert clean("before \u202eevil after") == "before ⟨U+202E⟩evil after"
    for sequence in SEQUENCES[: SEQUENCES.index("\x1b]0;title\x07") + 2]:
        assert clean(f"before{sequence}after") == "beforeafter", "nothing of it is left"


def test_row_E6_sequences_split_across_chunks_are_removed_too() -> None:
    dice = random.Random(6)
    for sequence in SEQUENCES:
        data = f"before{sequence}\n{sequence}after".encode()
        expected = clean(data)
        for cut in range(len(data) + 1):
            cleaner = Cleaner()
            text = cleaner.feed(data[:cut]) + cleaner.feed(data[cut:]) + cleaner.end()
            assert text == expected, (sequence, cut)
        cleaner = Cleaner()
        assert "".join(cleaner.feed(bytes([byte])) for byte in data) + cleaner.end() == expected
    mix = "".join(dice.choices(SEQUENCES, k=500)).encode()
    cleaner = Cleaner()
    size = 7
    text = "".join(cleaner.feed(mix[at : at + size]) for at in range(0, len(mix), size)) + cleaner.end()
    assert is_safe(text)


def test_row_E6_no_sink_lets_a_sequence_through() -> None:
    for at in range(0, len(SEQUENCES), 10):
        hostile = " ".join(SEQUENCES[at : at + 10])
        for name, text in sinks(hostile):
            assert is_safe(text), name


def sinks(hostile: str) -> Iterator[tuple[str, str]]:
    """Every text for people that is made of a session in which `hostile` is everywhere."""
    plan, records, contents = session(hostile)
    state, files = State(), Files(lambda artifact: contents[artifact.sha256])
    lines, transcript = Lines(), Transcript()
    for record in records:
        state.apply(record, plan if isinstance(record.event, e.PlanAccepted) else None)
        files.apply(record, state)
        yield "lines", "\n".join(lines.of(record, state))
        yield "transcript", transcript.of(record, state)
    for path, content in files.changed():
        if isinstance(content, bytes) and path != "artifacts/plan.json":
            yield path, content.decode()
    for task in state.tasks:
        yield "explain", "\n".join(explain(state, task, Admission()).sentences)
    notes = {"goal": hostile, "assumptions": (hostile,), "parallel": hostile}
    yield "proposal", proposal_text(TaskBreakdown(plan=plan, **notes), [hostile], differences(Plan(), plan))
    for strategy in WRITERS:
        yield strategy, merge(strategy, contributions(hostile))


def session(hostile: str) -> tuple[Plan, list[e.Record], dict[str, bytes]]:
    """A session of every kind of event, with `hostile` wherever somebody else chooses the words."""
    plan = Plan.model_validate(
        {
            "title": hostile,
            "description": hostile,
            "tasks": [
                {"id": "a", "title": hostile, "prompt": hostile, "agent": "simulated", "parameters": {"x": hostile}},
                {"id": "b", "title": hostile, "command": ["x", hostile], "dependencies": ["a"], "checks": [hostile]},
                {"id": "c", "title": hostile, "prompt": hostile, "agent": "human", "role": hostile, "cwd": hostile},
                {"id": "d", "command": hostile, "dependencies": ["b"], "fallback": {"command": hostile}},
                {"id": "e", "function": hostile, "inputs": {"x": hostile}, "files": [hostile]},
            ],
        }
    )
    report = {"summary": hostile, "findings": [{"message": hostile, "file": hostile, "rule": hostile}]}
    contents = {"1": b"{}", "2": msgspec.json.encode({**report, "metrics": {hostile: hostile}})}
    events: list[e.AnyEvent] = [
        e.SessionCreated("s", "0", 1, hostile, hostile),
        e.GoalSet(e.Artifact("blobs/1", 2, "1"), hostile),
        e.PlanAccepted(1, e.Artifact("blobs/1", 2, "1"), hostile, 5, {"target": hostile}, source=hostile),
        e.PlanProposed("a", 1, e.Artifact("blobs/1", 2, "1"), hostile, 5, (hostile,)),
        e.GapsFound("a", 1, (hostile,)),
        e.RunStarted(1, 1, hostile),
        e.WarningRaised(hostile),
        e.TaskStarted("a", 1, 1),
        e.ProcessStarted("a", 1, 10, 10),
        e.TaskProgressed("a", 1, hostile, 1, 2),
        e.TaskCompleted("a", 1, 1.0, result=e.Artifact("results/agent-01-result.json", 1, "2"), format="report"),
        e.TaskStarted("c", 1, 1),
        e.CheckpointReached("c@1", "c", 1, hostile, "h"),
        e.CheckpointRejected("c@1", "h", hostile, hostile),
        e.TaskFailureSettled("c", "block"),
        e.TaskStarted("b", 1, 2),
        e.TaskFailed("b", 1, hostile, "exit_code", 1.0, 1, commits=(hostile,)),
        e.TaskFailureSettled("b", "block"),
        e.TaskBlocked("d", "b"),
        e.TaskStarted("e", 1, 3),
        e.AttemptInterrupted("e", 1, hostile),
        e.TaskCancelled("e", hostile, hostile),
        e.StopRequested(hostile, hostile),
        e.ResultsMerged("structured", e.Artifact("final_output.md", 1, "3"), ("b", "d")),
        e.RunEnded(1, "failed", hostile),
    ]
    return plan, [e.Record(at, 1736692200.0 + at, event) for at, event in enumerate(events, 1)], contents


def contributions(hostile: str) -> Collection:
    """Results of every kind, with `hostile` wherever somebody else chooses the words."""
    first = Finding(hostile, hostile, "high", hostile, 3, hostile)
    report = Report(hostile, (first, *[Finding(hostile, "style", "low", hostile, 3, hostile) for _ in range(16)]))
    return Collection(
        hostile,
        (
            Contribution("Agent-01", "a", hostile, result=report, file="results/agent-01-result.md"),
            Contribution("Agent-02", "b", hostile, result=Report("", (), {hostile: hostile, "n": 1})),
            Contribution("Agent-03", "c", hostile, result=hostile, file="results/agent-03-result.md"),
            Contribution("Agent-04", "d", hostile, result=hostile, printed=True),
            Contribution("Agent-05", "e", hostile, result={"text": [hostile]}),
            Contribution("Agent-06", "f", hostile, outputs={hostile: "outputs/f/x", "a.png": "outputs/f/a b(1).png"}),
            Contribution("Agent-07", "g", hostile, missing=hostile),
        ),
    )


# -- E4 ----------------------------------------------------------------------------------------------------------------


def test_row_E4_every_byte_becomes_text_and_what_was_no_text_is_flagged() -> None:
    dice = random.Random(4)
    samples = [bytes([value]) for value in range(256)] + [b"x" + bytes([value]) + b"\r\n" for value in range(256)]
    samples += [dice.randbytes(dice.randint(0, 300)) for _ in range(1000)]
    for sample in samples:
        cleaner = Cleaner()
        text = cleaner.feed(sample) + cleaner.end()
        assert is_safe(text), sample
        assert text == clean(sample)
        text.encode()
        assert cleaner.lossy == ("\ufffd" in sample.decode("utf-8", "replace")), sample


def test_row_E4_marks_and_line_ends_are_made_alike() -> None:
    assert clean(b"\xef\xbb\xbfa\r\nb\r\n") == "a\nb\n"
    assert clean("a\x00b".encode("utf-16")) != ""


# -- E10 ---------------------------------------------------------------------------------------------------------------

TRICKS = [
    # headings, rules, lists, quotations
    "# Heading", "## Collection checklist", "Summary\n===", "Summary\n---", "text\n\n# Approved\n\ntext", "---",
    "***", "- item\n- item", "1. one", "1) one", "> quoted", "+ plus", "    code", "- # heading in a list",
    "> # heading in a quotation", "* * *", "# Closed #",
    # tables
    "| a | b |\n|---|---|\n| 1 | 2 |", "a | b", "|---|", "||||", "\\|", "x |\n| y", "a\n:-:", "--- | ---", "`a|b`",
    "\\`|\\`",
    # fences and code
    "```", "```python\nx", "~~~\ny", "````\n```", "`", "``", "`a", "a `b` c", "`` ` ``", "```\n# inside\n```",
    "\t# indented",
    # links and pictures
    "[text](http://evil.example)", "![p](http://evil.example/p.png)", "[a]: http://evil.example\n\n[a]",
    "[x](javascript:alert(1))", "<http://evil.example>", "[a][b]\n\n[b]: x", "![a][b]", "](x)", "[![a](b)](c)",
    "<javascript:alert(1)>", "[^1]: note",
    # HTML
    "<h1>Approved</h1>", "<!-- comment", "<script>alert(1)</script>", "</div></table>", "<details>", "<pre>\n\nx",
    "<![CDATA[", "<?php", "<img src=x onerror=alert(1)>", "<style>*{}</style>", "&lt;b&gt; &#35; &amp;", "<br>",
    # emphasis, escapes, ends of lines
    "**bold", "__x__ _y_", "~~gone~~", "\\", "\\\\", "line  \nbreak", "line\\\nbreak", "$x$ $$y$$", "a\r# b\r\n# c",
    "\u2028# x",
]  # fmt: skip


@pytest.mark.parametrize("strategy", sorted(WRITERS))
def test_row_E10_no_text_changes_the_structure_of_the_merged_document(strategy: str) -> None:
    assert len(TRICKS) >= 50
    plain = skeleton(merge(strategy, contributions("harmless")))
    for trick in TRICKS:
        assert skeleton(merge(strategy, contributions(trick))) == plain, trick


def test_row_E10_no_text_changes_the_structure_of_the_plan_and_the_task_files() -> None:
    plain = {name: skeleton(text) for name, text in sinks("harmless") if name.endswith(".md")}
    assert set(plain) >= {"master_plan.md", "agent_tasks/agent-01.md", "results/agent-01-result.md"}
    for trick in TRICKS:
        hostile = {name: skeleton(text) for name, text in sinks(trick) if name.endswith(".md")}
        assert hostile == plain, trick
