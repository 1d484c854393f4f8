"""What a model file would do before it is loaded: its operators, and the files that it refers to.

A SavedModel is a program. Its operators may read and write any file of the user who loads it, so
they are compared with those that exports of this package have; the same for LiteRT and ONNX.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keras_transfer.errors import BadData
from keras_transfer.exports.operators import CHECKPOINT, OPERATORS

if TYPE_CHECKING:
    from tensorflow.core.framework import function_pb2
    from tensorflow.core.protobuf import meta_graph_pb2, saved_object_graph_pb2

__all__ = ["check_operators", "foreign_operators"]

GRAPH = "saved_model.pb"
OTHER_GRAPHS = ("saved_model.pbtxt", "saved_model.cpb")
"""The same as text and in pieces; this package writes neither."""


def check_operators(folder: Path, form: str) -> None:
    """Make sure that an export does nothing that exports of this package do not do.

    Args:
        folder: Of a version.
        form: A row of ``formats.FORMATS``.

    Raises:
        BadData: It has other operators, or refers to files outside of it; each is named.
    """
    found = foreign_operators(folder, form)
    if found:
        raise BadData(
            f"The export in {folder} has operators that no export of keras_transfer has: "
            f"{', '.join(found[:30])}{', ...' if len(found) > 30 else ''}. A model is a program: "
            "these may read, write or send files. If you trust whoever made it, load it with "
            "--trust, or Export(folder, trust=True)."
        )


def foreign_operators(folder: Path, form: str) -> list[str]:
    """Operators, and other abilities, of an export that this package gives to none.

    Raises:
        BadData: The file cannot be read.
    """
    if form not in _READERS:  # a .keras file is data: keras_files.load_keras
        return []
    name, read = _READERS[form]
    try:
        return sorted(set(read(folder)))
    except BadData:
        raise
    except Exception as error:  # parsers of damaged files raise errors of any kind
        said = str(error) or type(error).__name__
        raise BadData(f"{folder / name} cannot be loaded: {said:.300}") from None


def _of_saved_model(folder: Path) -> Iterator[str]:
    from tensorflow.core.protobuf import saved_model_pb2

    for name in OTHER_GRAPHS:
        if (folder / name).exists():
            yield f"a graph in {name}"
    document = saved_model_pb2.SavedModel.FromString((folder / GRAPH).read_bytes())
    for graph in document.meta_graphs:
        # Without it TensorFlow 2 runs the graph itself, the checkpoint operators too.
        if not graph.HasField("object_graph_def"):
            yield "a graph of TensorFlow 1"
        yield from _of_graph(graph)


def _of_graph(graph: meta_graph_pb2.MetaGraphDef) -> Iterator[str]:
    library = graph.graph_def.library
    known = OPERATORS | CHECKPOINT
    for nodes in (graph.graph_def.node, *(one.node_def for one in library.function)):
        yield from (node.op for node in nodes if node.op not in known)
    # Checkpoint operators read and write any path: allowed where nothing that is asked calls them.
    called = {name for one in library.function for name in _calls(one)}
    called |= {gradient.gradient_func for gradient in library.gradient}
    called |= {gradient.gradient_func for gradient in library.registered_gradients}
    called |= set(_offered(graph.object_graph_def))
    for one in library.function:
        # A function with this attribute may take the place of another one.
        if one.signature.name in called or "api_implements" in one.attr:
            yield from (node.op for node in one.node_def if node.op in CHECKPOINT)
    for asset in graph.asset_file_def:
        if Path(asset.filename).name != asset.filename:
            yield f"the asset {asset.filename!r}"


def _calls(function: function_pb2.FunctionDef) -> Iterator[str]:
    """Names of the functions that one refers to."""
    for node in function.node_def:
        yield node.op
        for value in node.attr.values():
            yield value.func.name
            yield from (one.name for one in value.list.func)


def _offered(objects: saved_object_graph_pb2.SavedObjectGraph) -> Iterator[str]:
    """Names of the functions that a loaded SavedModel offers, or runs as it loads."""
    yield from objects.concrete_functions
    for node in objects.nodes:
        yield from node.function.concrete_functions
        yield node.bare_concrete_function.concrete_function_name
        yield node.captured_tensor.concrete_function


def _of_litert(folder: Path) -> Iterator[str]:
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromPackedBuf((folder / "model.tflite").read_bytes(), 0)
    for code in model.operatorCodes or ():
        # What is not part of LiteRT: TensorFlow's own operators ("FlexWriteFile"), and others.
        if code.customCode is not None or schema.BuiltinOperator.CUSTOM in (
            code.builtinCode,
            code.deprecatedBuiltinCode,
        ):
            yield (code.customCode or b"CUSTOM").decode("utf-8", "replace")
    if getattr(model, "externalBufferGroups", None) or getattr(model, "externalBuffers", None):
        yield "weights in other files"


ONNX_DOMAINS = ("", "ai.onnx", "ai.onnx.ml")


def _of_onnx(folder: Path) -> Iterator[str]:
    import onnx

    model = onnx.load(folder / "model.onnx", load_external_data=False)
    for message in _messages(model):
        if isinstance(message, onnx.NodeProto) and message.domain not in ONNX_DOMAINS:
            yield f"{message.domain}.{message.op_type}"
        elif isinstance(message, onnx.OperatorSetIdProto) and message.domain not in ONNX_DOMAINS:
            yield f"operators of {message.domain}"
        elif isinstance(message, onnx.TensorProto) and (
            message.external_data or message.data_location == onnx.TensorProto.EXTERNAL
        ):
            where = {entry.key: entry.value for entry in message.external_data}.get("location", "")
            yield f"weights in the file {where!r}"


def _messages(root: Any) -> Iterator[Any]:
    """A protocol buffer and all that are in it, at any depth: subgraphs, functions, attributes."""
    inner = [root]
    while inner:
        message = inner.pop()
        yield message
        for field, value in message.ListFields():
            if field.message_type is not None:
                inner.extend([value] if hasattr(value, "ListFields") else value)


_READERS: dict[str, tuple[str, Callable[[Path], Iterator[str]]]] = {
    "saved_model": (GRAPH, _of_saved_model),
    "litert": ("model.tflite", _of_litert),
    "onnx": ("model.onnx", _of_onnx),
}
