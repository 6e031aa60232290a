"""rowcast.toml, the environment and flags: what is taken, and what is refused with the key's name."""

import pickle
import re
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest
from pydantic import SecretStr, ValidationError

from rowcast import config
from rowcast.config.database_url import find_fault
from rowcast.config.settings import Settings
from rowcast.errors import ConfigError

SOURCE = """
[source]
url = "sqlite:///fab.db"
table = "wafers"
key = ["wafer_id"]
label = "failed"
"""


@pytest.fixture
def write(tmp_path):
    def write(text: str) -> Path:
        path = tmp_path / "rowcast.toml"
        path.write_text(text, encoding="utf-8")
        return path

    return write


@pytest.fixture
def load(write):
    """Load a file that has this text beside a plain source."""

    def load(text: str = "", source: str = "", top: str = "", **flags):
        return config.load(write(top + SOURCE + source + "\n" + text), **flags)

    return load


def refused(call, *names: str) -> str:
    with pytest.raises(ConfigError) as caught:
        call()
    message = str(caught.value)
    assert len(message.splitlines()) == 2, "what and the way out"
    for name in names:
        assert name in message
    return message


# ---- what is taken


def test_a_source_is_all_that_is_needed(load):
    settings = load()
    assert settings.name == "wafers"
    assert settings.source.key == ("wafer_id",)
    assert settings.source.late_arrival == timedelta(days=30)
    assert settings.store.schema_ == "rowcast"
    assert (settings.task.kind, settings.task.positive, settings.task.cost_missed) == ("binary", 1, 20.0)
    assert settings.check.max_quarantine == 0.1
    assert (settings.model.estimator, settings.model.max_features) == ("default", 60)
    assert (settings.retrain.policy, settings.retrain.every) == ("every", timedelta(days=7))
    assert (settings.infer.batch_rows, settings.infer.workers, settings.infer.since) == (50_000, 2, None)
    assert (settings.task.max_flagged, settings.task.min_recall, settings.infer.confidence) == (None, None, 0.9)


def test_every_key_of_the_design_can_be_set(write):
    text = """
name = "line 3"
[source]
url = "postgresql://me@host/fab"
query = "SELECT 1"
where = "status = 'COMPLETE'"
key = ["lot", "wafer"]
time = "measured_at"
timezone = "Europe/Berlin"
label = "failed"
label_time = "labelled_at"
label_delay = "2d"
group = "lot_id"
missing = [-9999, 1e30]
exclude = ["operator_note"]
late_arrival = "12h"
[store]
url = "sqlite:////data/store.db"
schema = "quality"
[task]
kind = "binary"
positive = "fail"
cost_missed = 5
cost_false_alarm = 0.5
max_flagged = 0.05
[check]
max_quarantine = 0.5
[check.columns.s001]
type = "number"
nullable = false
min = -1
max = 3200.0
[check.columns."tool id"]
values = ["A", "B"]
[model]
estimator = "part1.model:factory"
max_features = 10
min_train_rows = 200
max_train_rows = 1000
[retrain]
policy = "never"
every = "2w"
min_new_labels = 5
[notify]
sns_topic = "arn:aws:sns:eu-central-1:123456789012:alarms"
urls = ["mailto://ops:pw@mail.fab?to=shift@fab.example"]
min_severity = "warning"
values = true
[logs]
cloudwatch = true
[infer]
batch_rows = 100
workers = 4
engine = "local"
since = "2026-05-01"
confidence = 0.95
"""
    settings = config.load(write(text))
    assert settings.source.key == ("lot", "wafer")
    assert settings.source.missing == (-9999.0, 1e30)
    assert settings.source.late_arrival == timedelta(hours=12)
    assert settings.store.schema_ == "quality"
    assert (settings.task.positive, settings.task.max_flagged, settings.infer.confidence) == ("fail", 0.05, 0.95)
    assert settings.check.columns["s001"].max == 3200.0
    assert settings.check.columns["s001"].nullable is False
    assert settings.check.columns["tool id"].values == ("A", "B")
    assert settings.retrain.every == timedelta(weeks=2)
    assert settings.infer.since == "2026-05-01"
    assert settings.notify.sns_topic == "arn:aws:sns:eu-central-1:123456789012:alarms"
    assert settings.notify.urls[0].get_secret_value().startswith("mailto://")
    assert (settings.notify.min_severity, settings.notify.values, settings.logs.cloudwatch) == ("warning", True, True)


def test_settings_cannot_be_changed(load):
    settings = load()
    with pytest.raises(ValidationError, match="frozen"):
        settings.source.key = ("other",)
    with pytest.raises(ValidationError, match="frozen"):
        settings.name = "other"


def test_settings_cross_into_another_process(load):
    settings = load("[infer]\nworkers = 3")
    assert pickle.loads(pickle.dumps(settings)) == settings


@pytest.mark.parametrize(
    ("table", "name"),
    [
        ("wafers", "wafers"),
        ("fab.wafers", "wafers"),
        ('\\"Fab 1\\".\\"Wafers\\"', "Wafers"),
        ("my wafers", "my wafers"),
    ],
)
def test_the_name_defaults_to_the_tables(write, table, name):
    assert config.load(write(SOURCE.replace('"wafers"', f'"{table}"'))).name == name


def test_a_name_can_be_given(load):
    assert load(top='name = "line 3"\n').name == "line 3"


def test_a_query_needs_a_name(write):
    text = SOURCE.replace("table =", "query =")
    refused(lambda: config.load(write(text)), "a query has no name of its own", "'name'")
    assert config.load(write('name = "q"\n' + text)).source.query == "wafers"


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("90s", timedelta(seconds=90)),
        ("5m", timedelta(minutes=5)),
        ("12h", timedelta(hours=12)),
        (" 1.5 d ", timedelta(days=1.5)),
        ("2w", timedelta(weeks=2)),
        ("0d", timedelta(0)),
    ],
)
def test_a_duration_is_a_number_and_a_unit(text, wanted):
    assert config.parse_duration(text) == wanted
    assert config.parse_duration(wanted) == wanted


@pytest.mark.parametrize("value", ["5", "d", "", "-1d", "5 months", "1h30m", 5, None, ["5d"], "٣d٣"])
def test_anything_else_is_no_duration(value):
    with pytest.raises(ValueError, match="a number and a unit"):
        config.parse_duration(value)


# ---- file, environment, flag


def test_the_environment_overrides_the_file_and_a_flag_overrides_both(load, monkeypatch):
    text = "[infer]\nworkers = 3\nbatch_rows = 10"
    assert load(text).infer.workers == 3
    monkeypatch.setenv("ROWCAST_INFER__WORKERS", "4")
    assert load(text).infer.workers == 4
    assert load(text, infer={"workers": 5}).infer.workers == 5
    assert load(text, infer={"workers": 5}).infer.batch_rows == 10  # the section's other keys stay


def test_the_environment_reaches_every_section(load, monkeypatch):
    monkeypatch.setenv("ROWCAST_SOURCE__LATE_ARRIVAL", "1d")
    monkeypatch.setenv("ROWCAST_SOURCE__KEY", '["a", "b"]')
    monkeypatch.setenv("ROWCAST_STORE__SCHEMA", "quality")
    monkeypatch.setenv("ROWCAST_NAME", "line 3")
    settings = load()
    assert settings.source.late_arrival == timedelta(days=1)
    assert settings.source.key == ("a", "b")
    assert settings.store.schema_ == "quality"
    assert settings.name == "line 3"


def test_a_wrong_value_in_the_environment_is_named(load, monkeypatch):
    monkeypatch.setenv("ROWCAST_INFER__WORKERS", "many")
    refused(load, "infer.workers", "a whole number")


def test_a_list_in_the_environment_that_is_no_json_is_named(load, monkeypatch):
    monkeypatch.setenv("ROWCAST_SOURCE__KEY", "wafer_id")
    refused(load, "source")


def test_unrelated_variables_do_no_harm(load, monkeypatch):
    monkeypatch.setenv("ROWCAST_SOURCE_URL", "postgresql://host/x")  # as `init` names the one it writes
    monkeypatch.setenv("ROWCAST_TEST_MSSQL_URL", "x")
    assert load().source_url.startswith("sqlite:///")


def test_variables_in_values_are_replaced(write, monkeypatch):
    monkeypatch.setenv("FAB_PASSWORD", "s3cret")
    monkeypatch.setenv("FAB_KEY", "id")
    text = SOURCE.replace("sqlite:///fab.db", "postgresql://me:${FAB_PASSWORD}@host/x").replace(
        "wafer_id", "${FAB_KEY}"
    )
    settings = config.load(write(text))
    assert settings.source_url == "postgresql://me:s3cret@host/x"
    assert settings.source.key == ("id",)


def test_a_replaced_variable_is_not_replaced_again(write, monkeypatch):
    monkeypatch.setenv("A", "${B}")
    assert config.load(write(SOURCE.replace("failed", "${A}"))).source.label == "${B}"


def test_an_unset_variable_is_named(write, monkeypatch):
    monkeypatch.delenv("FAB_URL", raising=False)
    path = write(SOURCE.replace("sqlite:///fab.db", "${FAB_URL}"))
    refused(lambda: config.load(path), str(path), "${FAB_URL}", "not set", "export FAB_URL=")


@pytest.mark.parametrize("value", ["", "  ", "\n"])
def test_a_variable_that_is_empty_is_named(value, write, monkeypatch):
    monkeypatch.setenv("FAB_URL", value)
    path = write(SOURCE.replace("sqlite:///fab.db", "${FAB_URL}"))
    refused(lambda: config.load(path), str(path), "${FAB_URL}", "is set, but empty", "export FAB_URL=")


def test_a_variable_that_is_empty_is_named_within_a_longer_value_too(write, monkeypatch):
    monkeypatch.setenv("FAB_PASSWORD", "")
    path = write(SOURCE.replace("sqlite:///fab.db", "postgresql://fab:${FAB_PASSWORD}@db/mes"))
    refused(lambda: config.load(path), "${FAB_PASSWORD}, which is set, but empty")


def test_a_url_that_is_empty_is_called_so(write, monkeypatch):
    monkeypatch.setenv("ROWCAST_STORE__URL", "")
    refused(lambda: config.load(write(SOURCE)), "'store.url'", "the database URL is empty")


# ---- what is refused


def test_a_missing_file_names_the_command_that_writes_one(tmp_path):
    refused(lambda: config.load(tmp_path / "rowcast.toml"), str(tmp_path / "rowcast.toml"), "rowcast init")


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    refused(lambda: config.load(tmp_path), str(tmp_path), "cannot be read")
    (tmp_path / "rowcast.toml").write_bytes(b'name = "\xff"')
    refused(lambda: config.load(tmp_path / "rowcast.toml"), "UTF-8")


def test_what_is_no_toml_is_refused_with_its_place(write):
    refused(lambda: config.load(write("[source]\nurl = sqlite")), "not valid TOML", "line 2")


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("[infer]\nworker = 3", ["unknown key 'infer.worker'", "did you mean 'workers'"]),
        ("[inference]\nworkers = 3", ["unknown key 'inference'", "did you mean 'infer'"]),
        ("[store]\nscheme = 'x'", ["unknown key 'store.scheme'", "did you mean 'schema'"]),
        ("[check.columns.s001]\nmaximum = 3", ["unknown key 'check.columns.s001.maximum'", "did you mean 'max'"]),
        ("[infer]\nzzz = 3", ["unknown key 'infer.zzz'", "known here: batch_rows, workers, engine, scheduler"]),
        ("[servers]\nport = 1", ["unknown key 'servers'"]),
        ("[monitor]\ngroup = 'tool'", ["unknown key 'monitor.group'", "did you mean 'group_by'"]),
        ("[notify]\nurl = []", ["unknown key 'notify.url'", "did you mean 'urls'"]),
        ("[infer]\npath = 'x'", ["unknown key 'infer.path'"]),
        ("[infer]\nbatchRows = 3", ["unknown key 'infer.batchRows'", "did you mean 'batch_rows'"]),
    ],
)
def test_an_unknown_key_is_refused_with_the_nearest_known_one(load, text, names):
    refused(lambda: load(text), *names)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("[infer]\nworkers = 'many'", ["'infer.workers'", "a whole number is needed, such as workers = 2"]),
        ("[infer]\nworkers = 0", ["'infer.workers'", "at least 1 is needed"]),
        ("[infer]\nworkers = 1.5", ["'infer.workers'"]),
        ("[infer]\nengine = 'ray'", ["'infer.engine'", "'local'"]),
        ("[infer]\nscheduler = 'tcp://host:8786'", ["'scheduler' needs engine"]),
        ("[infer]\nengine = 'dask'\nscheduler = 'host'", ["'infer.scheduler'"]),
        ("[infer]\nmaster = 'yarn'", ["'master' needs engine"]),
        ("[infer]\nengine = 'spark'\nmaster = 'host:7077'", ["'infer.master'"]),
        ("[task]\nkind = 'ranking'", ["'task.kind'", "'binary'"]),
        ("[task]\nnormal = 'ok'", ["'task'", "'normal' is for kind"]),
        ("[task]\nhigh = 1.0", ["'low' and 'high' are for kind"]),
        ("[task]\nkind = 'regression'\nlow = 2.0\nhigh = 1.0", ["'low' must be below 'high'"]),
        ("[model]\nwindow = '9d'", ["'model.window' needs 'source.time'"]),
        ("[monitor]\nevents = 'done'", ["'monitor'", "'event_time' its time column: both or neither"]),
        ("[monitor]\nevent_time = 'at'", ["'monitor'", "both or neither"]),
        ("[monitor]\nevent_what = 'what'", ["'monitor'", "are columns of 'events', which is not named"]),
        (
            "[monitor]\nevents = 'done'\nevent_time = 'at'\nevent_group = 'tool'",
            ["'monitor'", "'event_group' needs 'group_by'"],
        ),
        ("[notify]\nsns_topic = 'alarms'", ["'notify.sns_topic'", "named by its ARN"]),
        ("[notify]\nurls = ['ops-token-1234']", ["'notify.urls.0'", "begins with its service"]),
        ("[notify]\nmin_severity = 'fatal'", ["'notify.min_severity'", "'error'"]),
        ("[task]\ncost_missed = 0", ["'task.cost_missed'", "more than 0 is needed"]),
        ("[check]\nmax_quarantine = 1.5", ["'check.max_quarantine'", "at most 1 is needed"]),
        ("[check.columns.s001]\nmax = 'high'", ["'check.columns.s001.max'", "number"]),
        ("[check.columns.s001]\ntype = 'text'", ["'check.columns.s001.type'", "'category'"]),
        ("[retrain]\nevery = '7'", ["'retrain.every'", "a number and a unit"]),
        ("[retrain]\npolicy = 'on-change'", ["'retrain.policy'", "'never', 'every', 'on-drift' or 'on-loss'"]),
        (
            "[model]\ntranslatable = true\nestimator = 'mine:factory'",
            ["model", "'translatable' chooses among rowcast's own candidates"],
        ),
        ("[model]\nestimator = 'part1'", ["'model.estimator'", "package.module:factory"]),
        ("[model]\nmin_train_rows = 5", ["'model.min_train_rows'"]),
        ("[model]\nmax_features = true", ["'model.max_features'", "a number is needed, not true or false"]),
        ("[task]\nmax_flagged = true", ["'task.max_flagged'", "a number is needed"]),
        ("[check.columns.s001]\nmax = true", ["'check.columns.s001.max'", "a number is needed"]),
        ("infer = 3", ["unknown key 'source.infer'"]),
        ("[infer]\nworkers = 10000000", ["'infer.workers'", "at most 512 is needed"]),
        ("[model]\nwindow = '0d'", ["'model.window'", "it must be longer than 0"]),
        ("[retrain]\nevery = '-7d'", ["'retrain.every'", "a number and a unit"]),
        ("[task]\npositive = [1]", ["'task.positive': a text, a number, true or false is needed"]),
    ],
)
def test_a_wrong_value_is_refused_by_its_key(load, text, names):
    refused(lambda: load(text), *names)


def list_settings() -> Iterator[tuple[str, str]]:
    for section, field in Settings.model_fields.items():
        for name, inner in getattr(field.annotation, "model_fields", {}).items():
            yield section, inner.alias or name


@pytest.mark.parametrize("value", ["5", "1.5", "true", "'x'", "[]", "[[1]]", "{a = 1}", "-1", "nan", "''"])
def test_whatever_is_written_is_read_or_refused_in_plain_words(value, tmp_path):
    """No setting answers with the words of the library that checks it, or with the value."""
    path = tmp_path / "rowcast.toml"
    for section, name in list_settings():
        source = {"url": "'sqlite:///x.db'", "table": "'t'", "key": "['id']", "label": "'y'", "time": "'ts'"}
        given = {"source": source, "task": {"kind": "'regression'" if name in ("low", "high") else "'binary'"}}
        given.setdefault(section, {})[name] = value
        lines = [f"[{one}]\n" + "\n".join(f"{key} = {of}" for key, of in held.items()) for one, held in given.items()]
        path.write_text("\n".join(lines))
        with suppress(ConfigError):
            config.load(path)
            continue
        said = refused(partial(config.load, path), section)
        assert not re.search(r"Input|\bvalid|[Tt]uple|dictionary|pars(?!e as)|instance|NoneType", said), said


@pytest.mark.parametrize("text", ["", "\n# nothing yet\n", "name = 'x'"])
def test_a_file_without_a_source_blames_nothing_but_that(text, tmp_path):
    path = tmp_path / "rowcast.toml"
    path.write_text(text)
    refused(lambda: config.load(path), "'source' is missing")
    with pytest.raises(ConfigError) as caught:
        config.load(path)
    assert "'name'" not in caught.value.what
    assert "rowcast init" in caught.value.hint or text


@pytest.mark.parametrize("name", ["a\\nb", "a\\u001b[31m", " wafers", "wafers ", "\\t"])
def test_a_jobs_name_can_be_printed(name, load):
    refused(
        lambda: load(top=f'name = "{name}"\n'), "'name'", "no space at its ends and no character that is not printed"
    )


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("timezone = 'Europe/Berlni'", ["'source.timezone'", "Europe/Berlni"]),
        ("timezone = '../etc/passwd'", ["'source.timezone'"]),
        ("late_arrival = 30", ["'source.late_arrival'", "a number and a unit"]),
        ("query = 'SELECT 1'", ["either 'table' or 'query'"]),
        ("label_time = 'at'", ["need 'time'"]),
        ("label_delay = '1d'", ["need 'time'"]),
        ("time = 'failed'", ["must be different columns"]),
        ("time = 'wafer_id'", ["must be different columns"]),
        ("missing = [[]]", ["'source.missing'", "number"]),
        ("exclude = 'note'", ["'source.exclude'"]),
    ],
)
def test_a_source_that_contradicts_itself_is_refused(load, source, names):
    refused(lambda: load(source=source), *names)


def test_neither_table_nor_query_is_refused(write):
    refused(
        lambda: config.load(write('name = "x"\n' + SOURCE.replace('table = "wafers"', ""))), "either 'table' or 'query'"
    )


@pytest.mark.parametrize(
    ("key", "written"), [("label", "lable"), ("label", "labels"), ("label", "abel"), ("table", "tabel"), ("key", "kye")]
)
def test_a_key_that_is_misspelt_is_taken_for_the_one_that_is_missing(write, key, written):
    refused(
        lambda: config.load(write(SOURCE.replace(f"{key} =", f"{written} ="))),
        f"unknown key 'source.{written}' (did you mean '{key}'?)",
    )


@pytest.mark.parametrize("key", ["url", "key", "label"])
def test_what_is_missing_is_named(write, key):
    text = re.sub(rf"(?m)^{key} = .*$", "", SOURCE)
    refused(lambda: config.load(write(text)), f"'source.{key}' is missing")


def test_an_empty_file_names_what_it_needs(write):
    refused(lambda: config.load(write("")), "source")


@pytest.mark.parametrize("name", ["  ", "x" * 49, "ü" * 25])
def test_a_name_that_no_table_can_carry_is_refused(load, name):
    refused(lambda: load(top=f'name = "{name}"\n'), "'name'", "48 bytes")


def test_everything_wrong_is_told_at_once(load):
    message = refused(lambda: load("[infer]\nworkers = 0\nbatch = 1\n[task]\ncost_missed = -1"))
    for key in ("infer.workers", "infer.batch", "task.cost_missed"):
        assert key in message


# ---- where


def test_a_relative_sqlite_path_starts_at_the_configs_folder(load, tmp_path, monkeypatch):
    monkeypatch.chdir("/")
    settings = load()
    assert settings.source_url == f"sqlite:///{tmp_path}/fab.db"
    assert settings.store_url == settings.source_url
    assert settings.folder == tmp_path


def test_a_config_named_by_a_relative_path_has_its_folder(write, tmp_path, monkeypatch):
    write(SOURCE)
    monkeypatch.chdir(tmp_path)
    assert config.load(Path("rowcast.toml")).source_url == f"sqlite:///{tmp_path}/fab.db"


@pytest.mark.parametrize(
    ("url", "wanted"),
    [
        ("sqlite:////data/x.db", "sqlite:////data/x.db"),
        ("sqlite:///:memory:", "sqlite:///:memory:"),
        ("postgresql://me:pw@host/x", "postgresql://me:pw@host/x"),
        ("sqlite:///a/x.db?timeout=5", "sqlite:///{folder}/a/x.db?timeout=5"),
    ],
)
def test_other_urls_stay_as_they_are(load, tmp_path, url, wanted):
    assert load(f'[store]\nurl = "{url}"').store_url == wanted.format(folder=tmp_path)


# ---- secrets

SECRET = "hunter2%2F:s3cret"


def secretive(load, **flags):
    return load(f'[store]\nurl = "postgresql://me:{SECRET}@host/x"\n', **flags)


def test_a_url_is_never_shown(load):
    settings = secretive(load)
    for shown in (
        repr(settings),
        str(settings),
        repr(settings.store),
        str(settings.model_dump()),
        settings.model_dump_json(),
    ):
        assert "s3cret" not in shown
        assert "host" not in shown
    assert isinstance(settings.store.url, SecretStr)
    assert SECRET in settings.store_url


@pytest.mark.parametrize("text", ["[infer]\nworkers = 0", "[store2]\nurl = 'x'", "[task]\nkind = 1"])
def test_an_error_elsewhere_shows_no_url(load, text):
    with pytest.raises(ConfigError) as caught:
        load(f'[store]\nurl = "postgresql://me:{SECRET}@host/x"\n{text}')
    assert "s3cret" not in str(caught.value) + repr(caught.value)
    assert caught.value.__cause__ is None


def test_a_malformed_url_is_not_shown(write):
    for value in (f'["{SECRET}"]', f'{{password = "{SECRET}"}}'):
        text = SOURCE.replace('"sqlite:///fab.db"', value)
        with pytest.raises(ConfigError) as caught:
            config.load(write(text))
        assert "source.url" in str(caught.value)
        assert "s3cret" not in str(caught.value)


def test_a_secret_on_a_broken_line_of_toml_is_not_shown(write):
    with pytest.raises(ConfigError) as caught:
        config.load(write(SOURCE.replace('"sqlite:///fab.db"', f"postgresql://me:{SECRET}@host/x")))
    assert "s3cret" not in str(caught.value)


def test_the_fingerprint_of_a_config_changes_with_it_but_not_with_its_secrets(load, write):
    plain = load()
    assert plain.sha256() == load().sha256()
    assert plain.sha256() != load("[infer]\nworkers = 3").sha256()
    one = config.load(write(SOURCE.replace("sqlite:///fab.db", "postgresql://me:one@host/x")))
    two = config.load(write(SOURCE.replace("sqlite:///fab.db", "postgresql://me:two@host/x")))
    assert one.sha256() == two.sha256()


SLACK = "slack://xoxb-1234-1234-4ddbc191/#fab"
HOOK = "json://ops:hunter%202@hooks.fab.example:8443/services/T1JJ3T3L2/A1BRTD4JD?to=line3"
DATABASE = "postgresql://me:p%40ss-word@host/fab"


def test_what_must_not_be_seen_is_known(load):
    settings = load(f"[store]\nurl = '{DATABASE}'\n[notify]\nurls = ['{SLACK}', '{HOOK}']")
    secrets = settings.secrets
    assert {SLACK, HOOK, "xoxb-1234-1234-4ddbc191", "hunter%202", "hunter 2", "T1JJ3T3L2"} <= set(secrets)
    assert {"p%40ss-word", "p@ss-word"} <= set(secrets)
    assert not {"services", "line3", "8443", "hooks.fab.example", "ops"} & set(secrets)
    assert list(secrets) == sorted(secrets, key=len, reverse=True)  # a part of one must not spoil the whole


def test_a_url_of_a_sink_is_neither_shown_nor_in_the_hash_of_the_config(load):
    settings = load(f"[notify]\nurls = ['{SLACK}']")
    assert "xoxb" not in repr(settings)
    assert settings.sha256() == load(f"[notify]\nurls = ['{HOOK}']").sha256()


def test_a_wrong_url_of_a_sink_is_refused_without_being_shown(load):
    assert "token" not in refused(lambda: load("[notify]\nurls = ['ops-token-1234']"), "'notify.urls.0'")


def test_where_scoring_begins_may_be_a_bare_date_and_is_checked_when_it_is_loaded(load):
    assert load("[infer]\nsince = 2026-05-01").infer.since == "2026-05-01"
    refused(lambda: load("[infer]\nsince = 'gestern'"), "infer.since", "2026-05-01T06:00:00+02:00")


def test_the_old_spelling_of_postgresql_is_named():
    assert find_fault("postgres://user@host/db") == "a PostgreSQL URL begins with postgresql://, not postgres://"
