"""What travels: bytes with a small JSON header and at most one array behind it, checked before anything is believed."""

import json
import struct
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from clearwatt.dispatch.errors import DispatchError

LARGEST_HEADER = 1 << 22
NUMBERS, WORDS = "<f8", "<u8"
_LENGTH = struct.Struct(">I")


class Malformed(DispatchError):
    """Bytes that are not the message that was to come; the message says what is wrong."""


@dataclass(frozen=True)
class Message:
    """kind: what it is for. fields: JSON values. array: float64 or uint64, or None."""

    kind: str
    fields: dict[str, Any] = field(default_factory=dict)
    array: np.ndarray | None = None

    def encode(self) -> bytes:
        header = {"kind": self.kind, **self.fields}
        body = b""
        if self.array is not None:
            dtype = WORDS if self.array.dtype == np.uint64 else NUMBERS
            body = np.ascontiguousarray(self.array, dtype).tobytes()
            header["array"] = [dtype, *self.array.shape]
        text = json.dumps(header).encode()
        return _LENGTH.pack(len(text)) + text + body

    def expect(
        self, kind: str, shape: tuple[int, ...] | None = None, dtype: str = NUMBERS
    ) -> np.ndarray | None:
        """The array of a message of this kind, shape and type. Raises Malformed."""
        if self.kind == "refusal":
            raise Malformed(f"refuses: {str(self.fields.get('reason'))[:200]}")
        if self.kind != kind:
            raise Malformed(f"sends {self.kind!r} in place of {kind!r}")
        if shape is None:
            return None
        if self.array is None or self.array.shape != shape:
            found = "nothing" if self.array is None else f"shape {self.array.shape}"
            raise Malformed(f"sends {found} in place of shape {shape}")
        if self.array.dtype.str != dtype:
            raise Malformed("sends numbers of the wrong type")
        if dtype == NUMBERS and not np.isfinite(self.array).all():
            raise Malformed("sends numbers that are not finite")
        return self.array


def decode(data: bytes) -> Message:
    """The message in some bytes. Raises Malformed."""
    header, body = _header(data)
    kind, described = header.pop("kind", None), header.pop("array", None)
    if not isinstance(kind, str):
        raise Malformed("sends a message without a kind")
    return Message(kind, header, None if described is None else _array(described, body))


def _header(data: bytes) -> tuple[dict[str, Any], bytes]:
    if len(data) < _LENGTH.size:
        raise Malformed("sends something that is no message")
    (length,) = _LENGTH.unpack_from(data)
    end = _LENGTH.size + length
    if length > LARGEST_HEADER or end > len(data):
        raise Malformed("sends something that is no message")
    try:
        header = json.loads(data[_LENGTH.size : end])
    except (ValueError, RecursionError):
        raise Malformed("sends something that is no message") from None
    if not isinstance(header, dict):
        raise Malformed("sends something that is no message")
    return header, data[end:]


def _array(described: Any, body: bytes) -> np.ndarray:
    if not isinstance(described, list) or not described or described[0] not in (NUMBERS, WORDS):
        raise Malformed("describes its numbers wrongly")
    dtype, *shape = described
    if not all(
        isinstance(size, int) and not isinstance(size, bool) and 0 <= size < 1 << 31 for size in shape
    ):
        raise Malformed("describes its numbers wrongly")
    count = 1
    for size in shape:
        count *= size
    if count * 8 != len(body):
        raise Malformed("sends more or fewer numbers than it says")
    return np.frombuffer(body, dtype).reshape(shape)
