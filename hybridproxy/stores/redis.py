"""The one connection of a worker to Redis: to the server, the sentinels' master, or the right node of a cluster.

All that is shared lies under keys with one hash tag, hence on one node, and one call at a time is made. So a worker
needs one connection, never a pool, and of a cluster it needs no map: it asks any node and goes where that one sends it.
redis-py's own client of a cluster fetches the server's whole table of commands each time it starts anew, which holds
the event loop for 32 ms (measured with 8.1.0); its client for sentinels tries all of them in one go.

What can go wrong ends in an exception, and the connection is dropped with it; whoever calls decides when to try again.
Each try of a cluster or of sentinels begins with the next of them. A try takes at most one connection, two where the
first one only knows the way.
"""

import asyncio
import hashlib
import ssl
from importlib.resources import files
from typing import Any, Final

from redis.asyncio import Connection
from redis.exceptions import AskError, MovedError, NoScriptError

from hybridproxy.config.settings import Redis

TIMEOUT: Final = 0.5
"""Seconds for a connection, and for an answer."""

DEADLINE: Final = 2.0
"""Seconds for a call with all that comes before it: connect, TLS, log in, find the way."""

Address = tuple[str, int]


class NoMasterError(ConnectionError):
    """The sentinels know no master."""


class Script:
    """A Lua script and its name on the server."""

    def __init__(self, text: str) -> None:
        """Name it."""
        self.text = text
        self.name = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()


def script(*names: str) -> Script:
    """Return one script out of these files, in their order."""
    folder = files("hybridproxy.stores").joinpath("lua")
    return Script("".join(folder.joinpath(f"{name}.lua").read_text(encoding="ascii") for name in names))


class Server:
    """Where the shared state is.

    Attributes:
        trips: calls sent so far, each one round trip.
        connects: connections tried so far.

    """

    def __init__(self, settings: Redis) -> None:
        """Connect to nothing yet. Reads the file of the certificate authorities.

        Raises:
            OSError: the file cannot be read.
            ssl.SSLError: there is no certificate in it.

        """
        self.trips = 0
        self.connects = 0
        self._settings = settings
        self._tls = ssl.create_default_context(cafile=settings.ca) if settings.tls else None
        self._turn = 0
        self._connection: Connection | None = None
        self._asking = False

    async def call(self, script: Script, key: str | tuple[str, ...], argument: bytes) -> object:
        """Run a script on a key, or on some with one hash tag; return what it returns.

        Raises:
            Exception: it did not work: redis.RedisError, OSError (TimeoutError is one), or, of bytes that were spoiled
                on the way, what redis-py makes of them.

        """
        try:
            async with asyncio.timeout(DEADLINE):
                return await self._call(script, key, argument)
        except BaseException as error:
            self._turn += 1
            await self.close()
            if isinstance(error, RuntimeError):  # so says uvloop of one that was reset meanwhile
                raise ConnectionResetError("the connection was lost") from error
            raise

    async def close(self) -> None:
        """Drop the connection."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.disconnect(nowait=True)

    async def _call(self, script: Script, key: str | tuple[str, ...], argument: bytes) -> object:
        if self._connection is not None and await self._connection.can_read():
            await self.close()  # it was closed, or has bytes that answer nothing we asked
        connection = self._connection or await self._move(await self._find())
        try:
            return await self._evaluate(connection, script, key, argument)
        except MovedError as moved:
            connection = await self._move((moved.host, moved.port))
        except AskError as ask:  # the slot is on its way to another node, and our key is there already
            connection = await self._move((ask.host, ask.port), asking=True)
        return await self._evaluate(connection, script, key, argument)

    async def _evaluate(
        self, connection: Connection, script: Script, key: str | tuple[str, ...], argument: bytes
    ) -> object:
        keys = (key,) if isinstance(key, str) else key
        try:
            return await self._send(connection, "EVALSHA", script.name, len(keys), *keys, argument)
        except NoScriptError:
            return await self._send(connection, "EVAL", script.text, len(keys), *keys, argument)

    async def _send(self, connection: Connection, *command: str | int | bytes) -> object:
        self.trips += 1
        commands = [("ASKING",), command] if self._asking else [command]
        await connection.send_packed_command(connection.pack_commands(commands))
        for _ in commands[1:]:
            await connection.read_response()
        return await connection.read_response()

    async def _find(self) -> Address:
        """Return where to connect to: a server of the configuration, or what a sentinel of it says."""
        node = self._settings.nodes[self._turn % len(self._settings.nodes)]
        if self._settings.mode != "sentinel":
            return node
        sentinel = await self._connect(node, None, self._settings.sentinel_password, 0)
        try:
            await sentinel.send_command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", self._settings.service)
            found = await sentinel.read_response()
        finally:
            await sentinel.disconnect(nowait=True)
        if found is None:
            raise NoMasterError(f"the sentinel knows no {self._settings.service}")
        host, port = found
        return host.decode(), int(port)

    async def _move(self, address: Address, *, asking: bool = False) -> Connection:
        await self.close()
        settings = self._settings
        self._connection = await self._connect(address, settings.username, settings.password, settings.db)
        self._asking = asking
        return self._connection

    async def _connect(self, address: Address, username: str | None, password: str | None, db: int) -> Connection:
        self.connects += 1
        connection = _Connection(
            address, self._tls, self._settings.tls_name, username=username, password=password, db=db
        )
        try:
            await connection.connect()  # type: ignore[no-untyped-call] # redis-py leaves the result's type out
        except BaseException:
            await connection.disconnect(nowait=True)
            raise
        return connection


class _Connection(Connection):
    """One that says nothing on its own: no retries, pings or greetings; and whose TLS asks for a name of our choice."""

    def __init__(self, address: Address, tls: ssl.SSLContext | None, tls_name: str | None, **login: Any) -> None:
        super().__init__(
            host=address[0], port=address[1], socket_timeout=TIMEOUT, socket_connect_timeout=TIMEOUT,
            protocol=2, driver_info=None, **login,
        )  # fmt: skip
        self._tls = tls
        self._tls_name = tls_name

    def _connection_arguments(self) -> dict[str, Any]:
        tls = {} if self._tls is None else {"ssl": self._tls, "server_hostname": self._tls_name or self.host}
        return {"host": self.host, "port": self.port, **tls}
