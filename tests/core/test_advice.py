"""Each piece of advice is given where it holds, and nowhere else."""

import json
import shutil
from pathlib import Path

import pytest
from plugin_sites import stand_in

from wholeword.cli import main
from wholeword.core.bert.config import model_config
from wholeword.core.config import load_recipe
from wholeword.core.config.job import resolve
from wholeword.core.data.store import write_store
from wholeword.core.vocabulary import SPECIAL_PIECES, Vocabulary
from wholeword.planning.advice import advise
from wholeword.planning.corpus import local_vocabulary
from wholeword.planning.plan import plan, planned_config

RECIPE = """
version: 1
name: advised
corpus: {files: [corpus.txt]}
segmenter: jieba
tokenizer: {vocab: vocab.txt}
examples: full-sentences
masking: {name: whole-word}
model: {size: base}
phases:
  - {max_seq_length: 512, batch_size: 384, steps: 1000, peak_lr: 1e-4, warmup_steps: 100}
"""
CHINESE = [chr(0x4E00 + number) for number in range(200)]
UNCASED = [*CHINESE, "the", "##ing"]
CASED = [*UNCASED, "The", "Word", "USA"]
DEAD = [*UNCASED, *(f"##{character}" for character in CHINESE)]
THREE = "phases=[{max_seq_length: 102, batch_size: 10, steps: 30, peak_lr: 1e-5, warmup_steps: 3}]"  # epochs of the store below


@pytest.fixture
def advice(tmp_path: Path):
    """Advice on RECIPE with some overrides, by setting."""

    def given(*overrides: str, pieces: list[str] = UNCASED, sentences: int = 2, parent: dict | None = None) -> dict[str, str]:
        (tmp_path / "recipe.yaml").write_text(RECIPE, encoding="utf-8")
        if parent is not None:
            (tmp_path / "parent").mkdir()
            (tmp_path / "parent" / "config.json").write_text(json.dumps(parent))
        vocabulary = Vocabulary([*SPECIAL_PIECES, *pieces])
        (tmp_path / "vocab.txt").write_bytes(vocabulary.to_bytes())
        shutil.rmtree(tmp_path / "run", ignore_errors=True)
        write_store(tmp_path / "run" / "store", vocabulary, [[([7] * 50, [True] * 50)] * sentences] * (20 // sentences))
        job = resolve(load_recipe(tmp_path / "recipe.yaml", [f"output={tmp_path}/run", *overrides]))
        result = plan(job)
        config, vocabulary = planned_config(job, result.vocab_size), local_vocabulary(job.prepare)
        advice = advise(job, config, plan=result, vocabulary=vocabulary)
        return {item.setting: str(item) for item in advice if item.setting != "phases"}  # repeats: see below

    return given


def test_the_recipe_itself_is_fine(advice) -> None:
    assert advice() == {}


BASE = model_config({"size": "base"}, vocab_size=207).to_dict()


@pytest.mark.parametrize("rate, warned", [("1e-5", False), ("1e-4", False), ("2e-4", True), ("9e-4", True)])
def test_trained_weights_have_a_low_rate(advice, rate: str, warned: bool) -> None:
    items = advice("model={init: parent}", f"phases.0.peak_lr={rate}", parent=BASE)
    assert ("phases.0.peak_lr" in items) == warned
    if warned:
        assert "released models continued at about 1e-5, and none above 0.0001 (ymcui/Chinese-BERT-wwm#72, #227, #232)" in str(items)


@pytest.mark.parametrize("override", ["model={init: parent, freeze: encoder}", "model={size: base}"])
def test_a_frozen_or_random_encoder_takes_a_higher_rate(advice, override: str) -> None:
    assert advice(override, "phases.0.peak_lr=5e-4", parent=BASE) == {}


def test_a_narrow_model_takes_a_higher_rate(advice) -> None:
    narrow = BASE | {"hidden_size": 96}
    assert advice("model={init: parent}", "phases.0.peak_lr=7.9e-4", parent=narrow) == {}  # up to 768/96 times 1e-4


@pytest.mark.parametrize("batch, rate, warned", [(384, "1e-4", False), (32, "1e-4", False), (8, "1e-4", True), (8, "1e-5", False)])
def test_a_small_batch_has_not_the_rate_of_a_large_one(advice, batch: int, rate: str, warned: bool) -> None:
    items = advice(f"phases.0.batch_size={batch}", f"phases.0.peak_lr={rate}")
    assert ("phases.0.peak_lr" in items) == warned
    if warned:
        assert "suits steps of 196,608 tokens, but these have 4,096; use about 1e-05" in items["phases.0.peak_lr"]


def test_there_is_a_warm_up(advice) -> None:
    items = advice("phases.0.warmup_steps=0")
    assert list(items) == ["phases.0.warmup_steps"] and "a tenth is usual: 100 (Xiong et al. 2020" in str(items)
    assert advice("phases.0.warmup_steps=0", "phases.0.steps=50") == {}


def test_words_are_words(advice) -> None:
    assert "characters makes every Chinese character a word" in advice("segmenter=characters")["segmenter"]
    assert advice("segmenter=characters", "masking=wordpiece") == {}


@pytest.mark.parametrize("deviation, warned", [(0.02, True), (0.1, False)])
def test_a_narrow_model_has_wide_first_values(advice, deviation: float, warned: bool) -> None:
    items = advice("model={size: tiny}", f"model.initializer_range={deviation}")
    assert ("model.initializer_range" in items) == warned


@pytest.mark.parametrize("examples", ["nsp-pairs", "full-sentences"])
@pytest.mark.parametrize("sentences", [1, 2])
def test_pairs_want_documents_of_two_sentences(advice, examples: str, sentences: int) -> None:
    items = advice(f"examples={examples}", sentences=sentences)
    assert ("examples" in items) == (examples == "nsp-pairs" and sentences == 1)


@pytest.mark.parametrize(
    "masking, warned", [("{dupe_factor: 1}", True), ("{dupe_factor: 5}", False), ("{dupe_factor: 1, dynamic: true}", False)]
)
def test_masks_are_new(advice, masking: str, warned: bool) -> None:
    items = advice("masking={name: whole-word, " + masking[1:], THREE)
    assert ("masking.dupe_factor" in items) == warned
    if warned:
        assert "30 epochs with the same masks" in items["masking.dupe_factor"]


@pytest.mark.parametrize(
    "lowercase, pieces, message", [(False, UNCASED, "becomes [UNK]"), (True, CASED, "never be used"), (False, CASED, None)]
)
def test_case_fits_the_vocabulary(advice, lowercase: bool, pieces: list[str], message: str | None) -> None:
    items = advice(f"tokenizer.lowercase={str(lowercase).lower()}", pieces=pieces)
    assert (message in items["tokenizer.lowercase"]) if message else items == {}


def test_random_pieces_are_live(advice) -> None:
    assert "50% of the pieces" in advice(pieces=DEAD)["masking.random_pool"]
    assert advice("masking.random_pool=live", pieces=DEAD) == {}


@pytest.mark.parametrize("steps, warned", [(10, False), (70, True)])
def test_text_is_not_repeated_for_ever(tmp_path: Path, steps: int, warned: bool) -> None:
    (tmp_path / "recipe.yaml").write_text(RECIPE, encoding="utf-8")
    write_store(tmp_path / "store", Vocabulary([*SPECIAL_PIECES, *UNCASED]), [[([7] * 50, [True] * 50)] * 2] * 10)
    job = resolve(load_recipe(tmp_path / "recipe.yaml", [THREE, f"phases.0.steps={steps}"]))
    advice = advise(job, planned_config(job, 207), plan=plan(job, tmp_path / "store"))
    assert any(item.setting == "phases" and "70 epochs" in item.message for item in advice) == warned


def test_check_prints_it(advice, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    stand_in(tmp_path, "torch", "transformers")
    monkeypatch.syspath_prepend(str(tmp_path))
    advice("segmenter=characters")
    shutil.rmtree(tmp_path / "run")
    (tmp_path / "corpus.txt").write_text("".join(f"{character}{character}\n\n" for character in CHINESE), encoding="utf-8")
    main(["check", str(tmp_path / "recipe.yaml"), "--set", f"output={tmp_path}/run", "--set", "segmenter=characters"])
    assert "\nadvice: segmenter: characters makes every Chinese character a word" in capsys.readouterr().out
    main(["check", str(tmp_path / "recipe.yaml"), "--json", "--set", f"output={tmp_path}/run", "--set", "segmenter=characters"])
    printed = json.loads(capsys.readouterr().out)
    assert "segmenter" in [item["setting"] for item in printed["advice"]] and printed["hours"]["H200"] > 0
