"""The smallest server of models there is, as a script of `raw_server`: for tests of how it is reached."""

import contextlib

from tests.support.raw_server import Peer, answer

ANSWER = (
    b'{"id":"c1","object":"chat.completion","created":1,"model":"qwen","choices":[{"index":0,"finish_reason":"stop",'
    b'"message":{"role":"assistant","content":"hello"}}],'
    b'"usage":{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2}}'
)


async def serves(peer: Peer) -> None:
    """A script: answer every call."""
    with contextlib.suppress(ConnectionError):
        while True:
            await peer.request()
            await peer.send(answer(ANSWER))
