"""The dashboard in a browser: nothing foreign runs, nothing leaves the host, all fits, and axe-core finds no fault."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

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
PAGES += ["/jobs/wafers/column?name=s01", "/jobs/wafers/chart?column=s01", "/jobs/wafers/chart?column=s01&days=7"]
PAGES += ["/jobs/wafers/audit", "/jobs/wafers/runs/1", "/login", "/jobs/none"]
ACTS = ["/act/promote?about=1", "/act/promote?about=2", "/act/run", "/act/run?about=retrain"]
WIDTHS = [360, 1440]
A4 = 688  # pixels between margins of 14 mm


def scored(make: Callable[..., Job], system: str) -> Job:
    """A job that has scored what waited, and whose names try to be more than text."""
    job = make(system, "trained")
    [newest] = job.sql("SELECT MAX(measured_at) AS at FROM wafers")
    job.ok("infer", "--as-of", f"{newest['at']}"[:10] + " 23:59")
    job.ok("retrain")
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
    asked.application = Application(asked.jobs, pages=Dashboard(asked.jobs, patience=60.0))
    try:
        with listening(asked) as port:
            yield f"http://127.0.0.1:{port}"
    finally:
        asked.close()


@pytest.fixture
def job(prepared: Callable[..., Job]) -> Job:
    return prepared(scored, "sqlite")


@pytest.mark.parametrize(("scheme", "system"), [("light", "sqlite"), ("dark", "postgresql")])
def test_each_page_is_sound_at_each_width(
    prepared: Callable[..., Job], chromium: Any, scheme: str, system: str
) -> None:
    with serving(prepared(scored, system)) as url:
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


def test_each_page_fits_on_paper_and_leaves_out_what_is_for_the_screen(job: Job, chromium: Any) -> None:
    with serving(job) as url:
        page = chromium.new_page(viewport={"width": A4, "height": 1000})
        page.emulate_media(media="print")
        for path in PAGES[:-2]:
            page.goto(f"{url}/dashboard{path}")
            assert page.evaluate("document.documentElement.scrollWidth") <= A4, path
            assert page.locator("nav:visible, form.search:visible, a.larger:visible").count() == 0, path
            wide = "each => each.scrollWidth > each.clientWidth + 1"
            assert page.evaluate(f"[...document.querySelectorAll('.scrolling')].filter({wide}).length") == 0, path
        page.close()


def test_no_page_breaks_its_own_content_security_policy(job: Job, chromium: Any) -> None:
    with serving(job) as url:
        page, said = chromium.new_page(), []
        page.on("console", lambda message: said.append(message.text))
        for path in PAGES[:-1]:
            page.goto(f"{url}/dashboard{path}")
            assert page.title().endswith("rowcast")
        assert said == []
        page.close()


def log_in(context: Any, url: str, key: str, after: str = "/dashboard") -> Any:
    page = context.new_page()
    page.goto(f"{url}{after}")
    page.get_by_label("API key").fill(key)
    page.keyboard.press("Enter")
    page.wait_for_url(f"{url}{after}")
    return page


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_each_page_on_which_a_person_acts_is_sound(job: Job, chromium: Any, scheme: str) -> None:
    key = rowcast.open(job.folder / "rowcast.toml").create_key("mia", scope="operate")
    with serving(job) as url:
        context, faults = chromium.new_context(color_scheme=scheme, bypass_csp=True), []
        page = log_in(context, url, key)
        for path in ["", *ACTS]:
            for width in WIDTHS:
                page.set_viewport_size({"width": width, "height": 900})
                page.goto(f"{url}/dashboard/jobs/wafers{path}")
                assert page.evaluate("document.documentElement.scrollWidth") <= width, (path, width)
                results = axe.Axe().run(page)
                faults += [f"{path} at {width}: {results.generate_report()}"] if results.violations_count else []
        assert faults == []
        context.close()


def test_a_person_starts_a_run_and_follows_it_without_a_script(job: Job, chromium: Any) -> None:
    opened = rowcast.open(job.folder / "rowcast.toml")
    key, before = opened.create_key("mia", scope="operate"), opened.runs(1)[0].run_id
    with serving(job) as url:
        context = chromium.new_context(java_script_enabled=False)
        page = log_in(context, url, key, "/dashboard/jobs/wafers")
        page.get_by_role("link", name="Start a run").click()
        page.get_by_role("link", name="Score what waits").click()
        second = context.new_page()
        second.goto(page.url)
        page.get_by_role("button", name="Start").click()
        page.get_by_text("The run has ended.").wait_for(timeout=120_000)  # the page renews itself
        second.get_by_role("button", name="Start").click()
        second.get_by_text("A run of the same kind began since you looked by mia").wait_for()
        second.get_by_text("Nothing was done a second time.").wait_for()
        page.go_back()
        page.get_by_role("button", name="Start").wait_for()  # it is asked anew, and nothing is begun by going back
        [run, *_] = opened.runs(2)
        assert (run.run_id, run.options.by) == (before + 1, "mia")
        context.close()


def test_times_and_numbers_are_as_the_reader_writes_them(job: Job, chromium: Any) -> None:
    with serving(job) as url:
        plain = chromium.new_context(java_script_enabled=False)
        page = plain.new_page()
        page.goto(f"{url}/dashboard/jobs/wafers/runs/1")
        utc = page.locator("time").first.inner_text()
        page.goto(f"{url}/dashboard/jobs/wafers")
        rows, wafer = page.locator("#cost td.num").all_inner_texts(), page.locator("#rows td a").first.inner_text()
        plain.close()
        german = chromium.new_context(locale="de-DE", timezone_id="Europe/Berlin")
        page = german.new_page()
        page.goto(f"{url}/dashboard/jobs/wafers/runs/1")
        shown = page.locator("time").first
        there = datetime.fromisoformat(shown.get_attribute("datetime")).astimezone(ZoneInfo("Europe/Berlin"))
        assert (shown.inner_text(), shown.get_attribute("title")) == (f"{there:%d.%m.%Y, %H:%M}", f"{utc} UTC")
        assert "Europe/Berlin" in page.locator("footer").inner_text()
        page.goto(f"{url}/dashboard/jobs/wafers")
        swapped = str.maketrans(",.", ".,")
        assert page.locator("#cost td.num").all_inner_texts() == [each.translate(swapped) for each in rows]
        assert any("." in each for each in rows)
        assert page.locator("#rows td a").first.inner_text() == wafer
        german.close()


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
