"""Pages without a job: to log in, and to say what is wrong."""

from rowcast.dashboard.frame import ROOT, Viewer, page
from rowcast.drawing.markup import element


def login_page(after: str, problem: str = "", *, is_alone: bool = False) -> str:
    """Return the page that asks for a key; `after` is where a login leads, `is_alone` says where links come from."""
    return page(
        "Log in",
        Viewer(),
        element(
            "section",
            element("h1", "Log in"),
            element("p", problem, class_="alert bad", role="alert") if problem else None,
            element(
                "form",
                element("label", "API key", for_="key"),
                element("input", id="key", name="key", type="password", required="required", autocomplete="off"),
                element("input", type="hidden", name="next", value=after),
                element("button", "Log in", type="submit"),
                method="post",
                action=f"{ROOT}/login",
                class_="login",
            ),
            element("p", "A key with the scope read or operate: ",
                    element("code", "rowcast keys create NAME --scope read"), class_="soft"),
            element("p", "Or the link that ", element("code", "rowcast dashboard"), " prints: it is good once, for a "
                    "quarter of an hour.", class_="soft") if is_alone else None,
            class_="narrow",
        ),
        crumbs=[("Log in", None)],
    )  # fmt: skip


def problem_page(heading: str, what: str, hint: str, viewer: Viewer) -> str:
    """Return a page that says what is wrong, and the way out."""
    return page(
        heading,
        viewer,
        element(
            "section",
            element("h1", heading),
            element("p", what),
            element("p", hint, class_="soft") if hint else None,
            class_="narrow",
        ),
        crumbs=[(heading, None)],
    )
