"""Recipes: what is accepted, and what is said about what is not."""

import json
import random
import string
import subprocess
import sys
import time
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wholeword.core.bert.shapes import SIZES
from wholeword.core.config import Recipe, load_recipe
from wholeword.core.config.messages import sections_of_recipe
from wholeword.core.config.recipe import ModelSection
from wholeword.core.config.yaml import dotted, read_yaml
from wholeword.core.errors import RecipeError, UserError

RECIPE = """\
version: 1
name: small
corpus: {files: [wiki/*.txt]}
segmenter: jieba
tokenizer: {vocab: vocab.txt}
examples: nsp-pairs
masking: {name: whole-word, rate: 0.15}
model: {size: base}
optimizer: {name: adamw}
backend: {name: pytorch}
phases:
  - {max_seq_length: 128, batch_size: 256, steps: 1000, peak_lr: 1.0e-4}
evaluation: {held_out_rate: 0.01}
export: [pytorch-bin]
"""


@pytest.fixture
def load(tmp_path):
    """Load RECIPE with some lines replaced (by number, from 1), or another text."""

    def loaded(lines: dict[int, str] | None = None, *overrides: str, text: str = RECIPE) -> Recipe:
        content = text.splitlines()
        for number, line in (lines or {}).items():
            content[number - 1] = line
        path = tmp_path / "recipe.yaml"
        path.write_text("\n".join(content), encoding="utf-8")
        return load_recipe(path, overrides)

    def problems(*args, **kwargs) -> list[str]:
        try:
            loaded(*args, **kwargs)
        except RecipeError as error:
            return [problem.replace(f"{tmp_path}/", "") for problem in error.problems]
        return []

    loaded.problems = problems
    return loaded


# from this line on the recipe says this, ▸ is the place of the problem, and these words are in it
BROKEN = [
    (1, "version: ▸2", "version: 2; expected 1 (version of this format)"),
    (1, "# no version\n▸name: small", "version: missing; expected 1"),
    (2, "name: ▸Small Model", "expected text (name of the run: small letters, digits, '.', '_', '-'); did you mean small-model?"),
    (2, "▸nmae: small", "nmae: unknown setting; did you mean 'name'?"),
    (14, "export: []\n▸export: []", "export: stands twice (first on line 14); keep one"),
    (3, "corpus: {files: ▸wiki.txt}", "corpus.files: 'wiki.txt' is text; expected a list of text"),
    (3, "corpus: {files: ▸[]}", "corpus.files: an empty list; expected a list of text"),
    (3, "corpus: {files: [a.txt], format: ▸txt}", "corpus.format: 'txt'; expected one of sentences, text, jsonl"),
    (3, "corpus: {files: [a.txt], text_key: ▸body}", "corpus.text_key: only jsonl has keys"),
    (3, "corpus: {files: [a.txt], format: jsonl, documents: ▸line}", "corpus.documents: every line of jsonl is a document"),
    (3, "corpus: ▸[a.txt]", "corpus: a list; expected settings as key: value (files, format, documents"),
    (3, "corpus: {files: [a.txt], cleaning: ▸html}", "corpus.cleaning: 'html' is text; expected a list of"),
    (3, "corpus: {files: [a.txt], cleaning: [html, ▸qoutes]}", "corpus.cleaning.1.name: unknown cleaner 'qoutes'; did you mean 'quotes'?"),
    (3, "corpus: {files: [a.txt], cleaning: [html, {name: full-width, ▸punctuatoin: true}]}",
     "corpus.cleaning.1.punctuatoin: unknown setting; did you mean 'punctuation'?"),
    (3, "corpus: {files: [a.txt], cleaning: [{name: full-width, punctuation: ▸yes}]}", "'yes' is text; expected true or false"),
    (3, "corpus: {files: [a.txt], cleaning: [{name: full-width}, {name: html, ▸punctuation: true}]}",
     "corpus.cleaning.1.punctuation: unknown setting; did you mean 'corpus.cleaning.0.punctuation'?"),
    (3, "corpus: {files: [a.txt], cleaning: [quotes, {▸nmae: html}]}", "corpus.cleaning.1.nmae: unknown setting; did you mean 'name'?"),
    (3, "corpus: {files: [a.txt], cleaning: [▸5]}", "corpus.cleaning.0: 5; expected text or settings as key: value (A plugin by name"),
    (3, "corpus: {files: [a.txt], ▸cleanning: [html]}", "corpus.cleanning: unknown setting; did you mean 'cleaning'?"),
    (4, "segmenter: ▸jeiba", "segmenter.name: unknown segmenter 'jeiba'; did you mean 'jieba'?"),
    (4, "segmenter: ▸5", "segmenter: 5; expected text or settings as key: value (what cuts sentences into words)"),
    (4, "segmenter: {▸nmae: jieba}", "segmenter.nmae: unknown setting; did you mean 'name'?"),
    (5, "tokenizer: {vocab: vocab.txt, train: ▸8000}", "tokenizer.train: both vocab and train; expected one"),
    (5, "tokenizer: ▸{lowercase: true}", "tokenizer: neither vocab nor train"),
    (5, "tokenizer: {train: ▸017}", "tokenizer.train: '017' is text; expected a whole number of at least 64"),
    (5, "tokenizer: {vocab: ▸zoo:bert-base-chinise}", "bert-base-chinise: no model of that name; did you mean 'bert-base-chinese'?"),
    (5, "tokenizer: {vocab: v.txt, lowercase: ▸no}", "tokenizer.lowercase: 'no' is text; expected true or false"),
    (5, "tokenizer: {▸vocabulary: v.txt}", "tokenizer.vocabulary: unknown setting; did you mean 'vocab'?"),
    (8, "model: {▸sise: base}", "model.sise: unknown setting; did you mean 'size'?"),
    (6, "examples: ▸nsp_pairs", "examples.name: 'nsp_pairs'; expected one of nsp-pairs, sop-pairs, full-sentences, doc-sentences"),
    (7, "masking: {name: whole-word, rate: ▸15}", "15 is not a share; expected a number of at least 0 and at most 1; did you mean 0.15?"),
    (7, "masking: {name: whole-word, rate: ▸'0.15'}", "masking.rate: '0.15' is text; expected a number"),
    (7, "masking: {name: whole-word, rate: ▸0}", "masking.rate: 0 masks nothing"),
    (7, "masking: {name: whole-word, ▸ngram: 3}", "masking.ngram: unknown setting; expected one of name, dynamic, dupe_factor, fallback"),
    (7, "masking: {name: whole-word, dynamic: ▸1}", "masking.dynamic: 1; expected true or false"),
    (7, "masking: {name: whole-word, budget: ▸gogle}", "'gogle'; expected one of google, bernoulli, exact; did you mean google?"),
    (7, "masking: {name: ngram, replacement: ▸piece}", "masking.replacement: 'piece'; expected one of token, word, span"),
    (7, "masking: ▸{name: lexicon}", "masking.words: missing; lexicon needs it"),
    (13, "evaluation: {held_out_rate: 0.1, maskings: [▸lexicon]}", "evaluation.maskings.0: lexicon needs the setting 'words'"),
    (14, "compat: ▸googel", "compat: 'googel' is text; expected google (google: rows and masks equal"),
    (6, "examples: ▸doc-sentences\ncompat: google", "examples.name: doc-sentences with compat: google; expected nsp-pairs, or no compat"),
    (6, "compat: google\nmasking: ▸ngram", "masking.name: ngram with compat: google; expected whole-word or wordpiece, or no compat"),
    (6, "compat: google\nmasking: {name: wordpiece, dynamic: ▸true}", "masking.dynamic: true with compat: google; expected false and a"),
    (6, "compat: google\nmasking: {name: whole-word, rate: 0.2, wordpiece_rate: ▸0.5}",
     "masking.wordpiece_rate: 0.5 with compat: google, which has no setting but rate; leave wordpiece_rate or compat out"),
    (6, "compat: google\nmasking: {name: wordpiece, random_pool: ▸live, budget: google}", "masking.random_pool: live with compat: google"),
    (8, "model: {size: ▸bsae}", "model.size: 'bsae'; expected one of tiny, mini, small, rbt3, rbt4, rbt6, rbtl3, base, large"),
    (8, "model: ▸{init: random}", "model: neither size nor hidden_size, num_hidden_layers, num_attention_heads"),
    (8, "model: {size: base, num_attention_heads: ▸5}", "model.num_attention_heads: 768 is not a multiple of"),
    (8, "model: {size: base, type_vocab_size: ▸1}", "model.type_vocab_size: 1, but nsp-pairs have two segments"),
    (8, "model: {size: base, max_position_embeddings: 64}\n\n\nphases:\n  - {max_seq_length: ▸99, batch_size: 2, steps: 9, peak_lr: 1}",
     "99 tokens for a model of 64 positions"),
    (8, "model: {size: rbt3, init: {from: roberta, layers: ▸[0, 1]}}", "2 layers to take for a model of 3; expected one number"),
    (8, "model: {size: rbt3, freeze: ▸encoder}", "encoder of a random model, which would stay random; expected init: a folder"),
    (8, "model: {size: rbt3, init: {layers: ▸[0, 1, 2]}}", "layers of a random model; expected from: a folder"),
    (8, "model: {size: base, hidden_dropout_prob: ▸10}", "10 is not a share; expected a number of at least 0 and under 1 (0.1 by default)"),
    (9, "optimizer: {name: adamw, ▸learning_rate: 1e-4}", "optimizer.learning_rate: unknown setting; did you mean 'phases.0.peak_lr'?"),
    (9, "optimizer: {name: adamw, ▸weigth_decay: 0.1}", "optimizer.weigth_decay: unknown setting; did you mean 'weight_decay'?"),
    (9, "optimizer: {name: lamb, variant: ▸hlf}", "optimizer.variant: 'hlf'; expected one of hfl, google, tfa, nvlamb; did you mean hfl?"),
    (10, "backend: {name: pytorch, precision: ▸fp16}", "backend.precision: 'fp16'; expected one of auto, fp32, bf16"),
    (10, "backend: {name: pytorch, micro_batch_size: ▸1.5}", "backend.micro_batch_size: 1.5; expected a whole number or null"),
    (12, "  - {max_seq_length: 128, batch_size: 8, steps: ▸1e5, peak_lr: 1e-4}", "of at least 1 (optimizer steps); did you mean 100000?"),
    (12, "  - {max_seq_length: 128, batch_size: 256, ▸step: 10, peak_lr: 1e-4}", "phases.0.step: unknown setting; did you mean 'steps'?"),
    (12, "  - ▸{max_seq_length: 128, batch_size: 8, peak_lr: 1e-4}", "phases.0.steps: missing; expected a whole number of at least 1"),
    (12, "  - {max_seq_length: 128, batch_size: 256, steps: ▸100_000, peak_lr: 1e-4}", "'100_000' is text; expected a whole number"),
    (12, "  - {max_seq_length: 128, batch_size: 8, steps: 1, peak_lr: ▸15}", "15; expected a number over 0 and at most 1"),
    (12, "  - {max_seq_length: 128, batch_size: 256, steps: 10, peak_lr: 1e-4, warmup_steps: ▸11}", "11 steps of warm-up in a phase of 10"),
    (12, "  - {max_seq_length: 512, batch_size: 8, steps: 9, peak_lr: 1, max_predictions: ▸75}", "of 512 tokens; expected at least 77"),
    (12, "  - {max_seq_length: ▸1024, batch_size: 256, steps: 10, peak_lr: 1e-4}", "1024 tokens for a model of 512 positions"),
    (12, "  - {max_seq_length: 128, batch_size: 8, steps: 9, peak_lr: 1, ▸rate: 0.15}", "unknown setting; did you mean 'masking.rate'?"),
    (11, "phases: ▸3\n", "phases: 3; expected a list of settings as key: value (one or more runs of the schedule"),
    (11, "phases: [{max_seq_length: 128, batch_size: 8, steps: 9, peak_lr: 1}, ▸3]\n", "phases.1: 3; expected settings as key: value"),
    (13, "evaluation: {every: ▸100}", "evaluation.every: nothing is held out to evaluate on"),
    (13, "evaluation: {maskings: ▸[wordpiece]}", "evaluation.maskings: nothing is held out to evaluate on"),
    (13, "evaluation: {held_out_rate: 0.1, maskings: [▸wordpeice]}", "unknown masking 'wordpeice'; did you mean 'wordpiece'?"),
    (13, "evaluation: {held_out_rate: ▸2}", "2 is not a share; expected a number of at least 0 and under 1"),
    (13, "evaluation: {fill_mask: [▸今天天气很好。]}", "evaluation.fill_mask.0: no [MASK] in '今天天气很好。'"),
    (13, "checkpoint: {every: ▸0}", "checkpoint.every: 0; expected a whole number of at least 1 (steps between checkpoints)"),
    (13, "▸batch_size: 32", "batch_size: unknown setting; did you mean 'phases.0.batch_size'?"),
    (14, "export: [pytorch-bin, ▸pytorch-bin]", "export.1: 'pytorch-bin' appears 2 times; keep one"),
    (14, "export: [▸onxx]", "export.0: unknown exporter 'onxx'"),
    (14, "export: ▸pytorch-bin", "a list of text or settings as key: value (exporters to call at the end); did you mean [pytorch-bin]?"),
    (14, "clip_norm:▸", "clip_norm: no value; expected a number over 0"),
    (14, "seed: ▸-1", "seed: -1; expected a whole number of at least 0"),
    (14, "▸optimiser: adamw", "optimiser: unknown setting; did you mean 'optimizer'?"),
]  # fmt: skip


@pytest.mark.parametrize(("number", "lines", "words"), BROKEN, ids=[case[1] for case in BROKEN])
def test_a_broken_line_has_one_clear_answer(load, number, lines, words):
    marked = RECIPE.splitlines()
    marked[number - 1 : number + lines.count("\n")] = lines.split("\n")
    line, text = next((line, text) for line, text in enumerate(marked, 1) if "▸" in text)
    began = time.process_time()
    problems = load.problems(text="\n".join(marked).replace("▸", ""))
    assert time.process_time() - began < 1
    assert len(problems) == 1, problems
    assert problems[0].startswith(f"recipe.yaml:{line}:{text.index('▸') + 1}: "), problems
    assert words in problems[0]


def test_there_are_more_than_thirty_broken_lines():
    assert len(BROKEN) > 30


def test_all_problems_come_at_once_by_place(load):
    problems = load.problems(
        {
            2: "name: Small",
            4: "segmenter: {name: jieba, dict: x}",
            7: "masking: {name: whole-word, rate: 15}",
            8: "model: {sise: base, init: random}",
            12: "  - {max_seq_length: 128, batch_size: 0, steps: 10, peak_lr: 1e-4, warmup_step: 11}\n"
            "  - {max_seq_length: 128, batch_size: 8, steps: 10, peak_lr: 1e-4}",
            13: "evaluation: {every: 100}",
            14: "expert: []",
        },
        "checkpoint.keep=0",
    )
    assert [problem.split(": ")[:2] for problem in problems] == [
        ["--set checkpoint.keep=0", "checkpoint.keep"],
        ["recipe.yaml:2:7", "name"],
        ["recipe.yaml:4:26", "segmenter.dict"],
        ["recipe.yaml:7:35", "masking.rate"],
        ["recipe.yaml:8:9", "model.sise"],
        ["recipe.yaml:12:39", "phases.0.batch_size"],
        ["recipe.yaml:12:68", "phases.0.warmup_step"],
        ["recipe.yaml:14:21", "evaluation.every"],
        ["recipe.yaml:15:1", "expert"],
    ]


def test_loading_imports_no_framework_and_takes_no_second(tmp_path):
    path = tmp_path / "recipe.yaml"
    path.write_text(RECIPE, encoding="utf-8")
    script = f"""
import sys, time
from wholeword.core.config import load_recipe
load_recipe({str(path)!r})
print(time.process_time())
print([name for name in ("torch", "transformers", "tensorflow", "paddle", "ltp", "jieba", "rjieba") if name in sys.modules])
"""
    seconds, libraries = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.splitlines()
    assert float(seconds) < 1
    assert libraries == "[]"


# --- typing errors

FULL = """\
version: 1
name: full
seed: 1
corpus: {files: [a], format: text, documents: line, text_key: text, bad_bytes: error, drop_duplicates: true, shard_mb: 1,
         cleaning: [{name: html}]}
segmenter: {name: jieba}
tokenizer: {vocab: v, train: 800, min_frequency: 2, lowercase: true, add: [x], reuse_unused: true}
alignment: {latin_phrases: split}
examples: {name: nsp-pairs, short_seq_rate: 0.1}
masking: {name: whole-word, dynamic: true, dupe_factor: 5, fallback: span, rate: 0.15}
compat: null
model:
  size: base
  init: {from: folder, layers: [0], pooler: keep, heads: new, new_rows: mean}
  freeze: encoder
  hidden_size: 8
  num_hidden_layers: 1
  num_attention_heads: 1
  intermediate_size: 8
  max_position_embeddings: 8
  type_vocab_size: 2
  hidden_dropout_prob: 0.1
  attention_probs_dropout_prob: 0.1
  initializer_range: 0.02
  hidden_act: gelu
optimizer: {name: lamb, variant: hfl, weight_decay: 0.01, beta_1: 0.9, beta_2: 0.999, epsilon: 1e-6}
backend: {name: pytorch, precision: auto, device: auto, micro_batch_size: 8, threads: 2}
phases:
  - {max_seq_length: 128, batch_size: 256, steps: 1000, peak_lr: 1e-4, warmup_steps: 10, max_predictions: 20,
     schedule: {name: cosine, final_rate: 0.1}}
clip_norm: 1.0
evaluation: {held_out_rate: 0.1, every: 10, batches: 16, maskings: [], fill_mask: []}
checkpoint: {every: 1000, keep: 3}
log: {every: 10, tensorboard: false}
loader_workers: 1
prepare_workers: 0
export: [{name: pytorch-bin}]
output: x
store: y
cache: z
"""


def mistyped(key: str, generator: random.Random) -> str:
    """The key after one deletion, insertion, swap of neighbours or replacement."""
    place, letter = generator.randrange(len(key)), generator.choice(string.ascii_lowercase + "_")
    edits = (
        key[:place] + key[place + 1 :],
        key[:place] + letter + key[place:],
        key[:place] + key[place : place + 2][::-1] + key[place + 2 :],
        key[:place] + letter + key[place + 1 :],
    )
    typed = generator.choice(edits)
    return typed if typed != key and typed else mistyped(key, generator)


def test_one_slip_of_the_keyboard_is_understood(load):
    keys = read_yaml(FULL.encode(), "full").keys
    settings = {(*section, key) for section, names in sections_of_recipe().items() for key in names}
    assert settings <= keys.keys()  # the recipe has every setting there is
    generator = random.Random(0)
    wrong = []
    for path in generator.choices(list(keys), k=200):
        key, mark = str(path[-1]), keys[path]
        typed = mistyped(key, generator)
        lines = FULL.splitlines()
        line = lines[mark.line - 1]
        lines[mark.line - 1] = line[: mark.column - 1] + typed + line[mark.column - 1 + len(key) :]
        address = dotted((*path[:-1], typed))
        problems = load.problems(text="\n".join(lines))
        if f"recipe.yaml:{mark.line}:{mark.column}: {address}: unknown setting; did you mean {key!r}?" not in problems:
            wrong.append((address, key, [problem for problem in problems if address in problem]))
    assert len(wrong) <= 0.05 * 200, wrong


# --- anything at all

anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
    | st.sampled_from(["base", "lamb"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["name", "from", "rate", "every", "size"]) | st.text(), inner, max_size=3)
    ),
    max_leaves=6,
)
SETTINGS = [path for path in read_yaml(FULL.encode(), "full").keys if path != ("version",)]


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(SETTINGS), anything), min_size=1, max_size=4))
def test_whatever_a_recipe_says_the_answer_is_a_recipe_or_lines_of_problems(changes):
    overrides = [f"{dotted(path)}={json.dumps(value)}" for path, value in changes]
    try:
        recipe = load_recipe("quickstart", overrides)
    except RecipeError as error:
        assert error.problems
        assert all(problem.count("\n") == 0 and problem.startswith(("--set ", "quickstart.yaml:")) for problem in error.problems)
    else:
        json.dumps(recipe.resolved(), allow_nan=False)


# --- what is accepted


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


# --- --set


def test_set_reaches_everywhere(load):
    recipe = load(
        {},
        "phases.0.steps=10",
        "optimizer.name=lamb",
        "optimizer.variant=google",
        "segmenter.name=characters",
        "corpus.cleaning=[quotes, full-width]",
        "corpus.cleaning.1.punctuation=true",
        "examples.short_seq_rate=0.5",
        "checkpoint.keep=7",
        "model.init=other=folder",
        "export=[]",
        "evaluation={held_out_rate: 0.25, batches: 2}",
        "clip_norm=1e-1",
        "log.tensorboard=true",
        "store=",
    )
    assert recipe.phases[0].steps == 10
    assert recipe.optimizer.settings["variant"] == "google"
    assert recipe.segmenter.name == "characters"
    assert [cleaner.name for cleaner in recipe.corpus.cleaning] == ["quotes", "full-width"]
    assert recipe.corpus.cleaning[1].settings == {"punctuation": True}
    assert recipe.examples.short_seq_rate == 0.5
    assert recipe.checkpoint.keep == 7
    assert recipe.model.init_folder == "other=folder"
    assert recipe.export == []
    assert recipe.evaluation.batches == 2
    assert recipe.clip_norm == 0.1
    assert recipe.log.tensorboard is True
    assert recipe.store == "runs/small/store"


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("steps", "expected section.key=value, as in phases.0.steps=1000"),
        ("=3", "expected section.key=value"),
        ("phases.7.steps=3", "phases has 1 entries; expected a number under 1 in place of '7'"),
        ("phases.first.steps=3", "phases has 1 entries; expected a number under 1 in place of 'first'"),
        ("name.first=x", "name holds no settings"),
        ("seed=[1", "no ',' or ']' in the list"),
        ("seed=&a 1", "'&a' (an anchor) is not allowed"),
        ("phases.0.steps=many", "phases.0.steps: 'many' is text; expected a whole number"),
        ("phases.0.step=5", "phases.0.step: unknown setting; did you mean 'phases.0.steps'?"),
        ("checkpont.every=5", "checkpont: unknown setting; did you mean 'checkpoint'?"),
        ("phases.0.warmup_steps=2000", "phases.0.warmup_steps: 2,000 steps of warm-up in a phase of 1,000"),
        ("segmenter.user_dictionary.deep=1", "segmenter.user_dictionary"),
        ("corpus={fils: [a]}", "corpus.fils: unknown setting; did you mean 'files'?"),
    ],
)
def test_what_is_wrong_with_a_set_is_said_of_the_set(load, override, words):
    (problem,) = load.problems({}, override)
    assert problem.startswith(f"--set {override}: ")
    assert words in problem


def test_a_later_set_wins(load):
    assert load({}, "seed=1", "seed=2").seed == 2


# --- warnings


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
    assert "8 is a small batch for lamb, made for 256 and more" in warnings[1]
    assert "released models go on at about 1e-5" in warnings[2]
    frozen = {
        8: "model: {init: bert-base-chinese, freeze: encoder}",
        12: "  - {max_seq_length: 64, batch_size: 8, steps: 9, peak_lr: 1e-3}",
    }
    assert not load(frozen).warnings  # no rate destroys what stays as it is


@pytest.mark.parametrize("output", ["wiki", "wiki/../wiki"])
def test_a_run_does_not_write_where_it_reads(load, tmp_path, monkeypatch, output):
    monkeypatch.chdir(tmp_path)
    (problem,) = load.problems({14: f"output: {output}"})
    assert "'wiki/*.txt' of the corpus would read what the run writes" in problem
    (problem,) = load.problems({3: "corpus: {files: ['**/*.txt']}"})
    assert "would read what the run writes" in problem
    assert load.problems({14: "output: elsewhere"}) == []


# --- plugins of others

PLUGIN = """
from pathlib import Path
from typing import Literal

class Words:
    def __init__(self, *, model: str, batch_size: int = 8, mode: Literal["fast", "exact"] = "fast", cut_rate: float = 0.5,
                 dictionary: Path | None = None, pair: tuple[int, int] = (1, 2), own: object = object()):
        raise AssertionError("a recipe is checked without making the plugin")
"""


@pytest.fixture
def with_plugins(tmp_path, monkeypatch, plugins):
    (tmp_path / "words_plugin.py").write_text(PLUGIN)
    (tmp_path / "needy_plugin.py").write_text("import a_library_that_is_not_installed\n")
    monkeypatch.syspath_prepend(tmp_path)
    plugins("segmenter", "words", "words_plugin:Words", distribution="words-dist")
    plugins("segmenter", "needy", "needy_plugin:Needs", distribution="needy-dist", extra="all")


def test_the_signature_of_a_plugin_is_its_schema(load, with_plugins):
    recipe = load({4: "segmenter: {name: words, model: big, dictionary: d.txt, pair: [3, 4], own: 5}"})
    assert recipe.segmenter.settings == {
        "model": "big",
        "dictionary": "d.txt",
        "pair": [3, 4],
        "own": 5,
        "batch_size": 8,
        "mode": "fast",
        "cut_rate": 0.5,
    }
    problems = load.problems({4: "segmenter: {name: words, batch_size: '8', mode: fats, cut_rate: 50, dictionary: 3, pair: [1], modle: x}"})
    assert [problem.split(": ", 1)[1] for problem in problems] == [
        "segmenter.batch_size: '8' is text; expected a whole number; did you mean 8?",
        "segmenter.mode: 'fats'; expected one of fast, exact; did you mean fast?",
        "segmenter.cut_rate: 50 is not a share; expected a number of at least 0 and at most 1; did you mean 0.5?",
        "segmenter.dictionary: 3; expected text or null",
        "segmenter.pair: a list; expected a list",
        "segmenter.modle: unknown setting; did you mean 'model'?",
    ]
    assert load.problems({4: "segmenter: words"}) == ["recipe.yaml:4:12: segmenter.model: missing; words needs it"]


def test_a_missing_library_is_a_problem_with_its_cure(load, with_plugins):
    (problem,) = load.problems({4: "segmenter: needy"})
    assert (
        problem
        == "recipe.yaml:4:12: segmenter.name: segmenter 'needy' needs 'a_library_that_is_not_installed': pip install \"needy-dist[all]\""
    )


# --- sources


def test_an_unknown_recipe_gets_the_nearest_name_and_the_list():
    with pytest.raises(
        UserError, match=r"^quickstrat: no recipe of that name; did you mean 'quickstart'\? expected one of .*bert-wwm, .*quickstart"
    ):
        load_recipe("quickstrat")


def test_a_missing_file_gets_its_neighbour(load, tmp_path):
    load()
    with pytest.raises(UserError, match=r"recepie\.yaml: no such file; did you mean .*/recipe\.yaml\?"):
        load_recipe(tmp_path / "recepie.yaml")
    with pytest.raises(UserError, match=r"expected a \.yaml file that can be read"):
        load_recipe(tmp_path)
