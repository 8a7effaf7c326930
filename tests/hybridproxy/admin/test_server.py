"""The admin port by itself: who gets in, and what each path answers."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from hybridproxy.admin.server import MAX_BODY, AdminError, admin_app

TOKEN = "the-admin-token"
HEADERS = {"authorization": f"Bearer {TOKEN}"}
PATHS = (("GET", "/metrics"), ("POST", "/admin/v1/explain"), ("POST", "/admin/v1/reload"))

Start = Callable[..., Awaitable[str]]


def explain(described: dict[str, Any]) -> dict[str, Any]:
    """Answer with what was described, and refuse a tenant."""
    if described.get("tenant") == "nobody":
        raise AdminError("there is no tenant 'nobody'")
    return {"described": described}


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    """A client."""
    async with aiohttp.ClientSession() as session:
        yield session


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    """Starts an admin port whose reload finds the given mistakes; returns its URL."""
    runners = []

    async def run(mistakes: tuple[str, ...] = (), token: str = TOKEN) -> str:
        async def reload() -> list[str]:
            return list(mistakes)

        runner = web.AppRunner(admin_app(token=token, metrics=lambda: b"m 1.0\n", explain=explain, reload=reload))
        runners.append(runner)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        return f"http://127.0.0.1:{runner.addresses[0][1]}"

    yield run
    for runner in runners:
        await runner.cleanup()


@pytest.mark.parametrize(
    "authorization",
    [None, "", "Bearer", "Bearer ", f"Bearer {TOKEN}x", f"Bearer {TOKEN[:-1]}", f"Basic {TOKEN}", TOKEN, "Bearer é"],
)
async def test_without_the_token_every_path_is_the_same_401(
    authorization: str | None, start: Start, http: aiohttp.ClientSession
) -> None:
    """A stranger learns neither which paths there are nor whether its body would be read."""
    url = await start()
    headers = {} if authorization is None else {"authorization": authorization}
    answers = set()
    for method, path in (*PATHS, ("GET", "/nothing"), ("DELETE", "/metrics"), ("POST", "/")):
        async with http.request(method, url + path, headers=headers) as response:
            answers.add((response.status, await response.text()))
    ((status, text),) = answers
    assert status == 401
    assert "admin token" in text
    assert TOKEN not in text


@pytest.mark.parametrize("authorization", [f"Bearer {TOKEN}", f"bearer {TOKEN}", f"BEARER  {TOKEN} "])
async def test_the_scheme_is_written_in_any_case(authorization: str, start: Start, http: aiohttp.ClientSession) -> None:
    """The token opens the port however the scheme is spelled."""
    async with http.get(await start() + "/metrics", headers={"authorization": authorization}) as response:
        assert response.status == 200


async def test_a_token_beyond_ascii_works(start: Start, http: aiohttp.ClientSession) -> None:
    """An operator may choose any token that can be sent."""
    url = await start(token="schlüssel")
    async with http.get(url + "/metrics", headers={"authorization": "Bearer schlüssel"}) as response:
        assert response.status == 200


async def test_metrics_are_what_prometheus_reads(start: Start, http: aiohttp.ClientSession) -> None:
    """The text goes out with the content type that names its format."""
    async with http.get(await start() + "/metrics", headers=HEADERS) as response:
        assert await response.read() == b"m 1.0\n"
        assert response.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"


async def test_explain_hands_the_description_over(start: Start, http: aiohttp.ClientSession) -> None:
    """A JSON object in, the decision out."""
    url = await start()
    async with http.post(url + "/admin/v1/explain", headers=HEADERS, json={"tenant": "shop"}) as response:
        assert (response.status, await response.json()) == (200, {"described": {"tenant": "shop"}})


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", "not valid JSON"),
        (b"{", "not valid JSON"),
        (b"[]", "must be a JSON object"),
        (b'"text"', "must be a JSON object"),
        (b'{"tenant": "nobody"}', "there is no tenant 'nobody'"),
    ],
)
async def test_a_bad_description_is_400_with_the_reason(
    body: bytes, says: str, start: Start, http: aiohttp.ClientSession
) -> None:
    """Whoever describes no call is told what is wrong, as JSON."""
    async with http.post(await start() + "/admin/v1/explain", headers=HEADERS, data=body) as response:
        assert response.status == 400
        assert says in (await response.json())["error"]


async def test_a_body_is_bounded(start: Start, http: aiohttp.ClientSession) -> None:
    """The admin port reads no more than a description needs, and says so as JSON."""
    async with http.post(await start() + "/admin/v1/explain", headers=HEADERS, data=b"x" * (MAX_BODY + 1)) as response:
        assert response.status == 413
        assert (await response.json())["error"]


async def test_reload_tells_the_mistakes(start: Start, http: aiohttp.ClientSession) -> None:
    """A reload that is refused is 422 with the list, one that is in force is 200."""
    async with http.post(await start() + "/admin/v1/reload", headers=HEADERS) as response:
        assert (response.status, await response.json()) == (200, {"reloaded": True})
    async with http.post(await start(("f:1:2: wrong",)) + "/admin/v1/reload", headers=HEADERS) as response:
        assert (response.status, await response.json()) == (422, {"reloaded": False, "mistakes": ["f:1:2: wrong"]})


@pytest.mark.parametrize(("method", "path", "status"), [("GET", "/nothing", 404), ("GET", "/admin/v1/reload", 405)])
async def test_a_wrong_path_or_method_is_told_as_json(
    method: str, path: str, status: int, start: Start, http: aiohttp.ClientSession
) -> None:
    """With the token, mistakes in the request are named."""
    async with http.request(method, await start() + path, headers=HEADERS) as response:
        assert response.status == status
        assert (await response.json())["error"]
