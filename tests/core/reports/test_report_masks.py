"""Masks are counted by eye, and as the batches that training sees have them."""

from collections import Counter

import numpy as np
import pytest
from report_parts import VOCABULARY, as_arrays, random_documents, whole_word
from row_sources import batch_source

from wholeword.core.contracts import Masked
from wholeword.core.data.store import write_store
from wholeword.core.registry.registry import registry
from wholeword.reports import masks as masks_module
from wholeword.reports.store import store_report


def count(store, masking):
    """Counts of masks in rows of the one length of `masking`."""
    [lengths] = store_report(store, masking).masking.lengths
    return lengths.counts


@pytest.mark.parametrize("examples", ["full-sentences", "nsp-pairs"])
@pytest.mark.parametrize("settings", [{}, {"rate": 0.3}, {"wordpiece_rate": 0.5}, {"budget": "bernoulli"}])
def test_masks_are_counted_as_the_batches_of_training_have_them(tmp_path, monkeypatch, examples, settings):
    monkeypatch.setattr(masks_module, "ROWS_TOKENS", 300)
    monkeypatch.setattr(masks_module, "MAX_TOKENS", 32 * 60)  # not all of them, but the first that training sees
    store = write_store(tmp_path / "store", VOCABULARY, as_arrays(random_documents(8)), tokens_per_shard=500)
    rate = settings.get("rate", 0.15)
    masking = whole_word(**settings, examples=examples, held_out_rate=0.2, lengths=[(32, 5)])
    counted = count(store, masking)

    def rows(strategy, max_predictions):
        source = batch_source(
            store,
            kind=examples,
            short_seq_rate=0.0,
            strategy=strategy,
            seed=12345,
            max_seq_length=32,
            max_predictions=max_predictions,
            batch_size=1,
            dynamic=True,
            dupe_factor=1,
            held_out_rate=0.2,
        )
        assert source.num_examples > 60
        return [source.batch(step) for step in range(60)]

    total, by_length, all_pieces = Counter(), Counter(), Counter()
    for batch in rows(masking.strategy, 5):
        filled = batch["masked_lm_weights"][0] > 0
        places, labels = batch["masked_lm_positions"][0][filled], batch["masked_lm_ids"][0][filled]
        output, tokens = batch["input_ids"][0][places], int(batch["input_mask"].sum())
        budget = min(5, max(1, round(tokens * rate)))
        by_length.update(np.minimum(batch["masked_lm_word_lengths"][0][filled], 5).tolist())
        total += Counter(rows=1, tokens=tokens, masked=len(places), filled=int(len(places) == budget), none=int(len(places) == 0))
        total["mask"] += int((output == VOCABULARY.mask_id).sum())
        total["kept"] += int((output == labels).sum())
    for batch in rows(registry.create("masking", "whole-word", rate=1.0), 32):  # chooses every piece
        all_pieces.update(np.minimum(batch["masked_lm_word_lengths"][0], 5).tolist())
    del all_pieces[0]  # unused slots
    assert all_pieces.total() == total["tokens"] - (3 if examples == "nsp-pairs" else 2) * total["rows"]
    names = ("rows", "tokens", "masked", "rows_without_mask")
    assert [getattr(counted, f"num_{name}") for name in names] == [total[key] for key in ("rows", "tokens", "masked", "none")]
    assert counted.masked_rate == pytest.approx(total["masked"] / total["tokens"], abs=1e-6)
    assert counted.filled_rate == pytest.approx(total["filled"] / total["rows"], abs=1e-6)
    assert counted.mask_rate == pytest.approx(total["mask"] / total["masked"], abs=1e-6)
    assert counted.kept_rate == pytest.approx(total["kept"] / total["masked"], abs=1e-6)
    assert counted.mask_rate + counted.kept_rate + counted.random_rate == pytest.approx(1, abs=2e-6)
    for length, row in enumerate(counted.by_word_length, 1):
        assert (row.num_pieces, row.num_masked) == (all_pieces[length], by_length[length])
        assert row.masked_rate == pytest.approx(by_length[length] / all_pieces[length], abs=1e-6)
    if not settings.get("wordpiece_rate"):  # words are masked whole
        assert counted.partly_rate == 0
        assert counted.beside_rate == pytest.approx((total["masked"] - by_length[1]) / total["masked"], abs=1e-6)
    else:
        assert 0.1 < counted.partly_rate < 0.9


def test_masks_that_can_be_counted_by_eye():
    #                      [CLS] 一二 三四五 六 七八 [SEP], masked: 一, 四五, 六, 七八
    ids = np.array([[2, 5, 6, 7, 8, 9, 10, 11, 12, 3, 0]])
    word_starts, candidates, chosen = (
        np.array([[mark == "x" for mark in marks]]) for marks in (" x x  xx   ", " xxxxxxxx  ", " x  xxxxx  ")
    )
    output = np.where(chosen, VOCABULARY.mask_id, ids)
    output[0, [5, 6]] = 9, 200  # one is kept, one is random
    rows = masks_module.MaskedRows(ids, word_starts, candidates, Masked(output, chosen))
    counted = masks_module.count_masks([rows, rows], rate=0.5, max_predictions=9, vocabulary=VOCABULARY)
    by_length = counted.by_word_length
    assert vars(counted) | {"by_word_length": None} == {
        "by_word_length": None,
        "num_rows": 2,
        "num_tokens": 20,
        "num_masked": 12,
        "num_rows_without_mask": 0,
        "masked_rate": 0.6,
        "filled_rate": 0.0,
        "mean_fill_rate": 1.2,
        "mask_rate": 0.666667,
        "kept_rate": 0.166667,
        "random_rate": 0.166667,
        "beside_rate": 0.666667,  # 四五 and 七八
        "partly_rate": 0.666667,  # 一二 and 三四五, not 七八
    }
    assert [(row.pieces, row.num_pieces, row.num_masked) for row in by_length[:3]] == [("1", 2, 2), ("2", 8, 6), ("3", 6, 4)]


def test_of_many_shards_some_are_masked_and_rows_stay_whole(tmp_path, monkeypatch):
    documents = random_documents(3, count=200)
    store = write_store(tmp_path / "store", VOCABULARY, as_arrays(documents), tokens_per_shard=200)
    assert len(store.shards) > 16
    monkeypatch.setattr(masks_module, "MAX_SHARDS", 4)
    few = count(store, whole_word(examples="nsp-pairs"))
    monkeypatch.setattr(masks_module, "MAX_SHARDS", 10**6)
    all_rows = count(store, whole_word(examples="nsp-pairs"))
    assert 0 < few.num_rows < all_rows.num_rows / 3
    assert few.partly_rate == all_rows.partly_rate == 0
    monkeypatch.setattr(masks_module, "MAX_TOKENS", 640)
    limited = count(store, whole_word(examples="nsp-pairs"))
    assert limited.num_rows == 20
