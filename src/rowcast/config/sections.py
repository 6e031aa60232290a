"""The sections of rowcast.toml: each a frozen record that refuses unknown keys."""

from datetime import timedelta
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationInfo,
    field_validator,
    model_validator,
)

from rowcast.config.database_url import check_database_url
from rowcast.config.values import (
    Duration,
    Reading,
    Scalar,
    check_apprise_url,
    check_factory,
    check_moment,
    check_sns_topic,
    check_time_format,
    check_timezone,
    check_tracking_uri,
    require_time,
)

HeaderName = Annotated[str, Field(pattern=r"^[A-Za-z0-9-]+$")]
Statistic = Literal["mean", "count", "std", "min", "max", "trend", "age"]
_SECOND_NAME = "a 'query' can give one of them a second name: SELECT *, t AS event_time FROM …"


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    @field_validator("*", mode="before")
    @classmethod
    def _number(cls, value: Any, info: ValidationInfo) -> Any:
        """To Python true is 1; who writes it for a number means something else."""
        kind = cls.model_fields[info.field_name or ""].annotation
        if isinstance(value, bool) and kind in (int, float, float | None):
            raise ValueError("a number is needed, not true or false")
        return value


class Source(_Section):
    """The user's table or query."""

    url: Annotated[SecretStr, AfterValidator(check_database_url)]
    table: str | None = Field(default=None, min_length=1)
    query: str | None = Field(default=None, min_length=1)
    where: str | None = None
    key: tuple[str, ...] = Field(min_length=1)
    time: str | None = None
    timezone: Annotated[str, AfterValidator(check_timezone)] = "UTC"
    time_format: Annotated[str, AfterValidator(check_time_format)] | None = None  # of `time` and `label_time`
    label: str
    label_missing: tuple[Scalar, ...] = ()  # values of the label that mean that it is not known
    label_time: str | None = None
    label_delay: Duration = timedelta(0)
    group: str | None = None
    missing: tuple[float | str, ...] = ()
    decimal: Literal[".", ","] = "."  # of numbers in texts
    exclude: tuple[str, ...] = ()
    late_arrival: Duration = timedelta(days=30)

    @model_validator(mode="after")
    def _one_of_each(self) -> "Source":
        if (self.table is None) == (self.query is None):
            raise ValueError("name either 'table' or 'query', not both and not neither")
        if self.time is None and (self.label_time is not None or self.label_delay):
            raise ValueError("'label_time' and 'label_delay' need 'time'")
        named = [*self.key, self.label, *filter(None, (self.time, self.label_time))]
        if len(set(named)) != len(named):
            raise ValueError(f"'key', 'time', 'label' and 'label_time' must be different columns; {_SECOND_NAME}")
        if self.group is not None and self.group in (self.time, self.label, self.label_time):
            raise ValueError(f"'group' must be another column than 'time' and 'label'; {_SECOND_NAME}")
        return self

    @property
    def reading(self) -> Reading:
        """How the rows write their values."""
        return Reading(self.missing, self.decimal)


class Store(_Section):
    """The database that holds rowcast's own tables."""

    url: Annotated[SecretStr, AfterValidator(check_database_url)] | None = None
    schema_: str = Field(default="rowcast", alias="schema", min_length=1)
    keep: Duration | None = None  # what rowcast noted about older runs is pruned; None: never

    @model_validator(mode="after")
    def _drift_looks_back(self) -> "Store":
        if self.keep is not None and self.keep < timedelta(days=180):
            raise ValueError("'keep' is 180d at least: drift looks back so far")
        return self


class Task(_Section):
    """What the label means and what mistakes cost."""

    kind: Literal["binary", "multiclass", "regression"] = "binary"
    positive: Scalar = 1
    normal: Scalar | None = None  # of several classes, the one that needs no action; default: the most frequent
    cost_missed: float = Field(default=20.0, gt=0)
    cost_false_alarm: float = Field(default=1.0, gt=0)
    max_flagged: float | None = Field(default=None, gt=0, lt=1)
    min_recall: float | None = Field(default=None, gt=0, lt=1)
    low: float | None = None  # a predicted value below it is flagged …
    high: float | None = None  # … or above it

    @model_validator(mode="after")
    def _of_its_kind(self) -> "Task":
        if self.normal is not None and self.kind != "multiclass":
            raise ValueError("'normal' is for kind = \"multiclass\"")
        if (self.low, self.high) != (None, None) and self.kind != "regression":
            raise ValueError("'low' and 'high' are for kind = \"regression\"")
        if self.low is not None and self.high is not None and self.low >= self.high:
            raise ValueError("'low' must be below 'high'")
        if (self.max_flagged, self.min_recall) != (None, None) and self.kind != "binary":
            raise ValueError("'max_flagged' and 'min_recall' are for kind = \"binary\"")
        if self.max_flagged is not None and self.min_recall is not None:
            raise ValueError("'max_flagged' and 'min_recall' each set the threshold: name one of them")
        return self


class ColumnCheck(_Section):
    """What the config says of one column, over what was learned."""

    type: Literal["number", "category", "boolean"] | None = None
    nullable: bool | None = None
    min: float | None = None
    max: float | None = None
    values: tuple[Scalar, ...] | None = None


class Check(_Section):
    """When a row is bad, and how many may be."""

    max_quarantine: float = Field(default=0.10, ge=0, le=1)
    columns: dict[str, ColumnCheck] = {}


class Model(_Section):
    """What is trained, on how much."""

    estimator: Annotated[str, AfterValidator(check_factory)] = "default"
    translatable: bool = False  # whether candidates are kept to those that are told in little SQL
    max_features: int = Field(default=60, ge=1)
    min_train_rows: int = Field(default=100, ge=20)
    max_train_rows: int = Field(default=100_000, ge=100)
    budget: Duration | None = None  # time after which no further candidate is tried
    window: Annotated[Duration | None, AfterValidator(require_time)] = (
        None  # how far back training rows go; default: to the first
    )

    @model_validator(mode="after")
    def _own_estimator_is_no_sql(self) -> "Model":
        if self.translatable and self.estimator != "default":
            raise ValueError("'translatable' chooses among rowcast's own candidates: leave out 'estimator'")
        return self


class HistoryFeature(_Section):
    """Columns made of what was known of earlier rows, of all or of those alike in `by`."""

    of: str = Field(min_length=1)  # the label, or a column of numbers
    by: tuple[str, ...] = ()
    last: tuple[Annotated[int, Field(ge=1, le=100_000)], ...] = ()  # of so many of the latest known values
    within: tuple[Duration, ...] = ()  # of those that became known so shortly before the row
    decay: tuple[Duration, ...] = ()  # of all, each counting half as much this much later
    statistics: tuple[Statistic, ...] = Field(default=("mean",), min_length=1)

    @model_validator(mode="after")
    def _has_window(self) -> "HistoryFeature":
        windows = (*self.last, *self.within, *self.decay)
        if not windows and set(self.statistics) != {"age"}:
            raise ValueError('say of which values: last = [1, 5, 50], within = ["8h"] or decay = ["2d"]')
        if any(isinstance(window, timedelta) and window <= timedelta(0) for window in windows):
            raise ValueError("'within' and 'decay' are longer than nothing")
        if self.decay and not {"mean", "count"} & set(self.statistics):
            raise ValueError("'decay' goes with the statistics mean and count")
        return self


class SinceFeature(_Section):
    """Hours and rows since the last event of a row's group."""

    events: str = Field(min_length=1)  # a table or view in the source's database, and its columns:
    event_time: str | None = None  # default: that of [monitor], where it names the same table
    event_group: tuple[str, ...] | None = None  # which group an event is of; default: the columns of `by`
    by: tuple[str, ...] = ()
    counts: tuple[Literal["hours", "rows"], ...] = Field(default=("hours", "rows"), min_length=1)

    @field_validator("event_group", mode="before")
    @classmethod
    def _one_or_more(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else value

    @model_validator(mode="after")
    def _groups_match(self) -> "SinceFeature":
        if self.event_group is not None and len(self.event_group) != len(self.by):
            raise ValueError("'event_group' names a column of 'events' for each column of 'by'")
        return self


class JoinFeature(_Section):
    """Columns of the latest row of another table that is no later than a row's event."""

    table: str = Field(min_length=1)  # a table or view in the source's database, and its columns:
    time: str = Field(min_length=1)
    columns: tuple[str, ...] = Field(min_length=1)  # that are brought
    keys: tuple[str, ...] | None = None  # that are equal to those of `by`; default: of the same names
    by: tuple[str, ...] = ()  # of the source
    tolerance: Duration | None = None  # how long before an event a row may be; default: look_back

    @model_validator(mode="after")
    def _keys_match(self) -> "JoinFeature":
        if self.keys is not None and len(self.keys) != len(self.by):
            raise ValueError("'keys' names a column of 'table' for each column of 'by'")
        if self.tolerance is not None and self.tolerance < timedelta(0):
            raise ValueError("'tolerance' is not negative")
        return self


class Features(_Section):
    """Columns that are computed from the past, as it was known at each row's own event time."""

    history: tuple[HistoryFeature, ...] = ()
    since: tuple[SinceFeature, ...] = ()
    join: tuple[JoinFeature, ...] = ()
    auto: bool = False  # whether columns of the label's history are tried, and kept where they help
    look_back: Duration = timedelta(days=90)  # what became known, or happened, longer before a row does not count

    @model_validator(mode="before")
    @classmethod
    def _read_auto(cls, values: Any) -> Any:
        if isinstance(values, dict) and values.get("history") == "auto":
            return {**{name: value for name, value in values.items() if name != "history"}, "auto": True}
        return values

    @model_validator(mode="after")
    def _looks_back(self) -> "Features":
        if self.look_back <= timedelta(0):
            raise ValueError("'look_back' is longer than nothing")
        return self

    @property
    def are_declared(self) -> bool:
        """Whether there is any."""
        return bool(self.history or self.since or self.join or self.auto)


class Retrain(_Section):
    """When a new model is built."""

    policy: Literal["never", "every", "on-drift", "on-loss"] = "every"
    every: Duration = timedelta(days=7)
    min_new_labels: int = Field(default=50, ge=1)


class Gate(_Section):
    """When a challenger takes the champion's place."""

    rule: Literal["fresh", "better", "proven"] = "fresh"
    max_harm: float = Field(default=0.05, gt=0, lt=1)  # a share of the champion's cost
    yearly_error: float = Field(default=0.05, gt=0, lt=1)
    min_gain: float = Field(default=0.0, ge=0)
    watch_days: int = Field(default=28, ge=0, le=3650)  # 0: nobody is watched

    @property
    def refits(self) -> bool:
        """Whether what serves is fitted on all matured rows, those that judged its recipe among them."""
        return self.rule != "proven"


class Infer(_Section):
    """How rows are scored."""

    batch_rows: int = Field(default=50_000, ge=1)
    workers: int = Field(default=2, ge=1, le=512)
    engine: Literal["local", "dask", "spark", "database"] = "local"
    scheduler: Annotated[str, Field(pattern=r"^(tcp|tls|ws|wss|ucx)://\S+$")] | None = None  # of a Dask cluster
    master: Annotated[str, Field(pattern=r"^(local(\[\S+\])?|spark://\S+:\d+|k8s://\S+|yarn)$")] | None = (
        None  # of Spark
    )
    since: Annotated[str | None, BeforeValidator(check_moment)] = None
    confidence: float = Field(default=0.9, gt=0, lt=1)

    @model_validator(mode="after")
    def _address_is_of_the_engine(self) -> "Infer":
        for name, engine in (("scheduler", "dask"), ("master", "spark")):
            if getattr(self, name) is not None and self.engine != engine:
                raise ValueError(f"'{name}' needs engine = \"{engine}\"")
        return self


class Monitor(_Section):
    """Whether the rows change, and when a person is told so."""

    false_alarms_per_month: float = Field(default=1.0, gt=0, le=1000)
    timezone: Annotated[str, AfterValidator(check_timezone)] | None = (
        None  # whose days are charted; default: [source]'s
    )
    group_by: str | None = None  # a column of the source: each of its values has charts of its own
    events: str | None = None  # a table or view of maintenance in the source's database, and its columns:
    event_time: str | None = None
    event_group: str | None = None  # which group an event is of; NULL: of all
    event_what: str | None = None

    @model_validator(mode="after")
    def _of_events(self) -> "Monitor":
        if (self.events is None) != (self.event_time is None):
            raise ValueError("'events' names a table and 'event_time' its time column: both or neither")
        if self.events is None and (self.event_group, self.event_what) != (None, None):
            raise ValueError("'event_group' and 'event_what' are columns of 'events', which is not named")
        if self.event_group is not None and self.group_by is None:
            raise ValueError("'event_group' needs 'group_by': what charts are grouped by")
        return self


class Notify(_Section):
    """Who gets messages about trouble and about decisions."""

    sns_topic: Annotated[str, AfterValidator(check_sns_topic)] | None = None
    urls: tuple[Annotated[SecretStr, AfterValidator(check_apprise_url)], ...] = ()  # of Apprise
    min_severity: Literal["info", "warning", "error"] = "info"
    digest: Duration = timedelta(days=7)  # how often what needs nothing is sent, in one message
    values: bool = False  # whether a message may show values of rows


class Serve(_Section):
    """What the HTTP service takes on."""

    record: bool = False  # whether answers are written to the job's table of online predictions
    max_body_mb: float = Field(default=6.0, gt=0, le=1000)
    max_rows: int = Field(default=50_000, ge=1)  # of one request
    max_skew: float = Field(default=0.01, gt=0, lt=1)  # share of recorded rows that the batch may read otherwise
    # Who asks, behind a proxy that logs people in; `*` is everybody.
    user_header: HeaderName | None = None
    groups_header: HeaderName | None = None
    read_groups: tuple[str, ...] = ()
    operate_groups: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _groups_need_headers(self) -> "Serve":
        named = {*self.read_groups, *self.operate_groups}
        if self.user_header is None and (named or self.groups_header is not None):
            raise ValueError("'groups_header', 'read_groups' and 'operate_groups' need 'user_header'")
        if self.user_header is not None and not named:
            raise ValueError("'user_header' needs 'read_groups' or 'operate_groups': else nobody may see anything")
        if named - {"*"} and self.groups_header is None:
            raise ValueError("'read_groups' and 'operate_groups' need 'groups_header'")
        return self


class Mlflow(_Section):
    """Where runs, figures and versions are mirrored to."""

    tracking_uri: Annotated[SecretStr, AfterValidator(check_tracking_uri)] | None = None
    experiment: str | None = Field(default=None, min_length=1)  # default: the job's name
    model: str | None = Field(default=None, pattern=r"^[^/:.%\"'\s][^/:.%\"']*$")  # default: the job's name
    cards: bool = False  # whether each version's card is put into the experiment's artifact store


class Logs(_Section):
    """What the log holds beside events."""

    cloudwatch: bool = False
