"""Bodies as nobody writes them, made of the names that are looked for."""

from hypothesis import strategies as st

NAMES = st.sampled_from(
    [
        "model",
        "messages",
        "prompt",
        "input",
        "stream",
        "n",
        "stream_options",
        "include_usage",
        "tools",
        "content",
        "type",
        "response_format",
        "choices",
        "delta",
        "index",
        "finish_reason",
        "error",
        "usage",
        "message",
        "text",
        "code",
        "object",
        "reasoning",
        "tool_calls",
        "data",
        "prompt_tokens",
        "refusal",
    ]
)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=4)
    | st.sampled_from(["error", "stop", "null", "abort", "a"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES | st.text(max_size=3), inner, max_size=5),
    max_leaves=12,
)
"""Any JSON."""
