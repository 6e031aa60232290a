"""What is suspect about a version that is held back, in a sentence."""

from rowcast.gate import Guard, HeldBack


def describe_held_back(held: HeldBack, *, values: bool = False) -> str:
    """Return what is suspect; with `values` it names a category."""
    match held.guard:
        case Guard.LABELS_LOST:
            return f"{held.now:,.0f} labels are known, {held.was:,.0f} were when the champion was trained"
        case Guard.GROUP_LOST:
            which = f"'{held.category}'" if values else "one category"
            return (
                f"of {held.was:,.0f} labelled rows with {which} in column '{held.column}' that the champion learned"
                f" from, {held.now:,.0f} are left"
            )
        case Guard.FLAGS_JUMP:
            return (
                f"it flags {held.now:.0%} of the {held.rows:,} newest rows without a label, the champion"
                f" {held.was:.0%}; for it that is twice as many as of the labelled rows, or half as many, for the"
                " champion it is not"
            )
