"""The model card: all that the store knows about one version, for those who must rely on it."""

from rowcast.card.record import Card, gather

__all__ = ["Card", "gather"]
