import asyncio
import contextlib
import ipaddress
import socket
from typing import Any

import pytest

from hybridproxy.transport import dial
from hybridproxy.transport.egress import Address, EgressRefusedError, Guard

OPEN = Guard([])


def resolves(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> list[str]:
    """Let every name have these addresses; return the list of names asked for."""
    asked: list[str] = []

    async def getaddrinfo(self: Any, host: str, port: int, **_: Any) -> list[Any]:
        asked.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in addresses]

    monkeypatch.setattr("asyncio.get_running_loop", type("Loop", (), {"getaddrinfo": getaddrinfo}))
    return asked


def addresses(*texts: str) -> list[Address]:
    """The addresses that are written so."""
    return [ipaddress.ip_address(text) for text in texts]


async def test_a_literal_needs_no_name_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """An IP address is used as it is written."""
    asked = resolves(monkeypatch, "1.1.1.1")
    assert await dial.locate_any("10.0.3.11", 80, OPEN, None) == addresses("10.0.3.11")
    assert asked == []


async def test_a_name_is_looked_up_and_its_families_take_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    """The resolver's first family stays first, repetitions go, and the other family is tried second, not last."""
    resolves(monkeypatch, "2001:db8::1", "2001:db8::2", "2001:db8::1", "192.0.2.1")
    assert await dial.locate_any("api.example.com", 443, OPEN, None) == addresses(
        "2001:db8::1", "192.0.2.1", "2001:db8::2"
    )


async def test_a_name_that_leads_outside_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of what a name server says only allowed addresses are left, and without one the answer is no."""
    guard = Guard(["10.0.3.0/24"])
    resolves(monkeypatch, "169.254.169.254", "10.0.3.7")
    assert await dial.locate_any("vllm.internal", 80, guard, None) == addresses("10.0.3.7")
    resolves(monkeypatch, "169.254.169.254", "::ffff:8.8.8.8")
    with pytest.raises(EgressRefusedError):
        await dial.locate_any("vllm.internal", 80, guard, None)


async def test_a_sovereign_host_is_never_looked_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name, an address outside, or a backend without networks: refused, without a question to any name server."""
    asked = resolves(monkeypatch, "10.0.3.7")
    guard = Guard(["10.0.3.0/24"])
    assert await dial.locate_inside("10.0.3.11", 80, guard, None) == addresses("10.0.3.11")
    for host, networks in (("vllm.internal", guard), ("10.0.4.1", guard), ("010.0.3.11", guard), ("10.0.3.11", OPEN)):
        with pytest.raises(EgressRefusedError):
            await dial.locate_inside(host, 80, networks, None)
    assert asked == []


async def test_a_backends_own_name_servers_are_asked_in_place_of_the_systems(monkeypatch: pytest.MonkeyPatch) -> None:
    """What they say is filtered; a name in disguise is not even asked for, and without networks nobody is."""
    asked = resolves(monkeypatch, "10.0.3.7")
    own: list[str] = []

    async def ask(host: str) -> list[Address]:
        own.append(host)
        return addresses("10.0.4.1", "10.0.3.9", "fd00::1", "10.0.3.8")

    guard = Guard(["10.0.3.0/24", "fd00::/64"])
    for locate in (dial.locate_any, dial.locate_inside):
        assert await locate("vllm.internal", 80, guard, ask) == addresses("10.0.3.9", "fd00::1", "10.0.3.8")
        assert await locate("10.0.3.1", 80, guard, ask) == addresses("10.0.3.1")
    for host, networks in (
        ("0x0a000301", guard), ("10.0.3.1.", guard), ("fe80::1%lo", guard), ("vllm.internal", OPEN),
        ("vllm.internal", Guard(["10.0.5.0/24"])),
    ):  # fmt: skip
        with pytest.raises(EgressRefusedError):
            await dial.locate_inside(host, 80, networks, ask)
    assert own == ["vllm.internal"] * 3
    assert asked == []


class Place:
    """Addresses at which things happen, and what was connected to and dropped there."""

    def __init__(self, **happens: str) -> None:
        self.happens = happens
        self.asked: list[str] = []
        self.given_up: list[str] = []
        self.dropped: list[str] = []
        self.both = asyncio.Event()

    async def connect(self, address: Address) -> str:
        """Do what happens at an address."""
        name = f"a{str(address)[-1]}"
        self.asked.append(name)
        match self.happens[name]:
            case "refuses":
                raise ConnectionRefusedError(name)
            case "is silent":
                try:
                    await asyncio.Event().wait()
                finally:
                    self.given_up.append(name)
            case "answers with the other":
                if len(self.asked) == 2:
                    self.both.set()
                with contextlib.suppress(asyncio.CancelledError):  # it was connected when the news of the other came
                    await self.both.wait()
            case _:
                pass
        return name

    async def dial(self) -> str:
        """Let all the addresses race."""
        hosts = [ipaddress.ip_address(f"10.0.3.{name[1:]}") for name in self.happens]
        return await dial.first_to_answer(hosts, self.connect, self.dropped.append)


async def test_an_address_that_refuses_is_passed_over_at_once() -> None:
    """The next one is tried without waiting, and those after the one that answers are not tried."""
    place = Place(a1="refuses", a2="answers", a3="answers")
    assert await place.dial() == "a2"
    assert place.asked == ["a1", "a2"]


@pytest.mark.parametrize("number", [1, 3])
async def test_when_none_answers_the_first_error_counts(number: int) -> None:
    """The first address is the resolver's favourite, so its error is the one to tell."""
    place = Place(**{f"a{n}": "refuses" for n in range(1, number + 1)})
    with pytest.raises(ConnectionRefusedError, match="a1"):
        await place.dial()
    assert len(place.asked) == number


async def test_an_address_that_leads_nowhere_costs_only_its_head_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """While the first address is silent the next one is tried beside it, and the first is given up in the end."""
    assert dial.HEAD_START < 0.5
    monkeypatch.setattr(dial, "HEAD_START", 0.01)
    place = Place(a1="is silent", a2="refuses", a3="answers")
    assert await place.dial() == "a3"
    assert place.given_up == ["a1"]


async def test_of_two_that_answer_together_one_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    """No connection is forgotten when both answer in the same turn of the loop."""
    monkeypatch.setattr(dial, "HEAD_START", 0.01)
    place = Place(a1="answers with the other", a2="answers with the other")
    won = await place.dial()
    assert sorted([won, *place.dropped]) == ["a1", "a2"]


async def test_giving_up_closes_what_was_connected() -> None:
    """A race that is cancelled while it is being won leaves nothing open."""
    place = Place(a1="answers", a2="answers")
    race = asyncio.create_task(place.dial())
    original = place.connect

    async def connect(address: Address) -> str:
        race.cancel()
        return await original(address)

    place.connect = connect  # type: ignore[method-assign]
    with pytest.raises(asyncio.CancelledError):
        await race
    assert place.dropped == ["a1"]


async def test_a_bug_is_not_taken_for_an_address_that_does_not_answer() -> None:
    """What is no error of the network ends the race."""

    async def broken(address: Address) -> str:
        raise ZeroDivisionError

    dropped: list[str] = []
    with pytest.raises(ExceptionGroup) as raised:
        await dial.first_to_answer(addresses("10.0.3.1", "10.0.3.2"), broken, dropped.append)
    assert isinstance(raised.value.exceptions[0], ZeroDivisionError)
