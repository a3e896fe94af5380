from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from interrupted import assert_abandoned_within_a_micro_batch
from toys import NO_DROPOUT, pytorch_trainer, toy_batch, toy_config, without_predictions
from transformers import BertForPreTraining

from wholeword.core.bert.names import from_framework, to_framework
from wholeword.core.bert.shapes import initial_weights
from wholeword.core.contracts import BertConfig
from wholeword.core.errors import UserError
from wholeword.plugins.optimizers.lamb import Lamb
from wholeword.plugins.pytorch import PyTorch
from wholeword.plugins.pytorch.trainer import PyTorchTrainer

Arrays = Mapping[str, np.ndarray]


def transformers_model(config: BertConfig, weights: Arrays) -> BertForPreTraining:
    model = BertForPreTraining(transformers.BertConfig(**config.to_dict(), attn_implementation="eager"))
    state = {name: torch.from_numpy(np.array(array)) for name, array in to_framework(weights, "transformers").items()}
    assert not model.load_state_dict(state, strict=False).unexpected_keys
    return model.eval()


def transformers_inputs(batch: Arrays) -> dict[str, torch.Tensor]:
    """The labels at all positions, as transformers wants them."""
    labels = np.full(batch["input_ids"].shape, -100)
    rows, slots = np.nonzero(batch["masked_lm_weights"])
    labels[rows, batch["masked_lm_positions"][rows, slots]] = batch["masked_lm_ids"][rows, slots]
    arrays = {
        "input_ids": batch["input_ids"],
        "attention_mask": batch["input_mask"],
        "token_type_ids": batch["segment_ids"],
        "labels": labels,
        "next_sentence_label": batch["next_sentence_labels"],
    }
    return {name: torch.from_numpy(array).long() for name, array in arrays.items()}


def gradients(trainer: PyTorchTrainer) -> dict[str, np.ndarray]:
    return {name: parameter.grad.numpy().copy() for name, parameter in trainer.parameters.items() if parameter.grad is not None}


def steps(trainer: PyTorchTrainer, first: int, end: int) -> list[dict[str, float]]:
    numbers = range(first, end)
    return trainer.train_steps(
        [toy_batch(n) for n in numbers], learning_rates=[1e-2 / (n + 1) for n in numbers], seeds=[n + 99 for n in numbers]
    )


def assert_identical(found: Arrays, expected: Arrays) -> None:
    assert found.keys() == expected.keys()
    for name in expected:
        assert np.array_equal(found[name], expected[name]), name


@pytest.mark.parametrize("act", ["gelu", "gelu_tanh"])
@pytest.mark.parametrize("padded", [True, False])
def test_loss_and_gradients_are_those_of_transformers(act: str, padded: bool) -> None:
    config = toy_config(**NO_DROPOUT, hidden_act=act)
    batch = toy_batch(3, padded=padded)
    model = transformers_model(replace(config, hidden_act={"gelu_tanh": "gelu_new"}.get(act, act)), initial_weights(config, 1))
    loss = model(**transformers_inputs(batch)).loss
    loss.backward()
    expected = {name: parameter.grad.numpy() for name, parameter in model.named_parameters()}

    trainer = pytorch_trainer(config, micro_batch_size=3, clip_norm=1e9)
    metrics = trainer.train_steps([batch], learning_rates=[0.0], seeds=[0])[0]
    assert metrics["loss"] == pytest.approx(loss.item(), abs=1e-5)
    assert metrics["loss"] == pytest.approx(metrics["mlm_loss"] + metrics["nsp_loss"], abs=1e-6)
    found = gradients(trainer)
    assert found.keys() == trainer.parameters.keys()
    for name, gradient in from_framework(expected, "transformers", num_hidden_layers=2).items():
        array = found[name].T if name.endswith("kernel") else found[name]
        np.testing.assert_allclose(array, gradient, rtol=0, atol=1e-5, err_msg=name)
    norm = np.sqrt(sum(np.square(gradient).sum() for gradient in expected.values()))
    assert metrics["grad_norm"] == pytest.approx(norm, rel=1e-5)


def test_micro_batches_add_up_to_the_step() -> None:
    """Rows have unequal numbers of predictions; each counts once in the step's mean, whatever micro batch it falls into."""
    config, batch = toy_config(**NO_DROPOUT), toy_batch(4)
    assert len(set(batch["masked_lm_weights"].sum(1))) > 2
    one, eight = (pytorch_trainer(config, micro_batch_size=size) for size in (1, 8))
    for trainer in (one, eight):
        trainer.metrics = trainer.train_steps([batch], learning_rates=[1e-3], seeds=[0])[0]
    assert one.metrics == pytest.approx(eight.metrics, rel=1e-6)
    for found, expected in ((gradients(one), gradients(eight)), (one.weights(), eight.weights())):
        for name in expected:
            np.testing.assert_allclose(found[name], expected[name], rtol=0, atol=1e-6, err_msg=name)


def test_padding_changes_nothing() -> None:
    config, short = toy_config(**NO_DROPOUT), toy_batch(5, length=16, padded=False)
    wide = {
        name: np.pad(array, ((0, 0), (0, 8))) if name in ("input_ids", "input_mask", "segment_ids") else array
        for name, array in short.items()
    }
    losses = [pytorch_trainer(config).train_steps([batch], learning_rates=[0.0], seeds=[0])[0]["loss"] for batch in (short, wide)]
    assert losses[0] == losses[1]


@pytest.mark.parametrize("optimizer", [None, Lamb(variant="tfa")], ids=["adamw", "lamb"])
def test_a_resumed_run_is_bit_identical(optimizer: Any) -> None:
    """20 steps with dropout against 10, a save, and 10 more in a new trainer."""
    config = toy_config()
    whole = pytorch_trainer(config, optimizer=optimizer, micro_batch_size=3)
    log = steps(whole, 0, 20)
    first = pytorch_trainer(config, optimizer=optimizer, micro_batch_size=3)
    log_of_parts = steps(first, 0, 10)
    saved = first.weights(), first.optimizer_state()
    steps(first, 10, 12)  # what was saved does not move with the model
    second = pytorch_trainer(config, seed=2, optimizer=optimizer, micro_batch_size=3)
    second.load(*saved)
    torch.rand(7)  # nor does it matter what else draws random numbers
    log_of_parts += steps(second, 10, 20)
    assert log == log_of_parts
    assert_identical(second.weights(), whole.weights())
    assert_identical(second.optimizer_state(), whole.optimizer_state())

    third = pytorch_trainer(config, optimizer=optimizer, micro_batch_size=3)
    third.load(saved[0], third.optimizer_state())  # one piece of the state not restored
    steps(third, 10, 20)
    assert not np.array_equal(third.weights()["bert/pooler/dense/kernel"], whole.weights()["bert/pooler/dense/kernel"])


def test_dropout_follows_the_seed() -> None:
    config, batch = toy_config(), toy_batch(1)
    losses = [pytorch_trainer(config).train_steps([batch], learning_rates=[0.0], seeds=[seed])[0]["loss"] for seed in (1, 1, 2**63 - 1)]
    assert losses[0] == losses[1] != losses[2]


def test_training_leaves_the_random_state_alone() -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    trainer = pytorch_trainer(toy_config())
    torch.manual_seed(5)
    steps(trainer, 0, 2)
    assert torch.equal(torch.rand(3), expected)


def test_a_new_phase_forgets_the_moments_alone() -> None:
    trainer = pytorch_trainer(toy_config(), optimizer=Lamb(variant="nvlamb"))
    fresh = trainer.optimizer_state()
    steps(trainer, 0, 3)
    weights = trainer.weights()
    trainer.reset_optimizer()
    assert_identical(trainer.optimizer_state(), fresh)
    assert_identical(trainer.weights(), weights)


def test_without_nsp_pooler_and_nsp_head_stay_as_they_were() -> None:
    config = toy_config()
    trainer = pytorch_trainer(config, next_sentence=False)
    metrics = steps(trainer, 0, 3)
    assert metrics[0]["loss"] == metrics[0]["mlm_loss"] and not any(name.startswith("nsp") for name in metrics[0])
    before, after = initial_weights(config, 1), trainer.weights()
    for name in before:
        assert np.array_equal(before[name], after[name]) == name.startswith(("bert/pooler", "cls/seq_relationship")), name


@pytest.mark.parametrize("next_sentence", [True, False])
def test_a_batch_without_predictions_has_an_mlm_loss_of_0(next_sentence: bool) -> None:
    """Google divides by the sum of the weights + 1e-5; so there is no division by 0 there either."""
    trainer = pytorch_trainer(toy_config(), next_sentence=next_sentence)
    batches = [toy_batch(0), without_predictions(toy_batch(1)), toy_batch(2)]
    steps = trainer.train_steps(batches, learning_rates=[1e-3] * 3, seeds=[0, 1, 2])
    assert [step["mlm_count"] > 0 for step in steps] == [True, False, True]
    assert steps[1]["mlm_loss"] == 0 and (steps[1]["loss"] > 0) == next_sentence == (steps[1]["grad_norm"] > 0)
    assert all(np.isfinite(list(step.values())).all() for step in steps)
    assert all(np.isfinite(values).all() for values in trainer.weights().values())


def test_a_gradient_that_is_no_number_changes_nothing_and_ends_the_steps() -> None:
    trainer = pytorch_trainer(toy_config())
    steps(trainer, 0, 2)
    before, slots = trainer.weights(), trainer.optimizer_state()
    batches = [toy_batch(n) for n in range(3)]
    batches[1]["masked_lm_weights"][0, 0] = np.inf
    reference = pytorch_trainer(toy_config(), seed=3)
    reference.load(before, slots)
    reference.train_steps(batches[:1], learning_rates=[1e-2], seeds=[0])
    metrics = trainer.train_steps(batches, learning_rates=[1e-2] * 3, seeds=[0, 1, 2])
    assert len(metrics) == 2 and np.isfinite(metrics[0]["grad_norm"]) and not np.isfinite(metrics[1]["grad_norm"])
    assert_identical(trainer.weights(), reference.weights())
    assert_identical(trainer.optimizer_state(), reference.optimizer_state())
    assert np.isfinite(steps(trainer, 0, 1)[0]["loss"])


def test_steps_end_with_the_batches() -> None:
    trainer = pytorch_trainer(toy_config())
    assert trainer.train_steps([], learning_rates=[0.1], seeds=[0]) == []
    assert len(trainer.train_steps([toy_batch(0)], learning_rates=[0.1, 0.1], seeds=[0, 1])) == 1


def test_evaluation_is_the_brute_force_computation() -> None:
    config, batch = toy_config(), toy_batch(6)  # with dropout configured, and not applied
    trainer = pytorch_trainer(config, micro_batch_size=3)
    steps(trainer, 0, 2)
    found = trainer.evaluate(batch)
    assert all(isinstance(array, np.ndarray) for array in found.values())
    output = transformers_model(config, trainer.weights())(**transformers_inputs(batch))
    predicted = output.prediction_logits.detach().double().log_softmax(-1).numpy()
    next_sentence = output.seq_relationship_logits.detach().double().log_softmax(-1).numpy()
    for row, (positions, ids, weights) in enumerate(
        zip(batch["masked_lm_positions"], batch["masked_lm_ids"], batch["masked_lm_weights"], strict=True)
    ):
        for slot, (position, piece, weight) in enumerate(zip(positions, ids, weights, strict=True)):
            loss, correct = (-predicted[row, position, piece], predicted[row, position].argmax() == piece) if weight else (0, False)
            assert found["mlm_loss"][row, slot] == pytest.approx(loss, abs=1e-5)
            assert found["mlm_correct"][row, slot] == correct
        label = batch["next_sentence_labels"][row]
        assert found["nsp_loss"][row] == pytest.approx(-next_sentence[row, label], abs=1e-5)
        assert found["nsp_correct"][row] == (next_sentence[row].argmax() == label)


def test_predictions_are_the_best_of_all_pieces() -> None:
    config, batch = toy_config(), toy_batch(7)
    trainer = pytorch_trainer(config, micro_batch_size=3)
    ids, probabilities = trainer.predict(batch, 4)
    logits = transformers_model(config, trainer.weights())(**transformers_inputs(batch)).prediction_logits.detach()
    for row, slot in zip(*np.nonzero(batch["masked_lm_weights"]), strict=True):
        best = logits[row, batch["masked_lm_positions"][row, slot]].softmax(-1).topk(4)
        assert ids[row, slot].tolist() == best.indices.tolist()
        np.testing.assert_allclose(probabilities[row, slot], best.values, atol=1e-5)
    assert (probabilities[batch["masked_lm_weights"] == 0] == 0).all()


def test_it_learns() -> None:
    batch = toy_batch(8)
    trainer = pytorch_trainer(toy_config(**NO_DROPOUT))
    losses = [metrics["loss"] for metrics in trainer.train_steps([batch] * 60, learning_rates=[5e-3] * 60, seeds=range(60))]
    assert losses[-1] < 0.2 < 3 < losses[0]


def test_bf16_is_close_and_keeps_float32_weights() -> None:
    config = toy_config(**NO_DROPOUT)
    exact, rounded = pytorch_trainer(config), pytorch_trainer(config, precision="bf16")
    for metrics, other in zip(steps(exact, 0, 5), steps(rounded, 0, 5), strict=True):
        assert metrics["loss"] != other["loss"] == pytest.approx(metrics["loss"], rel=0.02)
    assert all(array.dtype == np.float32 for array in rounded.weights().values())


def test_state_of_another_model_or_optimizer_is_refused() -> None:
    trainer = pytorch_trainer(toy_config())
    other = pytorch_trainer(toy_config(num_hidden_layers=1), optimizer=Lamb())
    with pytest.raises(UserError, match=r"layer_1/.* is missing"):
        trainer.load(other.weights(), other.optimizer_state())
    with pytest.raises(UserError, match=r"optimizer state: .*(adam|lamb)_m is (missing|unknown)"):
        trainer.load(trainer.weights(), pytorch_trainer(toy_config(), optimizer=Lamb()).optimizer_state())
    wide = pytorch_trainer(toy_config(intermediate_size=64))
    with pytest.raises(UserError, match=r"intermediate/dense/kernel has shape \[32, 64\]"):
        trainer.load(wide.weights(), wide.optimizer_state())


@pytest.mark.parametrize("device", ["gpu", "cuda:99"])
def test_a_device_that_is_not_there_is_named(device: str) -> None:
    config = toy_config()
    with pytest.raises(UserError, match=rf"backend.device: '{device}'"):
        PyTorch(device=device).start(
            config=config, weights=initial_weights(config, 1), optimizer=Lamb(), next_sentence=False, clip_norm=1.0
        )


def test_a_step_is_abandoned_within_a_micro_batch() -> None:
    assert_abandoned_within_a_micro_batch(pytorch_trainer(toy_config(), micro_batch_size=1))
