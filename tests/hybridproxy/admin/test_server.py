"""The admin port by itself: who gets in, and what each path answers."""

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yarl
from aiohttp import web

from geo.database import CountryDatabase
from geo.locate import Locator
from hybridproxy.admin.server import MAX_BODY, AdminError, admin_app
from hybridproxy.config.load import load
from hybridproxy.gateway.operator import Operator
from hybridproxy.gateway.running import Running
from hybridproxy.model.fault import FACTS, Fault, FaultKind
from hybridproxy.model.health import backend_key, region_key
from hybridproxy.resilience.breaker import Outcome, Signal
from hybridproxy.stores.memory import MemoryHealth

TOKEN = "the-admin-token"
HEADERS = {"authorization": f"Bearer {TOKEN}"}
ORDERS = (
    "backends/sg/drain", "backends/sg/undrain", "backends/sg/trip", "backends/sg/reset",
    "regions/asia/evacuate", "regions/asia/restore",
)  # fmt: skip
PATHS = (
    ("GET", "/metrics"), ("POST", "/admin/v1/explain"), ("POST", "/admin/v1/reload"), ("GET", "/admin/v1/state"),
    *(("POST", f"/admin/v1/{order}") for order in ORDERS),
)  # fmt: skip
CONFIG = """
regions: {asia: {continents: [AS]}, default: {}}
backends: {sg: {provider: openai, base_url: "https://sg.example/v1", api_key: "${K}", region: asia}}
models: {qwen: {family: qwen3, served_by: {sg: q}}}
routes: {default: {regions: {default: [sg]}}}
tenants: {shop: {keys: ["sha256:KEY"]}}
""".replace("KEY", "11" * 32)
SG = ("sg", "sg.example", "q", "sg#1")

Start = Callable[..., Awaitable[str]]


def explain(described: dict[str, Any]) -> dict[str, Any]:
    """Answer with what was described, and refuse a tenant."""
    if described.get("tenant") == "nobody":
        raise AdminError("there is no tenant 'nobody'")
    return {"described": described}


@pytest.fixture
def health() -> MemoryHealth:
    """The health that the operator's orders are for."""
    return MemoryHealth(lambda: 1000.0, lambda: 1_790_000_000.0, lambda: 0.5)


@pytest.fixture
def operator(health: MemoryHealth, tmp_path: Path) -> Operator:
    """An operator of that health, with a configuration of one backend."""
    file = tmp_path / "hybridproxy.yaml"
    file.write_text(CONFIG)
    configuration = load(file, {"K": "secret-of-tests"})
    running = Running(configuration.snapshot, configuration.settings, Locator(CountryDatabase.open(None)))
    return Operator(
        health,
        running=lambda: running,
        shared=lambda: {"up": True, "live": 2, "age": 0.2},
        under_way=lambda: {"calls": 1},
        limits=lambda: {"limits": []},
        pressure=lambda: {"reasons": []},
        log=lambda event, **fields: None,
        now=lambda: 1000.0,
        wall=lambda: 1_790_000_000.0,
    )


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    """A client."""
    async with aiohttp.ClientSession() as session:
        yield session


@pytest.fixture
async def start(operator: Operator) -> AsyncIterator[Start]:
    """Starts an admin port whose reload finds the given mistakes; returns its URL."""
    runners = []

    async def run(mistakes: tuple[str, ...] = (), token: str = TOKEN) -> str:
        async def reload() -> list[str]:
            return list(mistakes)

        app = admin_app(token=token, metrics=lambda: b"m 1.0\n", explain=explain, reload=reload, operator=operator)
        runner = web.AppRunner(app)
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


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nothing", 404),
        ("GET", "/admin/v1/reload", 405),
        ("POST", "/admin/v1/state", 405),
        ("GET", "/admin/v1/backends/sg/drain", 405),
        ("POST", "/admin/v1/backends/sg/destroy", 404),
        ("POST", "/admin/v1/regions/asia/drain", 404),
        ("POST", "/admin/v1/backends//drain", 404),
    ],
)
async def test_a_wrong_path_or_method_is_told_as_json(
    method: str, path: str, status: int, start: Start, http: aiohttp.ClientSession
) -> None:
    """With the token, mistakes in the request are named."""
    async with http.request(method, await start() + path, headers=HEADERS) as response:
        assert response.status == status
        assert (await response.json())["error"]


async def test_orders_are_carried_out(health: MemoryHealth, start: Start, http: aiohttp.ClientSession) -> None:
    """Each path does to the health of this worker what it is called, and answers what came of it."""
    url = await start() + "/admin/v1/"
    health.good(SG, Signal.START)

    async def give(order: str, **body: object) -> dict[str, Any]:
        async with http.post(url + order, headers=HEADERS, json=body) as response:
            assert response.status == 200
            answer: dict[str, Any] = await response.json()
            return answer

    out = {"why": "drained", "reason": "maintenance", "until": "2026-09-21T14:43:20Z"}
    assert await give("backends/sg/drain", reason="maintenance", **{"for": "30m"}) == {
        "id": "sg", "changed": True, "out": out, "backends": ["sg"], "shared": True, "forgot": None,
        "message": "backend sg is drained until 2026-09-21T14:43:20Z: "
        "no new calls, those under way come to their end",
    }  # fmt: skip
    assert backend_key("sg") in health.view
    assert (await give("backends/sg/undrain", reason="done"))["changed"]
    assert backend_key("sg") not in health.view
    assert (await give("backends/sg/trip", reason="wrong answers"))["out"]["why"] == "tripped"
    assert SG in health.view
    forgot = {"trips": 1, "quarantines": 0, "breakers": 1, "cool_offs": 0, "ramps": 0}
    assert (await give("backends/sg/reset"))["forgot"] == forgot
    assert (await give("regions/asia/evacuate", reason="cable cut", **{"for": 7200}))["backends"] == ["sg"]
    assert region_key("asia") in health.view
    assert (await give("regions/asia/restore"))["out"] is None
    assert not health.view
    assert not (await give("regions/asia/restore"))["changed"]


async def test_an_order_that_gives_back_needs_no_body(start: Start, http: aiohttp.ClientSession) -> None:
    """`curl -X POST` is enough to undo."""
    url = await start()
    for order in ("backends/sg/undrain", "backends/sg/reset", "regions/asia/restore"):
        async with http.post(f"{url}/admin/v1/{order}", headers=HEADERS) as response:
            assert (response.status, (await response.json())["changed"]) == (200, False)


@pytest.mark.parametrize(
    ("order", "body", "status", "says"),
    [
        ("backends/sg/drain", b"", 400, "'reason': expected a text"),
        ("backends/sg/drain", b"{", 400, "not valid JSON"),
        ("backends/sg/drain", b"[" * 60_000, 400, "not valid JSON"),
        ("backends/sg/drain", b"[]", 400, "must be a JSON object"),
        ("backends/sg/drain", b'{"reason": null}', 400, "'reason': expected a text"),
        ("backends/sg/drain", b'{"reason": "x", "for": "8d"}', 400, "'for': expected a duration"),
        ("backends/sg/drain", b'{"reason": "x", "for": null}', 400, "'for': expected a duration"),
        (
            "backends/sg/trip", b'{"reason": "x", "seconds": 5}', 400,
            "unknown field 'seconds': trip takes for and reason",
        ),
        ("backends/sg/reset", b'{"for": "1h"}', 400, "unknown field 'for': reset takes reason"),
        ("backends/nope/drain", b'{"reason": "x"}', 404, "there is no backend 'nope': expected one of: sg"),
        ("backends/s%67%2F..%FF/reset", b"", 404, "there is no backend 'sg/.."),
        ("regions/nope/evacuate", b'{"reason": "x"}', 404, "there is no region 'nope': expected one of: asia, default"),
        ("regions/default/evacuate", b'{"reason": "x"}', 409, "set backends.NAME.region"),
        ("regions/asia/evacuate", b" " * (MAX_BODY + 1), 413, ""),
    ],
)  # fmt: skip
async def test_an_order_that_makes_no_sense_changes_nothing(
    order: str, body: bytes, status: int, says: str, health: MemoryHealth, start: Start, http: aiohttp.ClientSession
) -> None:
    """A mistake in it is 400, a name nobody has 404, a region that holds nothing 409: each as JSON, with words."""
    url = yarl.URL(f"{await start()}/admin/v1/{order}", encoded=True)
    async with http.post(url, headers=HEADERS, data=body) as response:
        assert response.status == status
        assert says in (await response.json())["error"]
    assert not health.view


async def test_the_state_is_one_json_value_without_secrets(
    health: MemoryHealth, start: Start, http: aiohttp.ClientSession
) -> None:
    """Backends with their targets, regions, marks, sharing and what is under way."""
    kind = FaultKind.CREDENTIAL
    health.note(SG, Outcome(Signal.START, FACTS[kind].verdict, FACTS[kind].text), Fault(kind))
    async with http.get(await start() + "/admin/v1/state", headers=HEADERS) as response:
        assert response.status == 200
        text = await response.text()
        state = await response.json()
    assert "secret-of-tests" not in text
    assert set(state) == {
        "at", "backends", "regions", "marks", "sharing", "under_way", "pressure", "targets_left_off", "limits",
    }  # fmt: skip
    assert state["backends"][0]["targets"][0]["reason"] == "quarantined: our key was refused"
    assert state["marks"][0]["credential"] == "sg#1"
    assert state["sharing"] == {"up": True, "live_workers": 2, "seconds_since_sync": 0.2}
    assert state["under_way"] == {"calls": 1}
