"""AWS SNS. Credentials and AWS_ENDPOINT_URL come from the environment, as boto3 reads them."""

from typing import Any

from rowcast.errors import NotifyError
from rowcast.notify.message import Message

_CONNECT, _READ = 3, 5  # seconds


class SNS:
    """Publishes to a topic, in the region that its ARN names."""

    name = "sns"

    def __init__(self, topic: str) -> None:
        self.topic = topic

    def send(self, message: Message) -> None:
        try:
            import boto3
            from botocore.config import Config
            from botocore.exceptions import BotoCoreError, ClientError
        except ModuleNotFoundError:
            raise NotifyError("SNS needs boto3, which is not installed", hint="pip install 'rowcast[notify]'") from None
        attributes = {name: {"DataType": "String", "StringValue": value} for name, value in message.attributes.items()}
        waits = Config(connect_timeout=_CONNECT, read_timeout=_READ, retries={"total_max_attempts": 1})
        try:
            client: Any = boto3.client("sns", region_name=self.topic.split(":")[3], config=waits)
            client.publish(
                TopicArn=self.topic, Subject=message.subject, Message=message.text, MessageAttributes=attributes
            )
        except (BotoCoreError, ClientError) as error:
            raise NotifyError(" ".join(str(error).split())) from None
