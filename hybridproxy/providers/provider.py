"""What a provider is: a row of data that says how an upstream speaks where it differs from OpenAI's API."""

from collections.abc import Callable, Mapping
from dataclasses import field
from typing import Any

from hybridproxy.model.call import Operation
from hybridproxy.model.value import value
from hybridproxy.providers.faults import OPENAI_FAULTS, FaultRule
from hybridproxy.providers.metrics import Metrics

OPENAI_PATHS: Mapping[Operation, str] = {
    Operation.CHAT: "/chat/completions",
    Operation.COMPLETION: "/completions",
    Operation.EMBEDDING: "/embeddings",
}

CONTROL_FIELDS = frozenset(
    {
        "api_base", "api_key", "api_version", "base_url", "callback_url", "extra_body", "extra_headers", "extra_query",
        "fallbacks", "models", "organization", "plugins", "provider", "route", "transforms", "webhook",
        # of engines: whose cache a call may use, where caches are fetched from, what comes first, who is who, and code
        "bootstrap_host", "bootstrap_pair_key", "bootstrap_port", "bootstrap_room", "cache_salt",
        "custom_logit_processor", "data_parallel_rank", "disagg_prefill_dp_rank", "disaggregated_params",
        "ec_transfer_params", "extra_key", "kv_transfer_params", "lora_path", "priority", "request_id", "rid",
        "routed_dp_rank", "session_params",
    }
)  # fmt: skip

"""Fields by which a client could steer an upstream's own routing, or where data goes; they never pass.

A `priority` is looked at: see `gateway.outgoing`.
"""

Body = dict[str, Any]


def _letters(name: str) -> str:
    return "".join(filter(str.isalnum, name.lower()))


@value
class Continues:
    """How an upstream is asked to write on from a message of the assistant that stands last.

    Attributes:
        message: fields that message gets.
        body: fields the body gets, whatever the caller put there.
        template: fields `chat_template_kwargs` gets beside the caller's.

    """

    message: Mapping[str, Any] = field(default_factory=dict)
    body: Mapping[str, Any] = field(default_factory=dict)
    template: Mapping[str, Any] = field(default_factory=dict)


@value
class Provider:
    """How one upstream speaks.

    Attributes:
        name: the word used in the configuration.
        sites: site -> base URL; "" as a site is the only one, "" as a URL means the operator has to give `base_url`.
        places: site -> ISO code of the country its endpoint stands in, which says nothing of where it computes.
        paths: operation -> path under the base URL. An operation that is not there is not offered.
        root: path prefix an endpoint gets when its URL does not end with it already.
        asks_for_usage: `stream_options.include_usage` has to be sent to get the usage of a stream.
        drops: fields it does not know and would refuse, or ignore in silence.
        max_choices: most answers it gives to one call (`n`).
        renames: field -> the provider's name for the same thing.
        prepare: what data cannot say: changes the outgoing body in place, given the operator's pins.
        faults: rules that name an error, first match wins.
        continuation: how it continues an answer that broke off; None: it does not, or nobody documents that it does.
        answered_by: the field of an answer that names who behind an aggregator gave it; "": there is none.
        running_usage: `stream_options.continuous_usage_stats` makes it report the usage with each chunk.
        metrics: where its server says how loaded it is; None: it does not.
        caches_prefixes: it is an engine that keeps what prompts begin with for the next one that begins so.
        salt: the field that keeps the caches of those who send different values apart; "": there is none.
        prioritises: its field `priority` is a whole number, 0 where it is left out, and what has less comes first.

    """

    name: str
    sites: Mapping[str, str] = field(default_factory=dict)
    places: Mapping[str, str] = field(default_factory=dict)
    paths: Mapping[Operation, str] = field(default_factory=lambda: OPENAI_PATHS)
    root: str = ""
    asks_for_usage: bool = True
    drops: frozenset[str] = frozenset()
    max_choices: int = 128
    renames: Mapping[str, str] = field(default_factory=dict)
    prepare: Callable[[Body, tuple[str, ...]], None] | None = None
    faults: tuple[FaultRule, ...] = OPENAI_FAULTS
    continuation: Continues | None = None
    running_usage: bool = False
    answered_by: str = ""
    metrics: Metrics | None = None
    caches_prefixes: bool = False
    salt: str = ""
    prioritises: bool = False

    @property
    def self_hosted(self) -> bool:
        """Whether the operator has to say where it is."""
        return not self.sites

    def is_pinned(self, answer: Any, pins: tuple[str, ...]) -> bool | None:
        """Return whether one of the pinned providers gave an answer, or a chunk of it; None where it does not say.

        An aggregator's pins are short names and its answers have those for people: `novita`, "NovitaAI".
        """
        name = answer.get(self.answered_by) if isinstance(answer, dict) else None
        if not pins or not isinstance(name, str) or not name:
            return None
        said = _letters(name)
        pinned = [_letters(pin.partition("/")[0]) for pin in pins]
        return any(said.startswith(pin) or pin.startswith(said) for pin in pinned)

    def path(self, operation: Operation, base_path: str) -> str:
        """Return the path of an operation for an endpoint whose URL has the path `base_path`."""
        root = "" if base_path.endswith(self.root) else self.root
        return root + self.paths[operation]
