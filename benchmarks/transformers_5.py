"""What transformers 5 does as whole word masking in Chinese: the share of sentences with nothing masked, and with everything masked.

    python benchmarks/transformers_5.py [--draws 100] [--record]

`DataCollatorForLanguageModeling(whole_word_mask=True)` joins pieces whose characters touch; a Chinese sentence has no spaces and therefore
becomes about one word. Beside it, the masks of `whole-word` for the same sentences, with jieba's words. (The collator that accepted words
for Chinese, `DataCollatorForWholeWordMask`, exists in version 4 only; see collators.py.)
"""

import argparse
import tempfile
import warnings
from pathlib import Path

import numpy as np
import transformers
from results import Results, add_option
from texts import read_texts, write_vocabulary
from transformers import BertTokenizerFast, DataCollatorForLanguageModeling

from wholeword.core.data.align import pieces_of_batch
from wholeword.core.data.tokenizer import WordPieceTokenizer
from wholeword.core.vocabulary import Vocabulary
from wholeword.plugins.masking.whole_word import WholeWord
from wholeword.plugins.segmenters.jieba import Jieba

NUM_SENTENCES = 256
LENGTHS = range(10, 200)  # characters


def theirs(sentences: list[str], vocabulary: Path, draws: int) -> np.ndarray:
    """Numbers of masked tokens and of all tokens of each sentence: int [draws, sentences, 2]."""
    tokenizer = BertTokenizerFast(str(vocabulary))
    collator = DataCollatorForLanguageModeling(tokenizer, whole_word_mask=True, seed=1)
    # padded here, because the collator does not pad offsets
    columns = tokenizer(sentences, padding=True, return_offsets_mapping=True, return_special_tokens_mask=True)
    rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    sizes = [row["special_tokens_mask"].count(0) for row in rows]
    counts = [(collator(rows)["labels"] != -100).sum(1).tolist() for _ in range(draws)]
    return np.stack([np.array(counts), np.broadcast_to(sizes, (draws, len(rows)))], axis=-1)


def ours(sentences: list[str], vocabulary: Vocabulary, draws: int) -> np.ndarray:
    """The same."""
    pieces = pieces_of_batch(
        sentences, Jieba().segment(sentences), WordPieceTokenizer(vocabulary, lowercase=True, definition="transformers")
    )
    sizes = np.diff(pieces.sentence_pieces)
    places = np.arange(sizes.max() + 2)
    candidates = (places > 0) & (places <= sizes[:, None])
    ids = np.where(places == sizes[:, None] + 1, vocabulary.sep_id, vocabulary.pad_id)
    ids[:, 0], ids[candidates] = vocabulary.cls_id, pieces.ids
    word_starts = np.zeros(ids.shape, bool)
    word_starts[candidates] = pieces.word_starts
    given = ids, word_starts, candidates, np.arange(len(sentences), dtype=np.uint64)
    context = {"seed": 1, "max_predictions": 77, "vocabulary": vocabulary}
    counts = [WholeWord().mask(*given, **context, epoch=number).chosen.sum(axis=1) for number in range(draws)]
    return np.stack([np.array(counts), np.broadcast_to(sizes, (draws, len(sizes)))], axis=-1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--draws", type=int, default=100)
    add_option(parser)
    arguments = parser.parse_args()
    draws = arguments.draws
    claim = "Chinese sentences of which whole word masking masks nothing, or everything"
    results = Results("transformers_5", claim=claim, peer=f"DataCollatorForLanguageModeling of transformers {transformers.__version__}")
    warnings.filterwarnings("ignore")  # a notice that it uses [MASK] only instead of 80/10/10
    texts = read_texts()
    documents = texts.get("CMRC sentences", texts["reviews"])
    distinct = dict.fromkeys(sentence for document in documents for sentence in document)
    sentences = [sentence for sentence in distinct if len(sentence) in LENGTHS][:NUM_SENTENCES]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "vocab.txt")
        write_vocabulary(path, documents)
        counts = {
            f"transformers {transformers.__version__}": theirs(sentences, path, draws),
            "wholeword": ours(sentences, Vocabulary.read(path), draws),
        }
    assert len({pairs[..., 1].tobytes() for pairs in counts.values()}) == 1, "the two split sentences into different numbers of pieces"
    print(f"{len(sentences)} sentences of {np.mean(list(map(len, sentences))):.0f} characters, {draws} draws of their masks")
    for name, pairs in counts.items():
        masked, size = pairs[..., 0], pairs[..., 1]
        results.add(f"{name.split()[0]}, nothing masked", 100 * (masked == 0).mean(), "%")
        results.add(f"{name.split()[0]}, everything masked", 100 * (masked == size).mean(), "%")
        print(
            f"  {name:20} nothing masked {(masked == 0).mean():7.2%}   everything masked {(masked == size).mean():7.2%}"
            f"   pieces masked {masked.sum() / size.sum():.1%}"
        )
    if arguments.record:
        results.write()


if __name__ == "__main__":
    main()
