"""Model versions in the store: save, load, verify, and which one is in service, by whose decision."""

import hashlib
import json
import platform
from dataclasses import dataclass
from datetime import datetime
from importlib import metadata
from typing import Any, Literal

import sqlalchemy as sa

import rowcast
from rowcast.database import Database
from rowcast.errors import ModelError
from rowcast.models.artifact import Model
from rowcast.store.ledger import leave_to_champion
from rowcast.store.tables import Tables

_LARGE = ("artifact", "edges", "reference", "weights")  # columns that only those read who need them
_LIBRARIES = ("lightgbm", "scikit-learn", "numpy", "scipy")


@dataclass(frozen=True)
class Version:
    """What the store keeps about a model version, all but its bytes."""

    version: int
    status: str  # challenger (waits), champion, retired (was champion), refused, replaced (by a newer challenger)
    created_at: datetime  # as of
    run_id: int
    estimator: str
    features: tuple[str, ...]
    trained_from: datetime | None
    trained_to: datetime | None
    trained_to_key: tuple[str, ...] | None  # where there is no time column, as the source rendered it
    rows: int
    metrics: dict[str, Any]
    artifact_sha256: str

    @property
    def trained_until(self) -> datetime | tuple[str, ...] | None:
        return self.trained_to or self.trained_to_key


@dataclass(frozen=True)
class Reference:
    """What a version's rows are held against, as the monitor wrote it."""

    edges: bytes
    blocks: bytes
    weights: dict[str, float] | None  # None where the model does not tell


class Registry:
    """The model versions of one job."""

    def __init__(self, db: Database, tables: Tables, job: str) -> None:
        self.db = db
        self.tables = tables
        self.job = job

    def save(self, model: Model, reference: Reference, **values: Any) -> int:
        """Store a new version as the challenger that waits; one that waited before is replaced."""
        table = self.tables.model
        artifact = model.to_bytes()
        with self.db.transaction("write"):
            self.db.lock(self.tables.job, self.job)  # under which version numbers are given
            newest = self.db.scalar(sa.select(sa.func.max(table.c.version).label("v")).where(table.c.job == self.job))
            version = (newest or 0) + 1
            waiting = sa.and_(table.c.job == self.job, table.c.status == "challenger")
            self.db.execute(table.update().where(waiting).values(status="replaced"))
            values["metrics"] = json.dumps({**values["metrics"], "versions": _versions()}, ensure_ascii=False)
            if values.get("trained_to_key") is not None:
                values["trained_to_key"] = json.dumps(values["trained_to_key"], ensure_ascii=False)
            self.db.execute(
                table.insert().values(
                    job=self.job,
                    version=version,
                    status="challenger",
                    features=json.dumps(model.features, ensure_ascii=False),
                    artifact=artifact,
                    artifact_sha256=hashlib.sha256(artifact).hexdigest(),
                    edges=reference.edges,
                    reference=reference.blocks,
                    weights=None if reference.weights is None else json.dumps(reference.weights, ensure_ascii=False),
                    **values,
                )
            )
        return version

    def load(self, version: int) -> Model:
        """The model itself. Raises ModelError where it is missing, was changed, or holds what is not allowed."""
        artifact, sha256 = self._artifact(version)
        try:
            return Model.from_bytes(artifact, sha256)
        except ModelError as error:
            raise ModelError(
                f"model v{version} of job '{self.job}': {error.what}",
                hint=error.hint,
                detail=error.detail,
                about=f"v{version}",
            ) from error

    def verify(self, version: int) -> None:
        """Raise ModelError unless the stored bytes are those that were saved."""
        artifact, sha256 = self._artifact(version)
        if hashlib.sha256(artifact).hexdigest() != sha256:
            raise ModelError(
                f"model v{version} of job '{self.job}' was changed in the store: its SHA-256 is not the recorded one",
                hint="'rowcast rollback' puts the champion before it in service, 'rowcast retrain' trains another",
            )

    def _artifact(self, version: int) -> tuple[bytes, str]:
        table = self.tables.model
        this = sa.and_(table.c.job == self.job, table.c.version == version)
        found = self.db.rows(sa.select(table.c.artifact, table.c.artifact_sha256).where(this))
        if not found:
            raise ModelError(f"job '{self.job}' has no model v{version}", hint="'rowcast models' lists them")
        return bytes(found[0]["artifact"]), found[0]["artifact_sha256"]

    def reference(self, version: int) -> Reference | None:
        """What a version's rows are held against; None for one that was trained before rows were counted."""
        table = self.tables.model
        this = sa.and_(table.c.job == self.job, table.c.version == version, table.c.edges.is_not(None))
        found = self.db.rows(sa.select(table.c.edges, table.c.reference, table.c.weights).where(this))
        if not found:
            return None
        weights = found[0]["weights"]
        weights = None if weights is None else json.loads(weights)
        return Reference(bytes(found[0]["edges"]), bytes(found[0]["reference"]), weights)

    def versions(self) -> list[Version]:
        """The newest first."""
        table = self.tables.model
        columns = [column for column in table.c if column.name not in ("job", *_LARGE)]
        rows = self.db.rows(sa.select(*columns).where(table.c.job == self.job).order_by(table.c.version.desc()))
        return [_version(row) for row in rows]

    def version(self, version: int) -> Version:
        """One version. Raises ModelError where there is none such."""
        found = [known for known in self.versions() if known.version == version]
        if not found:
            raise ModelError(f"job '{self.job}' has no model v{version}", hint="'rowcast models' lists them")
        return found[0]

    def champion(self) -> int | None:
        table = self.tables.job
        found: int | None = self.db.scalar(sa.select(table.c.champion).where(table.c.job == self.job))
        return found

    def champion_as_of(self, now: datetime) -> int | None:
        """Which version served at a moment before some decision of the gate; without such, the one that serves."""
        made = self.promotions()
        if not any(each["decided_at"] > now and each["decided_by"] == "gate" for each in made):
            return self.champion()
        served = [each for each in made if each["decided_at"] < now and each["decision"] in ("promoted", "rolled back")]
        return served[0]["version"] if served else None

    def promote(
        self,
        version: int,
        *,
        at: datetime,
        by: str,
        decision: str,
        reason: str,
        evidence: Any,
        against: int | Literal["anyone"] | None = "anyone",
        knowing: int | None = None,
    ) -> bool:
        """Put a version in service and record who decided so and why, in one transaction.

        `against` is the champion that it was judged against, `knowing` how many decisions were on record; False, and
        nothing done, where another serves by now, or a decision was added.
        """
        self.version(version)
        with self.db.transaction("write"):
            self.db.lock(self.tables.job, self.job)  # what is read of the job stays so until the end
            previous = self.champion()
            if against not in ("anyone", previous):
                return False
            if knowing is not None and knowing != len(self.promotions()):
                return False
            if previous is not None and previous != version:
                self._set_status(previous, "retired")
            self._set_status(version, "champion")
            job = self.tables.job
            self.db.execute(job.update().where(job.c.job == self.job).values(champion=version))
            self.db.execute(leave_to_champion(self.tables, self.job))
            self._record(version, previous, at, by, decision, reason, evidence)
        return True

    def keep(
        self,
        version: int,
        *,
        at: datetime,
        by: str,
        decision: str,
        reason: str,
        evidence: Any,
        knowing: int | None = None,
    ) -> bool:
        """Record that a version was not promoted; a challenger that was refused no longer waits.

        `knowing` is how many decisions were on record; False, and nothing done, where one was added.
        """
        with self.db.transaction("write"):
            self.db.lock(self.tables.job, self.job)
            if knowing is not None and knowing != len(self.promotions()):
                return False
            if decision == "kept":
                self._set_status(version, "refused", "challenger")
            self._record(version, self.champion(), at, by, decision, reason, evidence)
        return True

    def promotions(self) -> list[dict[str, Any]]:
        """Every decision, the newest first."""
        table = self.tables.promotion
        rows = self.db.rows(self._decisions().order_by(table.c.promotion_id.desc()))
        return [{**row, "evidence": json.loads(row["evidence"])} for row in rows]

    def put_in_service(self) -> dict[str, Any] | None:
        """The decision by which the champion serves; None where there is none."""
        champion = self.champion()
        served = (made for made in self.promotions() if made["version"] == champion)
        return next((made for made in served if made["decision"] in ("promoted", "rolled back")), None)

    def untold(self) -> list[dict[str, Any]]:
        """Decisions that have become no alert yet, the oldest first."""
        table = self.tables.promotion
        rows = self.db.rows(self._decisions().where(table.c.told == 0).order_by(table.c.promotion_id))
        return [{**row, "evidence": json.loads(row["evidence"])} for row in rows]

    def telling(self, promotion_id: int) -> sa.UpdateBase:
        """The statement that says: a decision has become an alert. It returns a row to whoever says so first."""
        table = self.tables.promotion
        this = sa.and_(table.c.promotion_id == promotion_id, table.c.told == 0)
        return table.update().where(this).values(told=1).returning(table.c.promotion_id)

    def _decisions(self) -> sa.Select[Any]:
        table = self.tables.promotion
        return sa.select(*[column for column in table.c if column.name != "told"]).where(table.c.job == self.job)

    def _set_status(self, version: int, status: str, before: str | None = None) -> None:
        """Give a version a status, where `before` is given only if it has that one."""
        table = self.tables.model
        this = sa.and_(table.c.job == self.job, table.c.version == version)
        if before is not None:
            this = sa.and_(this, table.c.status == before)
        self.db.execute(table.update().where(this).values(status=status))

    def _record(
        self, version: int, previous: int | None, at: datetime, by: str, decision: str, reason: str, evidence: Any
    ) -> None:
        self.db.execute(
            self.tables.promotion.insert().values(
                job=self.job,
                version=version,
                previous=previous,
                decided_at=at,
                decided_by=by,
                decision=decision,
                reason=reason,
                evidence=json.dumps(evidence, ensure_ascii=False),
                told=0,
            )
        )


def _versions() -> dict[str, str]:
    """Of what a model was made with: the same code and libraries make the same model."""
    libraries = {name: metadata.version(name) for name in _LIBRARIES}
    return {"rowcast": rowcast.__version__, "python": platform.python_version(), **libraries}


def _version(row: dict[str, Any]) -> Version:
    key = row["trained_to_key"]
    return Version(
        **{
            **row,
            "features": tuple(json.loads(row["features"])),
            "metrics": json.loads(row["metrics"]),
            "trained_to_key": tuple(json.loads(key)) if key else None,
        }
    )
