"""Makes an inner value of an ONNX model one of its outputs, without the `onnx` package.

A model is a protobuf message, and messages that are written one behind the other are merged by whoever reads
them: so an output is added by appending a model that has nothing but this output.
"""

from __future__ import annotations

from collections.abc import Iterator

_MODEL_GRAPH = 7
_GRAPH_NODE, _GRAPH_OUTPUT = 1, 12
_NODE_OUTPUT, _NODE_OPERATOR = 2, 4
_VALUE_NAME = 1
_VARINT, _FIXED_64, _BYTES, _FIXED_32 = 0, 1, 2, 5


def with_durations(model: bytes) -> bytes:
    """A piper voice with the lengths of its phonemes, in hops, as second output.

    They are what its only `Ceil` node gives. A voice that has none, or several, or a second output already, is
    returned as it is. Raises `ValueError` for what is no protobuf message.
    """
    found: list[bytes] = []
    outputs = 0
    for graph in _fields(memoryview(model), _MODEL_GRAPH):
        outputs += sum(1 for _ in _fields(graph, _GRAPH_OUTPUT))
        for node in _fields(graph, _GRAPH_NODE):
            if [bytes(name) for name in _fields(node, _NODE_OPERATOR)] == [b"Ceil"]:
                found += [bytes(name) for name in _fields(node, _NODE_OUTPUT)]
    if outputs != 1 or len(found) != 1:
        return model
    return model + _field(_MODEL_GRAPH, _field(_GRAPH_OUTPUT, _field(_VALUE_NAME, found[0])))


def _fields(message: memoryview, wanted: int) -> Iterator[memoryview]:
    """What stands in a field of bytes, each time that it occurs. Raises `ValueError`."""
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        kind = tag & 7
        if kind == _BYTES:
            size, at = _varint(message, at)
            if at + size > len(message):
                raise ValueError("a field is longer than its message")
            if tag >> 3 == wanted:
                yield message[at : at + size]
            at += size
        elif kind == _VARINT:
            _, at = _varint(message, at)
        elif kind in (_FIXED_64, _FIXED_32):
            at += 8 if kind == _FIXED_64 else 4
        else:
            raise ValueError(f"a field of unknown kind {kind}")


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    """The number that begins at `at`, and where it ends. Raises `ValueError`."""
    value = shift = 0
    while at < len(message) and shift < 64:
        byte = message[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at
    raise ValueError("a number has no end")


def _field(number: int, value: bytes) -> bytes:
    return _number(number << 3 | _BYTES) + _number(len(value)) + value


def _number(value: int) -> bytes:
    digits = bytearray()
    while value >= 0x80:
        digits.append(value & 0x7F | 0x80)
        value >>= 7
    digits.append(value)
    return bytes(digits)
