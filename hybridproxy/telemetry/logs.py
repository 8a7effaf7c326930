"""The log: one JSON line an event, through structlog.

A finished call is `call.finished` with fixed keys. It says the region and a hash of the tenant, and holds no address,
no key, no prompt and no answer.
"""

import hashlib
import time
from collections.abc import Mapping, MutableMapping, Sequence
from functools import lru_cache
from typing import Any, Final

import orjson
import structlog

from hybridproxy.model.facts import CallFacts
from hybridproxy.routing.decision import listed
from hybridproxy.telemetry.lines import LineWriter

Loggable = str | int | float | bool | None | Sequence["Loggable"] | Mapping[str, "Loggable"]
"""What may be logged: JSON's own values. A backend, a target or a plan is none, so the type checker refuses it here."""


MAX_TEXT: Final = 256
MAX_CANDIDATES: Final = 16


@lru_cache(maxsize=100_000)
def tenant_hash(tenant: str) -> str:
    """Return what stands for a tenant in logs: the beginning of a SHA-256, "" for no tenant."""
    return hashlib.sha256(tenant.encode()).hexdigest()[:12] if tenant else ""


class Log:
    """Where events go. Also the observer that logs calls."""

    def __init__(self, writer: LineWriter) -> None:
        """Log to a writer."""
        self._logger = structlog.wrap_logger(
            _Lines(writer),
            processors=[_render],
            wrapper_class=structlog.BoundLogger,
        ).bind()

    def event(self, name: str, /, **fields: Loggable) -> None:
        """Log an event; names are dotted and in the past tense."""
        self._logger.msg(name, **fields)

    def call_finished(self, facts: CallFacts) -> None:
        """Log a call."""
        usage = facts.usage
        self._logger.msg(
            "call.finished",
            id=facts.request_id,
            operation=facts.operation.value,
            dialect=facts.dialect.value,
            tenant=tenant_hash(facts.tenant),
            country=facts.country,
            region=facts.region,
            model=facts.model,
            stream=facts.stream,
            status=facts.status,
            code=facts.code,
            backend=facts.backend,
            attempts=facts.attempts,
            faults=[fault[:MAX_TEXT] for fault in facts.faults],
            candidates=listed(facts.candidates[:MAX_CANDIDATES]),
            prompt_tokens=None if usage is None else usage.prompt,
            completion_tokens=None if usage is None else usage.completion,
            cost_nanodollars=facts.cost,
            text=facts.text,
            ms=round(facts.seconds * 1000, 2),
            first_output_ms=None if facts.first_output is None else round(facts.first_output * 1000, 2),
            **(_unusual(facts) if facts.lost or facts.hedged or facts.seams else {}),
            **({"limit": facts.limited} if facts.limited else {}),
        )


def _unusual(facts: CallFacts) -> dict[str, Any]:
    """Return what few calls have to say: a second attempt that was paid, a hedge, a stream that broke and went on."""
    return {
        "lost_nanodollars": facts.lost,
        "hedged": facts.hedged,
        "usage_estimated": facts.usage is not None and facts.usage.estimated,
        "seams": [{"at": s.at, "way": s.way, "before": s.before, "after": s.after} for s in facts.seams],
    }


class _Lines:
    """The logger structlog wraps: takes rendered lines."""

    def __init__(self, writer: LineWriter) -> None:
        self.msg = writer.write


def _render(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> bytes:
    event["time"] = round(time.time(), 3)
    return orjson.dumps(event, default=_text)


def _text(value: Any) -> str:
    return str(value)[:MAX_TEXT]
