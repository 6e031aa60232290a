"""Guesses what the columns of a table are, by their constraints, names, types and sampled values."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import SecretStr

from rowcast.config import Scalar
from rowcast.database import Column
from rowcast.fetch import ScopeCounts
from rowcast.init import vocabulary
from rowcast.init.look import Look
from rowcast.init.spelled import CommaNumbers, find_comma_numbers, find_time_format
from rowcast.job.opening import is_taken
from rowcast.models.target import Kind

_LONGEST_NAME = 48  # bytes of a job's name
_MOST_KEYS, _FEW_ROWS = 3, 50  # leading columns that may be a key together, and rows that must tell so
_MANY_GROUPS = 20  # different values in a sample, from which a column may be one of lots by no other sign
_CODES = 12  # different numbers, up to which they may be codes of classes
_SENTINELS = (-9999, -999, -99999, -32768, 9999, 99999, 999999)
_PERSONAL = "seems to name a person: a model should judge rows, not people"
_DATED = re.compile(r"(\d{4}([-/])\d\d\2\d\d|\d\d\.\d\d\.\d{4})([ T]\d\d:\d\d|$)")
_ZONED = re.compile(r"(Z|UTC|GMT|[+-]\d\d(:?\d\d)?)$")


@dataclass(frozen=True)
class Pick:
    """The guess for one setting; `columns` is empty where nothing could be guessed."""

    columns: tuple[str, ...]
    why: str

    @property
    def column(self) -> str | None:
        return self.columns[0] if self.columns else None


@dataclass(frozen=True)
class Guess:
    """What a look at the table told."""

    url: SecretStr
    table: str | None
    query: str | None
    name: str
    key: Pick
    time: Pick
    time_format: str | None  # of its texts, where the database needs to be told
    zoneless: bool  # whether the times carry no zone
    label: Pick
    kind: Kind
    positive: Scalar
    positive_why: str
    label_time: Pick
    group: Pick
    remembers: Pick  # by what the last outcomes of rows alike may tell of the next
    exclude: dict[str, str]  # column -> why
    personal: tuple[str, ...]  # those of them that seem to name a person
    missing: dict[int, list[str]]  # a value that may mean "not measured" -> the columns that hold it
    commas: dict[str, CommaNumbers]  # columns of texts that are numbers with a decimal comma
    features: int
    scope: ScopeCounts | None = None  # of the rows that a first run would score; None where it cannot be told

    @property
    def unknown(self) -> tuple[str, ...]:
        """What must be filled in by hand before rowcast can run."""
        return tuple(name for name, pick in (("key", self.key), ("label", self.label)) if not pick.columns)


def guess_settings(look: Look, url: str, table: str | None, query: str | None) -> Guess:
    key = _usable_key(_key(look))
    times = [c.name for c in look.columns if _is_time(look, c)]
    time = _time(look, [name for name in times if name not in key.columns], key)
    look.add_newest([*time.columns, *key.columns])
    label, counts = _label(look, {*key.columns, *times})
    positive, positive_why = _positive(counts)
    late = [name for name in times if name not in (*key.columns, time.column) and _goes_with(look, name, time.column)]
    label_time = _label_time(look, late, time, label)
    taken = {*key.columns, *time.columns, *label.columns, *label_time.columns}
    group = _group(look, key, taken)
    taken |= set(group.columns)
    exclude = dict(_excluded(look, [c for c in look.columns if c.name not in taken], times, label))
    features = [c for c in look.columns if c.name not in taken | set(exclude) and (c.kind != "time" or time.columns)]
    commas = {c.name: read for c in features if (read := _read_commas(look, c))}
    return Guess(
        url=SecretStr(url),
        table=table,
        query=query,
        name=_name(table, query),
        key=key,
        time=time,
        time_format=_find_format(look, time.column),
        zoneless=bool(time.column) and _is_zoneless(look, str(time.column)),
        label=label,
        kind=_kind(look, label),
        positive=positive,
        positive_why=positive_why,
        label_time=label_time,
        group=group,
        remembers=_remembers(look, taken | set(exclude), time, label, label_time),
        exclude=exclude,
        personal=tuple(name for name, why in exclude.items() if why == _PERSONAL),
        missing=_missing(look, [c.name for c in features if c.kind == "number"]),
        commas=commas,
        features=len(features),
    )


def _usable_key(key: Pick) -> Pick:
    taken = [name for name in key.columns if is_taken(name)]
    if not taken:
        return key
    told = f"{taken[0]} is one, but rowcast itself writes a column of this name"
    return Pick((), f"{told}: a query can call it my_{taken[0]}, by {taken[0]} AS my_{taken[0]}")


def _key(look: Look) -> Pick:
    unique = sorted(look.relation.unique, key=len)
    if unique:
        ordered = [index for index in look.relation.indexed if frozenset(index) == unique[0]]
        columns = ordered[0] if ordered else tuple(n for n in look.relation.names if n in unique[0])
        return Pick(tuple(columns), "the database itself keeps it from repeating")
    found = [
        (-round(look.variety(c.name), 2), place, c.name)
        for place, c in enumerate(look.columns)
        if _is_key_like(look, c) and look.sample[c.name].null_count <= 0.05 * len(look.sample)
    ]
    if found:
        return Pick((min(found)[2],), "by its name, and its values hardly repeat; no constraint makes it unique")
    first = look.columns[0] if look.columns else None
    if first and len(look.sample) and _is_whole_or_text(first) and look.variety(first.name) == 1:
        return Pick((first.name,), "the first column, and no value in a sample repeats")
    together = _leading_key(look)
    if together:
        return Pick(together, "the first columns, which together do not repeat in a sample; no constraint says so")
    return Pick((), "no column is unique or named like a key; it must name each row for good")


def _leading_key(look: Look) -> tuple[str, ...]:
    """Return the first columns that together tell the rows of a sample apart; () where two or three do not."""
    leading: list[str] = []
    for column in look.columns[:_MOST_KEYS]:
        is_other = _is_time(look, column) or _named_like_label(look, column.name)
        if is_other or not _is_whole_or_text(column) or look.sample[column.name].null_count:
            return ()
        leading.append(column.name)
        different = look.sample.select(leading).group_by(leading).aggregate([]).num_rows
        if len(leading) > 1 and different == len(look.sample) > _FEW_ROWS:
            return tuple(leading)
    return ()


def _is_key_like(look: Look, column: Column) -> bool:
    words = look.words(column.name)
    named = {*words[:1], *words[-1:]} & vocabulary.KEY and not set(words) & vocabulary.GROUP
    return bool(named) and _is_whole_or_text(column) and look.variety(column.name) >= 0.95


def _is_whole_or_text(column: Column) -> bool:
    return column.integer or column.kind == "category"


def _is_time(look: Look, column: Column) -> bool:
    words = set(look.words(column.name))
    if column.kind == "number":
        numbers = look.values(column.name) if words & vocabulary.TIME else []
        return bool(numbers) and any(
            all(5e8 * unit < value < 5e9 * unit for value in numbers)
            for unit in (1, 1e3, 1e6, 1e9)  # seconds and finer, 1985 to 2128
        )
    if not look.is_sqlite:
        is_typed = column.kind == "time" and not column.type.startswith("time ")
        return is_typed or (column.kind == "category" and find_time_format(look.values(column.name)) is not None)
    if column.kind not in ("category", "time"):
        return False
    texts = look.values(column.name)
    return all(map(_parses, texts)) if texts else column.kind == "time"


def _find_format(look: Look, name: str | None) -> str | None:
    """Return the format of a time column's texts, where the database does not read them by itself."""
    if name is None or look.is_sqlite or look.relation[name].kind != "category":
        return None
    return find_time_format(look.values(name))


def _goes_with(look: Look, name: str, time: str | None) -> bool:
    """Return whether a time can be the label's: texts have the format that the event's have, or one alone has one."""
    forms = {form for form in (_find_format(look, name), _find_format(look, time)) if form is not None}
    return len(forms) < 2


def _read_commas(look: Look, column: Column) -> CommaNumbers | None:
    return find_comma_numbers([str(value) for value in look.values(column.name)]) if column.kind == "category" else None


def _parses(text: str) -> bool:
    if not _DATED.match(text):
        return False
    try:
        datetime.fromisoformat(_to_iso(text))
    except ValueError:
        return False
    return True


def _to_iso(text: str) -> str:
    """Return a time as ISO 8601 spells it, where there is no doubt which of its parts is which."""
    text = re.sub(r" ?(UTC|GMT)$", "Z", text.strip().replace("/", "-").replace(",", "."))
    dotted = re.match(r"(\d\d)\.(\d\d)\.(\d{4})", text)
    text = f"{dotted[3]}-{dotted[2]}-{dotted[1]}{text[10:]}" if dotted else text
    return re.sub(r" (?=[+-]\d\d(:?\d\d)?$)", "", text)


def _time(look: Look, candidates: list[str], key: Pick) -> Pick:
    ranked = []
    for place, name in enumerate(candidates):
        words, gaps = set(look.words(name)), look.sample[name].null_count
        late = bool(words & vocabulary.KNOWN)
        if late and gaps:
            continue
        rank = 3 if late else 2 if words & vocabulary.WRITTEN else 0 if words & vocabulary.TIME else 1
        ranked.append((gaps > 0.1 * len(look.sample), rank, place, name))
    if not ranked:
        inside = any(_is_time(look, look.relation[name]) for name in key.columns if name in look.sample.column_names)
        why = "the only time is part of the key: a query can give it a second name" if inside else ""
        return Pick((), why or "no column looks like a time; without one key order is time order")
    others = [name for name in candidates if name != min(ranked)[3]]
    also = f"; so {'does' if len(others) == 1 else 'do'} {', '.join(others)}" if others else ""
    return Pick((min(ranked)[3],), f"holds times{also}")


def _is_zoneless(look: Look, name: str) -> bool:
    column = look.relation[name]
    if not look.is_sqlite:
        if column.kind == "category":
            return "%z" not in (_find_format(look, name) or "%z")
        has_zone = column.type.endswith("with time zone") or column.type.startswith("datetimeoffset")
        return column.kind == "time" and not has_zone
    texts = look.values(name)
    return column.kind != "number" and bool(texts) and not all(_ZONED.search(text[10:].strip()) for text in texts)


def _label(look: Look, taken: set[str]) -> tuple[Pick, dict[Any, int]]:
    """Return the label, and how often each of its values was seen."""
    usable = [c for c in look.columns if c.name not in taken and c.kind != "time"]
    named = [c for c in usable if _named_like_label(look, c.name)]
    two = [c for c in usable if look.different(c.name) == 2]
    for column in sorted(named, key=lambda c: (c not in two, *_label_rank(look, c.name))):
        counts = look.counts(column) if look.different(column.name) <= 2 else {}
        if len(counts) <= 2 and look.different(column.name) <= 2:
            return Pick((column.name,), _seen(counts)), counts
    for column in two:
        counts = look.counts(column) if column.kind == "category" else {}
        if counts and {str(value).strip().lower() for value in counts} <= vocabulary.OUTCOMES:
            return Pick((column.name,), "by its values"), counts
    gaps = [c for c in two if look.sample[c.name].null_count]
    if len(gaps) == 1:
        return Pick((gaps[0].name,), "the only column with two values, and NULL in some rows"), look.counts(gaps[0])
    if named:
        name = named[0].name
        return Pick((name,), f"by its name; it has {look.different(name)} values in a sample"), {}
    several = f"; with two values and NULL: {', '.join(c.name for c in gaps[:5])}" if gaps else ""
    return Pick((), f"no column looks like an outcome{several}"), {}


def _kind(look: Look, label: Pick) -> Kind:
    """Return what is to be learned of the label: many numbers are amounts, other values are classes."""
    if label.column is None or look.different(label.column) <= 2:
        return "binary"
    is_number = look.relation[label.column].kind == "number"
    return "regression" if is_number and look.different(label.column) > _CODES else "multiclass"


def _seen(counts: dict[Any, int]) -> str:
    seen = ("no value was seen", "only one value was seen")
    return f"by its name; {seen[len(counts)]}" if len(counts) < 2 else "by its name, and it has two values"


def _named_like_label(look: Look, name: str) -> bool:
    words = look.words(name)
    return words == ["y"] or bool(set(words) & set(vocabulary.LABEL) - {"y"})  # die_y is a place


def _label_rank(look: Look, name: str) -> tuple[int, int]:
    words = look.words(name)
    return len(words), min(vocabulary.LABEL.index(word) for word in words if word in vocabulary.LABEL)


def _positive(counts: dict[Any, int]) -> tuple[Scalar, str]:
    """Return the value that means a failure."""
    bad = [value for value in counts if str(value).strip().lower() in {*vocabulary.BAD, "no", "n", "f", "1", "true"}]
    if len(counts) == 2 and len(set(counts.values())) == 2:
        rarer, other = sorted(counts, key=lambda value: counts[value])
        return rarer, f"the rarer one: {counts[rarer]} against {counts[other]} of {other!r} in a sample"
    if bad:
        return bad[0], "by its look"
    return 1, "could not be guessed"


def _label_time(look: Look, candidates: list[str], time: Pick, label: Pick) -> Pick:
    if not time.columns:
        return Pick((), "needs a time")
    known = vocabulary.KNOWN | {word for name in label.columns for word in look.words(name)} - vocabulary.TIME
    for name in candidates:
        if set(look.words(name)) & known:
            return Pick((name,), "by its name")
    for name in candidates:
        if label.column and _as_known(look, name, label.column):
            return Pick((name,), "known in the same rows as the label")
    return Pick((), "no second time looks like it; a label counts as known label_delay after the event")


def _as_known(look: Look, name: str, label: str) -> bool:
    gaps = look.gaps(label)
    return 10 <= gaps.sum() <= len(gaps) - 10 and bool((gaps == look.gaps(name)).all())


def _group(look: Look, key: Pick, taken: set[str]) -> Pick:
    in_key = [column for column in look.columns if column.name in key.columns]
    others = [column for column in look.columns if column.name not in taken]
    for column in (*in_key, *others):
        if set(look.words(column.name)) & vocabulary.GROUP and _repeats(look, column):
            where = "part of the key, " if column in in_key else ""
            return Pick((column.name,), f"{where}by its name, and its values repeat")
    leading = [column for column in in_key if column.name != key.columns[-1]]
    for column in leading:
        is_other = set(look.words(column.name)) & (vocabulary.TOOL | vocabulary.PERSON) or _is_time(look, column)
        if not is_other and look.different(column.name) >= _MANY_GROUPS and _repeats(look, column):
            return Pick((column.name,), "part of the key, many values, and they repeat")
    return Pick((), "no column looks like a lot or batch")


def _repeats(look: Look, column: Column) -> bool:
    return _is_whole_or_text(column) and (look.variety(column.name) < 0.9 or not len(look.sample))


def _remembers(look: Look, taken: set[str], time: Pick, label: Pick, label_time: Pick) -> Pick:
    """Return the column by which the outcomes known so far are worth a column, where they come late."""
    if not time.columns or label.column is None:
        return Pick((), "needs a time and a label")
    if not label_time.columns and not look.gaps(label.column).any():
        return Pick((), "no label seems to come late: set label_delay first, or training sees more than scoring")
    for column in look.columns:
        named = set(look.words(column.name)) & vocabulary.TOOL and (column.integer or column.kind == "category")
        if named and column.name not in taken and look.different(column.name) > 1 and look.variety(column.name) < 0.2:
            return Pick((column.name,), "by its name, and its values repeat")
    return Pick((), "no column looks like a tool; by = [] is the last outcomes of all rows")


def _excluded(look: Look, columns: list[Column], times: list[str], label: Pick) -> Iterator[tuple[str, str]]:
    """Yield columns that are better no features, and why."""
    for column in columns:
        name = column.name
        if _is_personal(look, column):
            yield name, _PERSONAL
        elif label.column and _as_known(look, name, label.column):
            yield name, "known only once the label is: it would give the outcome away"
        elif name in times and column.kind != "time":
            yield name, "a time"
        elif len(look.sample) > 50 and _is_key_like(look, column):
            yield name, "differs from row to row, like a key"
        elif column.kind == "category" and _read_commas(look, column) is None:
            texts = [str(value) for value in look.values(name)]
            long = sum(map(len, texts)) > 40 * len(texts)
            if long or (len(set(texts)) > 50 and look.variety(name) > 0.5):
                yield name, "free text, or nearly so"


def _is_personal(look: Look, column: Column) -> bool:
    return bool(set(look.words(column.name)) & vocabulary.PERSON) and (column.integer or column.kind == "category")


def _missing(look: Look, names: list[str]) -> dict[int, list[str]]:
    """Return values far from all others of their column that often stand for 'not measured'."""
    found: dict[int, list[str]] = {}
    for name in names:
        numbers = pc.cast(look.sample[name], pa.float64(), safe=False).drop_null().to_numpy()
        for value in _SENTINELS:
            others = numbers[numbers != value]
            if len(numbers) >= len(others) + 2 and len(others) and np.abs(others).max() < abs(value) / 5:
                found.setdefault(value, []).append(name)
    return found


def _name(table: str | None, query: str | None) -> str:
    if table is None:
        found = re.search(r'\bfrom\s+([\w."\[\]]+)', str(query), re.IGNORECASE)
        table = found[1] if found else "job"
    name = table.rpartition(".")[2].strip('"[]') or "job"
    return name.encode()[:_LONGEST_NAME].decode(errors="ignore")
