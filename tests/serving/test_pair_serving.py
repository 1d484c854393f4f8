"""A served export of pairs of texts, over REST: answers and refusals."""

import numpy as np
import pytest
from pairs_runs import PAIRS
from starlette.testclient import TestClient

from keras_transfer.serving.rest import build_app
from keras_transfer.serving.service import Limits


@pytest.fixture(scope="module")
def client(make_service, pair_export):
    service = make_service(pair_export().folder.parent, Limits(text=500), name="pairs")
    return TestClient(build_app(service))


@pytest.fixture
def post(client):
    def post(document, api="predict"):
        answer = client.post(f"/v1/models/pairs:{api}", json=document)
        return answer.status_code, answer.json()

    return post


INSTANCES = [{"text_a": a, "text_b": b} for a, b in PAIRS]


def test_rows_and_columns_are_answered_as_the_run_does(post, pair_run):
    wanted = [one.probabilities for one in pair_run.predict(PAIRS)]

    status, rows = post({"instances": INSTANCES})
    first, second = map(list, zip(*PAIRS, strict=True))
    _, columns = post({"inputs": {"text_a": first, "text_b": second}})

    assert status == 200, rows
    np.testing.assert_allclose([row["scores"] for row in rows["predictions"]], wanted, atol=1e-5)
    np.testing.assert_allclose(columns["outputs"]["scores"], wanted, atol=1e-5)


def test_classify(post, pair_run):
    status, document = post({"signature_name": "classify", "examples": INSTANCES}, "classify")

    assert status == 200, document
    for row, wanted in zip(document["results"], pair_run.predict(PAIRS), strict=True):
        assert row[0][0] == wanted.label


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ({"instances": ["good film"]}, "multiple input tensors are required: text_a, text_b"),
        ({"instances": [{"text_a": "good"}]}, "keys must be equal to: text_a,text_b"),
        ({"instances": [{"text": "good"}]}, "keys must be equal to: text_a,text_b"),
        ({"instances": [{"text_a": "good", "text_b": " "}]}, "The text is empty"),
        ({"instances": [{"text_a": "g" * 501, "text_b": "b"}]}, "501 bytes, over 500"),
        ({"inputs": {"text_a": ["a", "b"], "text_b": ["c"]}}, ""),
    ],
)
def test_what_is_refused(post, document, said):
    status, answer = post(document)

    assert (status, said in answer["error"]) == (400, True), answer


def test_the_page_knows_that_it_takes_pairs(client):
    assert client.get("/page/about.json").json()["input"] == "text_pair"
