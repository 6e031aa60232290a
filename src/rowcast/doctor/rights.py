"""What a job may do in its databases, right by right, and the statement that gives what is missing."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from rowcast.database import Admin, Database, Grant
from rowcast.doctor.finding import Finding, describe_whole, to_problem
from rowcast.errors import DatabaseError


def check_grants(db: Database, grants: Sequence[Grant], hint: str = "") -> Iterator[Finding]:
    """Yield which rights this user lacks of those that are needed."""
    for grant in grants:
        lacking = db.admin.find_lacking(grant)
        if lacking:
            yield tell_lacking(db.admin, replace(grant, rights=lacking), hint)


def tell_lacking(admin: Admin, lacking: Grant, hint: str = "") -> Finding:
    """Return the problem of a right that is missing."""
    user = admin.user()
    told = f"{user} lacks the right to {', '.join(lacking.rights)} on {lacking.where}"
    return Finding("problem", " ".join(told.split()), hint, admin.write_grant(lacking, user))


def tell_denied(db: Database, error: DatabaseError, what: str = "") -> Finding:
    """Return the problem of a statement that the database denied or refused, with what gives the right to it."""
    told = f"{what}: {describe_whole(error)}" if what else describe_whole(error)
    if error.reason != "rights":
        return replace(to_problem(error), what=told)
    denied = db.admin.name_denied(error.what)
    if denied is None:
        return Finding("problem", told, "'rowcast ddl' prints every right that rowcast needs")
    return Finding("problem", told, "", db.admin.write_grant(denied, db.admin.user()))
