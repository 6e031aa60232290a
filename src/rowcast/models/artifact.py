"""What a trained model is, and its bytes: a zip of `model.json` and one part for each estimator in it."""

import hashlib
import json
import math
import zipfile
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, get_args

import numpy as np
import numpy.typing as npt

from rowcast import past as pasts
from rowcast.contract import ColumnRule, Contract
from rowcast.contract import Kind as ColumnKind
from rowcast.errors import ModelError, RowcastError
from rowcast.models import calibration as calibrations
from rowcast.models import conformal as conformals
from rowcast.models import reference_range
from rowcast.models.calibration import Calibration, Floats
from rowcast.models.conformal import Bands, Conformal, Sets
from rowcast.models.decision import Costs, cheapest_class
from rowcast.models.estimators import Engine, one_line, raw_contributions, raw_scores
from rowcast.models.matrix import Matrix
from rowcast.models.reference_range import ReferenceRanges
from rowcast.models.storage import SUFFIX, dump_estimator, load_estimator, unzip_parts, zip_parts
from rowcast.models.target import Kind
from rowcast.models.validation import RETRAIN
from rowcast.past import PastColumn

FORMAT = 3  # of a model that computes columns from the past; others stay readable for an older rowcast
_WITHOUT_PAST = 2
_KEPT = 3  # models that a process holds ready: champion, challenger and one in the shadow


@dataclass(frozen=True)
class Member:
    """A fitted estimator, and the line that brings its raw score to the scale that members share."""

    engine: Engine
    estimator: Any  # lightgbm.Booster or a fitted scikit-learn estimator
    slope: float = 1.0
    intercept: tuple[float, ...] = (0.0,)  # one, or one for each class
    order: tuple[int, ...] = ()  # places of the classes that the estimator tells apart; (): as it numbers them


@dataclass(frozen=True)
class ModelOutput:
    """What a model makes of n rows."""

    score: Floats  # (n,) probability of the positive class, of the class decided on, or the value
    place: npt.NDArray[np.int64] | None  # (n,) the class decided on; None for a regression
    flagged: npt.NDArray[np.bool_]  # (n,) rows that need action
    probability: Floats  # (n,) of the positive class, (n, k) of every class, or the value


@dataclass(frozen=True)
class Model:
    """One version of a model: everything that turns a feature matrix into a decision."""

    kind: Kind
    features: tuple[str, ...]  # in the order that the estimators were fitted on
    contract: Contract  # of all candidate columns, not of the features alone
    members: tuple[Member, ...]  # their plain average, where there are several
    calibration: Calibration
    classes: tuple[Any, ...] = ()  # as the source spells them, the one that needs no action first
    threshold: float | None = None  # two classes: a row is flagged where score >= threshold
    costs: Costs | None = None  # several classes: by which the decision is made
    limits: tuple[float | None, float | None] = (None, None)  # a regression: a row is flagged below or above
    conformal: Conformal | None = None  # which predictions it cannot be sure of
    reference_ranges: ReferenceRanges = field(default_factory=dict)  # of the features, in the training rows
    past: tuple[PastColumn, ...] = ()  # the features that are computed from the past

    def score(self, matrix: Matrix, num_threads: int = 1) -> ModelOutput:
        """Score and decide n rows; columns are found by name.

        The size of a batch changes a score by less than 1e-9. `num_threads` holds for LightGBM. Raises ModelError
        where a feature is missing or coded otherwise, EstimatorError where a user's estimator fails.
        """
        return self.decide(self.raw(matrix, num_threads))

    def decide(self, raw: Floats) -> ModelOutput:
        """Calibrate raw scores, (n,) or (n, k), and decide. Raise ModelError where they are not finite."""
        found = self.calibration(raw)
        if not np.isfinite(found).all():  # no comparison with it is true: a row would count as good
            raise ModelError("the model gives scores that are not finite numbers", hint=RETRAIN)
        if self.kind == "regression":
            low, high = self.limits
            outside = np.zeros(len(found), dtype=bool)
            outside |= False if low is None else found < low
            outside |= False if high is None else found > high
            return ModelOutput(found, None, outside, found)
        if self.kind == "binary":
            assert self.threshold is not None
            flagged = found >= self.threshold
            return ModelOutput(found, flagged.astype(np.int64), flagged, found)
        assert self.costs is not None
        place = cheapest_class(found, self.costs)
        return ModelOutput(found[np.arange(len(found)), place], place, place > 0, found)

    def raw(self, matrix: Matrix, num_threads: int = 1) -> Floats:
        """Score before calibration, shape (n,) or (n, k): the mean of the members'."""
        selected, several = self._select(matrix), len(self.members) > 1
        total: Floats | float = 0.0
        for member in self.members:
            own = raw_scores(
                member.engine, member.estimator, selected, num_threads, self.kind, len(self.classes), member.order
            )
            total = total + (member.slope * own + self.offset(member) if several else own)
        return np.asarray(total / len(self.members), dtype=np.float64)

    def offset(self, member: Member) -> Floats | float:
        """Return what is added to a member's score, where there are several: one number, or one for each class."""
        return np.array(member.intercept) if self.kind == "multiclass" else member.intercept[0]

    def contributions(self, matrix: Matrix, num_threads: int = 1) -> Floats | None:
        """Share of each feature in the raw score, shape (n, f), in `features` order.

        They sum to the raw score less a constant of the model: log-odds of the positive class, before calibration; of
        the class decided on against the one that needs no action (or, where that was decided on, the next likely); or
        the label's unit. LightGBM: exact tree SHAP values (Lundberg et al. 2020, Nature Machine Intelligence 2).
        Linear: coefficient times distance from the training mean, the parts made of one column added up. Members
        that cannot tell are left out; None where none can.
        """
        selected, several = self._select(matrix), len(self.members) > 1
        place, against = self._compare(matrix) if self.kind == "multiclass" else (None, None)
        found = [
            (
                member,
                raw_contributions(member.engine, member.estimator, selected, num_threads, place, against, member.order),
            )
            for member in self.members
        ]
        shares = [(member.slope if several else 1.0) * share for member, share in found if share is not None]
        return np.asarray(sum(shares) / len(self.members), dtype=np.float64) if shares else None

    def _compare(self, matrix: Matrix) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        scored = self.score(matrix)
        assert scored.place is not None
        others = scored.probability.copy()
        others[np.arange(len(others)), scored.place] = -1
        return scored.place, np.where(scored.place > 0, 0, others.argmax(axis=1))

    def to_bytes(self) -> bytes:
        """Serialise; equal models give equal bytes. Raises ModelError for an estimator that could not be loaded."""
        places = [f"{place}.{SUFFIX[member.engine]}" for place, member in enumerate(self.members)]
        described = {
            "format": FORMAT if self.past else _WITHOUT_PAST,
            "kind": self.kind,
            "features": self.features,
            "contract": json.loads(self.contract.to_json()),
            "members": [
                {
                    "engine": member.engine,
                    "part": part,
                    "slope": member.slope,
                    "intercept": member.intercept,
                    "order": member.order,
                }
                for member, part in zip(self.members, places, strict=True)
            ],
            "calibration": calibrations.to_dict(self.calibration),
            "classes": self.classes,
            "threshold": self.threshold,
            "costs": None if self.costs is None else [self.costs.missed, self.costs.false_alarm],
            "limits": self.limits,
            "conformal": None if self.conformal is None else conformals.to_dict(self.conformal),
            "usual": self.reference_ranges,  # the stored key is older than the name
        }
        described |= {"past": list(map(pasts.to_dict, self.past))} if self.past else {}
        text = json.dumps(described, ensure_ascii=False, allow_nan=False, indent=1)
        parts = {
            part: dump_estimator(member.engine, member.estimator, len(self.features), self._scores())
            for member, part in zip(self.members, places, strict=True)
        }
        return zip_parts({"model.json": text.encode(), **parts}, zipfile.ZIP_DEFLATED)

    def _scores(self) -> int:
        return _scores_of(self.kind, len(self.classes))

    @classmethod
    def from_bytes(cls, data: bytes, sha256: str) -> "Model":
        """Load what `to_bytes` wrote. Raises ModelError unless the bytes are the ones saved and are safe to load."""
        if hashlib.sha256(data).hexdigest() != sha256.lower():
            raise ModelError("the model's bytes were changed: their SHA-256 is not the recorded one", hint=RETRAIN)
        try:
            return _read_once(data)
        except RowcastError:
            raise
        except Exception as error:  # whatever a malformed file provokes in a parser, the answer is the same
            raise ModelError("the model's bytes cannot be read", hint=RETRAIN, detail=one_line(error)) from None

    @classmethod
    def _read(cls, data: bytes) -> "Model":
        parts = unzip_parts(data)
        described = _upgrade(json.loads(parts.pop("model.json"), parse_constant=_refuse_constant))
        features, classes = tuple(described["features"]), tuple(described["classes"])
        kind: Kind = described["kind"]
        members = tuple(
            Member(
                each["engine"],
                load_estimator(each["engine"], parts.pop(each["part"]), len(features), _scores_of(kind, len(classes))),
                float(each["slope"]),
                tuple(map(float, each["intercept"])),
                tuple(map(int, each["order"])),
            )
            for each in described["members"]
        )
        if parts:
            raise ModelError(f"the model's bytes hold an unknown part: {sorted(parts)[0]!r}", hint=RETRAIN)
        contract = Contract.from_json(json.dumps(described["contract"]))
        low, high = described["limits"]
        read = cls(
            kind=kind,
            features=features,
            contract=contract,
            members=members,
            calibration=calibrations.from_dict(described["calibration"]),
            classes=classes,
            threshold=None if described["threshold"] is None else float(described["threshold"]),
            costs=None if described["costs"] is None else Costs(*map(float, described["costs"])),
            limits=(low, high),
            conformal=None if described["conformal"] is None else conformals.from_dict(described["conformal"]),
            reference_ranges=reference_range.from_dict(described["usual"]),
            past=tuple(map(pasts.from_dict, described.get("past", ()))),
        )
        read._check()
        return read

    def _check(self) -> None:
        """Raise ModelError where the parts do not fit one another."""
        several = self.kind == "multiclass"
        sound = bool(self.members) and all(
            np.isfinite([member.slope, *member.intercept]).all()
            and (not several or len(self.members) == 1 or len(member.intercept) == len(self.classes))
            and (not member.order or sorted(member.order) == list(range(len(self.classes))))
            for member in self.members
        )
        of = {"binary": (calibrations.Sigmoid, calibrations.Isotonic), "multiclass": (calibrations.Softmax,)}
        sound = sound and isinstance(self.calibration, of.get(self.kind, (calibrations.Identity,)))
        sound = sound and (self.kind != "binary" or (len(self.classes) == 2 and self.threshold is not None))
        if isinstance(self.calibration, calibrations.Softmax):
            sound = sound and len(self.calibration.intercept) == len(self.classes) and self.costs is not None
        if isinstance(self.conformal, Sets):
            sound = sound and len(self.conformal.least) == len(self.classes)
        sound = sound and (self.conformal is None or isinstance(self.conformal, Bands) == (self.kind == "regression"))
        sound = sound and self._columns_are_sound() and self._decision_is_sound()
        if not sound:
            raise ModelError("the model's parts do not fit one another", hint=RETRAIN)

    def _columns_are_sound(self) -> bool:
        """Whether each feature has a rule of the contract, and each column one name and one rule."""
        names, rules = self.contract.names, self.contract.rules
        return (
            len(self.features) > 0
            and len(set(self.features)) == len(self.features)
            and len(set(names)) == len(names)
            and set(self.features) <= set(names)
            and {column.name for column in self.past} <= set(self.features)
            and all(map(_rule_is_sound, rules))
        )

    def _decision_is_sound(self) -> bool:
        """Whether rows can be decided on: no number is missing, infinite or out of its range."""
        low, high = self.limits
        costs = () if self.costs is None else (self.costs.missed, self.costs.false_alarm)
        return (
            (self.threshold is None or 0 <= self.threshold <= 1)
            and all(math.isfinite(cost) and cost >= 0 for cost in costs)
            and all(bound is None or _is_number(bound) for bound in (low, high))
            and all(isinstance(label, bool | int | float | str) for label in self.classes)
            and len(set(self.classes)) == len(self.classes)
        )

    def _select(self, matrix: Matrix) -> Matrix:
        absent = [name for name in self.features if name not in matrix.names]
        if absent:
            raise ModelError(
                f"the model needs column '{absent[0]}', which the rows lack"
                + (f" (and {len(absent) - 1} more)" if len(absent) > 1 else ""),
                hint="bring the column back, or retrain without it: 'rowcast retrain'",
            )
        selected = matrix.select(self.features)
        for rule in self.contract.select(self.features).rules:
            known = rule.categories if rule.kind == "category" else None
            if selected.categories.get(rule.name) != known:
                raise ModelError(
                    f"column '{rule.name}' is coded differently from what the model was trained on",
                    hint="make the matrix with the model's own contract",
                )
        return selected


@lru_cache(maxsize=_KEPT)
def _read_once(data: bytes) -> Model:
    """A run loads its champion several times: to check that rows can be scored, to watch them, to score them."""
    return Model._read(data)


def _rule_is_sound(rule: ColumnRule) -> bool:
    return (
        isinstance(rule.name, str)
        and rule.kind in get_args(ColumnKind)
        and isinstance(rule.nullable, bool)
        and isinstance(rule.closed, bool)
        and all(bound is None or _is_number(bound) for bound in (rule.min, rule.max))
        and all(isinstance(category, str) for category in rule.categories)
        and len(set(rule.categories)) == len(rule.categories)
    )


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value)


def _refuse_constant(name: str) -> float:
    """JSON has no number that is not finite, though Python reads NaN and Infinity."""
    raise ModelError(f"the model's numbers are not all finite: one is {name}", hint=RETRAIN)


def _scores_of(kind: Kind, classes: int) -> int:
    """How many raw scores a row has."""
    return classes if kind == "multiclass" else 1


def _upgrade(described: dict[str, Any]) -> dict[str, Any]:
    """What `model.json` says, in the present format. Raises ModelError for a later one."""
    if described["format"] in (FORMAT, _WITHOUT_PAST):
        return described
    if described["format"] != 1:
        raise ModelError(
            f"the model has format {described['format']!r}, this rowcast reads up to {FORMAT}", hint="upgrade rowcast"
        )
    engine = described["engine"]
    part = "lightgbm.txt" if engine == "lightgbm" else "sklearn.skops"
    member = {"engine": engine, "part": part, "slope": 1.0, "intercept": [0.0], "order": []}
    added: dict[str, Any] = {"costs": None, "limits": [None, None], "conformal": None, "usual": {}}
    return {**described, "kind": "binary", "members": [member], **added}
