"""Who is on the dashboard without a key: whoever has the link that the command prints, or whom a proxy names."""

import html
import http.client
import json
import re
import signal
import stat
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from asked import Reply
from jobs import Job
from test_dashboard import SAME, Browser

import rowcast
from rowcast.dashboard.dashboard import Dashboard
from rowcast.dashboard.sessions import Sessions
from rowcast.serve.application import Application
from rowcast.serve.guard import Asks, Guard
from rowcast.serve.request import Person
from rowcast.store.api_keys import KeyScope

pytest_plugins = ("job_fixtures",)

HOME = "/dashboard/jobs/wafers"
HEADERS = {"user_header": "X-Forwarded-User", "groups_header": "X-Forwarded-Groups"}
GROUPS = {"read_groups": ["etch", "litho"], "operate_groups": ["shift leads"]}


def scored(make: Callable[..., Job]) -> Job:
    """A job that has scored what waited."""
    job = make("sqlite", "trained")
    job.ok("infer")
    return job


@pytest.fixture
def job(prepared: Callable[..., Job]) -> Job:
    return prepared(scored)


def visit(job: Job, guard: Guard, sessions: Sessions | None = None) -> Browser:
    """A browser at a service that admits by this guard."""
    browser = Browser(job)
    browser.asked.application.close()
    pages = Dashboard(browser.asked.jobs, is_alone=True, seconds=0.0, patience=60.0, sessions=sessions)
    browser.asked.application = Application(browser.asked.jobs, guard, pages=pages)
    return browser


# The link


@pytest.fixture
def sessions() -> Sessions:
    return Sessions()


@pytest.fixture
def alone(job: Job, sessions: Sessions) -> Iterator[Browser]:
    browser = visit(job, Guard(Asks.ALWAYS), sessions)
    yield browser
    browser.asked.close()


def test_a_link_logs_in_whoever_comes_first_and_nobody_after(alone: Browser, sessions: Sessions) -> None:
    assert alone.get("/dashboard").status == 303
    link = f"/dashboard/login/{sessions.make_link(Person('mia', KeyScope.OPERATE))}"
    assert alone.asked.ask("HEAD", link).status == 303  # to log in: what only looks does not use it up
    reply = alone.get(link)
    assert (reply.status, reply.headers["location"]) == (303, "/dashboard")
    assert "HttpOnly" in reply.headers["set-cookie"]
    again = alone.get(link)
    assert (again.status, b"has been used" in again.body) == (401, True)
    assert "set-cookie" not in again.headers
    alone.cookie = reply.headers["set-cookie"].partition(";")[0]
    page = alone.page(HOME)
    assert "mia" in page
    assert "/act/run" in page
    assert alone.get("/dashboard/login/guess").status == 401


def test_a_link_is_good_for_a_while_only(alone: Browser, sessions: Sessions, monkeypatch: pytest.MonkeyPatch) -> None:
    token = sessions.make_link(Person("mia", KeyScope.OPERATE))
    [(digest, (person, until))] = sessions._links.items()
    monkeypatch.setattr(sessions, "_links", {digest: (person, until - 901)})
    assert alone.get(f"/dashboard/login/{token}").status == 401


def test_the_command_prints_a_link_that_opens_the_browser(
    lite: Job, start: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    browser, opened = tmp_path / "browser", tmp_path / "opened"
    browser.write_text(f'#!/bin/sh\necho "$1" > {opened}.part && mv {opened}.part {opened}\n')
    browser.chmod(browser.stat().st_mode | stat.S_IEXEC)
    monkeypatch.setenv("BROWSER", str(browser))
    process = start(lite, "dashboard", "--port", "0", "--open")
    said = process.stdout.readline()
    found = re.fullmatch(r"open http://127\.0\.0\.1:(\d+)(/dashboard/login/[\w-]{43})\n", said)
    assert found, said
    connection = http.client.HTTPConnection("127.0.0.1", int(found[1]), timeout=30)
    connection.request("GET", found[2])
    reply = connection.getresponse()
    assert (reply.status, reply.headers["location"]) == (303, "/dashboard")
    connection.close()
    until = time.monotonic() + 60
    while not opened.exists() and time.monotonic() < until:
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    _, log = process.communicate(timeout=30)
    assert process.returncode == 0
    assert opened.read_text().strip() == said.removeprefix("open ").strip()
    assert found[2].rpartition("/")[2] not in log  # it is a secret


# The proxy


@pytest.fixture
def proxied(job: Job) -> Iterator[Browser]:
    job.configure({"serve": {**HEADERS, **GROUPS}})
    browser = visit(job, Guard(is_local=False, trusts_proxy=True))
    yield browser
    browser.asked.close()


def come(browser: Browser, path: str, user: str, groups: str, method: str = "GET", **form: str) -> Reply:
    headers = {"x-forwarded-user": user, "x-forwarded-groups": groups, "host": "wafers.plant", **SAME}
    headers["origin"] = "http://wafers.plant"
    return browser.asked.ask(method, path, urlencode(form).encode() if form else b"", headers)


@pytest.mark.parametrize(
    ("groups", "sees", "acts"),
    [("etch", 200, 403), ("shift leads, etch", 200, 200), ("cleaning", 403, 403), ("", 403, 403), ("*", 403, 403)],
)
def test_groups_say_what_a_person_may(proxied: Browser, groups: str, sees: int, acts: int) -> None:
    assert come(proxied, HOME, "ines", groups).status == sees
    assert come(proxied, f"{HOME}/act/run", "ines", groups).status == acts


def test_what_a_person_does_is_on_record_by_the_name_that_the_proxy_gives(job: Job, proxied: Browser) -> None:
    job.ok("retrain")
    opened = rowcast.open(job.folder / "rowcast.toml")
    champion = opened.status().champion
    assert champion is not None
    other = 3 - champion.version
    where = f"{HOME}/act/promote?about={other}"
    page = come(proxied, where, "mia", "shift leads").body.decode()
    held = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', page))
    form = {name: html.unescape(value) for name, value in held.items()} | {"words": "as agreed"}
    assert come(proxied, where, "eva", "shift leads", "POST", **form).status == 403  # it is mia's form
    reply = come(proxied, where, "mia", "shift leads", "POST", **form)
    assert reply.status == 303
    assert b"is the champion." in come(proxied, reply.headers["location"], "mia", "shift leads").body
    made = opened.decisions()[0]
    assert (made.version, made.decided_by, made.reason) == (other, "mia", "as agreed")


def test_a_name_that_comes_twice_or_not_at_all_is_nobody(proxied: Browser) -> None:
    twice = [("x-forwarded-user", "mia"), ("x-forwarded-user", "root"), ("x-forwarded-groups", "shift leads")]
    assert proxied.asked.ask("GET", HOME, headers=twice).status == 400
    assert proxied.asked.ask("GET", HOME).status == 303  # to log in
    assert come(proxied, HOME, " ", "shift leads").status == 303


def test_without_a_proxy_its_headers_say_nothing(job: Job) -> None:
    job.configure({"serve": {**HEADERS, **GROUPS}})
    browser = visit(job, Guard())
    rowcast.open(job.folder / "rowcast.toml").create_key("mia", scope="operate")
    browser.asked.jobs[0].refresh()
    headers = {"x-forwarded-user": "mia", "x-forwarded-groups": "shift leads"}
    assert browser.asked.ask("GET", HOME, headers=headers).status == 303
    browser.asked.close()


@pytest.mark.parametrize(
    ("serve", "said"),
    [
        ({"user_header": "X-User"}, "needs 'read_groups' or 'operate_groups'"),
        ({"user_header": "X-User", "read_groups": ["etch"]}, "need 'groups_header'"),
        ({"operate_groups": ["*"]}, "need 'user_header'"),
        ({"user_header": "X User", "read_groups": ["*"]}, "user_header"),
    ],
)
def test_a_proxy_s_headers_are_named_whole(lite: Job, serve: dict[str, Any], said: str) -> None:
    lite.configure({"serve": serve})
    assert said in lite.refused("status")


def test_everybody_may_read_where_that_is_said(job: Job) -> None:
    job.configure({"serve": {"user_header": "X-Forwarded-User", "read_groups": ["*"]}})
    browser = visit(job, Guard(is_local=False, trusts_proxy=True))
    assert come(browser, HOME, "anybody", "").status == 200
    assert come(browser, f"{HOME}/act/run", "anybody", "").status == 403
    assert json.loads(browser.asked.ask("GET", "/v2/health/live").body)["live"] is True
    browser.asked.close()
