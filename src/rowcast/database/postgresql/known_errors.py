"""Errors of PostgreSQL and its driver, by SQLSTATE or parts of their text, and what they mean."""

from rowcast.database.known_errors import CHECK_QUERY, KnownError

KNOWN_ERRORS = (
    KnownError("password authentication", "login", "check user and password in the url, or the variable it names"),
    KnownError("no password supplied", "login", "the url names no password"),
    KnownError('FATAL:  database "', "missing", "check the database's name in the url"),
    KnownError("permission denied for database", "rights", "'rowcast doctor' has the statement that lets this user in"),
    KnownError(
        "unsupported startup parameter",
        "login",
        "a pooler stands in between and takes no such option: leave it out of the url, or name the server itself",
    ),
    KnownError(
        "query_wait_timeout",
        "unreachable",
        "a pooler stands in between and has no session free: rowcast needs one for each worker, and two more",
    ),
    KnownError(
        "Failed to connect", "unreachable", "check host, port and database in the url, and that the server is up"
    ),
    KnownError("42501", "rights", "'rowcast doctor' names the right that is missing, and the statement that gives it"),
    KnownError("23505", "duplicate"),
    KnownError("42P06", "duplicate"),
    KnownError("42P07", "duplicate"),
    KnownError("42P01", "missing"),
    KnownError("does not exist in target table", "missing", "a column is gone from one of rowcast's own tables"),
    KnownError("NOT_FOUND: ", "missing"),
    KnownError("42703", "missing"),
    KnownError("3F000", "missing"),
    KnownError("42601", "syntax", CHECK_QUERY),
    KnownError("42702", "syntax", "name the query's columns, each once: SELECT a.lot, b.x, …"),
    KnownError("25006", "unreachable", "it is a standby, or this user is set to default_transaction_read_only"),
    KnownError("40001", "conflict", "another transaction was in the way; try again"),
    KnownError("40P01", "conflict", "another transaction was in the way; try again"),
    KnownError("53100", "full", "free some space; nothing of the unfinished batch was kept"),
    KnownError("55P03", "locked", "another session holds the lock; try again when it is done"),
    KnownError("57P", "unreachable", "the server closed the connection"),
    KnownError("08", "unreachable", "the server closed the connection"),
    KnownError("terminating connection", "unreachable", "the server closed the connection"),
    KnownError("closed the connection", "unreachable", "the server closed the connection"),
    KnownError("no connection to the server", "unreachable", "the server closed the connection"),
)
