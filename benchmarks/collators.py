"""Masking and collation on one core, 256 rows a batch: ours beside transformers' collator and the compatibility mode, on the same rows.

    python benchmarks/collators.py [--peer-python venv/bin/python] [--rounds 8] [--record]
    python benchmarks/collators.py --step

Ours is `BatchSource.batch`: spans of a token store -> [CLS] text [SEP] -> whole word masks -> the seven features. transformers' is
`DataCollatorForWholeWordMask` with `chinese_ref`, which receives its rows as lists of ids, without padding; version 5 no longer has it, so
it runs in a process of its own, in another environment. The compatibility mode is google-research/bert's function in pure Python, row by
row, with its results put into arrays. The limit is memory bandwidth: for each position of a row, 2.1 bytes are read and 12 written, at the
speed of a plain copy. Tokens are counted without padding. Times are CPU times of each process on one thread; rounds alternate.

With --step: the share of wall time for which a step of rbt3 (32 x 128) waits for its batch, which one thread makes beside it.
"""

import argparse
import gc
import json
import os
import random
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from results import Results, add_option
from texts import read_texts, recipe, write_documents, write_vocabulary

from wholeword.core.bert.config import model_config
from wholeword.core.bert.shapes import initial_weights
from wholeword.core.config.preparation import prepare_job
from wholeword.core.contracts import Masked
from wholeword.core.data.batches import BatchSource
from wholeword.core.data.examples import ExamplesSpec
from wholeword.core.data.google import Symbols, mask_row
from wholeword.core.data.google_source import filled, padded
from wholeword.core.data.store import TokenStore
from wholeword.core.training.prepare import prepare
from wholeword.plugins.masking.whole_word import WholeWord

TURN = 16  # batches that each one makes before it is the next one's turn: a loader does nothing else
PEERS = {f"transformers, {name}": name for name in ("BertTokenizerFast", "BertTokenizer")}  # the first is what AutoTokenizer gives
HOW_TO_GET_A_PEER = """transformers' collator is left out; for it:
    python3 -m venv peer && peer/bin/pip install transformers==4.57.6 torch==2.13.0
    python benchmarks/collators.py --peer-python peer/bin/python"""


class Recorder(WholeWord):
    """Keeps the rows as they were before masking."""

    def mask(self, *rows: np.ndarray, **context: Any) -> Masked:
        self.rows, self.context = [array.copy() for array in rows], context
        return super().mask(*rows, **context)


def make_source(store: TokenStore, strategy: WholeWord, length: int, most: int, batch_size: int) -> BatchSource:
    return BatchSource(
        store,
        ExamplesSpec("full-sentences", max_seq_length=length, seed=1),
        strategy=strategy,
        max_predictions=most,
        batch_size=batch_size,
        dynamic=True,
        dupe_factor=5,
        word_lengths=False,
    )


def cpu_seconds(work: Callable[[int], object], numbers: range) -> float:
    begin = time.process_time()
    for number in numbers:
        work(number)
    return time.process_time() - begin


class Peer:
    """transformers' collator in its own process, on the batches in `folder`."""

    def __init__(self, stack: ExitStack, python: str, folder: Path, tokenizer: str):
        command = [python, str(Path(__file__).with_name("collators_peer.py")), str(folder), tokenizer]
        environment = os.environ | {"OMP_NUM_THREADS": "1"}
        self.process = subprocess.Popen(command, env=environment, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        stack.enter_context(self.process)  # whose input is closed then, so that it ends
        self._answer()

    def seconds(self, numbers: range) -> float:
        assert self.process.stdin
        print(*numbers, file=self.process.stdin, flush=True)
        return float(self._answer())

    def _answer(self) -> str:
        assert self.process.stdout
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit("the peer's process has ended, see above")
        return line


def compare(store: TokenStore, folder: Path, length: int, most: int, rounds: int, python: str | None, results: Results) -> None:
    vocabulary, strategy, recorder, generator = store.vocabulary, WholeWord(), Recorder(), random.Random(1)
    source = make_source(store, strategy, length, most, 256)
    symbols = Symbols(vocabulary.cls_id, vocabulary.sep_id, vocabulary.mask_id, range(len(vocabulary)))
    recorded, lists, refs = [], [], []
    recording = make_source(store, recorder, length, most, 256)
    steps = np.arange(TURN * (rounds + 1)) % (source.num_examples // 256)  # whole batches of the first pass
    for step in steps.tolist():
        sizes = recording.batch(step)["input_mask"].sum(axis=1)
        recorded.append((recorder.rows, recorder.context))
        ids, word_starts, candidates, _ = recorder.rows
        continues = candidates & ~word_starts
        lists.append([(row[:size].tolist(), more[:size].tolist()) for row, more, size in zip(ids, continues, sizes, strict=True)])
        marked = continues & ~vocabulary.is_continuation[ids]
        refs.append(
            [{"input_ids": row, "chinese_ref": np.flatnonzero(ref).tolist()} for (row, _), ref in zip(lists[-1], marked, strict=True)]
        )
    content, copied = np.ones(256 * length * 14, np.uint8), np.empty(256 * length * 14, np.uint8)

    def compatible(number: int) -> list[np.ndarray]:
        given = {"symbols": symbols, "rate": 0.15, "max_predictions": most, "generator": generator}
        rows = [mask_row(tokens, continues, **given) for tokens, continues in lists[number]]
        positions = [row.positions for row in rows]
        return [
            padded([row.tokens for row in rows], length, vocabulary.pad_id),
            filled([row.tokens for row in rows], length).astype(np.int32),
            np.zeros((len(rows), length), np.int32),
            padded(positions, most),
            padded([row.labels for row in rows], most),
            filled(positions, most).astype(np.float32),
            np.zeros(len(rows), np.int32),
        ]

    works: dict[str, Callable[[int], object]] = {
        "ours": lambda number: source.batch(int(steps[number])),
        "ours, masking alone": lambda number: strategy.mask(*recorded[number][0], **recorded[number][1]),
        "compatibility mode": compatible,
        "copying the bytes": lambda number: np.copyto(copied, content),
    }
    with ExitStack() as stack:
        (folder / "rows.json").write_text(json.dumps(refs), encoding="utf-8")
        timers = {name: partial(cpu_seconds, work) for name, work in works.items()}
        if python:
            timers |= {name: Peer(stack, python, folder, tokenizer).seconds for name, tokenizer in PEERS.items()}
        gc.freeze()  # else the collector would look through these lists of rows
        turns = [range(first, first + TURN) for first in range(0, len(lists), TURN)]
        times = [[timer(turn) for timer in timers.values()] for turn in turns]
    num_tokens = sum(len(row) for rows in lists[TURN:] for row, _ in rows)  # the first round warms up
    seconds = dict(zip(timers, np.sum(times[1:], axis=0), strict=True))  # no medians, for some work is done for many batches at once
    for other in (name for name in PEERS if name in seconds):
        results.add(f"rows of {length}, {other}", seconds[other] / seconds["ours"], "x")
    against = [name for name in ("compatibility mode", *PEERS) if name in seconds]
    print(f"length {length}, {num_tokens / len(lists[TURN:]) / 256:.0f} tokens a row")
    for name, taken in seconds.items():
        ratios = ", ".join(f"{seconds[other] / taken:6.1f} x {other}" for other in against if other != name)
        print(f"  {name:31} {num_tokens / taken / 1e6:8.2f} M tokens/s   {ratios}")


def wait_share(store: TokenStore, steps: int) -> None:
    """Print how long the steps of rbt3 wait for their batches."""
    from wholeword.plugins.optimizers.adamw import AdamW
    from wholeword.plugins.pytorch import PyTorch

    config = model_config({"size": "rbt3"}, len(store.vocabulary))
    trainer = PyTorch().start(config=config, weights=initial_weights(config, 0), optimizer=AdamW(), next_sentence=False, clip_norm=1.0)
    source = make_source(store, WholeWord(), 128, 20, 32)
    waited = 0.0

    def timed(batches: Iterator[dict[str, np.ndarray]]) -> Iterator[dict[str, np.ndarray]]:
        nonlocal waited
        while True:
            begin = time.perf_counter()
            batch = next(batches, None)
            waited += time.perf_counter() - begin
            if batch is None:
                return
            yield batch

    trainer.train_steps(source.batches(0, 1), learning_rates=[1e-4], seeds=[0])
    begin = time.perf_counter()
    trainer.train_steps(timed(source.batches(1, steps + 1)), learning_rates=[1e-4] * steps, seeds=range(steps))
    total = time.perf_counter() - begin
    print(f"rbt3, 32 x 128, {trainer.device}: {1000 * total / steps:.0f} ms a step, of which it waits {waited / total:.3%} for its batch")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer-python", help="of an environment with transformers 4.57.6")
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--step", action="store_true", help="the loader beside training steps of the PyTorch backend")
    add_option(parser)
    arguments = parser.parse_args()
    claim = "masking and collation on one core, 256 rows a batch: the peer's CPU time over ours"
    results = Results("collators", claim=claim, peer="DataCollatorForWholeWordMask of transformers 4.57.6")
    texts = read_texts()
    documents = [document for kind in ("reviews", "manuals") for document in texts.get(kind, [])]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_vocabulary(folder / "vocab.txt", documents)
        write_documents(folder / "text.txt", documents)
        store = TokenStore(prepare(prepare_job(recipe(folder, "made"))), verify=False)
        if arguments.step:
            wait_share(store, arguments.rounds)
            return
        for length, most in ((128, 20), (512, 77)):
            compare(store, folder, length, most, arguments.rounds, arguments.peer_python, results)
    if arguments.peer_python is None:
        print(HOW_TO_GET_A_PEER)
    elif arguments.record:
        results.write()


if __name__ == "__main__":
    main()
