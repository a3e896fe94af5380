"""Our own plugins keep the contracts that we ask of others, and the checks catch plugins that do not."""

import numpy as np
import pytest

from wholeword.core.contracts import Masked
from wholeword.core.registry.registry import registry
from wholeword.core.testing import check_masking, check_segmenter
from wholeword.core.vocabulary import SPECIAL_PIECES, Vocabulary


@pytest.mark.parametrize("name", ["jieba", "characters"])
def test_our_segmenters_keep_the_contract(name):
    check_segmenter(registry.create("segmenter", name))


def test_presegmented_text_keeps_the_contract_on_sentences_with_words():
    check_segmenter(registry.create("segmenter", "presegmented"), ["他 说 今年 的 鱼 比 去年 少 了 许多 。", "deep learning 的 论文", "。"])


SETTINGS = {"lexicon": {"words": [chr(0x4E00 + number) + chr(0x4E03 + 7 * number) for number in range(60)]}}  # of those that need some


@pytest.mark.parametrize("name", registry.names("masking"))
def test_our_masking_strategies_keep_the_contract(name):
    check_masking(registry.create("masking", name, **SETTINGS.get(name, {})), whole_words=name != "wordpiece")


@pytest.mark.parametrize("budget", ["bernoulli", "exact"])
@pytest.mark.parametrize("name", ["whole-word", "ngram", "span"])
def test_other_budgets_keep_the_contract(name, budget):
    check_masking(registry.create("masking", name, budget=budget), whole_words=budget == "bernoulli")


class Characters:
    def segment(self, sentences):
        return [list(sentence) for sentence in sentences]


class Short(Characters):
    def segment(self, sentences):
        return super().segment(sentences)[:-1]


class Tuples(Characters):
    def segment(self, sentences):
        return [tuple(sentence) for sentence in sentences]


class Lossy(Characters):
    def segment(self, sentences):
        return [list(sentence.replace("0", "")) for sentence in sentences]


class Forgetful(Characters):
    calls = 0

    def segment(self, sentences):
        self.calls += 1
        return [[sentence] if self.calls % 2 else list(sentence) for sentence in sentences]


class Batched(Characters):
    def segment(self, sentences):
        return [[sentence] if len(sentences) > 1 else list(sentence) for sentence in sentences]


@pytest.mark.parametrize(
    ("segmenter", "complaint"),
    [
        (Short, "expected one a sentence"),
        (Tuples, "list of strings"),
        (Lossy, "do not join"),
        (Forgetful, "deterministic"),
        (Batched, "depend on the batch"),
    ],
)
def test_a_broken_segmenter_is_caught(segmenter, complaint):
    with pytest.raises(AssertionError, match=complaint):
        check_segmenter(segmenter())


def whole_word(**changes):
    """Whole word masking, spoilt by a function of (its arguments, its result)."""

    class Spoilt:
        strategy = registry.create("masking", "whole-word")

        def mask(self, ids, word_starts, candidates, sample_ids, **arguments):
            arguments |= {key: changes[key] for key in arguments if key in changes}
            masked = self.strategy.mask(ids, word_starts, candidates, sample_ids, **arguments)
            return changes.get("result", lambda ids, masked: masked)(ids, masked)

    return Spoilt()


def first_only(ids, masked):
    chosen = masked.chosen.copy()
    chosen[:, 60] = False
    return Masked(np.where(chosen, masked.input_ids, ids), chosen)


def in_place(ids, masked):
    ids[:] = masked.input_ids
    return masked


@pytest.mark.parametrize(
    ("strategy", "complaint"),
    [
        (whole_word(result=lambda ids, masked: Masked(masked.input_ids, masked.chosen | (ids == 3))), "no candidate"),
        (whole_word(result=lambda ids, masked: Masked(masked.input_ids, masked.chosen & False)), "not chosen was changed|nothing chosen"),
        (whole_word(result=lambda ids, masked: Masked(ids, masked.chosen & False)), "nothing chosen"),
        (whole_word(result=lambda ids, masked: Masked(masked.input_ids + 1000, masked.chosen)), "changed|outside the vocabulary"),
        (whole_word(result=lambda ids, masked: Masked(masked.input_ids, masked.chosen.astype(int))), "expected bool"),
        (whole_word(result=first_only), "chosen in part"),
        (whole_word(result=in_place), "wrote into its argument ids"),
        (whole_word(seed=1), "another seed"),
        (whole_word(pass_number=1), "another pass_number"),
        (registry.create("masking", "whole-word", rate=0.3), r"0\.\d+ of the pieces"),
        (registry.create("masking", "wordpiece"), "chosen in part"),
    ],
)
def test_a_broken_masking_strategy_is_caught(strategy, complaint):
    with pytest.raises(AssertionError, match=complaint):
        check_masking(strategy)


def test_draws_that_depend_on_the_batch_are_caught():
    class ByPlace:
        strategy = registry.create("masking", "whole-word")

        def mask(self, ids, word_starts, candidates, sample_ids, **arguments):
            return self.strategy.mask(ids, word_starts, candidates, np.arange(len(ids), dtype=np.uint64), **arguments)

    with pytest.raises(AssertionError, match="in a batch of"):
        check_masking(ByPlace())


def test_a_share_of_the_rows_may_be_masked_piece_by_piece():
    ids = np.tile(np.arange(5, 69, dtype=np.int32), (2000, 1))
    word_starts = np.tile(np.arange(64) % 4 == 0, (2000, 1))
    vocabulary = Vocabulary([*SPECIAL_PIECES, *(chr(0x4E00 + number) for number in range(100))])
    strategy = registry.create("masking", "whole-word", wordpiece_rate=0.7)
    everywhere, sample_ids = np.ones_like(word_starts), np.arange(2000, dtype=np.uint64)
    chosen = strategy.mask(
        ids, word_starts, everywhere, sample_ids, seed=1, pass_number=0, max_predictions=10, vocabulary=vocabulary
    ).chosen.reshape(2000, 16, 4)
    whole = (chosen.all(axis=2) == chosen.any(axis=2)).all(axis=1)
    assert abs(whole.mean() - 0.3) < 3 * np.sqrt(0.3 * 0.7 / 2000)
