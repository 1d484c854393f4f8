"""Frozen features as a transformer of scikit-learn."""

import pickle

import keras
import numpy as np
import pytest
from PIL import Image
from processes import paint
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.utils import estimator_checks

from keras_transfer import BadConfiguration, BadData, FeatureExtractor, UnknownName
from keras_transfer.networks.backbones import build_backbone


@pytest.fixture(scope="module", autouse=True)
def _own_cache(tmp_path_factory):
    """One cache for all of them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KT_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """24 images of two classes, and weights."""
    folder = tmp_path_factory.mktemp("transformer")
    paint(folder / "images")
    keras.utils.set_random_seed(0)
    build_backbone("convnet_small", image_size=16).save_weights(folder / "small.weights.h5")
    return folder


@pytest.fixture(scope="module")
def paths(work):
    return sorted(map(str, (work / "images").glob("*/*.png")))


def extractor(work, **more):
    settings = {"weights": str(work / "small.weights.h5"), "image_size": 16}
    return FeatureExtractor("convnet_small", **settings, engine="keras", engine_error=0, **more)


CHECKS = (
    "check_do_not_raise_errors_in_init_or_set_params",
    "check_dont_overwrite_parameters",
    "check_estimator_cloneable",
    "check_estimator_repr",
    "check_estimators_fit_returns_self",
    "check_estimators_overwrite_params",
    "check_get_params_invariance",
    "check_mixin_order",
    "check_no_attributes_set_in_init",
    "check_parameters_default_constructible",
    "check_readonly_memmap_input",
    "check_requires_y_none",
    "check_set_params",
)
"""What scikit-learn checks of any estimator, whatever its data are.

Its other checks of transformers call ``transform`` on tables of random numbers, (n, columns)
floats, sparse or with NaN, and compare how rows and columns are counted; an image is none of these.
``check_estimator`` itself leaves them out, by the tag ``two_d_array``, and most of the above too.
"""


@pytest.mark.parametrize("check", CHECKS)
def test_what_scikit_learn_checks_of_any_estimator(work, check):
    getattr(estimator_checks, check)("FeatureExtractor", extractor(work))


def test_a_pipeline_on_paths(work, paths):
    labels = [path.split("/")[-2] for path in paths]
    pipeline = make_pipeline(extractor(work), LogisticRegression(C=10))

    assert cross_val_score(pipeline, paths, labels, cv=2).tolist() == [1, 1]
    again = pipeline.set_params(featureextractor__layer="block2").fit(paths, labels)
    assert again[-1].coef_.shape == (1, 64)
    assert again.score(paths, labels) == 1


def test_paths_and_arrays_give_the_same(work, paths):
    one, pixels = extractor(work), np.stack([np.asarray(Image.open(path)) for path in paths])
    features = one.transform(np.array(paths))

    assert features.shape == (24, 128)
    assert features.dtype == np.float32
    np.testing.assert_array_equal(one.fit_transform(pixels), features)
    # In another order, and one alone.
    np.testing.assert_array_equal(one.transform(paths[::-1]), features[::-1])
    np.testing.assert_array_equal(one.transform(pixels[3:4]), features[3:4])

    copies = clone(one), pickle.loads(pickle.dumps(one))
    for copy in copies:
        assert copy.get_params() == one.get_params()
        np.testing.assert_array_equal(copy.transform(paths), features)
    assert len(pickle.dumps(one)) < 2000  # without the network
    names = one.get_feature_names_out()
    assert names.tolist() == [f"featureextractor{place}" for place in range(128)]


def test_without_a_cache_nothing_stays(work, paths):
    one = extractor(work, cache=False)
    np.testing.assert_allclose(
        one.transform(paths[:4]), extractor(work).transform(paths[:4]), rtol=2e-3, atol=2e-3
    )
    assert one._built["extractor"].held == {}


def test_what_cannot_be_used_is_named(work, paths, tmp_path):
    (tmp_path / "broken.png").write_bytes(b"no image")
    one = extractor(work)
    with pytest.raises(BadData, match=r"1 of 2 examples cannot be used(.|\n)*broken\.png"):
        one.transform([paths[0], str(tmp_path / "broken.png")])
    with pytest.raises(BadData, match="Name files, not folders"):
        one.transform([str(work / "images/red")])
    with pytest.raises(UnknownName, match="Did you mean 'block2'"):
        one.set_params(layer="blok2").transform(paths)
    with pytest.raises(UnknownName, match="convnet_small"):
        FeatureExtractor("convnet_smal").fit(paths)
    for wrong in ({"pooling": "none"}, {"weights": "none"}, {"resize": "squash"}):
        with pytest.raises(BadConfiguration, match=next(iter(wrong))):
            FeatureExtractor("convnet_small").set_params(**wrong).fit(paths)
