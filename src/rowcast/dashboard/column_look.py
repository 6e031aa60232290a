"""A column as training saw it and as it is now, from what was counted while rows were scored: no row is read."""

from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import numpy.typing as npt

from rowcast import monitor
from rowcast.config import Settings
from rowcast.dashboard.looks import open_looking
from rowcast.errors import RunError
from rowcast.store.registry import Reference

DAYS = timedelta(days=14)  # before the newest run that scored: what "now" is

Shares = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Spread:
    """Where the values of some rows lie. Of categories: the share of each, of numbers: between the edges."""

    rows: int
    missing: float  # shares of all rows
    below: float  # of numbers less than any of the training rows'; of categories that training had not seen
    above: float
    within: Shares  # of each bin, or of each category


@dataclass(frozen=True)
class ColumnLook:
    """A column of the champion's rows."""

    job: str
    name: str
    champion: int
    is_used: bool  # by the champion
    weight: float | None  # by how much the score moves with it; None where the model does not tell
    place: int  # by weight, from 1 on
    columns: int  # that have a weight
    edges: monitor.Numbers | monitor.Categories
    trained: Spread
    now: Spread | None  # None where nothing was scored
    since: datetime | None  # the first run of `now`
    until: datetime | None


def look_at_column(settings: Settings, name: str) -> ColumnLook:
    """Read a column. Raise RunError where the champion's rows have none such."""
    with open_looking(settings) as job:
        champion = job.registry.champion()
        found = None if champion is None else job.registry.reference(champion)
        if champion is None or found is None:
            raise RunError("rows are counted from the next retrain on", hint="'rowcast retrain' trains a version")
        edges = monitor.Edges.from_bytes(found.edges)
        is_used = name in edges.names
        if not is_used:
            unused = monitor.find_unused_edges(found)
            if unused is None or name not in unused.names:
                raise RunError("the champion's rows have no such column", hint="the page of drift lists all of them")
            edges = unused
        counts = job.profiles.of(champion, DAYS, unused=not is_used)
        now = monitor.empty_profile(edges)
        for each in (data for run in counts.values() for data in run):
            now = monitor.add_profiles(now, monitor.Profile.from_bytes(each, edges))
        when = [job.runs.get(run).as_of for run in (min(counts), max(counts))] if counts else [None, None]
        place = edges.names.index(name)
        weights = found.weights or {}
        return ColumnLook(
            settings.name,
            name,
            champion,
            is_used,
            weights.get(name),
            1 + sum(each > weights.get(name, 0.0) for each in weights.values()),
            len(weights),
            edges.columns[place],
            _spread(edges, place, _trained(found, edges, is_used)),
            _spread(edges, place, now) if counts else None,
            when[0],
            when[1],
        )


def _trained(found: Reference, edges: monitor.Edges, is_used: bool) -> monitor.Profile:
    """The profile of all training rows, which is the first."""
    column = monitor.list_training_profiles(found).column("counts" if is_used else "unused")
    return monitor.Profile.from_bytes(column[0].as_py(), edges)


def _spread(edges: monitor.Edges, place: int, profile: monitor.Profile) -> Spread:
    counts = profile.counts[edges.starts[place] : edges.starts[place + 1]]
    rows = int(counts.sum())
    shares = counts / max(rows, 1)
    if isinstance(edges.columns[place], monitor.Categories):
        return Spread(rows, float(shares[0]), float(shares[1]), 0.0, shares[2:])
    return Spread(rows, float(shares[0]), float(shares[1]), float(shares[-1]), shares[2:-1])


def find_quantile(edges: monitor.Numbers, spread: Spread, share: float) -> float | None:
    """Return the value below which this share of the known values lies; None where none is known."""
    known = 1 - spread.missing
    if known <= 0 or not len(edges.bounds):
        return None
    behind = np.concatenate([[spread.below], spread.below + np.cumsum(spread.within)]) / known
    return float(np.interp(share, behind, edges.bounds))


def find_share_below(edges: monitor.Numbers, spread: Spread, value: float) -> tuple[float, float] | None:
    """Return between which shares of the known values lie below a value; None where none is known.

    How the values of its own bin lie is not known.
    """
    known = 1 - spread.missing
    if known <= 0 or not len(edges.bounds):
        return None
    behind = np.concatenate([[spread.below], spread.below + np.cumsum(spread.within)]) / known
    behind = np.round(behind, 9)  # sums of shares come to 1 but for their last bits
    if value >= edges.bounds[-1]:
        return 1 - spread.above / known, 1.0
    place = int(np.searchsorted(edges.bounds, value, "right"))
    return (0.0, float(behind[0])) if place == 0 else (float(behind[place - 1]), float(behind[place]))


def share_out(edges: monitor.Numbers, spread: Spread, limits: Shares) -> Shares:
    """Return the share of rows between each two limits, taken to be even inside each bin."""
    behind = np.concatenate([[0.0], np.cumsum(spread.within)])
    return np.diff(np.interp(limits, edges.bounds, behind))
