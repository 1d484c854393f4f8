"""Models on TensorFlow and on OpenVINO: the same answers."""

import numpy as np
import pytest

from keras_transfer.serving import openvino_model
from keras_transfer.serving.errors import RequestError
from keras_transfer.serving.models import Model
from keras_transfer.serving.openvino_model import OpenVinoModel

needs_openvino = pytest.mark.skipif(not openvino_model.pays(), reason="OpenVINO is not installed")


@needs_openvino
def test_openvino_answers_as_the_run_does(saved, images):
    model = OpenVinoModel("colours", 1, saved.folder)
    assert model._engine is not None

    answer = model.run("serving_default", {"image_bytes": np.array(images.contents, object)})

    np.testing.assert_allclose(answer["scores"], images.wanted, atol=1e-4)
    assert [names[0].decode() for names in answer["classes"]] == images.labels
    theirs = Model("colours", 1, saved.folder).run(
        "serving_default", {"image_bytes": np.array(images.contents, object)}
    )
    assert answer["classes"].tolist() == theirs["classes"].tolist()
    np.testing.assert_allclose(answer["probabilities"], theirs["probabilities"], atol=1e-4)


@needs_openvino
def test_other_signatures_and_bad_bytes_are_as_before(saved, images):
    model = OpenVinoModel("colours", 1, saved.folder)
    one = {"image_bytes": np.array(images.contents[:1], object)}

    assert set(model.run("embed", one)) == {"features"}
    with pytest.raises(RequestError):
        model.run("serving_default", {"image_bytes": np.array([b"no image"], object)})


@needs_openvino
def test_tensorflow_goes_on_where_openvino_answers_otherwise(saved, images, monkeypatch, caplog):
    monkeypatch.setattr(openvino_model, "TOLERANCE", -1.0)
    model = OpenVinoModel("colours", 1, saved.folder)

    assert model._engine is None
    assert "from TensorFlow's, which answers" in caplog.text
    answer = model.run("serving_default", {"image_bytes": np.array(images.contents, object)})
    np.testing.assert_allclose(answer["scores"], images.wanted, atol=1e-5)
