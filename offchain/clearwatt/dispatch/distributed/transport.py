"""How messages get to members and back: within this process, or to others over loopback sockets.

A transport is anything with `send`, `receive` and `close`. It promises nothing but to bring whole messages or none:
they may be late, and a member may be gone.
"""

import contextlib
import multiprocessing
import queue
import secrets
import socket
import struct
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from clearwatt.dispatch.blas import one_blas_thread
from clearwatt.dispatch.errors import DispatchError

Handler = Callable[[bytes], bytes | None]
"""A member: what it answers to a message, if anything."""

GONE = b""
"""What arrives, once, from a member whose process has ended."""
LARGEST = 1 << 28
STARTING = 60.0
ENDING = 5.0
_FRAME = struct.Struct(">IH")


class Transport(Protocol):
    """Carries messages between the coordinator and its members."""

    def send(self, member: str, message: bytes) -> None:
        """Hand over a message; no promise that it arrives."""

    def receive(self, timeout: float) -> tuple[str, bytes] | None:
        """The next message and its sender, or None after timeout seconds without any."""

    def close(self) -> None:
        """End, and end everything that it started."""


class InProcess:
    """Members as objects of this process; a message is answered as it is sent."""

    def __init__(self, members: Mapping[str, Handler]) -> None:
        self._members = dict(members)
        self._answers: queue.SimpleQueue[tuple[str, bytes]] = queue.SimpleQueue()

    def send(self, member: str, message: bytes) -> None:
        answer = self._members[member](message)
        if answer is not None:
            self._answers.put((member, answer))

    def receive(self, timeout: float) -> tuple[str, bytes] | None:
        with contextlib.suppress(queue.Empty):
            return self._answers.get(block=False)
        return None

    def close(self) -> None:
        self._members.clear()


class Processes:
    """Members in processes of their own, several to each.

    build: a module's function that makes a member from its specification, in the process where it lives.
    hosts: for each process, the specifications by name; they are pickled.
    """

    def __init__(
        self,
        build: Callable[[Any], Handler],
        hosts: Sequence[Mapping[str, Any]],
        *,
        starting: float = STARTING,
    ) -> None:
        self._inbox: queue.SimpleQueue[tuple[str, bytes]] = queue.SimpleQueue()
        self._sockets: list[socket.socket] = []
        self._outboxes: dict[str, queue.SimpleQueue[bytes | None]] = {}
        self._processes: list[multiprocessing.process.BaseProcess] = []
        token = secrets.token_bytes(32)
        with socket.create_server(("127.0.0.1", 0)) as server:
            context = multiprocessing.get_context("spawn")
            for number, members in enumerate(hosts):
                arguments = (server.getsockname(), token, number, build, dict(members))
                self._processes.append(context.Process(target=_host, args=arguments, daemon=True))
            try:
                for process in self._processes:
                    process.start()
                self._accept(server, token, hosts, starting)
            except BaseException:
                self.close()
                raise

    def _accept(
        self, server: socket.socket, token: bytes, hosts: Sequence[Mapping[str, Any]], starting: float
    ) -> None:
        deadline, missing = time.monotonic() + starting, set(range(len(hosts)))
        while missing:
            server.settimeout(max(0.01, deadline - time.monotonic()))
            try:
                connection, _ = server.accept()
                connection.settimeout(max(0.01, deadline - time.monotonic()))
                greeting = _read(connection, len(token) + 4)
            except TimeoutError:
                raise DispatchError(
                    f"{len(missing)} processes of members did not start in {starting} s"
                ) from None
            if greeting is None or not secrets.compare_digest(greeting[:-4], token):
                connection.close()
                continue
            number = int.from_bytes(greeting[-4:], "big")
            missing.discard(number)
            connection.settimeout(None)
            self._connect(connection, list(hosts[number]))

    def _connect(self, connection: socket.socket, members: list[str]) -> None:
        outbox: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._sockets.append(connection)
        self._outboxes.update(dict.fromkeys(members, outbox))
        threading.Thread(target=self._listen, args=(connection, members), daemon=True).start()
        threading.Thread(target=_talk, args=(connection, outbox), daemon=True).start()

    def _listen(self, connection: socket.socket, members: list[str]) -> None:
        while (frame := _read_frame(connection)) is not None:
            if frame[0] in members:  # nobody speaks for members of another process
                self._inbox.put(frame)
        for member in members:
            self._inbox.put((member, GONE))

    def send(self, member: str, message: bytes) -> None:
        self._outboxes[member].put(_frame(member, message))

    def receive(self, timeout: float) -> tuple[str, bytes] | None:
        with contextlib.suppress(queue.Empty):
            return self._inbox.get(timeout=max(0.0, timeout))
        return None

    def close(self) -> None:
        for outbox in self._outboxes.values():
            outbox.put(None)
        for connection in self._sockets:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()
        for process in self._processes:
            if process.pid is None:
                continue
            process.join(ENDING)
            if process.is_alive():
                process.terminate()
                process.join(ENDING)


def _talk(connection: socket.socket, outbox: "queue.SimpleQueue[bytes | None]") -> None:
    """Send what is in the outbox; a process that does not read holds up nobody else."""
    with contextlib.suppress(OSError):
        while (frame := outbox.get()) is not None:
            connection.sendall(frame)


def _host(
    address: tuple[str, int],
    token: bytes,
    number: int,
    build: Callable[[Any], Handler],
    members: dict[str, Any],
) -> None:
    """A process of members: answers until the coordinator hangs up."""
    with one_blas_thread(), socket.create_connection(address) as connection, contextlib.suppress(OSError):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.sendall(token + number.to_bytes(4, "big"))
        handlers = {name: build(specification) for name, specification in members.items()}
        while (frame := _read_frame(connection)) is not None:
            name, message = frame
            answer = handlers[name](message)
            if answer is not None:
                connection.sendall(_frame(name, answer))


def _frame(member: str, message: bytes) -> bytes:
    name = member.encode()
    return _FRAME.pack(len(message), len(name)) + name + message


def _read_frame(connection: socket.socket) -> tuple[str, bytes] | None:
    """Sender or addressee and message; None at the end, or where what comes is no frame."""
    head = _read(connection, _FRAME.size)
    if head is None:
        return None
    length, name_length = _FRAME.unpack(head)
    if length > LARGEST:
        return None
    name, message = _read(connection, name_length), _read(connection, length)
    if name is None or message is None:
        return None
    return name.decode(errors="replace"), message


def _read(connection: socket.socket, count: int) -> bytes | None:
    """Exactly count bytes, or None where the connection ends before."""
    parts = bytearray()
    while len(parts) < count:
        try:
            part = connection.recv(min(count - len(parts), 1 << 20))
        except TimeoutError:
            raise
        except OSError:
            return None
        if not part:
            return None
        parts += part
    return bytes(parts)
