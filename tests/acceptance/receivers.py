"""Those who get messages: a webhook, a mail server, and SNS with a queue behind it, all of them on this machine."""

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_bytes, policy
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from aiosmtpd.smtp import SMTP


class Webhook:
    """A web server that takes JSON, answers with `status` after `delay` seconds, and never while it is `silent`."""

    def __init__(self) -> None:
        self.status, self.delay = 200, 0.0
        self.silent = False
        self.asked = 0
        self.taken: list[dict[str, Any]] = []
        self.over = threading.Event()
        hook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                hook.asked += 1
                found = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                hook.over.wait(60 if hook.silent else hook.delay)
                if hook.silent:
                    return
                if hook.status == 200:
                    hook.taken.append(found)
                self.send_response(hook.status)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=[0.05])
        self._thread.start()

    @property
    def url(self) -> str:
        """As Apprise knows it, with a user and a password."""
        return f"json://ops:{PASSWORD}@127.0.0.1:{self._server.server_address[1]}/alarms"

    @property
    def subjects(self) -> list[str]:
        return [found["title"] for found in self.taken]

    def close(self) -> None:
        self.over.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


PASSWORD = "hunter2-of-the-hook"


class Mail:
    """A mail server."""

    def __init__(self) -> None:
        self.taken: list[Any] = []
        self._loop = asyncio.new_event_loop()
        self._server = self._loop.run_until_complete(
            self._loop.create_server(lambda: SMTP(self, loop=self._loop), "127.0.0.1", 0)
        )
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        self.taken.append(message_from_bytes(envelope.content, policy=policy.default))
        return "250 taken"

    @property
    def url(self) -> str:
        port = self._server.sockets[0].getsockname()[1]
        return f"mailto://127.0.0.1:{port}?from=rowcast@fab.example&to=shift@fab.example"

    def close(self) -> None:
        async def end() -> None:
            self._server.close()
            others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
            for task in others:
                task.cancel()
            await asyncio.gather(*others, return_exceptions=True)

        asyncio.run_coroutine_threadsafe(end(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


class Topic:
    """An SNS topic, and a queue that gets what is published to it."""

    def __init__(self, clients: Any) -> None:
        self._sqs = clients("sqs")
        sns = clients("sns")
        self.arn: str = sns.create_topic(Name="alarms")["TopicArn"]
        self._queue = self._sqs.create_queue(QueueName="alarms")["QueueUrl"]
        about = self._sqs.get_queue_attributes(QueueUrl=self._queue, AttributeNames=["QueueArn"])
        sns.subscribe(TopicArn=self.arn, Protocol="sqs", Endpoint=about["Attributes"]["QueueArn"])

    def taken(self) -> list[dict[str, Any]]:
        """What has come to the queue since this was asked last."""
        found = self._sqs.receive_message(QueueUrl=self._queue, MaxNumberOfMessages=10).get("Messages", [])
        for each in found:
            self._sqs.delete_message(QueueUrl=self._queue, ReceiptHandle=each["ReceiptHandle"])
        return [json.loads(each["Body"]) for each in found]


@contextmanager
def amazon(setenv: Any) -> Iterator[Topic]:
    """moto's server, found by AWS_ENDPOINT_URL as Amazon's would be."""
    import boto3
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    for name, value in {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "AKIAROWCASTTEST",
        "AWS_SECRET_ACCESS_KEY": "aws-secret-of-the-test",
        "AWS_EC2_METADATA_DISABLED": "true",
    }.items():
        setenv(name, value)
    try:
        yield Topic(lambda service: boto3.client(service, region_name="eu-central-1"))
    finally:
        server.stop()
