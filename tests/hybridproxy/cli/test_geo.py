"""`hybridproxy geo`: where does the proxy think this caller is."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

Run = Callable[..., Result]


def test_the_walk_over_trusted_hops(file: Path, run: Run) -> None:
    """The address the trusted proxy vouches for is the client; what a stranger wrote before it is not."""
    done = run("geo", "--config", file, "10.0.0.7", "--header", "114.114.114.114, 165.21.83.88")
    assert done.exit_code == 0
    client, location, database, region = done.stdout.splitlines()
    assert client == "client    165.21.83.88 (from the header; trusted hops: 10.0.0.7)"
    assert location == "location  SG, continent AS (database)"
    assert database.startswith("database  ")
    assert region == "region    asia"


def test_several_header_lines_are_one_list(file: Path, run: Run) -> None:
    """A header that arrived in two lines is given twice."""
    done = run("geo", "--config", file, "10.0.0.7", "--header", "165.21.83.88", "--header", "10.0.0.8", "--json")
    answer = json.loads(done.stdout)
    assert answer["client"] == "165.21.83.88"
    assert answer["trusted_hops"] == ["10.0.0.7", "10.0.0.8"]


def test_a_stranger_is_not_believed(file: Path, run: Run) -> None:
    """The header of a peer that is no trusted proxy counts for nothing."""
    answer = json.loads(run("geo", "--config", file, "128.100.1.1", "--header", "165.21.83.88", "--json").stdout)
    assert answer["client"] == "128.100.1.1"
    assert answer["found_in"] == "peer"
    assert answer["trusted_hops"] == []
    assert answer["country"] == "CA"
    assert answer["region"] == "default"


def test_a_header_that_names_no_address_is_a_problem(file: Path, run: Run) -> None:
    """The walk that ended early says why."""
    done = run("geo", "--config", file, "10.0.0.7", "--header", "unknown")
    assert done.exit_code == 0
    assert "problem   element 1 from the right of x-forwarded-for names no address" in done.stdout
    assert "location  unknown, continent unknown" in done.stdout


def test_without_a_file_it_still_locates(file: Path, run: Run) -> None:
    """Before there is a configuration, the database can be asked; no proxy is trusted and no region is made up."""
    done = run("geo", "165.21.83.88", "--header", "114.114.114.114")
    assert done.exit_code == 0
    assert "client    165.21.83.88 (from the peer; trusted hops: none)" in done.stdout
    assert "region    not known without a configuration" in done.stdout
    assert json.loads(run("geo", "165.21.83.88", "--json").stdout)["region"] is None


def test_no_region_means_refused(file: Path, run: Run) -> None:
    """Where no region takes a caller, the consequence is said."""
    file.write_text(file.read_text().replace("  default: {}\n", ""))
    done = run("geo", "--config", file, "128.100.1.1")
    assert done.exit_code == 0, done.output
    assert "region    none: calls are refused" in done.stdout


def test_the_operators_override_counts(file: Path, run: Run) -> None:
    """An address the operator placed is there."""
    file.write_text(file.read_text() + "geo: {overrides: {128.100.0.0/16: SG}}\n")
    assert "location  SG, continent AS (override)" in run("geo", "--config", file, "128.100.1.1").stdout


@pytest.mark.parametrize("address", ["not-an-address", "1.2.3", "999.1.1.1", "1.2.3.4:80"])
def test_what_is_no_address_is_misuse(address: str, file: Path, run: Run) -> None:
    """A typing mistake is not a caller from nowhere."""
    for more in ([], ["--config", str(file)]):
        done = run("geo", address, *more)
        assert done.exit_code == 2
        assert f"{address!r} is not an IP address" in done.stderr
        assert done.stdout == ""


def test_a_database_that_is_none_is_told(file: Path, run: Run) -> None:
    """A broken country database is a sentence with the way out, not a traceback."""
    (file.parent / "geo.mmdb").write_text("not a database")
    file.write_text(file.read_text() + "geo: {database: geo.mmdb}\n")
    done = run("geo", "--config", file, "128.100.1.1")
    assert done.exit_code == 1
    assert "geo.mmdb" in done.stderr
    assert "GeoLite2" in done.stderr
