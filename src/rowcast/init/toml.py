"""Spells a guess out as a commented rowcast.toml."""

import json
from collections.abc import Iterator
from pathlib import Path

from rowcast.database import parse_url
from rowcast.init.guess import Guess, Pick

URL_VARIABLE = "ROWCAST_SOURCE_URL"


def written_url(url: str, folder: Path) -> tuple[str, bool]:
    """Return a URL as a config in `folder` should hold it, and whether it is a variable that hides a password."""
    parsed = parse_url(url)
    if parsed.password is not None or any("password" in name.lower() for name in parsed.query):
        return f"${{{URL_VARIABLE}}}", True
    if parsed.get_backend_name() != "sqlite" or not parsed.database:
        return url, False
    database = Path(parsed.database).resolve()
    if database.is_relative_to(folder.resolve()):
        database = database.relative_to(folder.resolve())
    return f"sqlite:///{database.as_posix()}" + (f"?{url.partition('?')[2]}" if "?" in url else ""), False


def quote(value: object) -> str:
    """Return a value as TOML."""
    if isinstance(value, list | tuple):
        return f"[{', '.join(quote(item) for item in value)}]"
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _pick(guess: Guess, name: str) -> Pick:
    found: Pick = getattr(guess, name)
    return found


def lines(guess: Guess, url: str) -> Iterator[str]:
    """Yield the file line by line; `url` as it should be written."""
    default = str(guess.table or "").rpartition(".")[2].strip('"[]')
    yield "# Written by 'rowcast init' after a look at the table. Each guess says why it was made: check them, then run"
    yield "# 'rowcast doctor'. A setting behind # is optional and not in force; most show their default."
    yield ""
    yield "# The job's name: part of its tables' names, so better not changed later."
    yield f"{'# ' if guess.name == default else ''}name = {quote(guess.name)}"
    yield from _source_section(guess, url)
    yield from _task_section(guess)
    yield from _features_section(guess)
    for line in _REST.rstrip("\n").splitlines():
        if line == "[model]":
            yield from _number_sections(guess)
        yield line


def _source_section(guess: Guess, url: str) -> Iterator[str]:
    yield from ("", "[source]", "# Where the rows are. ${VARIABLE} is read from the environment: no password here.")
    yield f"url = {quote(url)}"
    yield f"table = {quote(guess.table)}" if guess.query is None else f"query = {quote(guess.query)}"
    yield "# Which rows are ready to be scored, as SQL. A row that is ready later is scored then."
    yield "# where = \"status = 'COMPLETE'\""
    yield from _setting(guess, "key", "What names a row for good: columns that are never NULL and never repeat.")
    yield from _setting(guess, "time", "When the row's event happened. Training, tests and scoring go by it.")
    if guess.time_format is not None:
        yield "# How its texts, and those of label_time, spell a time."
        yield f"time_format = {quote(guess.time_format)}"
    if guess.zoneless:
        yield "# The zone of those times, which carry none: name it, for example Europe/Berlin."
        yield 'timezone = "UTC"'
    yield from _setting(guess, "label", "The outcome to predict, NULL until it is known.")
    yield from _setting(guess, "label_time", "When the label became known. Nothing earlier may learn from it.")
    if not guess.label_time.columns:
        yield '# label_delay = "0d"'
    yield from _setting(
        guess, "group", "Rows that belong together, such as a lot: never split between training and test."
    )
    yield "# Columns that are never features."
    if guess.exclude:
        yield "exclude = ["
        yield from (f"  {quote(name)},  # {_flat(why)}" for name, why in guess.exclude.items())
        yield "]"
    else:
        yield "exclude = []  # nothing looks unfit"
    yield '# Numbers and texts that mean "not measured".'
    looks = [f"{value} in {', '.join(names[:5])}" for value, names in guess.missing.items()]
    spelled = sorted({text for each in guess.commas.values() for text in each.others})
    looks += [f"{quote(text)} in {', '.join(_list_holding(guess, text)[:5])}" for text in spelled]
    found = "  # looks so: " + _flat("; ".join(looks)) if looks else ""
    yield f"# missing = {quote([*guess.missing, *spelled] or [-9999])}{found}"
    if guess.commas:
        yield "# The decimal sign of numbers in texts, for the columns at [check.columns] below."
        yield 'decimal = ","'
    yield "# How far back to look for rows that arrive late or get ready late."
    yield '# late_arrival = "30d"'


def _setting(guess: Guess, name: str, meaning: str) -> Iterator[str]:
    pick = _pick(guess, name)
    many = name == "key"
    yield f"# {meaning}"
    if pick.columns:
        yield f"{name} = {quote(pick.columns if many else pick.column)}  # guess: {_flat(pick.why)}"
    else:
        must = "needed: " if name in guess.unknown else ""
        yield f"# {name} = {quote(['…'] if many else '…')}  # {must}{_flat(pick.why)}"


def _task_section(guess: Guess) -> Iterator[str]:
    yield from ("", "[task]", "# binary (two outcomes), multiclass (several) or regression (an amount).")
    yield f"kind = {quote(guess.kind)}"
    if guess.kind == "regression":
        yield "# The least and the most that need no action: a row whose predicted value lies outside is flagged."
        yield from ("# low = 0.0", "# high = 1.0")
        return
    if guess.kind == "multiclass":
        yield from ("# The outcome that needs no action: by default the most frequent.", '# normal = "…"')
    else:
        yield "# The label's value that is to be found, such as a failure."
        yield f"positive = {quote(guess.positive)}  # guess: {_flat(guess.positive_why)}"
    yield "# What a mistake costs, in any unit: a failure that was missed, and a good row that was flagged."
    yield from ("# Their ratio sets the threshold.", "cost_missed = 20.0", "cost_false_alarm = 1.0")
    if guess.kind == "binary":
        yield "# Or the share of rows that may be flagged does; or min_recall, the share of failures to find."
        yield "# max_flagged = 0.05"


def _features_section(guess: Guess) -> Iterator[str]:
    by, label = guess.remembers, guess.label.column
    yield from (
        "",
        "[features]",
        "# What was known before each row becomes columns, as of the row's own time: take the # away",
    )
    yield f"# from these lines for the last outcomes of its tool. {_flat(by.why)}."
    yield "# [[features.history]]"
    yield f"# of = {quote(label or '…')}"
    yield f"# by = {quote(by.columns)}"
    yield "# last = [1, 5, 50]"


def _list_holding(guess: Guess, text: str) -> list[str]:
    return [name for name, each in guess.commas.items() if text in each.others]


def _number_sections(guess: Guess) -> Iterator[str]:
    for name in guess.commas:
        yield f"[check.columns.{quote(name)}]"
        yield 'type = "number"  # guess: texts of numbers with a decimal comma'
        yield ""


def _flat(text: str) -> str:
    """Return a text in one line, whatever a column is called."""
    return " ".join("".join(sign if sign.isprintable() else " " for sign in text).split())


_REST = """
[store]
# Where rowcast keeps its own tables: by default in the same database, in a schema of their own.
# url = "sqlite:///rowcast.db"
# schema = "rowcast"

[check]
# A run stops before it publishes when more than this share of rows breaks what was learned of the columns.
# max_quarantine = 0.10
# What you know better of a column than its data tells; one section for each.
# [check.columns."name of a column"]
# min = 0.0
# max = 100.0
# nullable = false

[model]
# Columns that a model may use, chosen by what they bring: fewer are read faster.
# max_features = 60
# The latest labelled rows that it learns from.
# max_train_rows = 100_000
# Time after which no further kind of model is tried.
# budget = "5m"
# How far back they may go, such as "180d".
# window = "180d"
# Your own scikit-learn compatible estimator, as "package.module:factory".
# estimator = "default"

[retrain]
# When a new model is tried: every (so often), on-drift (when rows have changed), on-loss (when the champion costs more
# than it promised), never. The gate decides whether it serves.
# policy = "every"
# every = "7d"
# min_new_labels = 50

[gate]
# When a newer model serves: fresh (unless labels show that it is worse), better (if it is expected to cost less),
# proven (only once a gain is beyond luck, for lines where each change must be requalified).
# rule = "fresh"
# fresh: the chance, at most, that within a year a model is put in service that costs so much more than the one before.
# max_harm = 0.05
# proven: the chance, at most, that a year of gates promotes a model that is no better. All: what it must save per row.
# yearly_error = 0.05
# min_gain = 0.0
# For so long the champion before scores along; if it turns out to have been better, it serves again. 0 switches it off.
# watch_days = 28

[infer]
# Rows that are read, scored and published at once, and processes that work side by side.
# batch_rows = 50_000
# workers = 2
# How often what is said of a row, a set of outcomes or an interval, is to hold its true outcome.
# confidence = 0.9

[monitor]
# How often a person may be told, on average, of a change that is none: of rows, and of what predictions cost.
# false_alarms_per_month = 1.0
# A column by which charts are drawn apart, such as a tool; a table of maintenance, which begins them anew.
# group_by = "tool"
# events = "maintenance"
# event_time = "done_at"

[notify]
# Who gets a message about trouble and about decisions: 'rowcast notify --test' tries it.
# sns_topic = "arn:aws:sns:eu-central-1:123456789012:wafers"
# urls = ["${ROWCAST_MAIL_URL}"]
# min_severity = "info"
# digest = "7d"

[logs]
# Also write figures in CloudWatch's embedded metric format.
# cloudwatch = false
"""
