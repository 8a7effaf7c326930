"""What a provider is: a row of data that says how an upstream speaks where it differs from OpenAI's API."""

from collections.abc import Callable, Mapping
from dataclasses import field
from fnmatch import fnmatchcase
from typing import Any

from hybridproxy.families.natures import plain_name
from hybridproxy.model.call import Call, Operation
from hybridproxy.model.dialect import Dialect
from hybridproxy.model.value import value
from hybridproxy.providers.auth import BEARER, Auth
from hybridproxy.providers.faults import OPENAI_FAULTS, FaultRule
from hybridproxy.providers.lists import Lists
from hybridproxy.providers.metrics import Metrics
from hybridproxy.providers.quotas import Quota
from hybridproxy.providers.thinks import Thinks

OPENAI_PATHS: Mapping[Operation, str] = {
    Operation.CHAT: "/chat/completions",
    Operation.COMPLETION: "/completions",
    Operation.EMBEDDING: "/embeddings",
}

CONTROL_FIELDS = frozenset(
    {
        "api_base", "api_key", "api_version", "base_url", "callback_url", "extra_body", "extra_headers", "extra_query",
        "fallbacks", "models", "organization", "plugins", "provider", "route", "transforms", "webhook",
        # settings of an account of OpenRouter by name; routers of LiteLLM that a call brings along
        "preset", "model_list", "router_settings_override", "user_config",
        # of engines: whose cache a call may use, where caches are fetched from, what comes first, who is who, and code
        "bootstrap_host", "bootstrap_pair_key", "bootstrap_port", "bootstrap_room", "cache_salt",
        "custom_logit_processor", "data_parallel_rank", "disagg_prefill_dp_rank", "disaggregated_params",
        "ec_transfer_params", "extra_key", "id_slot", "kv_transfer_params", "lora_path",
        "lora_request", "priority", "request_id",
        "rid", "routed_dp_rank", "session_params",
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
        sites: the only sites where it does so; empty: every one.

    """

    message: Mapping[str, Any] = field(default_factory=dict)
    body: Mapping[str, Any] = field(default_factory=dict)
    template: Mapping[str, Any] = field(default_factory=dict)
    sites: frozenset[str] = frozenset()


@value
class Wire:
    """Another dialect that an upstream speaks beside OpenAI's, or instead of it.

    Attributes:
        paths: operation -> path; `{variant}` in it stands for the one of the dialect's paths that was called.
        root: what the paths stand under; None: the path of the endpoint's URL.
        instead_of: the end of the endpoint's path in whose place `root` stands; all of it where it does not end so.
        headers: what every request has.

    """

    paths: Mapping[Operation, str]
    root: str | None = None
    instead_of: str = ""
    headers: tuple[tuple[str, str], ...] = ()

    def root_at(self, base_path: str) -> str:
        """Return what the paths stand under at an endpoint whose URL has the path `base_path`."""
        return base_path if self.root is None else base_path.removesuffix(self.instead_of) + self.root


RESPONSES_WIRE = Wire({Operation.CHAT: "/responses"})
"""OpenAI's Responses API where it is beside the chat completions, as with OpenAI itself."""


@value
class Provider:
    """How one upstream speaks.

    Attributes:
        name: the word used in the configuration.
        sites: site -> base URL; "" as a site is the only one, "" as a URL means the operator has to give `base_url`.
        workspaces: site -> base URL of an account's own workspace there, in which its name is `{workspace}`.
        places: site -> ISO code of the country its endpoint stands in, which says nothing of where it computes.
        paths: operation -> path under the base URL, in OpenAI's dialect.
        wires: the other dialects it speaks. An operation that no dialect has a path for is not offered.
        root: path prefix an endpoint gets when its URL does not end with it already.
        asks_for_usage: `stream_options.include_usage` has to be sent to get the usage of a stream.
        accepts: the only fields of a chat that are sent; None: whatever the caller wrote.
        messages: the only fields of messages that are sent; None: whatever the caller wrote.
        marks: which of `dialects.marks` it takes in messages, parts and tools.
        drops: fields it does not know and would refuse, or ignore in silence.
        refuses: field -> what would be missing without it, so a call that has it goes elsewhere. `messages[].name` is
            the field of each message.
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
        lists: how it lists its models; None: it is not known to.
        auth: how it is shown a key.
        auth_at: site -> how it is shown a key there, where that differs.
        succeeds: statuses with an answer.
        reasoning: its field for what a model thought, in answers and in messages that are sent back.
        reasons_too: another field of answers in which it may stand, where nobody says who gives them; "": none.
        thinks: how it is told to think; None: in whichever way the caller does it.
        finishes: its word for why an answer ended -> OpenAI's; None: it has not ended.
        error_in: the field of a chunk in which it tells an error as a text; "": it does not.
        whole_tools: calls of tools come whole, without an `index`, and end with "stop".
        flat_logprobs: probabilities come as lists beside each other, with a chunk as one number.
        passes_on: calls are worked on by others, wherever it runs itself.
        quotas: the headers in which it says how much of our quotas is left; empty: it does not.
        cost: the field of its usage that says what it charges for an answer, in US dollars; "": it does not say.
        cost_header: the same of a header, for answers that do not stream; 0 there stands for not knowing.
        by_model: pattern of a model's plain name -> what of this differs in a request for it; the first that fits.

    """

    name: str
    sites: Mapping[str, str] = field(default_factory=dict)
    workspaces: Mapping[str, str] = field(default_factory=dict)
    places: Mapping[str, str] = field(default_factory=dict)
    paths: Mapping[Operation, str] = field(default_factory=lambda: OPENAI_PATHS)
    wires: Mapping[Dialect, Wire] = field(default_factory=dict)
    root: str = ""
    asks_for_usage: bool = True
    accepts: frozenset[str] | None = None
    messages: frozenset[str] | None = None
    marks: frozenset[str] = frozenset()
    drops: frozenset[str] = frozenset()
    refuses: Mapping[str, str] = field(default_factory=dict)
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
    lists: Lists | None = None
    auth: Auth = BEARER
    auth_at: Mapping[str, Auth] = field(default_factory=dict)
    succeeds: frozenset[int] = frozenset({200})
    reasoning: str = "reasoning_content"
    reasons_too: str = ""
    thinks: Thinks | None = None
    finishes: Mapping[str, str | None] = field(default_factory=dict)
    error_in: str = ""
    whole_tools: bool = False
    flat_logprobs: bool = False
    passes_on: bool = False
    quotas: tuple[Quota, ...] = ()
    cost: str = ""
    cost_header: str = ""
    by_model: tuple[tuple[str, "Provider"], ...] = ()

    def for_model(self, model: str) -> "Provider":
        """Return how it is asked for a model of that name."""
        if not self.by_model:
            return self
        plain = plain_name(model)
        return next((row for pattern, row in self.by_model if fnmatchcase(plain, pattern)), self)

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

    def auth_for(self, site: str) -> Auth:
        """Return how it is shown a key at a site."""
        return self.auth_at.get(site, self.auth)

    def continues_at(self, site: str) -> bool:
        """Return whether an answer that broke off can be continued at a site."""
        return self.continuation is not None and (not self.continuation.sites or site in self.continuation.sites)

    def path(self, operation: Operation, base_path: str) -> str:
        """Return the path of an operation for an endpoint whose URL has the path `base_path`."""
        root = "" if base_path.endswith(self.root) else self.root
        return root + self.paths[operation]

    def offers(self, operation: Operation) -> bool:
        """Return whether it can be asked for an operation, in whichever dialect."""
        return operation in self.paths or any(operation in wire.paths for wire in self.wires.values())

    def speaks_like(self, call: Call, *, plain: bool) -> bool:
        """Return whether a call can go to it in the caller's own words; `plain`: OpenAI's dialect is preferred."""
        wire = self.wires.get(call.dialect)
        return call.dialect is Dialect.OPENAI or (wire is not None and call.operation in wire.paths and not plain)

    def dialect_for(self, call: Call, *, plain: bool) -> Dialect:
        """Return the dialect that a call goes to it in: the caller's own, else OpenAI's, else what it speaks.

        Raises:
            ValueError: it does not offer the operation.

        """
        if call.dialect is not Dialect.OPENAI and self.speaks_like(call, plain=plain):
            return call.dialect
        if call.operation in self.paths:
            return Dialect.OPENAI
        found = next((dialect for dialect, wire in self.wires.items() if call.operation in wire.paths), None)
        if found is None:
            raise ValueError(f"{self.name!r} does not offer {call.operation.value}")
        return found
