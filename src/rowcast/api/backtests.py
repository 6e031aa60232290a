"""The call that replays policies over a job's history."""

from datetime import timedelta
from typing import TYPE_CHECKING

from rowcast.api.connections import Connections
from rowcast.api.moments import Moment, to_text
from rowcast.backtest.policies import DEFAULT

if TYPE_CHECKING:
    from rowcast.backtest.record import BacktestReport
    from rowcast.backtest.running import Progress


class Backtests(Connections):
    """Policies replayed over the history: nothing of the job itself is written."""

    def backtest(
        self,
        policies: str = DEFAULT,
        *,
        rules: str = "",
        windows: str = "",
        estimators: str = "",
        since: Moment | None = None,
        until: Moment | None = None,
        step: timedelta = timedelta(days=1),
        retrain_cost: float = 0.0,
        review_cost: float = 0.0,
        workers: int = 2,
        fresh: bool = False,
        progress: "Progress | None" = None,
    ) -> "BacktestReport":
        """Return what retraining policies would have cost on this job's own history, as `rowcast backtest`.

        Parameters
        ----------
        policies
            Names, parted by commas: `never`, `every:7d`, `on-drift`, `on-loss`. The job's own is among them in any
            case, and so are `never` and `always`, which puts each new model in service unasked.
        rules, windows, estimators
            What each policy is tried with beside the job's own, one at a time: names, parted by commas. Rules of
            `[gate]`; `window` of `[model]`, or `all`; `estimator` of `[model]`.
        since, until
            The first moment as of which the pipeline is run, and the last. By default from when a quarter of the labels
            were known to the newest event.
        step
            From one run of the pipeline to the next.
        retrain_cost, review_cost
            What a build and an alarm cost beside wrong decisions, in the units of `[task]`.
        workers
            Policies that are replayed at the same time, each in a process of its own: a script must stand under
            `if __name__ == "__main__":`.
        fresh
            Replay all anew; otherwise what earlier calls have done is not done again.
        progress
            Called while it lasts with a policy's name, its moments that are done, and moments in all.

        Raises
        ------
        UsageError
            Where a policy is not known, or the source has no event time.
        TrainingError
            Where no label is known, or no row can be compared.
        """
        from rowcast.backtest.policies import Variations
        from rowcast.backtest.record import Prices
        from rowcast.backtest.running import Request, backtest

        prices = Prices(retrain_cost, review_cost)
        variations = Variations(rules, windows, estimators)
        request = Request(policies, variations, to_text(since), to_text(until), step, prices)
        return backtest(self.settings, request, workers=workers, fresh=fresh, progress=progress)
