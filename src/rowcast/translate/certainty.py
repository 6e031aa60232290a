"""How sure a model is of a row, as SQL: what `models/conformal.py` says of a score."""

import json
import math

from rowcast.models.artifact import Model
from rowcast.models.conformal import Bands, Sets
from rowcast.translate.dialects import Dialect


def write_certainty(model: Model, score: str, chances: tuple[str, ...], dialect: Dialect) -> dict[str, str]:
    """Return the columns of the prediction table that say it, from a score and the probability of each class."""
    how = model.conformal
    number = f"CAST(NULL AS {dialect.float_type})"
    unknown = {
        "uncertain": dialect.case([("1 = 0", dialect.true)]),
        "possible": f"CAST(NULL AS {dialect.text_type})",
        "low": number,
        "high": number,
    }
    if how is None:
        return unknown
    if isinstance(how, Bands):
        return unknown | _of_value(how, score, dialect)
    return unknown | _of_classes(model, how, chances or (f"{dialect.number(1.0)} - {score}", score), dialect)


def _of_value(how: Bands, score: str, dialect: Dialect) -> dict[str, str]:
    number = dialect.number

    def by_range(values: list[str]) -> str:
        below = [(f"{score} <= {number(edge)}", value) for edge, value in zip(how.edges, values, strict=False)]
        return dialect.case([*below, (f"{score} IS NOT NULL", values[-1])])

    def end(sign: str) -> str:
        return by_range([f"{score} {sign} {number(reach)}" if math.isfinite(reach) else "NULL" for reach in how.reach])

    uncertain = by_range([dialect.true if reach >= how.blind else dialect.false for reach in how.reach])
    return {"uncertain": uncertain, "low": end("-"), "high": end("+")}


def _of_classes(model: Model, how: Sets, chances: tuple[str, ...], dialect: Dialect) -> dict[str, str]:
    likely = [f"{chance} >= {dialect.number(least)}" for chance, least in zip(chances, how.least, strict=True)]
    count = " + ".join(dialect.case([(each, "1")], "0") for each in likely)
    named = [
        dialect.case([(each, dialect.text(json.dumps(label, ensure_ascii=False)))])
        for each, label in zip(likely, model.classes, strict=True)
    ]
    return {
        "uncertain": dialect.case([(f"{count} <> 1", dialect.true)], dialect.false),
        "possible": f"concat('[', concat_ws(', ', {', '.join(named)}), ']')",
    }
