"""LiteLLM's providers in our words: what it puts before a model's name → where that is and what is spoken there."""

from collections.abc import Mapping

from msgspec import Struct


class Home(Struct, frozen=True):
    """A provider as LiteLLM knows it."""

    name: str
    """Ours, and the one that the price table knows."""
    base_url: str | None = None
    """Where it is if nobody says otherwise; None where that must be said."""
    variable: str | None = None
    """The environment variable that LiteLLM takes the key from if nobody says otherwise; None where none is needed."""
    dialect: str = "openai_chat"
    is_built_in: bool = False
    """Address and key are among our own defaults."""
    path: str = ""
    """What our address has after LiteLLM's."""
    is_local: bool = False


_LOCAL = {
    "ollama": Home("ollama", "http://127.0.0.1:11434/v1", is_built_in=True, path="/v1", is_local=True),
    "lm_studio": Home("lmstudio", "http://127.0.0.1:1234/v1", is_built_in=True, is_local=True),
    "hosted_vllm": Home("vllm", "http://127.0.0.1:8000/v1", is_built_in=True, is_local=True),
    "llamafile": Home("llamafile", "http://127.0.0.1:8080/v1", is_local=True),
}
_ANY = Home("openai_compatible", None, "OPENAI_LIKE_API_KEY")

HOMES: Mapping[str, Home] = {
    "openai": Home("openai", "https://api.openai.com/v1", "OPENAI_API_KEY", is_built_in=True),
    "anthropic": Home(
        "anthropic", "https://api.anthropic.com", "ANTHROPIC_API_KEY", "anthropic_messages", is_built_in=True
    ),
    "deepseek": Home("deepseek", "https://api.deepseek.com/v1", "DEEPSEEK_API_KEY", is_built_in=True),
    "gemini": Home(
        "gemini", "https://generativelanguage.googleapis.com/v1beta/openai", "GEMINI_API_KEY", is_built_in=True
    ),
    "mistral": Home("mistral", "https://api.mistral.ai/v1", "MISTRAL_API_KEY", is_built_in=True),
    "groq": Home("groq", "https://api.groq.com/openai/v1", "GROQ_API_KEY", is_built_in=True),
    "openrouter": Home("openrouter", "https://openrouter.ai/api/v1", "OPENROUTER_API_KEY", is_built_in=True),
    "xai": Home("xai", "https://api.x.ai/v1", "XAI_API_KEY", is_built_in=True),
    "azure": Home("azure", None, "AZURE_API_KEY", path="/openai/v1"),
    "together_ai": Home("together", "https://api.together.xyz/v1", "TOGETHERAI_API_KEY"),
    "fireworks_ai": Home("fireworks", "https://api.fireworks.ai/inference/v1", "FIREWORKS_AI_API_KEY"),
    "perplexity": Home("perplexity", "https://api.perplexity.ai", "PERPLEXITYAI_API_KEY"),
    "cerebras": Home("cerebras", "https://api.cerebras.ai/v1", "CEREBRAS_API_KEY"),
    "deepinfra": Home("deepinfra", "https://api.deepinfra.com/v1/openai", "DEEPINFRA_API_KEY"),
    "nvidia_nim": Home("nvidia_nim", "https://integrate.api.nvidia.com/v1", "NVIDIA_NIM_API_KEY"),
    "sambanova": Home("sambanova", "https://api.sambanova.ai/v1", "SAMBANOVA_API_KEY"),
    "moonshot": Home("moonshotai", "https://api.moonshot.ai/v1", "MOONSHOT_API_KEY"),
    **_LOCAL,
    "ollama_chat": _LOCAL["ollama"],
    "litellm_proxy": Home("litellm", None, "LITELLM_PROXY_API_KEY"),
    "openai_like": _ANY,
    "custom_openai": _ANY,
}
"""By what LiteLLM writes before the slash. All speak a dialect that we do; all others are left out."""

_FAMILIES = (
    ("openai", ("gpt-", "chatgpt-", "o1", "o3", "o4")),
    ("anthropic", ("claude-",)),
    ("deepseek", ("deepseek-",)),
    ("mistral", ("mistral-", "codestral-", "ministral-")),
    ("xai", ("grok-",)),
)


def split_model(model: str, named: str | None) -> tuple[str, str] | None:
    """LiteLLM's provider and the provider's own name of a model, from `provider/model` or from a well-known name.

    `named` is what `custom_llm_provider` says. None where nothing tells which provider is meant.
    """
    before, slash, rest = model.partition("/")
    if named:
        return named, rest if slash and before == named else model
    if slash:
        return before, rest
    return next(((provider, model) for provider, beginnings in _FAMILIES if model.startswith(beginnings)), None)


def ours(home: Home, base_url: str) -> str:
    """The address that we call, from the one that LiteLLM was given."""
    address = base_url.rstrip("/")
    if home.dialect == "anthropic_messages":
        return address.removesuffix("/messages").removesuffix("/v1")
    address = address.removesuffix("/chat/completions")
    return address if not home.path or address.endswith(home.path) else address + home.path
