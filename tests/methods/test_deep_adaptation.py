"""Methods of deep adaptation: their outputs and terms in a small network, trained by Keras."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_transfer.config.groups import Backbone, Head
from keras_transfer.data.samples import DOMAIN, Samples
from keras_transfer.inputs.image import Image
from keras_transfer.methods.adaptation import DeepAdaptation
from keras_transfer.methods.base import HeadTensors
from keras_transfer.methods.table import METHODS
from keras_transfer.networks.network import Network, with_extra_outputs
from keras_transfer.objectives.base import Labels
from keras_transfer.objectives.classification import Classification
from keras_transfer.training.resume import restore_variables, save_state
from keras_transfer.training.terms import Term, compile_arguments
from keras_transfer.workflows.building import add_heads, build

DEEP = [name for name, row in METHODS.items() if issubclass(row, DeepAdaptation)]
CLASSES = ("a", "b", "c")
SOURCE, TARGET = 12, 12
WIDTH, CODE = 5, 4


def samples():
    """Rows of both domains in turn."""
    domain = np.arange(SOURCE + TARGET) % 2
    keys = [f"{i}" for i in range(len(domain))]
    return Samples.of(None, CLASSES, keys, np.arange(len(domain)) % 3, cells={DOMAIN: domain})


def columns(table, target_labels=0):
    """Inputs, targets and weights of all rows; the target's labels have the weight 0."""
    rng = np.random.default_rng(0)
    domain = np.float32(table.cells[DOMAIN])
    x = rng.normal(size=(len(domain), WIDTH)) + domain[:, None]
    labels = np.where(domain == 1, target_labels, table.labels)
    return {"pixels": np.float32(x)}, labels, 1 - domain


def network(method, precision="float32"):
    """As ``building.add_heads`` makes it."""
    keras.utils.set_random_seed(0)
    pixels = keras.Input((WIDTH,), name="pixels")
    pooled = keras.layers.Dense(WIDTH, name="pool", dtype=precision)(pixels)
    features = keras.layers.Dense(CODE, activation="tanh", name="hidden1", dtype=precision)(pooled)
    logits = keras.layers.Dense(len(CLASSES), dtype="float32", name="logits")(features)
    model = keras.Model({"pixels": pixels}, {"label": logits})
    extra = method.extra_outputs(HeadTensors(pooled, features, logits, 10))
    return with_extra_outputs(Network(model, model, {}), extra)


def terms_of(method):
    table, objective = samples(), Classification()
    labels = Labels(table.labels, CLASSES)
    extra = method.extra_terms("label", objective, labels)
    terms = [Term(term.output, term.output, term.loss, term.weight) for term in extra]
    values = {term.output: term.values(table) for term in extra}
    return (Term("label", "label", objective.loss(labels)), *terms), values


def fit(model, values, target_labels=0):
    """Three epochs of three batches; Keras's own losses by epoch."""
    x, true, weight = columns(samples(), target_labels)
    targets = {"label": true, **values}
    weights = {"label": weight} | {name: np.ones_like(weight) for name in values}
    data = tf.data.Dataset.from_tensor_slices((x, targets, weights)).batch(8)
    return model.fit(data, epochs=3, shuffle=False, verbose=0).history


@pytest.fixture(scope="module")
def trained():
    """Networks after training, by method, and their histories."""
    found = {}
    for name in DEEP:
        made, (terms, values) = network(METHODS[name]()), terms_of(METHODS[name]())
        made.model.compile("sgd", **compile_arguments(terms), jit_compile=False)
        found[name] = made, fit(made.model, values)
    return found


def test_all_methods_of_the_table_are_here():
    assert set(DEEP) >= {
        "dann", "cdan", "deep_coral", "dan", "jan", "mcc", "entropy_minimization",
        "pseudo_labels", "adversarial_autoencoder",
    }  # fmt: skip


@pytest.mark.parametrize("name", DEEP)
class TestEachMethod:
    def test_it_has_a_term_for_each_of_its_outputs(self, name, trained):
        made, history = trained[name]
        terms, _ = terms_of(METHODS[name]())

        assert [term.output for term in terms[1:]] == list(METHODS[name].outputs)
        assert set(made.model.output) == {"label", *METHODS[name].outputs}
        assert set(made.predictor.output) == {"label"}
        assert {x.dtype for x in made.model.outputs} == {"float32"}
        assert np.isfinite([*history.values()]).all()

    def test_labels_of_the_target_change_nothing(self, name, trained):
        made, history = trained[name]
        weights = made.model.get_weights()
        made.model.set_weights(network(METHODS[name]()).model.get_weights())
        _, values = terms_of(METHODS[name]())

        assert fit(made.model, values, target_labels=2) == history
        for one, two in zip(made.model.get_weights(), weights, strict=True):
            np.testing.assert_array_equal(one, two)

    def test_the_last_layer_or_those_before_it_are_adapted(self, name):
        """Its terms alone have gradients there, from target rows too."""
        method = METHODS[name](**({"threshold": 0.0} if name == "pseudo_labels" else {}))
        made = network(method)
        (_, *terms), values = terms_of(method)
        x, _, _ = columns(samples())
        for layer in made.model.layers:  # past the beginning of the schedule
            if hasattr(layer, "count"):
                layer.count.assign(10)
        watched = [made.model.get_layer(n).kernel.value for n in ("hidden1", "logits")]
        with tf.GradientTape() as tape:
            outputs = made.model(x, training=True)
            total = sum(t.loss(values[t.output], outputs[t.output]) for t in terms)
        features, logits = tape.gradient(total, watched, unconnected_gradients="zero")

        assert np.abs(features).max() > 0
        assert (np.abs(logits).max() > 0) == (method.adapts == "logits" or name == "jan")

    def test_it_is_exact_enough_in_mixed_precision(self, name):
        x, _, _ = columns(samples())
        losses = []
        for precision in ("float32", "mixed_bfloat16"):
            made, (terms, values) = network(METHODS[name](), precision), terms_of(METHODS[name]())
            outputs = made.model(x)
            losses.append([float(t.loss(values[t.output], outputs[t.output])) for t in terms[1:]])

        assert losses[1] == pytest.approx(losses[0], rel=0.05, abs=0.01)


class TestScheduleInTraining:
    def test_steps_of_training_are_counted(self, trained):
        """3 epochs of 3 batches; building, evaluation and prediction do not count."""
        made, _ = trained["dann"]
        made.predictor.predict(columns(samples())[0], verbose=0)

        assert int(made.model.get_layer("domain_reversal").count) == 9

    @pytest.mark.parametrize("name", ["mcc", "entropy_minimization", "pseudo_labels"])
    def test_terms_of_predictions_begin_at_0(self, name):
        """At p = 1/2 their gradient is 2 / (1 + exp(-5)) - 1 of that of the logits."""
        method = METHODS[name](**({"threshold": 0.0} if name == "pseudo_labels" else {}))
        made, (terms, values) = network(method), terms_of(method)
        logits = tf.constant(np.random.default_rng(0).normal(size=(24, 3)), tf.float32)
        ramp = made.model.get_layer("ramp")

        def gradient(function):
            with tf.GradientTape() as tape:
                tape.watch(logits)
                loss = terms[1].loss(values[terms[1].output], function(logits))
            return tape.gradient(loss, logits).numpy()

        assert not gradient(ramp).any()
        ramp.count.assign(5)
        wanted = (2 / (1 + np.exp(-5)) - 1) * gradient(tf.identity)
        np.testing.assert_allclose(gradient(ramp), wanted, rtol=1e-5)

    def test_the_count_is_saved_with_the_model(self, trained, tmp_path):
        made, _ = trained["cdan"]
        made.model.save(tmp_path / "model.keras")
        found = keras.models.load_model(tmp_path / "model.keras")
        x, _, _ = columns(samples())

        assert int(found.get_layer("domain_reversal").count) == 9
        for name, wanted in made.model.predict(x, verbose=0).items():
            np.testing.assert_allclose(found.predict(x, verbose=0)[name], wanted, rtol=1e-6)

    def test_the_count_is_part_of_a_state_of_training(self, trained, tmp_path):
        made, _ = trained["dann"]
        save_state(tmp_path / "state.npz", made.model, {})
        again, (terms, _) = network(METHODS["dann"]()), terms_of(METHODS["dann"]())
        again.model.compile("sgd", **compile_arguments(terms))
        again.model.optimizer.build(again.model.trainable_variables)
        restore_variables(tmp_path / "state.npz", again.model)

        assert int(again.model.get_layer("domain_reversal").count) == 9


@pytest.mark.parametrize("name", DEEP)
def test_the_frozen_part_of_a_network_ends_at_the_pooling(name):
    """So features of both domains are computed once."""
    settings = Backbone(name="convnet_small"), Head(units=(8,))
    given = build(settings[0], Image(image_size=32), (), "none", None)
    labels = Labels(samples().labels, CLASSES)
    found = add_heads(given, *settings, {"label": (Classification(), labels)}, METHODS[name](), 10)
    found.freeze(None)
    cut = found.cut()

    assert cut.boundary == "pool"
    assert set(cut.trainable.output) >= {"label", *METHODS[name].outputs}


class TestAdversarialAutoencoder:
    def test_the_decoder_rebuilds_pooled_features(self, trained):
        made, _ = trained["adversarial_autoencoder"]
        x, _, _ = columns(samples())
        pooled = keras.Model(made.model.input, made.model.get_layer("pool").output)

        found = made.model.predict(x, verbose=0)["reconstruction"]

        assert found.shape == (SOURCE + TARGET, 2 * WIDTH)
        np.testing.assert_allclose(found[:, WIDTH:], pooled.predict(x, verbose=0), rtol=1e-6)
