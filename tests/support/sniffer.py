"""An independent witness: every packet on every interface of the network namespace that this process is in.

    with Sniffer() as seen:
        ...
        for packet in seen.packets():
            print(packet)

It reads what the kernel hands to an AF_PACKET socket, so nothing that a program under test says or hides matters.
"""

import os
import socket
import struct
import threading
from dataclasses import replace
from types import TracebackType
from typing import Final, Self

from tests.support.packets import Packet, read_frame, read_packet

ETH_P_ALL: Final = 3
SOL_PACKET: Final = 263
PACKET_STATISTICS: Final = 6
OUTGOING: Final = 4
ETHERNET, LOOPBACK = 1, 772
"""Kinds of links whose frames have an Ethernet head; tunnels' have none."""

DISCARD: Final = ("127.0.0.1", 9)
PATIENCE: Final = 30.0
"""Seconds within which the kernel hands a packet over."""

LARGEST: Final = 65_536 + 64


class Sniffer:
    """Collects packets in a thread of its own while its context is open."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 * 2**20)  # as much of it as the system gives
        self._packets: list[Packet] = []
        self._news = threading.Condition()
        self._ended = False
        self._missed = 0
        self._thread = threading.Thread(target=self._read, name="sniffer", daemon=True)

    def __enter__(self) -> Self:
        """Begin; every interface is watched, those that come later too."""
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End."""
        self._ended = True
        self._nudge(b"end")
        self._thread.join(PATIENCE)
        self._socket.close()

    @property
    def missed(self) -> int:
        """How many packets the kernel had to drop since the sniffer was too slow; a good witness has missed none."""
        _, dropped = struct.unpack("II", self._socket.getsockopt(SOL_PACKET, PACKET_STATISTICS, 8))
        self._missed += dropped  # the kernel counts from the last time it was asked
        return self._missed

    def mark(self) -> int:
        """Return a place in time: what is on its way now comes before it."""
        self._catch_up()
        with self._news:
            return len(self._packets)

    def packets(self, since: int = 0, until: int | None = None) -> list[Packet]:
        """Return what was seen between two places in time, or until now."""
        if until is None:
            until = self.mark()
        with self._news:
            return self._packets[since:until]

    def _catch_up(self) -> None:
        """Wait until a packet sent now was seen: packets are handed over in their order."""
        word, before = os.urandom(16), len(self._packets)
        self._nudge(word)

        def came() -> bool:
            return any(packet.data == word for packet in self._packets[before:])

        with self._news:
            if not self._news.wait_for(came, PATIENCE):
                raise TimeoutError("the sniffer sees nothing")

    @staticmethod
    def _nudge(word: bytes) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
            out.sendto(word, DISCARD)

    def _read(self) -> None:
        while not self._ended:
            data, (interface, kind, way, link, _) = self._socket.recvfrom(LARGEST)
            packet = _read(data, interface, kind, link, outgoing=way == OUTGOING)
            with self._news:
                self._packets.append(packet)
                self._news.notify_all()


def _read(data: bytes, interface: str, kind: int, link: int, *, outgoing: bool) -> Packet:
    read = read_frame(data) if link in (ETHERNET, LOOPBACK) else read_packet(kind, data)
    return replace(read, interface=interface, outgoing=outgoing)
