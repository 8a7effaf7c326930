import contextlib
import os
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import geoip2.database
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geo import convert, database
from geo.countries import CONTINENT_OF
from geo.database import BUILTIN, CountryDatabase, DatabaseError
from geo.location import FAILED, UNKNOWN, Location
from tests.geo.conftest import MakeDatabase

WELL_KNOWN = {
    "165.21.83.88": "SG",
    "128.100.1.1": "CA",
    "8.8.8.8": "US",
    "114.114.114.114": "CN",
    "129.187.1.1": "DE",
    "133.11.0.1": "JP",
    "139.130.4.5": "AU",
    "2404:e800::1": "SG",
    "2001:410::1": "CA",
    "2001:4860:4860::8888": "US",
    "2001:da8::1": "CN",
    "2001:638::1": "DE",
    "2001:200::1": "JP",
    "2001:388::1": "AU",
}


@pytest.fixture(scope="module")
def builtin() -> Iterator[CountryDatabase]:
    """Give the file of the package."""
    found = CountryDatabase.open()
    yield found
    found.close()


def located(country: str) -> Location:
    """Say what the database answers for an address in a country."""
    return Location(country, CONTINENT_OF[country], "database", "country")


# ---- the built-in file ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("address", "country"), [*WELL_KNOWN.items()])
def test_well_known_addresses(builtin: CountryDatabase, address: str, country: str) -> None:
    """The built-in file has well-known addresses where they are."""
    assert builtin.look_up(address) == located(country)


@pytest.mark.parametrize(("address", "country"), [*WELL_KNOWN.items()])
def test_geoip2_reads_the_builtin_file_too(address: str, country: str) -> None:
    """MaxMind's own library reads the file as a Country database and agrees."""
    with geoip2.database.Reader(BUILTIN) as reader:
        found = reader.country(address)
    assert (found.country.iso_code, found.continent.code) == (country, CONTINENT_OF[country])


def test_the_builtin_file_tells_its_origin(builtin: CountryDatabase) -> None:
    """The file names its type and date, is small enough to ship, and its licence lies beside it."""
    assert builtin.fast
    assert builtin.info.path == BUILTIN
    assert "Country" in builtin.info.type
    assert builtin.info.built >= datetime(2026, 6, 25, tzinfo=UTC)
    assert builtin.info.nodes > 100_000
    assert BUILTIN.stat().st_size < 8_000_000
    assert "CC BY-SA 4.0" in BUILTIN.with_name("LICENSE.txt").read_text()
    assert f"{builtin.info.built:%Y-%m-%d %H:%M:%S}" in BUILTIN.with_name("SOURCE.md").read_text()


def test_addresses_of_nobody_are_unknown(builtin: CountryDatabase) -> None:
    """An address that the file does not have is unknown, not an error."""
    assert builtin.look_up("10.0.0.1") == UNKNOWN
    assert builtin.look_up("2001:db8::1") == UNKNOWN


@pytest.mark.parametrize("malformed", ["", "127.1", "0x08080808", "8.8.8.8:53", "dns.google", "8.8.8.8\0", "\udcff"])
def test_malformed_addresses_are_errors(builtin: CountryDatabase, malformed: str) -> None:
    """What is not exactly an address has no location, and nothing is raised."""
    assert builtin.look_up(malformed) == FAILED


@given(st.text() | st.ip_addresses().map(str))
def test_look_up_never_raises(anything: str) -> None:
    """Any text gives a location."""
    assert SHARED.look_up(anything).source in {"database", "unknown", "error"}


SHARED = CountryDatabase.open()


def test_without_the_c_extension(monkeypatch: pytest.MonkeyPatch) -> None:
    """The file is read in pure Python where the C part is missing, and the operator can see it."""
    monkeypatch.setattr(database, "_FAST", False)
    slow = CountryDatabase.open()
    assert not slow.fast
    assert slow.look_up("165.21.83.88") == located("SG")


# ---- an operator's file --------------------------------------------------------------------------------------------


def test_a_file_of_the_operators_own(make_database: MakeDatabase) -> None:
    """A file given by path is used instead of the built-in one, as str or Path."""
    path = make_database("own.mmdb", JP="8.8.8.8")
    found = CountryDatabase.open(str(path))
    assert found.look_up("8.8.8.8") == located("JP")
    assert found.look_up("8.8.4.4") == UNKNOWN
    assert (found.info.path, found.info.built) == (path, datetime(2026, 1, 2, tzinfo=UTC))


def _records(monkeypatch: pytest.MonkeyPatch, record: object) -> None:
    """Make the converter write one record shape for every network."""
    encode = convert._encode

    def encode_record(value: object) -> bytes:
        is_record = isinstance(value, dict) and {"continent", "country"} <= set(value)
        return encode(record if is_record else value)

    monkeypatch.setattr(convert, "_encode", encode_record)


def test_a_city_record_without_users_country_falls_back_to_the_registration(
    monkeypatch: pytest.MonkeyPatch, make_database: MakeDatabase
) -> None:
    """MaxMind leaves `country` out where it does not know the users; the network's registration remains."""
    _records(monkeypatch, {"registered_country": {"iso_code": "SG"}, "city": {"names": {"en": "Singapore"}}})
    assert CountryDatabase.open(make_database("city.mmdb", JP="8.8.8.8")).look_up("8.8.8.8") == located("SG")


@pytest.mark.parametrize(
    "record",
    [{"autonomous_system_organization": "AS"}, {"country": {"iso_code": "EU"}}, {"continent": {"code": "AS"}},
     {"country": "SG"}, {"country": {"iso_code": {"deep": "SG"}}}, ["country"], "country"],
)  # fmt: skip
def test_a_database_of_something_else_is_refused(
    monkeypatch: pytest.MonkeyPatch, make_database: MakeDatabase, record: object
) -> None:
    """A network operator file or one with odd records is not taken for a country database."""
    _records(monkeypatch, record)
    with pytest.raises(DatabaseError, match=r"asn\.mmdb .*Give a GeoLite2 or GeoIP2 Country or City \.mmdb file\."):
        CountryDatabase.open(make_database("asn.mmdb", JP="8.8.8.8"))


def test_odd_records_in_a_good_file_fail_alone(make_database: MakeDatabase) -> None:
    """One record whose code is no text leaves its own addresses unknown and the others as they are."""
    content = make_database("odd.mmdb", JP="8.8.8.8", SG="9.9.9.9").read_bytes()
    path = make_database("half.mmdb", JP="8.8.8.8")
    # The countries are strings of two bytes behind a control byte; another control byte makes a number of them.
    path.write_bytes(content.replace(b"\x42SG", b"\xa2SG"))
    found = CountryDatabase.open(path)
    assert found.look_up("8.8.8.8") == located("JP")
    assert found.look_up("9.9.9.9") == UNKNOWN
    assert found.look_up("9.9.9.8") == UNKNOWN


def test_a_failing_reader_is_an_error_location(make_database: MakeDatabase, monkeypatch: pytest.MonkeyPatch) -> None:
    """A look-up that breaks inside the reader gives a location that says so."""

    class Broken:
        def get(self, address: str) -> None:
            raise OSError("the disk is gone")

    found = CountryDatabase.open(make_database("own.mmdb", JP="8.8.8.8"))
    broken: Any = Broken()
    monkeypatch.setattr(found, "_opened", database._Opened(broken, found.info))
    assert found.look_up("8.8.8.8") == FAILED


# ---- bad files, swap and close -------------------------------------------------------------------------------------


def _missing(path: Path) -> None:
    pass


def _directory(path: Path) -> None:
    path.mkdir()


def _fifo(path: Path) -> None:
    os.mkfifo(path)


def _empty(path: Path) -> None:
    path.write_bytes(b"")


def _text(path: Path) -> None:
    path.write_text("8.8.8.8,US\n" * 1000)


def _cut(path: Path) -> None:
    path.write_bytes(BUILTIN.read_bytes()[:1_000_000])


def _zeros_inside(path: Path) -> None:
    content = BUILTIN.read_bytes()
    path.write_bytes(bytes(2_000_000) + content[2_000_000:])


@pytest.mark.parametrize("spoil", [_missing, _directory, _fifo, _empty, _text, _cut, _zeros_inside])
def test_a_bad_file_is_refused_and_the_old_one_stays(
    tmp_path: Path, make_database: MakeDatabase, spoil: Callable[[Path], None]
) -> None:
    """Whatever is wrong with a new file, the reason names it and look-ups go on with the old one."""
    found = CountryDatabase.open(make_database("own.mmdb", JP="8.8.8.8"))
    bad = tmp_path / "bad.mmdb"
    spoil(bad)
    with pytest.raises(DatabaseError, match=r"bad\.mmdb .*Give a GeoLite2"):
        found.swap(bad)
    assert found.look_up("8.8.8.8") == located("JP")
    assert found.info.path.name == "own.mmdb"


def test_an_enormous_file_is_not_copied(make_database: MakeDatabase, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file beyond the size limit is refused before it is read."""
    monkeypatch.setattr(database, "MAX_BYTES", 100)
    with pytest.raises(DatabaseError, match="more than 100"):
        CountryDatabase.open(make_database("own.mmdb", JP="8.8.8.8"))


def test_a_file_overwritten_in_place_does_no_harm(make_database: MakeDatabase) -> None:
    """Somebody truncates and rewrites the file in use; look-ups go on with what was opened."""
    path = make_database("own.mmdb", JP="8.8.8.8")
    found = CountryDatabase.open(path)
    path.write_bytes(b"")
    assert found.look_up("8.8.8.8") == located("JP")
    make_database("own.mmdb", SG="8.8.8.8")
    found.swap(path)
    assert found.look_up("8.8.8.8") == located("SG")


def test_where_no_private_copy_can_be_made(make_database: MakeDatabase, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a system without memory files the operator's file itself is mapped."""
    monkeypatch.delattr(os, "memfd_create")
    assert CountryDatabase.open(make_database("own.mmdb", JP="8.8.8.8")).look_up("8.8.8.8") == located("JP")


def test_back_to_the_builtin_file(make_database: MakeDatabase) -> None:
    """A swap to no path goes back to the file of the package."""
    found = CountryDatabase.open(make_database("own.mmdb", JP="8.8.8.8"))
    found.swap(None)
    assert found.look_up("8.8.8.8") == located("US")
    assert found.info.path == BUILTIN


def test_a_closed_database_fails_softly(make_database: MakeDatabase) -> None:
    """After close every look-up is an error location; the description of the last file remains."""
    found = CountryDatabase.open(make_database("own.mmdb", JP="8.8.8.8"))
    found.close()
    found.close()
    assert found.look_up("8.8.8.8") == FAILED
    assert found.info.path.name == "own.mmdb"


def open_files() -> Iterator[str]:
    """Give the names of what this process has open, memory files too."""
    for descriptor in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):  # the one that lists is gone
            yield str(descriptor.readlink())


def test_open_files_do_not_pile_up(make_database: MakeDatabase) -> None:
    """A hundred swaps leave no file descriptor and no memory map behind."""
    path = make_database("own.mmdb", JP="8.8.8.8")
    found = CountryDatabase.open(path)

    def held() -> tuple[int, int]:
        maps = Path("/proc/self/maps").read_text().splitlines()
        return sum("own.mmdb" in name for name in open_files()), sum("own.mmdb" in line for line in maps)

    before = held()
    for _ in range(100):
        found.swap(path)
    assert held() == before


def test_look_ups_go_on_while_files_are_swapped(make_database: MakeDatabase) -> None:
    """Look-ups in other threads see the old file or the new one, never anything else, through two hundred swaps."""
    paths = [make_database("a.mmdb", JP="8.8.8.8"), make_database("b.mmdb", SG="8.8.8.8")]
    found = CountryDatabase.open(paths[0])
    seen: set[Location] = set()
    stop = threading.Event()

    def look() -> None:
        mine: set[Location] = set()
        mine.add(found.look_up("8.8.8.8"))
        while not stop.is_set():
            mine.add(found.look_up("8.8.8.8"))
        seen.update(mine)

    threads = [threading.Thread(target=look) for _ in range(2)]
    for thread in threads:
        thread.start()
    for turn in range(1, 201):
        found.swap(paths[turn % 2])
    stop.set()
    for thread in threads:
        thread.join(60)
    assert seen
    assert seen <= {located("JP"), located("SG")}
    assert found.look_up("8.8.8.8") == located("JP")
