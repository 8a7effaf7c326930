"""The configuration in force: whose key it is, and where a caller is."""

from pathlib import Path

import pytest

from hybridproxy.building import make_running
from hybridproxy.config.keys import new_key
from hybridproxy.config.load import load
from hybridproxy.gateway.running import Running

KEY, DIGEST = new_key(lambda size: b"k" * size)
CONFIG = f"""
listen: {{trusted_proxies: [10.0.0.0/8]}}
geo: {{overrides: {{198.51.100.0/24: JP}}}}
regions: {{asia: {{continents: [AS]}}, north-america: {{countries: [CA]}}}}
backends: {{a: {{provider: openai, base_url: "https://a.example/v1", api_key: "${{K}}"}}}}
models: {{m: {{family: other, served_by: {{a: m}}}}}}
routes: {{default: {{regions: {{asia: [a], default: [a]}}}}}}
tenants: {{shop: {{keys: ["{DIGEST}"], route: default, models: ["*"]}}}}
"""


@pytest.fixture
def running(tmp_path: Path) -> Running:
    """A configuration in force."""
    file = tmp_path / "hybridproxy.yaml"
    file.write_text(CONFIG)
    return make_running(load(file, {"K": "x"}))


def test_a_key_is_its_tenants(running: Running) -> None:
    """The exact key finds its tenant; anything else, or none, finds nobody."""
    tenant = running.tenant(KEY)
    assert tenant is not None
    assert tenant.id == "shop"
    for key in (None, "", KEY[:-1], KEY + "x", KEY.upper(), DIGEST, "é" * 46, "hp_\ud800"):
        assert running.tenant(key) is None


@pytest.mark.parametrize(
    ("peer", "forwarded", "country", "region"),
    [
        ("165.21.83.88", [], "SG", "asia"),
        ("165.21.83.88", ["128.100.1.1"], "SG", "asia"),
        ("10.0.0.7", ["128.100.1.1"], "CA", "north-america"),
        ("10.0.0.7", ["114.114.114.114, 128.100.1.1"], "CA", "north-america"),
        ("10.0.0.7", ["198.51.100.9"], "JP", "asia"),
        ("10.0.0.7", [], None, None),
        ("141.20.1.1", [], "DE", None),
        (None, ["128.100.1.1"], None, None),
    ],
)
def test_where_a_caller_is(
    running: Running, peer: str | None, forwarded: list[str], country: str | None, region: str | None
) -> None:
    """The trusted hop's word, the operator's overrides, then the database; no region takes whom none names."""
    location, found = running.whereabouts(peer, forwarded)
    assert (location.country, found) == (country, region)
