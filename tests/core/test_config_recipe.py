"""Recipes: what is accepted, with which defaults, and what is a warning."""

import json
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest
from small_recipe import RECIPE

from wholeword.core.bert.config import SIZES
from wholeword.core.config import load_recipe
from wholeword.core.config.recipe import ModelSection
from wholeword.core.errors import UserError


def test_loading_imports_no_framework(tmp_path):
    path = tmp_path / "recipe.yaml"
    path.write_text(RECIPE, encoding="utf-8")
    script = f"""
import sys
from wholeword.core.config import load_recipe
load_recipe({str(path)!r})
print([name for name in ("torch", "transformers", "tensorflow", "paddle", "ltp", "jieba", "rjieba") if name in sys.modules])
"""
    printed = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert printed == "[]\n"


def test_defaults_are_those_of_bert(load):
    recipe = load(text="version: 1\nname: x\ncorpus: {files: [a]}\ntokenizer: {vocab: v}\nmodel: {size: base}\n"
                  "phases: [{max_seq_length: 128, batch_size: 8, steps: 9, peak_lr: 1}]")  # fmt: skip
    assert recipe.resolved() == {
        "version": 1,
        "name": "x",
        "seed": 12345,
        "corpus": {
            "files": ["a"],
            "format": "sentences",
            "documents": "blank-line",
            "bad_bytes": "error",
            "drop_duplicates": False,
            "cleaning": [],
            "shard_mb": 16,
        },
        "segmenter": recipe.resolved()["segmenter"],
        "tokenizer": {"vocab": "v", "lowercase": True},
        "examples": {"name": "nsp-pairs", "short_seq_rate": 0.1},
        "alignment": {"latin_phrases": "split"},
        "masking": {
            **{"name": "whole-word", "dynamic": False, "dupe_factor": 5, "fallback": "span", "rate": 0.15, "wordpiece_rate": 0.0},
            **{"budget": "google", "replacement": "token", "random_pool": "all", "unknown": "keep"},
        },
        "compat": None,
        "model": {"size": "base", "init": "random"},
        "optimizer": {"name": "adamw", "weight_decay": 0.01, "beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-6},
        "backend": {"name": "pytorch", "precision": "auto", "device": "auto", "micro_batch_size": None, "threads": None},
        "phases": [{"max_seq_length": 128, "batch_size": 8, "steps": 9, "peak_lr": 1.0, "warmup_steps": 0, "max_predictions": 19}],
        "clip_norm": 1.0,
        "evaluation": {"held_out_rate": 0.0, "every": 0, "batches": 16, "maskings": [], "fill_mask": []},
        "checkpoint": {"every": 1000, "keep": 3},
        "log": {"every": 10, "tensorboard": False},
        "loader_workers": 1,
        "prepare_workers": 0,
        "export": ["pytorch-bin"],
        "output": "runs/x",
        "store": "runs/x/store",
        "cache": "runs/cache",
    }
    assert recipe.segmenter.name == "jieba"
    assert recipe.warnings == []


@pytest.mark.parametrize(
    "lines",
    [
        {},
        {3: "corpus: {files: [a.jsonl], format: jsonl, text_key: body}", 5: "tokenizer: {train: 8000, min_frequency: 3}"},
        {
            4: "segmenter: characters",
            6: "examples: {name: doc-sentences}",
            8: "model: {size: rbt3, init: {from: roberta, layers: [0, 1, 2]}}",
        },
        {3: "corpus: {files: [a], cleaning: [html, {name: full-width, punctuation: true}]}"},
        {7: "masking: {name: wordpiece, rate: 0.2}", 14: "compat: google"},
        {8: "model: {init: roberta}", 10: "backend: {name: pytorch, micro_batch_size: 4}", 13: "store:"},
        {9: "optimizer: {name: lamb, variant: google}", 13: "evaluation: {held_out_rate: 0.1, fill_mask: ['使用语言[MASK]型']}"},
    ],
)
def test_a_resolved_recipe_loads_to_the_same_recipe(load, lines):
    recipe = load(lines)
    text = json.dumps(recipe.resolved(), ensure_ascii=False)
    assert load(text=text) == recipe
    assert load(text=text).resolved() == recipe.resolved()


def test_a_bare_string_is_short_for_a_name(load):
    assert load({4: "segmenter: {name: jieba}", 6: "examples: {name: nsp-pairs}"}) == load()


def test_predictions_are_as_many_as_the_rate_needs(load):
    def predictions(length: int, rate: float) -> int:
        return load({}, f"phases.0.max_seq_length={length}", f"masking.rate={rate}").phases[0].max_predictions

    assert predictions(128, 0.15) == 19
    assert predictions(512, 0.15) == 77
    assert predictions(128, 1) == 128
    assert predictions(8, 0.01) == 1


def test_examples_without_pairs_are_not_shortened(load):
    assert load({6: "examples: full-sentences"}).examples.short_seq_rate == 0
    assert load({6: "examples: sop-pairs"}).examples.short_seq_rate == 0.1


def test_lines_of_jsonl_are_documents(load):
    assert load({3: "corpus: {files: [a], format: jsonl}"}).corpus.documents == "line"


def test_paths_start_from_the_folder_of_the_file(load, tmp_path):
    assert load().base_folder == tmp_path
    assert load_recipe("quickstart").base_folder == Path()


def test_sizes_are_those_of_the_model():
    size = ModelSection.model_fields["size"].annotation
    assert set(get_args(get_args(size)[0])) == set(SIZES)


def test_a_model_says_what_it_was_told(load):
    model = load({8: "model: {size: rbt3, init: {from: roberta, layers: [0, 2, 1]}, hidden_act: gelu_tanh}"}).model
    assert model.init_folder == "roberta"
    assert model.layers == [0, 2, 1]
    assert model.sizes() == {"size": "rbt3", "hidden_act": "gelu_tanh"}
    assert load().model.init_folder is None


def test_what_seldom_ends_well_is_a_warning(load):
    recipe = load(
        {
            3: "corpus: {files: [a], documents: line}",
            8: "model: {init: bert-base-chinese}",
            9: "optimizer: lamb",
            12: "  - {max_seq_length: 128, batch_size: 8, steps: 10, peak_lr: 1e-3}",
        }
    )
    warnings = [warning.rsplit("/", 1)[1] for warning in recipe.warnings]
    assert [warning.split(": ")[:2] for warning in warnings] == [
        ["recipe.yaml:3:33", "corpus.documents"],
        ["recipe.yaml:12:39", "phases.0.batch_size"],
        ["recipe.yaml:12:62", "phases.0.peak_lr"],
    ]
    assert "8 is a small batch for lamb, which is designed for 256 or more" in warnings[1]
    assert "continue released models at about 1e-5" in warnings[2]
    frozen = {
        8: "model: {init: bert-base-chinese, freeze: encoder}",
        12: "  - {max_seq_length: 64, batch_size: 8, steps: 9, peak_lr: 1e-3}",
    }
    assert not load(frozen).warnings  # no rate destroys what stays as it is


@pytest.mark.parametrize("output", ["wiki", "wiki/../wiki"])
def test_a_run_does_not_write_where_it_reads(load, tmp_path, monkeypatch, output):
    monkeypatch.chdir(tmp_path)
    (problem,) = load.problems({14: f"output: {output}"})
    assert "the corpus pattern 'wiki/*.txt' would match files that the run writes" in problem
    (problem,) = load.problems({3: "corpus: {files: ['**/*.txt']}"})
    assert "would match files that the run writes" in problem
    assert load.problems({14: "output: elsewhere"}) == []


def test_an_unknown_recipe_gets_the_nearest_name_and_the_list():
    with pytest.raises(
        UserError, match=r"^quickstrat: unknown recipe; did you mean 'quickstart'\? expected one of .*bert-wwm, .*quickstart"
    ):
        load_recipe("quickstrat")


def test_a_missing_file_gets_its_neighbour(load, tmp_path):
    load()
    with pytest.raises(UserError, match=r"recepie\.yaml: no such file; did you mean .*/recipe\.yaml\?"):
        load_recipe(tmp_path / "recepie.yaml")
    with pytest.raises(UserError, match=r"expected a readable \.yaml file"):
        load_recipe(tmp_path)
