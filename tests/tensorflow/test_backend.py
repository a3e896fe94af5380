"""The TensorFlow trainer beside PyTorch's, NumPy's forward pass, and itself on more devices."""

from typing import Any

import numpy as np
import pytest
from interrupted import assert_abandoned_within_a_micro_batch
from toys import NO_DROPOUT, pytorch_trainer, tensorflow_trainer, toy_batch, toy_config, train, two_devices, without_predictions

from wholeword.core.bert import forward as reference
from wholeword.core.bert.shapes import initial_weights
from wholeword.core.errors import UserError
from wholeword.core.training.hosts import Hosts
from wholeword.plugins.optimizers.adamw import AdamW
from wholeword.plugins.optimizers.lamb import Lamb
from wholeword.plugins.tensorflow import TensorFlow

OPTIMIZERS = {"adamw": AdamW(), "lamb": Lamb(variant="hfl")}


def mirrored(**settings: Any) -> Any:
    return tensorflow_trainer(toy_config(**NO_DROPOUT), strategy=two_devices(), **settings)


def assert_same_curves(found: list[dict[str, float]], expected: list[dict[str, float]], rel: float) -> None:
    assert len(found) == len(expected)
    for step, (line, other) in enumerate(zip(found, expected, strict=True)):
        assert line.keys() == other.keys()
        for name in line:
            loose = {"rel": rel} if name in ("loss", "mlm_loss") else {"abs": 1} if "correct" in name else {"rel": 10 * rel, "abs": rel}
            assert line[name] == pytest.approx(other[name], **loose), (step, name)


@pytest.mark.parametrize("act", ["gelu", "gelu_tanh"])
def test_the_forward_pass_is_numpys(act: str) -> None:
    config = toy_config(hidden_act=act)
    trainer, batch = tensorflow_trainer(config), toy_batch(3)
    expected = reference.forward(initial_weights(config, 1), config, batch)
    figures = trainer.evaluate(batch)
    real = batch["masked_lm_weights"] > 0
    logits = expected["mlm_logits"][np.arange(len(real))[:, None], batch["masked_lm_positions"]]
    shares = np.exp(logits - logits.max(-1, keepdims=True))
    shares /= shares.sum(-1, keepdims=True)
    nll = -np.log(np.take_along_axis(shares, batch["masked_lm_ids"][..., None], -1)[..., 0])
    np.testing.assert_allclose(figures["mlm_loss"][real], nll[real], atol=2e-5)
    assert not figures["mlm_loss"][~real].any() and not figures["mlm_correct"][~real].any()
    ids, probabilities = trainer.predict(batch, 3)
    assert ids.shape == probabilities.shape == (8, 6, 3)
    np.testing.assert_allclose(probabilities[real], -np.sort(-shares[real], -1)[:, :3], atol=1e-5)


@pytest.mark.parametrize("next_sentence", [True, False])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_hundred_steps_are_those_of_pytorch(name: str, next_sentence: bool) -> None:
    config = toy_config(**NO_DROPOUT)
    settings: dict[str, Any] = {"optimizer": OPTIMIZERS[name], "next_sentence": next_sentence}
    ours, theirs = tensorflow_trainer(config, **settings), pytorch_trainer(config, **settings)
    rate = {"adamw": 1e-3, "lamb": 1e-2}[name]
    curve = train(ours, 0, 100, rate=rate)
    assert_same_curves(curve, train(theirs, 0, 100, rate=rate), 1e-4)
    assert curve[-1]["mlm_loss"] < curve[0]["mlm_loss"]
    logits = [reference.forward(trainer.weights(), config, toy_batch(7))["mlm_logits"] for trainer in (ours, theirs)]
    np.testing.assert_allclose(logits[0], logits[1], atol=1e-3)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_run_goes_from_pytorch_to_tensorflow_and_back(name: str) -> None:
    config = toy_config(**NO_DROPOUT)
    whole = train(pytorch_trainer(config, optimizer=OPTIMIZERS[name]), 0, 60)
    curve, state = [], None
    for first, make in ((0, pytorch_trainer), (20, tensorflow_trainer), (40, pytorch_trainer)):
        trainer = make(config, optimizer=OPTIMIZERS[name])
        if state is not None:
            trainer.load(*state)
        curve += train(trainer, first, first + 20)
        state = trainer.weights(), trainer.optimizer_state()
    assert_same_curves(curve, whole, 1e-4)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_two_devices_are_one(name: str) -> None:
    one = tensorflow_trainer(toy_config(**NO_DROPOUT), optimizer=OPTIMIZERS[name])
    two = mirrored(optimizer=OPTIMIZERS[name])
    assert_same_curves(train(two, 0, 30), train(one, 0, 30), 1e-5)
    found, expected = two.weights(), one.weights()
    for tensor in expected:
        np.testing.assert_allclose(found[tensor], expected[tensor], atol=1e-5, err_msg=tensor)
    batch = toy_batch(77, rows=7)
    for name, values in one.evaluate(batch).items():
        np.testing.assert_allclose(two.evaluate(batch)[name], values, atol=2e-5)


def test_micro_batches_add_up() -> None:
    config = toy_config(**NO_DROPOUT)
    assert_same_curves(train(tensorflow_trainer(config, micro_batch_size=2), 0, 20), train(tensorflow_trainer(config), 0, 20), 1e-5)


@pytest.mark.parametrize("settings", [{"micro_batch_size": 2}, {"steps_per_call": 4}])
def test_dropout_follows_from_the_seed_alone(settings: dict[str, Any]) -> None:
    first, again = (train(tensorflow_trainer(**settings), 0, 8) for _ in range(2))
    assert first == again
    trainer = tensorflow_trainer(**settings)
    other = trainer.train_steps([toy_batch(0)], learning_rates=[0.0], seeds=[5]) + trainer.train_steps(
        [toy_batch(0)], learning_rates=[0.0], seeds=[6]
    )
    assert other[0]["loss"] != other[1]["loss"] and trainer.evaluate(toy_batch(0))["mlm_loss"].sum() > 0


def test_rows_have_dropout_of_their_own() -> None:
    """Equal rows, in one micro batch and in two, and on two devices: all losses differ."""
    batch = {name: np.repeat(values[:1], 2, axis=0) for name, values in toy_batch(1).items()}
    config = toy_config(hidden_dropout_prob=0.5)
    losses = set()
    for settings in ({}, {"micro_batch_size": 1}, {"strategy": two_devices()}):
        trainer = tensorflow_trainer(config, **settings)
        losses.add(trainer.train_steps([batch], learning_rates=[0.0], seeds=[3])[0]["mlm_loss"])
        losses.add(trainer.train_steps([{n: v[:2] for n, v in batch.items()}], learning_rates=[0.0], seeds=[4])[0]["mlm_loss"])
    assert len(losses) == 6


def test_the_host_loop_changes_nothing() -> None:
    one, many = tensorflow_trainer(), tensorflow_trainer(steps_per_call=7)
    assert train(one, 0, 20) == train(many, 0, 20)
    for name, values in one.weights().items():
        assert np.array_equal(values, many.weights()[name]), name


@pytest.mark.parametrize("clip", ["global", "per-replica"])
@pytest.mark.parametrize("next_sentence", [True, False])
def test_a_batch_without_predictions_has_an_mlm_loss_of_0(next_sentence: bool, clip: str) -> None:
    """Google divides by the sum of the weights + 1e-5; so there is no division by 0 there either."""
    trainer = tensorflow_trainer(next_sentence=next_sentence, clip=clip)
    batches = [toy_batch(0), without_predictions(toy_batch(1)), toy_batch(2)]
    steps = trainer.train_steps(batches, learning_rates=[1e-3] * 3, seeds=[0, 1, 2])
    assert [step["mlm_count"] > 0 for step in steps] == [True, False, True]
    assert steps[1]["mlm_loss"] == 0 and (steps[1]["loss"] > 0) == next_sentence == (steps[1]["grad_norm"] > 0)
    assert all(np.isfinite(list(step.values())).all() for step in steps)
    assert all(np.isfinite(values).all() for values in trainer.weights().values())


def test_a_gradient_that_is_no_number_changes_nothing_nor_does_any_after_it() -> None:
    config = toy_config(**NO_DROPOUT)
    weights = initial_weights(config, 1)
    weights["cls/predictions/output_bias"][7] = np.nan
    trainer = tensorflow_trainer(config, weights=weights, steps_per_call=3)
    metrics = train(trainer, 0, 3)
    assert len(metrics) == 1 and not np.isfinite(metrics[0]["grad_norm"])
    for name, values in trainer.weights().items():
        assert np.array_equal(values, weights[name], equal_nan=True), name
    assert not any(values.any() for values in trainer.optimizer_state().values())


def test_only_heads_are_trained_over_a_frozen_encoder() -> None:
    config = toy_config()
    weights = initial_weights(config, 1)
    settings: dict[str, Any] = {"trainable": [name for name in weights if not name.startswith("bert/")], "next_sentence": False}
    trainer = tensorflow_trainer(config, **settings)
    curve = train(trainer, 0, 20)
    assert_same_curves(curve, train(pytorch_trainer(config, **settings), 0, 20), 1e-4)
    for name, values in trainer.weights().items():
        assert np.array_equal(values, weights[name]) == (name.startswith("bert/") or "seq_relationship" in name), name
    assert all(name.startswith("cls/") for name in trainer.optimizer_state())


def test_clipping_by_replica_is_googles() -> None:
    """A replica's loss is the mean over its own predictions, and its gradient is clipped before they are averaged."""
    config, batch = toy_config(**NO_DROPOUT), toy_batch(2)
    trainer = mirrored(clip="per-replica", clip_norm=0.5, optimizer=AdamW(weight_decay=0.0))
    norms = []
    for half in (slice(0, 4), slice(4, 8)):
        one = tensorflow_trainer(config, clip_norm=0.5)
        norms.append(one.train_steps([{n: v[half] for n, v in batch.items()}], learning_rates=[0.0], seeds=[0])[0]["grad_norm"])
    found = trainer.train_steps([batch], learning_rates=[1e-3], seeds=[0])[0]
    assert found["grad_norm"] == pytest.approx(np.mean(norms), rel=1e-5) and min(norms) > 0.5
    moments = trainer.optimizer_state()
    total = np.sqrt(sum(np.square(values / 0.1).sum() for name, values in moments.items() if name.endswith("adam_m")))
    assert total <= 0.5 * (1 + 1e-5)


def test_bf16_is_near_and_keeps_float32_variables() -> None:
    config = toy_config(**NO_DROPOUT)
    short, full = tensorflow_trainer(config, bf16=True), tensorflow_trainer(config)
    curve = train(short, 0, 20)
    assert_same_curves([{"mlm_loss": line["mlm_loss"]} for line in curve], [{"mlm_loss": x["mlm_loss"]} for x in train(full, 0, 20)], 0.02)
    assert all(values.dtype == np.float32 for values in short.weights().values())


def test_what_does_not_fit_is_said() -> None:
    with pytest.raises(UserError, match=r"micro_batch_size: 3 rows at once do not divide the 8 rows of a replica"):
        train(tensorflow_trainer(micro_batch_size=3), 0, 1)
    with pytest.raises(UserError, match=r"7 rows on this host cannot be shared by 2 replicas"):
        train(mirrored(), 0, 1, rows=7)
    trainer = tensorflow_trainer()
    weights, state = trainer.weights(), trainer.optimizer_state()
    with pytest.raises(UserError, match="bert/pooler/dense/bias is missing"):
        trainer.load({name: values for name, values in weights.items() if name != "bert/pooler/dense/bias"}, state)
    with pytest.raises(UserError, match=r"optimizer state: .* does not match the model"):
        trainer.load(weights, {name: values[..., :1] for name, values in state.items()})


def test_devices_by_the_words_of_a_recipe() -> None:
    assert TensorFlow().describe().startswith("2 CPUs") or TensorFlow().describe().startswith("1 CPU")
    assert TensorFlow(strategy="mirrored", devices=["CPU:0", "cpu:1"]).strategy.num_replicas_in_sync == 2
    with pytest.raises(UserError, match=r"backend.devices: no 'GPU:3'; TensorFlow .* sees CPU:0, CPU:1"):
        TensorFlow(devices=["GPU:3"]).strategy  # noqa: B018
    with pytest.raises(UserError, match=r"multi-worker needs several hosts; set backend.hosts"):
        TensorFlow(strategy="multi-worker").strategy  # noqa: B018
    with pytest.raises(UserError, match=r"no TPU found: tried the TPU of this machine .*tensorflow-tpu"):
        TensorFlow(strategy="tpu").strategy  # noqa: B018
    assert Hosts().world_size == 1


@pytest.mark.parametrize("settings", [{}, {"steps_per_call": 4}])
def test_a_step_is_abandoned_within_a_micro_batch(settings: dict[str, Any]) -> None:
    assert_abandoned_within_a_micro_batch(tensorflow_trainer(micro_batch_size=1, **settings))
