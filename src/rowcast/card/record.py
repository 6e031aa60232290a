"""What a card is made of: a version, its decisions, the champion before it, and the run that built it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from rowcast.config import Task
from rowcast.errors import ModelError, RunError
from rowcast.job.opening import Job
from rowcast.models.artifact import Model
from rowcast.models.reference_range import ReferenceRanges
from rowcast.store.records import DecisionRecord, RunRecord
from rowcast.store.registry import Version

Spell = tuple[datetime, datetime | None]  # in service from, and until; None: to this day


@dataclass(frozen=True)
class Part:
    """What is in a version's bytes, of that what a card shows."""

    threshold: float | None = None
    classes: tuple[Any, ...] = ()
    reference_ranges: ReferenceRanges | None = None
    contract_sha256: str | None = None
    fault: str = ""  # why the bytes cannot be loaded


@dataclass(frozen=True)
class Card:
    """One version of one job's model, with all that is known about it."""

    job: str
    source: str  # the table, or the query's name
    label: str
    task: Task
    version: Version
    part: Part
    service: tuple[Spell, ...]
    decisions: tuple[DecisionRecord, ...]  # about this version, the first one first
    ended: DecisionRecord | None  # that put another version in its place, the last one
    before: Version | None  # the champion that this version was to replace
    part_before: Part
    run: RunRecord | None  # that built it

    @property
    def metrics(self) -> dict[str, Any]:
        return self.version.metrics

    @property
    def kind(self) -> str:
        """binary, multiclass or regression."""
        return str(self.metrics.get("kind", "binary"))

    @property
    def classes(self) -> tuple[Any, ...]:
        return tuple(self.metrics.get("classes") or self.part.classes)

    @property
    def threshold(self) -> float | None:
        return threshold_of(self.version, self.part)


def threshold_of(version: Version, part: Part) -> float | None:
    """Return the threshold on record, or that in the bytes; None where there is neither."""
    kept: float | None = version.metrics.get("threshold")
    return part.threshold if kept is None else kept


def gather(job: Job, version: int) -> Card:
    """Read the card of a version from the store. Raises ModelError where there is none such."""
    found, champion = job.registry.version(version), job.registry.champion()
    made = job.registry.decisions()[::-1]
    about = tuple(each for each in made if each.version == version)
    previous = about[0].previous if about else champion
    ended = [each for each in made if each.previous == version != each.version and each.outcome.changes_champion]
    before = job.registry.version(previous) if previous not in (None, version) else None
    return Card(
        job=job.settings.name,
        source=job.settings.source.table or job.settings.name,
        label=job.settings.source.label,
        task=job.settings.task,
        version=found,
        part=_part(job, version),
        service=list_spells(version, made, champion),
        decisions=about,
        ended=ended[-1] if ended else None,
        before=before,
        part_before=_part(job, before.version) if before else Part(),
        run=_run(job, found.run_id),
    )


def list_spells(version: int, decisions: Sequence[DecisionRecord], champion: int | None) -> tuple[Spell, ...]:
    """Return when a version was in service, by every decision (the first one first) and the champion of this day."""
    spells: list[Spell] = []
    serving = [each.previous for each in decisions[1:]] + [champion]  # after each decision
    since: datetime | None = None
    for each, now in zip(decisions, serving[: len(decisions)], strict=True):
        if now == version and since is None:
            since = each.decided_at
        elif now != version and since is not None:
            spells.append((since, each.decided_at))
            since = None
    return (*spells, (since, None)) if since is not None else tuple(spells)


def _part(job: Job, version: int) -> Part:
    try:
        model: Model = job.registry.load(version)
    except ModelError as error:
        return Part(fault=error.what)
    return Part(model.threshold, tuple(model.classes), model.reference_ranges, model.contract.sha256())


def _run(job: Job, run_id: int) -> RunRecord | None:
    try:
        return job.runs.get(run_id)
    except RunError:
        return None


def day(moment: datetime) -> str:
    """Return the day of a moment as text."""
    return f"{moment:%Y-%m-%d}"
