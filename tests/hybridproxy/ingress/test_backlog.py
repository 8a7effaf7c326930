"""Connections that are taken beside the loop's own server."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable

import pytest
import uvloop

from hybridproxy.ingress import backlog
from hybridproxy.ingress.backlog import Backlog


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Use the server's loop."""
    return {"uvloop": uvloop.new_event_loop}


class Greeter(asyncio.Protocol):
    """Says hello."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)
        transport.write(b"hello %d" % (transport.get_extra_info("peername") is not None))
        transport.close()


@pytest.fixture
async def listening() -> AsyncIterator[socket.socket]:
    """A socket that is listened on, and of which no server takes connections."""
    with socket.create_server(("127.0.0.1", 0), backlog=1000) as made:
        yield made


async def greeted(port: int) -> bytes:
    """What one caller reads."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        return await asyncio.wait_for(reader.read(), 30)
    finally:
        writer.close()


async def test_all_that_wait_are_taken(listening: socket.socket) -> None:
    """Also more than are taken at once; each has its protocol and an address."""
    port = listening.getsockname()[1]
    made = Backlog(Greeter, [listening.fileno()])
    try:
        callers = [greeted(port) for _ in range(2 * backlog.MOST + 10)]
        assert set(await asyncio.gather(*callers)) == {b"hello 1"}
    finally:
        made.close()


async def test_a_server_of_the_loop_takes_from_the_same_socket(listening: socket.socket) -> None:
    """Each connection is taken by one of the two."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Greeter, "127.0.0.1", 0)
    made = Backlog(Greeter, [one.fileno() for one in server.sockets])
    try:
        port = server.sockets[0].getsockname()[1]
        assert set(await asyncio.gather(*(greeted(port) for _ in range(100)))) == {b"hello 1"}
    finally:
        made.close()
        server.close()


async def test_after_its_end_nothing_is_taken(listening: socket.socket) -> None:
    """Whoever connects then waits for somebody else; ending twice is no harm."""
    made = Backlog(Greeter, [listening.fileno()])
    made.close()
    made.close()
    with socket.create_connection(listening.getsockname()) as caller:
        await asyncio.sleep(3 * backlog.EVERY)
        caller.setblocking(False)
        with pytest.raises(BlockingIOError):
            caller.recv(1)
