"""The dialects there are, by the name that settings and calls use."""

from collections.abc import Mapping

from routewright.dialects.anthropic_messages import AnthropicMessages
from routewright.dialects.gemini import Gemini
from routewright.dialects.openai_chat import OpenAIChat
from routewright.dialects.openai_embeddings import OpenAIEmbeddings
from routewright.dialects.openai_responses import OpenAIResponses
from routewright.dialects.wire import Downstream, Rewriter, Upstream

_DIALECTS = (OpenAIChat(), OpenAIResponses(), AnthropicMessages())

UPSTREAMS: Mapping[str, Upstream] = {dialect.name: dialect for dialect in (*_DIALECTS, OpenAIEmbeddings(), Gemini())}
DOWNSTREAMS: Mapping[str, Downstream] = {dialect.name: dialect for dialect in _DIALECTS}
"""In which a question can be asked, and translated."""
REWRITERS: Mapping[str, Rewriter] = {dialect.name: dialect for dialect in _DIALECTS}
"""A conversation in any other client's dialect is sent as it came."""
