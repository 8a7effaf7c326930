"""Clients of the other dialects hear through the proxy what each imitated provider says direct.

It says that to OpenAI's client, or to
its own where it does not speak as OpenAI does.

What they raise is what they raise of the services they were made for, whose statuses and codes these are.
"""

from pathlib import Path
from typing import Any, Final

import pytest

from hybridproxy.dialects import TRANSLATORS
from hybridproxy.providers import PROVIDERS
from tests.sdk import npm
from tests.sdk.clients import OpenAIClient
from tests.sdk.clients_of_others import CLIENTS
from tests.sdk.outcome import Client, Way
from tests.sdk.test_openai_dialect import MENDED
from tests.support.paired import KEY, MODEL, paired
from tests.support.stack import SHOP

OPENAI: Final[Client] = OpenAIClient()
NAMES: Final = (*CLIENTS, "npm anthropic", "npm openai responses")
ROOTS: Final = {"anthropic": "", "openai responses": "/v1", "dashscope": "/api/v1"}
"""What stands behind the host in each client's address."""
BY_STATUS: Final = {
    400: "BadRequestError",
    401: "AuthenticationError",
    404: "NotFoundError",
    429: "RateLimitError",
    500: "InternalServerError",
    503: "InternalServerError",
}
OVERLOADED: Final = {503: "OverloadedError"}
RAISED: Final[dict[str, dict[Any, str]]] = {
    "anthropic": BY_STATUS | OVERLOADED | {"cut": "APIStatusError"},
    "npm anthropic": BY_STATUS | OVERLOADED | {"cut": "APIError"},
    "openai responses": BY_STATUS | {"cut": "APIError"},
    "npm openai responses": BY_STATUS | {"cut": "APIError"},
    "dashscope": {
        400: "400 InvalidParameter",
        401: "401 InvalidApiKey",
        404: "404 ModelNotFound",
        429: "429 Throttling.RateQuota",
        500: "500 InternalError",
        503: "503 ModelUnavailable",
        "cut": "500 InternalError",
    },
}


@pytest.fixture(params=NAMES)
def client(request: pytest.FixtureRequest) -> tuple[str, Client]:
    """Each client, with its name."""
    name: str = request.param
    if name.startswith("npm "):
        return name, npm.NodeClient(request.getfixturevalue("node"), name.removeprefix("npm "))
    return name, CLIENTS[name]


def test_every_dialect_has_a_client() -> None:
    """A dialect that is new is to be called by a client that others wrote."""
    called = {"openai", *(name.rpartition(" ")[2] for name in CLIENTS)}
    assert {dialect.value for dialect in TRANSLATORS} == called


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_a_client(client: tuple[str, Client], provider: str, tmp_path: Path) -> None:
    """Text, calls of tools, the reason for the end and the tokens are the same; errors are of the client's classes."""
    name, sdk = client
    async with paired(tmp_path, provider) as pair:
        url = pair.stack.url + ROOTS[name.removeprefix("npm ")]
        through, direct, judge = Way(url, SHOP, MODEL), Way(pair.simulator.base_url, KEY, MODEL), OPENAI
        if not PROVIDERS[provider].paths:
            (own,) = (dialect.value for dialect in PROVIDERS[provider].wires)
            direct, judge = Way(pair.simulator.url + ROOTS[own], KEY, MODEL), CLIENTS[own]
        pair.simulator.behave({"tool_calls": 2})
        for tools in (False, True):
            wanted = await judge.call(direct, tools=tools, stream=False)
            for stream in (False, True):
                heard = await sdk.call(through, tools=tools, stream=stream)
                assert (heard.raised, bool(heard.text), len(heard.calls)) == (None, not tools, 2 if tools else 0)
                assert (tools and provider in MENDED) or heard == wanted
        found: dict[Any, str | None] = {}
        for stream in (False, True):
            for status in (400, 429, 500, 503):
                pair.fails(status)
                found[status] = (await sdk.call(through, tools=False, stream=stream)).raised
            # a key and a model are the proxy's own
            found[401] = (await sdk.call(Way(url, "hp_wrong", MODEL), tools=False, stream=stream)).raised
            found[404] = (await sdk.call(Way(url, SHOP, "nope"), tools=False, stream=stream)).raised
            if stream:
                pair.simulator.behave({"fault": {"kind": "cut", "after_pieces": 2, "how": "close"}})
                found["cut"] = (await sdk.call(through, tools=False, stream=True)).raised
            assert found == {error: RAISED[name][error] for error in found}


@pytest.mark.parametrize(
    ("name", "provider"), [("dashscope", "dashscope"), ("anthropic", "anthropic"), ("openai responses", "openai")]
)
async def test_a_client_cannot_tell_the_difference(name: str, provider: str, tmp_path: Path) -> None:
    """Direct to the service that it was made for and through the proxy it hears the same, and raises the same."""
    sdk = CLIENTS[name]
    async with paired(tmp_path, provider) as pair:
        direct, through = (
            Way(pair.simulator.url + ROOTS[name], KEY, MODEL),
            Way(pair.stack.url + ROOTS[name], SHOP, MODEL),
        )
        for stream in (False, True):
            pair.simulator.behave({"tool_calls": 2, "reasoning": 2})
            for tools in (False, True):
                heard = [await sdk.call(way, tools=tools, stream=stream) for way in (direct, through)]
                assert heard[0] == heard[1]
            for status in (400, 429, 500):
                pair.fails(status)
                heard = [await sdk.call(way, tools=False, stream=stream) for way in (direct, through)]
                assert heard[0].raised == heard[1].raised is not None
