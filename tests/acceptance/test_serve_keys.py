"""Who may ask: keys, their scopes, their ends and their rates."""

from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest
from asked import Asked
from jobs import LABELLED, SENSORS, Job, wafers

import rowcast
from rowcast.serve.guard import Asks, Guard

pytest_plugins = ("job_fixtures",)

ROW = {name: value for name, value in wafers(LABELLED + 1, 1, False)[0].items() if name in (*SENSORS, "tool")}
BODY = {"instances": [ROW]}


class Keyed:
    """A service of a job that has keys."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.api = rowcast.open(job.folder / "rowcast.toml")
        self.keys = {scope: self.api.create_key(scope, scope=scope) for scope in ("score", "read", "operate")}
        self.asked = Asked(job)

    def score(self, key: str | None) -> int:
        return self.asked.score(BODY, **({} if key is None else {"authorization": f"Bearer {key}"})).status


@pytest.fixture
def keyed(lite: Job) -> Iterator[Keyed]:
    found = Keyed(lite)
    yield found
    found.asked.close()


def test_a_key_is_sent_in_one_of_two_headers(keyed: Keyed) -> None:
    key = keyed.keys["score"]
    assert keyed.score(key) == 200
    assert keyed.asked.score(BODY, x_api_key=key).status == 200
    assert keyed.asked.score(BODY, authorization=f"bearer {key}").status == 200
    assert keyed.asked.score(BODY, x_api_key=key, authorization=f"Bearer {key}").status == 400
    assert keyed.asked.score(BODY, authorization=f"Basic {key}").status == 401


@pytest.mark.parametrize(
    ("path", "method", "may"),
    [
        ("/invocations", "POST", {"score", "operate"}),
        ("/jobs/wafers/score", "POST", {"score", "operate"}),
        ("/v2/models/wafers/infer", "POST", {"score", "operate"}),
        ("/v2", "GET", {"score", "read", "operate"}),
        ("/v2/models/wafers", "GET", {"score", "read", "operate"}),
        ("/v2/models/wafers/ready", "GET", {"score", "read", "operate"}),
        ("/jobs", "GET", {"read", "operate"}),
        ("/jobs/wafers/refresh", "POST", {"operate"}),
    ],
)
def test_each_route_wants_a_scope(keyed: Keyed, path: str, method: str, may: set[str]) -> None:
    for scope, key in keyed.keys.items():
        status = keyed.asked.ask(method, path, BODY if method == "POST" else b"", {"x-api-key": key}).status
        assert (status == 403) is (scope not in may), (scope, status)
        assert status != 401
    assert keyed.asked.ask(method, path).status == 401


@pytest.mark.parametrize("path", ["/v2/health/live", "/v2/health/ready", "/ping"])
def test_health_needs_no_key(keyed: Keyed, path: str) -> None:
    assert keyed.asked.ask("GET", path).status == 200


@pytest.mark.parametrize("path", ["/", "/else", "/v2/models/else", "/v2/models/wafers/else", "/jobs/else/score"])
def test_without_a_key_nobody_learns_what_there_is(keyed: Keyed, path: str) -> None:
    assert keyed.asked.ask("GET", path).status == 401
    assert keyed.asked.ask("GET", path, headers={"x-api-key": keyed.keys["read"]}).status == 404


@pytest.mark.parametrize(
    "change", [lambda key: key[:-1], lambda key: key + "x", lambda key: key.upper(), lambda key: ""]
)
def test_a_wrong_key_is_refused(keyed: Keyed, change: Callable[[str], str]) -> None:
    reply = keyed.asked.score(BODY, x_api_key=change(keyed.keys["score"]))
    assert reply.status == 401
    assert reply.headers["www-authenticate"] == "Bearer"
    assert keyed.keys["score"][:-1] not in reply.body.decode()


def test_the_digest_that_the_store_keeps_opens_nothing(keyed: Keyed) -> None:
    [stored] = keyed.job.stored(f"SELECT * FROM {keyed.job.table('api_key')} WHERE name = 'score'")
    key = keyed.keys["score"]
    assert stored["prefix"] in key
    assert key.rpartition("_")[2] not in str(stored)
    assert len(key.split("_", 2)[2]) == 43  # 256 bits
    assert keyed.score(f"rowcast_{stored['prefix']}_{stored['sha256']}") == 401


def test_a_key_that_has_expired_is_refused(keyed: Keyed) -> None:
    key = keyed.api.create_key("old", expires=timedelta(hours=1))
    keyed.job.sql(
        f"UPDATE {keyed.job.table('api_key')} SET expires_at = '2020-01-01 00:00:00.000000Z' WHERE name = 'old'"
    )
    keyed.asked.jobs[0].refresh()
    assert keyed.score(key) == 401


def test_a_revoked_key_is_refused_at_the_next_look_while_its_follower_goes_on(keyed: Keyed) -> None:
    other = keyed.api.create_key("score")
    keyed.asked.jobs[0].refresh()
    assert (keyed.score(keyed.keys["score"]), keyed.score(other)) == (200, 200)
    [newest, *_] = keyed.api.keys()
    assert keyed.api.revoke_key(newest.prefix) == 1
    keyed.asked.jobs[0].refresh()
    assert (keyed.score(keyed.keys["score"]), keyed.score(other)) == (200, 401)


def test_keys_that_are_deleted_from_the_store_do_not_open_the_service(keyed: Keyed) -> None:
    keyed.job.stored(f"DELETE FROM {keyed.job.table('api_key')}")
    keyed.asked.jobs[0].refresh()
    assert (keyed.score(None), keyed.score(keyed.keys["score"])) == (401, 401)


def test_a_key_has_its_rate(keyed: Keyed) -> None:
    slow = keyed.api.create_key("slow", per_second=0.01)
    keyed.asked.jobs[0].refresh()
    assert keyed.score(slow) == 200
    reply = keyed.asked.score(BODY, x_api_key=slow)
    assert reply.status == 429
    assert 90 <= int(reply.headers["retry-after"]) <= 102
    assert keyed.score(keyed.keys["score"]) == 200


def test_a_key_is_of_one_job(keyed: Keyed, make_job: Callable[..., Job]) -> None:
    other = make_job("sqlite", "trained")
    other.configure(name="fans")
    rowcast.open(other.folder / "rowcast.toml").create_key("theirs")
    asked = Asked(keyed.job, other)
    try:
        headers = {"x-api-key": keyed.keys["operate"]}
        assert asked.ask("POST", "/jobs/wafers/score", BODY, headers).status == 200
        assert asked.ask("POST", "/jobs/fans/score", BODY, headers).status == 401
        assert [job["job"] for job in asked.ask("GET", "/jobs", headers=headers).json["jobs"]] == ["wafers"]
    finally:
        asked.close()


def test_a_platform_that_strips_headers_is_trusted(keyed: Keyed) -> None:
    asked = Asked(keyed.job, guard=Guard(Asks.NEVER, is_local=False))
    try:
        assert asked.score(BODY, host="model.internal").status == 200
    finally:
        asked.close()


def test_where_keys_are_always_asked_for_a_job_without_any_answers_nobody(lite: Job) -> None:
    asked = Asked(lite, guard=Guard(Asks.ALWAYS, is_local=False))
    try:
        assert asked.score(BODY).status == 401
    finally:
        asked.close()


def test_commands_make_list_and_revoke_keys(lite: Job) -> None:
    assert "no key yet" in lite.call("keys", "list").out
    key = lite.call("keys", "create", "line-3", "--scope", "score", "--expires", "90d", "--by", "ada").out.strip()
    assert key.startswith("rowcast_")
    [shown] = lite.ok("keys", "list", "--json")
    assert (shown["name"], shown["scope"], shown["created_by"], shown["revoked_at"]) == ("line-3", "score", "ada", None)
    assert "sha256" not in shown
    assert key not in str(shown)
    assert "revoked 1 key" in lite.call("keys", "revoke", "line-3", "--by", "bob").out
    assert "no live key has the name" in lite.refused("keys", "revoke", "line-3", code=2)
    for nothing in ("soon", "0d", "-1d"):
        assert "never" in lite.refused("keys", "create", "x", f"--expires={nothing}", code=2)
    assert "printable" in lite.refused("keys", "create", "a\nb", code=2)
