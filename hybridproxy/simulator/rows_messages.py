"""Who speaks Anthropic's Messages API: Anthropic, and other servers beside OpenAI's dialect."""

from hybridproxy.simulator.row import COUNT, MESSAGES, Continues, ErrorRow, Provider, anthropic_shape


def messages_at(prefix: str, *, calls: tuple[str, ...] = (MESSAGES,), done_after_stop: bool = False) -> Provider:
    """Return how a server speaks it under a prefix."""
    return Provider(
        name="messages",
        prefix=prefix,
        shape=anthropic_shape,
        models=(),
        calls=frozenset(calls),
        anthropic=True,
        writes_as="cache_creation_input_tokens",
        id_prefix="msg_",
        done_after_stop=done_after_stop,
        continues=Continues.TRAILING,
        unauthorized=ErrorRow(401, "Invalid API key"),
        bad_request=ErrorRow(400, "{message}"),
        not_found=ErrorRow(404, "{message}"),
        broken=ErrorRow(500, "Internal server error"),
    )


ANTHROPIC = Provider(
    name="anthropic",
    prefix="/v1",
    shape=anthropic_shape,
    models=("claude-sim",),
    calls=frozenset({MESSAGES, COUNT}),
    anthropic=True,
    strict=True,
    signs=True,
    id_prefix="msg_",
    headers=(("request-id", "{id}"),),
    key_header="x-api-key",
    caches=True,
    writes_as="cache_creation_input_tokens",
    continues=Continues.TRAILING,
    unauthorized=ErrorRow(401, "invalid x-api-key"),
    bad_request=ErrorRow(400, "{message}"),
    not_found=ErrorRow(404, "{message}"),
    broken=ErrorRow(529, "Overloaded"),
)
