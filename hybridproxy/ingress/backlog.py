"""Connections that wait to be taken while the loop is busy.

libuv takes one new connection in each turn of the loop (since 1.45; it leaves the others to other processes). A turn of
a busy worker takes 20 ms and more, so fifty a second would be taken and thousands wait in the kernel, for whom nobody
sees that they wait. So what waits is also taken here, fifty times a second.
"""

import asyncio
import os
import socket
from collections.abc import Callable, Iterable
from typing import Final

from hybridproxy.tasks import spawn

EVERY: Final = 0.02
"""Seconds between two looks."""

MOST: Final = 64
"""Connections that are taken at once from each socket: as many a second as a worker could refuse."""


class Backlog:
    """Takes connections beside the loop's own server, and from the same sockets."""

    __slots__ = ("_factory", "_loop", "_sockets", "_timer")

    def __init__(self, factory: Callable[[], asyncio.Protocol], files: Iterable[int]) -> None:
        """Give each connection its protocol; `files`: of the sockets that are listened on. Call it on the loop."""
        self._factory = factory
        self._loop = asyncio.get_running_loop()
        self._sockets = [socket.socket(fileno=os.dup(file)) for file in files]
        for one in self._sockets:
            one.setblocking(False)
        self._timer = self._loop.call_later(EVERY, self._take)

    def close(self) -> None:
        """Take no more; again is no harm."""
        self._timer.cancel()
        for one in self._sockets:
            one.close()
        self._sockets.clear()

    def _take(self) -> None:
        self._timer = self._loop.call_later(EVERY, self._take)
        for one in self._sockets:
            for _ in range(MOST):
                try:
                    connection, _ = one.accept()
                except OSError:
                    break  # nobody waits; or there are no files left, which the loop's own server deals with
                spawn(self._serve(connection), "connection")

    async def _serve(self, connection: socket.socket) -> None:
        try:
            await self._loop.connect_accepted_socket(self._factory, connection)
        except OSError:
            connection.close()  # it left while it waited
