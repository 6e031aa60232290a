"""The command that shows how good predictions are: quality."""

from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter, validators

from rowcast import report
from rowcast.cli.app import COMMON, AsOf, Common, Json, app, describe_newest, quiet_job

if TYPE_CHECKING:
    from rowcast.monitor.quality import Figure
    from rowcast.watch.quality import Part, Quality

_FIGURES = {
    "binary": ("cost_per_row", "precision", "recall"),
    "multiclass": ("cost_per_row", "accuracy"),
    "regression": ("cost_per_row",),
}


@app.command
def quality(
    *,
    days: Annotated[
        int, Parameter(help="How many days of scoring to look at.", validator=validators.Number(gte=1))
    ] = 30,
    as_of: AsOf = None,
    json: Json = False,
    common: Common = COMMON,
) -> int:
    """How good the predictions are: estimated without labels, beside what came once labels were known."""
    from rowcast.messages.forgotten import describe_forgotten
    from rowcast.messages.online import describe_skew
    from rowcast.monitor.quality import CANNOT_SEE

    found = quiet_job(common).quality(days=days, as_of=as_of)
    if json:
        report.show(report.as_json(found.to_dict()))
    elif not found.versions:
        report.show(f"no version scored a row in the {days} days before {found.as_of:%Y-%m-%d %H:%M} UTC;")
        report.show("--days looks further back, --as-of at another moment")
    else:
        if found.is_newest:
            report.show(describe_newest(found.as_of, days), end="\n\n")
        report.show("\n\n".join([*(_describe(each) for each in found.versions), CANNOT_SEE]))
    if found.online is not None and not json:
        report.show(f"\n{describe_skew(found.online)}")
    if found.forgotten_until is not None and not json:
        report.show(f"\n{describe_forgotten(found.forgotten_until)}")
    return 0


def _describe(found: "Quality") -> str:
    """A version's table, and what its estimate is worth, for people."""
    names = _FIGURES[found.kind]
    columns = ["scored on", "rows", "labelled", *([] if found.kind == "regression" else ["flagged_share"])]
    for name in names:
        columns += [name] if found.kind == "regression" else [f"{name} est.", name]
    rows = [_row(part, names) for part in (found.whole, *found.days)]
    return f"v{found.version}\n{report.table(rows, columns)}\n{report.facts(_about(found))}"


def _row(part: "Part", names: tuple[str, ...]) -> dict[str, Any]:
    row: dict[str, Any] = {"scored on": str(part.day or "all"), "rows": part.rows, "labelled": part.labelled}
    row["flagged_share"] = _figure(part.flagged)
    for name in names:
        row[f"{name} est."] = _figure(part.estimated.get(name))
        row[name] = _figure(part.realised.get(name))
    return row


def _figure(figure: "Figure | None") -> str:
    from rowcast.formatting import number

    if figure is None:
        return "-"
    if figure.low is None or figure.high is None:
        return number(figure.value)
    return f"{number(figure.value)} ({number(figure.low)} to {number(figure.high)})"


def _about(found: "Quality") -> dict[str, str]:
    """Promise, track record and what became of the estimate, in words."""
    from rowcast.formatting import count, number, percent
    from rowcast.messages.cost import describe_excess, describe_withheld

    about: dict[str, str] = {}
    if found.expected_cost is not None:
        expected = found.expected_cost
        about["promised"] = f"{number(expected.cost)} per row out of fold, at most {number(expected.high)}"
    record = found.track
    if found.kind == "regression":
        about["estimate"] = "none: a regression has no probability to estimate from"
    elif record.is_withheld:
        about["estimate"] = f"withheld: {describe_withheld(record)}"
    elif record.difference is not None:
        held = ", ".join(f"{name} {percent(share)}" for name, share in found.held.items())
        about["estimate"] = (
            f"over {count(record.days, 'day')} of events with labels ({record.rows:,} rows) "
            f"{number(abs(record.difference))} per row too {'high' if record.difference > 0 else 'low'}; "
            f"days of scoring on which its interval held: {held}"
        )
    else:
        about["estimate"] = "without a track record: no label is known yet"
    if found.loss:
        about["loss"] = describe_excess(found.loss)
    return about
