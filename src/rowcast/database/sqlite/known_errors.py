"""Errors of SQLite, by parts of their text, and what they mean."""

from rowcast.database.known_errors import CHECK_QUERY, KnownError

KNOWN_ERRORS = (
    KnownError("readonly database", "rights", "the file or its folder is read-only for this user"),
    KnownError("unable to open", "unreachable", "the file or its folder may not be opened by this user"),
    KnownError("disk is full", "full", "free some space; nothing of the unfinished batch was kept"),
    KnownError(
        "disk I/O error",
        "full",
        "the disk is full, a limit was reached, or it fails; the unfinished batch was not kept",
    ),
    KnownError("database is locked", "locked", "another program holds the file; try again when it is done"),
    KnownError("UNIQUE constraint", "duplicate"),
    KnownError("no such table", "missing"),
    KnownError("no such column", "missing"),
    KnownError("has no column named", "missing", "a column is gone from one of rowcast's own tables"),
    KnownError("syntax error", "syntax", CHECK_QUERY),
    KnownError("incomplete input", "syntax", CHECK_QUERY),
    KnownError("unrecognized token", "syntax", CHECK_QUERY),
    KnownError("not a database", "other", "the file is not SQLite, or it is encrypted"),
)
