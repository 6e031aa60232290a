"""Rows and answers as CSV: RFC 4180, UTF-8, a first line of column names unless `header=absent`."""

import csv
import io
from collections.abc import Sequence

import pyarrow as pa
import pyarrow.csv as pa_csv

from rowcast.serve.columns import KnownColumns
from rowcast.serve.protocols.arrow_stream import to_table
from rowcast.serve.refusal import bad_request
from rowcast.serve.request import SentRows
from rowcast.serve.scoring import Answer

_LONGEST_HEADER = 1_000_000  # bytes


def read_csv(body: bytes, known: KnownColumns, *, has_header: bool) -> SentRows:
    """Return the rows of a CSV body; without a header they hold the features in their order. Empty is NULL."""
    if not body.strip():
        raise bad_request("there are no rows", "send a line of column names, and a line for each row")
    names = _read_header(body, known) if has_header else known.features
    table = _parse(body, names, has_header)
    if table.num_rows == 0:
        raise bad_request("there are no rows", "send a line for each row; the first line names the columns")
    return SentRows(table.num_rows, {name: table.column(name).combine_chunks() for name in names})


def _read_header(body: bytes, known: KnownColumns) -> list[str]:
    try:
        names = next(csv.reader(io.StringIO(body[:_LONGEST_HEADER].decode("utf-8-sig", "ignore"))), [])
    except csv.Error:
        names = []
    if not any(name in known.kinds or name in known.others for name in names):
        # Not named: without a header they would be values.
        raise bad_request(
            "the first line of the CSV names no column of the job",
            "send a line of column names; or 'content-type: text/csv; header=absent', the features in their order",
        )
    if len(set(names)) != len(names):
        raise bad_request("the first line of the CSV names a column twice", "which of its values is meant?")
    return names


def _parse(body: bytes, names: Sequence[str], has_header: bool) -> pa.Table:
    """Every column comes as text: what it means is for data-check to say."""
    try:
        return pa_csv.read_csv(
            pa.BufferReader(body),
            read_options=pa_csv.ReadOptions(
                use_threads=False,
                block_size=len(body) + 1,
                column_names=list(names),
                skip_rows_after_names=int(has_header),
            ),
            parse_options=pa_csv.ParseOptions(newlines_in_values=True),
            convert_options=pa_csv.ConvertOptions(
                column_types=dict.fromkeys(names, pa.string()),
                null_values=[""],
                strings_can_be_null=True,
                quoted_strings_can_be_null=False,
            ),
        )
    except (pa.ArrowInvalid, pa.ArrowKeyError):  # what Arrow says quotes the line
        raise bad_request(
            f"the CSV cannot be read: each line needs {len(names)} values, as UTF-8", "quote values that hold commas"
        ) from None


def write_csv(answer: Answer) -> bytes:
    """Return an answer as CSV: a line for each row of the request."""
    sink = pa.BufferOutputStream()
    pa_csv.write_csv(to_table(answer), sink)
    return bytes(sink.getvalue())
