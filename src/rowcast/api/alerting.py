"""Calls by which people and other systems hear of a job."""

from typing import TYPE_CHECKING

from rowcast.account import name_account
from rowcast.api.connections import Connections

if TYPE_CHECKING:
    from rowcast.alerts.delivery import DeliveryResult, SinkAnswer
    from rowcast.store.alert_record import Acknowledgement, Alert
    from rowcast.tracking import MirrorResult


class Alerting(Connections):
    """Calls that deliver alerts and figures."""

    def alerts(self) -> "tuple[Alert, ...]":
        """Return the alerts that stand, the oldest first, as `rowcast acknowledge` lists them."""
        with self.connection() as job:
            return tuple(job.alerts.list_standing())

    def acknowledge(self, alert_id: int, *, note: str, by: str | None = None) -> "Acknowledgement":
        """Write down that a person has seen an alert that stands, and return what is on record.

        What was first written stays. An alert that changes later is a new one.

        Parameters
        ----------
        alert_id
            `Alert.alert_id`.
        note
            What is done about it, in a sentence or two.
        by
            Who has seen it; by default this computer's user.

        Raises
        ------
        UsageError
            Where the alert is over, or has changed.
        """
        with self.connection() as job:
            return job.alerts.acknowledge(alert_id, by=by or name_account(), note=note)

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

    def mirror(self) -> "MirrorResult":
        """Send runs, figures, versions and decisions that wait to the MLflow server, as `rowcast mlflow`.

        Raises
        ------
        ConfigError
            Where `[mlflow]` names no server.
        """
        from rowcast import tracking

        return tracking.mirror(self.settings)

    def metrics(self, *, cloudwatch: bool = False) -> str:
        """Return the newest runs' figures in Prometheus' text format, as `rowcast metrics` prints them.

        With `cloudwatch` return what waits as a line of CloudWatch's embedded metric format instead.
        """
        from rowcast.metrics import format_for_cloudwatch, format_metrics

        with self.connection() as job:
            return f"{format_for_cloudwatch(job)}\n" if cloudwatch else format_metrics(job)
