"""Half precision in training steps: as Keras's own policies compute, and gone afterwards."""

import keras
import numpy as np
import pytest

from keras_transfer.features.memory import Memory
from keras_transfer.networks.backbones import build_backbone
from keras_transfer.networks.heads import build_head
from keras_transfer.networks.network import build_network, with_extra_outputs
from keras_transfer.training import precision_choice
from keras_transfer.training.compiling import compile_stage
from keras_transfer.training.precision import computing_in, output_layers
from keras_transfer.training.precision_choice import choose_precision, compare_steps
from keras_transfer.training.terms import Term

LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
TERMS = (Term("label", "label", LOSS),)
HALVES = ["mixed_bfloat16", "mixed_float16"]


def network(members=1, backbone="convnet_small", with_features=False, **head):
    keras.utils.set_random_seed(0)
    heads = {"label": build_head(3, members=members, **head)}
    made = build_network(build_backbone(backbone, image_size=32), heads, preprocessing="tf")
    if not with_features:
        return made
    return with_extra_outputs(made, {"code": made.model.get_layer("pool").output})


def images(**settings):
    return network(**settings).model


def pixels(n=4):
    return {"pixels": np.random.default_rng(0).uniform(0, 255, (n, 32, 32, 3)).astype("float32")}


def under_policy(precision, build):
    """What ``build`` gives under a global policy of Keras."""
    keras.config.set_dtype_policy(precision)
    try:
        return build()
    finally:
        keras.config.set_dtype_policy("float32")


@pytest.mark.parametrize("precision", HALVES)
@pytest.mark.parametrize(
    "build",
    [
        lambda: images(units=(8,), dropout=0.5),
        lambda: images(members=2),
        lambda: images(backbone="mobilenet_v2"),
    ],
    ids=["convnet_small", "members", "mobilenet_v2"],
)
def test_it_computes_as_under_a_policy_of_keras(build, precision):
    """The same function, bit for bit: Keras's own network under that policy is the judge."""
    model, judge = build(), under_policy(precision, build)
    judge.set_weights(model.get_weights())
    wanted, exact = np.asarray(judge(pixels())["label"]), np.asarray(model(pixels())["label"])

    with computing_in(model, precision):
        inside = model(pixels())["label"]

    assert inside.dtype == "float32"
    np.testing.assert_array_equal(inside, wanted)
    assert not np.array_equal(inside, exact)
    np.testing.assert_array_equal(model(pixels())["label"], exact)
    assert {layer.dtype_policy.name for layer in model._flatten_layers()} == {"float32"}


@pytest.mark.parametrize(
    "build",
    [lambda: network(units=(8,)), lambda: network(members=2), lambda: network(with_features=True)],
    ids=["head", "members", "extra output"],
)
def test_a_network_that_was_cut_computes_as_keras_too(build):
    """Its trainable part consists of models within a model."""

    def cut():
        made = build()
        made.freeze("block3")
        return made.cut().trainable

    model, judge = cut(), under_policy("mixed_bfloat16", cut)
    judge.set_weights(model.get_weights())
    shape = model.input["features"].shape[1:]
    given = {"features": np.random.default_rng(0).normal(size=(4, *shape)).astype("float32")}
    wanted, exact = judge(given)["label"], model(given)["label"]

    with computing_in(model, "mixed_bfloat16"):
        found = model(given)["label"]

    assert (found.dtype, wanted.dtype) == ("float32", "float32")
    np.testing.assert_array_equal(found, wanted)
    assert not np.array_equal(found, exact)
    kept = {one.name for one in output_layers(model) if getattr(one, "weights", ())}
    assert kept >= {"logits"} or kept == {"member1_logits", "member2_logits"}


def test_attention_computes_so_too():
    def build():
        keras.utils.set_random_seed(0)
        tokens = keras.Input((5, 8), name="tokens")
        x = keras.layers.MultiHeadAttention(2, 4)(tokens, tokens)
        x = keras.layers.LayerNormalization()(x + tokens)
        x = keras.layers.GlobalAveragePooling1D()(x)
        logits = keras.layers.Dense(3, dtype="float32", name="logits")(x)
        return keras.Model({"tokens": tokens}, {"label": logits})

    model, judge = build(), under_policy("mixed_bfloat16", build)
    judge.set_weights(model.get_weights())
    given = {"tokens": np.random.default_rng(0).normal(size=(4, 5, 8)).astype("float32")}

    with computing_in(model, "mixed_bfloat16"):
        found = model(given)["label"]

    np.testing.assert_array_equal(found, judge(given)["label"])


def test_an_error_inside_leaves_float32():
    model = images()
    with pytest.raises(KeyError), computing_in(model, "mixed_bfloat16"):
        raise KeyError
    assert {layer.dtype_policy.name for layer in model._flatten_layers()} == {"float32"}


@pytest.mark.parametrize(
    ("members", "wanted"), [(1, {"logits"}), (3, {f"member{n}_logits" for n in (1, 2, 3)})]
)
def test_the_last_layers_with_weights_stay_float32(members, wanted):
    found = output_layers(images(members=members, units=(4,)))

    assert {one.name for one in found if getattr(one, "weights", ())} == wanted


def linear(shift=0.0):
    """Two numbers in, two logits out; rows lie around ``shift``, which the first layer removes."""
    keras.utils.set_random_seed(0)
    x = keras.Input((2,), name="x")
    hidden = keras.layers.Dense(4, name="hidden")(x)
    model = keras.Model({"x": x}, {"label": keras.layers.Dense(2, name="logits")(hidden)})
    kernel = model.get_layer("hidden").kernel
    model.get_layer("hidden").bias.assign(-shift * np.asarray(kernel).sum(axis=0))
    rng = np.random.default_rng(0)
    rows = (shift + rng.normal(size=(4, 16, 2))).astype("float32")
    labels = (rows[..., 0] > shift).astype("int32")
    batches = [({"x": x}, {"label": y}, {"label": np.ones(16, "float32")})
               for x, y in zip(rows, labels, strict=True)]  # fmt: skip
    return compile_stage(model, TERMS, keras.optimizers.SGD(0.0)), batches


@pytest.mark.parametrize("precision", HALVES)
def test_first_updates_agree_where_rounding_is_small(precision):
    found = compare_steps(*linear(), precision)

    assert found.agrees
    assert found.cosine > 0.9999
    assert abs(found.loss) < 0.002


def test_float32_agrees_with_itself():
    assert compare_steps(*linear(), "float32")[:2] == (pytest.approx(1, abs=1e-6), 0)


def test_rounded_inputs_are_noticed():
    """Between 1,024 and 2,048 bfloat16 knows every eighth number; the signal is 1 wide."""
    found = compare_steps(*linear(shift=1500.0), "mixed_bfloat16")

    assert not found.agrees


def test_gradients_too_small_for_float16_are_kept_by_the_loss_scale():
    """Float16 ends at 6e-8; these gradients are around 1e-8."""
    fitted, batches = linear()
    weighted = [(x, y, {"label": np.full(16, 1e-8, "float32")}) for x, y, _ in batches]
    hidden = fitted.get_layer("hidden")

    assert compare_steps(fitted, weighted, "mixed_float16").cosine > 0.999
    assert hidden.dtype_policy.name == "float32"


class TestChoice:
    @pytest.fixture
    def choose(self, tmp_path, monkeypatch):
        """Choose, with seconds per step as if they had been measured."""
        monkeypatch.setattr(precision_choice, "fast_precision", lambda: "mixed_bfloat16")

        def chosen(fast=0.5, steps=100, slow=1.0, **settings):
            fitted, batches = linear(**settings)
            memory = Memory(tmp_path / "precisions.json", "measured again")
            if fast is not None:
                key = precision_choice._key(fitted, batches[0], "mixed_bfloat16")
                memory.remember(key, {"float32": slow, "mixed_bfloat16": fast})
            return choose_precision(fitted, batches, steps, memory)

        return chosen

    @pytest.mark.parametrize(
        ("given", "wanted"),
        [
            ({}, "mixed_bfloat16"),
            ({"fast": 0.82}, "mixed_bfloat16"),
            ({"fast": 0.84}, "float32"),
            ({"fast": 2.0}, "float32"),
            ({"steps": 59}, "float32"),
            ({"steps": 60}, "mixed_bfloat16"),
            ({"steps": 39, "slow": 10.0}, "float32"),
            ({"steps": 40, "slow": 10.0}, "mixed_bfloat16"),
            ({"shift": 1500.0}, "float32"),
        ],
        ids=str,
    )
    def test_it_must_be_faster_and_alike_and_the_stage_long(self, choose, given, wanted):
        """1.2 times as fast, in a stage of 60 s and 40 steps."""
        assert choose(**given) == wanted

    def test_a_short_stage_is_not_measured(self, choose, tmp_path):
        assert choose(fast=None, steps=1) == "float32"
        assert not (tmp_path / "precisions.json").exists()

    def test_a_long_one_is_measured_once(self, choose, tmp_path):
        choose(fast=None, steps=10**9)
        content = (tmp_path / "precisions.json").read_bytes()
        choose(fast=None, steps=10**9)

        assert (tmp_path / "precisions.json").read_bytes() == content
        assert b"mixed_bfloat16" in content

    @pytest.mark.parametrize("steps", [1, 10**3, 10**5, 10**9])
    def test_a_second_run_chooses_as_the_first(self, choose, tmp_path, steps):
        """What is remembered is all that counts, not a rough look at the first step."""
        first = choose(fast=None, steps=steps)

        assert choose(fast=None, steps=steps) == first

    def test_a_machine_without_instructions_stays_in_float32(self, choose, monkeypatch):
        monkeypatch.setattr(precision_choice, "fast_precision", lambda: None)

        assert choose() == "float32"


def test_nothing_of_the_model_changes(tmp_path, monkeypatch):
    """Neither weights nor statistics nor the random state of dropout."""
    monkeypatch.setattr(precision_choice, "fast_precision", lambda: "mixed_bfloat16")
    model = images(units=(8,), dropout=0.5, batch_normalization=True)
    fitted = compile_stage(model, TERMS, keras.optimizers.SGD(0.0))
    batch = (pixels(), {"label": np.array([0, 1, 2, 0])}, {"label": np.ones(4, "float32")})
    before = [np.asarray(variable).copy() for variable in model.variables]

    choose_precision(fitted, [batch], 10**9, Memory(tmp_path / "p.json", ""))

    assert any("seed" in variable.path for variable in model.variables)
    for variable, value in zip(model.variables, before, strict=True):
        np.testing.assert_array_equal(variable, value)
