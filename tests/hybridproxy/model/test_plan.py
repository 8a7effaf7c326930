"""Plans as values."""

from hybridproxy.model.health import backend_key, credential_key, region_key
from hybridproxy.model.plan import Plan, RefusalKind, Target
from hybridproxy.model.price import UNKNOWN
from hybridproxy.model.snapshot import DEFAULT_HANDLING
from tests.support.make import backend, snapshot


def test_a_targets_health_key_holds_no_secret() -> None:
    """Health goes to logs and other replicas: it knows a credential by its id."""
    one = backend("together-us")
    times = snapshot().routes["default"].handling.timeouts
    target = Target(one, one.endpoints[0], one.credentials[0], "Qwen/Qwen3", times)
    assert target.health_key == ("together-us", "10.0.3.1:8000", "Qwen/Qwen3", "key1")
    assert one.credentials[0].secret not in repr(Plan((target,), (), DEFAULT_HANDLING))


def test_nothing_good_is_assumed_of_a_target() -> None:
    """Its window and its price are not known, and it does not continue a broken stream, unless somebody said so."""
    one = backend("together-us")
    target = Target(one, one.endpoints[0], one.credentials[0], "qwen", DEFAULT_HANDLING.timeouts)
    assert (target.context, target.price, target.continues) == (None, UNKNOWN, False)


def test_what_is_out_around_a_target_keeps_it_out() -> None:
    """Its backend, the region that one lies in, and its credential."""
    one = backend("together-us", region="us")
    target = Target(one, one.endpoints[0], one.credentials[0], "qwen", DEFAULT_HANDLING.timeouts)
    assert target.around == (
        backend_key("together-us"),
        region_key("us"),
        credential_key("together-us", "key1"),
    )


def test_the_words_for_refusals_are_those_of_logs() -> None:
    """Dashboards hold these words, so they do not change by accident."""
    assert [kind.value for kind in RefusalKind] == [
        "unknown_model", "region_refused", "no_backend_allowed", "no_backend_left", "context_too_long",
    ]  # fmt: skip
