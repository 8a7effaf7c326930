"""Clients of OpenAI's dialect hear and raise the same direct to each imitated provider and through the proxy."""

from pathlib import Path

import pytest

from hybridproxy.providers import PROVIDERS
from tests.sdk import npm
from tests.sdk.clients import CLIENTS
from tests.sdk.outcome import Client, Way
from tests.support.paired import KEY, MODEL, Pair, paired
from tests.support.stack import SHOP

WAYS = [(tools, stream) for tools in (False, True) for stream in (False, True)]
NAMES = (*CLIENTS, *(f"npm {name}" for name in npm.NAMES))
CUT = {"openai": "APIError", "langchain-openai": "APIError", "npm openai": "APIError", "npm ai": "StreamProviderError"}
"""What is raised where a stream breaks and the proxy says so within it; direct it is the class of a lost connection."""

MENDED = {"gemini"}
"""Providers that call tools in a form that these clients misread: without an index, and ending with "stop"."""


@pytest.fixture(params=NAMES)
def client(request: pytest.FixtureRequest) -> tuple[str, Client]:
    """Each client, with its name."""
    name: str = request.param
    if name.startswith("npm "):
        return name, npm.NodeClient(request.getfixturevalue("node"), name.removeprefix("npm "))
    return name, CLIENTS[name]


def ways(pair: Pair) -> tuple[Way, Way]:
    """Return the direct way and the one through the proxy."""
    return Way(pair.simulator.base_url, KEY, MODEL), Way(pair.stack.url + "/v1", SHOP, MODEL)


@pytest.mark.parametrize("provider", [name for name, row in PROVIDERS.items() if row.paths])
async def test_a_client(client: tuple[str, Client], provider: str, tmp_path: Path) -> None:
    """Text, calls of tools, the reason for the end and the tokens are the same; so are the classes of errors."""
    name, sdk = client
    async with paired(tmp_path, provider) as pair:
        direct, through = ways(pair)
        for tools, stream in WAYS:
            pair.simulator.behave({"tool_calls": 2})
            heard = await sdk.call(through, tools=tools, stream=stream)
            assert (heard.raised, bool(heard.text), len(heard.calls)) == (None, not tools, 2 if tools else 0)
            assert heard.tokens is not None
            if tools and provider in MENDED:
                assert heard.finish in {"tool_calls", "tool-calls"}
            else:
                assert heard == await sdk.call(direct, tools=tools, stream=stream)
        for stream in (False, True):
            for status in (400, 429, 500, 503):
                pair.fails(status)
                refused = await sdk.call(direct, tools=False, stream=stream)
                assert refused.raised is not None
                assert await sdk.call(through, tools=False, stream=stream) == refused
            # a key and a model are the proxy's own, so that a caller hears of its mistake as if it were the provider
            for status, wrong in ((401, Way(through.url, "hp_wrong", MODEL)), (404, Way(through.url, SHOP, "nope"))):
                pair.fails(status)
                refused = await sdk.call(direct, tools=False, stream=stream)
                assert refused.raised is not None
                assert await sdk.call(wrong, tools=False, stream=stream) == refused
        pair.simulator.behave({"fault": {"kind": "cut", "after_pieces": 2, "how": "close"}})
        assert (await sdk.call(direct, tools=False, stream=True)).raised is not None
        assert (await sdk.call(through, tools=False, stream=True)).raised == CUT[name]
