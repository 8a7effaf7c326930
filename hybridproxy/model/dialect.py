"""The ways to speak of a model call: what callers speak to us, and what we speak to upstreams."""

from enum import Enum


class Dialect(Enum):
    """A dialect; the value is used in logs, in tables and in provider rows."""

    OPENAI = "openai"
    """Chat completions, completions and embeddings of OpenAI's API. Chat is also the form between all dialects."""
    RESPONSES = "responses"
    """OpenAI's Responses API."""
    ANTHROPIC = "anthropic"
    """Anthropic's Messages API."""
    DASHSCOPE = "dashscope"
    """Alibaba's own protocol of DashScope."""

    __hash__ = object.__hash__  # members are one of a kind; Enum's own hash is a call in Python
