"""Corpus to token store on one core: ours beside jieba, a fast tokenizer and the alignment of run_chinese_ref.py.

    python benchmarks/corpus.py [--rounds 3] [--record]

Ours is all of `prepare` with one worker: reading and hashing files, words, pieces, word starts, and a store on disk with its sha256. The
peer is what users have: `jieba.lcut`, `tokenizers` as `BertTokenizerFast` sets it up (without transformers around it), and the algorithm of
`run_chinese_ref.py` in Python (transformers, examples/research_projects/mlm_wwm; MiniRBT has the same), at the speed of that script. It
reads the same file and keeps ids and positions in lists; it writes nothing, which favours it. Both have their modules and dictionaries in
memory before the clock starts. The floor is `rjieba.cut` alone, which is part of ours. Each time is the CPU time of a process that does
nothing else (in a heap that the other side has filled, either may take twice as long). The sides alternate; medians are printed.

On every line, words are checked against jieba and ids against `tokenizers`; and for both sides, borders between two Chinese pieces that are
not where jieba has them are counted.
"""

import argparse
import gc
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jieba
import numpy as np
import rjieba
from results import Results, add_option
from texts import Documents, read_texts, recipe, write_documents, write_vocabulary
from tokenizers import Encoding, Tokenizer

from wholeword.core.config import Recipe
from wholeword.core.config.layout import corpus_layout
from wholeword.core.config.preparation import prepare_job
from wholeword.core.data.align import align, find_words
from wholeword.core.data.chunks import CorpusReader
from wholeword.core.data.corpus import expand_files
from wholeword.core.data.documents import read_documents
from wholeword.core.data.store import TokenStore
from wholeword.core.data.tokenizer import WordPieceTokenizer
from wholeword.core.registry.registry import registry
from wholeword.core.training.prepare import prepare
from wholeword.core.vocabulary import Vocabulary
from wholeword.plugins.segmenters.jieba import Jieba

os.environ["TOKENIZERS_PARALLELISM"] = "false"
BATCH = 1 << 16  # characters, as in `prepare`
TIMES_OURS = 4  # in a round: it is over in a moment, so one time says less than one of the peer's


def is_chinese(text: str) -> bool:
    """The test of BasicTokenizer for every character, written out as in the script, for its speed is part of the peer's."""
    for character in text:
        code = ord(character)
        if not (
            0x4E00 <= code <= 0x9FFF
            or 0x3400 <= code <= 0x4DBF
            or 0x20000 <= code <= 0x2A6DF
            or 0x2A700 <= code <= 0x2B73F
            or 0x2B740 <= code <= 0x2B81F
            or 0x2B820 <= code <= 0x2CEAF
            or 0xF900 <= code <= 0xFAFF
            or 0x2F800 <= code <= 0x2FA1F
        ):
            return False
    return True


def chinese_ref(pieces: list[str], words: list[str]) -> list[int]:
    """The positions of pieces that go on a word: from the left, the longest stretch that spells any Chinese word of the line.

    >>> chinese_ref(["我", "喜", "欢", "你"], ["我", "喜欢", "你"])  # the example of its README: 我 喜 ##欢 你
    [2]
    """
    known = list({word for word in words if len(word) > 1 and is_chinese(word)})  # searched as a list in the script
    longest = max(map(len, known), default=0)
    marked = pieces.copy()
    start = 0
    while known and start < len(marked):
        step = 1
        if is_chinese(marked[start]):
            for length in range(min(longest, len(marked) - start), 1, -1):
                if "".join(marked[start : start + length]) in known:
                    for place in range(start + 1, start + length):
                        marked[place] = "##" + marked[place]
                    step = length
                    break
        start += step
    return [place for place, piece in enumerate(marked) if piece[:2] == "##" and len(piece) == 3 and is_chinese(piece[2])]


class Peer:
    """Each step on its own, to be timed."""

    def __init__(self, tokenizer: Tokenizer):
        self.tokenizer = tokenizer

    def words(self, lines: list[str]) -> list[list[str]]:
        return [jieba.lcut(line) for line in lines]

    def encode(self, lines: list[str]) -> list[Encoding]:
        return self.tokenizer.encode_batch(lines, add_special_tokens=False)

    def align(self, encodings: list[Encoding], words: list[list[str]]) -> list[list[int]]:
        token = self.tokenizer.id_to_token
        return [chinese_ref([token(id) for id in encoding.ids], line) for encoding, line in zip(encodings, words, strict=True)]

    def run(self, path: Path) -> Iterator[tuple[list[int], list[int]]]:
        """Ids and positions of every line, a hundred lines at a time as in the script."""
        with open(path, encoding="utf-8", newline="\n") as file:
            lines = [line.strip() for line in file if not line.isspace()]
        for first in range(0, len(lines), 100):
            part = lines[first : first + 100]
            encodings = self.encode(part)
            for encoding, positions in zip(encodings, self.align(encodings, self.words(part)), strict=True):
                yield encoding.ids, positions


def cpu_seconds(work: Callable[..., Any], *arguments: Any) -> float:
    begin = time.process_time()
    work(*arguments)
    return time.process_time() - begin


def batches(lines: list[str]) -> Iterator[list[str]]:
    batch, size = [], 0
    for line in lines:
        batch.append(line)
        size += len(line)
        if size >= BATCH:
            yield batch
            batch, size = [], 0
    yield batch


def read(given: Recipe) -> None:
    """Sentences, and nothing done with them."""
    corpus = corpus_layout(given.corpus, given.base_folder)
    for chunk in CorpusReader(expand_files(corpus), corpus).chunks():
        for _ in read_documents(chunk, corpus, Counter()):
            pass


def our_steps(lines: list[str], vocabulary: Vocabulary) -> dict[str, float]:
    """Seconds of the steps, in batches as `prepare` makes them."""
    seconds = dict.fromkeys(("rjieba", "words beside it", "tokenizer", "alignment"), 0.0)
    tokenizer, segmenter = (
        WordPieceTokenizer(vocabulary, lowercase=True, definition="transformers"),
        Jieba(),
    )  # new ones, as they have to learn
    for batch in batches(lines):
        text = "\n".join(batch)
        cut = cpu_seconds(rjieba.cut, text, True)
        segmented = cpu_seconds(find_words, segmenter, batch)
        encoded = cpu_seconds(tokenizer.encode_batch, batch)
        aligned = cpu_seconds(align, tokenizer.encode_batch(batch), find_words(segmenter, batch)[1].starts, tokenizer)
        for name, value in zip(seconds, (cut, segmented - cut, encoded, aligned), strict=True):
            seconds[name] += value
    return seconds


class Differences(NamedTuple):
    words: int  # lines with other words than jieba's
    ids: int  # lines with other ids than those of `tokenizers`
    borders: int  # between two Chinese pieces
    ours: int  # of these that are wrong in our store
    our_lines: int  # with one at least
    peers: int
    peers_lines: int


def compare(store: TokenStore, lines: list[str], peer: Peer, segmenter: Jieba) -> Differences:
    """Everything that is in the store, line by line, against jieba and `tokenizers`."""
    words, encodings = peer.words(lines), peer.encode(lines)
    counts = np.zeros(len(Differences._fields), np.int64)
    counts[0] = sum(ours != theirs for ours, theirs in zip(segmenter.segment(lines), words, strict=True))
    chinese = np.array([is_chinese(piece) and piece != "" for piece in store.vocabulary.pieces])
    sentences = read_sentences(store)
    for line, line_words, encoding, positions in zip(lines, words, encodings, peer.align(encodings, words), strict=True):
        if not encoding.ids:  # not in a store
            continue
        stored, starts = next(sentences)
        ids, offsets = np.array(encoding.ids), np.array(encoding.offsets)
        if not np.array_equal(stored, ids):
            counts[1] += 1
            continue
        begins = np.zeros(len(line) + 1, bool)
        begins[np.cumsum([0, *map(len, line_words)])] = True
        theirs = np.ones(len(ids), bool)
        theirs[positions] = False
        inside = chinese[ids[1:]] & chinese[ids[:-1]] & (offsets[1:, 0] == offsets[:-1, 1])
        right = begins[offsets[1:, 0]]
        ours_wrong, theirs_wrong = ((given[1:] != right)[inside].sum() for given in (starts, theirs))
        counts[2:] += (inside.sum(), ours_wrong, ours_wrong > 0, theirs_wrong, theirs_wrong > 0)
    assert next(sentences, None) is None, "the store has more sentences than the text has lines"
    return Differences(*counts.tolist())


def read_sentences(store: TokenStore) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Ids and word starts of every sentence of a store."""
    for shard in store.shards:
        starts = np.unpackbits(shard.word_start_bits, count=shard.num_tokens, bitorder="little").astype(bool)
        borders = shard.sentence_ends[:-1].astype(np.int64)
        yield from zip(np.split(shard.ids, borders), np.split(starts, borders), strict=True)


def time_ours(folder: Path) -> dict[str, float]:
    given = recipe(folder, "timed")
    registry.create("segmenter", "jieba").segment(["词"])  # imported, and its dictionary read
    seconds = {"all": cpu_seconds(prepare, prepare_job(given))}
    shutil.rmtree(folder / "timed")
    return seconds


def time_our_steps(folder: Path) -> dict[str, float]:
    given = recipe(folder, "timed")
    rjieba.cut("词", True)
    return {"reading": cpu_seconds(read, given)} | our_steps(read_lines(folder), Vocabulary.read(folder / "vocab.txt"))


def time_peer(folder: Path) -> dict[str, float]:
    return {"all": cpu_seconds(list, new_peer(folder).run(folder / "text.txt"))}


def time_peers_steps(folder: Path) -> dict[str, float]:
    peer, lines = new_peer(folder), read_lines(folder)
    words, encodings = peer.words(lines), peer.encode(lines)
    return {
        "jieba": cpu_seconds(peer.words, lines),
        "tokenizer": cpu_seconds(peer.encode, lines),
        "alignment": cpu_seconds(peer.align, encodings, words),
    }


def new_peer(folder: Path) -> Peer:
    jieba.initialize()
    return Peer(WordPieceTokenizer(Vocabulary.read(folder / "vocab.txt"), lowercase=True).reference)


def read_lines(folder: Path) -> list[str]:
    return [line for line in (folder / "text.txt").read_text(encoding="utf-8").split("\n") if line]


TIMED = {function.__name__: function for function in (time_ours, time_our_steps, time_peer, time_peers_steps)}


def apart(function: Callable[[Path], dict[str, float]], folder: Path, times: int) -> dict[str, float]:
    """Medians of what a timing function returns, each time in a process of its own."""
    command = [sys.executable, __file__, "--timed", function.__name__, "--folder", str(folder)]
    timings = [json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout) for _ in range(times)]
    return {name: float(np.median([seconds[name] for seconds in timings])) for name in timings[0]}


def measure(kind: str, documents: Documents, folder: Path, rounds: int, results: Results) -> None:
    """Measure and print one kind of text."""
    write_documents(folder / "text.txt", documents)
    lines = [sentence for document in documents for sentence in document]
    characters = sum(map(len, lines))
    pairs = []
    for _ in range(rounds):
        pairs.append((apart(time_ours, folder, TIMES_OURS)["all"], apart(time_peer, folder, 1)["all"]))
    ours, theirs = np.median(pairs, axis=0).tolist()
    ratios = [peers / own for own, peers in pairs]
    steps, peers_steps = apart(time_our_steps, folder, rounds), apart(time_peers_steps, folder, 1)
    steps["writing and the rest"] = ours - sum(steps.values())
    print(f"{kind}: {len(lines):,} lines, {characters:,} characters")
    for who, seconds, parts in (("ours", ours, steps), ("the peer", theirs, peers_steps)):
        split = ", ".join(f"{name} {part / seconds:.0%}" for name, part in parts.items())
        print(f"  {who:9} {characters / seconds / 1e6:6.3f} M characters/s   ({split})")
    print(
        f"  {theirs / ours:.1f} x the peer ({min(ratios):.1f} to {max(ratios):.1f}); rjieba alone would be {theirs / steps['rjieba']:.1f} x"
    )
    results.add(kind, theirs / ours, "x")
    results.add(f"{kind}, slowest round", min(ratios), "x")

    store = TokenStore(prepare(prepare_job(recipe(folder, "made"))))
    differences = compare(store, lines, new_peer(folder), Jieba())
    print(f"  lines that differ: {differences.words} in words from jieba, {differences.ids} in ids from tokenizers")
    for who, wrong, hit in (("ours", differences.ours, differences.our_lines), ("the peer", differences.peers, differences.peers_lines)):
        share, lines_hit = wrong / differences.borders, hit / len(lines)
        print(f"  wrong borders, {who:9} {wrong:6,} of {differences.borders:,} ({share:.2%}), in {lines_hit:.1%} of lines")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--timed", choices=TIMED, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    add_option(parser)
    arguments = parser.parse_args()
    jieba.setLogLevel(60)
    gc.disable()  # or the collector would scan everything that the peer keeps, again and again
    if arguments.timed:
        print(json.dumps(TIMED[arguments.timed](arguments.folder)))
        return
    claim = "corpus to token store on one core: the peer's CPU time over ours"
    results = Results("corpus", claim=claim, peer="jieba.lcut, tokenizers and the alignment of run_chinese_ref.py")
    texts = read_texts()
    everything = [document for kind, documents in texts.items() if kind != "CMRC contexts" for document in documents]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_vocabulary(folder / "vocab.txt", everything)
        for kind, documents in (texts | {"together": everything}).items():
            measure(kind, documents, folder, arguments.rounds, results)
            shutil.rmtree(folder / "made")
    if arguments.record:
        results.write()


if __name__ == "__main__":
    main()
