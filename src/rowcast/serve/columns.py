"""What a job's rows may hold: features, keys, and columns that are known and passed over."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from rowcast.contract import Kind
from rowcast.formatting import printable
from rowcast.job.opening import Job
from rowcast.nearest import find_nearest
from rowcast.past import PastColumn
from rowcast.scoring.served_model import ServedModel
from rowcast.serve.refusal import refuse_columns

_LONGEST = 64  # characters of a column's name that an answer repeats
_MOST = 5  # unknown columns that are named


@dataclass(frozen=True)
class KnownColumns:
    """The columns that a request may name."""

    features: tuple[str, ...]  # which a row must bring: those of the model in its order, then what the past needs
    kinds: Mapping[str, Kind]  # of what the contract checks
    key: Mapping[str, str]  # kinds of the job's key columns, as the source has them
    times: frozenset[str]  # features that a source holds as moments: the model takes hours before the event
    event_time: str | None
    timezone: str
    hashed: tuple[str, ...]  # of what a row's hash is made, in the source's order
    others: frozenset[str]  # every other column of the source, and of the contract
    past: tuple[PastColumn, ...] = ()  # which the service computes from earlier rows

    def require_known(self, names: Iterable[str]) -> None:
        """Raise Refusal for a column that neither the source nor the contract has, with the nearest one that is."""
        unknown = [name for name in names if name not in self.kinds and name not in self.others]
        if not unknown:
            return
        known = [*self.kinds, *self.others]
        told = []
        for name in unknown[:_MOST]:
            near = find_nearest(name[:_LONGEST], known)
            told.append(f"'{shorten(name)}'" + (f" (did you mean '{near}'?)" if near else ""))
        more = f" and {len(unknown) - _MOST} more" if len(unknown) > _MOST else ""
        s = "s" if len(unknown) > 1 else ""
        raise refuse_columns(
            f"unknown column{s} {', '.join(told)}{more}",
            "unknown",
            [shorten(name) for name in unknown],
            hint="leave out what the job's table does not have",
        )

    def require_complete(self, names: Iterable[str]) -> None:
        """Raise Refusal where a column is missing that the model needs."""
        given = set(names)
        absent = [name for name in self.features if name not in given]
        if absent:
            more = f" and {len(absent) - 1} more" if len(absent) > 1 else ""
            raise refuse_columns(
                f"column '{absent[0]}'{more} is missing",
                "missing",
                absent,
                hint="send null where a value was not measured",
            )


def shorten(name: str) -> str:
    """Return a name as an answer may repeat it."""
    shown = printable(name)
    return shown if len(shown) <= _LONGEST else shown[: _LONGEST - 1] + "…"


def list_columns(job: Job, served: ServedModel) -> KnownColumns:
    """Return what rows of a job may hold, for the version in memory."""
    source, past = job.source, served.model.past
    computed = {column.name for column in past}
    kinds = {rule.name: rule.kind for rule in served.checked.rules if rule.name not in computed}
    own = [name for name in served.features if name not in computed]
    beside = [name for column in past for name in column.by]
    if past and source.time is not None:
        beside.append(source.time.name)
    times = {column.name for column in source.relation.columns if column.kind == "time"} if source.time else set()
    known = {name for name in source.relation.names if name} | set(served.model.contract.names) - computed
    return KnownColumns(
        features=tuple(dict.fromkeys([*own, *beside])),
        kinds=kinds,
        key={column.name: "integer" if column.integer else column.kind for column in source.key},
        times=frozenset(times & set(kinds)),
        event_time=None if source.time is None else source.time.name,
        timezone=job.settings.source.timezone,
        hashed=(*(name for name in source.relation.names if name in kinds), *(column.name for column in past)),
        others=frozenset(known - set(kinds)),
        past=past,
    )
