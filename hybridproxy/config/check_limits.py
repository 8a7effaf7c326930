"""What is probably not meant about the limits and budgets of tenants. One line for all of a kind."""

from collections.abc import Callable, Iterator

from hybridproxy.config.context import Finding
from hybridproxy.config.mistakes import KeyPath
from hybridproxy.config.schema import CapsSection, ConfigurationFile, RatesSection, TenantSection
from hybridproxy.metering.estimate import ANSWER

FORGETS = "without a ledger or Redis a restart forgets what was spent"
COVERS_NONE = "no model is called so: this limits nothing"
SMALL = "a call that sets no max_tokens reserves {} tokens for its answer, so none of those is ever served"


def warn_of_limits(file: ConfigurationFile, covers: Callable[[str], bool]) -> Iterator[Finding]:
    """Yield what is probably not meant; `covers` tells whether a pattern covers any model."""
    if file.ledger is None and file.redis is None:
        yield from _one_of((("tenants", *path) for path, caps in _caps(file) if _is_set(caps)), FORGETS)
    yield from _one_of(
        (
            ("tenants", name, section, "models", pattern)
            for name, tenant in file.tenants.items()
            for section, patterns in (("limits", tenant.limits.models), ("budget", tenant.budget.models))
            for pattern in patterns
            if not covers(pattern)
        ),
        COVERS_NONE,
    )
    small: dict[int, list[KeyPath]] = {}
    for name, tenant in file.tenants.items():
        reserved = tenant.limits.answer or ANSWER
        for path, rates in _rates(tenant):
            if rates.tpm is not None and rates.tpm <= reserved:
                small.setdefault(reserved, []).append(("tenants", name, *path, "tpm"))
    for reserved, paths in sorted(small.items()):
        yield from _one_of(iter(paths), SMALL.format(reserved))


def _caps(file: ConfigurationFile) -> Iterator[tuple[KeyPath, CapsSection]]:
    for name, tenant in file.tenants.items():
        yield (name, "budget"), tenant.budget
        for pattern, caps in tenant.budget.models.items():
            yield (name, "budget", "models", pattern), caps


def _rates(tenant: TenantSection) -> Iterator[tuple[KeyPath, RatesSection]]:
    yield ("limits",), tenant.limits
    for pattern, rates in tenant.limits.models.items():
        yield ("limits", "models", pattern), rates


def _is_set(caps: CapsSection) -> bool:
    return caps.usd_per_day is not None or caps.usd_per_month is not None


def _one_of(paths: Iterator[KeyPath], message: str) -> Iterator[Finding]:
    found = list(paths)
    if found:
        yield found[0], message + (f" (and {len(found) - 1} more like it)" if len(found) > 1 else "")
