"""JSON to tensors and back, as TensorFlow Serving's REST interface has it."""

from __future__ import annotations

import binascii
import json
from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np
import pybase64  # json and base64 hold the interpreter lock: what takes long there stops everybody
import tensorflow as tf

from keras_transfer.serving.errors import RequestError
from keras_transfer.serving.inference import classifications, regressions
from keras_transfer.serving.messages import bounded, echo, shown
from keras_transfer.serving.models import Tensors

__all__ = [
    "MAX_DEPTH",
    "classify_outputs",
    "examples",
    "parse",
    "predict_inputs",
    "predict_outputs",
    "regress_outputs",
]

MAX_VALUES = 4_000_000
"""JSON values of a request."""

MAX_DEPTH = 32
"""Lists inside of each other; the tensors of a model have no more axes."""

NUMBERS: Mapping[str, set[type]] = {"b": {bool}, "i": {int}, "u": {int}}
"""By the kind of a dtype: the types of its values in JSON, where not any number will do."""

Specs = Mapping[str, tf.TensorSpec]


def _bad(message: str) -> RequestError:
    return RequestError("INVALID_ARGUMENT", message)


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        (twice, _), *_ = Counter(name for name, _ in pairs).most_common(1)
        raise _bad(f"JSON Parse error: The key {shown(twice)} stands twice in an object")
    return found


def _document(body: bytes) -> Any:
    try:
        text = body.decode()  # json.loads would let halves of surrogate pairs through
        document = json.loads(text, object_pairs_hook=_without_duplicates)
        if "\\ud" in text or "\\uD" in text:  # no answer could quote half a pair
            json.dumps(document, ensure_ascii=False).encode()
        return document
    except RecursionError:
        raise _bad("JSON Parse error: Nested too deeply") from None
    except json.JSONDecodeError as error:
        raise _bad(f"JSON Parse error: {bounded(str(error))}") from None
    except UnicodeDecodeError:
        raise _bad("JSON Parse error: The document is not UTF-8") from None
    except UnicodeEncodeError:
        raise _bad("JSON Parse error: A string holds half of a surrogate pair") from None
    except ValueError:
        raise _bad("JSON Parse error: A number has too many digits") from None


def parse(body: bytes) -> dict[str, Any]:
    """Read a request's body.

    Raises:
        Refused: It is no JSON object, or its ``signature_name`` is no string.
    """
    if not body:
        raise _bad("JSON Parse error: The document is empty")
    # Counted before they are read: each takes some 10 times the memory of its text.
    if body.count(b",") >= MAX_VALUES:
        raise RequestError(
            "RESOURCE_EXHAUSTED", f"The request has more than {MAX_VALUES:,} values; send fewer"
        )
    document = _document(body)
    if not isinstance(document, dict):
        raise _bad(f"JSON Value: {shown(document)} Is not object")
    if not isinstance(document.get("signature_name", ""), str):
        raise _bad("'signature_name' key must be a string value.")
    return document


def predict_inputs(document: Mapping[str, Any], specs: Specs) -> tuple[Tensors, bool]:
    """Find the inputs of a predict request.

    Args:
        document: The request.
        specs: Of the signature's inputs, by name.

    Returns:
        The inputs by name; and whether they came in row format.

    Raises:
        Refused: They are missing, or are not what the signature takes.
    """
    rows, columns = "instances" in document, "inputs" in document
    if rows and columns:
        raise _bad("Not formatted correctly expecting only one of 'inputs' or 'instances' keys")
    if not rows and not columns:
        raise _bad("Missing 'inputs' or 'instances' key")
    given = _from_rows(document["instances"], specs) if rows else _named(document["inputs"], specs)
    return {name: _array(name, given[name], specs[name]) for name in specs}, rows


def _from_rows(instances: Any, specs: Specs) -> Mapping[str, Any]:
    if not isinstance(instances, list):
        raise _bad("Expecting 'instances' to be an list/array")
    if not instances:
        raise _bad("No values in 'instances' array")
    named = [isinstance(one, dict) and not _is_b64(one) for one in instances]
    if not any(named):
        return _named(instances, specs)
    for place, (one, is_named) in enumerate(zip(instances, named, strict=True)):
        if not is_named or set(one) != set(specs):
            raise _bad(
                f"Failed to process element: {place} of 'instances' list. JSON object: "
                f"{shown(one)} keys must be equal to: {','.join(sorted(specs))}"
            )
    return {name: [one[name] for one in instances] for name in specs}


def _named(value: Any, specs: Specs) -> Mapping[str, Any]:
    if isinstance(value, dict) and not _is_b64(value):
        for name in specs:
            if name not in value:
                raise _bad(f"Missing named input: {name} in 'inputs' object.")
        unknown = sorted(set(value) - set(specs))
        if unknown:
            raise _bad(f"JSON object: does not have named input: {echo(unknown[0])}")
        return value
    if len(specs) != 1:
        raise _bad(
            "The request has a plain value/list, but expecting an object as multiple input tensors "
            f"are required: {', '.join(sorted(specs))}"
        )
    return {next(iter(specs)): value}


def _array(name: str, value: Any, spec: tf.TensorSpec) -> np.ndarray:
    found = _strings(value) if spec.dtype == tf.string else _numbers(value, spec.dtype)
    if not spec.shape.is_compatible_with(found.shape):
        wanted = ", ".join("any" if side is None else str(side) for side in spec.shape)
        raise _bad(f"Input {name!r} should have the shape ({wanted}); got {found.shape}.")
    return found


def _strings(value: Any) -> np.ndarray:
    """An object array of bytes; lists must be even."""
    flat, shape = _flattened(value)
    # np.array(flat) would make fixed-width bytes and drop their trailing zeros.
    found = np.empty(len(flat), object)
    found[:] = [_bytes(one) for one in flat]
    return found.reshape(shape)


def _flattened(value: Any) -> tuple[list[Any], tuple[int, ...]]:
    """The values in lists of lists, and how long the lists of each level are."""
    flat: list[Any] = []

    def shape_of(one: Any, depth: int) -> tuple[int, ...]:
        if not isinstance(one, list):
            flat.append(one)
            return ()
        if depth == MAX_DEPTH:
            raise _bad(f"JSON Parse error: Nested too deeply; {MAX_DEPTH} lists are allowed")
        if list not in set(map(type, one)):
            flat.extend(one)
            return (len(one),)
        shapes = {shape_of(inner, depth + 1) for inner in one}
        if len(shapes) > 1:
            raise _bad("Encountered list at unexpected size: the lists are not even")
        return (len(one), *shapes.pop())

    shape = shape_of(value, 0)
    return flat, shape


def _is_b64(value: Mapping[str, Any]) -> bool:
    return list(value) == ["b64"] and isinstance(value["b64"], str)


def _bytes(value: Any) -> bytes:
    if isinstance(value, str):
        try:
            return value.encode()
        except UnicodeEncodeError:
            raise _bad("A string holds half of a surrogate pair") from None
    if not isinstance(value, dict):
        raise _bad(f"JSON Value: {shown(value)} is not of expected type: string")
    if not _is_b64(value):
        raise _bad(f"JSON Value: {shown(value)} not formatted correctly for base64 data")
    text = value["b64"]
    found = _decoded(text)
    if found is None:  # with line breaks, or without padding: rare, and slower
        text = "".join(text.split())
        digits = text.rstrip("=")
        missing = "=" * (-len(digits) % 4)
        # Padding may be left out, but not be of another length.
        found = _decoded(digits + missing) if text[len(digits) :] in ("", missing) else None
    if found is None:
        raise _bad("Unable to base64 decode")
    return found


def _decoded(text: str) -> bytes | None:
    try:
        # Without validate=True, characters outside of the alphabet are skipped.
        return pybase64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None


def _numbers(value: Any, dtype: tf.DType) -> np.ndarray:
    wanted = dtype.as_numpy_dtype
    types = NUMBERS.get(np.dtype(wanted).kind, {int, float})
    flat, shape = _flattened(value)
    # Before numpy sees them: it makes every string as long as the longest.
    if not set(map(type, flat)) <= types:
        raise _bad(f"JSON Value: {shown(value)} is not of expected type: {dtype.name}")
    if types == {int} and flat and not dtype.min <= min(flat) <= max(flat) <= dtype.max:
        raise _bad(f"Values should lie in {dtype.min}..{dtype.max}; got {shown(value)}")
    try:
        with np.errstate(over="ignore"):
            found = np.array(flat, wanted if types != {int, float} else float).astype(wanted)
    except OverflowError:
        raise _bad(f"JSON Value: a number is too large for {dtype.name}") from None
    return found.reshape(shape)


def predict_outputs(outputs: Tensors, rows: bool) -> dict[str, Any]:
    """Lay the outputs out as the request did its inputs.

    Args:
        outputs: By name.
        rows: Whether in row format: an object for each row; else an object of columns. Where
            there is one output alone, its name is left out.
    """
    columns = {name: _plain(name, one) for name, one in sorted(outputs.items())}
    if len(columns) == 1:
        (alone,) = columns.values()
        return {"predictions" if rows else "outputs": alone}
    if not rows:
        return {"outputs": columns}
    if len({len(one) for one in columns.values()}) > 1:
        raise _bad("Outputs have inconsistent batch sizes; ask in column format ('inputs')")
    each = zip(*columns.values(), strict=True)
    return {"predictions": [dict(zip(columns, row, strict=True)) for row in each]}


def classify_outputs(outputs: Tensors) -> dict[str, Any]:
    """Pairs of label and score, best first, for each example."""
    return {"results": [[list(pair) for pair in row] for row in classifications(outputs)]}


def regress_outputs(outputs: Tensors) -> dict[str, Any]:
    """The value of each example."""
    return {"results": _plain("outputs", regressions(outputs))}


def _plain(name: str, array: np.ndarray) -> Any:
    if array.dtype.kind in "OS":
        return _texts(array.tolist(), name.endswith("_bytes"))
    if array.dtype == np.float32:  # 0.2, not 0.20000000298023224
        return array.astype("U32").astype("float64").tolist()
    return array.tolist()


def _texts(value: Any, binary: bool) -> Any:
    if isinstance(value, list):
        return [_texts(one, binary) for one in value]
    if binary:
        return {"b64": pybase64.b64encode_as_string(value)}
    return value.decode("utf-8", "replace")


def examples(document: Mapping[str, Any]) -> list[tf.train.Example]:
    """The examples of a classify or regress request, each with the context they share.

    Raises:
        Refused: There are none, or they are not lists of values by name.
    """
    given = document.get("examples")
    if given is None:
        raise _bad("When method is classify, key 'examples' is expected and was not found")
    if not isinstance(given, list):
        raise _bad("Expecting 'examples' value to be an list/array")
    if not given:
        raise _bad("'examples' value is an empty array")
    context = _features(document.get("context", {}))
    return [tf.train.Example(features={"feature": context | _features(one)}) for one in given]


def _features(example: Any) -> dict[str, tf.train.Feature]:
    if not isinstance(example, dict):
        raise _bad(f"Example must be JSON object but got JSON {type(example).__name__}")
    return {
        name: _feature(name, content if isinstance(content, list) else [content])
        for name, content in example.items()
    }


def _feature(name: str, values: list[Any]) -> tf.train.Feature:
    kinds = [_feature_type(name, value) for value in values]
    if len(set(kinds)) > 1:
        raise _bad(f"Unexpected element type in feature: {echo(name)} expecting type: {kinds[0]}")
    try:
        if "bytes" in kinds:
            return tf.train.Feature(bytes_list={"value": [_bytes(one) for one in values]})
        if "int64" in kinds:
            return tf.train.Feature(int64_list={"value": [int(one) for one in values]})
        return tf.train.Feature(float_list={"value": values})
    except (ValueError, OverflowError):
        raise _bad(f"Feature: {echo(name)} has a number that is too large") from None


def _feature_type(name: str, value: Any) -> str:
    if isinstance(value, str) or (isinstance(value, dict) and _is_b64(value)):
        return "bytes"
    if isinstance(value, int):  # true and false, too: TensorFlow Serving makes 1 and 0 of them
        return "int64"
    if isinstance(value, float):
        return "float"
    found = "Null" if value is None else "Object" if isinstance(value, dict) else "Array"
    raise _bad(f"Feature: {echo(name)} has element with unexpected JSON type: {found}")
