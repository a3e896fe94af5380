"""Filling several masks together, against transformers' own forward pass over every candidate there is."""

import itertools
import math

import numpy as np
import pytest
import torch
from toys import NO_DROPOUT, SECTION, pytorch_trainer

from wholeword.core.bert.config import model_config
from wholeword.core.bert.shapes import initial_weights
from wholeword.core.contracts import ModelFiles, Provenance
from wholeword.core.data.tokenizer import WordPieceTokenizer
from wholeword.core.errors import UserError
from wholeword.core.files import write_file
from wholeword.core.training.fill import check_head, fill
from wholeword.core.vocabulary import SPECIAL_PIECES, Vocabulary

PIECES = [*SPECIAL_PIECES, "[unused1]", *"今天气很好我们去吃饭，", "play", "##ing", "##气"]
VOCABULARY = Vocabulary(PIECES)
TOKENIZER = WordPieceTokenizer(VOCABULARY, lowercase=True)
LIVE = VOCABULARY.pool("live").tolist()
EVERYTHING = 10**9


@pytest.fixture(scope="module")
def trainer():
    config = model_config(SECTION | NO_DROPOUT | {"initializer_range": 0.5}, vocab_size=len(VOCABULARY))
    return pytorch_trainer(config, seed=3, next_sentence=False, trainable=[])


@torch.no_grad()
def chain_rule(trainer, sentence, ids):
    """log p of filling the masks from left to right, one forward pass of transformers' model each."""
    text = [piece for part in sentence.replace("[MASK]", " [MASK] ").split() for piece in ([part] if part == "[MASK]" else part)]
    row = [VOCABULARY.cls_id, *(VOCABULARY.ids[piece] for piece in text), VOCABULARY.sep_id]
    total = 0.0
    for place, piece in zip([place for place, found in enumerate(row) if found == VOCABULARY.mask_id], ids, strict=True):
        logits = trainer.model.eval()(input_ids=torch.tensor([row])).prediction_logits[0, place]
        total += float(logits.log_softmax(-1)[piece])
        row[place] = piece
    return total


def brute_force(trainer, sentence, candidates):
    scored = [(chain_rule(trainer, sentence, ids), ids) for ids in candidates]
    return sorted(scored, key=lambda entry: -entry[0])


def as_ids(candidate):
    return tuple(VOCABULARY.ids[piece] for piece in candidate.pieces)


@pytest.mark.parametrize("sentence", ["今天[MASK][MASK]很好", "[MASK]天天气很[MASK]，", "我们去[MASK]"])
def test_a_beam_of_full_width_finds_what_trying_everything_finds(trainer, sentence):
    expected = brute_force(trainer, sentence, itertools.product(LIVE, repeat=sentence.count("[MASK]")))
    found = fill(trainer, TOKENIZER, sentence, top=EVERYTHING, width=EVERYTHING)
    assert len(found) == len(expected)
    assert [as_ids(candidate) for candidate in found[:20]] == [ids for _, ids in expected[:20]]
    scores = {ids: score for score, ids in expected}
    np.testing.assert_allclose([candidate.log_probability for candidate in found], [scores[as_ids(c)] for c in found], atol=2e-5)


def test_probabilities_of_all_candidates_sum_to_one(trainer):
    """With the pieces that no text can give, which are left out, it is a distribution."""
    left_out = [piece for piece in range(len(VOCABULARY)) if piece not in LIVE]
    sentence = "今天[MASK][MASK]很好"
    kept = sum(math.exp(candidate.log_probability) for candidate in fill(trainer, TOKENIZER, sentence, top=EVERYTHING, width=EVERYTHING))
    pairs = [pair for pair in itertools.product(range(len(VOCABULARY)), repeat=2) if set(pair) & set(left_out)]
    rest = sum(math.exp(chain_rule(trainer, sentence, pair)) for pair in pairs)
    assert kept + rest == pytest.approx(1, abs=1e-5)


def test_the_best_together_is_not_the_best_of_each_mask(trainer):
    """Somewhere among these sentences the joint search and independent argmax part, and then the joint candidate is the more probable."""
    parted = 0
    for before, after in itertools.product("今天气很好我们去吃饭", repeat=2):
        sentence = f"{before}[MASK][MASK]{after}"
        best = fill(trainer, TOKENIZER, sentence, top=1, width=EVERYTHING)[0]
        row = torch.tensor(
            [[VOCABULARY.cls_id, VOCABULARY.ids[before], *[VOCABULARY.mask_id] * 2, VOCABULARY.ids[after], VOCABULARY.sep_id]]
        )
        with torch.no_grad():
            logits = trainer.model.eval()(input_ids=row).prediction_logits[0, 2:4]
        alone = tuple(max(LIVE, key=lambda piece, at=at: float(logits[at, piece])) for at in range(2))
        parted += as_ids(best) != alone
        assert best.log_probability >= chain_rule(trainer, sentence, alone) - 2e-5
    assert parted > 0


def test_every_width_gives_true_scores_and_never_better_ones(trainer):
    sentence = "今[MASK][MASK]很[MASK]"
    best = fill(trainer, TOKENIZER, sentence, top=5, width=EVERYTHING)
    for width in (1, 2, 5):
        found = fill(trainer, TOKENIZER, sentence, top=5, width=width)
        assert len(found) == min(width, 5)
        for number, candidate in enumerate(found):
            assert candidate.log_probability == pytest.approx(chain_rule(trainer, sentence, as_ids(candidate)), abs=2e-5)
            assert candidate.log_probability <= best[number].log_probability + 2e-5


def test_a_word_list_is_searched_to_the_last_word(trainer):
    words = ["天气", "今天", "吃饭", "很好", "我们", "气", "我们去", "playing", "去x", "火车"]
    found = fill(trainer, TOKENIZER, "今天[MASK][MASK]很好", top=EVERYTHING, words=words)
    fitting = [word for word in words if len(word) == 2 and set(word) <= set(PIECES)] + ["playing"]
    expected = brute_force(trainer, "今天[MASK][MASK]很好", [tuple(TOKENIZER.encode(word)[0].tolist()) for word in fitting])
    assert [as_ids(candidate) for candidate in found] == [ids for _, ids in expected]
    assert {candidate.words[0] for candidate in found} == set(fitting)
    assert {candidate.text for candidate in found} >= {"今天天气很好", "今天playing很好"}


def test_each_run_of_masks_is_a_word_of_the_list(trainer):
    words = ["天气", "吃饭", "我们", "好", "气"]
    pairs = [(*map(VOCABULARY.ids.get, first), VOCABULARY.ids[second]) for first in words[:3] for second in words[3:]]
    expected = brute_force(trainer, "[MASK][MASK]很[MASK]", pairs)
    found = fill(trainer, TOKENIZER, "[MASK][MASK]很[MASK]", top=EVERYTHING, words=words, width=EVERYTHING)
    assert [as_ids(candidate) for candidate in found] == [ids for _, ids in expected]
    assert all(candidate.text == f"{candidate.words[0]}很{candidate.words[1]}" for candidate in found)
    apart = fill(trainer, TOKENIZER, "[MASK] [MASK]", top=EVERYTHING, words=["好", "气"], width=EVERYTHING)  # two words
    assert {candidate.text for candidate in apart} == {"好 好", "好 气", "气 好", "气 气"}


def test_what_cannot_be_filled_is_said(trainer):
    for sentence, words, message in (
        ("今天天气很好", None, "no \\[MASK\\]"),
        ("[MASK][MASK]", ["好"], "no word of 2 pieces"),
        ("今" * 30 + "[MASK]", None, "33 pieces"),
    ):
        with pytest.raises(UserError, match=message):
            fill(trainer, TOKENIZER, sentence, words=words, max_seq_length=24)


def test_a_written_frame_changes_no_candidate(trainer):
    plain = fill(trainer, TOKENIZER, "今天[MASK][MASK]很好", top=5)
    framed = fill(trainer, TOKENIZER, "[CLS]今天[MASK][MASK]很好[SEP]", top=5)
    assert [(c.pieces, c.log_probability) for c in framed] == [(c.pieces, c.log_probability) for c in plain]
    assert [c.text for c in framed] == [f"[CLS]{c.text}[SEP]" for c in plain]


def toy_model():
    config = model_config(SECTION, vocab_size=len(VOCABULARY))
    return ModelFiles(config, initial_weights(config, 1), VOCABULARY, True, False)


def test_a_head_that_predicts_nothing_is_named():
    model = toy_model()
    assert "never trained" in (check_head(model, "x") or "")
    trained = model.weights | {name: array + 0.1 for name, array in model.weights.items() if name.startswith("cls/predictions")}
    assert check_head(model._replace(weights=trained), "x") is None
    with pytest.raises(UserError, match="no MLM head"):
        check_head(model._replace(provenance=Provenance(missing=["MLM head"])), "x")


def test_the_command_line_prints_candidates(command, tmp_path):
    from wholeword.core.training.export import export

    model = toy_model()
    export(model, "pytorch-bin", tmp_path / "model")
    write_file(tmp_path / "words.txt", "天气\n吃饭\n".encode())
    arguments = ["fill", "今天[MASK][MASK]很好", "--model", str(tmp_path / "model"), "--words", str(tmp_path / "words.txt"), "--json"]
    ran = command(*arguments)
    assert ran.returncode == 0 and '"天气"' in ran.stdout and "今天吃饭很好" in ran.stdout and "never trained" in ran.stderr
    wrong = command("fill", "天气")
    assert wrong.returncode == 2 and "no [MASK]" in wrong.stderr and len(wrong.stderr.splitlines()) == 1
