"""LiteRT, ONNX and Keras files: read by their own runtimes, without this package."""

import errno
import json
import shutil
import tempfile
import zipfile

import keras
import numpy as np
import pytest
import tensorflow as tf
from flatbuffers import Builder, encode, number_types
from flatbuffers.table import Table as Flat
from foreign_exports import reseal

import keras_transfer
from keras_transfer.errors import BadConfiguration, BadData, UnknownName
from keras_transfer.exports.foreign import foreign_operators
from keras_transfer.exports.formats import FORMATS, check_format
from keras_transfer.exports.scratch import scratch

PACKAGES = {"litert": "ai_edge_litert", "onnx": "onnxruntime", "keras": "keras"}


@pytest.fixture(scope="module")
def write(run, tmp_path_factory):
    folder, made = tmp_path_factory.mktemp("formats"), {}

    def write(form, quantize="none"):
        pytest.importorskip(PACKAGES[form])
        if (form, quantize) not in made:
            made[form, quantize] = keras_transfer.export(
                run, folder, format=form, quantize=quantize
            )
        return made[form, quantize]

    return write


@pytest.fixture(scope="module")
def squares(run):
    """Images of the network's own size, and what the run says of them."""
    pixels = np.random.default_rng(5).integers(0, 256, (6, 16, 16, 3), "uint8")
    outputs = run.model({"pixels": pixels.astype("float32")}, training=False)
    logits = keras.ops.convert_to_numpy(outputs["label"])
    odds = np.exp(logits.astype(float))
    return pixels, odds / odds.sum(axis=1, keepdims=True)


WAYS = [
    (form, q) for form, row in FORMATS.items() if form != "saved_model" for q in row.quantizations
]


SLOW = [("litert", "float16"), ("litert", "dynamic")]


@pytest.mark.parametrize(
    ("form", "quantize"),
    [pytest.param(*one, marks=pytest.mark.slow if one in SLOW else []) for one in WAYS],
)
def test_it_answers_as_the_run_does_by_the_same_commands(run, odd, write, form, quantize):
    done = write(form, quantize)

    name = f"colours_{form}" + (f"_{quantize}" if quantize != "none" else "")
    assert done.folder.parts[-2:] == (name, "1")
    atol = {"none": 1e-6, "float16": 1e-2, "dynamic": 0.05, "int8": 0.1}[quantize]
    for ours, theirs in zip(done.predict(odd), run.predict(odd), strict=True):
        np.testing.assert_allclose(ours.probabilities, theirs.probabilities, atol=atol)
    assert done.metadata["parity"]["changed"] == 0
    images = str(run.folder.parent / "images")
    assert done.evaluate(images)["accuracy"] == run.evaluate(images)["accuracy"]


def test_litert_by_its_own_interpreter(write, squares):
    interpreter = pytest.importorskip("ai_edge_litert.interpreter")
    pixels, wanted = squares
    runner = interpreter.Interpreter(str(write("litert").folder / "model.tflite"))
    ask = runner.get_signature_runner()

    for image, row in zip(pixels, wanted, strict=True):
        found = ask(pixels=image[np.newaxis].astype("float32"))["probabilities"]
        np.testing.assert_allclose(found, [row], atol=1e-5)


def test_litert_int8_takes_bytes(write, squares):
    interpreter = pytest.importorskip("ai_edge_litert.interpreter")
    pixels, wanted = squares
    runner = interpreter.Interpreter(str(write("litert", "int8").folder / "model.tflite"))
    ask = runner.get_signature_runner()

    found = np.concatenate([ask(pixels=one[np.newaxis])["probabilities"] for one in pixels])

    np.testing.assert_allclose(found, wanted, atol=0.1)


def test_quantized_files_are_smaller(write):
    sizes = {
        q: (write("litert", q).folder / "model.tflite").stat().st_size
        for q in FORMATS["litert"].quantizations
    }

    assert sizes["float16"] < 0.6 * sizes["none"]
    assert sizes["dynamic"] < 0.35 * sizes["none"]
    assert sizes["int8"] < 0.35 * sizes["none"]


class Fields:
    """A table of flatbuffers by the numbers of its fields."""

    def __init__(self, content, at):
        self.flat = Flat(bytearray(content), at)

    def _at(self, number):
        return self.flat.Pos + self.flat.Offset(4 + 2 * number)

    def text(self, number):
        return self.flat.String(self._at(number)).decode()

    def byte(self, number):
        return self.flat.Get(number_types.Uint8Flags, self._at(number))

    def uint(self, number):
        return self.flat.Get(number_types.Uint32Flags, self._at(number))

    def table(self, number):
        return Fields(self.flat.Bytes, self.flat.Indirect(self._at(number)))

    def only(self, number):
        """The one table of a vector."""
        assert self.flat.VectorLen(self.flat.Offset(4 + 2 * number)) == 1
        start = self.flat.Vector(self.flat.Offset(4 + 2 * number))
        return Fields(self.flat.Bytes, self.flat.Indirect(start))


def test_litert_says_what_it_takes_and_holds_its_labels(write):
    schema = pytest.importorskip("ai_edge_litert.schema_py_generated")
    file = write("litert").folder / "model.tflite"
    model = schema.ModelT.InitFromPackedBuf(file.read_bytes(), 0)
    entry = next(one for one in model.metadata if one.name == b"TFLITE_METADATA")
    content = bytes(model.buffers[entry.buffer].data)

    assert content[4:8] == b"M001"
    root = Fields(content, encode.Get(number_types.UOffsetTFlags.packer_type, content, 0))
    assert root.text(0) == "colours_litert"
    graph = root.only(3)
    image, answer = graph.only(2), graph.only(3)
    assert image.text(0) == "pixels"
    assert image.table(3).byte(0) == 2  # ContentProperties: ImageProperties
    properties = image.table(3).table(1)
    assert (properties.byte(0), properties.table(1).uint(0), properties.table(1).uint(1)) == (
        1,  # RGB
        16,
        16,
    )
    assert image.only(4).byte(0) == 1  # ProcessUnitOptions: NormalizationOptions
    labels = answer.only(6)
    assert (labels.text(0), labels.byte(2)) == ("labels.txt", 2)  # TENSOR_AXIS_LABELS
    with zipfile.ZipFile(file) as archive:
        assert archive.read("labels.txt") == b"blue\nred\n"
    assert (file.parent / "labels.txt").read_text() == "blue\nred\n"


def test_onnx_by_its_own_runtime(write, squares):
    onnxruntime = pytest.importorskip("onnxruntime")
    pixels, wanted = squares
    session = onnxruntime.InferenceSession(str(write("onnx").folder / "model.onnx"))

    (found,) = session.run(["probabilities"], {"pixels": pixels.astype("float32")})

    np.testing.assert_allclose(found, wanted, atol=1e-5)
    metadata = session.get_modelmeta().custom_metadata_map
    assert json.loads(metadata["classes"]) == ["blue", "red"]
    assert (metadata["image_size"], metadata["resize"]) == ("16", "crop")


def test_keras_by_keras(write, squares):
    pixels, wanted = squares
    model = keras.models.load_model(write("keras").folder / "model.keras")

    np.testing.assert_allclose(model.predict(pixels, verbose=0), wanted, atol=1e-5)


@pytest.mark.parametrize(
    ("form", "quantize", "kind", "said"),
    [
        ("tflite", "none", UnknownName, "litert"),
        ("litert", "int16", UnknownName, "int8"),
        ("saved_model", "int8", BadConfiguration, "--format litert"),
        ("onnx", "float16", BadConfiguration, "--format litert"),
    ],
)
def test_what_does_not_go_together_is_said_before_anything_is_read(form, quantize, kind, said):
    with pytest.raises(kind, match=said):
        check_format(form, quantize)


def test_a_package_that_is_missing_is_said_with_the_cure(monkeypatch):
    monkeypatch.setattr("keras_transfer.exports.formats.find_spec", lambda name: None)

    with pytest.raises(BadConfiguration, match=r"pip install 'keras_transfer\[onnx\]'"):
        check_format("onnx")


@pytest.mark.parametrize(("form", "file"), [("litert", "model.tflite"), ("onnx", "model.onnx")])
def test_a_broken_file_is_said(run, write, tmp_path, form, file):
    done = keras_transfer.export(run, tmp_path, format=form)
    (done.folder / file).write_bytes(b"broken")

    with pytest.raises(BadData, match=f"{file}: has changed"):
        done.predict([*(run.folder.parent / "odd").iterdir()])


@pytest.mark.parametrize("form", PACKAGES)
def test_a_flipped_bit_never_changes_an_answer(write, odd, tmp_path, form):
    shutil.copytree(
        write(form).folder, tmp_path / "1", ignore=shutil.ignore_patterns("evaluations")
    )
    (file,) = (tmp_path / "1").glob("model.*")
    content = file.read_bytes()
    for place in np.random.default_rng(0).integers(len(content), size=20):
        file.write_bytes(content[:place] + bytes([content[place] ^ 4]) + content[place + 1 :])
        with pytest.raises(BadData, match=f"{file.name}: has changed"):
            keras_transfer.Export(tmp_path / "1").predict(odd)


@pytest.mark.parametrize(("form", "quantize"), [("litert", "none"), ("onnx", "none")])
def test_nothing_that_is_written_is_foreign(write, form, quantize):
    assert foreign_operators(write(form, quantize).folder, form) == []


def test_a_litert_file_with_operators_of_tensorflow_is_refused(write, odd, tmp_path):
    schema = pytest.importorskip("ai_edge_litert.schema_py_generated")
    shutil.copytree(write("litert").folder, tmp_path / "1")
    file = tmp_path / "1" / "model.tflite"
    model = schema.ModelT.InitFromPackedBuf(file.read_bytes(), 0)
    code = model.operatorCodes[0]
    code.customCode = b"FlexWriteFile"
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.CUSTOM
    builder = Builder(0)
    builder.Finish(model.Pack(builder), b"TFL3")
    file.write_bytes(bytes(builder.Output()))

    with pytest.raises(BadData, match=r"model\.tflite: has changed"):
        keras_transfer.Export(tmp_path / "1", trust=True).predict(odd)
    reseal(tmp_path / "1")
    with pytest.raises(BadData, match="no export of keras_transfer has: FlexWriteFile"):
        keras_transfer.Export(tmp_path / "1").predict(odd)


def test_an_onnx_file_with_weights_in_another_file_is_refused(write, odd, tmp_path):
    onnx = pytest.importorskip("onnx")
    shutil.copytree(write("onnx").folder, tmp_path / "1")
    file = tmp_path / "1" / "model.onnx"
    model = onnx.load(file)
    weights = max(model.graph.initializer, key=lambda one: len(one.raw_data))
    onnx.external_data_helper.set_external_data(weights, "../../secret.txt")
    weights.ClearField("raw_data")
    file.write_bytes(model.SerializeToString())
    reseal(tmp_path / "1")

    with pytest.raises(BadData, match=r"weights in the file '\.\./\.\./secret\.txt'"):
        keras_transfer.Export(tmp_path / "1").predict(odd)


def test_a_folder_without_an_export_is_said(tmp_path):
    with pytest.raises(BadConfiguration, match="neither a run folder nor an export"):
        keras_transfer.Export(tmp_path)
    (tmp_path / "pets" / "1").mkdir(parents=True)
    with pytest.raises(BadConfiguration, match="Name one: pets"):
        keras_transfer.Export(tmp_path)


@pytest.mark.parametrize("form", ["litert", pytest.param("saved_model", marks=pytest.mark.slow)])
def test_no_export_needs_room_for_temporary_files_elsewhere(run, tmp_path, monkeypatch, form):
    """TMPDIR may be small or full, here it is missing; nothing else is left in the export."""
    pytest.importorskip(PACKAGES.get(form, "tensorflow"))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "missing"))

    done = keras_transfer.export(run, tmp_path / "exports", format=form)

    assert not [path for path in done.folder.rglob(".*")]


def test_a_full_disk_is_an_error_of_the_system(tmp_path):
    """TensorFlow has another one."""
    full = tf.errors.ResourceExhaustedError(None, None, "variables; No space left on device")

    with pytest.raises(OSError, match="No space") as error, scratch(tmp_path):
        raise full

    assert error.value.errno == errno.ENOSPC
    assert not [*tmp_path.iterdir()]
