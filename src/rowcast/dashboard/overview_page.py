"""The overview: every job, what needs a person first."""

from collections.abc import Sequence
from dataclasses import dataclass

from rowcast.dashboard import words
from rowcast.dashboard.cache import BeingRead
from rowcast.dashboard.frame import Viewer, badge, link, moment, page, section
from rowcast.dashboard.looks import DAYS, Look, Parts
from rowcast.dashboard.pictures import draw_activity
from rowcast.drawing.markup import Markup, element, join
from rowcast.drawing.parts import table
from rowcast.formatting import count, number
from rowcast.store.reading.other_jobs import OtherJob


@dataclass(frozen=True)
class Unread:
    """A job that cannot be read, and why."""

    name: str
    what: str
    hint: str


def overview_page(
    looks: Sequence[tuple[Look, Parts]], unread: Sequence[Unread], others: Sequence[OtherJob], viewer: Viewer
) -> str:
    """Return the page."""
    needing = [each for each in looks if words.state_of(*each)[1] != "good"]
    total = len(looks) + len(unread)
    said = f"{len(needing) + len(unread)} of {words.count(total, 'job')} to look at." if total else ""
    if total and not needing and not unread:
        said = "All is well: nothing needs a person."
    cards = [_unread(each) for each in unread]
    ranked = sorted(looks, key=lambda each: words.rank(*each))
    cards += [_job(look, parts, f"activity-{place}") for place, (look, parts) in enumerate(ranked)]
    return page(
        "Jobs",
        viewer,
        element("div", element("h1", "Jobs"), element("p", said, class_="lead"), class_="opening"),
        element("ul", *(element("li", card) for card in cards), class_="jobs") if cards else None,
        _others(others) if others else None,
    )


def _others(others: Sequence[OtherJob]) -> Markup:
    rows = [
        [
            each.name,
            each.source,
            "none" if each.champion is None else f"v{each.champion}",
            badge(str(each.last_run.status), words.state_of_status(each.last_run.status)) if each.last_run else "none",
            moment(each.last_run.started_at) if each.last_run else "",
            join([badge(f"{len(each.standing)} to look at", "warn"), f" {each.standing[0].title}"])
            if each.standing
            else "",
        ]
        for each in others
    ]
    said = "Their rows cannot be counted here: name their rowcast.toml too, as in "
    return section(
        "others",
        "Other jobs in the same store",
        element("p", said, element("code", "rowcast dashboard jobs/*.toml"), ".", class_="soft"),
        table(["job", "rows of", "champion", "last run", "started", "alerts"], rows),
    )


def _unread(job: Unread) -> Markup:
    return element(
        "article",
        element("h2", element("a", job.name, href=link(job.name)), " ", badge("cannot be read", "bad")),
        element("p", job.what),
        element("p", job.hint, class_="soft") if job.hint else None,
        class_="job bad",
    )


def _job(look: Look, parts: Parts, name: str) -> Markup:
    text, state = words.state_of(look, parts)
    needs = [element("li", need) for need in look.needs]
    return element(
        "article",
        element(
            "div",
            element("h2", element("a", look.name, href=link(look.name)), " ", badge(text, state)),
            element("p", f"Rows of {look.source}", class_="soft clip"),
            element("ul", *needs, class_="needs") if needs else None,
            class_="job-head",
        ),
        element("dl", *_facts(look, parts), class_="job-facts"),
        element(
            "figure",
            draw_activity(look, name) if look.activity else None,
            element("figcaption", _describe_activity(look)),
        ),
        class_=f"job {state}",
    )


def _describe_activity(look: Look) -> str:
    if not look.activity:
        return "No row has been scored yet."
    return f"Rows scored each day, {words.describe_window(look.until, DAYS)}"


def _facts(look: Look, parts: Parts) -> list[Markup]:
    found = [
        ("Last run", *_last_run(look)),
        ("Pending", *_pending(parts)),
        ("Champion", *_champion(look)),
        ("Cost per row", *_cost(parts)),
    ]
    return [
        element(
            "div",
            element("dt", name),
            element("dd", value, element("span", about, class_="soft") if about is not None else None),
        )
        for name, value, about in found
    ]


def _last_run(look: Look) -> tuple[object, object]:
    run, failed = look.last_run, words.failed_runs(look)
    if run is None:
        return "none yet", None
    about = [words.age(run.started_at, look.read_at)]
    if failed:
        about.append(f"{len(failed)} of {len(look.runs)} not done")
    return badge(str(run.status), words.state_of_status(run.status)), ", ".join(about)


def _pending(parts: Parts) -> tuple[object, object]:
    rows = parts.rows
    if isinstance(rows, BeingRead):
        return "…", words.describe_reading(rows)
    about = [] if rows.oldest is None else [f"oldest {words.ago(rows.oldest)}"]
    if rows.quarantined:
        about.append(f"{rows.quarantined:,} quarantined")
    return count(rows.pending, "row"), ", ".join(about) or None


def _champion(look: Look) -> tuple[object, object]:
    champion, service = look.champion, look.service
    if champion is None:
        return "none yet", "'rowcast run' trains the first"
    return f"v{champion.version}", None if service is None else element("span", "since ", moment(service.since))


def _cost(parts: Parts) -> tuple[object, object]:
    if isinstance(parts.quality, BeingRead):
        return "…", words.describe_reading(parts.quality)
    found = words.costs(parts.quality)
    if found is None:
        return "not known", "until labels come"
    how, cost, beside = found
    about = [how, *(f"{number(value)} if {name} flagged" for name, value in beside.items())]
    return number(cost), "; ".join(about)
