"""A TCP relay that spoils what passes: late, not at all, cut short, changed, or with no way in.

    async with Relay("127.0.0.1", server.port) as relay:
        relay.faults = Faults.both(delay=0.05, jitter=0.01)  # holds from here on, for old and new connections
        relay.faults = Faults(down=Way(stall=True))          # commands arrive, answers do not
        relay.faults = Faults()                              # sound again: what was stalled flows on

Up is from the client to the server. A connection that lost bytes stays dead after the fault has ended.
"""

import asyncio
import contextlib
import enum
import math
import random
import socket
import struct
from dataclasses import dataclass, field
from types import TracebackType
from typing import Literal, Self

PIECE, PIECES = 16 * 1024, 8  # at most so much is read at once, and so many pieces wait in one direction
Direction = Literal["up", "down"]
_TCP_INFO = struct.Struct("24xII")  # of a listener: how many wait to be accepted, and how many may
RESET = None  # stands in the queue for "the sender broke the connection off"


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """What one direction suffers. Places count the bytes since the faults were set or the connection began."""

    delay: float = 0.0  # seconds; bytes keep their order and their distance
    jitter: float = 0.0  # up to so many seconds more
    stall: bool = False  # nothing passes and nothing is lost
    lose: bool = False  # everything is read and thrown away, the end too
    cut_after: int | None = None  # so many bytes pass, then the connection is closed on both sides
    flip_at: int | None = None  # the byte, counted from 0, of which one bit is flipped
    flip_rate: float = 0.0  # how likely a bit of a byte is flipped


class Connects(enum.Enum):
    """What happens to who wants to connect."""

    SERVED = enum.auto()
    IGNORED = enum.auto()  # connected, but nobody is there: no byte is ever answered
    REFUSED = enum.auto()  # nobody listens on the port
    UNANSWERED = enum.auto()  # the attempt itself gets no answer, as from a host that is off the network


@dataclass(frozen=True, slots=True, kw_only=True)
class Faults:
    """What a relay does at a time."""

    up: Way = field(default_factory=Way)
    down: Way = field(default_factory=Way)
    connects: Connects = Connects.SERVED

    @classmethod
    def both(
        cls,
        *,
        delay: float = 0.0,
        jitter: float = 0.0,
        stall: bool = False,
        lose: bool = False,
        flip_rate: float = 0.0,
    ) -> Self:
        """The same in both directions."""
        way = Way(delay=delay, jitter=jitter, stall=stall, lose=lose, flip_rate=flip_rate)
        return cls(up=way, down=way)


STALLED = Faults.both(stall=True)
BLACK_HOLE = Faults(up=Way(lose=True), down=Way(lose=True), connects=Connects.IGNORED)
REFUSED = Faults(connects=Connects.REFUSED)
PARTITION = Faults(up=Way(stall=True), down=Way(stall=True), connects=Connects.UNANSWERED)


class Lane:
    """One direction of one connection."""

    def __init__(self, link: "Link", name: Direction, source: socket.socket, sink: socket.socket) -> None:
        self._link = link
        self._name = name
        self._source, self._sink = source, sink
        self._waiting: asyncio.Queue[tuple[float, bytes | None]] = asyncio.Queue(PIECES)
        seed = f"{link.relay.seed}/{link.number}/{name}"
        self._delays, self._gaps, self._bits = (random.Random(f"{seed}/{what}") for what in ("delays", "gaps", "bits"))
        self._last = 0.0
        self._next_flip: int | None = None
        self._ended = False  # the sink was told that no more comes; the rest is thrown away
        self.place = 0
        self.passed = 0

    @property
    def way(self) -> Way:
        """The faults now in force."""
        faults = self._link.relay.faults
        return faults.up if self._name == "up" else faults.down

    def begin(self) -> None:
        """Count places from here."""
        self.place = 0
        self._next_flip = self._gap(self.way.flip_rate)

    async def read(self) -> None:
        """Take what comes, with the moment at which it may go on."""
        loop = asyncio.get_running_loop()
        piece: bytes | None = RESET
        while piece != b"":
            try:
                piece = await loop.sock_recv(self._source, PIECE)
            except OSError:
                piece = RESET
            way = self.way
            # no piece overtakes another
            self._last = max(self._last, loop.time() + way.delay + self._delays.random() * way.jitter)
            await self._waiting.put((self._last, piece))
            if piece is RESET:
                return

    async def write(self) -> None:
        """Let it go on, spoiled; returns after the sender's end."""
        loop = asyncio.get_running_loop()
        while True:
            due, piece = await self._waiting.get()
            if (wait := due - loop.time()) > 0:
                await asyncio.sleep(wait)
            while self.way.stall and not self._link.dead:
                await self._link.relay.changed()
            self._link.dead |= self.way.lose
            if self._link.dead or self._ended:
                if not piece:
                    return
            elif piece is RESET:
                raise ConnectionResetError
            elif piece == b"":
                self.end()
                return
            else:
                await self._pass(piece)

    async def _pass(self, piece: bytes) -> None:
        limit = self.way.cut_after
        room = len(piece) if limit is None else max(0, limit - self.place)
        piece = self._spoil(piece[:room])
        self.place += len(piece)
        self.passed += len(piece)
        self._link.relay.count(self._name, len(piece))
        await asyncio.get_running_loop().sock_sendall(self._sink, piece)
        if limit is not None and self.place >= limit:
            self._link.close()

    def _spoil(self, piece: bytes) -> bytes:
        way, spoiled = self.way, bytearray(piece)
        places = [] if way.flip_at is None else [way.flip_at]
        while self._next_flip is not None and self._next_flip < self.place + len(piece):
            places.append(self._next_flip)
            self._next_flip += 1 + (self._gap(way.flip_rate) or 0)
        for place in places:
            if self.place <= place < self.place + len(piece):
                spoiled[place - self.place] ^= 1 << self._bits.randrange(8)
        return bytes(spoiled)

    def _gap(self, rate: float) -> int | None:
        """Draw how many bytes stay whole before the next that is spoiled: independent of how they come in pieces."""
        if rate <= 0:
            return None
        return 0 if rate >= 1 else int(math.log(1 - self._gaps.random()) / math.log(1 - rate))

    def end(self) -> None:
        """Tell the receiver that no more comes."""
        self._ended = True
        with contextlib.suppress(OSError):  # it has gone
            self._sink.shutdown(socket.SHUT_WR)


class Link:
    """One connection through the relay."""

    def __init__(self, relay: "Relay", number: int, client: socket.socket) -> None:
        self.relay = relay
        self.number = number
        self.dead = relay.faults.connects is Connects.IGNORED  # it lost bytes: nothing ever passes again
        self._client, self._server = client, _tcp()
        self.up = Lane(self, "up", client, self._server)
        self.down = Lane(self, "down", self._server, client)
        self.task = asyncio.create_task(self._run(), name=f"relay {number}")
        self.task.add_done_callback(self._let_go)

    async def _run(self) -> None:
        self.up.begin()
        self.down.begin()
        try:
            lanes = [self.up]
            if not self.dead:
                await asyncio.get_running_loop().sock_connect(self._server, self.relay.target)
                lanes.append(self.down)
            async with asyncio.TaskGroup() as group:
                for lane in lanes:
                    group.create_task(lane.read())
                    group.create_task(lane.write())
        except* OSError:  # one side broke it off, or the server is not there: the other learns it
            self._linger()

    def _let_go(self, _: asyncio.Task[None]) -> None:
        self._client.close()
        self._server.close()

    def close(self) -> None:
        """End the connection on both sides; the receivers get what was sent before."""
        self.up.end()
        self.down.end()

    async def reset(self) -> None:
        """Break the connection off on both sides with a TCP reset."""
        if not self.task.done():
            self._linger()
            await self.finish()

    def _linger(self) -> None:
        for end in (self._client, self._server):
            end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    async def finish(self) -> None:
        """Drop it."""
        self.task.cancel()
        await asyncio.wait([self.task])


class Relay:
    """Listens on a port of 127.0.0.1 and relays to a server while its context is open."""

    def __init__(self, host: str, port: int, faults: Faults | None = None, *, seed: int = 0) -> None:
        self.target = (host, port)
        self.seed = seed
        self.port = 0
        self.accepts: list[float] = []  # when each connection was accepted, by the loop's clock
        self.passed: dict[Direction, int] = {"up": 0, "down": 0}  # bytes sent on
        self.links: list[Link] = []
        self._faults = faults or Faults()
        self._changed = asyncio.Event()
        # Bound but never listening: the port stays ours, and refuses, while no listener is open.
        self._place: socket.socket | None = None
        self._listener: socket.socket | None = None
        self._fillers: list[socket.socket] = []

    @property
    def faults(self) -> Faults:
        """What it does now; set it to change that at once."""
        return self._faults

    @faults.setter
    def faults(self, faults: Faults) -> None:
        self._accept()  # who was connected before keeps the connection
        before, self._faults = self._faults.connects, faults
        for link in self.live:
            link.up.begin()
            link.down.begin()
        self._changed.set()
        self._changed = asyncio.Event()
        if self._place is not None and faults.connects is not before:
            self._close_listener()
            self._open_listener()

    @property
    def live(self) -> list[Link]:
        """The connections that have not ended."""
        return [link for link in self.links if not link.task.done()]

    async def changed(self) -> None:
        """Wait until other faults are set."""
        await self._changed.wait()

    def count(self, lane: Direction, size: int) -> None:
        """Add to the bytes that passed."""
        self.passed[lane] += size

    async def reset(self) -> None:
        """Break all connections off with a TCP reset; new ones are served as before."""
        for link in self.live:
            await link.reset()

    def close(self) -> None:
        """Close all connections properly."""
        for link in self.live:
            link.close()

    def half_close(self, lane: Direction) -> None:
        """End one direction of all connections, `up` or `down`; the other goes on."""
        for link in self.live:
            (link.up if lane == "up" else link.down).end()

    def _open_listener(self) -> None:
        kind = self._faults.connects
        if kind is Connects.REFUSED:
            return
        self._listener = _tcp(self.port)
        if kind is Connects.UNANSWERED:
            self._listener.listen(0)
            # the kernel answers nobody while the queue of those that were not accepted is full
            while self._fill():
                pass
        else:
            self._listener.listen(128)
            asyncio.get_running_loop().add_reader(self._listener.fileno(), self._accept)

    def _fill(self) -> bool:
        """Connect once more, unless the queue is full; return whether it was not."""
        assert self._listener is not None
        info = self._listener.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO.size)
        waiting, most = _TCP_INFO.unpack(info)
        if waiting > most:
            return False
        filler = socket.socket()
        self._fillers.append(filler)
        filler.connect(("127.0.0.1", self.port))
        return True

    def _close_listener(self) -> None:
        if self._listener is not None:
            asyncio.get_running_loop().remove_reader(self._listener.fileno())
            self._listener.close()
            self._listener = None
        while self._fillers:
            self._fillers.pop().close()

    def _accept(self) -> None:
        if self._listener is None or self._fillers:
            return
        with contextlib.suppress(BlockingIOError):
            while True:
                client, _ = self._listener.accept()
                client.setblocking(False)
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self.accepts.append(asyncio.get_running_loop().time())
                self.links.append(Link(self, len(self.links), client))

    async def __aenter__(self) -> Self:
        self._place = _tcp(0)
        self.port = self._place.getsockname()[1]
        self._open_listener()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close_listener()
        if self._place is not None:
            self._place.close()
            self._place = None
        for link in self.live:
            await link.finish()
        for link in self.links:
            if error is None and not link.task.cancelled():
                link.task.result()  # raises what was no fault of the network


def _tcp(port: int | None = None) -> socket.socket:
    """Make a socket that never blocks, bound to a port of 127.0.0.1 if one is named (0: any)."""
    made = socket.socket()
    made.setblocking(False)
    if port is None:
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    else:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind(("127.0.0.1", port))
    return made
