"""`compat: google`: rows and masks equal, draw for draw, to those of google-research/bert.

Follows `create_pretraining_data.py` of commit eedf571, with and without `do_whole_word_mask`: everything is drawn from one `random.Random`,
in the same order. How the text is read and tokenized for this is in `google_text` and `google_tokens`.

Slow, and all rows are in memory. `examples`, `batches` and `masking` are tested against it. Where they differ from it, the code here is
marked as an oddity; in addition, a row in which no word fits the budget has no prediction here. A token is anything hashable.
"""

import random
from collections.abc import Hashable, Iterable, Iterator, Sequence
from functools import partial
from itertools import chain
from typing import Generic, NamedTuple, TypeVar

Token = TypeVar("Token", bound=Hashable)
Sentence = Sequence[tuple[Token, bool]]  # each token, and whether it belongs to the word before it


class Symbols(NamedTuple, Generic[Token]):
    """The special tokens of a row, and the vocabulary."""

    cls: Token
    sep: Token
    mask: Token
    vocabulary: Sequence[Token]  # what random tokens are drawn from


class MaskedRow(NamedTuple, Generic[Token]):
    """A row with its masks, as tokens."""

    tokens: list[Token]
    positions: list[int]  # of the predictions, ascending
    labels: list[Token]
    word_lengths: list[int]  # tokens of the word that each prediction is part of


class Instance(NamedTuple, Generic[Token]):
    """A `TrainingInstance` of the original."""

    row: MaskedRow[Token]
    segment_ids: list[int]
    is_random_next: bool


# --- masks


def mask_row(
    tokens: Sequence[Token],
    continues: Sequence[bool],
    *,
    symbols: Symbols[Token],
    rate: float,
    max_predictions: int,
    generator: random.Random,
    whole_words: bool = True,
) -> MaskedRow[Token]:
    """Google's `create_masked_lm_predictions`, for one row without padding.

    Args:
        continues: for each token, whether it belongs to the word before it.
        whole_words: False to choose tokens independently of words.
    """
    words = find_words(tokens, continues, symbols)
    length_at = {place: len(word) for word in words for place in word}
    units = words if whole_words else [[place] for place in length_at]
    generator.shuffle(units)
    positions = take_words(units, budget(len(tokens), rate=rate, max_predictions=max_predictions))
    masked = list(tokens)
    for place in positions:
        if generator.random() < 0.8:
            masked[place] = symbols.mask
        elif generator.random() >= 0.5:  # below, it stays
            masked[place] = symbols.vocabulary[generator.randint(0, len(symbols.vocabulary) - 1)]
    positions.sort()
    return MaskedRow(masked, positions, [tokens[place] for place in positions], [length_at[place] for place in positions])


def find_words(tokens: Sequence[Token], continues: Sequence[bool], symbols: Symbols[Token]) -> list[list[int]]:
    """The positions of each word's tokens, in order."""
    words: list[list[int]] = []
    for place, (token, continued) in enumerate(zip(tokens, continues, strict=True)):
        if token in (symbols.cls, symbols.sep):
            continue
        if continued and words:
            words[-1].append(place)  # oddity: across [SEP] too, where truncation has cut the first word of B
        else:
            words.append([place])
    return words


def budget(num_tokens: int, *, rate: float, max_predictions: int) -> int:
    """How many tokens to choose in a row of `num_tokens`, which include [CLS] and [SEP]; halves are rounded to even."""
    return min(max_predictions, max(1, round(num_tokens * rate)))


def take_words(words: Iterable[Sequence[int]], budget: int) -> list[int]:
    """The positions in the words that are taken: in the given order, each word that fits what is left of the budget."""
    taken: list[int] = []
    for word in words:
        if len(taken) + len(word) <= budget:
            taken += word
        if len(taken) == budget:
            break
    return taken


# --- examples


def create_instances(
    documents: Sequence[Sequence[Sentence[Token]]],
    *,
    symbols: Symbols[Token],
    seed: int,
    max_seq_length: int,
    max_predictions: int,
    short_seq_rate: float,
    dupe_factor: int,
    rate: float,
    whole_words: bool = True,
) -> list[Instance[Token]]:
    """Google's `create_training_instances` after reading: the rows of `dupe_factor` passes, shuffled.

    Args:
        documents: none may be empty, nor may any of their sentences.
        whole_words: see `mask_row`.
    """
    generator = random.Random(seed)
    documents = list(documents)
    generator.shuffle(documents)
    mask = partial(mask_row, symbols=symbols, rate=rate, max_predictions=max_predictions, generator=generator, whole_words=whole_words)
    instances = []
    for number in list(range(len(documents))) * dupe_factor:
        # subtle: each pair is drawn, then its masks, then the next pair
        for a, b, is_random_next in draw_pairs(documents, number, max_seq_length - 3, short_seq_rate, generator):
            tokens, continues = zip((symbols.cls, False), *a, (symbols.sep, False), *b, (symbols.sep, False), strict=True)
            segment_ids = [0] * (len(a) + 2) + [1] * (len(b) + 1)
            instances.append(Instance(mask(tokens, continues), segment_ids, is_random_next))
    generator.shuffle(instances)
    return instances


def draw_pairs(
    documents: Sequence[Sequence[Sentence[Token]]], number: int, room: int, short_seq_rate: float, generator: random.Random
) -> Iterator[tuple[Sentence[Token], Sentence[Token], bool]]:
    """Google's `create_instances_from_document`: A, B, and whether B is random, for each pair that begins in document `number`.

    Args:
        room: the most tokens that A and B may have together.
    """
    document = documents[number]
    target = generator.randint(2, room) if generator.random() < short_seq_rate else room  # once a document
    first = 0
    while first < len(document):
        end, size = first, 0
        while end < len(document) and size < target:
            size += len(document[end])
            end += 1
        alone = end - first == 1
        a_end = end if alone else first + generator.randint(1, end - first - 1)
        a = list(chain.from_iterable(document[first:a_end]))
        is_random_next = alone or generator.random() < 0.5
        if is_random_next:
            b = draw_segment(documents, number, target - len(a), generator)
        else:
            b = list(chain.from_iterable(document[a_end:end]))
        truncate(a, b, room, generator)
        yield a, b, is_random_next
        first = a_end if is_random_next else end  # sentences that a random B replaced begin the next chunk


def draw_segment(
    documents: Sequence[Sequence[Sentence[Token]]], number: int, num_tokens: int, generator: random.Random
) -> list[tuple[Token, bool]]:
    """A random B: consecutive sentences of a document other than `number`, beginning at a random one, until there are enough tokens."""
    for _ in range(10):  # oddity: after ten draws it may be the same document
        other = generator.randint(0, len(documents) - 1)
        if other != number:
            break
    segment: list[tuple[Token, bool]] = []
    for sentence in documents[other][generator.randint(0, len(documents[other]) - 1) :]:
        segment += sentence
        if len(segment) >= num_tokens:
            break
    return segment


def truncate(a: list[tuple[Token, bool]], b: list[tuple[Token, bool]], room: int, generator: random.Random) -> None:
    """Google's `truncate_seq_pair`, in place: the longer one (B if neither is) loses its first or last token until both fit."""
    while len(a) + len(b) > room:
        longer = a if len(a) > len(b) else b
        longer.pop(0 if generator.random() < 0.5 else -1)
