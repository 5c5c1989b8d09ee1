"""The providers of models: what has to be installed for each, and which variables hold its keys and its address.

The table is what can be said before anything is started. A provider that is not in it may still be one that the
installed pydantic-ai knows: then its process says what is missing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec

from orchestrator_nb.core.ids import did_you_mean
from orchestrator_nb.errors import AgentError

#: The package that all of them need, and how it is got.
PACKAGE = "pydantic_ai"
EXTRA = "models"


@dataclass(frozen=True, slots=True)
class Provider:
    """One provider, as far as it is known without its library."""

    #: Who makes its models, for people and for reviews by several vendors; the provider's own name where it is empty.
    vendor: str = ""
    #: Variables of which one must hold a key; none: it may do without.
    keys: tuple[str, ...] = ()
    #: Variables that it reads besides.
    more: tuple[str, ...] = ()
    #: The variable that holds the API's address; empty: it cannot be given.
    address: str = ""
    #: The module of its library, and the extra of pydantic-ai-slim that brings it.
    module: str = "openai"
    extra: str = "openai"


_OPENAI = Provider("", ("OPENAI_API_KEY",), ("OPENAI_ORG_ID", "OPENAI_PROJECT_ID"), "OPENAI_BASE_URL")
_AWS = ("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION", "HOME")
_AZURE = ("OPENAI_API_VERSION", "AZURE_OPENAI_ENDPOINT")

PROVIDERS: Mapping[str, Provider] = {
    "openai": _OPENAI,
    "openai-chat": _OPENAI,
    "openai-responses": _OPENAI,
    "anthropic": Provider("", ("ANTHROPIC_API_KEY",), (), "ANTHROPIC_BASE_URL", "anthropic", "anthropic"),
    "google": Provider(
        "", ("GOOGLE_API_KEY", "GEMINI_API_KEY"), (), "GOOGLE_GEMINI_BASE_URL", "google.genai", "google"
    ),
    "azure": Provider("openai", ("AZURE_OPENAI_API_KEY",), _AZURE, "AZURE_OPENAI_ENDPOINT"),
    "bedrock": Provider(
        "", ("AWS_BEARER_TOKEN_BEDROCK", "AWS_ACCESS_KEY_ID", "AWS_PROFILE"), _AWS, "", "boto3", "bedrock"
    ),
    "groq": Provider("", ("GROQ_API_KEY",), (), "GROQ_BASE_URL", "groq", "groq"),
    "mistral": Provider("", ("MISTRAL_API_KEY",), (), "", "mistralai", "mistral"),
    "cohere": Provider("", ("CO_API_KEY",), (), "CO_BASE_URL", "cohere", "cohere"),
    "xai": Provider("", ("XAI_API_KEY",), (), "", "xai_sdk", "xai"),
    "huggingface": Provider("", ("HF_TOKEN",), (), "", "huggingface_hub", "huggingface"),
    "ollama": Provider("", (), ("OLLAMA_API_KEY",), "OLLAMA_BASE_URL"),
    "deepseek": Provider("", ("DEEPSEEK_API_KEY",)),
    "openrouter": Provider("", ("OPENROUTER_API_KEY",), extra="openrouter"),
    "together": Provider("", ("TOGETHER_API_KEY",)),
    "fireworks": Provider("", ("FIREWORKS_API_KEY",)),
    "cerebras": Provider("", ("CEREBRAS_API_KEY",)),
    "moonshotai": Provider("", ("MOONSHOTAI_API_KEY",)),
}


def split(model: str) -> tuple[str, str]:
    """``anthropic:claude-x`` as provider and name. Raises `AgentError` for anything else but `test`."""
    provider, colon, name = model.partition(":")
    if model == "test":
        return "test", model
    if not colon or not provider.strip() or not name.strip():
        raise AgentError(
            f"`model` is '{model}': write PROVIDER:NAME, as in anthropic:claude-sonnet-4-5"
            f" (providers: {', '.join(PROVIDERS)}, and others that pydantic-ai knows)"
        )
    return provider, name


def vendor_of(model: str) -> str:
    """Who makes a model, as far as its name says."""
    provider = model.partition(":")[0].removeprefix("gateway/")
    known = PROVIDERS.get(provider)
    return (known.vendor if known else "") or provider.partition("-")[0]


def check(model: str, environment: Mapping[str, str], *, address: bool = False) -> None:
    """Whether a model can be called, as far as is known without its library.

    Args:
        model: As the plan names it.
        environment: Where keys are looked for.
        address: Whether the plan gives the API's address: then a key may not be needed.

    Raises:
        AgentError: Something has to be installed or set; the message says what.
    """
    provider, _ = split(model)
    if not _is_installed(PACKAGE):
        raise AgentError(f"model tasks need pydantic-ai: pip install 'orchestrator-nb[{EXTRA}]'")
    known = PROVIDERS.get(provider)
    if known is None:
        if (nearest := did_you_mean(provider, PROVIDERS)) and provider != "test":
            raise AgentError(f"`model` is '{model}': unknown provider '{provider}'{nearest}")
        return
    if not _is_installed(known.module):
        raise AgentError(f"models of {provider} need a library more: pip install 'pydantic-ai-slim[{known.extra}]'")
    if address and not known.address:
        raise AgentError(f"`base_url` cannot be given for models of {provider}")
    if known.keys and not any(environment.get(name) for name in known.keys):
        raise AgentError(f"no key for models of {provider} was found: set {' or '.join(known.keys)}")


def variables(model: str) -> tuple[str, ...]:
    """The variables that calls of this model may read: its provider's, and nobody else's."""
    known = PROVIDERS.get(split(model)[0])
    return (*known.keys, *known.more, known.address) if known else ()


def client_of(model: str) -> tuple[str, ...]:
    """The module of pydantic-ai that calls this model, where that is known."""
    known = PROVIDERS.get(split(model)[0])
    return (f"pydantic_ai.models.{known.module}",) if known and known.module in ("openai", "anthropic", "groq") else ()


def _is_installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except (ImportError, ValueError):  # the package above it is missing
        return False
