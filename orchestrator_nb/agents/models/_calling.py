"""One call of a model through pydantic-ai: the only module that imports it, in the process of the call."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import warnings
from functools import partial
from pathlib import Path
from typing import Any, get_type_hints

import pydantic_ai
from pydantic_ai import exceptions as wrong
from pydantic_ai.capabilities import NativeTool
from pydantic_ai.models import Model, infer_model
from pydantic_ai.native_tools import CodeExecutionTool, WebFetchTool, WebSearchTool
from pydantic_ai.usage import RunUsage

from orchestrator_nb.agents._answering import write
from orchestrator_nb.agents.coding.failures import REMEDIES
from orchestrator_nb.agents.coding.redaction import Redactor
from orchestrator_nb.agents.human import answer_for
from orchestrator_nb.agents.models.providers import PROVIDERS
from orchestrator_nb.core.ids import did_you_mean
from orchestrator_nb.errors import AgentError

_TOOLS = {"web_search": WebSearchTool, "web_fetch": WebFetchTool, "code_execution": CodeExecutionTool}

#: Classes of failures, the first that fits: (exceptions, kind, trying again may help).
_KINDS: tuple[tuple[tuple[type[Exception], ...], str, bool], ...] = (
    ((wrong.ModelAuthenticationError,), "auth", False),
    ((wrong.ModelQuotaExceededError,), "budget", False),
    ((wrong.ModelRateLimitError,), "rate_limit", True),
    ((wrong.ModelUnavailableError,), "overload", True),
    ((wrong.ModelServerError,), "server", True),
    ((wrong.ModelConnectionError, wrong.ModelRequestTimeout), "network", True),
    ((wrong.ModelRequestRejectedError, wrong.ModelHTTPError), "request", False),
    ((wrong.ModelAPIError,), "network", True),  # what came cannot be read
)
_TORN = "the stream of the answer ended before the answer did"
#: What to do, where that is not what the class of failure says.
_QUOTA = "the account's quota or credits are used up: add to them, or use another account"


class Fault(Exception):  # noqa: N818
    """The call has failed."""

    def __init__(self, message: str, kind: str, *, transient: bool = False) -> None:
        super().__init__(message)
        self.message, self.kind, self.transient = message, kind, transient


class Call:
    """One call.

    Args:
        request: What `agents.models.agent` asks for: `prompt`, the options, and in `secrets` the names of variables.
        directory: The attempt's.
        model: Instead of the one that the request names.
    """

    def __init__(self, request: dict[str, Any], directory: Path, model: Model | None = None) -> None:
        self._request, self._directory, self._model = request, directory, model
        self._redactor = Redactor(os.environ[name] for name in request["secrets"] if os.environ.get(name))
        self._usage = RunUsage()

    async def make(self) -> dict[str, Any]:
        """Make it; returns the fields of a `Success`. Raises `Fault`. What was used is written down in any case."""
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            try:
                output = await self._ask(self._agent())
            except Fault:
                raise
            except Exception as error:  # noqa: BLE001 - whatever it was, it is told as the call's failure
                raise self._fault(error) from None
            finally:
                self._write_summary()
        notes = [str(warning.message) for warning in told if issubclass(warning.category, UserWarning)]
        said = [self._redactor.text(note) for note in dict.fromkeys(notes)]
        field = "text" if isinstance(output, str) else "value"
        return {field: _redacted(output, self._redactor), "warnings": said}

    def _agent(self) -> Any:
        request = self._request
        model = self._model or infer_model(request["model"])
        schema = request["schema"]
        agent = pydantic_ai.Agent(
            model,
            output_type=pydantic_ai.StructuredDict(schema, name="answer") if schema else str,
            instructions=request["instructions"] or None,
            model_settings=_settings(model, request["settings"]),
            retries=request["corrections"],
            capabilities=[NativeTool(_TOOLS[name]()) for name in request["tools"]],
        )
        if schema:
            agent.output_validator(partial(_fitting, schema))
        return agent

    async def _ask(self, agent: Any) -> Any:
        patience = self._request["stall"]
        loop = asyncio.get_running_loop()
        try:
            async with (
                asyncio.timeout(patience) as limit,
                agent.run_stream_events(self._request["prompt"], usage=self._usage) as events,
            ):
                async for event in events:
                    limit.reschedule(loop.time() + patience)
                    self._see(event)
                    if isinstance(event, pydantic_ai.AgentRunResultEvent):
                        self._check_end(event.result.response)
                        return event.result.output
        except TimeoutError:
            if not limit.expired():
                raise
            raise Fault(f"no sign of life for {patience:g} s", "stalled", transient=True) from None
        raise Fault(_TORN, "network", transient=True)

    def _check_end(self, response: Any) -> None:
        """Whether the answer is whole: to these libraries, a stream that just ends looks like one that is over."""
        known = PROVIDERS.get(self._request["model"].partition(":")[0])
        said = (response.provider_details or {}).get("finish_reason")
        if (
            known
            and known.module in ("openai", "anthropic")
            and not said
            and response.finish_reason != "content_filter"
        ):
            raise Fault(f"{self._request['model']}: {_TORN}", "network", transient=True)
        if response.finish_reason == "length":
            warnings.warn(
                "the answer was cut: it reached the limit of tokens (`max_tokens`)", UserWarning, stacklevel=2
            )

    def _see(self, event: Any) -> None:
        """Print what the model writes, as it comes."""
        match event:
            case pydantic_ai.PartStartEvent(part=pydantic_ai.TextPart(content=text)):
                _say(text)
            case pydantic_ai.PartStartEvent(part=pydantic_ai.ToolCallPart() as part):
                _say(part.args if isinstance(part.args, str) else json.dumps(part.args or {}))
            case pydantic_ai.PartDeltaEvent(delta=pydantic_ai.TextPartDelta(content_delta=text)):
                _say(text)
            case pydantic_ai.PartDeltaEvent(delta=pydantic_ai.ToolCallPartDelta(args_delta=str(text))):
                _say(text)
            case pydantic_ai.PartEndEvent(part=pydantic_ai.TextPart() | pydantic_ai.ToolCallPart()):
                _say("\n")

    def _fault(self, error: Exception) -> Fault:
        named = self._request["model"]
        said = self._redactor.text(str(error).strip()[:2000] or type(error).__name__)
        if isinstance(error, wrong.ModelNotFoundError):
            near = getattr(error, "suggested_model_id", None)
            hint = f"; did you mean '{near}'?" if near else ""
            return Fault(f"{named}: unknown model{hint} -- {said}", "request")
        for classes, kind, transient in _KINDS:
            if isinstance(error, classes):
                remedy = _QUOTA if kind == "budget" else REMEDIES.get(kind, "")  # type: ignore[call-overload]
                if kind == "auth":
                    remedy = f"check the key in {' or '.join(self._request['secrets']) or 'its variable'}"
                wait = getattr(error, "retry_after", None)
                waits = f" (it asks to wait {wait:g} s)" if wait else ""
                return Fault(f"{named}: {said}{waits} -- {remedy}", kind, transient=transient)
        if isinstance(error, wrong.UserError | ImportError | ValueError):
            return Fault(f"{named}: {said}", "preflight")
        if isinstance(error, wrong.UnexpectedModelBehavior):
            return Fault(f"{named}: its answer cannot be used: {said}", "answer")
        if isinstance(error, OSError):
            return Fault(f"{named}: {type(error).__name__}: {said} -- {REMEDIES['network']}", "network", transient=True)
        return Fault(f"{named}: {type(error).__name__}: {said}", "other")

    def _write_summary(self) -> None:
        """What was used (as in `core.events.AgentSpent`), for whoever reads it."""
        used, cost = self._usage, self._usage.cost
        usage = {
            "input_tokens": used.input_tokens,
            "output_tokens": used.output_tokens,
            "cached_tokens": used.cache_read_tokens,
            "cost": None if cost is None else float(cost),
        }
        facts = {"agent": "model", "model": self._request["model"], "requests": used.requests, "usage": usage}
        write(self._directory / "agent.json", json.dumps(facts, indent=2).encode())


def _settings(model: Model, given: dict[str, Any]) -> dict[str, Any]:
    """The model's settings: those that are given, checked, and no retries that nobody sees. Raises `Fault`."""
    known = set(get_type_hints(pydantic_ai.ModelSettings))
    for base in type(model).__mro__:
        module = sys.modules[base.__module__]
        for name, kind in vars(module).items():
            if name.endswith("ModelSettings"):
                known |= set(getattr(kind, "__annotations__", ()))
    ignored = model.unsupported_settings
    for name in given:
        if name not in known or name in ignored:
            near = did_you_mean(name, known - ignored)
            raise Fault(f"`settings` names '{name}', which {model.model_name} does not have{near}", "preflight")
    return {**({} if "max_retries" in ignored else {"max_retries": 0}), **given}


def _say(text: str) -> None:
    """Print it at once; it goes to the attempt's log, and secrets are taken out on the way."""
    sys.stdout.write(text)
    sys.stdout.flush()


def _fitting(schema: dict[str, Any], output: Any) -> Any:
    """The output, if it is what the schema asks for; else the model is told, and asked again."""
    try:
        return answer_for(schema, output)
    except AgentError as error:
        raise pydantic_ai.ModelRetry(str(error)) from None


def _redacted(value: Any, redactor: Redactor) -> Any:
    if isinstance(value, str):
        return redactor.text(value)
    if isinstance(value, dict):
        return {key: _redacted(item, redactor) for key, item in value.items()}
    return [_redacted(item, redactor) for item in value] if isinstance(value, list) else value
