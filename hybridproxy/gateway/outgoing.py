"""From a judged call to the body one backend gets: our own serialisation, in the provider's spelling."""

from typing import Any

import orjson

from hybridproxy.model.call import Call
from hybridproxy.providers.provider import CONTROL_FIELDS, Provider


def outgoing_body(call: Call, provider: Provider, model: str, pins: tuple[str, ...]) -> bytes:
    """Return the JSON that goes to a backend.

    Fields by which a client could steer the upstream's own routing are left out, fields the provider does not know are
    dropped or renamed, and the usage of a stream is asked for where it does not come by itself.
    """
    drops, renames = provider.drops, provider.renames
    body: dict[str, Any] = {
        renames.get(name, name): value
        for name, value in call.body.items()
        if name not in CONTROL_FIELDS and name not in drops
    }
    body["model"] = model
    if call.stream:
        if provider.asks_for_usage:
            options = call.body.get("stream_options")
            body["stream_options"] = {**options, "include_usage": True} if options else {"include_usage": True}
    else:
        body.pop("stream_options", None)
        body.pop("stream", None)
    if provider.prepare is not None:
        provider.prepare(body, pins)
    return orjson.dumps(body)
