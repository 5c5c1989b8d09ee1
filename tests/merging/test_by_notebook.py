"""A document that a notebook writes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any

import pytest

from orchestrator_nb.core.merges import Merge
from orchestrator_nb.core.models import Work
from orchestrator_nb.errors import AgentError
from orchestrator_nb.merging import STRATEGIES
from tests.merging.test_by_agent import REVIEW, Scripted

HOW = Merge(strategy="notebook", notebook="report.ipynb", parameters={"depth": 2})


class Executes(Scripted):
    """A desk that keeps the files which a notebook is given."""

    files: Mapping[str, str] = {}

    async def ask(self, work: Work, label: str, files: Mapping[str, str]) -> Any:
        self.files = files
        self.asked.append((label, work))
        return self.answer("")


def test_it_is_given_all_results_and_its_result_is_the_document() -> None:
    desk = Executes(lambda _: "# My report\x1b[0m\n")
    document = asyncio.run(STRATEGIES["notebook"](REVIEW, HOW, desk))
    assert document.text == "# My report\n"
    ((label, work),) = desk.asked
    assert (label, work.notebook, work.parameters) == ("the notebook report.ipynb", "report.ipynb", {"depth": 2})
    told = json.loads(desk.files["collection"])
    assert told["title"] == "Code review"
    assert [item["task"] for item in told["results"]] == ["T-01", "T-02", "T-03", "T-04", "T-05"]
    assert told["results"][1]["result"]["findings"][0]["rule"] == "B602"
    assert told["results"][3]["missing"] == "it failed: exit code 2"


@pytest.mark.parametrize("answer", ["", " \n", {"a": 1}, None])
def test_without_text_there_is_no_document(answer: Any) -> None:
    with pytest.raises(AgentError, match=r"report\.ipynb shows no text"):
        asyncio.run(STRATEGIES["notebook"](REVIEW, HOW, Executes(lambda _: answer)))
