"""What the steps of a run save in its work directory, and how it is read back."""

import numpy as np
import pyarrow as pa

from rowcast.contract import Contract
from rowcast.job.workdir import WorkDir
from rowcast.models.matrix import Matrix

# What each step saves; a step can go on where the file of the one before is there.
SAVED = {
    "data-fetch": "train/fetched.arrow",
    "data-check": "train/checked.arrow",
    "data-process": "train/matrix.arrow",
    "model-build": "train/model.json",
    "gate": "train/decision.json",
}


def read_contract(work: WorkDir) -> Contract:
    return Contract.from_json(work.json("train/contract.json")["contract"])


def read_matrix(rows: pa.RecordBatch, contract: Contract) -> Matrix:
    """The matrix that data-process saved as columns."""
    names = tuple(name for name in rows.schema.names if not name.startswith("rowcast."))
    values = np.empty((rows.num_rows, len(names)), np.float32)
    for place, name in enumerate(names):
        values[:, place] = rows.column(name).to_numpy(zero_copy_only=False)
    rules = contract.select(names).rules
    return Matrix(values, names, {rule.name: rule.categories for rule in rules if rule.kind == "category"})
