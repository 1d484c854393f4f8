"""Ways to run a frozen network: by Keras, as a frozen TensorFlow graph, by OpenVINO."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from importlib.util import find_spec
from typing import Any
from weakref import WeakKeyDictionary

import keras
import numpy as np
import tensorflow as tf

from keras_transfer.errors import BadConfiguration
from keras_transfer.quiet import import_openvino
from keras_transfer.tables import Table

__all__ = [
    "ENGINES",
    "Batch",
    "Engine",
    "Pairs",
    "as_tensors",
    "available",
    "build_engine",
    "computes_bfloat16",
    "in_precision",
    "openvino_engine",
    "openvino_network",
]

Batch = np.ndarray | tuple[np.ndarray, ...]
"""Inputs of a network: one array, or one for each input."""

Pairs = Sequence[tuple[str, str]]
"""(engine, precision) pairs."""

Engine = Callable[[Iterable[Batch]], Iterator[np.ndarray]]
"""Maps batches, e.g. of (batch, size, size, 3) float32 pixels, to float32 features, in order."""


def build_engine(name: str, precision: str, prefix: keras.Model) -> Engine:
    """Prepare a network with its current weights for inference over batches.

    Args:
        name: A row of ``ENGINES``.
        precision: Precision of the computation: "float32", "bfloat16", or on GPUs "float16".
        prefix: From (batch, size, size, 3) float32 pixels to one tensor.

    Raises:
        UnknownName: No engine is called so.
        BadConfiguration: OpenVINO is asked for and not installed.
    """
    # Engines lower the precision themselves, so they start from float32 under any policy.
    return ENGINES[name](in_precision(prefix, "float32"), precision)


def available(asked: str = "auto", inputs: int = 1) -> list[tuple[str, str]]:
    """Candidate (engine, precision) pairs on this machine.

    The last one is Keras in float32, which the others are held against, and slower than all of
    them: it is for networks that no other engine computes exactly enough.

    Args:
        asked: "auto", "keras" or "openvino".
        inputs: Of the network; with several, such as token ids and a mask, Keras runs it.

    Raises:
        BadConfiguration: OpenVINO is asked for and not installed.
    """
    if inputs > 1:
        if asked == "openvino":
            raise BadConfiguration(
                "The engine openvino runs networks with one input; use --engine auto for texts."
            )
        return [("keras", "float32")]
    if asked == "openvino" or (asked == "auto" and find_spec("openvino") and not _gpus()):
        pairs = [("openvino", precision) for precision in _openvino_precisions()]
        return [*pairs, ("keras", "float32")]
    if _gpus():
        return [("keras", "float16"), ("keras", "float32")]
    halves = [("graph", "bfloat16"), ("keras", "bfloat16")] if computes_bfloat16() else []
    return [*halves, ("graph", "float32"), ("keras", "float32")]


def _gpus() -> bool:
    return bool(tf.config.list_physical_devices("GPU"))


def computes_bfloat16() -> bool:
    """Whether the CPU has bfloat16 instructions; without them it is slower than float32."""
    try:
        with open("/proc/cpuinfo", encoding="ascii", errors="replace") as file:
            text = file.read()
        return "avx512_bf16" in text or "amx_bf16" in text
    except OSError:
        return False


def in_precision(model: keras.Model, precision: str) -> keras.Model:
    """The same network with its layers computing in float32, or in bfloat16 or float16.

    Pixels are scaled in float32 under any precision: bfloat16 cannot tell neighbouring values.

    Returns:
        The model itself where all its layers do so already; else a copy with equal weights.
    """
    # Weights stay in float32 under a mixed policy; only the computation is in half precision.
    policy = precision if precision == "float32" else f"mixed_{precision}"
    layers = [layer for layer in model._flatten_layers() if not layer._layers]
    if all(layer.dtype_policy.name == policy for layer in layers):
        return model

    def recast(layer: Any) -> Any:
        if isinstance(layer, keras.Model):
            return cloned(layer)
        config = layer.get_config()
        float32_only = isinstance(layer, keras.layers.Rescaling | keras.layers.Normalization)
        if isinstance(layer, keras.Layer) and not float32_only:
            config["dtype"] = policy
        return type(layer).from_config(config)

    def cloned(graph: keras.Model) -> keras.Model:
        # A part of a network in half precision has an input of that type, and would round to it.
        inputs = keras.tree.map_structure(_float32_input, graph.input)
        return keras.models.clone_model(graph, inputs, clone_function=recast)

    copy = cloned(model)
    copy.set_weights(model.get_weights())  # clone_model draws new ones
    return copy


def _float32_input(tensor: keras.KerasTensor) -> keras.KerasTensor:
    """An input like that of a network, float32 where that is a float."""
    floats = keras.backend.is_float_dtype(tensor.dtype)
    dtype = "float32" if floats else tensor.dtype
    return keras.Input(tensor.shape[1:], dtype=dtype, name=tensor.name)


def _keras(prefix: keras.Model, precision: str) -> Engine:
    model = in_precision(prefix, precision)

    # XLA is faster on GPUs; on a CPU its convolutions are slower than oneDNN's.
    # The last batch is often smaller; it should not be traced again for each length.
    @tf.function(jit_compile=_gpus(), reduce_retracing=True)
    def forward(inputs: Any) -> tf.Tensor:
        return tf.cast(model(inputs, training=False), tf.float32)

    return lambda batches: (forward(as_tensors(batch)).numpy() for batch in batches)


def as_tensors(batch: Batch) -> Any:
    """A batch as a model takes it: a tensor, or a list of them."""
    if isinstance(batch, tuple):
        return [tf.convert_to_tensor(array) for array in batch]
    return tf.convert_to_tensor(batch)


def _graph(prefix: keras.Model, precision: str) -> Engine:
    """Constants for variables, and grappler's pass that puts bfloat16 where oneDNN takes it."""
    from tensorflow.core.protobuf import config_pb2, meta_graph_pb2
    from tensorflow.python.framework import convert_to_constants
    from tensorflow.python.grappler import tf_optimizer

    function = convert_to_constants.convert_variables_to_constants_v2(_traced(prefix))
    inputs, outputs = function.inputs[0].name, function.outputs[0].name
    meta = tf.compat.v1.train.export_meta_graph(
        graph_def=function.graph.as_graph_def(add_shapes=True), graph=function.graph
    )
    fetched = meta_graph_pb2.CollectionDef()
    fetched.node_list.value.extend([inputs, outputs])
    # Grappler removes what no result needs, and looks for the results in this collection.
    meta.collection_def["train_op"].CopyFrom(fetched)
    config = config_pb2.ConfigProto()
    rewriting = config.graph_options.rewrite_options
    rewriting.optimizers.extend(["constfold", "remap", "layout", "constfold"])
    if precision != "float32":
        rewriting.auto_mixed_precision_onednn_bfloat16 = 1  # RewriterConfig.ON
        rewriting.optimizers.extend(["auto_mixed_precision_onednn_bfloat16", "remap"])
    optimized = tf_optimizer.OptimizeGraph(config, meta)
    wrapped = tf.compat.v1.wrap_function(
        lambda: tf.compat.v1.import_graph_def(optimized, name=""), []
    )
    forward = wrapped.prune(inputs, outputs)
    return lambda batches: (forward(tf.convert_to_tensor(batch)).numpy() for batch in batches)


def _traced(prefix: keras.Model) -> Any:
    """A concrete function for any batch size."""
    pixels = tf.TensorSpec([None, *prefix.input_shape[1:]], tf.float32)
    forward = tf.function(lambda pixels: prefix(pixels, training=False))
    return forward.get_concrete_function(pixels)


_CHUNK = 8
"""Images per request to OpenVINO: 8 and 16 are fastest; 32 is a third slower."""


def _openvino_core() -> Any:
    if find_spec("openvino") is None:
        raise BadConfiguration(
            "The engine openvino is not installed: pip install 'keras_transfer[openvino]', or "
            "use --engine auto."
        )
    import_openvino()
    import openvino

    return openvino.Core()


def _openvino_precisions() -> list[str]:
    known = _openvino_core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    return [*(["bfloat16"] if "BF16" in known else []), "float32"]


def _openvino(prefix: keras.Model, precision: str) -> Engine:
    # Precision is chosen at compile time only, so both share one conversion.
    if prefix not in _CONVERTED:
        _CONVERTED[prefix] = openvino_network(_traced(prefix), _CHUNK)
    return openvino_engine(_CONVERTED[prefix], precision)


_CONVERTED: WeakKeyDictionary[keras.Model, Any] = WeakKeyDictionary()
"""Networks in OpenVINO's form, for as long as Keras's own live: two precisions, one conversion."""


def openvino_network(function: Any, chunk: int) -> Any:
    """Convert a concrete function of images to OpenVINO's form.

    Args:
        function: Of one input, (any, height, width, channels), and one output.
        chunk: Images a request; fixed, so that nothing is compiled twice.

    Raises:
        BadConfiguration: OpenVINO is not installed.
    """
    _openvino_core()
    import openvino
    from openvino.frontend import FrontEndManager
    from openvino.frontend.tensorflow.graph_iterator import GraphIteratorTFGraph

    # What openvino.convert_model does, which would also report to its makers over the network.
    frontend = FrontEndManager().load_by_framework("tf")
    # Not sharing weights: an assignment to a variable would free what OpenVINO still reads.
    graph = GraphIteratorTFGraph(function.graph, False)  # must live while it is converted
    model = frontend.convert(frontend.load(graph))
    # Swish brings outputs of its own (it has a gradient of its own), which would not be fused.
    wanted = model.output(function.outputs[0].name).get_node().input_value(0)
    model = openvino.Model([wanted], model.get_parameters())
    model.reshape({0: [chunk, *function.inputs[0].shape[1:]]})
    return model


def openvino_engine(network: Any, precision: str) -> Engine:
    """Compile a network for throughput.

    Args:
        network: As ``openvino_network`` makes it.
        precision: "float32" or "bfloat16".
    """
    hints = {
        "PERFORMANCE_HINT": "THROUGHPUT",
        "INFERENCE_PRECISION_HINT": {"float32": "f32", "bfloat16": "bf16"}[precision],
    }
    compiled = _openvino_core().compile_model(network, "CPU", hints)
    chunk = network.input().shape[0]

    def run(batches: Iterable[Any]) -> Iterator[np.ndarray]:
        lengths: deque[int] = deque()
        chunks: list[np.ndarray] = []
        for features in _in_flight(compiled, _chunks(batches, lengths, chunk), chunk):
            chunks.append(features)
            if sum(map(len, chunks)) == lengths[0]:
                yield np.concatenate(chunks)
                lengths.popleft()
                chunks = []

    return run


def _chunks(batches: Iterable[np.ndarray], lengths: deque[int], chunk: int) -> Iterator[np.ndarray]:
    for batch in batches:
        lengths.append(len(batch))
        yield from (batch[start : start + chunk] for start in range(0, len(batch), chunk))


def _in_flight(compiled: Any, chunks: Iterable[np.ndarray], size: int) -> Iterator[np.ndarray]:
    """Run several requests at once; results are yielded in the order of the chunks."""
    # Two more than run at once, so that the next inputs are there when one ends.
    count = compiled.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS") + 2
    idle = [compiled.create_infer_request() for _ in range(count)]
    busy: deque[tuple[Any, int]] = deque()
    for chunk in chunks:
        if not idle:
            yield _answer(busy, idle)
        # The network is compiled for full chunks; `_answer` drops the rows of the padding.
        missing = size - len(chunk)
        padding = ((0, missing), *((0, 0) for _ in chunk.shape[1:]))
        # Inputs are copied: the array may be reused before the request has run.
        idle[-1].start_async({0: np.pad(chunk, padding) if missing else chunk}, share_inputs=False)
        busy.append((idle.pop(), len(chunk)))
    while busy:
        yield _answer(busy, idle)


def _answer(busy: deque[tuple[Any, int]], idle: list[Any]) -> np.ndarray:
    request, length = busy.popleft()
    request.wait()
    features = request.get_output_tensor().data[:length].astype("float32")  # a copy
    idle.append(request)
    return features


ENGINES: Table[Callable[[keras.Model, str], Engine]] = Table(
    "engine", {"keras": _keras, "graph": _graph, "openvino": _openvino}
)
