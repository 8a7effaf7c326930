import asyncio
import ipaddress
import socket
from collections.abc import AsyncIterator

import pytest

from hybridproxy.transport import dns, resolver
from hybridproxy.transport.resolver import Resolver
from tests.support.name_server import AAAA, CNAME, A, NameServer, name_server

NAME = "vllm.internal"


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that answers is heard, also on a machine that stands still for a moment."""
    monkeypatch.setattr(resolver, "PATIENCE", 30.0)
    monkeypatch.setattr(resolver, "LONGEST", 60.0)


@pytest.fixture
async def asks() -> AsyncIterator[Resolver]:
    """A client."""
    made = Resolver()
    yield made
    made.close()


def texts(found: list[ipaddress.IPv4Address | ipaddress.IPv6Address]) -> list[str]:
    """Addresses as text."""
    return list(map(str, found))


async def test_both_families_are_asked_for_once(asks: Resolver) -> None:
    """Ten who need the name at once are one question for each family, and it is remembered."""
    async with name_server((NAME, A, 60, "10.0.3.1"), (NAME, AAAA, 60, "fd00::1")) as server:
        found = await asyncio.gather(*(asks.addresses((server.address,), NAME) for _ in range(10)))
        assert {tuple(texts(one)) for one in found} == {("10.0.3.1", "fd00::1")}
        assert sorted(server.asked) == [(NAME, A), (NAME, AAAA)]
        assert texts(await asks.addresses((server.address,), NAME)) == ["10.0.3.1", "fd00::1"]
        assert len(server.asked) == 2
        asks.forget()
        await asks.addresses((server.address,), NAME)
        assert len(server.asked) == 4


async def test_what_holds_for_no_time_is_not_remembered(asks: Resolver, monkeypatch: pytest.MonkeyPatch) -> None:
    """TTL 0: asked again; and no more names are kept than `MAX_KNOWN`."""
    async with name_server((NAME, A, 0, "10.0.3.1")) as server:
        for _ in range(2):
            assert texts(await asks.addresses((server.address,), NAME)) == ["10.0.3.1"]
        assert len(server.asked) == 4
        monkeypatch.setattr(resolver, "MAX_KNOWN", 1)
        server.records = [("a.internal", A, 999_999, "10.0.3.1"), ("b.internal", A, 9, "10.0.3.2")]
        for name in ("a.internal", "b.internal"):
            await asks.addresses((server.address,), name)
        assert [key[1] for key in asks._known] == ["b.internal"]


async def test_time_to_live_is_bounded(asks: Resolver) -> None:
    """A server that says "for ever" is asked again after five minutes."""
    async with name_server((NAME, A, 2**31 - 1, "10.0.3.1")) as server:
        before = asyncio.get_running_loop().time()
        await asks.addresses((server.address,), NAME)
        ((_, until),) = asks._known.values()
        assert before + resolver.MAX_TTL <= until <= asyncio.get_running_loop().time() + resolver.MAX_TTL


async def test_an_answer_that_does_not_fit_comes_over_tcp(asks: Resolver) -> None:
    """A chain of names in it is followed as ever."""
    async with name_server((NAME, CNAME, 5, "a.internal"), ("a.internal", A, 60, "10.0.3.1")) as server:
        server.flags = 0x8380
        assert texts(await asks.addresses((server.address,), NAME)) == ["10.0.3.1"]
        assert sorted(server.over_tcp) == [(NAME, A), (NAME, AAAA)]
        for cut, flags in ((True, 0x8180), (False, 0x8380)):
            server.cut, server.tcp_flags = cut, flags
            asks.forget()
            with pytest.raises(socket.gaierror) as error:
                await asks.addresses((server.address,), NAME)
            assert error.value.errno == socket.EAI_AGAIN


async def test_a_name_without_an_address_is_one_that_cannot_be_resolved(asks: Resolver) -> None:
    """No such name, or none of our kinds."""
    async with name_server() as server:
        for flags in (0x8180, 0x8183):
            server.flags = flags
            with pytest.raises(socket.gaierror) as error:
                await asks.addresses((server.address,), NAME)
            assert error.value.errno == socket.EAI_NONAME


def forged(message: bytes) -> list[bytes]:
    """Answers by somebody who has to guess: other ids, other questions; the right one comes last."""
    address = message.replace(bytes([10, 0, 3, 1]), bytes([6, 6, 6, 6]))
    ids = [bytes([address[0] ^ 1, address[1]]), bytes([address[0], address[1] ^ 1])]
    return [*(one + address[2:] for one in ids), address.replace(b"\4vllm", b"\4evil"), b"", b"\0", message]


async def test_only_the_answer_to_our_question_is_taken(asks: Resolver) -> None:
    """Guesses that come first are passed over, and so are second answers."""
    async with name_server((NAME, A, 60, "10.0.3.1")) as server:
        server.tamper = lambda message: [*forged(message), message]
        assert texts(await asks.addresses((server.address,), NAME)) == ["10.0.3.1"]


async def test_another_servers_datagram_is_not_heard(asks: Resolver) -> None:
    """Even with the right id: the socket takes what comes from the server that was asked."""
    loop = asyncio.get_running_loop()
    async with name_server((NAME, A, 60, "10.0.3.1")) as server:
        other, _ = await loop.create_datagram_endpoint(asyncio.DatagramProtocol, local_addr=("127.0.0.1", 0))
        seen: list[object] = []
        original = resolver._Datagrams.datagram_received

        def received(self: resolver._Datagrams, data: bytes, addr: object) -> None:
            seen.append(addr)
            original(self, data, addr)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(resolver._Datagrams, "datagram_received", received)
            await asks.addresses((server.address,), NAME)
        other.close()
        assert {tuple(addr) for addr in seen if isinstance(addr, tuple)} == {server.address}


async def test_a_server_that_fails_or_is_silent_is_passed_over(asks: Resolver, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next one is asked; when none answers that is what is said, and nothing is remembered."""

    def silent(_message: bytes) -> list[bytes]:
        monkeypatch.setattr(resolver, "PATIENCE", 30.0)  # for who is asked next, and answers
        return []

    async with name_server((NAME, A, 60, "10.0.3.1")) as good, name_server() as bad:
        for flags, tamper in ((0x8182, bad.tamper), (0x8180, silent), (0x8180, lambda m: [m[:20]])):
            bad.flags, bad.tamper = flags, tamper
            monkeypatch.setattr(resolver, "PATIENCE", 0.05 if tamper is silent else 30.0)
            asks.forget()
            assert texts(await asks.addresses((bad.address, good.address), NAME)) == ["10.0.3.1"]
        with pytest.raises(socket.gaierror) as error:
            await asks.addresses((bad.address,), NAME)
        assert error.value.errno == socket.EAI_AGAIN
        nobody = ("127.0.0.1", 1)
        with pytest.raises(socket.gaierror) as error:
            await asks.addresses((nobody,), "other.internal")
        assert error.value.errno == socket.EAI_AGAIN


async def test_all_servers_together_have_a_limit(asks: Resolver, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many of them are silent."""
    monkeypatch.setattr(resolver, "LONGEST", 0.02)
    async with name_server() as server:
        server.tamper = lambda _message: []
        with pytest.raises(socket.gaierror) as error:
            await asks.addresses((server.address,) * 4, NAME)
        assert error.value.errno == socket.EAI_AGAIN


async def test_who_gives_up_does_not_take_the_answer_from_others(asks: Resolver) -> None:
    """Of two that wait for one question, one is cancelled; closing ends those that are left."""
    async with name_server() as server:
        held: list[NameServer] = []

        def hold(_message: bytes) -> list[bytes]:
            held.append(server)
            return []

        server.tamper = hold
        waiting = [asyncio.create_task(asks.addresses((server.address,), NAME)) for _ in range(2)]
        while len(held) < 2:
            await asyncio.sleep(0.001)
        waiting[0].cancel()
        asks.close()
        first, second = await asyncio.gather(*waiting, return_exceptions=True)
        assert isinstance(first, asyncio.CancelledError)
        assert isinstance(second, socket.gaierror)
        with pytest.raises(socket.gaierror):
            await asks.addresses((server.address,), NAME)


async def test_a_name_that_is_none_is_said_so(asks: Resolver) -> None:
    """Not asked for, and not a crash."""
    async with name_server() as server:
        with pytest.raises(socket.gaierror):
            await asks.addresses((server.address,), "a..b")
        assert server.asked == []


async def test_a_bug_is_not_taken_for_a_silent_server(asks: Resolver, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is no error of the network or of a message goes to whoever asked."""

    def broken(*_: object) -> bytes:
        raise ZeroDivisionError

    monkeypatch.setattr(dns, "question", broken)
    with pytest.raises(ZeroDivisionError):
        await asks.addresses((("127.0.0.1", 1),), NAME)
