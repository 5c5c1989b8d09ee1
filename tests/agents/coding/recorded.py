"""Recorded runs of the real CLIs, and their labels: written by hand from the raw lines, apart from the parsers.

`transcripts/recorded.tar.xz` holds, for each run, what it wrote on standard output (`NAME.out`) and standard error
(`NAME.err`), and how it was called and ended (`NAME.meta.json`: `argv`, `rc`, `signal` that the recorder sent,
`limit_hit` if the recorder's time was over).
"""

from __future__ import annotations

import json
import random
import tarfile
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from orchestrator_nb.agents.coding.cli import Clis, CodingCli
from orchestrator_nb.agents.coding.judging import Ended, Summary, judge
from orchestrator_nb.agents.coding.streams import Reader
from orchestrator_nb.agents.coding.vocabulary import AgentEvent

HERE = Path(__file__).parent
LABELS: dict[str, dict[str, Any]] = json.loads((HERE / "labels.json").read_text("utf-8"))


class Run(NamedTuple):
    """One recorded run."""

    name: str
    output: bytes
    errors: bytes
    code: int
    ended: Ended

    @property
    def cli(self) -> CodingCli:
        """The CLI that it is of."""
        kind = self.name.partition("-")[0]
        return Clis().get("claude" if kind == "claudeold" else kind)


@cache
def runs() -> dict[str, Run]:
    """All runs, by name."""
    files: dict[str, bytes] = {}
    with tarfile.open(HERE / "transcripts" / "recorded.tar.xz") as archive:
        for member in archive:
            content = archive.extractfile(member)
            assert content is not None
            files[member.name] = content.read()
    names = sorted({name.partition(".")[0] for name in files})
    return {name: _run(name, files) for name in names}


def _run(name: str, files: dict[str, bytes]) -> Run:
    meta = json.loads(files.get(f"{name}.meta.json", b'{"rc": 0}'))
    ended: Ended = "stopped" if meta.get("signal") else "timeout" if meta.get("limit_hit") else "itself"
    return Run(name, files[f"{name}.out"], files.get(f"{name}.err", b""), meta["rc"], ended)


def streams() -> list[Run]:
    """The runs whose standard output is a stream of JSON lines."""
    return [run for name, run in runs().items() if LABELS[name]["mode"] == "stream"]


def read(cli: CodingCli, chunks: Iterable[bytes]) -> list[AgentEvent]:
    """The events of a standard output that comes in `chunks`."""
    parser = cli.parser()
    reader = Reader(parser.output)
    events = [event for chunk in chunks for event in reader.feed(chunk)]
    return [*events, *reader.end(), *parser.end()]


def read_errors(cli: CodingCli, errors: bytes) -> list[AgentEvent]:
    """The events of a standard error."""
    reader = Reader(cli.parser().errors)
    return [*reader.feed(errors), *reader.end()]


def judged(run: Run) -> Summary:
    """How the run ended, from everything that it wrote."""
    events = [*read(run.cli, [run.output]), *read_errors(run.cli, run.errors)]
    return judge(run.cli, events, run.code, run.errors.decode("utf-8", "replace"), run.ended)


def shuffled(value: Any, order: random.Random) -> Any:
    """The same JSON value with the keys of all its objects in another order."""
    if isinstance(value, dict):
        keys = list(value)
        order.shuffle(keys)
        return {key: shuffled(value[key], order) for key in keys}
    return [shuffled(item, order) for item in value] if isinstance(value, list) else value
