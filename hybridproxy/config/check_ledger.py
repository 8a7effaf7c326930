"""Whether the ledger can be written where the configuration wants it."""

from collections.abc import Iterator

from hybridproxy.config.check_audit import no_folder
from hybridproxy.config.context import Context, Finding
from hybridproxy.config.schema import ConfigurationFile


def check_ledger(file: ConfigurationFile, context: Context) -> Iterator[Finding]:
    """Yield what is wrong with the ledger's folder."""
    if file.ledger is None:
        return
    folder = context.base / file.ledger.path
    against = no_folder(folder)
    if against is not None:
        yield ("ledger", "path"), against
    elif file.audit is not None and folder.resolve() == (context.base / file.audit.path).resolve():
        yield ("ledger", "path"), "the audit log is written there: name another folder"
