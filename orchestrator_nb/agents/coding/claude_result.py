"""What a final event of Claude Code says about errors and usage."""

from __future__ import annotations

import math
from typing import Any

from orchestrator_nb.agents.coding import failures
from orchestrator_nb.agents.coding.streams import code_in, count_in, number_in, table_in, text_in
from orchestrator_nb.agents.coding.vocabulary import Kind, Usage

_ENDS: dict[str, Kind] = {
    "error_max_turns": "turn_limit",
    "error_max_budget_usd": "budget",
    "max_turns": "turn_limit",
    "budget_exhausted": "budget",
    "aborted_tools": "interrupted",
    "aborted_streaming": "interrupted",
}


def kind_of_record(record: dict[str, Any], text: str) -> Kind:
    """The class of an error that a final event, an error message or a retry tells of."""
    for key in ("subtype", "terminal_reason"):
        if kind := _ENDS.get(text_in(record, key)):
            return kind
    status = code_in(record, "api_error_status")
    if status is not None and status >= 400:
        return failures.kind_of_status(status)
    for key in ("api_error", "api_error_type", "error"):
        if kind := failures.NAMED.get(text_in(record, key)):
            return kind
    return failures.kind_of(text)


def _models(record: dict[str, Any], key: str) -> list[dict[str, Any]]:
    return [model for model in table_in(record, key).values() if type(model) is dict]


def usage_of(number: int, record: dict[str, Any]) -> Usage:
    """The usage that a final event tells: its tokens are those since the final event before."""
    usage = table_in(record, "usage")
    cost = number_in(record, "total_cost_usd")
    if type(record.get("model_usage_since_last_result")) is dict:
        prices = [number_in(model, "costUSD") for model in _models(record, "model_usage_since_last_result")]
        cost, whole = (None if None in prices else math.fsum(price or 0 for price in prices)), False
    else:
        models = _models(record, "modelUsage")
        total = sum(count_in(model, "inputTokens") + count_in(model, "outputTokens") for model in models)
        whole = total > count_in(usage, "input_tokens") + count_in(usage, "output_tokens")
    spent = count_in(usage, "input_tokens") + count_in(usage, "output_tokens")
    if not cost and spent:
        cost = None  # a model whose price it doesn't know
    return Usage(
        number,
        count_in(usage, "input_tokens"),
        count_in(usage, "output_tokens"),
        count_in(usage, "cache_read_input_tokens"),
        count_in(table_in(usage, "output_tokens_details"), "thinking_tokens"),
        cost,
        cost_cumulative=whole and cost is not None,
        cache_write_tokens=count_in(usage, "cache_creation_input_tokens"),
        cached_apart=True,
    )


def usage_of_answer(number: int, usage: dict[str, Any]) -> Usage:
    """The usage of one answer of the model, as it is told when the answer ends."""
    return Usage(
        number,
        count_in(usage, "input_tokens"),
        count_in(usage, "output_tokens"),
        count_in(usage, "cache_read_input_tokens"),
        cache_write_tokens=count_in(usage, "cache_creation_input_tokens"),
        cached_apart=True,
        partial=True,
    )
