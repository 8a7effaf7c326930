"""What all kinds of attempt share: the head of the answer, an error's body, and that the outcome is told once.

The kinds themselves, which differ in what they do with a good answer, are in `gateway.relay`.
"""

from collections.abc import Callable
from typing import Any, Final, Protocol

import orjson

from hybridproxy.dialects.seam import Said
from hybridproxy.dialects.unify import unifier_of
from hybridproxy.gateway.outgoing import PLAIN, Spoken
from hybridproxy.model.call import Call
from hybridproxy.model.dialect import Dialect
from hybridproxy.model.fault import Fault, FaultKind
from hybridproxy.model.plan import Target
from hybridproxy.model.usage import Usage, cost_of
from hybridproxy.providers import PROVIDERS
from hybridproxy.providers.faults import classify
from hybridproxy.providers.quotas import read_quotas
from hybridproxy.resilience.events import (
    Event as CallEvent,
)
from hybridproxy.resilience.events import (
    Failed,
    Finished,
)
from hybridproxy.stores.gates import Turn
from hybridproxy.transport.upstream import Exchange, Headers

MAX_ERROR_BODY: Final = 64 * 1024
OK: Final = 200
Post = Callable[[CallEvent], None]


class Client(Protocol):
    """The caller's side of a stream."""

    def open(self, headers: dict[str, str]) -> None:
        """Begin a stream; its head may wait for the first events."""
        ...

    def write(self, data: bytes) -> bool:
        """Send whole events; return whether the caller reads more slowly than we write."""
        ...

    async def drained(self) -> bool:
        """Wait until it is no longer congested; False when it stopped reading for good."""
        ...

    def end(self, data: bytes) -> None:
        """Send the last events, and end the stream cleanly."""
        ...

    def cut(self) -> None:
        """Send what was written, then close without the mark of a clean end."""
        ...


def _nobody_listens(_event: CallEvent) -> None:
    """Stand in for a call that is over."""


class Attempt:
    """What all kinds share: the head, and an error's body.

    Attributes:
        n: which attempt of the call.
        backend: the operator's name of the backend.
        exchange: the request under way.
        turn: takes what the answer's headers say is left of our quota, None: nobody wants to know.
        dropped: fields of the caller's that the upstream was not sent.
        answer: the whole answer, in the caller's dialect, once it is there and sound; of a stream nothing.
        closing: the last event of a stream that came in the caller's own dialect; it goes out at a clean end alone.

    """

    answer: bytes = b""
    closing: bytes | None = None
    dropped: tuple[str, ...] = ()

    def __init__(
        self,
        n: int,
        call: Call,
        target: Target[Any],
        post: Post,
        wall: Callable[[], float],
        way: Spoken = PLAIN,
    ) -> None:
        """Make the sink of attempt `n`.

        Args:
            n: which attempt of the call.
            call: the call.
            target: where it goes.
            post: takes what happens.
            wall: tells seconds since the epoch.
            way: how the target is spoken to, and how the caller hears of it.

        """
        self.n = n
        self._way = way
        self._voice = way.voice
        self.backend: str = target.backend.id
        self.exchange: Exchange | None = None
        self.turn: Turn | None = None
        self._provider = PROVIDERS[target.backend.provider]
        self._secret = target.credential.secret
        self._pins: tuple[str, ...] = target.backend.pin if self._provider.answered_by else ()
        self._unifier = unifier_of(self._provider) if way.dialect is Dialect.OPENAI else None
        self._operation = call.operation  # and not the call: its body need not live as long as the answer
        self._model = call.model
        self._wants_usage = call.wants_usage
        self._post = post
        self._wall = wall
        self._status = 0
        self._retry_after: str | None = None
        self._head_cost: int | None = None
        self._parts: list[bytes] = []
        self._size = 0
        self._over = False

    @property
    def refused(self) -> bool:
        """Whether the answer is an error."""
        return self._status not in {0, OK}

    def head(self, status: int, headers: Headers) -> None:
        """Take the head of the answer."""
        self._status = OK if status in self._provider.succeeds else status
        if self._provider.cost_header:
            name = self._provider.cost_header.encode()
            self._head_cost = cost_of(next((v.decode("latin-1") for n, v in headers if n == name), ""))
        if self._status != OK:
            self._retry_after = next((v.decode("latin-1") for name, v in headers if name == b"retry-after"), None)
        if self._provider.quotas and self.turn is not None:
            left = read_quotas(self._provider.quotas, headers, self._wall(), self.turn.each)
            if left:
                self.turn.told(left)

    def failed(self, fault: Fault) -> None:
        """Take the end of an attempt that broke off. An error whose body broke off is still that error."""
        if self.refused:
            self._fail(self._error(self._parsed()))
        else:
            self._fail(fault)

    def said(self, usage: Usage | None) -> Said | None:  # noqa: ARG002 - a stream's own
        """Return what the caller has of the answer; of one that does not stream it has nothing."""
        return None

    def release(self) -> None:
        """Let go of the call and of the connection, cancelling what is under way.

        They hold the attempt in turn, and what is free of circles is freed at once: collecting the circles of each
        call as garbage took a sixth of a worker's time.
        """
        exchange, self.exchange, self.turn = self.exchange, None, None
        if exchange is not None:
            exchange.cancel()
        self._post = _nobody_listens

    def _collect(self, data: bytes, limit: int) -> None:
        self._size += len(data)
        if self._size > limit:
            if self._status != OK:
                self._fail(self._error(None))
            else:
                self._fail(self._fault(FaultKind.INTEGRITY, f"the answer is longer than {limit} bytes"))
            return
        self._parts.append(data)

    def _parsed(self) -> Any:
        data = b"".join(self._parts)
        if data.lstrip()[:1] not in {b"{", b"["}:  # DashScope frames the error of a stream like an event
            lines = (line for line in data.splitlines() if line.startswith(b"data:"))
            data = next(lines, b"data:" + data).removeprefix(b"data:")
        try:
            return orjson.loads(data)
        except orjson.JSONDecodeError:
            return None

    def _error(self, body: Any, *, billed: bool = False) -> Fault:
        return classify(
            self._provider.faults,
            self._status,
            body,
            backend=self.backend,
            secret=self._secret,
            retry_after=self._retry_after,
            wall=self._wall(),
            billed=billed,
        )

    def _fault(self, kind: FaultKind, detail: str) -> Fault:
        return Fault(kind, detail, self.backend, status=None, billed=True)

    def _fail(self, fault: Fault) -> None:
        if not self._over:
            self._over = True
            if self.exchange is not None:
                self.exchange.cancel(fault.kind.name.lower())
            self._post(Failed(self.n, fault, self.said(None) is not None))

    def _finish(self) -> None:
        self._over = True
        self._post(Finished(self.n))
