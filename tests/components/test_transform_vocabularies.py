"""Vocabularies against what plain Python says of the same tokens."""

import hashlib
from collections import Counter
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.components.transform import vocabularies
from penstock.components.transform.vocabularies import FrequencyCount, pruned, write
from penstock.data.records import read_serialized

WORDS = st.sampled_from([b"a", b"b", b"\xff", "ünï".encode(), b"A", b"aa", b"z z"])
BATCHES = st.lists(st.lists(WORDS, max_size=8), min_size=1, max_size=6)


def counted(batches):
    count = FrequencyCount(is_text=True, weighted=False)
    for batch in batches:
        count.add([np.array(batch, dtype=object)])
    return count.result()


def counts(batches) -> Counter:
    return Counter(token for batch in batches for token in batch)


def prune(**options):
    usual = {
        "top_k": None,
        "frequency_threshold": 0,
        "informativeness_threshold": float("-inf"),
        "coverage_top_k": None,
        "coverage_frequency_threshold": 0,
        "coverage_informativeness_threshold": float("-inf"),
        "key_fn": None,
        "input_dtype": "string",
    }
    return SimpleNamespace(**{**usual, **options})


def order(**options):
    usual = {"file_format": "text", "store_frequency": False, "fingerprint_shuffle": False}
    return SimpleNamespace(**{**usual, "input_dtype": "string", **options})


def largest_first(counter: Counter) -> list[tuple[int, bytes]]:
    return sorted(((number, token) for token, number in counter.items()), reverse=True)


def pairs(found) -> set[tuple[int, bytes]]:
    return set(zip(found.values.tolist(), found.tokens.to_pylist(), strict=True))


@settings(deadline=None)
@given(st.lists(BATCHES, min_size=1, max_size=3))
def test_tokens_that_others_have_counted_are_counted_too(parts):
    whole = FrequencyCount(is_text=True, weighted=False)
    for batches in parts:
        further = whole.fresh()
        for batch in batches:
            further.add([np.array(batch, dtype=object)])
        whole.merge(further)
    expected = counts([batch for batches in parts for batch in batches])
    assert pairs(whole.result()) == {(number, token) for token, number in expected.items()}


@settings(deadline=None)
@given(BATCHES)
def test_tokens_are_counted_over_all_batches(batches):
    assert pairs(counted(batches)) == set(largest_first(counts(batches)))


def test_counts_do_not_depend_on_how_many_tokens_wait(monkeypatch):
    monkeypatch.setattr(vocabularies, "_WAITING_TOKENS", 2)
    batches = [[b"a", b"b"], [b"a"], [b"c", b"a"], [], [b"b"]]
    assert pairs(counted(batches)) == {(3, b"a"), (2, b"b"), (1, b"c")}


def test_weights_of_a_token_are_summed():
    weights = FrequencyCount(is_text=False, weighted=True)
    weights.add([np.array([7, 8]), np.array([0.5, 1.0], np.float32)])
    weights.add([np.array([7]), np.array([2.0], np.float32)])
    found = weights.result()
    assert dict(zip(found.tokens.to_pylist(), found.values.tolist(), strict=True)) == {
        7: 2.5,
        8: 1.0,
    }


@settings(deadline=None)
@given(BATCHES, st.integers(0, 4))
def test_tokens_that_are_rarer_than_the_threshold_are_left_out(batches, threshold):
    found = pruned(counted(batches), prune(frequency_threshold=threshold))
    assert pairs(found) == {pair for pair in largest_first(counts(batches)) if pair[0] >= threshold}


@settings(deadline=None)
@given(BATCHES.filter(any), st.integers(1, 4))
def test_the_largest_are_kept_and_of_equals_the_later_in_the_alphabet(batches, top_k):
    found = pruned(counted(batches), prune(top_k=top_k))
    assert pairs(found) == set(largest_first(counts(batches))[:top_k])


@settings(deadline=None)
@given(BATCHES.filter(any), st.integers(1, 3))
def test_every_key_is_covered_by_its_largest_tokens(batches, top_k):
    options = prune(top_k=1, coverage_top_k=top_k, key_fn=lambda token: token[:1])
    found = pruned(counted(batches), options)
    ordered = largest_first(counts(batches))
    expected = {ordered[0]}
    for key in {token[:1] for _, token in ordered}:
        expected |= set([pair for pair in ordered if pair[1][:1] == key][:top_k])
    assert pairs(found) == expected
    assert len(found) == len(expected)


@settings(deadline=None)
@given(batches=BATCHES.filter(any))
def test_a_vocabulary_is_written_largest_first(tmp_path_factory, batches):
    path = str(tmp_path_factory.mktemp("vocabulary") / "words")
    write(counted(batches), order(store_frequency=True), path)
    lines = [b"%d %s\n" % pair for pair in largest_first(counts(batches))]
    with open(path, "rb") as file:
        assert file.readlines() == lines


def test_a_shuffled_vocabulary_is_in_the_order_of_fingerprints(tmp_path):
    tokens = [b"a", b"b", b"c", b"d"]
    write(counted([tokens]), order(fingerprint_shuffle=True), str(tmp_path / "words"))
    ordered = sorted(tokens, key=lambda token: hashlib.sha1(token).digest())
    assert (tmp_path / "words").read_bytes().split() == ordered


def test_reserved_tokens_come_first_and_only_once(tmp_path):
    batches = [[b"b", b"a", b"b"]]
    write(counted(batches), order(), str(tmp_path / "words"), [b"zero", b"b"])
    assert (tmp_path / "words").read_bytes() == b"zero\nb\na\n"


def test_a_vocabulary_of_records_keeps_line_breaks(tmp_path):
    batches = [[b"a\nb", b"a\nb", b""]]
    path = write(counted(batches), order(file_format="tfrecord_gzip"), str(tmp_path / "words"))
    assert path.endswith("words.tfrecord.gz")
    assert list(read_serialized(path)) == [b"a\nb", b""]


@pytest.mark.parametrize("threshold", [0, 5])
def test_integers_are_ordered_as_text_where_they_are_alike_often(tmp_path, threshold):
    count = FrequencyCount(is_text=False, weighted=False)
    count.add([np.repeat(np.array([9, 10, -1]), 5)])
    left = pruned(count.result(), prune(frequency_threshold=threshold, input_dtype="int64"))
    write(left, order(input_dtype="int64"), str(tmp_path / "numbers"))
    assert (tmp_path / "numbers").read_bytes() == b"9\n10\n-1\n"
