"""The line to a node, as a proxy that can be cut and mended."""

import socket
import threading
from contextlib import suppress
from urllib.parse import urlsplit

from tests import nodes


class Cable:
    """Forwards connections to the node at `url` while it is whole; a cut ends those there are and refuses new ones."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        assert parts.port
        self._node = (nodes.HOST, parts.port)
        self._port = nodes.free_port()
        self._listener: socket.socket | None = None
        self._open: list[socket.socket] = []
        self.url = f"http://{nodes.HOST}:{self._port}"
        self.mend()

    def mend(self) -> None:
        self._listener = socket.create_server((nodes.HOST, self._port))
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def cut(self) -> None:
        assert self._listener
        for end in (self._listener, *self._open):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
        self._open.clear()

    def _accept(self, listener: socket.socket) -> None:
        with suppress(OSError):
            while True:
                near, _ = listener.accept()
                far = socket.create_connection(self._node)
                self._open += [near, far]
                for source, target in ((near, far), (far, near)):
                    threading.Thread(target=_pump, args=(source, target), daemon=True).start()


def _pump(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65_536):
            target.sendall(data)
    for end in (source, target):
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
