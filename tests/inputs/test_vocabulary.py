"""Vocabularies: their file, and how they are learnt."""

import random
from itertools import pairwise

import bert_tokenization as bert
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keras_transfer.errors import BadData
from keras_transfer.inputs.texts.learning import count_words, learn_vocabulary
from keras_transfer.inputs.texts.vocabulary import SPECIAL_TOKENS, Vocabulary


def learnt(counts, size=100, **settings):
    """Tokens besides the special ones."""
    tokens = learn_vocabulary(counts, size, **settings).tokens
    assert tokens[:5] == SPECIAL_TOKENS
    return list(tokens[5:])


# --- learning ---------------------------------------------------------------------------------


def test_merges_by_hand():
    """low 5, lower 2, newest 6, widest 3: the example of Sennrich et al., without end marks.

    e occurs 17 times and w 16. Of the pairs, ##e ##s and ##s ##t occur 9 times; the first in the
    alphabet is merged, then it with ##t, 9 times; then ##o ##w, 7 times as l ##o, then low; of
    the pairs that occur 6 times, ##e ##w is the first.
    """
    tokens = learnt({"low": 5, "lower": 2, "newest": 6, "widest": 3}, 5 + 20 + 5)

    alphabet = [piece for letter in "ewstlondir" for piece in (letter, f"##{letter}")]
    assert tokens[:4] == ["e", "##e", "w", "##w"]
    assert sorted(tokens[:20]) == sorted(alphabet)
    assert tokens[20:] == ["##es", "##est", "##ow", "low", "##ew"]


def test_equal_letters_are_merged_from_the_left():
    """In aaaa the pair ##a ##a stands twice; that leaves a ##aa ##a, then a ##aaa."""
    assert learnt({"aaaa": 2}) == ["a", "##a", "##aa", "##aaa", "aaaa"]


def test_what_occurs_once_is_not_merged():
    assert learnt({"ab": 1, "cd": 2}) == ["c", "##c", "d", "##d", "a", "##a", "b", "##b", "cd"]


def test_characters_that_stand_alone_have_no_continuation():
    assert learnt({",": 3, "中": 2, "a": 1}) == [",", "中", "a"]


def test_a_size_too_small_for_all_characters_keeps_the_frequent_ones():
    assert learnt({"a": 3, "b": 2, "c": 9}, 7) == ["c", "a"]
    assert learnt({}, 10) == []


WORDS = st.dictionaries(st.text("abcd", min_size=1, max_size=8), st.integers(1, 9), max_size=12)


@given(WORDS, st.integers(5, 60))
def test_words_of_known_characters_are_never_unknown(counts, size):
    vocabulary = learn_vocabulary(counts, size)
    pieces = set(vocabulary.tokens)

    assert len(vocabulary) <= max(size, 5)
    for word in counts:
        characters = [word[0], *("##" + c for c in word[1:])]
        if pieces.issuperset(characters):
            assert bert.pieces(word, pieces) != ["[UNK]"]


@given(WORDS, st.randoms())
def test_the_order_of_the_words_makes_no_difference(counts, chance):
    shuffled = list(counts.items())
    chance.shuffle(shuffled)

    assert learn_vocabulary(dict(shuffled), 40) == learn_vocabulary(counts, 40)


def naive(counts, size):
    """The same, counting all pairs again before each merge."""
    words = {word: [word[0], *("##" + c for c in word[1:])] for word in counts}
    tokens = dict.fromkeys(learn_vocabulary(counts, size, min_count=10**9).tokens)
    while len(tokens) < size:
        pairs = {}
        for word, pieces in words.items():
            for pair in pairwise(pieces):
                pairs[pair] = pairs.get(pair, 0) + counts[word]
        pairs = {pair: n for pair, n in pairs.items() if n >= 2}
        if not pairs:
            break
        a, b = min(pairs, key=lambda pair: (-pairs[pair], pair))
        tokens[a + b[2:]] = None
        for word, pieces in words.items():
            merged, i = [], 0
            while i < len(pieces):
                both = pieces[i : i + 2] == [a, b]
                merged.append(a + b[2:] if both else pieces[i])
                i += 2 if both else 1
            words[word] = merged
    return tuple(tokens)


@given(WORDS)
def test_counts_are_kept_up_to_date(counts):
    characters = len(learn_vocabulary(counts, 10**6, min_count=10**9))

    for size in (characters + 3, 200):
        assert learn_vocabulary(counts, size).tokens == naive(counts, size)


def test_words_are_counted_as_they_are_tokenised():
    counts = count_words(["The cat, the CAT.", b"caf\xc3\xa9 \xff the"], lowercase=True)

    assert counts == {"the": 3, "cat": 2, ",": 1, ".": 1, "cafe": 1}
    assert count_words(["The the"], lowercase=False) == {"The": 1, "the": 1}
    assert count_words([], lowercase=True) == {}


def test_many_texts_are_counted_in_batches():
    texts = ["a b"] * 1500 + ["b"] * 1000

    assert count_words(texts, lowercase=True) == {"a": 1500, "b": 2500}


# --- file -------------------------------------------------------------------------------------


def test_a_file_is_read_as_it_was_written(tmp_path):
    """Tokens may be what Python's splitlines would split at."""
    vocabulary = Vocabulary((*SPECIAL_TOKENS, "a", "##\u2028", "\x85", "é", "中"))

    vocabulary.write(tmp_path / "vocabulary.txt")

    assert (tmp_path / "vocabulary.txt").read_bytes().startswith(b"[PAD]\n[UNK]\n[CLS]\n")
    assert Vocabulary.read(tmp_path / "vocabulary.txt") == vocabulary
    assert vocabulary.special == {"[PAD]": 0, "[UNK]": 1, "[CLS]": 2, "[SEP]": 3, "[MASK]": 4}


def test_carriage_returns_and_a_missing_last_newline_do_not_matter(tmp_path):
    (tmp_path / "v.txt").write_bytes("\r\n".join((*SPECIAL_TOKENS, "a", "b")).encode())

    assert Vocabulary.read(tmp_path / "v.txt").tokens == (*SPECIAL_TOKENS, "a", "b")


def test_the_digest_tells_tokens_and_their_order():
    digests = {
        Vocabulary((*SPECIAL_TOKENS, *tokens)).digest
        for tokens in (("a", "b"), ("b", "a"), ("a",), ("ab",))
    }
    assert len(digests) == 4
    assert Vocabulary(SPECIAL_TOKENS).digest == Vocabulary(SPECIAL_TOKENS).digest


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"[PAD]\n[UNK]\na\n", r"v.txt cannot be used. .* lacks the tokens \[CLS\], \[SEP\]"),
        ("\n".join((*SPECIAL_TOKENS, "a", "b", "a")).encode(), "more than once:\n  'a': 2 times"),
        (b"[PAD]\n\xff\n", "v.txt is not UTF-8 .* at byte 6"),
    ],
)
def test_other_files_are_refused(tmp_path, content, message):
    (tmp_path / "v.txt").write_bytes(content)

    with pytest.raises(BadData, match=message):
        Vocabulary.read(tmp_path / "v.txt")


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(BadData, match=r"v.txt cannot be read \(No such file"):
        Vocabulary.read(tmp_path / "v.txt")


@pytest.mark.real_data
@pytest.mark.slow
def test_a_learnt_vocabulary_covers_real_sentences(shared_data):
    """8,000 tokens of 6,920 sentences: under 0.5 % of the words of others are unknown."""

    def sentences(name):
        lines = (shared_data / f"text/sst2/{name}.tsv").read_text("utf-8").split("\n")
        return [line.partition("\t")[0] for line in lines if line]

    train = sentences("train")
    vocabulary = learn_vocabulary(count_words(train, lowercase=True), 8000)
    random.Random(0).shuffle(train)
    shuffled = learn_vocabulary(count_words(train, lowercase=True), 8000)
    pieces = set(vocabulary.tokens)
    tokens = [t for s in sentences("dev") for t in bert.tokens(s, pieces)]

    assert len(vocabulary) == 8000
    assert shuffled == vocabulary
    assert tokens.count("[UNK]") / len(tokens) < 0.005
    assert len(tokens) / sum(len(bert.words(s)) for s in sentences("dev")) < 1.3
