"""Notebooks as JSON, for tests."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def code(source: str, *tags: str) -> dict[str, Any]:
    return {
        "cell_type": "code",
        "source": source,
        "metadata": {"tags": list(tags)},
        "outputs": [],
        "execution_count": None,
    }


def words(source: str, *tags: str) -> dict[str, Any]:
    return {"cell_type": "markdown", "source": source, "metadata": {"tags": list(tags)}}


def notebook(*cells: dict[str, Any], language: str | None = None) -> dict[str, Any]:
    metadata = {"kernelspec": {"name": "k", "language": language}} if language else {}
    return {"nbformat": 4, "nbformat_minor": 4, "metadata": metadata, "cells": list(cells)}


def save(path: Path, *cells: dict[str, Any], language: str | None = None) -> Path:
    path.write_text(json.dumps(notebook(*cells, language=language)))
    return path
