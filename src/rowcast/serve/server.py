"""uvicorn around the application: the socket, TLS, signals, and connections that take too long."""

import asyncio
import socket
import ssl
import time
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import structlog
import uvicorn

from rowcast.errors import ConfigError, UsageError
from rowcast.serve.application import Application
from rowcast.serve.clock import clock
from rowcast.serve.connections import Connection, Patience, end_slow

log = structlog.get_logger("rowcast")

LOOPBACK = ("127.0.0.1", "::1", "localhost")
DRAIN = 1.0  # seconds between ready turning false and the end of new connections
_PATIENCE = 20  # seconds for what is under way then


@dataclass(frozen=True)
class Address:
    """Where the service listens, and with which certificate."""

    host: str
    port: int
    certificate: Path | None = None
    key: Path | None = None

    @property
    def is_local(self) -> bool:
        """Whether only this computer can ask."""
        return self.host in LOOPBACK

    @property
    def scheme(self) -> str:
        """http or https."""
        return "http" if self.certificate is None else "https"


def bind(address: Address) -> socket.socket:
    """Return a socket that listens. Raise UsageError where the address is taken or not there."""
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    # With the protocol's number asyncio knows that what is written is to be sent at once, not after an ACK of 40 ms.
    bound = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((address.host, address.port))
        bound.listen(2048)  # from here on nobody else can have it, and who asks waits until the service is ready
    except OSError as error:
        bound.close()
        raise UsageError(
            f"{address.host}:{address.port} cannot be listened on: {error.strerror}",
            hint="another service may have the port: name another with --port",
        ) from None
    return bound


def check_certificate(address: Address) -> None:
    """Raise ConfigError where the certificate cannot be read, or its key is not its own."""
    if address.certificate is None or address.key is None:
        return
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(address.certificate, address.key)
    except OSError as error:  # ssl's own are among them
        reason = getattr(error, "reason", None) or error.strerror
        raise ConfigError(
            f"certificate {address.certificate} and key {address.key} cannot be used: {reason}",
            hint="--tls-cert and --tls-key name the two PEM files of one pair",
        ) from None


class Server(uvicorn.Server):
    """Ends in order: ready turns false, then nothing new is taken on, then what is under way ends."""

    def __init__(self, config: uvicorn.Config, application: Application, drain: float, patience: Patience) -> None:
        super().__init__(config)
        self.patience = patience
        self.application = application
        self.drain = drain
        self._ending: float | None = None

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to end; a second signal ends at once."""
        if self._ending is None:
            self._ending = time.monotonic() + self.drain
            self.application.state.is_draining = True
        else:
            self.should_exit = self.force_exit = True

    async def on_tick(self, counter: int) -> bool:
        """End slow connections; and end once load balancers had time to see that ready is false."""
        clock.tick()
        if counter % 5 == 0:
            end_slow(self.server_state.connections, self.patience)
        if self._ending is not None and time.monotonic() >= self._ending:
            self.should_exit = True
        return await super().on_tick(counter)


def make_server(
    application: Application, address: Address, drain: float = DRAIN, patience: Patience | None = None
) -> Server:
    """Return a server that is yet to run."""
    options: dict[str, Any] = {}
    if address.certificate is not None:
        options |= {"ssl_certfile": address.certificate, "ssl_keyfile": address.key}
    given = patience or Patience()

    class Patient(Connection):
        patience = given

    config = uvicorn.Config(
        application,
        http=Patient,
        ws="none",
        lifespan="off",
        loop="asyncio",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=30,
        timeout_graceful_shutdown=_PATIENCE,
        **options,
    )
    return Server(config, application, drain, given)


def describe_place(address: Address, bound: socket.socket) -> str:
    """Return the URL of what is bound."""
    host, port = bound.getsockname()[:2]
    return f"{address.scheme}://{host}:{port}"


def run(application: Application, address: Address, bound: socket.socket) -> None:
    """Serve until a signal ends it."""
    server = make_server(application, address)
    log.info("serving", url=describe_place(address, bound), jobs=list(application.jobs))
    try:
        asyncio.run(server.serve(sockets=[bound]))
    finally:
        application.close()
    log.info("the service has ended")
