"""Checks of backends."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from wholeword.core.bert.config import model_config
from wholeword.core.bert.forward import forward
from wholeword.core.bert.shapes import initial_weights
from wholeword.core.contracts import Array, Backend, BertConfig, InterruptibleTrainer, Optimizer, Tensors, Trainer
from wholeword.core.registry.registry import registry
from wholeword.core.training.returned import STEP_METRICS, STEP_METRICS_NSP, Batches, Returned
from wholeword.core.vocabulary import SPECIAL_PIECES

VOCAB_SIZE, ROWS, LENGTH, PREDICTIONS, STEPS = 60, 8, 24, 4, 6
HEADS = "cls/"  # what is trained where the encoder stays as it is
RETURNED = Returned(AssertionError)


def check_backend(backend: Backend, *, optimizer: Optimizer | None = None, next_sentence: bool = True, tolerance: float = 1e-3) -> None:
    """Check the contracts of `contracts.Backend` and of the `contracts.Trainer` that it starts, on a BERT of two layers of width 32.

    Args:
        backend: set to a precision that the tolerance allows; equal runs must give equal bits.
        optimizer: what it trains with; wholeword's adamw by default, which needs a kernel for the backend's framework.
        tolerance: how far losses and probabilities may be from those of `core.bert.forward`, in relation.
    Raises: AssertionError that says which rule was broken.
    """
    assert isinstance(backend, Backend), f"{type(backend).__name__} has no method start(...)"
    check = _Check(backend, optimizer or registry.create("optimizer", "wholeword:adamw"), next_sentence)
    check.starts_with_the_weights_given()
    check.evaluates_what_the_model_computes(tolerance)
    check.learns(tolerance)
    check.repeats_and_resumes()
    check.forgets_moments_alone()
    check.leaves_frozen_tensors()
    check.abandons_a_step()


def tiny_config(**changes: Any) -> BertConfig:
    """Two layers of width 32."""
    sizes = {"num_hidden_layers": 2, "hidden_size": 32, "num_attention_heads": 2, "max_position_embeddings": 64, "initializer_range": 0.1}
    return model_config(sizes | {"hidden_act": "gelu_tanh"} | changes, vocab_size=VOCAB_SIZE)


def tiny_batch(number: int) -> dict[str, Array]:
    """Random rows with the features of `wholeword.core.data.batches`; the number of predictions and of padding differs between rows."""
    generator = np.random.default_rng(number)
    lengths = generator.integers(LENGTH // 2, LENGTH + 1, ROWS)
    mask = (np.arange(LENGTH) < lengths[:, None]).astype(np.int32)
    weights = (np.arange(PREDICTIONS) < generator.integers(1, PREDICTIONS + 1, (ROWS, 1))).astype(np.float32)
    places = np.stack([np.sort(generator.choice(np.arange(1, length), PREDICTIONS, replace=False)) for length in lengths])
    return {
        "input_ids": (generator.integers(len(SPECIAL_PIECES), VOCAB_SIZE, (ROWS, LENGTH)) * mask).astype(np.int32),
        "input_mask": mask,
        "segment_ids": ((np.arange(LENGTH) > LENGTH // 3) * mask).astype(np.int32),
        "masked_lm_positions": (places * (weights > 0)).astype(np.int32),
        "masked_lm_ids": (generator.integers(len(SPECIAL_PIECES), VOCAB_SIZE, (ROWS, PREDICTIONS)) * (weights > 0)).astype(np.int32),
        "masked_lm_weights": weights,
        "next_sentence_labels": generator.integers(0, 2, ROWS).astype(np.int32),
    }


class _Check:
    """The parts of `check_backend`. Each starts trainers of its own."""

    def __init__(self, backend: Backend, optimizer: Optimizer, next_sentence: bool):
        self.backend, self.optimizer, self.next_sentence = backend, optimizer, next_sentence

    def start(self, *, trainable: Sequence[str] | None = None, **changes: Any) -> tuple[Trainer, Tensors]:
        config = tiny_config(**changes)
        weights = initial_weights(config, 1)
        frozen: dict[str, Any] = {} if trainable is None else {"trainable": trainable}
        given = {name: array.copy() for name, array in weights.items()}
        trainer = self.backend.start(
            config=config, weights=given, optimizer=self.optimizer, next_sentence=self.next_sentence, clip_norm=1.0, **frozen
        )
        RETURNED.methods(trainer, Trainer)
        return trainer, weights

    def train(self, trainer: Trainer, first: int, end: int, *, rate: float = 1e-2) -> list[dict[str, float]]:
        numbers = range(first, end)
        batches = Batches(tiny_batch(number % STEPS) for number in numbers)
        metrics = trainer.train_steps(batches, learning_rates=[rate] * len(numbers), seeds=[2**62 + number for number in numbers])
        assert batches.taken == len(numbers), f"train_steps took {batches.taken} of {len(numbers)} batches"
        return RETURNED.metrics(metrics, STEP_METRICS + STEP_METRICS_NSP * self.next_sentence, taken=len(numbers))

    def starts_with_the_weights_given(self) -> None:
        trainer, weights = self.start()
        _expect_bits(self.weights(trainer, weights), weights, "weights() right after start()")
        assert self.train(trainer, 0, 0) == [], "train_steps without batches returned steps"
        more = trainer.train_steps([tiny_batch(0)], learning_rates=[0.0, 0.0], seeds=[0, 1])
        assert len(more) == 1, f"train_steps returned {len(more)} steps for one batch; expected it to end with the batches"
        _expect_bits(self.weights(trainer, weights), weights, "weights() after a step at the learning rate 0")

    def evaluates_what_the_model_computes(self, tolerance: float) -> None:
        trainer, weights = self.start(hidden_act="gelu")
        batch = tiny_batch(3)
        result = RETURNED.evaluation(trainer.evaluate(batch), batch, next_sentence=self.next_sentence)
        ids, shares = RETURNED.predictions(trainer.predict(batch, 3), batch, 3)
        expected = forward(weights, tiny_config(hidden_act="gelu"), batch)
        rows, slots = np.nonzero(batch["masked_lm_weights"])
        log_shares = _log_softmax(expected["mlm_logits"][rows, batch["masked_lm_positions"][rows, slots]])
        truth = batch["masked_lm_ids"][rows, slots]
        _expect_close(result["mlm_loss"][rows, slots], -log_shares[np.arange(len(truth)), truth], tolerance, "mlm_loss of evaluate()")
        best = np.argsort(-log_shares, axis=1)[:, :3]
        predicted = np.take_along_axis(log_shares, ids[rows, slots].astype(np.int64), axis=1)
        _expect_close(
            predicted, np.take_along_axis(log_shares, best, axis=1), tolerance, "log probabilities of the pieces that predict() ranks first"
        )
        _expect_close(shares[rows, slots], np.exp(predicted), tolerance, "probabilities of predict()")
        if self.next_sentence:
            log_shares, labels = _log_softmax(expected["nsp_logits"]), batch["next_sentence_labels"]
            _expect_close(result["nsp_loss"], -log_shares[np.arange(ROWS), labels], tolerance, "nsp_loss of evaluate()")
        again = trainer.evaluate(batch)
        assert all(np.array_equal(again[name], result[name]) for name in result), "evaluate() gave another result the second time"
        _expect_bits(self.weights(trainer, weights), weights, "weights() after evaluate() and predict()")

    def learns(self, tolerance: float) -> None:
        trainer, _ = self.start(hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
        batch = tiny_batch(0)
        evaluated = trainer.evaluate(batch)["mlm_loss"][batch["masked_lm_weights"] > 0].mean()
        steps = 30
        metrics = trainer.train_steps([batch] * steps, learning_rates=[2e-3] * steps, seeds=list(range(steps)))
        losses = [step["loss"] for step in metrics]
        _expect_close(metrics[0]["mlm_loss"], evaluated, tolerance, "mlm_loss of the first step without dropout, beside evaluate()'s")
        count = float(np.count_nonzero(batch["masked_lm_weights"]))
        assert metrics[0]["mlm_count"] == count, f"mlm_count is {metrics[0]['mlm_count']}; expected {count}, the predictions of the batch"
        assert losses[-1] < losses[0], f"the loss went from {losses[0]:.3f} to {losses[-1]:.3f} in {steps} steps over one batch"
        expected = metrics[0]["mlm_loss"] + (metrics[0]["nsp_loss"] if self.next_sentence else 0.0)
        _expect_close(losses[0], expected, tolerance, "loss, beside the sum of its parts")

    def repeats_and_resumes(self) -> None:
        whole, weights = self.start()
        metrics = self.train(whole, 0, STEPS)
        first, _ = self.start()
        parts = self.train(first, 0, STEPS // 2)
        saved = self.weights(first, weights), self.state(first)
        kept = tuple({name: array.copy() for name, array in tensors.items()} for tensors in saved)
        parts += self.train(first, STEPS // 2, STEPS)
        assert parts == metrics, "a second run with the same seeds has other metrics"
        _expect_bits(self.weights(first, weights), self.weights(whole, weights), "weights() of a second run with the same seeds")
        for tensors, copies in zip(saved, kept, strict=True):
            _expect_bits(tensors, copies, "what was saved, after more steps; expected copies")
        second, _ = self.start()
        second.load(*saved)
        resumed = self.train(second, STEPS // 2, STEPS)
        assert resumed == metrics[STEPS // 2 :], "a run that was saved, loaded and resumed has other metrics"
        _expect_bits(self.weights(second, weights), self.weights(whole, weights), "weights() of a resumed run")
        _expect_bits(self.state(second), self.state(whole), "optimizer_state() of a resumed run")

    def forgets_moments_alone(self) -> None:
        trainer, weights = self.start()
        fresh = self.state(trainer)
        self.train(trainer, 0, 2)
        trained = self.weights(trainer, weights)
        trainer.reset_optimizer()
        _expect_bits(self.weights(trainer, weights), trained, "weights() after reset_optimizer()")
        _expect_bits(self.state(trainer), fresh, "optimizer_state() after reset_optimizer()")

    def leaves_frozen_tensors(self) -> None:
        _, weights = self.start()
        trainable = [name for name in weights if name.startswith(HEADS)]
        trainer, _ = self.start(trainable=trainable)
        self.train(trainer, 0, 2)
        trained = self.weights(trainer, weights)
        frozen = {name: array for name, array in trained.items() if name not in trainable}
        _expect_bits(frozen, {name: weights[name] for name in frozen}, "weights() of what is not trainable")
        assert any(not np.array_equal(trained[name], weights[name]) for name in trainable), "no trainable tensor has changed in two steps"
        owned = [name for name in self.state(trainer) if name.rpartition("/")[0] in frozen]
        assert not owned, f"optimizer_state() has {owned[0]}; expected no slots of tensors that are not trainable"

    def abandons_a_step(self) -> None:
        trainer, weights = self.start()
        if not isinstance(trainer, InterruptibleTrainer):
            return
        interrupt, last = trainer.interrupt, STEPS // 2

        def batches() -> Iterator[dict[str, Array]]:
            for number in range(STEPS):
                if number == last:
                    interrupt()
                yield tiny_batch(number)

        seeds = [2**62 + number for number in range(STEPS)]
        done = len(trainer.train_steps(batches(), learning_rates=[1e-2] * STEPS, seeds=seeds))
        assert done <= last, f"train_steps returned {done} steps, although interrupt() was called before step {last + 1}"
        other, _ = self.start()
        self.train(other, 0, done)
        _expect_bits(self.weights(trainer, weights), self.weights(other, weights), f"weights() after {done} steps and interrupt()")
        _expect_bits(self.state(trainer), self.state(other), f"optimizer_state() after {done} steps and interrupt()")

    def weights(self, trainer: Trainer, weights: Tensors) -> Tensors:
        return RETURNED.weights(trainer.weights(), {name: array.shape for name, array in weights.items()})

    def state(self, trainer: Trainer) -> Tensors:
        return RETURNED.tensors(trainer.optimizer_state(), "optimizer_state")


def _expect_bits(tensors: Tensors, expected: Tensors, what: str) -> None:
    assert tensors.keys() == expected.keys(), f"{what}: other names: {sorted(tensors.keys() ^ expected.keys())[:3]}"
    for name, array in expected.items():
        assert np.array_equal(tensors[name], array), f"{what}: {name} differs"


def _expect_close(values: Any, expected: Any, tolerance: float, what: str) -> None:
    difference = np.abs(np.asarray(values, np.float64) - expected) / np.maximum(np.abs(expected), 1e-2)
    assert np.max(difference) <= tolerance, f"{what}: off by {np.max(difference):.2g} of the value; expected at most {tolerance:g}"


def _log_softmax(logits: Array) -> Array:
    shifted = logits - logits.max(axis=-1, keepdims=True)
    result: Array = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return result
