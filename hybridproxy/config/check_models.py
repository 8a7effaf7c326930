"""What has to fit together within a model, and what is known to end."""

from collections.abc import Iterator

from hybridproxy.catalogue.offers import warnings
from hybridproxy.config.context import Context, Finding, check_filled, check_known
from hybridproxy.config.schema import ConfigurationFile
from hybridproxy.config.schema_models import ModelSection


def check_models(file: ConfigurationFile, context: Context) -> Iterator[Finding]:
    """Yield what does not fit together within the models."""
    yield from check_filled(("models",), file.models, "model")
    offered = {offer.model for offer in context.offers}
    for name, model in file.models.items():
        if model.latest is None:
            yield from check_filled(("models", name, "served_by"), model.served_by, "backend")
        else:
            yield from _logical(name, model, context, served=name in offered)
        for backend, served in model.served_by.items():
            path = ("models", name, "served_by", backend)
            yield from check_known(path, "backend", backend, context.names["backends"])
            if "*" in served.name and "*" not in name:
                yield path, "the backend's name holds a * and the model's has none to put there"
            tiers = [] if served.price is None else [tier.above for tier in served.price.tiers]
            if len(set(tiers)) < len(tiers):
                yield (*path, "price", "tiers"), "two tiers begin at the same number of tokens"


def _logical(name: str, model: ModelSection, context: Context, *, served: bool) -> Iterator[Finding]:
    path = ("models", name, "latest")
    if "*" in name:
        yield ("models", name), "a name for the freshest of a line holds no *"
    if model.latest not in context.lines:
        yield from check_known(path, "line of models", str(model.latest), context.lines)
    elif not served and context.intact(("backends",)):
        yield path, f"no backend is known to have a {model.latest}: name them in served_by"


def warn_of_models(context: Context) -> Iterator[Finding]:
    """Yield what is gone, or will be soon."""
    for offer, message in warnings(context.offers, context.today) if context.today else ():
        path = ("latest",) if offer.latest else ("served_by", offer.backend)
        yield ("models", offer.model, *path), message
