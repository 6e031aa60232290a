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
from rowcast.store.meaning import Meaning
from rowcast.store.records import DecisionOutcome, DecisionRecord, NewDecision, VersionStatus
from rowcast.store.signing import NO_KEYS, SignatureState, SigningKeys
from rowcast.store.tables import Tables

_LARGE = ("artifact", "edges", "reference", "weights", "signature")  # columns that only those read who need them
_LIBRARIES = ("lightgbm", "scikit-learn", "numpy", "scipy")


@dataclass(frozen=True)
class Version:
    """What the store keeps about a model version, all but its bytes."""

    version: int
    status: VersionStatus
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
    meaning: Meaning | None = None  # None where it was trained before this was kept

    @property
    def trained_until(self) -> datetime | tuple[str, ...] | None:
        return self.trained_to or self.trained_to_key


@dataclass(frozen=True)
class Reference:
    """What a version's rows are held against, as the monitor wrote it."""

    edges: bytes
    blocks: bytes
    weights: dict[str, float] | None  # None where the model does not tell


@dataclass(frozen=True)
class Stored:
    """A version's bytes, as they are kept."""

    artifact: bytes
    sha256: str
    signature: str | None


@dataclass(frozen=True)
class Integrity:
    """Whether a stored version is what was saved."""

    version: int
    intact: bool  # its bytes have the recorded digest
    signature: SignatureState

    @property
    def is_trusted(self) -> bool:
        """Whether the version may be loaded."""
        return self.intact and self.signature.is_trusted


class Registry:
    """The model versions of one job."""

    def __init__(self, db: Database, tables: Tables, job: str, keys: SigningKeys = NO_KEYS) -> None:
        self.db = db
        self.tables = tables
        self.job = job
        self.keys = keys

    def save(self, model: Model, reference: Reference, **values: Any) -> int:
        """Store a new version as the challenger that waits; one that waited before is replaced."""
        table = self.tables.model
        artifact = model.to_bytes()
        sha256 = hashlib.sha256(artifact).hexdigest()
        with self.db.transaction("write"):
            self.db.lock(self.tables.job, self.job)  # under which version numbers are given
            newest = self.db.scalar(sa.select(sa.func.max(table.c.version).label("v")).where(table.c.job == self.job))
            version = (newest or 0) + 1
            waiting = sa.and_(table.c.job == self.job, table.c.status == VersionStatus.CHALLENGER)
            self.db.execute(table.update().where(waiting).values(status=VersionStatus.REPLACED))
            values["metrics"] = json.dumps({**values["metrics"], "versions": _versions()}, ensure_ascii=False)
            if values.get("trained_to_key") is not None:
                values["trained_to_key"] = json.dumps(values["trained_to_key"], ensure_ascii=False)
            self.db.execute(
                table.insert().values(
                    job=self.job,
                    version=version,
                    status=VersionStatus.CHALLENGER,
                    features=json.dumps(model.features, ensure_ascii=False),
                    artifact=artifact,
                    artifact_sha256=sha256,
                    signature=self.keys.sign(self.job, version, sha256),
                    edges=reference.edges,
                    reference=reference.blocks,
                    weights=None if reference.weights is None else json.dumps(reference.weights, ensure_ascii=False),
                    **values,
                )
            )
        return version

    def load(self, version: int) -> Model:
        """Return the model itself. Raise ModelError where it is missing, was changed, or holds what is not allowed.

        So it does for a version that is not signed, where there is a key to sign by.
        """
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
            raise self._changed(version)

    def check_integrity(self, version: int) -> Integrity:
        """Return whether the stored bytes are those that were saved, and what their signature is worth."""
        artifact, sha256, signature = self._stored(version)
        intact = hashlib.sha256(artifact).hexdigest() == sha256
        return Integrity(version, intact, self.keys.check(signature, self.job, version, sha256))

    def sign(self, version: int) -> None:
        """Sign a version as it is stored. Raise ModelError without a key, and for bytes that were changed."""
        artifact, sha256, _ = self._stored(version)
        signature = self.keys.sign(self.job, version, sha256)
        if signature is None:
            raise ModelError("there is no key to sign by", hint="export ROWCAST_SIGNING_KEY=… before the command")
        if hashlib.sha256(artifact).hexdigest() != sha256:
            raise self._changed(version)
        table = self.tables.model
        this = sa.and_(table.c.job == self.job, table.c.version == version, table.c.artifact_sha256 == sha256)
        self.db.execute(table.update().where(this).values(signature=signature))

    def read_stored(self, version: int) -> Stored:
        """Return a version's bytes. Raise ModelError where they are missing, or a signature is needed in vain."""
        self.verify(version)
        return Stored(*self._stored(version))

    def _artifact(self, version: int) -> tuple[bytes, str]:
        """Return a version's bytes and their recorded digest. Raise ModelError where a signature is needed in vain."""
        artifact, sha256, signature = self._stored(version)
        state = self.keys.check(signature, self.job, version, sha256)
        if not state.is_trusted:
            raise ModelError(
                f"model v{version} of job '{self.job}' is refused: {state}",
                hint="'rowcast models verify' shows every version; 'rowcast models sign V' signs one that you trust",
                about=f"v{version}",
            )
        return artifact, sha256

    def _changed(self, version: int) -> ModelError:
        return ModelError(
            f"model v{version} of job '{self.job}' was changed in the store: its SHA-256 is not the recorded one",
            hint="'rowcast rollback' puts the champion before it in service, 'rowcast retrain' trains another",
        )

    def _stored(self, version: int) -> tuple[bytes, str, str | None]:
        """Return a version's bytes, their recorded digest, and its signature."""
        table = self.tables.model
        this = sa.and_(table.c.job == self.job, table.c.version == version)
        found = self.db.rows(sa.select(table.c.artifact, table.c.artifact_sha256, table.c.signature).where(this))
        if not found:
            raise ModelError(f"job '{self.job}' has no model v{version}", hint="'rowcast models' lists them")
        return bytes(found[0]["artifact"]), found[0]["artifact_sha256"], found[0]["signature"]

    def reference(self, version: int) -> Reference | None:
        """Return what a version's rows are held against; None for one that was trained before rows were counted."""
        table = self.tables.model
        this = sa.and_(table.c.job == self.job, table.c.version == version, table.c.edges.is_not(None))
        found = self.db.rows(sa.select(table.c.edges, table.c.reference, table.c.weights).where(this))
        if not found:
            return None
        weights = found[0]["weights"]
        weights = None if weights is None else json.loads(weights)
        return Reference(bytes(found[0]["edges"]), bytes(found[0]["reference"]), weights)

    def versions(self) -> list[Version]:
        """Return every version, the newest first."""
        table = self.tables.model
        columns = [column for column in table.c if column.name not in ("job", *_LARGE)]
        rows = self.db.rows(sa.select(*columns).where(table.c.job == self.job).order_by(table.c.version.desc()))
        return [_version(row) for row in rows]

    def version(self, version: int) -> Version:
        """Return one version. Raise ModelError where there is none such."""
        found = [known for known in self.versions() if known.version == version]
        if not found:
            raise ModelError(f"job '{self.job}' has no model v{version}", hint="'rowcast models' lists them")
        return found[0]

    def champion(self) -> int | None:
        """Return the version in service; None before the first promotion."""
        table = self.tables.job
        found: int | None = self.db.scalar(sa.select(table.c.champion).where(table.c.job == self.job))
        return found

    def champion_as_of(self, now: datetime) -> int | None:
        """Return the version that served at a moment before some decision of the gate; without such, that of now.

        What is dated ahead of the store's clock was decided before now all the same.
        """
        made, clock = self.decisions(), self.db.now()
        if not any(now < each.decided_at <= clock and each.is_by_gate for each in made):
            return self.champion()
        there = [each for each in made if each.decided_at < now or each.decided_at > clock]
        served = [each for each in there if each.outcome.changes_champion]
        return served[0].version if served else None

    def promote(
        self,
        version: int,
        decision: NewDecision,
        *,
        against: int | Literal["anyone"] | None = "anyone",
        knowing: int | None = None,
    ) -> bool:
        """Put a version in service and record who decided so and why, in one transaction.

        `against` is the champion that it was compared with, `knowing` how many decisions were on record. Return False,
        and do nothing, where another serves by now, or a decision was added.
        """
        self.version(version)
        with self.db.transaction("write"):
            self.db.lock(self.tables.job, self.job)  # what is read of the job stays so until the end
            previous = self.champion()
            if against not in ("anyone", previous):
                return False
            if knowing is not None and knowing != len(self.decisions()):
                return False
            if previous is not None and previous != version:
                self._set_status(previous, VersionStatus.RETIRED)
            self._set_status(version, VersionStatus.CHAMPION)
            job = self.tables.job
            # What was left to the training of the one before may be pending now, however old it is.
            values = {"champion": version, "complete_to": None}
            self.db.execute(job.update().where(job.c.job == self.job).values(**values))
            self.db.execute(leave_to_champion(self.tables, self.job))
            self._record(version, previous, decision)
        return True

    def keep(self, version: int, decision: NewDecision, *, knowing: int | None = None) -> bool:
        """Record that a version was not promoted; a challenger that was refused no longer waits.

        `knowing` is how many decisions were on record. Return False, and do nothing, where one was added.
        """
        with self.db.transaction("write"):
            self.db.lock(self.tables.job, self.job)
            if knowing is not None and knowing != len(self.decisions()):
                return False
            if decision.outcome is DecisionOutcome.KEPT:
                self._set_status(version, VersionStatus.REFUSED, VersionStatus.CHALLENGER)
            self._record(version, self.champion(), decision)
        return True

    def decisions(self) -> list[DecisionRecord]:
        """Return every decision about versions, the newest first."""
        table = self.tables.promotion
        rows = self.db.rows(self._select_decisions().order_by(table.c.promotion_id.desc()))
        return [DecisionRecord.from_row(row) for row in rows]

    def decision(self, promotion_id: int) -> DecisionRecord:
        """Return one decision. Raise ModelError where there is none such."""
        found = [made for made in self.decisions() if made.promotion_id == promotion_id]
        if not found:
            raise ModelError(f"job '{self.job}' has no decision {promotion_id}", hint="'rowcast models' lists them")
        return found[0]

    def find_promotion(self) -> DecisionRecord | None:
        """Return the decision by which the champion serves; None where there is none."""
        champion = self.champion()
        made = (each for each in self.decisions() if each.version == champion)
        return next((each for each in made if each.outcome.changes_champion), None)

    def decisions_to_alert(self) -> list[DecisionRecord]:
        """Return the decisions that have become no alert yet, the oldest first."""
        table = self.tables.promotion
        rows = self.db.rows(self._select_decisions().where(table.c.alerted == 0).order_by(table.c.promotion_id))
        return [DecisionRecord.from_row(row) for row in rows]

    def mark_alerted(self, promotion_id: int) -> sa.UpdateBase:
        """Return the statement that marks a decision as alerted. It returns a row to whoever executes it first."""
        table = self.tables.promotion
        this = sa.and_(table.c.promotion_id == promotion_id, table.c.alerted == 0)
        return table.update().where(this).values(alerted=1).returning(table.c.promotion_id)

    def _select_decisions(self) -> sa.Select[Any]:
        table = self.tables.promotion
        return sa.select(*[column for column in table.c if column.key != "alerted"]).where(table.c.job == self.job)

    def _set_status(self, version: int, status: VersionStatus, before: VersionStatus | None = None) -> None:
        """Give a version a status, where `before` is given only if it has that one."""
        table = self.tables.model
        this = sa.and_(table.c.job == self.job, table.c.version == version)
        if before is not None:
            this = sa.and_(this, table.c.status == before)
        self.db.execute(table.update().where(this).values(status=status))

    def _record(self, version: int, previous: int | None, decision: NewDecision) -> None:
        self.db.execute(
            self.tables.promotion.insert().values(
                job=self.job,
                version=version,
                previous=previous,
                decided_at=decision.decided_at,
                decided_by=decision.decided_by,
                decision=decision.outcome,
                reason=decision.reason,
                evidence=json.dumps(dict(decision.evidence), ensure_ascii=False),
                alerted=0,
            )
        )


def _versions() -> dict[str, str]:
    """Of what a model was made with: the same code and libraries make the same model."""
    libraries = {name: metadata.version(name) for name in _LIBRARIES}
    return {"rowcast": rowcast.__version__, "python": platform.python_version(), **libraries}


def _version(row: dict[str, Any]) -> Version:
    key, meaning = row["trained_to_key"], row["meaning"]
    return Version(
        **{
            **row,
            "status": VersionStatus(row["status"]),
            "features": tuple(json.loads(row["features"])),
            "metrics": json.loads(row["metrics"]),
            "trained_to_key": tuple(json.loads(key)) if key else None,
            "meaning": Meaning.from_json(meaning) if meaning else None,
        }
    )
