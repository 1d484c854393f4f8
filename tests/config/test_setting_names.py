"""A wrong name says in which setting it stands."""

import re

import pytest

from keras_transfer import BadConfiguration, Classify, UnknownName
from keras_transfer.errors import in_setting


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (
            {"stages": [{"name": "a"}, {"name": "b", "optimizer": "adamm"}]},
            "stages.1.optimizer.name: No optimizer is called 'adamm'. Did you mean 'adam'?",
        ),
        (
            {"stages": [{"name": "a", "schedule": "cosin"}]},
            "stages.0.schedule: No schedule is called 'cosin'. Did you mean 'cosine'?",
        ),
        ({"backbone": "vgg61"}, "backbone.name: No backbone is called 'vgg61'."),
    ],
)
def test_a_wrong_row_of_a_table_names_its_setting(settings, said):
    with pytest.raises(UnknownName) as error:
        Classify(**{"data": "images", "backbone": "convnet_small", **settings})

    assert str(error.value).startswith(said)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (
            {"objective": {"delta": 2}},
            "has a setting 'delta'. Give that too",
        ),
        ({"method": {"temperature": 2}}, "such as --method distill."),
        ({"length": 20}, "input.length = 20: only the input text or text_pair has a"),
        (
            {"objective": {"type": "regression", "label_smoothing": 0.1}},
            "only the objective classification or multilabel has a setting 'label_smoothing'",
        ),
    ],
)
def test_a_setting_of_another_type_names_that_type(settings, said):
    base = Classify(data="images", backbone="convnet_small")
    with pytest.raises(BadConfiguration, match=re.escape(said)):
        base.changed(**settings)


def test_a_name_that_only_the_data_show_to_be_wrong_names_its_setting():
    said = pytest.raises(UnknownName, match=r"^data.classes: No class is called 'green'")
    with said, in_setting("data.classes"):
        raise UnknownName("class", "green", ["blue", "red"])
