"""A pooler in transaction mode, as PgBouncer is one, for the tests: sessions change hands between transactions."""

import contextlib
import socket
import struct
import threading

_SSL_REQUEST, _CANCEL = 80877103, 80877102


class Pooler:
    """Listens on 127.0.0.1 and hands the sessions of a server from client to client, the last used first."""

    def __init__(self, port: int) -> None:
        self.server_port = port
        self.idle: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._listen, daemon=True).start()

    def close(self) -> None:
        self._listener.close()
        for session in self.idle:
            session.close()

    def _listen(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=[client], daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with contextlib.suppress(OSError, EOFError), client:
            self.idle.append(self._log_in(client))
            held: socket.socket | None = None
            while True:
                kind, message = _read(client)
                if kind == b"X":
                    break
                held = held or self.idle.pop()
                held.sendall(message)
                if kind in b"QScf" and _answer(held, client) == b"I":
                    self.idle.append(held)
                    held = None

    def _log_in(self, client: socket.socket) -> socket.socket:
        """A session of its own for the client to log in by."""
        first = _exactly(client, 8)
        if struct.unpack("!ii", first)[1] == _SSL_REQUEST:
            client.sendall(b"N")
            first = _exactly(client, 8)
        length, code = struct.unpack("!ii", first)
        if code == _CANCEL:
            raise EOFError
        server = socket.create_connection(("127.0.0.1", self.server_port))
        server.sendall(first + _exactly(client, length - 8))
        while True:
            kind, message = _read(server)
            client.sendall(message)
            if kind == b"Z":
                return server
            if kind == b"R" and struct.unpack("!i", message[5:9])[0] in (3, 5, 10, 11):  # the client has to answer
                server.sendall(_read(client)[1])


def _answer(server: socket.socket, client: socket.socket) -> bytes:
    """Pass on what the server says; how the transaction stands, or b"G" where it waits for rows."""
    while True:
        kind, message = _read(server)
        client.sendall(message)
        if kind == b"Z":
            return message[5:6]
        if kind == b"G":
            return kind


def _read(source: socket.socket) -> tuple[bytes, bytes]:
    head = _exactly(source, 5)
    return head[:1], head + _exactly(source, struct.unpack("!i", head[1:])[0] - 4)


def _exactly(source: socket.socket, count: int) -> bytes:
    found = b""
    while len(found) < count:
        part = source.recv(count - len(found))
        if not part:
            raise EOFError
        found += part
    return found
