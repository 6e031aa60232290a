"""The dashboard in a browser: nothing runs, nothing leaves the host, everything fits, and axe-core finds no fault."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from asked import Asked, listening
from jobs import Job

import rowcast
from rowcast.dashboard.dashboard import Dashboard
from rowcast.serve.application import Application

pytest_plugins = ("job_fixtures",)

playwright = pytest.importorskip("playwright.sync_api", reason="make test-browser installs Playwright and axe-core")
axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="make test-browser installs axe-core")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium: apt-get install chromium")

FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
FLAGS += ["--disable-sync"]
PAGES = ["", "/jobs/wafers", "/jobs/wafers/charts", "/jobs/wafers/drift", "/jobs/wafers/versions/1"]
PAGES += ["/jobs/wafers/runs/1", "/login", "/jobs/none"]
WIDTHS = [360, 1440]


def scored(make: Callable[..., Job]) -> Job:
    """A job that has scored what waited, and whose names try to be more than text."""
    job = make("sqlite", "trained")
    job.ok("infer")
    evil = "<script>window.ran = 1</script><img src=http://evil.example/x onerror=window.ran=1>"
    job.stored(f"UPDATE {job.table('promotion')} SET reason = reason || '{evil}', decided_by = '{evil}'")
    job.stored(f"UPDATE {job.table('run')} SET error = '{evil}'")
    return job


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@contextmanager
def serving(job: Job) -> Iterator[str]:
    asked = Asked(job)
    asked.application.close()
    asked.application = Application(asked.jobs, pages=Dashboard(asked.jobs))
    try:
        with listening(asked) as port:
            yield f"http://127.0.0.1:{port}"
    finally:
        asked.close()


@pytest.fixture
def job(prepared: Callable[..., Job]) -> Job:
    return prepared(scored)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_each_page_is_sound_at_each_width(job: Job, chromium: Any, scheme: str) -> None:
    with serving(job) as url:
        context = chromium.new_context(color_scheme=scheme, bypass_csp=True)  # axe-core is a script
        page, asked, faults = context.new_page(), [], []
        page.on("request", lambda request: asked.append(request.url))
        found = page.goto(f"{url}/dashboard/jobs/wafers") and page.get_attribute("#rows td a", "href")
        for path in [*(f"/dashboard{each}" for each in PAGES), found]:
            for width in WIDTHS:
                page.set_viewport_size({"width": width, "height": 900})
                page.goto(f"{url}{path}")
                assert page.evaluate("document.documentElement.scrollWidth") <= width, (path, width)
                results = axe.Axe().run(page)
                faults += [f"{path} at {width}: {results.generate_report()}"] if results.violations_count else []
                assert page.evaluate("window.ran") is None
        assert faults == []
        assert [each for each in asked if not each.startswith((url, "data:"))] == []
        context.close()


def test_no_page_breaks_its_own_content_security_policy(job: Job, chromium: Any) -> None:
    with serving(job) as url:
        page, said = chromium.new_page(), []
        page.on("console", lambda message: said.append(message.text))
        for path in PAGES[:-1]:
            page.goto(f"{url}/dashboard{path}")
            assert page.title().endswith("rowcast")
        assert said == []
        page.close()


def test_a_person_logs_in_looks_a_row_up_and_leaves_by_keyboard(job: Job, chromium: Any) -> None:
    key = rowcast.open(job.folder / "rowcast.toml").create_key("mia", scope="read")
    with serving(job) as url:
        context = chromium.new_context(java_script_enabled=False)
        page = context.new_page()
        page.goto(f"{url}/dashboard/jobs/wafers")
        page.get_by_label("API key").press_sequentially(key)
        page.keyboard.press("Enter")
        page.wait_for_url(f"{url}/dashboard/jobs/wafers")
        wafer = page.locator("#rows td a").first.inner_text()
        page.locator(".search input").press_sequentially(wafer)
        page.keyboard.press("Enter")
        page.wait_for_url(f"{url}/dashboard/jobs/wafers/row?key={wafer}")
        assert page.locator("h1").inner_text().startswith(wafer)
        page.go_back()
        assert page.locator("h1").inner_text().startswith("wafers")
        page.get_by_role("button", name="Log out").press("Enter")
        page.wait_for_url(f"{url}/dashboard/login")
        page.goto(f"{url}/dashboard")
        assert page.url.startswith(f"{url}/dashboard/login")
        context.close()
