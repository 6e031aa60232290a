"""The newest rows whose label is not known yet: what the next version will score first."""

from collections.abc import Sequence
from functools import reduce

import numpy as np
import pyarrow as pa

from rowcast import check, features, fetch, history
from rowcast.contract import Contract
from rowcast.errors import DatabaseError, SourceError
from rowcast.job.run import Run
from rowcast.models.matrix import Matrix
from rowcast.past import PastColumn

ROWS = 1_000


def read_newest_rows(
    run: Run, uses: Sequence[tuple[Contract, Sequence[str]]], past: Sequence[PastColumn]
) -> list[Matrix] | None:
    """Return those that keep every contract, once for each use of them: a contract, and the columns that are used.

    `past` are those among the columns that are computed. Return None where the database cannot compute the rows, or
    where nobody knows which are new.
    """
    source, names = run.job.source, {name for _, used in uses for name in used}
    columns = [column for column in source.features if column.name in names]
    columns += history.list_needed(past, with_time=False)
    try:
        read = run.job.retry(lambda: fetch.fetch_newest_rows(source, run.now, ROWS, columns))
        if read is None:
            return None
        found, reading = history.complete_rows(source, past, read), source.settings.reading
        checked = [check.check(found.rows, contract.select(used), found.misfits, reading) for contract, used in uses]
    except DatabaseError as error:
        if error.reason != "other":
            raise
        return None
    except SourceError:  # a column is gone, or of another kind
        return None
    common = reduce(np.intersect1d, [each.passed for each in checked])
    return [
        features.process(each.good.take(pa.array(np.searchsorted(each.passed, common))), contract, used)
        for each, (contract, used) in zip(checked, uses, strict=True)
    ]
