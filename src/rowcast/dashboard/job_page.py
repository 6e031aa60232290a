"""A job's page: is it working, what to look at now, and why."""

from collections.abc import Sequence
from datetime import timedelta
from functools import partial

from rowcast.charts.page import excerpt
from rowcast.dashboard import words
from rowcast.dashboard.act_page import link_act
from rowcast.dashboard.acts import Kind
from rowcast.dashboard.cache import BeingRead
from rowcast.dashboard.chart_page import link_chart
from rowcast.dashboard.frame import Viewer, badge, link, link_version, moment, page, section, tile
from rowcast.dashboard.looks import LEADING_DAYS, LeadingRow, Look, Parts
from rowcast.dashboard.pictures import draw_cost
from rowcast.drawing.markup import Markup, element, join
from rowcast.drawing.parts import compact_table, fold, picture, table
from rowcast.formatting import number, percent
from rowcast.messages.decisions import name_outcome
from rowcast.row_places import RowPlaces
from rowcast.store.alert_record import Alert
from rowcast.store.records import DecisionRecord, RunRecord, VersionStatus
from rowcast.store.registry import Version

_SEVERITIES = {"error": "bad", "warning": "warn", "info": "quiet"}
_OLD = timedelta(days=2)  # since rows were scored last, from which on that is said
_FIRST = 5  # decisions and versions that are not folded away


def job_page(look: Look, read: Parts, viewer: Viewer) -> str:
    """Return the page."""
    parts = [
        section("now", "What to look at now", *_now(look, viewer)),
        section("working", "Is it working?", *_working(look, read)),
        section("rows", "Highest-scoring rows", *_leading(look), *_set_aside(look, read, viewer)),
        section("cost", "Cost and quality", *_cost(look, read)),
        section("charts", "Control charts", *_charts(look, read)),
        section("versions", "Versions and decisions", *_versions(look, viewer)),
        section("runs", "Runs", *_runs(look)),
    ]
    links = [("now", "Now"), ("working", "Working"), ("rows", "Rows"), ("cost", "Cost")]
    links += [("charts", "Charts"), ("versions", "Versions"), ("runs", "Runs")]
    inner = [element("a", text, href=f"#{name}") for name, text in links]
    further = [
        element("a", "All charts", href=link(look.name, "charts")),
        element("a", "Drift by column", href=link(look.name, "drift")),
    ]
    return page(
        look.name,
        viewer,
        _opening(look, read, viewer),
        element("nav", *inner, *further, aria_label="Sections", class_="sections"),
        *parts,
        crumbs=[(look.name, None)],
    )


def _opening(look: Look, read: Parts, viewer: Viewer) -> Markup:
    text, state = words.state_of(look, read)
    champion, service, run = look.champion, look.service, look.last_run
    return element(
        "header",
        element("h1", look.name, " ", badge(text, state)),
        element("p", f"Rows of {look.source}, as of ", moment(look.read_at), *_newest(look), class_="soft"),
        element(
            "div",
            _pending_tile(read),
            tile(
                "Champion",
                link_version(look.name, champion.version) if champion else "none",
                element(
                    "span",
                    "since ",
                    moment(service.since),
                    f", {words.age(service.since, look.read_at)}, {service.outcome} by {service.decided_by}",
                )
                if service
                else "'rowcast run' trains the first",
                state="" if champion else "bad",
            ),
            _cost_tile(read),
            tile(
                "Last run",
                str(run.status) if run else "none",
                element("span", f"{run.pipeline}, ", words.age(run.started_at, look.read_at)) if run else None,
                link_act(look.name, Kind.RUN, "Start a run") if viewer.may_act else None,
                state=words.state_of_status(run.status) if run else "",
            ),
            class_="tiles",
        ),
    )


def _newest(look: Look) -> list[object]:
    """As of when rows were scored last, where that is some days ago."""
    last = max((run.as_of for run in look.activity if run.scored), default=None)
    if last is None or look.read_at - last < _OLD:
        return []
    return [". The newest rows were scored as of ", moment(last), f", {words.age(last, look.read_at)}"]


def _pending_tile(read: Parts) -> Markup:
    rows = read.rows
    if isinstance(rows, BeingRead):
        return tile("Pending", "…", words.describe_reading(rows))
    if rows.oldest is not None:
        about = f"the oldest for {words.ago(rows.oldest)}"
    else:
        about = "rows wait to be scored" if rows.pending else "every row in scope has its result"
    return tile("Pending", f"{rows.pending:,}", about, state="" if rows.oldest is None else "warn")


def _cost_tile(read: Parts) -> Markup:
    if isinstance(read.quality, BeingRead):
        return tile("Cost per row", "…", words.describe_reading(read.quality))
    found = words.costs(read.quality)
    if found is None:
        return tile("Cost per row", "–", "not known until labels come")
    how, cost, beside = found
    flagged = [
        f"{number(value)} if {'no row' if name == 'none' else 'every row'} were flagged"
        for name, value in beside.items()
    ]
    window = words.describe_window(read.quality.as_of, read.quality.days)
    return tile(f"Cost per row, {how}", number(cost), *flagged, window)


def _now(look: Look, viewer: Viewer) -> list[Markup]:
    found = [_alert(alert, look, viewer) for alert in look.standing]
    if look.other_needs:
        found.append(element("ul", *(element("li", need) for need in look.other_needs), class_="needs"))
    if not found:
        found.append(element("p", badge("all well", "good"), " No alert stands and nothing needs a person."))
    by_column = element("a", "Drift by column", href=link(look.name, "drift"))
    if look.drifting:
        columns = [
            [element("a", element("code", name), href=link(look.name, "column", name=name)), " "]
            for name in look.drifting
        ]
        found.append(
            element("p", "What drifts, by day and group: ", *(part for each in columns for part in each), by_column)
        )
    elif look.drift:
        found.append(element("p", f"Drift: {look.drift}. ", by_column, class_="soft"))
    return found


def _alert(alert: Alert, look: Look, viewer: Viewer) -> Markup:
    return element(
        "article",
        element("h3", badge(alert.severity, _SEVERITIES[alert.severity]), " ", alert.title),
        element("p", alert.what),
        element("p", "Since ", moment(alert.since), f", {words.age(alert.since, look.read_at)}", class_="soft"),
        element("p", element("strong", "Next: "), alert.hint) if alert.hint else None,
        element("p", element("code", alert.command), class_="soft") if alert.command else None,
        _seen(alert, look, viewer),
        class_=f"alert {_SEVERITIES[alert.severity]}",
    )


def _seen(alert: Alert, look: Look, viewer: Viewer) -> Markup | None:
    made = alert.acknowledged
    if made is not None:
        by = element("p", badge("acknowledged", "quiet"), f" by {made.by}, ", moment(made.at),
                     f", {words.age(made.at, look.read_at)}", class_="soft")  # fmt: skip
        return element("div", by, element("blockquote", made.note))
    if not viewer.may_act:
        return None
    return element("p", link_act(look.name, Kind.ACKNOWLEDGE, "Acknowledge", str(alert.alert_id)))


def _working(look: Look, read: Parts) -> list[Markup | None]:
    failed = words.failed_runs(look)
    unusual = [step for step in look.steps if step.unusual]
    said = "All of the newest runs did all that they had to." if look.runs else "Nothing has run yet."
    if failed:
        said = f"{len(failed)} of the newest {len(look.runs)} runs did not do all."
    return [
        element("p", said),
        element("ul", *(element("li", f"{each.name}: {each.unusual}") for each in unusual), class_="needs")
        if unusual
        else None,
        element("div", element("div", *_proof(look, read)), element("div", _places(read.rows)), class_="pair"),
    ]


def _proof(look: Look, read: Parts) -> list[Markup]:
    where = link(look.name, "audit")
    if read.audit is None:
        said = "Whether every row of the source is in just one place has not been proven since the service began. "
        return [element("p", said, element("a", "Prove it now", href=where))]
    at, found = read.audit
    sign = badge("it holds", "good") if found.holds else badge("it does not hold", "bad")
    when = ["Proven ", moment(at), ". ", element("a", "The proof", href=where)]
    return [element("p", "Every row of the source is in just one place: ", sign), element("p", *when, class_="soft")]


def _places(rows: RowPlaces | BeingRead) -> Markup:
    if isinstance(rows, BeingRead):
        return element("p", f"The rows. {words.describe_reading(rows)}", class_="soft")
    named = [
        ("rows in the source", rows.source),
        ("unusable: key or time missing or repeated", rows.unusable),
        ("out of scope", rows.out_of_scope),
        ("scored", rows.scored),
        ("quarantined", rows.quarantined),
        *([("forgotten", rows.forgotten)] if rows.forgotten else []),
        ("pending", rows.pending),
    ]
    shares = [[name, f"{many:,}", percent(many / max(rows.source, 1))] for name, many in named]
    when = element("p", "Counted ", moment(rows.counted_at), ".", class_="soft")
    return join([table(["", "rows", "share"], shares, (1, 2)), when])


def _leading(look: Look) -> list[Markup]:
    if not look.leading:
        return [element("p", "No row has been scored yet.", class_="soft"), _search(look)]
    about = (
        f"Of runs in the {LEADING_DAYS} days to {look.until:%Y-%m-%d}. A reason is a column that moved the score, with "
        "its value, what is usual (the middle nine in ten of the training rows), and by how much it moved it. "
        f"{words.ODDS if look.has_classes else ''}"
    )
    found = [element("p", about, class_="soft"), _row_table(look, look.leading), _search(look)]
    if look.uncertain:
        found += [
            element("h3", "Uncertain rows: their labels teach the model most"),
            element("p", "The model says too little of these to decide on.", class_="soft"),
            _row_table(look, look.uncertain),
        ]
    return found


def _row_table(look: Look, rows: Sequence[LeadingRow]) -> Markup:
    headings = [", ".join(look.key), "score", "predicted", "why: column, value, what is usual"]
    return table(headings, [_leading_row(look, row) for row in rows], (1,))


def _set_aside(look: Look, read: Parts, viewer: Viewer) -> list[Markup]:
    if isinstance(read.set_aside, BeingRead):
        return [element("p", f"Quarantined rows. {words.describe_reading(read.set_aside)}", class_="soft")]
    if not read.set_aside:
        return []
    rows = [
        [
            element("code", each.column),
            each.rule,
            f"{each.rows:,}",
            element("a", ", ".join(each.example), href=link(look.name, "row", key=each.example)),
            *([link_act(look.name, Kind.REQUEUE, "Requeue", f"{each.column}: {each.rule}")] if viewer.may_act else []),
        ]
        for each in read.set_aside
    ]
    way_out = "Once the values are right at the source, or the rule in rowcast.toml: "
    return [
        element("h3", "Quarantined rows, by the rule they broke"),
        table(["column", "rule", "rows", "the newest", *([""] if viewer.may_act else [])], rows, (2,)),
        element("p", way_out, element("code", "rowcast requeue"), " scores them.", class_="soft"),
    ]


def _charts(look: Look, read: Parts) -> list[Markup]:
    charts = read.charts
    if charts is None:
        return [element("p", "There are none, since [source] names no time.", class_="soft")]
    if isinstance(charts, BeingRead):
        return [element("p", words.describe_reading(charts), class_="soft")]
    where = link(look.name, "charts")
    if not charts.charts:
        said = f"No row whose event lies in the {charts.days} days to {charts.as_of:%Y-%m-%d} has been scored. "
        return [element("p", said, element("a", "All charts", href=where), class_="soft")]
    more = element("p", element("a", f"All {len(charts.charts):,} charts, by sensor and group", href=where))
    return [*excerpt(charts, where, partial(link_chart, look.name)), more]


def _leading_row(look: Look, row: LeadingRow) -> list[object]:
    reasons = [
        element("li", element("a", element("code", column), href=link(look.name, "column", name=column)),
                element("span", f" {value}"),
                element("span", f" usual {usual}", class_="soft"),
                element("span", f" {words.describe_push(moved, is_odds=look.has_classes)}", class_="soft"))
        for column, value, usual, moved in words.describe_reasons(row, 3)
    ]  # fmt: skip
    uncertain = [" ", badge("uncertain", "warn")] if row.is_uncertain else []
    return [
        element("a", ", ".join(row.key), href=link(look.name, "row", key=row.key)),
        words.describe_score(row.score, row.threshold),
        join([str(row.predicted), *uncertain]),
        element("ul", *reasons, class_="reasons") if reasons else "no reasons on record",
    ]


def _search(look: Look) -> Markup:
    fields = [
        element("label", name, " ", element("input", type="text", name="key", required="required")) for name in look.key
    ]
    button = element("button", "Look up a row", type="submit")
    return element("form", *fields, button, action=link(look.name, "row"), method="get", class_="search")


def _cost(look: Look, read: Parts) -> list[Markup]:
    if isinstance(read.quality, BeingRead):
        return [element("p", words.describe_reading(read.quality), class_="soft")]
    drawn = draw_cost(read.quality, look.decisions)
    found = []
    if drawn is not None:
        legend = "By the day of scoring. Blue: what was estimated without labels, with its 95 % interval. Orange: what "
        found.append(picture(drawn, legend + "labels showed. Green lines: another version came into service."))
    rows = []
    for each in read.quality.versions:
        part, names = each.whole, ("precision", "recall", "accuracy", "cost_per_row")
        for side, figures in (("estimated", part.estimated), ("realised", part.realised)):
            known = {name: figure for name, figure in figures.items() if name in names}
            if known:
                of = part.rows if side == "estimated" else part.labelled
                shares = [_share(known.get(name)) for name in names[:3]]
                cost = known.get("cost_per_row")
                shown = "-" if cost is None else number(cost.value)
                rows.append([link_version(look.name, each.version), side, f"{of:,}", *shares, shown])
        if part.estimated and not part.realised:
            rows.append([link_version(look.name, each.version), "realised", "no labels yet", "-", "-", "-", "-"])
    if rows:
        headings = ["version", "", "rows", "precision", "recall", "accuracy", "cost per row"]
        found.append(compact_table(headings, rows, range(2, 7)))
    if found:
        return [element("div", *(element("div", each) for each in found), class_="pair")]
    return [element("p", "Not known yet: nothing was scored, or no label has come.", class_="soft")]


def _share(figure: object) -> str:
    value = getattr(figure, "value", None)
    return "-" if value is None else percent(value)


def _versions(look: Look, viewer: Viewer) -> list[Markup]:
    if not look.versions:
        return [element("p", "There is no version yet: 'rowcast run' trains the first.", class_="soft")]
    rows = [
        [
            link_version(look.name, each.version),
            badge(each.status, "good" if each.status == "champion" else "quiet"),
            moment(each.created_at),
            f"{each.rows:,}",
            each.estimator,
            *([_decide(look, each)] if viewer.may_act else []),
        ]
        for each in look.versions
    ]
    headings = ["version", "state", "trained", "rows", "estimator", *([""] if viewer.may_act else [])]
    found = [table(headings, rows[:_FIRST], (3,))]
    if rows[_FIRST:]:
        found.append(fold(f"{len(rows) - _FIRST} more", table(headings, rows[_FIRST:], (3,))))
    made = [_decision(look.name, each) for each in look.decisions]
    if made:
        found.append(element("h3", "Decisions"))
        found.append(element("ol", *made[:_FIRST], class_="decisions"))
    if made[_FIRST:]:
        found.append(fold(f"{len(made) - _FIRST} earlier", element("ol", *made[_FIRST:], class_="decisions")))
    return found


def _decide(look: Look, version: Version) -> Markup | str:
    if version.status is not VersionStatus.CHAMPION:
        return link_act(look.name, Kind.PROMOTE, "Promote", str(version.version))
    has_before = any(made.previous not in (None, version.version) for made in look.decisions
                     if made.version == version.version and made.outcome.changes_champion)  # fmt: skip
    return link_act(look.name, Kind.ROLL_BACK, "Roll back") if has_before else ""


def _decision(job: str, made: DecisionRecord) -> Markup:
    is_new = made.outcome.changes_champion
    against: list[object] = []
    if made.previous is not None:
        other = link_version(job, made.previous)
        against = [", in place of ", other] if is_new else [", ", other, " stayed"]
    return element(
        "li",
        element("p", badge(name_outcome(made.outcome), "good" if is_new else "quiet"), " ",
                link_version(job, made.version), " ",
                element("span", moment(made.decided_at), f" by {made.decided_by}", *against, class_="soft")),
        element("p", made.reason),
    )  # fmt: skip


def _runs(look: Look) -> Sequence[Markup]:
    if not look.runs:
        return [element("p", "Nothing has run yet.", class_="soft")]
    rows = [[element("a", str(run.run_id), href=link(look.name, "runs", run.run_id)), *run_cells(run)]
            for run in look.runs]  # fmt: skip
    return [table(["run", "what", "state", "as of", "started", "seconds"], rows, (5,))]


def run_cells(run: RunRecord) -> list[object]:
    """Return what a table says of a run."""
    seconds = "-" if run.seconds is None else number(run.seconds)
    state = badge(str(run.status), words.state_of_status(run.status))
    return [str(run.pipeline), state, moment(run.as_of), moment(run.started_at), seconds]
