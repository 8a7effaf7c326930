"""The planes: two kinds of processes, of which each serves its own calls and has nothing of the other's."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path

import orjson
import pytest

from hybridproxy.ingress import connection
from hybridproxy.model.backend import Trust
from hybridproxy.model.plane import Plane
from tests.support.inside import change, finished
from tests.support.limited import reserve
from tests.support.raw_calls import head, statuses
from tests.support.stack import BANK, SHOP, SMALL, Stack, chat, running

EVERYBODY = ("dashscope", "together", "openrouter", "vllm")
THIRD = EVERYBODY[:3]


@pytest.fixture
async def general(tmp_path: Path) -> AsyncIterator[Stack]:
    """A general process."""
    async with running(tmp_path, plane=Plane.GENERAL) as stack:
        yield stack


@pytest.fixture
async def sovereign(tmp_path: Path) -> AsyncIterator[Stack]:
    """A sovereign process."""
    async with running(tmp_path, plane=Plane.SOVEREIGN) as stack:
        yield stack


@pytest.fixture(autouse=True)
def _brief(monkeypatch: pytest.MonkeyPatch) -> None:
    """What stays unread is waited for during a moment, and not for a second: no caller here sends it."""
    monkeypatch.setattr(connection, "LINGER", 0.05)


def nobody_heard(stack: Stack) -> bool:
    """Whether no upstream has so much as a connection."""
    return all(stack.sim(name).upstream.accepted == 0 for name in EVERYBODY)


async def unread(stack: Stack, key: str, *lines: str, promised: int = 1_000_000) -> bytes:
    """Send a head that promises a body, and no byte of that; return the answer, up to the end of the connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", stack.worker.port)
    writer.write(head(f"content-length: {promised}", *lines, key=key))
    came = await asyncio.wait_for(reader.read(), 20)  # less than a body may take
    writer.close()
    return came


@pytest.mark.parametrize(
    ("plane", "key", "lines"),
    [
        (Plane.GENERAL, BANK, ()),
        (Plane.GENERAL, BANK, ("expect: 100-continue",)),
        (Plane.GENERAL, BANK, ("x-hybridproxy-residency: junk {",)),
        (Plane.GENERAL, SHOP, ("x-hybridproxy-residency: vpc",)),
        (Plane.GENERAL, SHOP, ("x-hybridproxy-residency: {compute: [US]}", "x-hybridproxy-residency: vpc")),
        (Plane.SOVEREIGN, SHOP, ()),
        (Plane.SOVEREIGN, SHOP, ("expect: 100-continue",)),
        (Plane.SOVEREIGN, SMALL, ("x-hybridproxy-residency: {compute: [US]}",)),
    ],
)
async def test_a_call_of_the_other_plane_is_421_with_its_body_unread(
    tmp_path: Path, plane: Plane, key: str, lines: tuple[str, ...]
) -> None:
    """Answered from the head alone, in the caller's dialect; the connection is closed and nobody is asked."""
    async with running(tmp_path, plane=plane) as stack:
        came = await unread(stack, key, *lines)
        assert statuses(came) == [421]
        assert b"100 Continue" not in came
        assert b"connection: close" in came.lower()
        error = orjson.loads(came.partition(b"\r\n\r\n")[2])["error"]
        assert (error["code"], error["type"]) == ("misdirected_request", "invalid_request_error")
        assert set(error) == {"message", "type", "param", "code"}
        assert nobody_heard(stack)
        (line,) = await finished(stack)
        assert (line["status"], line["code"], line["backend"]) == (421, "misdirected_request", "")
        assert line["tenant"]


async def test_each_plane_serves_its_own(tmp_path: Path) -> None:
    """A call of one's own kind is served as ever; so is, in a sovereign process, one that demands the VPC itself."""
    for number, (plane, key, headers, backend) in enumerate(
        (
            (Plane.GENERAL, SHOP, {}, "together-us"),
            (Plane.SOVEREIGN, BANK, {}, "vpc"),
            (Plane.SOVEREIGN, SHOP, {"x-hybridproxy-residency": "vpc"}, "vpc"),
            (Plane.ALL, BANK, {}, "vpc"),
            (Plane.ALL, SHOP, {}, "together-us"),
        )
    ):
        folder = tmp_path / str(number)
        folder.mkdir()
        async with running(folder, plane=plane) as stack:
            for stream in (False, True):
                async with stack.post(key=key, headers=headers, json=chat(stream=stream)) as response:
                    assert response.status == 200
                    assert response.headers["x-hybridproxy-backend"] == backend
                    await response.read()
            async with stack.post(key="hp_" + "x" * 43, json=chat()) as response:
                assert response.status == 401


async def test_the_models_of_the_other_plane_are_not_listed(general: Stack, tmp_path: Path) -> None:
    """`GET /v1/models` belongs to a key's plane too."""
    for key, status in ((BANK, 421), (SHOP, 200), ("hp_" + "x" * 43, 401)):
        for path in ("/v1/models", "/v1/models/qwen"):
            async with general.http.get(general.url + path, headers={"authorization": f"Bearer {key}"}) as response:
                assert response.status == status, (key, path)


async def test_a_general_process_has_no_target_inside(general: Stack) -> None:
    """No sovereign backend, and none of the VPC's keys where no ordinary route lists it."""
    snapshot = general.worker.gateway.running.snapshot
    assert snapshot.sovereign == {}
    assert set(snapshot.backends) == {"dashscope-sg", "together-us", "openrouter-us"}
    assert "vllm-key" not in everything(snapshot)


async def test_a_sovereign_process_has_no_target_outside(sovereign: Stack) -> None:
    """No third party, none of their keys and addresses."""
    snapshot = sovereign.worker.gateway.running.snapshot
    assert set(snapshot.backends) == set(snapshot.sovereign) == {"vpc"}
    assert all(backend.trust is Trust.VPC for backend in snapshot.backends.values())
    text = everything(snapshot)
    assert not any(secret in text for secret in ("sk-ds", "tg-key", "or-key"))
    assert not any(str(sovereign.sim(name).port) in text for name in THIRD)


def everything(snapshot: object) -> str:
    """All that hangs on a snapshot, as text, secrets too."""
    seen: set[int] = set()

    def walk(value: object) -> str:
        if id(value) in seen or isinstance(value, type):
            return ""
        seen.add(id(value))
        if isinstance(value, dict):
            return "".join(walk(part) for pair in value.items() for part in pair)
        if isinstance(value, list | tuple | set | frozenset):
            return "".join(map(walk, value))
        fields = getattr(type(value), "__dataclass_fields__", None)
        return "".join(walk(getattr(value, name)) for name in fields) if fields else f" {value!r} "

    return walk(snapshot)


async def test_a_reload_keeps_the_plane(sovereign: Stack) -> None:
    """A third party that a new file brings is not there either, and its variable is not read."""
    before = "  together-us: {"
    new = f'  other: {{provider: together, api_key: "${{NOT_SET_ANYWHERE}}"}}\n{before}'
    await change(sovereign, (before, new), ("small-window:", "smaller-window:"))
    snapshot = sovereign.worker.gateway.running.snapshot
    assert "smaller-window" in snapshot.models
    assert (set(snapshot.backends), snapshot.plane) == ({"vpc"}, Plane.SOVEREIGN)
    async with sovereign.post(key=BANK, json=chat()) as response:
        assert response.status == 200
    came = await unread(sovereign, SHOP)
    assert statuses(came) == [421]
    assert all(sovereign.sim(name).upstream.accepted == 0 for name in THIRD)


async def test_a_tenant_at_its_limit_is_on_the_wrong_plane_first_of_all(tmp_path: Path) -> None:
    """421 and not 429: to come again later would help nobody here."""
    async with running(tmp_path, plane=Plane.SOVEREIGN, limits=", limits: {rpm: 1}") as stack:
        worker = stack.worker
        reserve(worker.quotas, worker.gateway.running.snapshot.tenants["shop"], "qwen")
        came = await unread(stack, SHOP)
        assert statuses(came) == [421]


async def test_a_tenant_that_becomes_sovereign_moves_to_the_other_plane(general: Stack) -> None:
    """By a reload: what was served here is 421 from then on."""
    async with general.post(json=chat()) as response:
        assert response.status == 200
    digest = hashlib.sha256(SHOP.encode()).hexdigest()
    ordinary = f'{{keys: ["sha256:{digest}"], route: default, models: ["*"]}}'
    await change(general, (ordinary, f'{{keys: ["sha256:{digest}"], residency: vpc}}'))
    came = await unread(general, SHOP)
    assert statuses(came) == [421]


@pytest.mark.parametrize("plane", [Plane.GENERAL, Plane.SOVEREIGN])
async def test_the_admin_port_knows_its_plane(tmp_path: Path, plane: Plane) -> None:
    """`explain` of the other plane's call says where to ask; readiness and state are those of what is here."""
    async with running(tmp_path, plane=plane) as stack:
        token = {"authorization": "Bearer admin-token-of-tests"}
        for tenant, residency in (("shop", None), ("bank", None), ("shop", "vpc")):
            described = {"tenant": tenant, "model": "qwen", "address": "128.100.1.1"}
            if residency is not None:
                described["residency"] = residency
            url = f"{stack.admin_url}/admin/v1/explain"
            async with stack.http.post(url, json=described, headers=token) as response:
                inside = tenant == "bank" or residency is not None
                assert response.status == (200 if plane.serves(sovereign=inside) else 400)
        async with stack.http.get(f"{stack.admin_url}/admin/v1/state", headers=token) as response:
            assert response.status == 200
            listed = {row["id"] for row in (await response.json())["backends"]}
            assert listed == set(stack.worker.gateway.running.snapshot.backends)
        for region, status in (("asia", 200), ("china", 503 if plane is Plane.GENERAL else 200)):
            async with stack.http.get(f"{stack.url}/readyz?region={region}") as response:
                assert response.status == status
        (started,) = [line for line in await stack.lines() if line["event"] == "server.started"]
        assert started["plane"] == plane.value
