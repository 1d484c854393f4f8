"""Scores of words: what a network's answer loses without each."""

import csv
import json

import numpy as np
import pytest
from html_pages import Page
from processes import kt
from scipy.special import log_softmax, logsumexp
from texts_runs import BAD, GOOD

from keras_transfer.errors import BadConfiguration, UnknownName
from keras_transfer.explanations.texts import TextExplainer, words_of
from keras_transfer.reports.word_scores import pieces

TEXTS = ["a lovely film and the plot is bright", "It is a bad, dull cast!"]


@pytest.fixture(scope="module")
def explained(text_run):
    explainer = TextExplainer(text_run("classes"))
    return explainer, [*explainer.explain(TEXTS)]


def test_words_are_where_they_stand_in_the_text(explained):
    for one, text in zip(explained[1], TEXTS, strict=True):
        assert one.text == one.path == text
        for word in one.words:
            assert text[word.start : word.end] == word.text
        said = [word.text for word in one.words]
        assert said == text.replace(",", " ,").replace("!", " !").split()[: len(said)]
        assert "".join(piece.text for piece in pieces(one)) == text


def test_the_score_of_a_word_is_what_the_log_odds_lose_without_it(text_run, explained):
    run = text_run("classes")
    (tokens,) = words_of(TEXTS[:1], run.loading.input)
    inputs = {name: values[None] for name, values in tokens.inputs.items()}

    def odds(mask):
        given = {**inputs, "padding_mask": mask}
        logits = run.network.predictor(given, training=False)["label"].numpy()[0]
        logs = log_softmax(logits)
        return logs - [logsumexp(np.delete(logs, unit)) for unit in range(len(logs))]

    unit = run.classes.index(explained[1][0].explained)
    whole = odds(inputs["padding_mask"])[unit]
    assert explained[1][0].value == pytest.approx(whole, abs=1e-4)
    for number, word in enumerate(explained[1][0].words):
        mask = inputs["padding_mask"] & (tokens.owners != number)
        assert word.score == pytest.approx(whole - odds(mask)[unit], abs=1e-4)


def test_pieces_are_summed_up_to_words(text_run):
    run = text_run("classes")
    bound = run.loading.input
    # A word of the vocabulary, and a piece that continues it.
    ends = [one[2:] for one in bound.vocabulary.tokens if one.startswith("##")]
    word = next(f"good{end}" for end in ends if f"good{end}" not in bound.vocabulary.tokens)
    (tokens,) = words_of([f"{word} film"], bound)
    assert len(tokens.spans) == 2
    assert (tokens.owners == 0).sum() > 1
    assert tokens.owners[0] == -1
    (one,) = TextExplainer(run, sanity=False).explain(f"{word} film")
    assert [found.text for found in one.words] == [word, "film"]


def test_words_that_decide_have_the_highest_scores(text_run, explained):
    good, bad = explained[1]
    assert (good.predicted, bad.predicted) == ("good", "bad")
    assert max(good.words, key=lambda word: word.score).text in GOOD
    assert max(bad.words, key=lambda word: word.score).text in BAD
    for one in explained[1]:
        assert one.deletion.score < one.deletion.random
    (against,) = TextExplainer(text_run("classes"), unit="bad").explain(TEXTS[0])
    scores = {word.text: word.score for word in against.words}
    assert min(scores, key=scores.get) in GOOD
    # Of two classes, what speaks for one speaks against the other.
    np.testing.assert_allclose([*scores.values()], [-w.score for w in good.words], atol=1e-4)


def test_random_weights_are_compared_and_taken_back(text_run, explained):
    run, (explainer, _) = text_run("classes"), explained
    assert explainer.sanity.examples == 2
    before = run.network.predictor.get_weights()
    list(TextExplainer(run).explain(TEXTS))
    for weight, now in zip(before, run.network.predictor.get_weights(), strict=True):
        np.testing.assert_array_equal(weight, now)


def test_what_cannot_be_explained_is_refused(text_run, pair_run, run):
    for given, said in (
        ((pair_run,), "pairs of texts"),
        ((run,), "takes images"),
        ((text_run("classes"), "grad_cam"), "No method for texts is called 'grad_cam'"),
        ((text_run("classes"), "occlusion", "goood"), "Did you mean 'good'"),
    ):
        with pytest.raises((BadConfiguration, UnknownName), match=said):
            TextExplainer(*given)
    missing, fine = TextExplainer(text_run("classes")).explain(["", TEXTS[0]])
    assert missing.error
    assert not fine.error


def test_the_command_for_texts(text_run, tmp_path):
    folder = text_run("classes").folder
    hostile = "a <b>lovely</b> film &amp; 'plot'"
    done = kt("explain", folder, TEXTS[0], hostile, "--to", "new", cwd=tmp_path, check=0)
    assert "lovely +" in done.stdout
    assert "hottest words" in done.stdout
    rows = list(csv.DictReader((tmp_path / "new/words.csv").open()))
    first = [row for row in rows if row["text"] == "1"]
    assert [row["word"] for row in first] == TEXTS[0].split()[: len(first)]
    assert len(list(csv.DictReader((tmp_path / "new/index.csv").open()))) == 2
    assert json.loads((tmp_path / "new/summary.json").read_text())["method"] == "occlusion"
    page = Page((tmp_path / "new/index.html").read_text("utf-8")).check()
    assert "b" not in page.tags[: page.tags.index("section")]
    assert "&lt;</span>" in page.html  # each sign is a word
    assert "does not see" in page.said  # what is longer than 12 tokens
    assert page.tags.count("section") == 2
    words = kt("explain", folder, TEXTS[1], "--json", "--to", "other", cwd=tmp_path, check=0)
    (one,) = json.loads(words.stdout)["explanations"]
    assert [word["text"] for word in one["words"]][:4] == ["It", "is", "a", "bad"]
