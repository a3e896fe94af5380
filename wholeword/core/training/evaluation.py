"""Held-out metrics of a masked language model, compared with a baseline that knows only piece frequencies."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from wholeword.core.contracts import Trainer
from wholeword.core.data.masked_sentence import encode_masked
from wholeword.core.errors import Interrupted, UserError

if TYPE_CHECKING:
    from wholeword.core.data.tokenizer import WordPieceTokenizer
    from wholeword.core.vocabulary import Vocabulary

LONGEST = 5  # words of this many pieces and more are counted together


@dataclass(frozen=True)
class HeldOutMetrics:
    """Loss in nats and accuracy, means over predictions; of NSP over rows."""

    mlm_loss: float
    mlm_accuracy: float
    mlm_count: int
    accuracy_by_word_length: Mapping[str, float]  # "1", ..., "5+": pieces of the word that a prediction belongs to
    nsp_loss: float | None = None
    nsp_accuracy: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """For JSON; without NSP where it is not trained."""
        return {name: value for name, value in vars(self).items() if value is not None}


@dataclass(frozen=True)
class UnigramBaseline:
    """What can be reached on held-out pieces without any context, special pieces aside."""

    entropy: float  # of their distribution, in nats
    most_frequent_share: float
    most_frequent_piece: str


def evaluate(
    trainer: Trainer,
    batches: Iterable[Mapping[str, np.ndarray]],
    *,
    next_sentence: bool,
    stopped: Callable[[], bool] = lambda: False,
) -> HeldOutMetrics:
    """Loss and accuracy over batches with fixed masks.

    Raises: Interrupted if `stopped` before a batch; UserError if no piece in them is to be predicted.
    """
    losses, correct, lengths, nsp_losses, nsp_correct = [], [], [], [], []
    for batch in batches:
        if stopped():
            raise Interrupted("interrupted during evaluation")
        result = trainer.evaluate(batch)
        real = batch["masked_lm_weights"] > 0
        losses.append(result["mlm_loss"][real])
        correct.append(result["mlm_correct"][real])
        lengths.append(batch["masked_lm_word_lengths"][real])
        if next_sentence:
            rows = batch["input_mask"].any(axis=1)
            nsp_losses.append(result["nsp_loss"][rows])
            nsp_correct.append(result["nsp_correct"][rows])
    loss, hit = np.concatenate(losses).astype(np.float64), np.concatenate(correct)
    length = np.minimum(np.concatenate(lengths), LONGEST)
    if not len(loss):
        raise UserError("no piece of the held-out rows is masked, since no word fits max_predictions; expected more, or leave it out")
    return HeldOutMetrics(
        mlm_loss=float(loss.mean()),
        mlm_accuracy=float(hit.mean()),
        mlm_count=len(loss),
        accuracy_by_word_length={
            f"{size}+" if size == LONGEST else str(size): float(hit[length == size].mean())
            for size in range(1, LONGEST + 1)
            if (length == size).any()
        },
        nsp_loss=float(np.concatenate(nsp_losses).astype(np.float64).mean()) if next_sentence else None,
        nsp_accuracy=float(np.concatenate(nsp_correct).mean()) if next_sentence else None,
    )


def original_ids(batch: Mapping[str, np.ndarray]) -> np.ndarray:
    """The ids [batch, length] before masking."""
    ids = batch["input_ids"].copy()
    rows, slots = np.nonzero(batch["masked_lm_weights"] > 0)
    ids[rows, batch["masked_lm_positions"][rows, slots]] = batch["masked_lm_ids"][rows, slots]
    return ids


def unigram_baseline(batches: Iterable[Mapping[str, np.ndarray]], vocabulary: "Vocabulary") -> UnigramBaseline:
    """Count the pieces of some batches as they are before masking."""
    counts = np.zeros(len(vocabulary), np.int64)
    for batch in batches:
        counts += np.bincount(original_ids(batch)[batch["input_mask"] > 0].ravel(), minlength=len(vocabulary))
    counts[[vocabulary.pad_id, vocabulary.cls_id, vocabulary.sep_id]] = 0
    share = counts[counts > 0] / counts.sum()
    entropy = float(-(share * np.log(share)).sum())
    return UnigramBaseline(entropy, float(share.max()), vocabulary.pieces[int(counts.argmax())])


def prediction_batch(rows: np.ndarray, positions: np.ndarray) -> dict[str, np.ndarray]:
    """A batch for `Trainer.predict`: rows [batch, length] of one segment without padding, and positions in them [predictions]."""
    all_positions = np.broadcast_to(positions.astype(np.int32), (len(rows), len(positions)))
    return {
        "input_ids": rows,
        "input_mask": np.ones_like(rows),
        "segment_ids": np.zeros_like(rows),
        "masked_lm_positions": all_positions,
        "masked_lm_ids": np.zeros_like(all_positions),
        "masked_lm_weights": np.ones(all_positions.shape, np.float32),
        "next_sentence_labels": np.zeros(len(rows), np.int32),
    }


def fill_mask(trainer: Trainer, tokenizer: "WordPieceTokenizer", sentences: Iterable[str], *, top: int = 3) -> Iterator[str]:
    """For each sentence, one line with the `top` pieces for every [MASK] and their probabilities."""
    vocabulary = tokenizer.vocabulary
    for sentence in sentences:
        row, positions = encode_masked(sentence, tokenizer)
        best, probabilities = trainer.predict(prediction_batch(row[None], positions), top)
        options = (
            " ".join(f"{vocabulary.pieces[piece]} {share:.2f}" for piece, share in zip(pieces, shares, strict=True))
            for pieces, shares in zip(best[0], probabilities[0], strict=True)
        )
        yield f"{sentence}  ->  {' | '.join(options)}"


def report(baseline: UnigramBaseline, metrics: Mapping[str, HeldOutMetrics]) -> Iterator[str]:
    """Held-out metrics by masking strategy as text, one line at a time."""
    piece, share = baseline.most_frequent_piece, baseline.most_frequent_share
    yield f"held out: unigram entropy {baseline.entropy:.2f} nats; the most frequent piece {piece!r} is {share:.3f} of all"
    for name, values in metrics.items():
        below, times = baseline.entropy - values.mlm_loss, values.mlm_accuracy / share
        distance = f"{below:.2f} below" if below >= 0 else f"{-below:.2f} above"
        yield (
            f"held out, {name} masks: loss {values.mlm_loss:.2f} ({distance} the unigram entropy), "
            f"accuracy {values.mlm_accuracy:.3f} ({times:.1f} times that of always saying {piece!r})"
        )
        by_length = ", ".join(f"{size}: {accuracy:.3f}" for size, accuracy in values.accuracy_by_word_length.items())
        yield f"  accuracy by word length in pieces: {by_length}"
