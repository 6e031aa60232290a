"""The newest rows whose label is not known yet: what the next version will score first."""

from collections.abc import Sequence

from rowcast import check, features, fetch
from rowcast.contract import Contract
from rowcast.errors import DatabaseError
from rowcast.job.run import Run
from rowcast.models.matrix import Matrix

ROWS = 1_000


def read_newest_rows(run: Run, contract: Contract, names: Sequence[str]) -> Matrix | None:
    """Return those that keep the contract, with these columns.

    Return None where the database cannot compute them, or where nobody knows which are new.
    """
    source = run.job.source
    try:
        found = run.job.retry(lambda: fetch.fetch_newest_rows(source, run.now, ROWS, names))
    except DatabaseError as error:
        if error.reason != "other":
            raise
        return None
    if found is None:
        return None
    good = check.check(found.rows, contract.select(names), found.misfits, source.settings.reading).good
    return features.process(good, contract, names)
