"""Slips of the keyboard in a recipe, and anything at all as its values."""

import json
import random
import string

from hypothesis import given, settings
from hypothesis import strategies as st

from wholeword.core.config import load_recipe
from wholeword.core.config.messages import sections_of_recipe
from wholeword.core.config.yaml import dotted, read_yaml
from wholeword.core.errors import RecipeError

FULL = """\
version: 1
name: full
seed: 1
corpus: {files: [a], format: {name: text}, documents: line, text_key: text, bad_bytes: error, drop_duplicates: true, shard_mb: 1,
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
log: {every: 10, tensorboard: false, trackers: [{name: wandb, project: reviews, mode: offline}]}
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
