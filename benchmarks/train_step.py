"""One training step, ours beside transformers': the same rows, masks and dropout rates, in one process, in alternation.

    python benchmarks/train_step.py [--threads 1] [--rounds 7] [--record]

transformers: `BertForPreTraining(labels=..., next_sentence_label=...)`, its logits at all positions, eager attention, float32, global
clipping, `torch.optim.AdamW`. On a CPU, times are the process's CPU time, so that other work on the machine matters little. The floor is
the step's useful FLOPs at the rate of a large matrix product in the step's own precision, measured in alternation with the others. On a
CUDA device, times are wall-clock times, and transformers runs a second time with SDPA and bf16 autocast. Utilisation is the floor divided
by the time of the step.
"""

import argparse
import time
from collections.abc import Callable, Iterator
from functools import partial
from statistics import median
from typing import Literal

import numpy as np
import torch
from results import Results, add_option
from torch import Tensor
from transformers import BertConfig, BertForPreTraining
from transformers import __version__ as transformers_version

from wholeword.core.bert.config import model_config
from wholeword.core.bert.shapes import flops_per_token, initial_weights
from wholeword.plugins.optimizers.adamw import AdamW
from wholeword.plugins.pytorch import PyTorch
from wholeword.plugins.pytorch.devices import find_device, has_bf16

VOCAB_SIZE = 21128
Steps = Callable[[int], None]  # runs that many steps


def make_batch(rows: int, length: int, predictions: int) -> dict[str, np.ndarray]:
    """Full rows of random pieces."""
    generator = np.random.default_rng(0)
    positions = np.sort(np.stack([generator.permutation(length)[:predictions] for _ in range(rows)]))
    batch = {
        "input_ids": generator.integers(0, VOCAB_SIZE, (rows, length)),
        "input_mask": np.ones((rows, length)),
        "segment_ids": np.zeros((rows, length)),
        "masked_lm_positions": positions,
        "masked_lm_ids": generator.integers(0, VOCAB_SIZE, (rows, predictions)),
        "next_sentence_labels": generator.integers(0, 2, rows),
    }
    return {name: array.astype(np.int32) for name, array in batch.items()} | {"masked_lm_weights": np.ones((rows, predictions), np.float32)}


def ours(size: str, batch: dict[str, np.ndarray], device: str, precision: Literal["fp32", "bf16"]) -> Steps:
    config = model_config({"size": size}, VOCAB_SIZE)
    backend = PyTorch(precision=precision, device=device, micro_batch_size=len(batch["input_ids"]))
    trainer = backend.start(config=config, weights=initial_weights(config, 0), optimizer=AdamW(), next_sentence=True, clip_norm=1.0)

    def steps(number: int) -> None:
        trainer.train_steps([batch] * number, learning_rates=[1e-4] * number, seeds=range(number))

    return steps


def theirs(size: str, batch: dict[str, np.ndarray], device: str, *, attention: str, bf16: bool) -> Steps:
    config = BertConfig(**model_config({"size": size}, VOCAB_SIZE).to_dict(), attn_implementation=attention)
    model = BertForPreTraining(config).to(device).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, weight_decay=0.01)
    labels = np.full(batch["input_ids"].shape, -100)
    np.put_along_axis(labels, batch["masked_lm_positions"], batch["masked_lm_ids"], 1)

    def tensor(array: np.ndarray) -> Tensor:
        return torch.from_numpy(array).long().to(device)

    def steps(number: int) -> None:
        for _ in range(number):
            with torch.autocast(device, torch.bfloat16, enabled=bf16):
                output = model(
                    input_ids=tensor(batch["input_ids"]),
                    attention_mask=tensor(batch["input_mask"]),
                    token_type_ids=tensor(batch["segment_ids"]),
                    labels=tensor(labels),
                    next_sentence_label=tensor(batch["next_sentence_labels"]),
                )
            output.loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad()

    return steps


def seconds(work: Callable[[], object], device: str) -> float:
    if device == "cpu":
        start = time.process_time()
        work()
        return time.process_time() - start
    torch.cuda.synchronize()
    start = time.perf_counter()
    work()
    torch.cuda.synchronize()
    return time.perf_counter() - start


def matrix_product(size: int, device: str, dtype: torch.dtype) -> Steps:
    a = torch.randn(size, size, device=device, dtype=dtype)

    def steps(number: int) -> None:
        for _ in range(number):
            a @ a

    return steps


def compare(contestants: dict[str, Steps], device: str, *, rounds: int, steps: int) -> dict[str, float]:
    """Median seconds a step of each, taken in turns."""
    for contestant in contestants.values():
        contestant(2)
    times: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(rounds):
        for name, contestant in contestants.items():
            times[name].append(seconds(partial(contestant, steps), device) / steps)
    return {name: median(values) for name, values in times.items()}


def cases(device: str) -> Iterator[tuple[str, int, int, int]]:
    """size, rows, length, predictions a row"""
    if device == "cpu":
        yield from [("rbt3", 4, 128, 20), ("rbt3", 1, 512, 77)]
    else:
        yield from [
            (size, tokens // length, length, predictions)
            for size, tokens in (("base", 16384), ("rbt3", 32768))
            for length, predictions in ((128, 20), (512, 77))
        ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=1, help="of the CPU")
    parser.add_argument("--rounds", type=int, default=7)
    add_option(parser)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    device = find_device("auto").type
    on_cpu = device == "cpu"
    matrix_size = 2048 if on_cpu else 8192
    print(f"PyTorch {torch.__version__}, {f'{arguments.threads} CPU thread(s)' if on_cpu else torch.cuda.get_device_name()}")
    print(f"bfloat16 in hardware: {'yes' if has_bf16(torch.device(device)) else 'no, expect it to be slower than float32'}")
    claim, peer = "one training step: transformers' time over ours", f"BertForPreTraining of transformers {transformers_version}"
    results = Results(f"train_step_{device}", claim=claim, peer=peer)
    for size, rows, length, predictions in cases(device):
        batch = make_batch(rows, length, predictions)
        contestants = {
            "fp32": matrix_product(matrix_size, device, torch.float32),
            "bf16": matrix_product(matrix_size, device, torch.bfloat16),
            "transformers fp32 eager": theirs(size, batch, device, attention="eager", bf16=False),
            "wholeword fp32": ours(size, batch, device, "fp32"),
            "wholeword bf16": ours(size, batch, device, "bf16"),
        }
        if not on_cpu:
            contestants["transformers bf16 sdpa"] = theirs(size, batch, device, attention="sdpa", bf16=True)
        times = compare(contestants, device, rounds=arguments.rounds, steps=1 if on_cpu else 10)
        flops = rows * length * flops_per_token(model_config({"size": size}, VOCAB_SIZE), length, predictions)
        rates = {precision: 2 * matrix_size**3 / times.pop(precision) for precision in ("fp32", "bf16")}
        floors = {precision: flops / rate for precision, rate in rates.items()}
        print(f"\n{size}, {rows} x {length}, {predictions} predictions a row")
        for precision, rate in rates.items():
            print(f"  {precision} matrix product: {rate / 1e12:.3g} TFLOP/s; floor of a step {1000 * floors[precision]:.0f} ms")
        for name, time_ in times.items():
            if name.startswith("wholeword"):
                results.add(f"{size}, {rows} x {length}, {name.split()[1]}", times["transformers fp32 eager"] / time_, "x")
            ratios = ", ".join(
                f"{times[other] / time_:.2f}x {other}" for other in times if other.startswith("transformers") and other != name
            )
            used = floors["bf16" if "bf16" in name else "fp32"] / time_
            print(f"  {name:24} {1000 * time_:8.1f} ms   utilisation {used:.2f}   {rows * length / time_:9,.0f} tokens/s   {ratios}")
    if arguments.record:
        results.write()


if __name__ == "__main__":
    main()
