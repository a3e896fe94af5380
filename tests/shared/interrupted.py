"""Interrupts a step that takes long, from another thread, as a signal does."""

import threading
from typing import Any

import numpy as np
from toys import toy_batch

ROWS = 1024  # in micro batches of one row


def assert_abandoned_within_a_micro_batch(trainer: Any) -> None:
    """The trainer computes one row at once."""
    before = trainer.weights(), trainer.optimizer_state()
    timer = threading.Timer(0.2, trainer.interrupt)
    timer.start()
    assert trainer.train_steps([toy_batch(1, rows=ROWS)], learning_rates=[1e-2], seeds=[1]) == []
    timer.join()
    for tensors, others in zip(before, (trainer.weights(), trainer.optimizer_state()), strict=True):
        assert tensors.keys() == others.keys() and all(np.array_equal(tensors[name], others[name]) for name in tensors)
