"""Commands about where the store is: store copy."""

from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

from rowcast import report
from rowcast.api import Job
from rowcast.cli.app import COMMON, Common, Json, app
from rowcast.cli.terminal import AGAIN, log_to_file
from rowcast.config import expand_variables
from rowcast.config.database_url import find_passwords

if TYPE_CHECKING:
    from rowcast.store_copy import StoreCopy

store = App(name="store", help="The database that holds rowcast's own tables.")
app.command(store)


@store.command
def copy(
    *,
    to: Annotated[
        str,
        Parameter(help="The other database, or '${VARIABLE}', which keeps a password out of the list of processes."),
    ],
    dry_run: Annotated[bool, Parameter(negative="", help="Say what would be copied, and write nothing.")] = False,
    json: Json = False,
    common: Common = COMMON,
) -> int:
    """Copy what the store holds of a job to another database: rowcast store copy --to '${NEW_STORE_URL}'.

    The store itself stays as it is. Each row is read back and held against it before any is believed.
    """
    url = expand_variables(to, "--to")
    job = Job(common.settings())
    with log_to_file(job.settings, common, AGAIN, doing="copying", secrets=find_passwords(url)) as progress:
        made = job.preview_store_copy(to=url) if dry_run else job.copy_store(to=url, progress=progress)
    if json:
        report.show(report.as_json(made.to_dict()))
    else:
        _describe(made, to)
    return 0


def _describe(made: "StoreCopy", typed: str) -> None:
    report.show(
        report.table([{"table": name, "rows": f"{rows:,}"} for name, rows in made.rows.items()], ("table", "rows"))
    )
    total = f"{sum(made.rows.values()):,} rows of job '{made.job}' from {made.origin} to {made.copy}"
    if not made.done:
        report.show(f"would copy {total}; nothing was written")
        return
    report.show(f"copied {total}; each was read back and is as it was")
    steps = [
        "see that nothing runs with the old rowcast.toml any more: what it scored would be scored here once more",
        f'in rowcast.toml, under [store]: url = "{typed if "${" in typed else made.copy}"',
        "rowcast audit --full",
        f"keep {made.origin} as it is until you are content; then drop the job's tables there",
    ]
    for number, step in enumerate(steps, 1):
        report.show(f"  {number}. {step}")
