"""Plan files that are bombs (E1); as a program: loads each of them, and tells what that cost.

python -m tests.faults.bad_files DIRECTORY
"""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

MB = 1_000_000
_LETTERS = "abcdefghij"


def _laughs(merge: str) -> str:
    """Aliases of aliases: ten to the ninth values, as list items or by merge keys."""
    lines = [f"a: &a {{{', '.join(f'k{n}: x' for n in range(9))}}}" if merge else "a: &a [x, x, x, x, x, x, x, x, x]"]
    for before, name in pairwise(_LETTERS):
        items = ", ".join([f"*{before}"] * 9)
        lines.append(f"{name}: &{name} {{<<: [{items}]}}" if merge else f"{name}: &{name} [{items}]")
    return "\n".join(lines)


#: The content of each file; made when it is asked for.
BAD_FILES: dict[str, Callable[[], str | bytes]] = {
    "laughs.yaml": lambda: _laughs(""),
    "merge.yaml": lambda: _laughs("<<"),
    "quadratic.yaml": lambda: f"a: &a {'x' * 10_000}\nb: [{', '.join(['*a'] * 10_000)}]",
    "recursive.yaml": lambda: "&a [*a]",
    "object.yaml": lambda: "title: !!python/object/apply:os.system [touch CANARY]",
    "binary.yaml": lambda: "title: !!binary aGVsbG8=",
    "own-tag.yaml": lambda: "title: !include /etc/passwd",
    "anchors.yaml": lambda: "".join(f"- &a{number} x\n" for number in range(350_000)),
    "deep-flow.yaml": lambda: "[" * 100_000,
    "deep-mapping.yaml": lambda: "{a: " * 100_000,
    "deep-block.yaml": lambda: "- " * 100_000,
    "deep-keys.yaml": lambda: "".join(" " * level + f"k{level}:\n" for level in range(2_000)),
    "question.yaml": lambda: "? " * 100_000,
    "documents.yaml": lambda: "---\n" * MB,
    "large.yaml": lambda: "#" * (5 * MB + 1),
    "wide-list.yaml": lambda: "tasks: [" + "{}," * (1_600 * 1_000) + "]",
    "wide-mapping.yaml": lambda: "tasks: {" + "".join(f"k{number}: ," for number in range(400_000)) + "}",
    "doubled.yaml": lambda: "a: 1\n" * 900_000,
    "wrong-keys.yaml": lambda: "tasks:\n" + "- {id: a, comand: x}\n" * 40_000,
    "one-text.yaml": lambda: "title: " + "a" * (4_900 * 1_000),
    "folded.yaml": lambda: "title: >\n" + " a\n\n" * 900_000,
    "utf-16.yaml": lambda: ("title: x\n" * 200_000).encode("utf-16"),
    "zeros.yaml": lambda: bytes(4 * MB),
    "deep.json": lambda: "[" * 100_000,
    "deep-mapping.json": lambda: '{"a":' * 100_000,
    "digits.json": lambda: '{"title": ' + "9" * (4 * MB) + "}",
    "wide.json": lambda: '{"tasks": [' + "{}," * (1_600 * 1_000) + "{}]}",
    "doubled.json": lambda: "{" + '"a":1,' * 800_000 + '"a":1}',
    "nan.json": lambda: '{"a": [' + "NaN," * 1_200_000 + "1]}",
    "quotes.json": lambda: '{"a": ' + '"\\' * (2 * MB),
}


def main(directory: Path) -> None:
    """Load every file and print a line of JSON for each: its first error, CPU seconds, growth of memory."""
    import yaml  # noqa: F401 - what every load needs is not part of one

    from orchestrator_nb.planning.plan_file import load_plan

    resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30))
    load_plan(directory / "none.yaml")
    for name, content in BAD_FILES.items():
        data = content()
        path = directory / name
        path.write_bytes(data if isinstance(data, bytes) else data.encode())
        del data
        before, began = _reset_peak(), time.process_time()
        errors = load_plan(path).errors
        seconds = round(time.process_time() - began, 3)
        error = str(errors[0]) if errors else ""
        del errors
        mebibytes = round((_peak() - before) / 1024, 1)
        path.unlink()
        print(json.dumps({"name": name, "error": error, "seconds": seconds, "mebibytes": mebibytes}))


def _reset_peak() -> int:
    """Forget the highest memory so far; return the memory now, in KiB."""
    Path("/proc/self/clear_refs").write_text("5")
    return _status("VmRSS")


def _peak() -> int:
    return _status("VmHWM")


def _status(key: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(key)).split()[1])


if __name__ == "__main__":
    main(Path(sys.argv[1]))
