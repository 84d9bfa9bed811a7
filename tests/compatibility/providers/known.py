"""The dialects that the lab's providers speak, by routewright's name for each."""

from collections.abc import Mapping

from compatibility.providers.anthropic_messages import AnthropicMessages
from compatibility.providers.gemini import Gemini
from compatibility.providers.openai_chat import OpenAIChat
from compatibility.providers.openai_responses import OpenAIResponses
from compatibility.providers.wire import Speaker

SPEAKERS: Mapping[str, Speaker] = {
    "openai_chat": OpenAIChat(),
    "openai_responses": OpenAIResponses(),
    "anthropic_messages": AnthropicMessages(),
    "gemini": Gemini(),
}
