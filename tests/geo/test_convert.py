import ipaddress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import geoip2.database
import geoip2.errors
import maxminddb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geo import convert
from geo.convert import Range, main, read, write
from geo.countries import CONTINENT_OF
from geo.database import BUILTIN, CountryDatabase

HEADER = "# Location Database Export\n#\n# Generated: Thu, 25 Jun 2026 04:33:59 GMT\n"
IPV4 = HEADER + "16777216,16777471,AU\n16777472,16777727,AU\n\n16777728,16778239,??\n16778240,16778495,SG\n"
IPV6 = HEADER + "2001:200::,2001:200:ffff:ffff:ffff:ffff:ffff:ffff,JP\n"
WHEN = datetime(2026, 6, 25, 4, 33, 59, tzinfo=UTC)


def lines(text: str) -> list[str]:
    """Give the lines of a text as a file does."""
    return text.splitlines(keepends=True)


# ---- reading -------------------------------------------------------------------------------------------------------


def test_neighbours_of_one_country_are_joined_and_pseudo_codes_left_out() -> None:
    """The file's ranges come out joined, sorted and only with countries, and its date is found."""
    source = read("geoip", lines(IPV4), 32)
    assert source.ranges == (Range(16777216, 16777727, "AU"), Range(16778240, 16778495, "SG"))
    assert (source.generated, source.skipped) == (WHEN, 1)


def test_ranges_with_a_gap_stay_apart() -> None:
    """Two ranges of one country with a hole between them do not fill the hole."""
    source = read("geoip", lines(HEADER + "1,2,SG\n4,5,SG\n"), 32)
    assert source.ranges == (Range(1, 2, "SG"), Range(4, 5, "SG"))


@pytest.mark.parametrize(
    ("line", "bits"),
    [("1,2", 32), ("1,2,SG,x", 32), ("a,b,SG", 32), ("::1,::2,SG", 32), ("1,2,SG", 128), ("2600::,1.2.3.4,SG", 128),
     ("2,1,SG", 32), ("-1,5,SG", 32), ("5,4294967296,SG", 32), ("::5,::6,SG", 128), ("\0" * 500, 32)],
)  # fmt: skip
def test_a_line_that_is_wrong_is_named(line: str, bits: int) -> None:
    """A line out of form, order or range stops the conversion and is named by number, in bounded length."""
    with pytest.raises(ValueError, match=r"^geoip:4: ") as caught:
        read("geoip", lines(HEADER + line + "\n"), bits)
    assert len(str(caught.value)) < 500


def test_overlapping_lines_are_refused() -> None:
    """An address cannot be in two countries."""
    with pytest.raises(ValueError, match="geoip:5: '2,3,US' overlaps the line before"):
        read("geoip", lines(HEADER + "1,2,SG\n2,3,US\n"), 32)


def test_a_file_without_a_date_is_refused() -> None:
    """The build date comes from the source, so a source without one is not taken."""
    with pytest.raises(ValueError, match="no line `# Generated: <date>`"):
        read("geoip", ["1,2,SG\n"], 32)


# ---- writing -------------------------------------------------------------------------------------------------------


def _ranges(numbers: list[int], countries: list[str]) -> list[Range]:
    """Cut a sorted list of addresses into disjoint ranges, every other one empty."""
    pairs = zip(numbers[::2], numbers[1::2], strict=False)
    return [Range(low, high - 1, country) for (low, high), country in zip(pairs, countries, strict=False)]


@settings(max_examples=60)
@given(
    st.sets(st.integers(0, 2**32) | st.integers(2**32, 2**128 - 1), max_size=24).map(sorted),
    st.lists(st.sampled_from(["SG", "US", "CN"]), min_size=12, max_size=12),
)
def test_readers_find_exactly_what_was_written(
    tmp_path_factory: pytest.TempPathFactory, numbers: list[int], countries: list[str]
) -> None:
    """At both ends of every range and right beside them, MaxMind's reader answers as the ranges say."""
    ranges = _ranges(numbers, countries)
    path = tmp_path_factory.mktemp("trees") / "tree.mmdb"
    path.write_bytes(write(ranges, WHEN))
    with maxminddb.open_database(path, maxminddb.MODE_MMAP_EXT) as reader:
        for edge in {0, 2**128 - 1, *(one.first for one in ranges), *(one.last for one in ranges)}:
            for number in {max(edge - 1, 0), edge, min(edge + 1, 2**128 - 1)}:
                address = ipaddress.IPv4Address(number) if number < 2**32 else ipaddress.IPv6Address(number)
                expected = [one.country for one in ranges if one.first <= number <= one.last]
                record: Any = reader.get(address)
                assert ([] if record is None else [record["country"]["iso_code"]]) == expected


def test_an_empty_database_is_a_readable_one(tmp_path: Path) -> None:
    """Without ranges the file still opens and knows nothing."""
    path = tmp_path / "empty.mmdb"
    path.write_bytes(write([], WHEN))
    with geoip2.database.Reader(path) as reader, pytest.raises(geoip2.errors.AddressNotFoundError):
        reader.country("8.8.8.8")


def test_large_trees_take_wider_entries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where 24 bits cannot hold all positions the entries have 32, and readers agree."""
    monkeypatch.setattr(convert, "_NARROW", 50)
    path = tmp_path / "wide.mmdb"
    path.write_bytes(write([Range(0x08080808, 0x08080808, "SG")], WHEN))
    with geoip2.database.Reader(path) as reader:
        assert reader.metadata().record_size == 32
        assert reader.country("8.8.8.8").country.iso_code == "SG"


def test_every_country_fits(tmp_path: Path) -> None:
    """A database with all countries has each record with its continent."""
    path = tmp_path / "all.mmdb"
    ranges = [Range(0x08000000 + number, 0x08000000 + number, one) for number, one in enumerate(sorted(CONTINENT_OF))]
    path.write_bytes(write(ranges, WHEN))
    with geoip2.database.Reader(path) as reader:
        for one in ranges:
            found = reader.country(str(ipaddress.IPv4Address(one.first)))
            assert (found.country.iso_code, found.continent.code) == (one.country, CONTINENT_OF[one.country])


@pytest.mark.parametrize(("value", "error"), [(1.5, TypeError), ("x" * 300, ValueError)])
def test_values_the_format_part_does_not_know_are_refused(value: object, error: type[Exception]) -> None:
    """The small writer says so when it is asked for more than it can write."""
    with pytest.raises(error):
        convert._encode(value)


# ---- the command ---------------------------------------------------------------------------------------------------


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """Give a folder with both source files in it."""
    (tmp_path / "geoip").write_text(IPV4)
    (tmp_path / "geoip6").write_text(IPV6)
    return tmp_path


def _run(files: Path) -> int:
    names = ("--ipv4", "geoip"), ("--ipv6", "geoip6"), ("--out", "country.mmdb")
    return main([word for option, name in names for word in (option, str(files / name))])


def test_converting_gives_a_database_that_is_the_same_every_time(
    files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The command writes a file that the database reads, dated by its source, and byte for byte the same again."""
    assert _run(files) == 0
    assert "3 ranges" in capsys.readouterr().out
    first = (files / "country.mmdb").read_bytes()
    found = CountryDatabase.open(files / "country.mmdb")
    assert found.info.built == WHEN
    assert [found.look_up(one).country for one in ("1.0.1.255", "1.0.2.0", "1.0.4.7", "2001:200::1", "2001:201::")] == [
        "AU", None, "SG", "JP", None
    ]  # fmt: skip
    assert _run(files) == 0
    assert (files / "country.mmdb").read_bytes() == first
    assert sorted(path.name for path in files.iterdir()) == ["country.mmdb", "geoip", "geoip6"]


@pytest.mark.parametrize("content", ["1,2,SG\n", None])
def test_a_failed_conversion_leaves_the_old_file(
    files: Path, capsys: pytest.CaptureFixture[str], content: str | None
) -> None:
    """A source that is wrong or missing is reported, and a database that was there stays."""
    (files / "country.mmdb").write_bytes(b"old")
    if content is None:
        (files / "geoip").unlink()
    else:
        (files / "geoip").write_text(content)
    assert _run(files) == 1
    assert "geo.convert: " in capsys.readouterr().err
    assert (files / "country.mmdb").read_bytes() == b"old"


def test_the_builtin_file_is_what_this_converter_writes() -> None:
    """The shipped file carries the converter's type and description."""
    with maxminddb.open_database(BUILTIN) as reader:
        assert reader.metadata().database_type == convert.DATABASE_TYPE
        assert reader.metadata().description == {"en": convert.DESCRIPTION}
