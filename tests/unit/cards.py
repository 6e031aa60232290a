"""Cards as the store's record makes them: of each kind, old and new, with and without what they may lack."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from rowcast.card.record import Card, Part
from rowcast.config import Task
from rowcast.store.records import (
    DecisionOutcome,
    DecisionRecord,
    EndCause,
    PipelineName,
    RunOptions,
    RunRecord,
    RunStatus,
    VersionStatus,
)
from rowcast.store.registry import Version

NASTY = "a<b>&\"c'</style><script>alert(1)</script>\x00\u202e"
MONTH = timedelta(days=30)
START = datetime(2026, 1, 5, tzinfo=UTC)
RUN = RunRecord(
    run_id=3,
    job="wafers",
    pipeline=PipelineName.RETRAIN,
    status=RunStatus.DONE,
    started_at=START,
    finished_at=START,
    as_of=START,
    error=None,
    end_cause=EndCause.COMPLETED,
    host=None,
    rowcast_version="0.1.0",
    config_sha256="12" * 32,
    lease_until=None,
    options=RunOptions(),
)
FEATURES = ("s060", "s038", "tool", NASTY, *(f"s{place:03d}" for place in range(1, 21)))


def binary(**changes: Any) -> dict[str, Any]:
    """The record of a classifier of two classes, complete."""
    curve = [
        {
            "threshold": round((1 - place / 20) ** 9, 9),
            "cost_per_row": (cost := 0.4 + (0.8 * (1 - place / 6) ** 2 if place < 6 else 0.04 * (place - 6))),
            "cost_low": 0.87 * cost,
            "cost_high": 1.14 * cost,
            "flagged_share": place / 20,
            "recall": 1 - (1 - place / 20) ** 4,
        }
        for place in range(21)
    ]
    bins = [
        {
            "low": place / 20,
            "high": (place + 1) / 20,
            "rows": 2000 // (1 + place) ** 2,
            "predicted": (place + 0.4) / 20,
            "observed": (place + 0.3) / 20,
            "observed_low": max(0.0, place / 20 - 0.02 * place),
            "observed_high": (place + 0.9) / 20 + 0.02 * place,
        }
        for place in range(8)
    ]
    record = {
        "kind": "binary",
        "classes": [0, 1],
        "threshold": 0.0498,
        "candidate": "lightgbm",
        "choice": {"rule": "least", "against": None},
        "rows": 6378,
        "positives": 398,
        "features": len(FEATURES),
        "rows_out_of_fold": 4130,
        "positives_out_of_fold": 249,
        **around("auc", 0.881, 0.859, 0.902),
        **around("average_precision", 0.412, 0.35, 0.47),
        "brier": 0.0443,
        "log_loss": 0.1602,
        **around("cost_per_row", 0.4, 0.35, 0.46),
        "cost_per_row_flag_none": 1.206,
        "cost_per_row_flag_all": 0.9397,
        "flagged_share": 0.262,
        **around("precision", 0.194, 0.17, 0.22),
        **around("recall", 0.843, 0.79, 0.885),
        "labels_known": 9798,
        "versions": {"rowcast": "0.1.0", "lightgbm": "4.7.0", "numpy": "2.2.0"},
        "candidates": [
            {"name": "logistic, C=0.001", **around("auc", 0.745, 0.714, 0.776), "log_loss": 0.206, "chosen": False},
            {"name": "lightgbm", **around("auc", 0.881, 0.859, 0.902), "log_loss": 0.16, "chosen": True},
        ],
        "dropped": {"s006": "constant", f"{NASTY}2": f"near-duplicate of {NASTY}"},
        "importance": [[name, 0.64 / (1 + place)] for place, name in enumerate(FEATURES)],
        "reliability": bins,
        "cost_curve": curve,
        "confusion": confusion([("0", "1")], [[3087, 794], [39, 210]]),
        "over_time": over_time(0.88, 0.4),
        "coverage": [
            {"of": "0", "promised": 0.9, "rows": 3881, "covered": 0.912, "low": 0.9, "high": 0.92, "uncertain": 0.07},
            {"of": "1", "promised": 0.9, "rows": 249, "covered": 0.888, "low": 0.84, "high": 0.92, "uncertain": 0.41},
        ],
        "suspects": [{"column": "s038", "why": "it alone ranks better than the model"}],
    }
    return {**record, **changes}


def around(name: str, value: float, low: float, high: float) -> dict[str, float]:
    return {name: value, f"{name}_low": low, f"{name}_high": high}


def confusion(classes: list[tuple[str, ...]], counts: list[list[int]]) -> list[dict[str, Any]]:
    [names] = classes
    return [
        {
            "truth": names[truth],
            "predicted": names[said],
            "rows": count,
            "share": count / sum(row),
            "low": max(0.0, count / sum(row) - 0.04),
            "high": min(1.0, count / sum(row) + 0.04),
        }
        for truth, row in enumerate(counts)
        for said, count in enumerate(row)
    ]


def over_time(auc: float, cost: float) -> list[dict[str, Any]]:
    return [
        {
            "from": (START + place * MONTH).isoformat(),
            "to": (START + (place + 0.9) * MONTH).isoformat(),
            "rows": 800 + 20 * place,
            "positives": 50 + place,
            **around("auc", auc - 0.01 * place, auc - 0.01 * place - 0.05, auc - 0.01 * place + 0.05),
            "cost_per_row": cost + 0.01 * place,
            "cost_low": cost + 0.01 * place - 0.08,
            "cost_high": cost + 0.01 * place + 0.09,
        }
        for place in range(5)
    ]


def multiclass(**changes: Any) -> dict[str, Any]:
    """The record of a classifier of three classes."""
    names = ("ok", "scratch", "void & crack")
    counts = [[900, 30, 20], [12, 40, 3], [9, 4, 27]]
    record = binary(kind="multiclass", classes=list(names), threshold=None, confusion=confusion([names], counts))
    for name in ("auc", "average_precision", "precision", "recall"):
        for end in ("", "_low", "_high"):
            record.pop(name + end, None)
    record["candidates"] = [{"name": "lightgbm", "log_loss": 0.3, "cost_per_row": 0.4, "chosen": True}]
    record["coverage"] = [
        {"of": name, "promised": 0.9, "rows": 100, "covered": 0.9, "low": 0.8, "high": 0.95, "uncertain": 0.2}
        for name in names
    ]
    for period in record["over_time"]:
        for end in ("", "_low", "_high"):
            period.pop("auc" + end)
    return {**record, **changes}


def regression(**changes: Any) -> dict[str, Any]:
    """The record of a regression, without a time column."""
    bins = [
        {
            "low": 10.0 * place,
            "high": 10.0 * place + 10,
            "rows": 40,
            "predicted": 10.0 * place + 5,
            "observed": 10.0 * place + 5 + (-1) ** place,
            "observed_low": 10.0 * place + 3,
            "observed_high": 10.0 * place + 7.5,
        }
        for place in range(-2, 4)
    ]
    periods = [
        {"from": None, "to": None, "rows": 60, "positives": None, **around("mae", 1.2 + 0.1 * n, 1.0, 1.7)}
        for n in range(4)
    ]
    return {
        "kind": "regression",
        "classes": [],
        "candidate": "lightgbm",
        "rows": 301,
        "features": len(FEATURES),
        "rows_out_of_fold": 240,
        **around("mae", 1.31, 1.1, 1.5),
        **around("cost_per_row", 1.31, 1.1, 1.5),
        "rmse": 1.8,
        "candidates": [{"name": "lightgbm", "mae": 1.31, "chosen": True}],
        "dropped": {},
        "importance": [["s060", 0.4]],
        "reliability": bins,
        "over_time": periods,
        "coverage": [
            {"of": "all", "promised": 0.9, "rows": 240, "covered": 0.92, "low": 0.88, "high": 0.95, "uncertain": None}
        ],
        **changes,
    }


def old() -> dict[str, Any]:
    """What versions kept before the record had pictures."""
    pictures = ("reliability", "cost_curve", "confusion", "over_time", "coverage", "suspects", "kind", "classes")
    record = {
        name: value for name, value in binary().items() if name not in (*pictures, "threshold", "choice", "versions")
    }
    ends = ("cost_per_row", "average_precision", "precision", "recall")
    return {name: value for name, value in record.items() if not name.startswith(tuple(f"{end}_" for end in ends)) or (
        name.startswith("cost_per_row_flag")
    )}  # fmt: skip


def imported() -> dict[str, Any]:
    """What is known of a model that was fitted elsewhere."""
    return {"kind": "binary", "candidate": "model.txt", "rows": 0, "features": len(FEATURES)}


def version(number: int = 2, metrics: dict[str, Any] | None = None, **changes: Any) -> Version:
    given = {
        "version": number,
        "status": VersionStatus.CHAMPION,
        "created_at": datetime(2026, 7, 4, tzinfo=UTC),
        "run_id": number,
        "estimator": "default",
        "features": FEATURES,
        "trained_from": START,
        "trained_to": datetime(2026, 5, 2, 10, 50, tzinfo=UTC),
        "trained_to_key": None,
        "rows": 6378,
        "metrics": binary() if metrics is None else metrics,
        "artifact_sha256": "ab" * 32,
    }
    return Version(**{**given, **changes})


def decision(number: int, previous: int | None, what: str = "promoted", **changes: Any) -> DecisionRecord:
    evidence = {
        "rows": 3395,
        "positives": 238,
        "blocks": 136,
        "differing": 520,
        "cost_champion": 0.4707,
        "cost_challenger": 0.4071,
        "gain": 0.0636,
        "gain_low": 0.0285,
        "gain_high": 0.0965,
        "yearly_error": 0.05,
        "level": 0.0165,
        "left": 0.05,
        "gain_bound": 0.0092,
        "min_gain": 0.0,
    }
    at, reason = datetime(2026, 7, 4, tzinfo=UTC), "the challenger costs 0.4071 per row, the champion 0.4707"
    made = DecisionRecord(1, "wafers", number, previous, at, "gate", DecisionOutcome(what), reason, evidence)
    return replace(made, **changes)


def card(metrics: dict[str, Any] | None = None, **changes: Any) -> Card:
    """The card of v2, which the gate promoted over v1."""
    usual: dict[str, list[float] | dict[str, float]] = {
        "s060": [145_052.0, 161_144.0],
        "tool": {"ETCH-01": 0.5, "B": 0.25},
        NASTY: [0.0, 1.0],
    }
    columns = (*FEATURES[3:], "s090", "s091")
    before = version(1, {**old(), "positives": 180}, status=VersionStatus.RETIRED, features=columns, rows=2847)
    given: dict[str, Any] = {
        "job": "wafers",
        "source": "wafers",
        "label": "failed",
        "task": Task(),
        "version": version(metrics=metrics),
        "part": Part(0.0498, (0, 1), usual, "cd" * 32),
        "service": ((datetime(2026, 7, 4, tzinfo=UTC), None),),
        "decisions": (decision(2, 1),),
        "ended": None,
        "before": before,
        "part_before": Part(0.0408, (0, 1), {}, "ef" * 32),
        "run": RUN,
    }
    return Card(**{**given, **changes})


def first() -> Card:
    """The card of a first version, which had no predecessor."""
    reason = "first, unproven: out of fold it costs 0.5893 per row, flagging none 1.223, flagging all 0.9389"
    evidence = {"cost_per_row": 0.5893, "auc": 0.825, "rows_out_of_fold": 1848, "positives_out_of_fold": 113}
    made = decision(1, None, reason=reason, evidence=evidence)
    return card(binary(positives_out_of_fold=28, auc_low=0.49), before=None, part_before=Part(), decisions=(made,))


def of_every_kind() -> dict[str, Card]:
    theirs = binary(importance=[], choice=None)
    waiting = card(service=(), decisions=())
    return {
        "binary": card(),
        "multiclass": card(multiclass(), part=Part(None, ("ok", "scratch", "void & crack"), {})),
        "regression": card(regression(), part=Part(reference_ranges={})),
        "first": first(),
        "old": card(old()),
        "imported": card(
            run=None,
            before=None,
            decisions=(),
            version=version(metrics=imported(), rows=0, trained_from=None, trained_to=None, estimator="model.txt"),
        ),
        "theirs": card(theirs, part=Part(0.05, (0, 1), None)),
        "waiting": replace(waiting, version=version(status=VersionStatus.CHALLENGER)),
        "damaged": card(part=Part(fault="model v2 of job 'wafers': the model's bytes were changed")),
        "by key": card(version=version(trained_from=None, trained_to=None, trained_to_key=("L7", "12"))),
    }
