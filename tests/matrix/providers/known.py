"""The dialects that the lab's providers speak, by routewright's name for each."""

from collections.abc import Mapping

from matrix.providers.anthropic_messages import AnthropicMessages
from matrix.providers.gemini import Gemini
from matrix.providers.openai_chat import OpenAIChat
from matrix.providers.openai_responses import OpenAIResponses
from matrix.providers.wire import Speaker

SPEAKERS: Mapping[str, Speaker] = {
    "openai_chat": OpenAIChat(),
    "openai_responses": OpenAIResponses(),
    "anthropic_messages": AnthropicMessages(),
    "gemini": Gemini(),
}
