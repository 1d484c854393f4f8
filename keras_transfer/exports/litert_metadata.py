"""What a LiteRT file says of itself: image size, range, and which file holds the labels.

The tables are those of ``metadata_schema.fbs`` of tensorflow/tflite-support, whose Python package
is no longer kept; the numbers below are those of its fields. A union takes two: type, then value.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import flatbuffers
from ai_edge_litert import schema_py_generated as schema

__all__ = ["METADATA", "with_metadata"]

METADATA = "TFLITE_METADATA"
IDENTIFIER = b"M001"

_TENSOR_AXIS_LABELS, _RGB = 2, 1
_FEATURE, _IMAGE, _NORMALIZATION = 1, 2, 1

Number = tuple[str, int]
"""A type of flatbuffers, such as "Int8", and a value."""


def with_metadata(content: bytes, name: str, size: int | None, labels: Mapping[str, str]) -> bytes:
    """Put the metadata into a model of one image, or text, in and rows of scores out.

    Args:
        content: The model, as the converter makes it, with one signature.
        name: Of the model.
        size: Side of the image in pixels; None for a text.
        labels: By the name of an output in the signature, the file inside the model that names
            its units, a line each; outputs without units have none.
    """
    model = schema.ModelT.InitFromPackedBuf(content, 0)
    (signature,) = model.signatureDefs
    names = _names(signature.outputs, model.subgraphs[0].outputs)
    outputs = [(name, labels.get(name)) for name in names]
    inputs = _names(signature.inputs, model.subgraphs[0].inputs)
    buffer = schema.BufferT()
    buffer.data = list(_described(name, size, inputs, outputs))
    entry = schema.MetadataT()
    # The number that the buffer gets by the append below.
    entry.name, entry.buffer = METADATA, len(model.buffers)
    model.buffers.append(buffer)
    model.metadata = [one for one in model.metadata or [] if one.name != METADATA.encode()]
    model.metadata.append(entry)
    builder = flatbuffers.Builder(len(content) + 4096)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def _names(tensors: Sequence[schema.TensorMapT], indices: Sequence[int]) -> list[str]:
    """Names in the signature, in the order in which the graph has the tensors."""
    names = {one.tensorIndex: one.name.decode() for one in tensors}
    return [names[index] for index in indices]


def _described(
    name: str, size: int | None, inputs: Sequence[str], outputs: Sequence[tuple[str, str | None]]
) -> bytes:
    builder = flatbuffers.Builder(1024)
    add = _Tables(builder)
    given = [_pixels(add, size)] if size else [_tokens(add, one) for one in inputs]
    found = [_output(add, tensor, file) for tensor, file in outputs]
    graph = add.table({2: add.vector(given), 3: add.vector(found)})
    parser = add.text("1.0.0")
    builder.Finish(add.table({0: add.text(name), 3: add.vector([graph]), 7: parser}), IDENTIFIER)
    return bytes(builder.Output())


def _tokens(add: _Tables, name: str) -> int:
    return add.table(
        {
            0: add.text(name),
            1: add.text("Of a text, by WordPiece and vocabulary.txt; see preprocessing.json."),
            3: add.table({0: ("Uint8", _FEATURE), 1: add.table({})}),
        }
    )


def _pixels(add: _Tables, size: int) -> int:
    square = add.table({0: ("Uint32", size), 1: ("Uint32", size)})
    image = add.table({0: ("Int8", _RGB), 1: square})
    as_they_are = add.table({0: add.floats([0.0]), 1: add.floats([1.0])})
    units = add.vector([add.table({0: ("Uint8", _NORMALIZATION), 1: as_they_are})])
    return add.table(
        {
            0: add.text("pixels"),
            1: add.text("An image, RGB, 0..255; the network normalises it itself."),
            3: add.table({0: ("Uint8", _IMAGE), 1: image}),
            4: units,
        }
    )


def _output(add: _Tables, tensor: str, labels: str | None) -> int:
    files = {}
    if labels is not None:
        file = add.table({0: add.text(labels), 2: ("Int8", _TENSOR_AXIS_LABELS)})
        files = {6: add.vector([file])}
    return add.table(
        {0: add.text(tensor), 3: add.table({0: ("Uint8", _FEATURE), 1: add.table({})}), **files}
    )


class _Tables:
    """Writes tables by the numbers of their fields, inner ones first."""

    def __init__(self, builder: flatbuffers.Builder):
        self.builder = builder

    def text(self, text: str) -> int:
        return self.builder.CreateString(text)

    def table(self, fields: Mapping[int, int | Number]) -> int:
        """A value that is no number with its type is where something written before lies."""
        self.builder.StartObject(max(fields, default=-1) + 1)
        for slot, value in fields.items():
            if isinstance(value, int):
                self.builder.PrependUOffsetTRelativeSlot(slot, value, 0)
            else:
                kind, number = value
                getattr(self.builder, f"Prepend{kind}Slot")(slot, number, 0)
        return self.builder.EndObject()

    def vector(self, tables: Sequence[int]) -> int:
        # flatbuffers are written back to front, hence `reversed`.
        self.builder.StartVector(4, len(tables), 4)
        for one in reversed(tables):
            self.builder.PrependUOffsetTRelative(one)
        return self.builder.EndVector()

    def floats(self, numbers: Sequence[float]) -> int:
        self.builder.StartVector(4, len(numbers), 4)
        for one in reversed(numbers):
            self.builder.PrependFloat32(one)
        return self.builder.EndVector()
