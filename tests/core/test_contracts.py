"""Our own plugins keep the contracts that we ask of others, and the checks catch plugins that do not."""

from dataclasses import replace

import click
import numpy as np
import pytest

from wholeword.core.bert.shapes import initial_weights
from wholeword.core.contracts import Masked, SplittingSegmenter
from wholeword.core.errors import IntegrityError, UserError
from wholeword.core.files import write_manifest
from wholeword.core.formats.tensors import checksum, read_tensors, write_tensors
from wholeword.core.registry.registry import registry
from wholeword.core.testing import (
    check_cleaner,
    check_command,
    check_exporter,
    check_masking,
    check_segmenter,
    check_zoo_source,
    tiny_model,
)
from wholeword.core.testing.cheap import CHEAP_CHECKS
from wholeword.core.training.export import export
from wholeword.core.vocabulary import SPECIAL_PIECES, Vocabulary

UNDOES_ONE_LAYER = {"html"}  # of `&amp;amp;`


@pytest.mark.parametrize("name", registry.names("cleaner"))
def test_our_cleaners_keep_the_contract(name):
    check_cleaner(registry.create("cleaner", name), idempotent=name not in UNDOES_ONE_LAYER)


@pytest.mark.parametrize("name", registry.names("exporter"))
def test_our_exporters_keep_the_contract(name):
    if name == "pytorch-bin":
        pytest.importorskip("torch")
    check_exporter(registry.create("exporter", name))


def test_our_zoo_sources_keep_the_contract(tmp_path):
    export(tiny_model(), "tf-checkpoint", tmp_path / "model")
    check_zoo_source(registry.create("zoo_source", "folder"), str(tmp_path / "model"))
    check_zoo_source(registry.create("zoo_source", "zoo"))  # its models are fetched


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
        (Short, "expected one per sentence"),
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
        (whole_word(epoch=1), "another epoch"),
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
        ids, word_starts, everywhere, sample_ids, seed=1, epoch=0, max_predictions=10, vocabulary=vocabulary
    ).chosen.reshape(2000, 16, 4)
    whole = (chosen.all(axis=2) == chosen.any(axis=2)).all(axis=1)
    assert abs(whole.mean() - 0.3) < 3 * np.sqrt(0.3 * 0.7 / 2000)


class SplitsBadly(Characters):
    def split(self, sentences):
        return [sentence.split() for sentence in sentences]


class StartsLate(Characters):
    def word_starts(self, text):
        return np.array([character not in "的说" for character in text])


class StartsShort(Characters):
    def word_starts(self, text):
        return np.ones(len(text) - 1, bool)


@pytest.mark.parametrize(
    ("segmenter", "complaint"),
    [
        (SplitsBadly(), r"split\(\) returned .* expected \(text, words\)"),
        (StartsLate(), r"word_starts\(\) and segment\(\) disagree at '的', character 13"),
        (StartsShort(), r"expected bool \[\d+\]"),
        (object(), r"object has no method segment\(sentences\)"),
    ],
)
def test_optional_parts_of_segmenters_are_checked_too(segmenter, complaint):
    with pytest.raises(AssertionError, match=complaint):
        check_segmenter(segmenter)
    assert isinstance(SplitsBadly(), SplittingSegmenter) and not isinstance(Characters(), SplittingSegmenter)


class Npz:
    """A good exporter: the weights in one file, which it can compare."""

    def export(self, model, folder):
        write_tensors(folder / "weights.npz", model.weights)

    def verify(self, model, folder):
        try:
            written = read_tensors(folder / "weights.npz")
        except Exception as error:
            raise IntegrityError(f"{folder}: {error}") from error
        if checksum(written) != checksum(model.weights):
            raise IntegrityError(f"{folder}: other weights")
        return [f"{len(written)} tensors are equal"]


class Nothing(Npz):
    def export(self, model, folder):
        pass


class Everywhere(Npz):
    def export(self, model, folder):
        write_manifest(folder, {})


class Counting(Npz):
    calls = 0

    def export(self, model, folder):
        super().export(model, folder)
        type(self).calls += 1
        (folder / "notes.txt").write_text(str(self.calls))


class Rounds(Npz):
    def export(self, model, folder):
        model.weights["bert/pooler/dense/kernel"] *= 2
        super().export(model, folder)


class Believes(Npz):
    def verify(self, model, folder):
        return ["all is well"]


class Silent(Npz):
    def verify(self, model, folder):
        return []


@pytest.mark.parametrize(
    ("exporter", "complaint"),
    [
        (Nothing(), "wrote no file"),
        (Everywhere(), "wrote manifest.json"),
        (Counting(), "wrote notes.txt twice with different content"),
        (Rounds(), "changed the model"),
        (Believes(), r"verify\(\) returned .* for empty files; expected IntegrityError"),
        (Silent(), "expected one line of text for each thing"),
        (object(), "no method export"),
    ],
)
def test_a_broken_exporter_is_caught(exporter, complaint):
    check_exporter(Npz())
    with pytest.raises(AssertionError, match=complaint):
        check_exporter(exporter)


class Shelf:
    """A good zoo source: one model, made here."""

    def read(self, location):
        if location != "tiny":
            raise UserError(f"{location}: no such model; expected tiny")
        return tiny_model()

    def vocabulary(self, location):
        return self.read(location).vocabulary

    def config(self, location):
        return self.read(location).config


def shelf(**changes):
    """A zoo source whose model differs from that of `Shelf` in some fields."""

    class Changed(Shelf):
        def read(self, location):
            return super().read(location)._replace(**changes)

    return Changed()


class Anything(Shelf):
    def read(self, location):
        return tiny_model()


class Traceback(Shelf):
    def read(self, location):
        return {"tiny": tiny_model()}[location]


class Other(Shelf):
    calls = 0

    def read(self, location):
        model = super().read(location)
        self.calls += 1
        return model._replace(weights=initial_weights(model.config, seed=self.calls))


class OtherVocabulary(Shelf):
    def vocabulary(self, location):
        return Vocabulary([*SPECIAL_PIECES, "鱼"])


class OtherConfig(Shelf):
    def config(self, location):
        return replace(self.read(location).config, hidden_size=12)


WEIGHTS = tiny_model().weights


@pytest.mark.parametrize(
    ("source", "complaint"),
    [
        (Anything(), "expected UserError, there is no such model"),
        (Traceback(), "raised KeyError"),
        (Other(), "other weights the second time"),
        (OtherVocabulary(), r"vocabulary\('tiny'\) is not that of"),
        (OtherConfig(), r"config\('tiny'\) has hidden_size 12, the model of read\(\) 8"),
        (shelf(weights={}), r"weights lack bert/embeddings/word_embeddings and \d+ others"),
        (shelf(weights=WEIGHTS | {"pooler.weight": WEIGHTS["bert/pooler/dense/bias"]}), "unknown tensor 'pooler.weight'"),
        (shelf(weights=WEIGHTS | {"bert/pooler/dense/bias": np.zeros(8)}), "bert/pooler/dense/bias is float64; expected"),
        (shelf(weights=WEIGHTS | {"bert/pooler/dense/bias": np.zeros(7, "f")}), r"bias has shape \[7\]; expected \[8\]"),
        (shelf(vocabulary=Vocabulary([*SPECIAL_PIECES, "鱼"])), "the vocabulary has 6 pieces, but config says vocab_size"),
        (shelf(config=tiny_model().config.to_dict()), "config is dict; expected wholeword.core.contracts.BertConfig"),
        (shelf(lowercase="yes"), "lowercase is str; expected True or False"),
        (object(), "no method read"),
    ],
)
def test_a_broken_zoo_source_is_caught(source, complaint):
    check_zoo_source(Shelf(), "tiny")
    with pytest.raises(AssertionError, match=complaint):
        check_zoo_source(source, "tiny")


@click.command()
@click.argument("files", nargs=-1)
def counted(files):
    """Count files."""


@click.command()
def silent():
    pass


@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("rest", nargs=-1)
def lenient(rest):
    """Take anything."""


def test_commands_are_checked():
    check_command(counted)
    for command, complaint in ((silent, "has no help"), (lenient, "expected 2, a usage error"), (print, "is no click command")):
        with pytest.raises(AssertionError, match=complaint):
            check_command(command)


@pytest.mark.parametrize(
    "kind, missing",
    [("backend", "start"), ("optimizer", "build"), ("tracker", "finish, log, start"), ("corpus_format", "documents")],
)
def test_the_doctor_names_the_methods_that_a_plugin_lacks(kind, missing):
    with pytest.raises(AssertionError, match=f"object has no {missing}"):
        CHEAP_CHECKS[kind](object())
