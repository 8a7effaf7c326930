"""Refusing a call from its first bytes, while this worker sheds load.

To serve at least four fifths of what it can while three times as much comes, a worker must refuse at less than a tenth
of what an answer costs. The parser, a task's turn and a request's objects cost far more. So a call that stands whole in
what one read brought is refused from those bytes, before anything is parsed, and the connection stays: a new one costs
more than its refusal. Where a request ends must then be beyond doubt. What is not written in the one plain way below
goes to the parser, as it does when nothing is refused.
"""

import asyncio
import re
from collections.abc import Callable, Mapping
from typing import Final

from hybridproxy.dialects import TRANSLATORS
from hybridproxy.gateway.pipeline import naming
from hybridproxy.gateway.pressure import Pressure
from hybridproxy.gateway.reply import Reply, shed_reply
from hybridproxy.ingress.connection import Seen, head
from hybridproxy.model.dialect import Dialect
from hybridproxy.resilience.shedding import Shed

_PATHS: Final[Mapping[bytes, Dialect]] = {
    path.encode(): row.dialect for row in TRANSLATORS.values() for path in row.paths
}
_KEYS: Final = (b"\r\nauthorization: bearer ", b"\r\nx-api-key: ")
_LENGTH: Final = re.compile(rb"\ncontent-length: ?([0-9]{1,8})\r\n(?![ \t])")


def plain_call(data: bytes) -> Seen | None:
    """Return the call that these bytes are, with no byte before or after it; None where that is not beyond doubt.

    A head that another reader might end elsewhere, or whose body it might take to be longer or shorter, is none: bare
    line feeds or carriage returns, more than one mention of a length, any of a transfer coding.
    """
    end = data.find(b"\r\n\r\n") + 4
    space = data.find(b" ", 6)
    if end == 3 or data[:6] != b"POST /" or data[space : space + 11] != b" HTTP/1.1\r\n":
        return None
    dialect = _PATHS.get(data[5:space].partition(b"?")[0])
    if dialect is None:
        return None
    said = data[:end].lower()
    lines = said.count(b"\r\n")
    length = _LENGTH.search(said)
    if (
        length is None
        or end + int(length[1]) != len(data)
        or said.count(b"\n") != lines
        or said.count(b"\r") != lines
        or said.count(b"content-length") != 1
        or b"transfer-encoding" in said
    ):
        return None
    keep = b"\nconnection:" not in said or b"\nconnection: keep-alive\r\n" in said
    return Seen(dialect, keep, _key(data, said))


def _key(data: bytes, said: bytes) -> str | None:
    """Return the key in a head, `said` with small letters. Whatever it is, nothing is served for it here."""
    for name in _KEYS:
        at = said.find(name)
        if at >= 0:
            begin = at + len(name)
            return data[begin : data.find(b"\r", begin)].strip().decode("latin-1")
    return None


SPREAD: Final = 4
"""Refused callers are told to come again after 1, 2, … so many seconds in turn, so as not to come all at once."""

_NOBODY: Final = {"x-hybridproxy-backend": "none", "x-hybridproxy-region": "none", "x-hybridproxy-attempts": "0"}


class Refusals:
    """Refuses calls on account of this worker's load; the gate of `connection`.

    While it may refuse one at all, a tenant's own limit is told first: what it has used up is no other's fault, and its
    calls take no place among those that are let in.
    """

    def __init__(
        self, pressure: Pressure, new_id: Callable[[], str], own_limit: Callable[[Dialect, str | None], Reply | None]
    ) -> None:
        """Refuse what `pressure` does; `new_id` names calls.

        Args:
            pressure: tells which calls are refused for this worker's sake.
            new_id: names calls.
            own_limit: returns the answer to a call that its tenant's own limit refuses, by its dialect and key.

        """
        self._pressure = pressure
        self._new_id = new_id
        self._own_limit = own_limit
        self._turn = 0
        self._made: dict[tuple[Dialect, Shed, int, str], bytes] = {}
        self._second = 0
        self._now = asyncio.get_running_loop().time

    @property
    def engaged(self) -> bool:
        """Whether there may be calls to refuse."""
        return self._pressure.engaged

    def seen(self, data: bytes) -> Seen | None:
        """See `plain_call`."""
        return plain_call(data)

    def answer(self, seen: Seen) -> bytes | None:
        """Return the whole answer to a call that is refused; None: it is let in."""
        own = self._own_limit(seen.dialect, seen.key)
        if own is not None:
            return _whole(self._completed(own, seen.dialect, self._new_id()))
        reason = self._pressure.refuses()
        if reason is None:
            return None
        second = int(self._now())
        if second != self._second:  # the head has the date
            self._second = second
            self._made.clear()
        request_id = self._new_id()
        place = "?" * len(request_id)
        key = (seen.dialect, reason, self._wait(), place)
        made = self._made.get(key)
        if made is None:
            made = self._made[key] = _whole(self._reply(*key))
        return made.replace(place.encode(), request_id.encode())

    def reply(self, dialect: Dialect, key: str | None, *, seen: bool) -> Reply | None:
        """Return the answer to a call whose head was parsed; None: it is let in. `seen`: it was once already."""
        own = self._own_limit(dialect, key) if self._pressure.may_refuse() else None
        if own is not None:
            return self._completed(own, dialect, self._new_id())
        reason = self._pressure.refuses(seen=seen)
        return None if reason is None else self._reply(dialect, reason, self._wait(), self._new_id())

    def _wait(self) -> int:
        self._turn = turn = (self._turn + 1) % SPREAD
        return 1 + turn

    def _reply(self, dialect: Dialect, reason: Shed, wait: int, request_id: str) -> Reply:
        return self._completed(shed_reply(reason, wait), dialect, request_id)

    @staticmethod
    def _completed(reply: Reply, dialect: Dialect, request_id: str) -> Reply:
        """Return a refusal in its caller's words, with the headers that every answer to a call has."""
        reply.said_in(dialect, request_id)
        reply.headers |= {"content-type": "application/json", **naming(dialect, request_id), **_NOBODY}
        return reply


def _whole(reply: Reply) -> bytes:
    begin = head(reply.status, reply.headers, close=False)
    return b"%bcontent-length: %d\r\n\r\n%b" % (begin, len(reply.body), reply.body)
