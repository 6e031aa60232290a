"""The pages on which a person acts: what will happen, and what has become of it."""

from collections.abc import Sequence
from statistics import median

from rowcast.dashboard import words
from rowcast.dashboard.acts import STARTED, Act, Done, Kind, Outlook
from rowcast.dashboard.background import Work
from rowcast.dashboard.frame import Crumb, Viewer, badge, link, moment, page
from rowcast.dashboard.looks import RunLook
from rowcast.drawing.markup import Markup, element
from rowcast.formatting import count
from rowcast.messages.decisions import name_outcome
from rowcast.row_places import RowPlaces

_WHAT = {"full-pipeline": "Retrain when due, then score", "infer": "Score what waits", "retrain": "Train a challenger"}


def name_act(act: Act) -> str:
    """Return what is done, as a heading and a button have it."""
    match act.kind:
        case Kind.PROMOTE:
            return f"Promote v{act.about}"
        case Kind.ROLL_BACK:
            return f"Roll back to v{act.about}"
        case Kind.REQUEUE:
            return f"Requeue rows that broke {act.about}"
        case Kind.ACKNOWLEDGE:
            return "Acknowledge the alert"
        case Kind.RUN:
            return f"Start: {_WHAT[act.about][0].lower()}{_WHAT[act.about][1:]}"


def link_act(job: str, kind: Kind, text: str, about: str = "") -> Markup:
    """Return a link to the page that asks whether it is to be done."""
    where = link(job, "act", kind, about=about) if about else link(job, "act", kind)
    return element("a", text, href=where, class_="act")


def confirm_page(job: str, found: Outlook, viewer: Viewer, rows: RowPlaces | None, note: str = "") -> str:
    """Return the page that says what will happen; `note` why it is shown once more."""
    name = name_act(found.act)
    content: list[Markup | None] = [element("h1", name)]
    if note:
        content.append(element("p", note, class_="alert warn", role="alert"))
    if found.done is not None:
        content += [element("p", badge("done already", "good"), " ", *_say_done(job, found.act, found.done))]
    else:
        content += [*_will(found, rows), _form(job, found, viewer)]
    return _narrow(name, job, content, viewer)


def done_page(job: str, act: Act, done: Done, viewer: Viewer) -> str:
    """Return the page that says that somebody else, or another tab, did it in the meantime."""
    content = [element("h1", name_act(act)),
               element("p", badge("done already", "good"), " ", *_say_done(job, act, done)),
               element("p", "Nothing was done a second time.")]  # fmt: skip
    return _narrow(name_act(act), job, content, viewer)


def work_page(work: Work, run: RunLook | None, viewer: Viewer, *, is_still: bool) -> str:
    """Return the page that follows an act; `is_still` where it does not renew itself."""
    name, is_over = name_act(work.act), work.ended.is_set()
    state = (
        badge("failed", "bad") if work.has_failed else badge("done", "good") if is_over else badge("under way", "quiet")
    )
    content: list[Markup | None] = [
        element("h1", name, " ", state),
        element("p", "Begun by ", element("strong", work.by), ", ", moment(work.begun_at), ".", class_="soft"),
    ]
    if work.has_failed:
        content.append(element("pre", work.said, class_="alert bad", role="alert"))
        content.append(element("p", work.hint, class_="soft") if work.hint else None)
    elif is_over:
        content.append(element("p", _say_after(work.act), role="status"))
    elif run is None:
        content.append(
            element("p", "It is beginning." if work.act.kind.takes_long else "It is being done.", role="status")
        )
    if run is not None:
        where = element("a", f"Run {run.run.run_id}", href=link(work.job, "runs", run.run.run_id))
        content.append(element("p", where, f": {run.run.status}"))
        if work.act.kind is Kind.RUN:
            content += [_steps(run), progress(run)]
    if not is_over:
        here = link(work.job, "acts", work.number)
        content.append(element("p", "You may leave this page. ", *_renewal(here, is_still), class_="soft"))
    content.append(element("p", element("a", "To the job's page", href=link(work.job))))
    return _narrow(name, work.job, content, viewer)


def _steps(found: RunLook) -> Markup | None:
    """The steps that are behind a run."""
    said = [
        f"{step.name}{'' if step.row_set == '-' else f' ({step.row_set})'}: {step.status}"
        + ("" if step.duration_s is None else f", {words.seconds(step.duration_s)}")
        for step in found.steps
    ]
    return element("ol", *(element("li", each) for each in said), class_="soft") if said else None


def progress(found: RunLook) -> Markup | None:
    """Return how far a run has come; None where there is nothing to tell."""
    if not found.planned:
        return None
    said = f"{found.published:,} of {count(found.planned, 'row')} published"
    bar = element("progress", value=found.published, max=found.planned, aria_label="Rows published")
    return element("p", bar, " ", element("span", said), role="status", class_="progress")


def _renewal(here: str, is_still: bool) -> list[Markup | str]:
    if is_still:
        return [element("a", "Renew it by itself", href=here)]
    return ["It renews itself every few seconds. ", element("a", "Keep it still", href=f"{here}?still=1")]


def _narrow(title: str, job: str, content: Sequence[Markup | None], viewer: Viewer) -> str:
    crumbs: list[Crumb] = [(job, link(job)), (title, None)]
    return page(f"{title}, {job}", viewer, element("section", *content, class_="narrow"), crumbs=crumbs)


def _say_done(job: str, act: Act, done: Done) -> list[Markup | str]:
    by = f" by {done.by}" if done.by else ""
    when: list[Markup | str] = [f"{by}, ", moment(done.at), "."]
    run = [] if done.run_id is None else [" ", element("a", f"Run {done.run_id}", href=link(job, "runs", done.run_id))]
    match act.kind:
        case Kind.PROMOTE | Kind.ROLL_BACK:
            return [f"v{act.about} is the champion, put in service", *when]
        case Kind.REQUEUE:
            return ["No quarantined row broke that rule any more; rows were last requeued", *when, *run]
        case Kind.ACKNOWLEDGE:
            return ["It was acknowledged", *when]
        case Kind.RUN:
            return ["A run of the same kind began since you looked", *when, *run]


def _say_after(act: Act) -> str:
    match act.kind:
        case Kind.PROMOTE | Kind.ROLL_BACK:
            return f"v{act.about} is the champion."
        case Kind.REQUEUE:
            return "The rows are pending again: the next run scores them."
        case Kind.ACKNOWLEDGE:
            return "Your note stands beside the alert."
        case Kind.RUN:
            return "The run has ended."


def _will(found: Outlook, rows: RowPlaces | None) -> list[Markup | None]:
    match found.act.kind:
        case Kind.PROMOTE | Kind.ROLL_BACK:
            return _will_serve(found)
        case Kind.REQUEUE:
            return [
                element("p", f"{count(found.rows or 0, 'quarantined row')} that broke ",
                        element("code", found.act.about), " will be pending again, but for those whose label is "
                        "known by now and could be learned from."),
                element("p", "The next run scores them; those that still break a rule are set aside again. It is "
                             "recorded as a run of its own, with your name."),
            ]  # fmt: skip
        case Kind.ACKNOWLEDGE:
            alert = found.alert
            assert alert is not None
            return [
                element("blockquote", element("p", element("strong", alert.title)), element("p", alert.what)),
                element("p", "Your name and your note will stand beside the alert, for everybody who looks. It stands "
                             "until what it tells of is over; if it changes, it has to be acknowledged anew."),
            ]  # fmt: skip
        case Kind.RUN:
            return _will_run(found, rows)


def _will_serve(found: Outlook) -> list[Markup | None]:
    version = found.act.about
    before = f"in place of v{found.champion}" if found.champion is not None else "as the first champion"
    undo = f" 'Roll back' then puts v{found.champion} back." if found.champion is not None else ""
    made = found.decision
    return [
        element("p", f"v{version} will be the champion, {before}. The next run scores with it, and the HTTP service "
                     "takes it up within seconds. Rows that are scored already keep their scores."),
        element("p", f"Rows without a score that v{found.champion} could learn from are pending where v{version} could "
                     f"not: the next run scores them. Pending rows that v{version} could learn from are left to "
                     "training.") if found.champion is not None else None,
        element("p", f"It is recorded with your name and your reason, and an alert says so.{undo}"),
        element("p", f"The newest decision about v{version}: {name_outcome(made.outcome)}, ", moment(made.decided_at),
                f" by {made.decided_by}. {made.reason}", class_="soft") if made is not None
        else element("p", f"Nothing was decided about v{version} yet.", class_="soft"),
    ]  # fmt: skip


def _will_run(found: Outlook, rows: RowPlaces | None) -> list[Markup | None]:
    others = [element("li", element("a", _WHAT[each], href=link_of_run)) for each in STARTED
              if each != found.act.about and (link_of_run := f"?about={each}")]  # fmt: skip
    does = {
        "full-pipeline": "A challenger is trained where that is due, and the gate decides on it. Then every pending "
        "row is scored.",
        "infer": "Every pending row is scored with the champion. Nothing is trained.",
        "retrain": "A challenger is trained on every row with a known label, due or not, and the gate decides whether "
        "it serves. Nothing is scored.",
    }[found.act.about]
    waited = None
    if rows is not None and found.act.about != "retrain":
        waited = element("p", f"{count(rows.pending, 'row')} waited, ", moment(rows.counted_at), ".")
    took = f" The last such runs took {words.seconds(median(found.seconds))}." if found.seconds else ""
    busy = None
    if found.running is not None:
        run = found.running
        busy = element("p", f"Run {run.run_id} ({run.pipeline}) is under way since ", moment(run.started_at),
                       ": this one takes what that leaves.", class_="alert warn")  # fmt: skip
    return [
        busy,
        element("p", does),
        waited,
        element("p", f"It goes on in the background, on the computer of this service, and is recorded with your name."
                     f"{took}"),
        element("p", "Or:", class_="soft"),
        element("ul", *others),
    ]  # fmt: skip


def _form(job: str, found: Outlook, viewer: Viewer) -> Markup:
    act = found.act
    label = "What is done about it" if act.kind is Kind.ACKNOWLEDGE else "Why, for the record"
    fields: list[Markup] = []
    if act.kind.needs_words:
        fields = [
            element("label", label, for_="words"),
            element("textarea", id="words", name="words", rows=3, required="required", maxlength=1000),
        ]
    return element(
        "form",
        *fields,
        element("input", type="hidden", name="token", value=viewer.form_token),
        element("input", type="hidden", name="seen", value=found.seen),
        element(
            "p",
            element(
                "button", name_act(act).partition(":")[0] if act.kind is Kind.RUN else name_act(act), type="submit"
            ),
            " ",
            element("a", "Cancel", href=link(job)),
        ),
        method="post",
        action=link(job, "act", act.kind, about=act.about),
        class_="confirm",
    )
