"""The newest rows whose label is not known yet: what the next version will score first."""

from collections.abc import Sequence

from rowcast import check, features, fetch, history
from rowcast.contract import Contract
from rowcast.errors import DatabaseError, SourceError
from rowcast.job.run import Run
from rowcast.models.matrix import Matrix
from rowcast.past import PastColumn

ROWS = 1_000


def read_newest_rows(run: Run, contract: Contract, names: Sequence[str], past: Sequence[PastColumn]) -> Matrix | None:
    """Return those that keep the contract, with these columns; `past` are those among them that are computed.

    Return None where the database cannot compute them, or where nobody knows which are new.
    """
    source = run.job.source
    columns = [column for column in source.features if column.name in names]
    columns += history.list_needed(past, with_time=False)
    try:
        read = run.job.retry(lambda: fetch.fetch_newest_rows(source, run.now, ROWS, columns))
        if read is None:
            return None
        found = history.complete_rows(source, past, read)
        good = check.check(found.rows, contract.select(names), found.misfits, source.settings.reading).good
    except DatabaseError as error:
        if error.reason != "other":
            raise
        return None
    except SourceError:  # a column is gone, or of another kind
        return None
    return features.process(good, contract, names)
