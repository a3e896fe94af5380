"""What chooses the pieces that a model has to predict."""

from typing import Any, NamedTuple, Protocol, runtime_checkable

from wholeword.core.contracts.arrays import Array
from wholeword.core.vocabulary import Vocabulary


class Masked(NamedTuple):
    """What a masking strategy returns."""

    input_ids: Array  # [batch, length], the ids with [MASK], kept or random pieces in the chosen places
    chosen: Array  # bool [batch, length], the places to predict


@runtime_checkable
class BoundStrategy(Protocol):
    """A masking strategy that has to know the tokenizer, such as one with a word list."""

    def bind(self, tokenizer: Any) -> None:
        """Called once, before `mask`.

        Args:
            tokenizer: a `wholeword.core.data.tokenizer.WordPieceTokenizer`; its `vocabulary` is that of the rows.
        """
        ...


@runtime_checkable
class MaskingStrategy(Protocol):
    """Chooses what to predict in a batch. A pure function: equal arguments give equal results.

    A setting annotated `Path` is relative to the recipe's folder, and the content of that file or folder is part of the rows' identity.
    Optional: `BoundStrategy`.
    """

    def mask(
        self,
        ids: Array,
        word_starts: Array,
        candidates: Array,
        sample_ids: Array,
        *,
        seed: int,
        epoch: int,
        max_predictions: int,
        vocabulary: Vocabulary,
    ) -> Masked:
        """Mask one batch.

        Args:
            ids: integers [batch, length].
            word_starts: bool [batch, length], True where a word begins.
            candidates: bool [batch, length], False at [CLS], [SEP] and padding: never chosen, and every word ends there.
            sample_ids: uint64 [batch], identifies the row: its random draws depend on this, not on the batch.
            epoch: how many times the whole corpus has been seen before.
            max_predictions: most places to choose in a row.
        """
        ...
