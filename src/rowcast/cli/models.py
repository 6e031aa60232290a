"""Commands about model versions: models, models show, sql, verify, sign, export and import."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import App, Parameter

from rowcast import report
from rowcast.api import Job
from rowcast.cli.app import COMMON, AsOf, Common, Json, VersionNumber, app, quiet_job, write_page
from rowcast.cli.terminal import AGAIN, finish, log_to_file

if TYPE_CHECKING:
    from rowcast.store.registry import Version

versions = App(name="models", help="Model versions, and who decided what about them.")
app.command(versions)


@versions.default
def models(*, json: Json = False, common: Common = COMMON) -> int:
    """Model versions, and who decided what about them."""
    from rowcast.messages.decisions import name_outcome

    with quiet_job(common) as job:
        found, decisions = job.models(), job.decisions()
        shadow = {each.role: str(each) for each in job.shadow()}
    if json:
        models = [vars(version) for version in found]
        report.show(
            report.as_json({"models": models, "promotions": [made.to_dict() for made in decisions], "shadow": shadow})
        )
        return 0
    if not found:
        report.show("no model yet: 'rowcast retrain' trains the first")
        return 0
    rows = [
        {
            **vars(version),
            "version": f"v{version.version}",
            "kind": version.metrics.get("candidate", version.estimator),
            "features": len(version.features),
            "auc": version.metrics.get("auc"),
            "95 %": _interval(version.metrics),
            "cost/row": version.metrics.get("cost_per_row"),
            "of rows": _judged_on(version),
        }
        for version in found
    ]
    report.show(report.table(rows, _VERSION))
    if len(found) > 1:
        report.show(_NOT_COMPARABLE)
    report.show()
    if shadow:
        report.show(f"{report.facts(shadow)}\n")
    rows = [
        {**made.to_dict(), "version": f"v{made.version}", "decision": name_outcome(made.outcome)} for made in decisions
    ]
    report.show(report.table(rows, ["version", "decision", "decided_at", "decided_by", "reason"]))
    return 0


_VERSION = (
    "version",
    "status",
    "kind",
    "created_at",
    "trained_to",
    "rows",
    "features",
    "auc",
    "95 %",
    "cost/row",
    "of rows",
)

_NOT_COMPARABLE = (
    "auc and cost/row of each version are of rows of its own ('of rows'): they do not say which version is better.\n"
    "The decisions below compare two versions on the same rows."
)


def _judged_on(version: "Version") -> str:
    """The rows that the figures of a version are of: the latest that it was trained on, each judged out of fold."""
    rows = version.metrics.get("rows_out_of_fold")
    if rows is None:
        return "-"
    return f"{rows:,}" + (f" up to {version.trained_to:%Y-%m-%d}" if version.trained_to else "")


def _interval(metrics: dict[str, Any]) -> str:
    low, high = metrics.get("auc_low"), metrics.get("auc_high")
    return f"{low:.3f} to {high:.3f}" if low is not None and high is not None else "-"


@versions.command
def show(
    version: VersionNumber | None = None,
    /,
    *,
    html: Annotated[Path | None, Parameter(help="Write the card as one HTML file, with pictures.")] = None,
    json: Json = False,
    common: Common = COMMON,
) -> int:
    """The card of a model version, by default the champion's: how good it is, what it costs, its caveats."""
    found = quiet_job(common).card(version)
    if html is not None:
        from rowcast.card.html import page

        write_page(html, page(found))
    if json:
        from rowcast.card.text import as_dict

        report.show(report.as_json(as_dict(found)))
    elif html is not None:
        report.show(f"wrote {html}")
    else:
        from rowcast.card.text import summary

        report.show(summary(found))
    return 0


@versions.command
def sql(
    version: VersionNumber | None = None,
    /,
    *,
    dialect: Annotated[
        Literal["mssql", "postgresql", "sqlite", "bigquery", "snowflake", "databricks"] | None,
        Parameter(help="The system that is to run it; default: the source's own."),
    ] = None,
    common: Common = COMMON,
) -> int:
    """A model version, by default the champion, as one SELECT over the source: key, score, decision.

    Example: rowcast models sql v3 --dialect mssql > score.sql
    """
    report.show(quiet_job(common).sql(version, dialect=dialect))
    return 0


@versions.command
def verify(*, json: Json = False, common: Common = COMMON) -> int:
    """Whether each version is as it was saved, and signed by a key of ROWCAST_SIGNING_KEY; exit 1 where one is not."""
    found = quiet_job(common).verify_models()
    rows = [
        {
            "version": f"v{each.version}",
            "bytes": "as saved" if each.intact else "CHANGED",
            "signature": str(each.signature),
            "may_be_loaded": each.is_trusted,
        }
        for each in found
    ]
    if json:
        report.show(report.as_json([{**vars(each), "is_trusted": each.is_trusted} for each in found]))
    else:
        report.show(report.table(rows, ("version", "bytes", "signature", "may_be_loaded")))
    return 0 if all(each.is_trusted for each in found) else 1


@versions.command
def sign(version: VersionNumber, /, *, common: Common = COMMON) -> int:
    """Sign a version that you trust, as it is stored, by the first key of ROWCAST_SIGNING_KEY."""
    quiet_job(common).sign_model(version)
    report.show(f"v{version} is signed")
    return 0


@versions.command
def export(
    version: VersionNumber | None = None,
    /,
    *,
    mlflow: Annotated[Path, Parameter(help="The folder to write, which is not there yet.")],
    common: Common = COMMON,
) -> int:
    """Write a version, by default the champion, as an MLflow model, without pickle.

    Example: rowcast models export v3 --mlflow model
    """
    number = quiet_job(common).export_model(mlflow, version)
    report.show(f"wrote v{number} to {mlflow}: mlflow.pyfunc.load_model('{mlflow}')")
    return 0


@versions.command(name="import")
def import_(
    file: Path,
    /,
    *,
    trained_to: Annotated[
        str, Parameter(help="The event time of the newest row that it was fitted on: only later ones judge it.")
    ],
    as_of: AsOf = None,
    common: Common = COMMON,
) -> int:
    """Take a model that was fitted elsewhere as a challenger: calibrate it on later rows, and let the gate decide.

    Parameters
    ----------
    file
        LightGBM's text, or scikit-learn by skops. A pickle is refused.
    """
    settings = common.settings()
    with log_to_file(settings, common, AGAIN):
        return finish(Job(settings).import_model(file, trained_to=trained_to, as_of=as_of))
