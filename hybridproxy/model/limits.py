"""What a tenant may use and spend, and how much of a backend we may: whole numbers an operator wrote down.

A limit has a scope (all of a tenant's calls, or those for the models that a pattern covers) and a measure. `LimitKey`
names one limit of one tenant; who counts it where is the business of `stores.quotas` and `stores.shares`.
"""

from enum import Enum
from typing import Protocol

from hybridproxy.model.value import value


class Measure(Enum):
    """What a limit bounds; the value is the word used in headers, errors, logs and Redis."""

    REQUESTS = "requests"
    """Calls within any 60 s."""
    TOKENS = "tokens"
    """Tokens of input and output within any 60 s."""
    STREAMS = "streams"
    """Calls at a time, streaming or not."""
    DAY = "day"
    """Nano-dollars within a day, UTC."""
    MONTH = "month"
    """Nano-dollars within a calendar month, UTC."""

    __hash__ = object.__hash__  # members are one of a kind; Enum's own hash is a call in Python


LimitKey = tuple[str, str, Measure]
"""Tenant, the pattern of models ("" for all of the tenant's calls), measure."""


@value
class Rates:
    """Requests and tokens within any 60 s, calls at a time; None: without a limit."""

    rpm: int | None = None
    tpm: int | None = None
    streams: int | None = None


@value
class Caps:
    """Nano-dollars a day and a month, UTC; None: without a limit."""

    day: int | None = None
    month: int | None = None


NO_RATES = Rates()
NO_CAPS = Caps()


@value
class ModelLimits:
    """What holds for the models that a pattern covers (`*` stands for anything), beside what holds for all."""

    pattern: str
    rates: Rates = NO_RATES
    caps: Caps = NO_CAPS


@value
class Limits:
    """All limits of a tenant; each that covers a call has to have room for it.

    Attributes:
        rates: of all its calls.
        caps: of all its calls.
        models: of those for some models.
        answer: tokens that one answer may have, None: as many as its caller and the model let it have.

    """

    rates: Rates = NO_RATES
    caps: Caps = NO_CAPS
    models: tuple[ModelLimits, ...] = ()
    answer: int | None = None


NO_LIMITS = Limits()


class Shares(Protocol):
    """How much of each limit is this worker's: all of it where it is alone, else what the fleet agreed on."""

    def ceiling(self, key: LimitKey, limit: int) -> int:
        """Return how much of a limit this worker may have in use now, what it has in use already included.

        For a day or a month that is what it may have spent in the whole of the period under way.
        """
        ...

    def short(self, key: LimitKey) -> None:
        """Take the news that a call was refused, or nearly, because the share and not the limit is used up."""
        ...
