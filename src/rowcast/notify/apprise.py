"""Everything that Apprise knows by a URL: mail, Slack, Teams, webhooks and a hundred others."""

import contextlib
import logging
import threading
from collections.abc import Iterator
from html import escape
from typing import Any

from pydantic import SecretStr

from rowcast.errors import NotifyError
from rowcast.notify.message import Message

_CONNECT, _READ = 3.0, 5.0  # seconds


class Apprise:
    """Sends to one Apprise URL."""

    def __init__(self, name: str, url: SecretStr) -> None:
        self.name = name
        self._url = url

    def send(self, message: Message) -> None:
        try:
            import apprise
            from apprise.conversion import convert_between
        except ModuleNotFoundError:
            raise NotifyError(
                "URLs need Apprise, which is not installed", hint="pip install 'rowcast[notify]'"
            ) from None
        with _complaints() as said:
            asset = apprise.AppriseAsset(app_id="rowcast", app_desc="rowcast", app_url="")
            service: Any = apprise.Apprise.instantiate(self._url.get_secret_value(), asset=asset)
            if service is None:
                raise NotifyError("Apprise does not understand the URL", hint="see Apprise's page about the service")
            service.socket_connect_timeout, service.socket_read_timeout = _CONNECT, _READ
            kind = {"info": "info", "warning": "warning", "error": "failure"}[message.severity]
            # The text keeps its lines and signs where a service sends HTML or Markdown.
            plain = apprise.NotifyFormat.TEXT
            sent_as = service.resolve_format(plain)
            if sent_as == apprise.NotifyFormat.HTML:
                body = _as_html(message.text)
            else:
                body = convert_between(plain, sent_as, message.text)  # type: ignore[no-untyped-call]
            taken = service.notify(title=message.subject, body=body, notify_type=kind, body_format=sent_as)
        if not taken:
            raise NotifyError(" ".join("; ".join(said).split()) or "the service did not take the message")


def _as_html(text: str) -> str:
    """Return the text in its lines and columns, which wrap where a window is narrow; Apprise's own never do."""
    return f'<pre style="white-space: pre-wrap">{escape(text, quote=False)}</pre>'


@contextlib.contextmanager
def _complaints() -> Iterator[list[str]]:
    """What Apprise logs in this thread: it says there why it failed, and would otherwise print it."""
    said: list[str] = []
    logger, thread = logging.getLogger("apprise"), threading.get_ident()

    class Kept(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.thread == thread:
                said.append(record.getMessage())

    handler = Kept(logging.WARNING)
    logger.addHandler(handler)
    logger.propagate = False
    try:
        yield said
    finally:
        logger.removeHandler(handler)
