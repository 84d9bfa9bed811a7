"""The dialects there are, by the name that settings and calls use."""

from collections.abc import Mapping

from routewright.dialects.anthropic_messages import AnthropicMessages
from routewright.dialects.openai_chat import OpenAIChat
from routewright.dialects.wire import Downstream, Rewriter, Upstream

UPSTREAMS: Mapping[str, Upstream] = {dialect.name: dialect for dialect in (OpenAIChat(), AnthropicMessages())}
DOWNSTREAMS: Mapping[str, Downstream] = {dialect.name: dialect for dialect in (OpenAIChat(), AnthropicMessages())}
REWRITERS: Mapping[str, Rewriter] = {dialect.name: dialect for dialect in (OpenAIChat(), AnthropicMessages())}
"""A conversation in any other client's dialect is sent as it came."""
