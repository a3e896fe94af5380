"""What is dear is made once a run, or once a phase: tokenizer, masking strategies, held-out batches, hashes of the examples on disk."""

import json
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from small_runs import write_recipe

from wholeword.core.config import load_recipe
from wholeword.core.config.job import resolve
from wholeword.core.console import Silent
from wholeword.core.data.batches import evaluation_batches
from wholeword.core.data.tokenizer import WordPieceTokenizer
from wholeword.core.files import sha256_of
from wholeword.plugins.masking.whole_word import WholeWord
from wholeword.plugins.masking.wordpiece import WordPiece


@contextmanager
def counted(folder: Path) -> Iterator[Counter]:
    """Counts calls in all threads while it is open: `made` by name, and `sha256_of` by file of `folder`."""
    made = {
        WordPieceTokenizer.__init__.__code__: "tokenizers",
        WholeWord.__init__.__code__: "whole-word strategies",
        WordPiece.__init__.__code__: "wordpiece strategies",
    }
    counts: Counter = Counter()

    def count(frame, event, argument):
        if event != "call":
            return
        if frame.f_code in made:
            counts[made[frame.f_code]] += frame.f_back.f_code not in made  # a strategy may have another one within it
        elif frame.f_code is evaluation_batches.__code__:
            counts["held-out batches"] += 1
        elif frame.f_code is sha256_of.__code__ and Path(frame.f_locals["path"]).is_relative_to(folder):
            counts[Path(frame.f_locals["path"]).relative_to(folder).as_posix()] += 1

    threading.setprofile(count)
    sys.setprofile(count)
    try:
        yield counts
    finally:
        sys.setprofile(None)
        threading.setprofile(None)


@pytest.fixture(scope="module")
def counts(tmp_path_factory) -> dict[str, Counter]:
    """Of a run from its beginning, and of one resumed in the middle of phase 1 with the examples on disk.

    The store is prepared before: what builds its shards, in processes of its own if there is much, has tokenizers of its own.
    """
    from wholeword.core.training.prepare import prepare
    from wholeword.core.training.run import train

    folder = tmp_path_factory.mktemp("once")
    sections = {
        "masking": "{name: whole-word, dynamic: false, dupe_factor: 2}",
        "evaluation": "{held_out_rate: 0.2, every: 4, batches: 2, maskings: [whole-word, wordpiece], fill_mask: ['今年的[MASK]少了。']}",
        "checkpoint": "{every: 4, keep: 5}",
        "export": "[]",
    }
    recipe = str(write_recipe(folder, steps=(12, 8), **sections))
    found = {}
    prepare(resolve(load_recipe(recipe, overrides=[f"output={folder / 'run'}", "prepare_workers=1"])).prepare)
    for case in ("new", "resumed"):
        if case == "resumed":
            checkpoints = sorted((folder / "run" / "checkpoints").iterdir())
            for checkpoint in checkpoints[1:]:
                checkpoint.rename(folder / checkpoint.name)  # only the first is left: after step 4 of 12
        with counted(folder / "run" / "examples") as counter:
            train(resolve(load_recipe(recipe, overrides=[f"output={folder / 'run'}", "prepare_workers=1"])), observer=Silent())
        found[case] = counter
    print(json.dumps(found, indent=1))
    return found


@pytest.mark.parametrize("case", ["new", "resumed"])
def test_tokenizer_and_strategies_are_made_once_a_run(counts, case):
    made = {name: counts[case][name] for name in ("tokenizers", "whole-word strategies", "wordpiece strategies")}
    assert made == dict.fromkeys(made, 1)


@pytest.mark.parametrize("case", ["new", "resumed"])
def test_held_out_batches_are_made_once_a_phase_and_strategy(counts, case):
    assert counts[case]["held-out batches"] == 4  # two phases, two strategies


@pytest.mark.parametrize("case", ["new", "resumed"])
def test_no_file_of_the_examples_is_hashed_twice(counts, case):
    hashed = {name: number for name, number in counts[case].items() if "/" in name}
    assert hashed and max(hashed.values()) == 1, hashed
