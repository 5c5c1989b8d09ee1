"""What is known of providers without their libraries."""

from __future__ import annotations

import pytest

from orchestrator_nb.agents.models import providers
from orchestrator_nb.errors import AgentError


def test_names_are_provider_and_model() -> None:
    assert providers.split("anthropic:claude-x") == ("anthropic", "claude-x")
    assert providers.split("bedrock:a.b:0") == ("bedrock", "a.b:0")
    for name in ("gpt-5", ":x", "openai:", ""):
        with pytest.raises(AgentError, match="write PROVIDER:NAME"):
            providers.split(name)


@pytest.mark.parametrize(
    ("model", "vendor"),
    [
        ("openai:gpt-5", "openai"),
        ("openai-responses:gpt-5", "openai"),
        ("azure:gpt-5", "openai"),
        ("anthropic:claude-x", "anthropic"),
        ("gateway/anthropic:claude-x", "anthropic"),
        ("google-cloud:gemini-x", "google"),
        ("brandnew:x", "brandnew"),
    ],
)
def test_vendors(model: str, vendor: str) -> None:
    assert providers.vendor_of(model) == vendor


def test_the_table_agrees_with_the_library() -> None:
    """Every provider of the table is one that the installed pydantic-ai knows."""
    known = pytest.importorskip("pydantic_ai.providers")
    for name, provider in providers.PROVIDERS.items():
        if providers._is_installed(provider.module):
            assert known.infer_provider_class(name)
        else:
            with pytest.raises(ImportError, match=rf"pydantic-ai-slim\[{provider.extra}\]"):
                known.infer_provider_class(name)


def test_variables_are_the_providers_own() -> None:
    assert providers.variables("anthropic:x") == ("ANTHROPIC_API_KEY", "ANTHROPIC_BASE_URL")
    assert providers.variables("brandnew:x") == ()
