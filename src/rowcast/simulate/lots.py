"""When and where lots run, and which of their rows are bad."""

import numpy as np

from rowcast.simulate.fab import BAD_KINDS, Fab, Floats, Integers
from rowcast.simulate.streams import DAY, LOT, open_stream, to_microseconds

TOOLS = ("ETCH-01", "ETCH-02", "ETCH-03", "ETCH-04")
CHAMBERS = ("A", "B", "C")
RECIPES = {"CONTACT": 0.40, "GATE": 0.30, "METAL-1": 0.20, "VIA": 0.08, None: 0.02}


class Lots:
    """When and where lots run: arrays with one entry per lot, in time order."""

    def __init__(self, fab: Fab) -> None:
        random, lots = open_stream(fab.seed, "lots"), -(-fab.rows // LOT)
        gaps = random.gamma(0.7, size=lots) + 0.01
        gaps *= fab.days * DAY / gaps.sum()
        self.zero, self.starts = to_microseconds(fab.start), np.cumsum(gaps) - gaps  # seconds after zero
        self.pace = np.minimum(gaps / LOT, 60)  # seconds between wafers
        self.numbers = np.argsort(np.argsort(np.arange(lots) + random.uniform(0, 6, lots))) + 1  # lots overtake
        self.digits = max(5, len(str(lots)))
        self.tools = random.integers(len(TOOLS), size=lots)
        self.turns = random.integers(len(CHAMBERS), size=lots)  # chamber of the first wafer; the next take turns
        self.recipes = random.choice(len(RECIPES), size=lots, p=list(RECIPES.values()))
        self.delays = (random.uniform(*fab.label_delay_days, lots) * DAY).astype(np.int64)  # seconds

    def seconds(self, rows: Integers) -> Floats:
        lot, pair = rows // LOT, rows % LOT // 2  # metrology takes two wafers at a time
        return np.floor(self.starts[lot] + 2 * pair * self.pace[lot])

    def measured_at(self, rows: Integers) -> Integers:
        return self.zero + self.seconds(rows).astype(np.int64) * 1_000_000

    def labelled_at(self, rows: Integers) -> Integers:
        return self.measured_at(rows) + self.delays[rows // LOT] * 1_000_000

    def station(self, rows: Integers) -> Integers:
        """Tool and chamber as one number: tool x 3 + chamber."""
        chambers = len(CHAMBERS)
        return self.tools[rows // LOT] * chambers + (self.turns[rows // LOT] + rows % LOT) % chambers

    def wafer_ids(self, rows: Integers) -> list[str]:
        keys = zip(self.numbers[rows // LOT].tolist(), (rows % LOT + 1).tolist(), strict=True)
        return [f"L{number:0{self.digits}d}-{slot:02d}" for number, slot in keys]


def draw_incidents(fab: Fab, lots: Lots, sensors: list[int]) -> Integers:
    """Bad rows as (row, kind, sensor), shape (b, 3), in row order.

    Every kind comes all over the horizon and in its last days. One pair of neighbours is drawn from each of equal
    shares of the rows, so that no row is hit twice.
    """
    random, codes = open_stream(fab.seed, "bad"), [BAD_KINDS.index(kind) for kind in fab.bad_kinds]
    if not codes:
        return np.empty((0, 3), np.int64)
    count = round(fab.rows * fab.bad_rows * len(codes) / (len(codes) + ("repeated_key" in fab.bad_kinds)))
    pairs = fab.rows // 2
    unlabelled = int(np.searchsorted(lots.starts, (fab.days - fab.label_delay_days[0]) * DAY)) * LOT
    first = min(-(-unlabelled // 2), pairs)
    late = min(max(round(count * (pairs - first) / max(pairs, 1)), len(codes)), pairs - first, count // 2)
    found = []
    for start, stop, hits in ((0, first, count - late), (first, pairs, late)):
        edges = start + np.arange(hits + 1) * (stop - start) // max(hits, 1)
        for place, pair in enumerate(random.integers(edges[:-1], edges[1:]).tolist()):
            kind, sensor, side = codes[place % len(codes)], sensors[random.integers(len(sensors))], random.integers(2)
            twice = BAD_KINDS[kind] == "repeated_key"
            found += [(2 * pair + half, kind, sensor) for half in ((0, 1) if twice else (side,))]
    return np.array(found, np.int64).reshape(-1, 3)
