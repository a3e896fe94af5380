"""Steps of fine-tuning beside transformers, and the order of the rows."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from finetuning import CLASSES, PIECES, SECTION
from hypothesis import given, settings
from hypothesis import strategies as st

from wholeword.core.bert.config import model_config
from wholeword.core.bert.names import from_framework
from wholeword.core.bert.shapes import initial_head, initial_weights
from wholeword.core.contracts import BertConfig, ModelFiles, Provenance
from wholeword.core.contracts.tasks import NO_TARGET, Answer, Rows, SpanExample, TaggedExample, TextExample
from wholeword.core.data.tokenizer import WordPieceTokenizer
from wholeword.core.training.export import export
from wholeword.core.vocabulary import Vocabulary
from wholeword.finetuning.buckets import epoch_batches
from wholeword.finetuning.rows import make_rows
from wholeword.plugins.optimizers.adamw import AdamW
from wholeword.plugins.pytorch import PyTorch
from wholeword.plugins.pytorch.finetune import PyTorchFineTuner

NO_DROPOUT = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
LABELS = {"classification": ["差", "中", "好"], "span": [], "tagging": ["O", "B-PER", "I-PER"]}
TOKENIZER = WordPieceTokenizer(Vocabulary(PIECES), True)

Arrays = Mapping[str, np.ndarray]


def toy_rows(head: str, count: int, *, seed: int = 1, longest: int = 20, equal: bool = False) -> Rows:
    """Rows of unequal length, unless `equal`."""
    generator = np.random.default_rng(seed)
    examples: list[Any] = []
    for number in range(count):
        length = longest if equal else int(generator.integers(4, longest + 1))
        text = "".join(generator.choice(list("的一是在不了有和人这"), length))
        if head == "classification":
            examples.append(TextExample(str(number), text, None, LABELS[head][int(generator.integers(3))]))
        elif head == "span":
            start = int(generator.integers(length - 1))
            examples.append(SpanExample(str(number), "问", text, (Answer(text[start : start + 2], start),)))
        else:
            examples.append(TaggedExample(str(number), tuple(text), tuple(generator.choice(LABELS[head], length))))
    return make_rows(examples, TOKENIZER, head=head, labels=LABELS[head], max_seq_length=32, doc_stride=8, max_query_length=8)


def toy_weights(head: str, config: BertConfig) -> dict[str, np.ndarray]:
    return initial_weights(config, 1) | initial_head(head, len(LABELS[head]) or 2, config.hidden_size, 2)


def toy_tuner(head: str, *, clip_norm: float = 1.0, section: Mapping[str, Any] = NO_DROPOUT, **backend: Any) -> PyTorchFineTuner:
    config = model_config(SECTION | dict(section), vocab_size=len(PIECES))
    computing = {"precision": "fp32", "device": "cpu", "threads": 1} | backend
    tuner = PyTorch(**computing).start_finetuning(
        config=config, weights=toy_weights(head, config), head=head, optimizer=AdamW(), clip_norm=clip_norm
    )
    tuner.dropout.p = config.hidden_dropout_prob
    return tuner


def transformers_model(head: str, tuner: PyTorchFineTuner, folder: Path) -> torch.nn.Module:
    """The same weights, as transformers reads what we write, with its own attention."""
    weights = tuner.weights()
    model = ModelFiles(tuner.config, weights, Vocabulary(PIECES), True, False, Provenance(), head=head, labels=LABELS[head])
    export(model, "pytorch-bin", folder / "exported")
    read, report = CLASSES[head].from_pretrained(folder / "exported", attn_implementation="eager", output_loading_info=True)
    assert not report["missing_keys"] and not report["unexpected_keys"] and not report["mismatched_keys"]
    return read


def transformers_inputs(batch: Arrays, head: str) -> dict[str, torch.Tensor]:
    targets = torch.from_numpy(np.where(batch["targets"] == NO_TARGET, -100, batch["targets"]))
    labels = {"start_positions": targets[:, 0], "end_positions": targets[:, 1]} if head == "span" else {"labels": targets}
    names = {"input_ids": "input_ids", "attention_mask": "input_mask", "token_type_ids": "segment_ids"}
    return {name: torch.from_numpy(batch[ours]).long() for name, ours in names.items()} | labels


def one_step(tuner: PyTorchFineTuner, batch: Arrays, *, learning_rate: float = 1e-3, seed: int = 9) -> dict[str, float]:
    return tuner.train_steps([batch], learning_rates=[learning_rate], seeds=[seed])[0]


# --- the trainer


@pytest.mark.parametrize("head", list(CLASSES))
def test_loss_and_logits_are_those_of_transformers_on_the_same_weights(head: str, tmp_path: Path) -> None:
    # subtle: transformers lets a span begin in the padding; rows of equal length have none
    rows = toy_rows(head, 12, equal=head == "span")
    tuner = toy_tuner(head, micro_batch_size=5)
    batch = rows.batch(np.arange(12))
    model = transformers_model(head, tuner, tmp_path).eval()
    with torch.no_grad():
        output = model(**transformers_inputs(batch, head))
    expected = torch.stack([output.start_logits, output.end_logits], -1) if head == "span" else output.logits
    logits = expected.numpy() if head == "classification" else expected.numpy()[batch["input_mask"].astype(bool)]
    np.testing.assert_allclose(tuner.logits(rows), logits, rtol=0, atol=1e-5)
    assert one_step(tuner, batch, learning_rate=0.0)["loss"] == pytest.approx(output.loss.item(), abs=1e-5)


@pytest.mark.parametrize("head", list(CLASSES))
def test_a_step_is_googles_optimizer_on_transformers_gradients(head: str, tmp_path: Path) -> None:
    rows = toy_rows(head, 8, equal=head == "span")
    tuner = toy_tuner(head, clip_norm=0.05, micro_batch_size=3)
    before, batch = tuner.weights(), rows.batch(np.arange(8))
    model = transformers_model(head, tuner, tmp_path).train()
    model(**transformers_inputs(batch, head)).loss.backward()
    gradients = {name: parameter.grad for name, parameter in model.named_parameters()}
    norm = torch.sqrt(sum((gradient.double() ** 2).sum() for gradient in gradients.values()))
    metrics = one_step(tuner, batch)
    assert metrics["grad_norm"] == pytest.approx(float(norm), rel=1e-5) and norm > 0.05
    prefix = {"span": "qa_outputs"}.get(head, "classifier")
    head_gradients = {name: gradients.pop(f"{prefix}.{name}").numpy() for name in ("weight", "bias")}
    expected = from_framework({name: g.numpy() for name, g in gradients.items()}, "transformers", num_hidden_layers=2)
    ours = "cls/squad/output" if head == "span" else "output"
    expected |= {f"{ours}_weights": head_gradients["weight"], f"{ours}_bias": head_gradients["bias"]}
    after = tuner.weights()
    assert expected.keys() == after.keys()
    for name, gradient in expected.items():
        clipped = gradient.astype(np.float64) * (0.05 / float(norm))
        update = 0.1 * clipped / (np.sqrt(0.001 * clipped**2) + 1e-6)
        update += 0.0 if "LayerNorm" in name or "bias" in name else 0.01 * before[name]
        # where the gradient is near 0, the update leaps between -3.16 and 3.16 with its rounding
        certain = np.abs(clipped) > 1e-6
        np.testing.assert_allclose(after[name][certain], (before[name] - 1e-3 * update)[certain], rtol=0, atol=2e-5, err_msg=name)


@pytest.mark.parametrize("head", list(CLASSES))
def test_a_step_does_not_depend_on_how_a_batch_is_split(head: str) -> None:
    rows = toy_rows(head, 16)
    results = []
    for micro_batch_size in (1, 3, 16):
        tuner = toy_tuner(head, micro_batch_size=micro_batch_size)
        metrics = [one_step(tuner, rows.batch(np.arange(16)), seed=step) for step in range(3)]
        results.append((metrics, tuner.weights(), tuner.logits(rows)))
    for metrics, weights, logits in results[1:]:
        for step, expected in zip(metrics, results[0][0], strict=True):
            assert step == pytest.approx(expected, rel=1e-4)
        np.testing.assert_allclose(logits, results[0][2], rtol=0, atol=1e-4)
        worst = max(np.abs(weights[name] - results[0][1][name]).max() for name in weights)
        assert worst < 5e-4, worst  # of updates that add up to 0.0095


def test_the_seed_of_a_step_is_all_that_dropout_depends_on() -> None:
    batch = toy_rows("classification", 8).batch(np.arange(8))
    losses = {seed: [one_step(toy_tuner("classification", section={}), batch, seed=seed)["loss"] for _ in range(2)] for seed in (1, 2)}
    assert losses[1][0] == losses[1][1] and losses[2][0] == losses[2][1] and losses[1] != losses[2]


def test_the_head_depends_on_the_seed_alone_and_is_cut_at_two_deviations() -> None:
    first, again, other = (initial_head("classification", 10, 768, seed)["output_weights"] for seed in (1, 1, 2))
    assert np.array_equal(first, again) and not np.array_equal(first, other)
    assert np.abs(first).max() <= 0.04 and first.std() == pytest.approx(0.02 * 0.8796, rel=0.03)
    assert not initial_head("span", 2, 768, 1)["cls/squad/output_bias"].any()


def test_a_batch_without_a_finite_gradient_changes_nothing() -> None:
    tuner = toy_tuner("classification")
    before = tuner.weights()
    batch = toy_rows("classification", 4).batch(np.arange(4))
    tuner.head_weights.data[0, 0] = torch.inf
    metrics = tuner.train_steps([batch] * 3, learning_rates=[1e-3] * 3, seeds=[1, 2, 3])
    assert len(metrics) == 1 and not np.isfinite(metrics[0]["grad_norm"])
    after = tuner.weights()
    assert all(np.array_equal(after[name], before[name]) for name in before if name != "output_weights")


# --- batches


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 700), st.integers(1, 33), st.integers(0, 2**63 - 1), st.integers(0, 5), st.integers(1, 7))
def test_an_epoch_has_every_row_once(num_rows: int, batch_size: int, seed: int, epoch: int, window: int) -> None:
    lengths = np.random.default_rng(num_rows).integers(3, 257, num_rows)
    batches = epoch_batches(lengths, batch_size=batch_size, seed=seed, epoch=epoch, window=window)
    assert sorted(np.concatenate(batches)) == list(range(num_rows))
    assert sorted(map(len, batches)) == sorted(
        [batch_size] * (num_rows // batch_size) + [num_rows % batch_size] * (num_rows % batch_size > 0)
    )
    again = epoch_batches(lengths, batch_size=batch_size, seed=seed, epoch=epoch, window=window)
    assert all(np.array_equal(a, b) for a, b in zip(batches, again, strict=True))


def test_rows_of_similar_length_come_together_in_an_order_of_their_own_each_epoch() -> None:
    lengths = np.minimum(256, np.random.default_rng(0).lognormal(4.4, 0.7, 9600).astype(int) + 3)
    epochs = [epoch_batches(lengths, batch_size=64, seed=1, epoch=epoch) for epoch in range(2)]
    for batches in epochs:
        computed = sum(len(rows) * lengths[rows].max() for rows in batches)
        assert computed / lengths.sum() < 1.03
        maxima = [lengths[rows].max() for rows in batches]
        assert abs(np.corrcoef(maxima, range(len(maxima)))[0, 1]) < 0.25  # the short ones do not come first
    assert not np.array_equal(epochs[0][0], epochs[1][0])
