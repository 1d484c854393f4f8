"""Recipes as classifiers of scikit-learn: cross-validated, cloned, pickled, refused."""

import pickle
import random
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from processes import paint
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.utils import estimator_checks
from tiny import RECIPE

from keras_transfer import BadConfiguration, BadData, Classify, Stage, Text
from keras_transfer.sklearn import ImageClassifier, TextClassifier

TINY = RECIPE.changed(stages=[{"name": "head", "epochs": 3, "learning_rate": 0.05}])
CHECKS = (
    "check_do_not_raise_errors_in_init_or_set_params",
    "check_estimator_cloneable",
    "check_estimator_repr",
    "check_get_params_invariance",
    "check_mixin_order",
    "check_no_attributes_set_in_init",
    "check_parameters_default_constructible",
    "check_set_params",
)
"""What scikit-learn checks of any estimator; the others fit tables of random numbers."""


@pytest.fixture(scope="module", autouse=True)
def _folder(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KT_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))
        patch.chdir(tmp_path_factory.mktemp("work"))
        yield


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """Paths of 40 images, and their colours."""
    folder = tmp_path_factory.mktemp("images")
    paint(folder, blue=20, red=20)
    paths = sorted(map(str, folder.glob("*/*.png")))
    random.Random(0).shuffle(paths)
    return paths, np.array([Path(path).parent.name for path in paths])


@pytest.fixture(scope="module")
def fitted(images):
    return ImageClassifier(TINY).fit(*images)


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("make", [ImageClassifier, TextClassifier])
def test_what_scikit_learn_checks_of_any_estimator(make, check):
    getattr(estimator_checks, check)(make.__name__, make())


def test_probabilities_are_those_of_the_run(fitted, images):
    paths, labels = images
    shares = fitted.predict_proba(paths[:6])

    assert fitted.classes_.tolist() == ["blue", "red"]
    np.testing.assert_allclose(shares.sum(1), 1, atol=1e-6)
    expected = [one.probabilities for one in fitted.run_.predict(paths[:6])]
    np.testing.assert_array_equal(shares, expected)
    assert fitted.score(paths, labels) == np.mean(fitted.predict(paths) == labels) > 0.9
    # All but two examples, of the test split, were learnt from or chose the epoch.
    assert fitted.run_.metrics["test"]["n"] == 2


def test_a_pickle_answers_as_before(fitted, images):
    again = pickle.loads(pickle.dumps(fitted))

    np.testing.assert_array_equal(again.predict(images[0][:3]), fitted.predict(images[0][:3]))


def test_a_second_fit_replaces_the_first(images, tmp_path):
    paths, labels = images
    model = ImageClassifier(TINY, out=str(tmp_path / "fits")).fit(paths, labels)
    first = model.predict(paths[:4])
    swapped = np.where(labels == "red", "blue", "red")

    assert model.fit(paths, swapped).score(paths, swapped) > 0.9
    assert (model.predict(paths[:4]) != first).all()
    assert sorted(path.name for path in (tmp_path / "fits").iterdir()) == ["1", "2", "tables"]


def test_settings_can_be_searched(images):
    search = GridSearchCV(ImageClassifier(TINY), {"settings": [{"epochs": 1}, {"epochs": 3}]}, cv=2)
    search.fit(*images)

    assert search.best_score_ >= 0.9
    assert {*search.cv_results_["param_settings"].data[0]} == {"epochs"}


def test_numbers_as_labels_and_an_array_of_images(images):
    paths, labels = images
    pixels = np.stack([np.asarray(Image.open(path).resize((24, 20))) for path in paths])
    numbers = np.where(labels == "red", 10, 9)  # as texts they are in another order
    scores = cross_val_score(ImageClassifier(TINY), pixels, numbers, cv=2)

    assert scores.tolist() == pytest.approx([1, 1], abs=0.2)


def test_texts_as_they_are():
    words = {"good": ["=lovely", "fine, bright"], "bad": ["dull\nslow", "-cold"]}
    texts = [
        f"{word} film number {n}" for label in words for n in range(12) for word in words[label]
    ]
    labels = [label for label in words for _ in range(24)]
    recipe = Classify(
        data="table.csv",
        input=Text(length=12, vocabulary_size=80),
        backbone="transformer_tiny",
        weights="none",
        batch_size=8,
        stages=(Stage("all", epochs=4, unfreeze="all", learning_rate=3e-3),),
        baselines=("none",),
    )
    found = TextClassifier(recipe).fit(texts, labels)

    assert found.score(texts, labels) > 0.9
    assert {*found.run_.samples(("train",)).store.raw(np.arange(3))} <= {*texts}


class TestRefusals:
    def test_another_modality(self, images):
        with pytest.raises(BadConfiguration, match="Use TextClassifier"):
            ImageClassifier("sentiment").fit(*images)
        with pytest.raises(BadConfiguration, match="Use ImageClassifier"):
            TextClassifier(TINY).fit(["a", "b"], [0, 1])

    @pytest.mark.parametrize("labels", [[1, 1.0 + 1j], ["", "b"], [" a", "a"]])
    def test_labels(self, labels):
        with pytest.raises((BadData, ValueError)):
            ImageClassifier(TINY).fit(["a.png", "b.png"], labels)

    def test_several_labels_of_one_example(self):
        with pytest.raises(ValueError, match="1d array"):
            ImageClassifier(TINY).fit(["a.png", "b.png"], [["a", "b"], ["a", "c"]])

    def test_shapes(self):
        with pytest.raises(BadData, match="paths of images, or one array"):
            ImageClassifier(TINY).fit(np.array([["a.png"], ["b.png"]]), ["a", "b"])
        with pytest.raises(BadData, match="no valid Unicode"):
            TextClassifier("sentiment").fit(["a \ud800", "b"], ["a", "b"])

    def test_lengths(self):
        with pytest.raises(BadData, match="1 examples, and y 2 labels"):
            ImageClassifier(TINY).fit(["a.png"], ["a", "b"])

    def test_an_image_that_cannot_be_read(self, fitted, tmp_path):
        (tmp_path / "bad.png").write_bytes(b"no image")
        with pytest.raises(BadData, match=r"bad\.png"):
            fitted.predict([str(tmp_path / "bad.png")])

    def test_before_fit(self, images):
        with pytest.raises(NotFittedError):
            ImageClassifier(TINY).predict(images[0])

    def test_a_clone_is_not_fitted(self, fitted, images):
        with pytest.raises(NotFittedError):
            clone(fitted).predict(images[0])
