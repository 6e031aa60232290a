"""Where scoring begins, and what it leaves out, in a sentence."""

from rowcast.fetch import ScopeCounts


def describe_scope(counts: ScopeCounts, *, is_fixed: bool) -> str:
    """Return which rows are scored, or would be if the first model were promoted now."""
    scope = counts.scope
    begin = "began" if is_fixed else "would begin now"
    if scope.since is not None:
        where = f"scoring {begin} with rows from {scope.since:%Y-%m-%d %H:%M} UTC on"
    else:
        where = (
            f"scoring {begin} after key {', '.join(scope.after)}"
            if scope.after
            else f"scoring {begin} at the first key"
        )
    if scope.with_learned:
        left = "rows with a known label are scored too, since [infer] since asks for it"
    else:
        left = f"{counts.learned:,} others, whose label is known, are left to training"
        left += ", but for those of them that are scored already" if is_fixed and counts.learned else ""
    verb = "are" if is_fixed else "would be"
    return f"{where}: {counts.scored:,} of {counts.rows:,} rows {verb} in scope, {counts.older:,} are older; {left}"
