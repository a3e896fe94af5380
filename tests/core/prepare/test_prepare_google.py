"""`compat: google` from text on: the rows are those of Google's code, and what cannot be like them is refused."""

import json
from pathlib import Path

import numpy as np
import pytest
from prepare_parts import recipe_in

from wholeword.core.config.job import resolve
from wholeword.core.config.preparation import prepare_job
from wholeword.core.data.store import TokenStore
from wholeword.core.errors import UserError
from wholeword.core.training.prepare import prepare
from wholeword.core.training.sources import JobRows
from wholeword.core.training.store_lines import store_lines

HOSTILE = Path(__file__).parents[2] / "data" / "google_hostile"
SETTINGS = {
    "compat": "google",
    "seed": 12345,
    "segmenter": "characters",
    "examples": {"name": "nsp-pairs", "short_seq_rate": 0.1},
    "masking": {"name": "wordpiece", "rate": 0.15, "dynamic": False, "dupe_factor": 2},
    "phases": [{"max_seq_length": 64, "max_predictions": 10, "batch_size": 7, "steps": 1, "peak_lr": 1e-4}],
    "prepare_workers": 1,
    "cache": None,
}


def hostile(folder, *, name="run", **changes):
    overrides = [f"{key}={json.dumps(value)}" for key, value in (SETTINGS | {"output": str(folder / name)} | changes).items()]
    return recipe_in(folder, *overrides, vocabulary=HOSTILE / "vocab.txt")


def padded(rows, width):
    return np.array([[*row, *[0] * (width - len(row))] for row in rows])


@pytest.mark.parametrize("segmenter", ["characters", "jieba"])
def test_compat_google_makes_googles_rows_of_hostile_text(tmp_path, segmenter):
    (tmp_path / "text.txt").write_bytes((HOSTILE / "text.txt").read_bytes())
    job = resolve(hostile(tmp_path, segmenter=segmenter))
    store = TokenStore(prepare(job.prepare))
    source = JobRows(job, store, cache=tmp_path / "examples").training(0)
    expected = [json.loads(line) for line in (HOSTILE / "instances.jsonl").read_text(encoding="utf-8").split("\n")[:-1]]
    assert source.num_examples == len(expected) == 151
    rows = {name: np.concatenate([source.batch(step)[name] for step in range(22)])[:151] for name in source.batch(0)}
    ids = store.vocabulary.ids
    assert np.array_equal(rows["input_ids"], padded([[ids[token] for token in row["tokens"]] for row in expected], 64))
    assert np.array_equal(rows["segment_ids"], padded([row["segment_ids"] for row in expected], 64))
    assert np.array_equal(rows["masked_lm_positions"], padded([row["masked_lm_positions"] for row in expected], 10))
    assert np.array_equal(rows["masked_lm_ids"], padded([[ids[token] for token in row["masked_lm_labels"]] for row in expected], 10))
    begins = np.concatenate([store.gather(*span)[1] for span in ([[shard.token_offset], [shard.num_tokens]] for shard in store.shards)])
    continues = store.vocabulary.is_continuation[np.concatenate([shard.ids for shard in store.shards])]
    assert segmenter != "characters" or np.array_equal(begins, ~continues)  # the words of do_whole_word_mask
    assert rows["next_sentence_labels"].tolist() == [row["is_random_next"] for row in expected]


def test_a_dropped_private_use_character_is_counted_and_said(tmp_path):
    (tmp_path / "text.txt").write_text("使用\ue000语言\uf8ff模型，é\u200b。\n\n下一个词\n", encoding="utf-8")
    store = TokenStore(prepare(prepare_job(hostile(tmp_path, compat=None))))
    counts = store.manifest["counts"]
    assert counts["num_dropped"] == 2
    assert [line for line in store_lines(store) if line.startswith("store: 2 characters for private use")]
    google = TokenStore(prepare(prepare_job(hostile(tmp_path, name="google")))).manifest["counts"]
    assert "num_dropped" not in google and google["num_unknown"] == counts["num_unknown"] + 2


def test_a_store_of_the_one_compat_is_not_taken_for_the_other(tmp_path):
    (tmp_path / "text.txt").write_text("使用语言模型\n\n下一个词\n", encoding="utf-8")
    prepare(prepare_job(hostile(tmp_path)))
    with pytest.raises(UserError, match=r"made from other inputs: compat was 'google', is None"):
        prepare(prepare_job(hostile(tmp_path, compat=None)))


def test_a_file_that_google_would_join_with_the_next_one_is_refused(tmp_path):
    (tmp_path / "a.txt").write_text("使用语言模型\n", encoding="utf-8")
    (tmp_path / "b.txt").write_text("下一个词\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"a.txt: the last line is not blank, so .* in b.txt; .*: add one"):
        prepare(prepare_job(hostile(tmp_path)))
    (tmp_path / "a.txt").write_text("使用语言模型\n\u00a0", encoding="utf-8")
    assert TokenStore(prepare(prepare_job(hostile(tmp_path)))).num_documents == 2


def test_a_document_that_would_be_cut_is_refused(tmp_path):
    (tmp_path / "text.txt").write_text("使用语言模型来预测下一个词的概率。\n" * 30_000, encoding="utf-8")
    with pytest.raises(UserError, match=r"text.txt: a document exceeds corpus.shard_mb, 1, .* set corpus.shard_mb to more"):
        prepare(prepare_job(hostile(tmp_path)))
