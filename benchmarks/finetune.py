"""Fine-tuning throughput beside transformers' Trainer: the same model and rows of ChnSentiCorp, in one process, in alternation.

    WHOLEWORD_DATA=... python benchmarks/finetune.py [--size mini] [--batch-size 32] [--rows 1600] [--rounds 3] [--record]

Needs accelerate (for the Trainer) beside wholeword[torch], and in $WHOLEWORD_DATA the folders chnsenticorp and vocab (vocab.txt of
BERT-base Chinese). A round is one epoch over the rows; texts are tokenized beforehand, to at most 256 pieces. transformers: the Trainer
with its defaults, that is shuffled rows, DataCollatorWithPadding (to the longest of the batch), SDPA attention, fused AdamW, clipping,
and float32 on a CPU. wholeword: batches of similar length as in `wholeword finetune`, in float32 and in the precision that `auto`
selects. On a CPU, times are the process's CPU time on one thread; on a CUDA device, wall-clock time. Weights are random: they do not
affect the time of a step.
"""

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Literal

import numpy as np
import torch
import transformers
from results import Results, add_option
from transformers import BertConfig, BertForSequenceClassification, BertTokenizer, PrinterCallback, Trainer, TrainingArguments

from wholeword.core.bert.config import model_config
from wholeword.core.bert.shapes import initial_head, initial_weights
from wholeword.core.contracts.tasks import Rows
from wholeword.core.data.tokenizer import WordPieceTokenizer
from wholeword.core.vocabulary import Vocabulary
from wholeword.finetuning.buckets import epoch_batches
from wholeword.finetuning.rows import make_rows
from wholeword.plugins.optimizers.adamw import AdamW
from wholeword.plugins.pytorch import PyTorch
from wholeword.plugins.pytorch.devices import find_device, has_bf16
from wholeword.plugins.tasks.classification import chnsenticorp

MAX_SEQ_LENGTH, LEARNING_RATE = 256, 2e-5
Epoch = Callable[[], float]  # runs one epoch and returns seconds


def timed(work: Callable[[], object], device: str) -> float:
    if device == "cpu":
        start = time.process_time()
        work()
        return time.process_time() - start
    torch.cuda.synchronize()
    start = time.perf_counter()
    work()
    torch.cuda.synchronize()
    return time.perf_counter() - start


def ours(
    size: str, rows: Rows, numbers: np.ndarray, batch_size: int, vocab_size: int, device: str, precision: Literal["auto", "fp32"]
) -> Epoch:
    config = model_config({"size": size}, vocab_size)
    weights = initial_weights(config, 0) | initial_head("classification", 2, config.hidden_size, 0)
    backend = PyTorch(precision=precision, device=device, threads=1)
    tuner = backend.start_finetuning(config=config, weights=weights, head="classification", optimizer=AdamW(), clip_norm=1.0)
    lengths = rows.lengths[numbers]

    def epoch(number: int) -> None:
        batches = epoch_batches(lengths, batch_size=batch_size, seed=1, epoch=number)
        rates = [LEARNING_RATE] * len(batches)
        tuner.train_steps((rows.batch(numbers[batch]) for batch in batches), learning_rates=rates, seeds=range(len(batches)))

    tuner.train_steps([rows.batch(numbers[:batch_size])] * 2, learning_rates=[0.0] * 2, seeds=[0, 1])
    counter = iter(range(10**6))
    return lambda: timed(lambda: epoch(next(counter)), device)


def theirs(size: str, rows: Rows, numbers: np.ndarray, batch_size: int, vocab: Path, device: str, folder: str) -> Epoch:
    tokenizer = BertTokenizer.from_pretrained(vocab.parent)
    config = BertConfig(**model_config({"size": size}, len(tokenizer)).to_dict())
    model = BertForSequenceClassification(config)
    dataset = []
    for row in numbers:
        ids = rows.ids[rows.row_pieces[row] : rows.row_pieces[row + 1]].tolist()
        dataset.append(
            {"input_ids": ids, "token_type_ids": [0] * len(ids), "attention_mask": [1] * len(ids), "labels": int(rows.targets[row])}
        )

    def epoch(**limits: int) -> float:
        arguments = TrainingArguments(
            output_dir=folder,
            per_device_train_batch_size=batch_size,
            num_train_epochs=1,
            learning_rate=LEARNING_RATE,
            use_cpu=device == "cpu",
            save_strategy="no",
            logging_strategy="no",
            report_to=[],
            disable_tqdm=True,
            **limits,
        )
        trainer = Trainer(model=model, args=arguments, train_dataset=dataset, processing_class=tokenizer)
        trainer.remove_callback(PrinterCallback)
        return timed(trainer.train, device)

    epoch(max_steps=2)
    return epoch


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", default="mini", help="of the model: tiny, mini, small, rbt3, base ...")
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--rows", type=int, default=1600, help="of the training set, drawn at random")
    parser.add_argument("--rounds", type=int, default=3)
    add_option(parser)
    arguments = parser.parse_args()
    data = Path(os.environ["WHOLEWORD_DATA"])
    torch.set_num_threads(1)
    device = find_device("auto").type
    transformers.logging.set_verbosity_error()
    vocab = data / "vocab" / "vocab.txt"
    vocabulary = Vocabulary.read(vocab)
    task = chnsenticorp(data=data / "chnsenticorp")
    rows = make_rows(
        task.read("train"),
        WordPieceTokenizer(vocabulary, True, definition="transformers"),
        head="classification",
        labels=task.labels,
        max_seq_length=MAX_SEQ_LENGTH,
    )
    numbers = np.random.default_rng(0).permutation(len(rows))[: arguments.rows]
    useful = int(rows.lengths[numbers].sum())
    bf16 = has_bf16(torch.device(device))
    print(f"PyTorch {torch.__version__}, transformers {transformers.__version__}, {device}, 1 thread; auto is {'bf16' if bf16 else 'fp32'}")
    rows_used = f"{len(numbers):,} rows of ChnSentiCorp of at most {MAX_SEQ_LENGTH} pieces, {useful:,} in all"
    print(f"{arguments.size}, batch {arguments.batch_size}, {rows_used}")
    common = (arguments.size, rows, numbers, arguments.batch_size)
    with tempfile.TemporaryDirectory() as folder:
        contestants: dict[str, Epoch] = {
            "transformers Trainer, fp32": theirs(*common, vocab, device, folder),
            "wholeword, fp32": ours(*common, len(vocabulary), device, "fp32"),
        }
        if bf16:
            contestants["wholeword, auto"] = ours(*common, len(vocabulary), device, "auto")
        times: dict[str, list[float]] = {name: [] for name in contestants}
        for number in range(arguments.rounds):
            for name in sorted(contestants, reverse=number % 2 == 1):
                times[name].append(contestants[name]())
    base, *_ = times.values()
    claim = f"fine-tuning {arguments.size} on ChnSentiCorp, batches of {arguments.batch_size}, on {device}: the Trainer's time over ours"
    results = Results("finetune", claim=claim, peer=f"Trainer of transformers {transformers.__version__}, float32")
    for name, values in times.items():
        ratios = [theirs / ours for theirs, ours in zip(base, values, strict=True)]
        if values is not base:
            results.add(name.removeprefix("wholeword, "), median(ratios), "x")
        ratio = f"  {median(ratios):.2f}x (rounds {', '.join(f'{ratio:.2f}' for ratio in ratios)})" if values is not base else ""
        print(f"{name:28} {median(values):8.2f} s an epoch  {useful / median(values):9,.0f} useful tokens/s{ratio}")
    if arguments.record:
        results.write()


if __name__ == "__main__":
    main()
