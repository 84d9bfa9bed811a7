"""What attributes are called: OpenTelemetry's semantic conventions, as far as they are used here, and our own.

https://opentelemetry.io/docs/specs/semconv/gen-ai/ (version 1.41). They may still change; a new name changes this file.
"""

from collections.abc import Mapping
from typing import Final

OPERATION: Final = "gen_ai.operation.name"
PROVIDER: Final = "gen_ai.provider.name"
REQUEST_MODEL: Final = "gen_ai.request.model"
REQUEST_STREAM: Final = "gen_ai.request.stream"
REQUEST_MAX_TOKENS: Final = "gen_ai.request.max_tokens"
REQUEST_TEMPERATURE: Final = "gen_ai.request.temperature"
REQUEST_TOP_P: Final = "gen_ai.request.top_p"
RESPONSE_MODEL: Final = "gen_ai.response.model"
RESPONSE_ID: Final = "gen_ai.response.id"
FINISH_REASONS: Final = "gen_ai.response.finish_reasons"
TIME_TO_FIRST_CHUNK: Final = "gen_ai.response.time_to_first_chunk"
"""In seconds, of streams."""
INPUT_TOKENS: Final = "gen_ai.usage.input_tokens"
OUTPUT_TOKENS: Final = "gen_ai.usage.output_tokens"
CACHE_READ_TOKENS: Final = "gen_ai.usage.cache_read.input_tokens"
CACHE_WRITE_TOKENS: Final = "gen_ai.usage.cache_creation.input_tokens"
REASONING_TOKENS: Final = "gen_ai.usage.reasoning.output_tokens"
CONVERSATION: Final = "gen_ai.conversation.id"
INPUT_MESSAGES: Final = "gen_ai.input.messages"
OUTPUT_MESSAGES: Final = "gen_ai.output.messages"
ERROR_TYPE: Final = "error.type"
SERVER_ADDRESS: Final = "server.address"
SERVER_PORT: Final = "server.port"
SERVICE: Final = "service.name"
SERVICE_VERSION: Final = "service.version"

REQUEST_ID: Final = "routewright.request.id"
DIALECT: Final = "routewright.dialect"
TIER: Final = "routewright.tier"
CONFIDENCE: Final = "routewright.confidence"
REASON: Final = "routewright.reason"
POLICY: Final = "routewright.policy"
ATTEMPTS: Final = "routewright.attempts"
COST: Final = "routewright.cost_nanousd"
BASELINE: Final = "routewright.baseline.model"
BASELINE_COST: Final = "routewright.baseline.cost_nanousd"
CACHE: Final = "routewright.cache"
ATTEMPT_ID: Final = "routewright.attempt.id"
ATTEMPT_NUMBER: Final = "routewright.attempt.number"
CAUSE: Final = "routewright.attempt.cause"
DEPLOYMENT: Final = "routewright.deployment"
OUTCOME: Final = "routewright.outcome"

CHAT: Final = "chat"
EMBEDDINGS: Final = "embeddings"
OURSELVES: Final = "routewright"
"""As a provider: of the span that a client sees."""
PROVIDERS: Mapping[str, str] = {
    "gemini": "gcp.gemini",
    "mistral": "mistral_ai",
    "xai": "x_ai",
    "azure": "azure.ai.openai",
}
"""Where the conventions call a provider otherwise than we do."""
