"""Calls by which people and other systems hear of a job."""

from typing import TYPE_CHECKING

from rowcast.api.connections import Connections

if TYPE_CHECKING:
    from rowcast.alerts.delivery import DeliveryResult, SinkAnswer


class Alerting(Connections):
    """Calls that deliver alerts and figures."""

    def notify(self) -> "DeliveryResult":
        """Deliver the alerts that wait, also those whose delivery failed a short while ago, as `rowcast notify`.

        Raises
        ------
        NotifyError
            Where `[notify]` names no sink.
        """
        from rowcast.alerts.delivery import deliver_waiting

        with self.connection() as job:
            return deliver_waiting(job)

    def test_sinks(self) -> "tuple[SinkAnswer, ...]":
        """Send a test message to every sink, and return what each answered. Raise NotifyError where there is none."""
        from rowcast.alerts.delivery import test_sinks

        return test_sinks(self.settings)

    def metrics(self, *, cloudwatch: bool = False) -> str:
        """Return the newest runs' figures in Prometheus' text format, as `rowcast metrics` prints them.

        With `cloudwatch` return what waits as a line of CloudWatch's embedded metric format instead.
        """
        from rowcast.metrics import format_for_cloudwatch, format_metrics

        with self.connection() as job:
            return f"{format_for_cloudwatch(job)}\n" if cloudwatch else format_metrics(job)
