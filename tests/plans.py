"""Hypothesis strategies: ids, plans as plan files have them (good ones and slightly wrong ones), graphs."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st

#: The fast tier tries the same examples every time, without a stopwatch; slow tests ask for new ones themselves.
settings.register_profile("fast", deadline=None, derandomize=True)
settings.load_profile("fast")

NAMES = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,8}", fullmatch=True)
#: Text that JSON and YAML both can escape: YAML has no pairs of surrogates.
TEXTS = st.text(st.characters(codec="utf-8", max_codepoint=0xFFFF, exclude_characters="\0"), max_size=20)
NUMBERS = st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False, allow_infinity=False)
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)
SEGMENTS = st.from_regex(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,6}[A-Za-z0-9_-])?", fullmatch=True)
IDS = st.lists(SEGMENTS, min_size=1, max_size=3).map("/".join)
PATHS = st.lists(SEGMENTS, min_size=1, max_size=3).map("/".join)
POSITIVE = st.floats(min_value=0.001, max_value=1000) | st.integers(1, 1000)
COMMANDS = TEXTS | st.lists(TEXTS, max_size=3)


def mapping(required: dict[str, Any] | None = None, /, **optional: Any) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(required or {}, optional=optional)


WORK = {
    "agent": st.sampled_from(["", "shell", "human", "simulated", "x"]),
    "prompt": TEXTS,
    "command": COMMANDS,
    "function": TEXTS,
    "notebook": TEXTS,
    "parameters": st.dictionaries(TEXTS, VALUES, max_size=2),
}
DEPENDENCIES = st.lists(
    IDS
    | mapping({"task": TEXTS}, kind=st.sampled_from(["data", "sequential", "resource", "none"])),
    max_size=3,
)  # fmt: skip
TASK_KEYS = {
    **WORK,
    "title": TEXTS,
    "dependencies": DEPENDENCIES,
    "phase": TEXTS,
    "role": TEXTS,
    "priority": st.sampled_from(["P0", "P1", "P2", "P3"]),
    "inputs": st.lists(TEXTS, max_size=3) | st.dictionaries(NAMES, TEXTS, max_size=2),
    "outputs": st.lists(PATHS, max_size=2),
    "result": st.sampled_from(["text", "json", "report", "sarif"])
    | mapping(source=TEXTS, format=st.sampled_from(["text", "json"])),
    "files": st.lists(TEXTS, max_size=4),
    "checks": st.lists(COMMANDS, max_size=2),
    "timeout": POSITIVE,
    "retry": st.integers(1, 100) | mapping(attempts=st.integers(1, 9), delay=POSITIVE, when=st.just("transient")),
    "on_failure": st.sampled_from(["block", "retry", "skip", "fail_fast", "fallback"]),
    "fallback": mapping(**WORK),
    "resources": mapping(cpu=POSITIVE, memory_gb=POSITIVE, locks=st.lists(TEXTS, max_size=2)),
    "join": st.sampled_from(["all_success", "one_success", "none_failed_min_one_success", "all_done"]),
    "ok_exit_codes": st.lists(st.integers(0, 255), max_size=3),
    "isolate": st.sampled_from(["thread", "process"]),
    "review": st.lists(st.sampled_from(["model", "human"]), max_size=2)
    | mapping({"reviewers": st.lists(mapping(agent=TEXTS, name=TEXTS), max_size=2)}, rework=st.integers(0, 10)),
    "env": st.dictionaries(NAMES, TEXTS, max_size=2),
    "cwd": TEXTS,
}
TASKS = st.lists(mapping({"id": IDS}, **TASK_KEYS), max_size=4) | st.dictionaries(
    IDS, st.none() | mapping(**TASK_KEYS), max_size=3
)
PARAMS = st.none() | st.booleans() | NUMBERS | TEXTS | st.lists(VALUES, max_size=2) | mapping(
    type=st.sampled_from(["str", "int", "float", "bool", "path", "json"]),
    default=VALUES,
    required=st.booleans(),
    choices=st.lists(VALUES, max_size=2),
    help=TEXTS,
)  # fmt: skip
PLANS = mapping(
    title=TEXTS,
    description=TEXTS,
    params=st.dictionaries(NAMES, PARAMS, max_size=2),
    limits=mapping(max_parallel=st.integers(1, 10_000), cpu=POSITIVE, memory_gb=POSITIVE, timeout=POSITIVE,
                   resources=st.dictionaries(TEXTS, st.integers(1, 9), max_size=2)),
    phases=st.lists(mapping({"id": TEXTS}, title=TEXTS, max_parallel=st.integers(1, 9), timeout=POSITIVE), max_size=2),
    merge=st.sampled_from(["structured", "concatenate"]) | mapping(title=TEXTS, tasks=st.lists(TEXTS, max_size=2)),
    tasks=TASKS,
)  # fmt: skip


@st.composite
def spoilt_plans(draw: st.DrawFn) -> Any:
    """A plan in which one value was replaced by another, a key was added, or one was renamed."""
    plan = json.loads(json.dumps(draw(PLANS)))
    spots: list[tuple[Any, Any]] = []
    stack = [plan]
    while stack:
        holder = stack.pop()
        for key, item in holder.items() if isinstance(holder, dict) else enumerate(holder):
            spots.append((holder, key))
            if isinstance(item, dict | list):
                stack.append(item)
    if not spots or draw(st.booleans()):
        plan[draw(TEXTS)] = draw(VALUES)
        return plan
    holder, key = draw(st.sampled_from(spots))
    if isinstance(holder, dict) and draw(st.booleans()):
        holder[draw(TEXTS)] = holder.pop(key)
    else:
        holder[key] = draw(VALUES)
    return plan


@st.composite
def graphs(draw: st.DrawFn, max_nodes: int = 12) -> list[list[int]]:
    """The parents of each node: any directed graph, cycles and self-loops too."""
    size = draw(st.integers(1, max_nodes))
    node = st.integers(0, size - 1)
    return draw(st.lists(st.lists(node, max_size=3, unique=True), min_size=size, max_size=size))


@st.composite
def dags(draw: st.DrawFn, max_nodes: int = 12) -> list[list[int]]:
    """The parents of each node, all before it."""
    size = draw(st.integers(1, max_nodes))
    return [draw(st.lists(st.integers(0, node - 1), max_size=3, unique=True)) if node else [] for node in range(size)]
