"""Which backend serves which model, and at which price: the configuration, then the overlay, then the catalogue."""

from collections.abc import Iterator, Mapping
from dataclasses import replace

from hybridproxy.catalogue.catalogue import NO_OVERLAY, OFFICIAL, Known, Note, Overlay, freshest, known_of
from hybridproxy.catalogue.offers import CONFIGURED, Offer
from hybridproxy.config.schema import ConfigurationFile
from hybridproxy.config.schema_models import ModelSection, OverlayFile, Rates, ServedSection
from hybridproxy.config.schema_models import Price as PriceSection
from hybridproxy.families import natures
from hybridproxy.model.call import Capability
from hybridproxy.model.price import FREE, UNKNOWN, Price, price
from hybridproxy.model.snapshot import Model, Served
from hybridproxy.providers import PROVIDERS

Made = tuple[Served, Offer]


def models_of(
    file: ConfigurationFile, overlay: Overlay = NO_OVERLAY, today: str = ""
) -> tuple[dict[str, Model], tuple[Offer, ...]]:
    """Return the models as routing sees them, and as people do.

    Args:
        file: the configuration.
        overlay: what goes before the catalogue.
        today: YYYY-MM-DD: what is gone by then is nobody's freshest; "": nothing is gone.

    """
    models: dict[str, Model] = {}
    offers: list[Offer] = []
    for name, section in file.models.items():
        made = list(_served(name, section, file, overlay, today))
        models[name] = Model(name, section.family, tuple(served for served, _ in made), section.latest or "")
        offers += [offer for _, offer in made]
    return models, tuple(offers)


def _served(name: str, section: ModelSection, file: ConfigurationFile, overlay: Overlay, today: str) -> Iterator[Made]:
    """Give the backends of a model: those written there and, for a logical name, all that have one of its line."""
    for backend, served in section.served_by.items():
        if backend in file.backends:
            known = _known(file, backend, served.name, overlay)
            yield _made(name, section, file, backend, served, known, picked=False)
    if section.latest is None:
        return
    for backend, own in file.backends.items():
        found = freshest(section.latest, backend, own.provider, own.site or "", overlay, today)
        if found is not None and backend not in section.served_by:
            served = ServedSection(name=found.name)
            yield _made(name, section, file, backend, served, found, picked=True)


def _known(file: ConfigurationFile, backend: str, name: str, overlay: Overlay) -> Known:
    own = file.backends[backend]
    return known_of(backend, own.provider, own.site or "", name, overlay)


def _made(
    model: str,
    section: ModelSection,
    file: ConfigurationFile,
    backend: str,
    served: ServedSection,
    known: Known,
    *,
    picked: bool,
) -> Made:
    provider = file.backends[backend].provider
    owned = PROVIDERS[provider].self_hosted
    context, context_from = served.context or section.context, CONFIGURED
    if context is None:
        context, context_from = known.context, known.context_from
    free = file.backends[backend].sovereign
    tariff, price_from = FREE if free else UNKNOWN, ""
    if served.price is not None:
        tariff, price_from = price_of(served.price), CONFIGURED
    elif known.price is not None:
        tariff, price_from = known.price, known.price_from
    released = served.released or known.released
    return Served(
        backend=backend,
        name=served.name,
        context=context,
        lacks=_lacks(served),
        streams_only=natures.streams_only(provider, served.name)
        if served.streams_only is None
        else served.streams_only,
        price=replace(tariff, source=price_from or tariff.source),
        released=released,
        official=provider in OFFICIAL,
        closed=picked and known.closed and not owned,
    ), Offer(
        model=model,
        backend=backend,
        name=served.name,
        context=context,
        context_from=context_from,
        price=tariff,
        price_from=price_from,
        released=released,
        leaves=known.leaves,
        leaves_from=known.leaves_from,
        latest=(section.latest or "") if picked else "",
        owned=owned,
        free=free,
    )


def _lacks(served: ServedSection) -> frozenset[Capability]:
    """Return what a model cannot do: what the operator says, or what is known of a model of that name."""
    if served.lacks is not None:
        return frozenset(map(Capability, served.lacks))
    return frozenset({Capability.VISION}) if natures.sees(served.name) is False else frozenset()


def price_of(section: PriceSection) -> Price:
    """Return a price from a file."""
    tiers = sorted(section.tiers, key=lambda tier: tier.above)
    return _rates(section, tuple((tier.above, _rates(tier)) for tier in tiers))


def _rates(rates: Rates, tiers: tuple[tuple[int, Price], ...] = ()) -> Price:
    return price(
        rates.input,
        rates.output,
        thinking=rates.thinking,
        cached=rates.cache_read,
        asked=rates.cache_read_explicit,
        written=rates.cache_write,
        tiers=tiers,
    )


def overlay_of(file: OverlayFile) -> Overlay:
    """Return what an overlay's file says."""
    notes: Mapping[tuple[str, str], Note] = {
        (one.backend, one.name): Note(
            backend=one.backend,
            name=one.name,
            line=one.line or "",
            released=one.released or "",
            context=one.context,
            price=None if one.price is None else price_of(one.price),
            leaves=one.leaves or "",
        )
        for one in file.models
    }
    return notes
