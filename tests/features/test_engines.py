"""Engines give what Keras gives, in order, for any batches; a choice keeps to its limit."""

import importlib.util
import json
import subprocess
import sys

import keras
import numpy as np
import pytest
from damages import DAMAGES

from keras_transfer.checksums import sha256_of_document
from keras_transfer.errors import BadConfiguration, CheckFailed, UnknownName
from keras_transfer.features import engines, selection
from keras_transfer.features.engines import build_engine, in_precision
from keras_transfer.features.memory import Memory
from keras_transfer.features.selection import EngineSample, EngineSelector
from keras_transfer.networks.backbones import build_backbone

HAS_OPENVINO = importlib.util.find_spec("openvino") is not None
needs_openvino = pytest.mark.skipif(not HAS_OPENVINO, reason="openvino is not installed")

PAIRS = [
    ("keras", "float32", 1e-5),
    ("keras", "bfloat16", 0.03),
    ("graph", "float32", 1e-5),
    ("graph", "bfloat16", 0.03),
    pytest.param("openvino", "float32", 1e-5, marks=needs_openvino),
    pytest.param("openvino", "bfloat16", 0.03, marks=needs_openvino),
]


@pytest.fixture(scope="module")
def network():
    """Depthwise convolutions, skips, batch normalisation and swish, at no great cost."""
    keras.utils.set_random_seed(1)
    return build_backbone("efficientnet_b0", image_size=32)


def batches(lengths, size=32):
    rng = np.random.default_rng(0)
    return [rng.uniform(0, 255, (n, size, size, 3)).astype("float32") for n in lengths]


def error(found, wanted):
    return np.linalg.norm(found - wanted) / np.linalg.norm(wanted)


@pytest.mark.parametrize(("name", "precision", "limit"), PAIRS)
def test_batches_of_any_length_come_back_in_order(network, name, precision, limit):
    """17 is a chunk of OpenVINO's and one more."""
    given = batches([32, 5, 17, 1, 16])
    wanted = [np.asarray(network(batch, training=False)) for batch in given]

    found = list(build_engine(name, precision, network)(iter(given)))

    assert [len(one) for one in found] == [32, 5, 17, 1, 16]
    assert all(one.dtype == "float32" for one in found)
    for one, other in zip(found, wanted, strict=True):
        assert error(one, other) < limit


@pytest.mark.parametrize(("name", "precision", "limit"), PAIRS)
def test_an_engine_runs_again_and_takes_no_batches(network, name, precision, limit):
    engine = build_engine(name, precision, network)

    assert list(engine([])) == []
    first, second = (np.concatenate(list(engine(batches([3])))) for _ in range(2))
    assert np.array_equal(first, second)


@needs_openvino
def test_an_engine_stays_some_batches_ahead_and_no_more(network):
    """A million images must not pile up in front of it."""
    taken = []

    def counted():
        for batch in batches(40 * [16]):
            taken.append(len(batch))
            yield batch

    features = build_engine("openvino", "float32", network)(counted())
    next(features)

    assert len(taken) < 20


def test_weights_are_those_of_when_it_was_built():
    network = build_backbone("convnet_small", image_size=16)
    (given,) = batches([2], 16)
    engine = build_engine("graph", "float32", network)
    before = next(engine([given]))
    network.set_weights([w * 0 for w in network.get_weights()])

    assert np.array_equal(next(engine([given])), before)


@needs_openvino
@pytest.mark.parametrize("layer", ["position", "norm"])
def test_openvino_keeps_no_memory_of_variables(layer):
    """It is compiled again, in another precision, after best weights were loaded in between."""
    given = keras.Input((32, 32, 3))
    added = keras.layers.LayerNormalization() if layer == "norm" else Position()
    network = keras.Model(given, added(given))
    (batch,) = batches([8], 32)
    engine = build_engine("openvino", "float32", network)
    before = next(engine([batch]))
    for weight in network.weights:
        weight.assign(np.full(weight.shape, np.nan))

    assert np.array_equal(next(engine([batch])), before)
    assert np.array_equal(next(build_engine("openvino", "float32", network)([batch])), before)


class Position(keras.layers.Layer):
    """Adds a weight, as position embeddings are added."""

    def build(self, shape):
        self.added = self.add_weight(shape=shape[1:], initializer="random_normal")

    def call(self, inputs):
        return inputs + self.added


def test_a_copy_in_bfloat16_computes_in_it_but_scales_pixels_in_float32(network):
    copy = in_precision(network, "bfloat16")

    policies = {type(one).__name__: one.dtype_policy.name for one in copy._flatten_layers()}
    assert policies["Rescaling"] == policies["Normalization"] == "float32"
    assert policies["Conv2D"] == policies["DepthwiseConv2D"] == "mixed_bfloat16"
    assert all(np.array_equal(a, b) for a, b in zip(copy.weights, network.weights, strict=True))


@needs_openvino
def test_openvino_reports_nothing_to_its_makers():
    code = (
        "import sys\n"
        "from keras_transfer.features import engines\n"
        "assert engines.available('openvino')\n"
        "assert 'openvino' in sys.modules\n"
        "print([name for name in sys.modules if name.startswith('openvino_telemetry')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("name", ["keras", pytest.param("openvino", marks=needs_openvino)])
def test_parts_of_a_network_in_bfloat16_are_computed_in_float32(name):
    """The part behind the cut had an input in bfloat16, which no engine but Keras could take."""
    network = made_in("mixed_bfloat16")
    same = made_in("float32")
    same.set_weights(network.get_weights())
    (batch,) = batches([8])

    (found,) = build_engine(name, "float32", network)([batch])

    assert found == pytest.approx(np.asarray(same(batch, training=False)), rel=1e-4, abs=1e-6)


def made_in(policy):
    """Two networks in a third, of which the second takes what the first computes."""
    keras.utils.set_random_seed(1)
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        given = keras.Input((32, 32, 3), dtype="float32")
        first = keras.Model(given, keras.layers.Conv2D(8, 3, activation="relu")(given))
        between = keras.Input(first.output_shape[1:], dtype=first.output.dtype)
        second = keras.Model(between, keras.layers.GlobalAveragePooling2D()(between))
        pixels = keras.Input((32, 32, 3), dtype="float32")
        return keras.Model(pixels, second(first(pixels)))
    finally:
        keras.config.set_dtype_policy(before)


def test_a_network_that_computes_so_already_is_taken_as_it_is(network):
    assert in_precision(network, "float32") is network


def test_an_engine_that_does_not_exist():
    with pytest.raises(UnknownName, match="openvino"):
        build_engine("openvin", "float32", None)


def test_openvino_that_is_missing_is_said_with_the_cure(monkeypatch):
    monkeypatch.setattr(engines, "find_spec", lambda name: None)

    with pytest.raises(BadConfiguration, match=r"pip install 'keras_transfer\[openvino\]'"):
        engines.available("openvino")
    assert "openvino" not in {name for name, _ in engines.available("auto")}


class Made:
    """An engine with a rate and an error."""

    def __init__(self, rate, off, network):
        self.rate, self.off, self.network = rate, off, network

    def __call__(self, batches):
        return (selection.reference(self.network, one) * (1 + self.off) for one in batches)


class TestSelector:
    @pytest.fixture
    def small(self):
        keras.utils.set_random_seed(1)
        return build_backbone("convnet_small", image_size=16)

    @pytest.fixture
    def selector(self, small, tmp_path):
        """A function that makes one; its sample says when it is drawn."""

        def make(network=small, pairs=None, tolerance=0.01, pixels=None, labels=None):
            self.drawn = 0

            def trial(length):
                self.drawn += length == 16
                given = batches([length], 16)[0] if pixels is None else pixels
                exact = selection.reference(network, given)
                return EngineSample(
                    given, exact, np.full(len(given), -1) if labels is None else labels
                )

            return EngineSelector(
                network,
                lambda: trial(16),
                lambda: trial(64),
                candidates=pairs or engines.available(),
                tolerance=tolerance,
                memory=Memory(tmp_path / "cache/engines.json", "engines are measured again"),
                network="n",
            )

        return make

    def test_the_fastest_within_the_limit_is_taken(self, selector, monkeypatch):
        """Rates and errors are made up here; which one wins is worked out by hand."""
        rates = {("a", "float32"): 100, ("b", "float32"): 110, ("c", "bfloat16"): 125}
        rates["d", "float32"] = 1000  # the last one: only if no other will do
        off = {"a": 0.0, "b": 0.002, "c": 0.009, "d": 0.0}
        monkeypatch.setattr(
            selection,
            "build_engine",
            lambda name, precision, network: Made(rates[name, precision], off[name], network),
        )
        monkeypatch.setattr(
            selection, "_rates", lambda engines, pixels: [engine.rate for engine in engines]
        )

        # b is float32 and yet off by 0.2 %: something is wrong with it. c must beat a by a fifth.
        assert selector(pairs=list(rates)).choice.engine == "c"
        assert selector(pairs=list(rates), tolerance=0.005).choice.engine == "a"
        rates["c", "bfloat16"] = 115
        assert selector(pairs=list(rates), tolerance=0.0099).choice.engine == "a"
        off["a"] = 0.5
        assert selector(pairs=list(rates), tolerance=0.004).choice.engine == "d"

    def test_a_choice_is_remembered(self, selector):
        first = selector().choice
        assert self.drawn == 1

        assert selector().choice == first
        assert self.drawn == 0

    def test_what_is_remembered_proves_itself_on_other_images(self, selector, tmp_path):
        """bfloat16 was exact enough for the images of another run, and is not for these."""
        pairs = [("keras", "bfloat16"), ("keras", "float32")]
        selector(pairs=pairs, tolerance=1e-5).engine()
        memory = tmp_path / "cache/engines.json"
        kept = json.loads(memory.read_text())["choices"]
        (key,) = kept
        kept[key].update(engine="keras", precision="bfloat16", error=1e-6)
        memory.write_text(json.dumps({"sha256": sha256_of_document(kept), "choices": kept}))

        later = selector(pairs=pairs, tolerance=1e-5)
        assert later.choice.precision == "bfloat16"
        later.engine()
        assert later.choice.precision == "float32"

    @pytest.mark.parametrize(
        "damage", ["empty", "bit flipped at 50%", "reordered", "nested", "another type"]
    )
    def test_damaged_choices_are_set_aside_and_made_again(self, selector, tmp_path, caplog, damage):
        memory = tmp_path / "cache/engines.json"
        pairs = [("keras", "float32")]
        first = selector(pairs=pairs).choice
        memory.write_bytes(DAMAGES[damage](memory.read_bytes()))

        assert selector(pairs=pairs).choice == first

        assert self.drawn == 1
        assert caplog.text.count(f"{memory} is damaged") == 1
        assert selector(pairs=pairs).choice == first
        assert self.drawn == 0

    def test_a_changed_choice_is_not_taken(self, selector, tmp_path):
        """Features would be kept as float16 that do not fit into it."""
        memory = tmp_path / "cache/engines.json"
        pairs = [("keras", "float32")]
        first = selector(pairs=pairs).choice
        text = memory.read_text().replace(first.dtype, "float64")
        memory.write_text(text)

        assert selector(pairs=pairs).choice == first

    def test_no_tolerance_means_float32(self, selector):
        assert selector(tolerance=0.0).choice.precision == "float32"

    def test_numbers_too_large_for_float16_are_kept_in_float32(self, selector, small):
        """float16 ends at 65,504."""
        scaled = keras.Model(small.input, keras.layers.Rescaling(1e7)(small.output))

        choice = selector(scaled, [("keras", "float32")]).choice

        assert choice.dtype == "float32"

    def test_features_are_half_as_long_where_that_is_exact_enough(self, selector):
        choice = selector(tolerance=0.0).choice

        assert (choice.dtype, choice.error < 5e-4) == ("float16", True)

    def test_where_no_engine_is_exact_enough_it_says_what_to_do(self, selector, monkeypatch):
        monkeypatch.setattr(selection, "_error", lambda found, wanted: 1.0)
        with pytest.raises(CheckFailed, match="--engine none"):
            selector().choice  # noqa: B018

    def test_an_engine_that_breaks_is_passed_over(self, selector, monkeypatch):
        def build(name, precision, network):
            if name == "openvino":
                raise RuntimeError("no such operation")
            return build_engine(name, precision, network)

        monkeypatch.setattr(selection, "build_engine", build)

        pairs = [("openvino", "float32"), ("keras", "float32")]
        assert selector(pairs=pairs).choice.engine == "keras"


@pytest.mark.parametrize(
    ("off", "labelled", "tolerance", "wanted"),
    [
        ("everywhere alike", True, 0.2, "bfloat16"),
        ("everywhere alike", False, 0.2, "bfloat16"),
        ("everywhere alike", True, 0.05, "float32"),
        ("where the classes lie", True, 0.2, "float32"),
        ("where the classes lie", False, 0.2, "float32"),
        ("hardly", True, 0.2, "bfloat16"),
    ],
)
def test_a_probe_decides_on_larger_errors(tmp_path, monkeypatch, off, labelled, tolerance, wanted):
    """Both large errors are 6 % of the features; only one of them hides the classes."""
    rng, labels = np.random.default_rng(0), np.arange(60) % 3
    classes = 4 * np.eye(8)[labels]
    given = (20 + classes + rng.normal(size=(60, 8))).astype("float32")
    error = {"everywhere alike": 1.3, "where the classes lie": -classes, "hardly": 1e-3 * classes}
    network = keras.Sequential([keras.Input((8,)), keras.layers.Identity()])
    made = {
        "off": lambda batches: (batch + error[off] for batch in batches),
        "keras": lambda batches: iter(batches),
    }
    monkeypatch.setattr(selection, "build_engine", lambda name, precision, network: made[name])
    trial = EngineSample(given, given, labels if labelled else np.full(60, -1))

    selector = EngineSelector(
        network,
        lambda: trial,
        lambda: trial,
        candidates=[("off", "bfloat16"), ("keras", "float32")],
        tolerance=tolerance,
        memory=Memory(tmp_path / "engines.json", "measured again"),
        network="n",
    )

    assert selector.choice.precision == wanted
