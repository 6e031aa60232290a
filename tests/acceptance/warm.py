"""All that commands import, for a process from which those of others are forked."""

import contextlib
import gc
from importlib import import_module

NAMES = (
    "rowcast.cli",
    "rowcast.pipeline",
    "rowcast.audit",
    "rowcast.database.postgresql.connection",
    "rowcast.database.sqlite.connection",
    "rowcast.report",
    "dateutil.relativedelta",  # pyarrow, where it meets the first time
    "lightgbm",
    "pyarrow.dataset",
    "scipy.special",
)

for _name in NAMES:
    import_module(_name)
with contextlib.suppress(ImportError):  # where commands score without scikit-learn
    import_module("skops.io")
gc.collect()
gc.freeze()  # else each forked process would copy the pages of what is imported, by looking for garbage there
