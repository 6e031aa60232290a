"""rowcast.toml to typed, frozen settings: the file, overridden by the environment, overridden by flags.

`${VAR}` in a value of the file is replaced by the environment's VAR. Any key can be set from the environment as
ROWCAST_<SECTION>__<KEY>, for example ROWCAST_INFER__WORKERS=4.

A new key is a field of its section in `sections.py`; a new section also one of `Settings`.
"""

from rowcast.config.loading import expand_variables, load
from rowcast.config.sections import (
    Check,
    ColumnCheck,
    Features,
    Gate,
    HistoryFeature,
    Infer,
    JoinFeature,
    Logs,
    Mlflow,
    Model,
    Monitor,
    Notify,
    Retrain,
    Serve,
    SinceFeature,
    Source,
    Statistic,
    Store,
    Task,
)
from rowcast.config.settings import DEFAULT_PATH, Settings
from rowcast.config.template import Template, fingerprint, make_template
from rowcast.config.values import Duration, Reading, Scalar, parse_duration, require_time

__all__ = [
    "DEFAULT_PATH",
    "Check",
    "ColumnCheck",
    "Duration",
    "Features",
    "Gate",
    "HistoryFeature",
    "Infer",
    "JoinFeature",
    "Logs",
    "Mlflow",
    "Model",
    "Monitor",
    "Notify",
    "Reading",
    "Retrain",
    "Scalar",
    "Serve",
    "Settings",
    "SinceFeature",
    "Source",
    "Statistic",
    "Store",
    "Task",
    "Template",
    "expand_variables",
    "fingerprint",
    "load",
    "make_template",
    "parse_duration",
    "require_time",
]
