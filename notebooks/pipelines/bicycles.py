"""The functions of `bicycles.yaml`."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any


def find_counters(folder: str) -> list[str]:
    """The CSV files in `folder`, one for each counter."""
    return sorted(str(path) for path in Path(folder).glob("*.csv"))


def add_up(files: list[str], busy: int) -> dict[str, dict[str, Any]]:
    """By counter: bicycles in all, the best day, and how many days had more than `busy`."""
    totals = {}
    for file in files:
        with Path(file).open(newline="", encoding="utf-8") as stream:
            counts = {row["date"]: int(row["bicycles"]) for row in csv.DictReader(stream)}
        best = max(counts, key=lambda date: counts[date])
        totals[Path(file).stem] = {
            "bicycles": sum(counts.values()),
            "best day": best,
            "busy days": sum(count > busy for count in counts.values()),
        }
    return totals


def report(lines: str, totals: dict[str, dict[str, Any]]) -> str:
    """The totals as a table in Markdown."""
    rows = [
        f"| {name} | {total['bicycles']:,} | {total['best day']} | {total['busy days']} |"
        for name, total in sorted(totals.items(), key=lambda item: -item[1]["bicycles"])
    ]
    head = ["| counter | bicycles | best day | busy days |", "|---|--:|---|--:|"]
    return "\n".join([f"{len(totals)} counters, {lines.strip()} lines.", "", *head, *rows])
