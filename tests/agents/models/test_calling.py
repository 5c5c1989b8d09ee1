"""A call in the process of the test, with pydantic-ai's own models for tests."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.agents.models.wire import need_models

need_models(module=True)

from pydantic_ai.models.function import AgentInfo, DeltaToolCall, FunctionModel  # noqa: E402
from pydantic_ai.models.test import TestModel  # noqa: E402

from orchestrator_nb.agents.models._calling import Call, Fault  # noqa: E402
from orchestrator_nb.agents.models.options import options_of  # noqa: E402

SCHEMA = {"type": "object", "properties": {"n": {"type": "integer", "minimum": 3}}, "required": ["n"]}


def call(tmp_path: Path, model: Any, **parameters: Any) -> dict[str, Any]:
    options = options_of({"model": "test", **parameters}).model_dump(by_alias=True)
    return asyncio.run(Call({"prompt": "Hi", "secrets": [], **options}, tmp_path, model).make())


def test_text_and_usage(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    answer = call(tmp_path, TestModel(custom_output_text="an answer"))
    assert answer == {"text": "an answer", "warnings": []}
    assert capsys.readouterr().out == "an answer\n"
    facts = json.loads((tmp_path / "agent.json").read_text())
    assert facts["requests"] == 1
    assert facts["usage"]["cost"] is None  # unknown, which is not 0


def test_an_answer_that_does_not_fit_is_asked_again(tmp_path: Path) -> None:
    answers = iter((1, 2, 7))

    async def stream(_: Any, info: AgentInfo) -> AsyncIterator[dict[int, DeltaToolCall]]:
        (tool,) = info.output_tools
        yield {0: DeltaToolCall(tool.name, json.dumps({"n": next(answers)}))}

    assert call(tmp_path, FunctionModel(stream_function=stream), schema=SCHEMA)["value"] == {"n": 7}


def test_one_that_never_fits_fails(tmp_path: Path) -> None:
    async def stream(_: Any, info: AgentInfo) -> AsyncIterator[dict[int, DeltaToolCall]]:
        yield {0: DeltaToolCall(info.output_tools[0].name, '{"n": 1}')}

    with pytest.raises(Fault, match="its answer cannot be used") as raised:
        call(tmp_path, FunctionModel(stream_function=stream), schema=SCHEMA, corrections=0)
    assert (raised.value.kind, raised.value.transient) == ("answer", False)


def test_a_setting_that_a_model_does_not_have_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Fault, match="names 'temprature', which test does not have; did you mean 'temperature'"):
        call(tmp_path, TestModel(), settings={"temprature": 1})


def test_no_tools_but_those_that_are_asked_for(tmp_path: Path) -> None:
    model = TestModel()
    call(tmp_path, model)
    assert model.last_model_request_parameters is not None
    assert not model.last_model_request_parameters.function_tools
    assert not model.last_model_request_parameters.native_tools
    with pytest.raises(Fault) as raised:
        call(tmp_path, model, tools=["web_search"])  # the test model has none
    assert raised.value.kind == "preflight"
