"""What the HTTP service was asked beside what the batch read, in words."""

from rowcast.formatting import percent
from rowcast.store.reading.online_pairs import OnlineSkew


def describe_skew(skew: OnlineSkew) -> str:
    """Return in a sentence how far rows differ between the HTTP service and the batch."""
    share = percent(skew.share or 0.0)
    told = f"online: of {skew.rows:,} recorded rows that the batch scored too, it read other values in {share}"
    return f"{told}; of {skew.same_version:,} that one version scored both times, {skew.scores_differ:,} scores differ"
