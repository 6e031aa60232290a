"""A fab to try rowcast on: wafers with sensors, late outcomes, drifts and bad rows, and the truth about all of them."""

from rowcast.simulate.fab import BAD_KINDS, BadRow, Drift, Fab, Maintenance, Truth
from rowcast.simulate.simulation import Simulation, simulate

__all__ = ["BAD_KINDS", "BadRow", "Drift", "Fab", "Maintenance", "Simulation", "Truth", "simulate"]
