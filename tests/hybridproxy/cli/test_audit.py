"""`hybridproxy audit`: what an auditor runs."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

from hybridproxy.cli import audit as module
from hybridproxy.residency.chain import State
from hybridproxy.residency.records import intent, outcome
from hybridproxy.stores.signing import load_key
from hybridproxy.telemetry.logs import tenant_hash
from tests.support.chains import BEGAN, VPC, Log, origin, really_signed

Run = Callable[..., Result]


@pytest.fixture
def log(file: Path, tmp_path: Path) -> Log:
    """A log on the disk, where the configuration has it, with its anchor and its key."""
    (tmp_path / "audit").mkdir()
    made = really_signed(tmp_path / "audit").chain("aaaa").chain("bbbb", began=BEGAN + 86_400_000, end=False)
    write(made, tmp_path)
    return made


def write(log: Log, folder: Path) -> None:
    """Put a log into files."""
    for name, lines in log.files:
        (folder / "audit" / name).write_bytes(b"".join(lines))
    (folder / "heads").write_bytes(b"".join(log.anchor))


def test_a_whole_log_is_told_chain_by_chain(file: Path, log: Log, run: Run) -> None:
    """With an anchor nothing is left in doubt."""
    key = f"ed25519:{log.key.hex()}"
    done = run("audit", "verify", "--config", file, "--anchor", "heads", "--key", key)
    assert done.exit_code == 0
    assert done.stdout.splitlines() == [
        "chains      2",
        f"  aaaa  records 0 to 17, ended in order, key {key}",
        f"  bbbb  records 0 to 16, without an end, key {key}",
        "records     35",
        "anchor      6 heads found in the log",
        "findings    0",
    ]


def test_without_an_anchor_it_says_that_the_tail_is_unproven(file: Path, log: Log, run: Run) -> None:
    """That is no finding. The folder alone is enough."""
    done = run("audit", "verify", "--path", "audit")
    assert done.exit_code == 0
    assert "tail unproven" in done.stdout
    assert "compare them with what `hybridproxy audit key` printed" in done.stdout
    found = json.loads(run("audit", "verify", "--path", "audit", "--json").stdout)
    assert (found["ok"], found["tail"], found["anchored_heads"], found["records"]) == (True, "unproven", None, 35)
    assert (
        json.loads(run("audit", "verify", "--config", file, "--anchor", "heads", "--json").stdout)["tail"] == "proven"
    )


def test_what_follows_the_last_anchored_head_is_told(file: Path, log: Log, run: Run, tmp_path: Path) -> None:
    """With how many they are."""
    log.anchor.pop()
    write(log, tmp_path)
    done = run("audit", "verify", "--config", file, "--anchor", "heads")
    assert done.exit_code == 0
    assert "  tail unproven: 3 records of bbbb behind its last anchored head" in done.stdout


def test_damage_is_told_with_file_and_line(file: Path, log: Log, run: Run, tmp_path: Path) -> None:
    """And ends with status 1; as JSON too; a cut tail by the anchor that shows it."""
    name, lines = log.files[0]
    lines[1] = lines[1].replace(b"vpc", b"vpx")
    write(log, tmp_path)
    done = run("audit", "verify", "--config", file)
    assert done.exit_code == 1
    assert f"  {name}:2: record 1 was changed: its hash is another one" in done.stdout
    found = json.loads(run("audit", "verify", "--config", file, "--json").stdout)
    assert found["findings"] == [{"file": name, "line": 2, "what": "record 1 was changed: its hash is another one"}]
    log.files[2:] = []
    (tmp_path / "audit" / log.files[1][0]).unlink()
    for path in sorted((tmp_path / "audit").glob("*bbbb*")):
        path.unlink()
    done = run("audit", "verify", "--config", file, "--anchor", "heads")
    assert "chain bbbb is missing" in done.stdout


def test_a_torn_line_is_told_as_a_crash(file: Path, log: Log, run: Run, tmp_path: Path) -> None:
    """The chain stands up to there."""
    log.files[-1][1].append(b"half a li")
    write(log, tmp_path)
    done = run("audit", "verify", "--config", file, "--anchor", "heads")
    assert done.exit_code == 0
    assert "torn by a crash" in done.stdout
    assert "a torn line at its end" in done.stdout


def test_keys_are_given_as_they_are_printed_or_as_a_file(file: Path, log: Log, run: Run, tmp_path: Path) -> None:
    """Another key is a finding; what is no key is said."""
    (tmp_path / "public").write_text(run("audit", "key", "--config", file).stdout)
    assert run("audit", "verify", "--path", "audit", "--key", "public").exit_code == 0
    assert run("audit", "verify", "--path", "audit", "--key", log.key.hex()).exit_code == 0
    assert run("audit", "verify", "--path", "audit", "--key", "00" * 32).exit_code == 1
    assert run("audit", "verify", "--path", "audit", "--key", "00" * 32, "--key", "public").exit_code == 0
    (tmp_path / "binary").write_bytes(b"\xff")
    for wrong in ("nothing", "zz" * 32, "binary"):
        done = run("audit", "verify", "--path", "audit", "--key", wrong)
        assert (done.exit_code, "--key: expected ed25519:" in done.stderr) == (2, True)


def test_a_log_that_is_not_there_is_said(file: Path, run: Run, tmp_path: Path) -> None:
    """No folder, no file in it, no section in the configuration, no anchor."""
    assert "cannot be read" in run("audit", "verify", "--path", "nowhere").stderr
    (tmp_path / "audit").mkdir()
    done = run("audit", "verify", "--config", file)
    assert (done.exit_code, "there is no audit log in" in done.stderr) == (2, True)
    (tmp_path / "audit" / "1.audit").touch()
    assert "nowhere cannot be read" in run("audit", "verify", "--path", "audit", "--anchor", "nowhere").stderr
    file.write_text(file.read_text().replace("audit: {path: audit}", ""))
    assert "no audit section" in run("audit", "report", "--config", file).stderr
    assert "no audit section" in run("audit", "key", "--config", file).stderr


# ---- report ----


def reported(run: Run, *options: object) -> list[dict[str, object]]:
    """Return the rows of a report."""
    done = run("audit", "report", "--path", "audit", "--json", *options)
    assert done.exit_code == 0
    places: list[dict[str, object]] = json.loads(done.stdout)["places"]
    return places


def test_a_report_says_where_a_tenants_calls_connected(log: Log, run: Run, tmp_path: Path) -> None:
    """As a table and as JSON; by tenant, and by time."""
    shop = intent(origin(1, tenant_hash("shop")), VPC, peer="10.0.3.12", certificate=None, reused=False)
    lines: list[bytes] = []
    state = log._add(lines, State(), shop | {"at": BEGAN + 500})
    log._add(lines, state, outcome(0, "req_0001", sent=7, received=8, status=200, fault="") | {"at": BEGAN + 600})
    (tmp_path / "audit" / "999-cccc-000000.audit").write_bytes(b"".join(lines) + b"half a li")
    (row,) = reported(run, "--tenant", "shop")
    assert row == {
        "backend": "vpc", "address": "10.0.3.12", "certificate": "", "sovereign": True, "calls": 1, "unsent": 0,
        "without_end": 0, "bytes_sent": 7, "bytes_received": 8, "first": "2026-09-21T14:13:20Z",
        "last": "2026-09-21T14:13:20Z",
    }  # fmt: skip
    assert [(row["address"], row["calls"]) for row in reported(run)] == [("10.0.3.11", 12), ("10.0.3.12", 1)]
    assert [row["calls"] for row in reported(run, "--since", "2026-09-22", "--until", "2026-09-23")] == [6]
    assert [row["calls"] for row in reported(run, "--until", "2026-09-21T16:13:20.600+02:00")] == [1]
    done = run("audit", "report", "--path", "audit", "--tenant", "shop")
    head, line = done.stdout.splitlines()
    assert head.split()[:4] == ["backend", "address", "certificate", "calls"]
    assert line.split()[:5] == ["vpc", "10.0.3.12", "none", "1", "0"]
    assert run("audit", "report", "--path", "audit", "--tenant", "x").stdout == "no call of x in that time\n"
    assert run("audit", "report", "--path", "audit", "--since", "2027-01-01").stdout == "no call in that time\n"


def test_a_time_that_is_none_is_said(log: Log, run: Run) -> None:
    """With the option's name."""
    done = run("audit", "report", "--path", "audit", "--since", "yesterday")
    assert (done.exit_code, "--since: expected a day or a time" in done.stderr) == (2, True)


def test_a_file_that_goes_away_while_it_is_read_is_said(log: Log, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody cleans up meanwhile."""

    def gone(file: Path, _step: object) -> list[bytes]:
        raise FileNotFoundError(2, "No such file or directory", str(file))

    monkeypatch.setattr(module, "_counted", gone)
    for command in ("verify", "report"):
        done = run("audit", command, "--path", "audit")
        assert (done.exit_code, "cannot be read (No such file or directory)" in done.stderr) == (2, True)


# ---- key ----


def test_the_key_is_printed_and_made_only_when_asked(file: Path, run: Run, tmp_path: Path) -> None:
    """Before the first start there is none."""
    done = run("audit", "key", "--config", file)
    assert (done.exit_code, "the first start makes it" in done.stderr) == (2, True)
    made = run("audit", "key", "--config", file, "--new")
    public = load_key(tmp_path / "audit/key.pem").public.hex()
    assert made.stdout == f"ed25519:{public}\n"
    assert run("audit", "key", "--config", file, "--new").stdout == made.stdout
    found = json.loads(run("audit", "key", "--config", file, "--json").stdout)
    assert found["key"] == f"ed25519:{public}"
    (tmp_path / "audit/key.pem").write_text("garbage")
    done = run("audit", "key", "--config", file)
    assert (done.exit_code, "holds no private key" in done.stderr) == (2, True)


# ---- progress ----


def test_bytes_are_counted_now_and_then(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not for every line."""
    monkeypatch.setattr(module, "STEP", 10)
    (tmp_path / "x").write_bytes(b"12345678\n" * 3)
    steps: list[int] = []
    assert len(list(module._counted(tmp_path / "x", steps.append))) == 3
    assert steps == [18, 9]
