import pytest
from hypothesis import given
from hypothesis import strategies as st

from geo.database import CountryDatabase
from geo.locate import Locator
from geo.location import FAILED, SPECIAL, UNKNOWN, Location
from tests.geo.conftest import MakeDatabase

DATABASE = CountryDatabase.open()
OVERRIDES = [("10.0.0.0/8", "DE"), ("10.1.0.0/16", "SG"), ("8.8.8.0/24", "CA"), ("2600::/16", "JP")]


def test_the_database_answers() -> None:
    """Without overrides an ordinary address is where the database has it."""
    assert Locator(DATABASE).locate("165.21.83.88") == Location("SG", "AS", "database", "country")


@pytest.mark.parametrize(
    ("address", "country", "continent"),
    [("10.2.3.4", "DE", "EU"), ("10.1.2.3", "SG", "AS"), ("8.8.8.8", "CA", "NA"), ("2600::1", "JP", "AS"),
     ("::ffff:10.1.2.3", "SG", "AS"), ("2002:808:808::1", "CA", "NA")],
)  # fmt: skip
def test_the_operator_knows_better(address: str, country: str, continent: str) -> None:
    """An override beats the special ranges and the database; the longest prefix wins."""
    assert Locator(DATABASE, OVERRIDES).locate(address) == Location(country, continent, "override", "country")


@pytest.mark.parametrize(
    "address",
    ["10.0.0.1", "127.0.0.1", "100.64.9.9", "192.0.2.1", "::1", "fe80::1", "2001:db8::1", "::ffff:192.168.0.1",
     "2002:a00:1::1", "64:ff9b::127.0.0.1"],
)  # fmt: skip
def test_special_addresses_are_in_no_country(address: str) -> None:
    """Private, loopback, shared, documentation and tunnelled private addresses have no country."""
    assert Locator(DATABASE).locate(address) == SPECIAL


@pytest.mark.parametrize(
    "address",
    ["::ffff:165.21.83.88", "2002:a515:5358::1", "2001:0:4136:e378:8000:63bf:5aea:aca7", "64:ff9b::165.21.83.88"],
)
def test_ipv4_inside_ipv6_is_where_the_ipv4_is(address: str) -> None:
    """Mapped, 6to4, Teredo and NAT64 spellings of one address have its country."""
    assert Locator(DATABASE).locate(address).country == "SG"


def test_no_address_and_no_real_address() -> None:
    """A unix socket is an unknown place, nonsense an error."""
    assert Locator(DATABASE).locate("") == UNKNOWN
    assert Locator(DATABASE).locate("nonsense") == FAILED


def test_a_database_that_is_gone_leaves_the_overrides(make_database: MakeDatabase) -> None:
    """Losing the database loses only what it alone knew."""
    database = CountryDatabase.open(make_database("own.mmdb", JP="9.9.9.9"))
    locator = Locator(database, OVERRIDES)
    database.close()
    assert locator.locate("9.9.9.9") == FAILED
    assert locator.locate("8.8.8.8").country == "CA"
    assert locator.locate("127.0.0.1") == SPECIAL


@pytest.mark.parametrize(
    ("override", "message"),
    [(("8.8.8.0/24", "EU"), "'EU' is not a country"), (("8.8.8.0/24", "sg"), "'sg' is not a country"),
     (("8.8.8.0/33", "SG"), "is not a network"), (("10.0.0.0/8", "SG"), "10.0.0.0/8 is given twice")],
)  # fmt: skip
def test_wrong_overrides_are_refused(override: tuple[str, str], message: str) -> None:
    """An operator's mistake is found when the locator is made, not when a call comes in."""
    with pytest.raises(ValueError, match=message):
        Locator(DATABASE, [*OVERRIDES, override])


@given(st.text() | st.ip_addresses().map(str))
def test_locating_never_raises(anything: str) -> None:
    """Any text gives a location, with a country exactly when there is a continent."""
    found = Locator(DATABASE).locate(anything)
    assert (found.country is None) == (found.continent is None) == (found.accuracy == "none")
