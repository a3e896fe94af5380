"""What backends return is checked where it enters core, and whoever breaks the contract is named."""

import errno
from typing import Any

import numpy as np
import pytest

from wholeword.core.contracts import FineTuner, Trainer
from wholeword.core.errors import PluginError, UserError
from wholeword.core.training.returned import Batches, Returned
from wholeword.core.training.trainers import NoOptimizer, start_fine_tuner, start_trainer

ROWS, LENGTH, PREDICTIONS = 4, 8, 2
WEIGHTS = {"x/kernel": np.zeros((2, 3), np.float32), "x/bias": np.zeros(3, np.float32)}
BATCH = {"input_ids": np.zeros((ROWS, LENGTH), np.int32), "masked_lm_ids": np.zeros((ROWS, PREDICTIONS), np.int32)}
STEP = {"loss": 2.0, "mlm_loss": 1.0, "mlm_correct": 1.0, "mlm_count": 8.0, "nsp_loss": 1.0, "nsp_correct": 2.0, "nsp_count": 4.0}
GOOD = STEP | {"grad_norm": np.float32(0.5)}
EVALUATION = {
    "mlm_loss": np.zeros((ROWS, PREDICTIONS), np.float32),
    "mlm_correct": np.zeros((ROWS, PREDICTIONS), bool),
    "nsp_loss": np.zeros(ROWS),
    "nsp_correct": np.zeros(ROWS, bool),
}


class Puppet:
    """A trainer that returns what it is given to return."""

    def __init__(self, returned: dict[str, Any]):
        self.returned = returned

    def train_steps(self, batches: Any, *, learning_rates: Any, seeds: Any) -> Any:
        list(batches)
        return self.returned["train_steps"]

    def evaluate(self, batch: Any) -> Any:
        return self.returned["evaluate"]

    def predict(self, batch: Any, top: int) -> Any:
        return self.returned["predict"]

    def weights(self) -> Any:
        return self.returned["weights"]

    def optimizer_state(self) -> Any:
        return self.returned["optimizer_state"]

    def logits(self, rows: Any) -> Any:
        return self.returned["logits"]

    def load(self, weights: Any, optimizer_state: Any) -> None: ...

    def reset_optimizer(self) -> None: ...


@pytest.fixture
def trainer(plugins: Any) -> Any:
    """Starts a puppet as the backend `puppet` of the distribution my-backend 3.0."""
    plugins("backend", "puppet", "puppets:Backend", distribution="my-backend", version="3.0")

    def started(made: Any = None, *, next_sentence: bool = True, **returned: Any) -> Any:
        class Backend:
            def start(self, **_: Any) -> Any:
                return Puppet(returned) if made is None else made

        return start_trainer(Backend(), "puppet", NoOptimizer(), weights=WEIGHTS, next_sentence=next_sentence)

    return started


def taken(trainer: Any, count: int = 1) -> Any:
    return trainer.train_steps([BATCH] * count, learning_rates=[0.1] * count, seeds=[0] * count)


def test_what_keeps_the_contract_comes_through(trainer: Any) -> None:
    ids, shares = np.zeros((ROWS, PREDICTIONS, 3), np.int64), np.zeros((ROWS, PREDICTIONS, 3), np.float32)
    good = trainer(
        train_steps=[GOOD, GOOD], evaluate=EVALUATION, predict=(ids, shares), weights=WEIGHTS, optimizer_state={"n": np.zeros(())}
    )
    assert taken(good, 2) == [STEP | {"grad_norm": 0.5}] * 2 and type(taken(good, 2)[0]["grad_norm"]) is float
    assert good.evaluate(BATCH) == EVALUATION and good.predict(BATCH, 3) == (ids, shares)
    assert good.weights() is WEIGHTS and list(good.optimizer_state()) == ["n"]


def test_without_nsp_its_metrics_are_not_asked_for(trainer: Any) -> None:
    few = {name: value for name, value in GOOD.items() if not name.startswith("nsp")}
    evaluation = {name: value for name, value in EVALUATION.items() if not name.startswith("nsp")}
    good = trainer(train_steps=[few], evaluate=evaluation, next_sentence=False)
    assert taken(good)[0].keys() == few.keys() and good.evaluate(BATCH).keys() == evaluation.keys()


@pytest.mark.parametrize(
    "steps, count, message",
    [
        (None, 1, "train_steps returned NoneType; expected a list of dicts"),
        ([None], 1, "train_steps returned a step without loss, "),
        ([STEP], 1, "train_steps returned a step without grad_norm; expected loss, mlm_loss, "),
        ([GOOD | {"nsp_loss": "0.5"}], 1, "train_steps returned nsp_loss = '0.5'; expected a number"),
        ([GOOD | {"loss": np.zeros(2)}], 1, r"train_steps returned loss = array.*; expected a number"),
        ([GOOD], 3, "train_steps took 3 batches and returned 1 steps; expected one step per batch"),
        ([], 1, "train_steps took 1 batches and returned 0 steps"),
        ([GOOD, GOOD], 1, "train_steps took 1 batches and returned 2 steps"),
    ],
)
def test_steps_that_break_the_contract(trainer: Any, steps: Any, count: int, message: str) -> None:
    with pytest.raises(PluginError, match=rf"^backend 'puppet' of my-backend 3\.0: {message}"):
        taken(trainer(train_steps=steps), count)


def test_steps_may_end_with_a_loss_that_is_not_finite(trainer: Any) -> None:
    assert len(taken(trainer(train_steps=[GOOD, GOOD | {"loss": float("nan")}]), 5)) == 2


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"nsp_loss": None}, "evaluate returned a dict without nsp_loss; expected mlm_loss, mlm_correct, nsp_loss, nsp_correct"),
        ({"mlm_loss": 1.0}, "mlm_loss of evaluate is float; expected a NumPy array"),
        ({"mlm_loss": np.zeros(4)}, r"mlm_loss of evaluate is float64 \[4\]; expected floats \[4, 2\]"),
        ({"mlm_correct": np.zeros((4, 2))}, r"mlm_correct of evaluate is float64 \[4, 2\]; expected bool \[4, 2\]"),
        ({"nsp_loss": np.zeros((4, 1))}, r"nsp_loss of evaluate is float64 \[4, 1\]; expected floats \[4\]"),
    ],
)
def test_evaluations_that_break_the_contract(trainer: Any, changes: dict[str, Any], message: str) -> None:
    evaluation = {name: value for name, value in (EVALUATION | changes).items() if value is not None}
    with pytest.raises(PluginError, match=rf"^backend 'puppet' of my-backend 3\.0: {message}$"):
        trainer(evaluate=evaluation).evaluate(BATCH)


@pytest.mark.parametrize(
    "predicted, message",
    [
        (np.zeros(3), "predict returned ndarray; expected two arrays"),
        ((np.zeros((4, 2, 3)), np.zeros((4, 2, 3))), "the ids of predict is float64"),
        ((np.zeros((4, 2, 3), int), np.zeros((4, 2))), r"the probabilities of predict is float64 \[4, 2\]; expected floats \[4, 2, 3\]"),
    ],
)
def test_predictions_that_break_the_contract(trainer: Any, predicted: Any, message: str) -> None:
    with pytest.raises(PluginError, match=rf"^backend 'puppet' of my-backend 3\.0: {message}"):
        trainer(predict=predicted).predict(BATCH, 3)


@pytest.mark.parametrize(
    "weights, message",
    [
        ([], "weights returned list; expected a dict of arrays by name"),
        ({"x/bias": WEIGHTS["x/bias"]}, "x/kernel of weights is missing"),
        (WEIGHTS | {"y": np.zeros(1)}, "y of weights is unknown"),
        (WEIGHTS | {"x/kernel": np.zeros((3, 2))}, r"x/kernel of weights has shape \[3, 2\], not \[2, 3\]"),
        (WEIGHTS | {"x/kernel": "zeros"}, "x/kernel of weights is str; expected a NumPy array of numbers"),
        (WEIGHTS | {"x/kernel": np.array(["a"])}, "x/kernel of weights is <U1; expected a NumPy array of numbers"),
    ],
)
def test_weights_that_break_the_contract(trainer: Any, weights: Any, message: str) -> None:
    with pytest.raises(PluginError, match=rf"^backend 'puppet' of my-backend 3\.0: {message}"):
        trainer(weights=weights).weights()


def test_a_trainer_without_a_method_is_refused_at_the_start(trainer: Any) -> None:
    class Half:
        def train_steps(self) -> None: ...

    with pytest.raises(
        PluginError, match=r"it started a Half without evaluate, load, optimizer_state, predict, reset_optimizer, weights; "
    ):
        trainer(Half())


def test_fine_tuners_are_checked_too(plugins: Any) -> None:
    plugins("backend", "puppet", "puppets:Backend", distribution="my-backend", version="3.0")

    class Backend:
        def start_finetuning(self, **_: Any) -> Any:
            step = {"loss": 1.0, "correct": 1.0, "count": 4.0, "grad_norm": 1.0}
            return Puppet({"train_steps": [step], "logits": np.zeros((4, 3), np.float32)})

    class Rows(list[int]):
        ids = np.zeros(30)

    tuner = start_fine_tuner(Backend(), "puppet", NoOptimizer(), head="classification", num_labels=3)
    assert taken(tuner)[0]["count"] == 4.0 and tuner.logits(Rows(range(4))).shape == (4, 3)
    with pytest.raises(PluginError, match=r"logits is float32 \[4, 3\]; expected floats \[5, 3\]"):
        tuner.logits(Rows(range(5)))
    with pytest.raises(PluginError, match=r"logits is float32 \[4, 3\]; expected floats \[30, 3\]"):
        start_fine_tuner(Backend(), "puppet", NoOptimizer(), head="tagging", num_labels=3).logits(Rows(range(4)))


def test_protocols_are_told_apart_by_methods() -> None:
    assert isinstance(Puppet({}), Trainer) and isinstance(Puppet({}), FineTuner)
    batches = Batches(iter([{}, {}]))
    assert len(list(batches)) == batches.taken == 2
    with pytest.raises(AssertionError, match="expected floats"):
        Returned(AssertionError).array(np.zeros(2, int), "x", kinds="f", shape=(None,))


CALLS = [
    ("train_steps", lambda made: taken(made)),
    ("evaluate", lambda made: made.evaluate(BATCH)),
    ("predict", lambda made: made.predict(BATCH, 3)),
    ("weights", lambda made: made.weights()),
    ("optimizer_state", lambda made: made.optimizer_state()),
    ("load", lambda made: made.load({}, {})),
    ("reset_optimizer", lambda made: made.reset_optimizer()),
]


def failing(method: str, error: BaseException) -> Any:
    def fail(*_: Any, **__: Any) -> None:
        raise error

    return type("Failing", (Puppet,), {method: fail})({})


@pytest.mark.parametrize("method, call", CALLS, ids=[method for method, _ in CALLS])
def test_a_trainer_that_fails_is_named_in_one_line(trainer: Any, method: str, call: Any) -> None:
    with pytest.raises(PluginError, match=r"^backend 'puppet' of my-backend 3\.0 failed: KeyError: 'a b'$"):
        call(trainer(failing(method, KeyError("a b"))))
    for error in (KeyboardInterrupt(), OSError(errno.ENOSPC, "full"), UserError("yours")):
        with pytest.raises(type(error)) as raised:
            call(trainer(failing(method, error)))
        assert raised.value is error


@pytest.mark.parametrize("method", ["start_finetuning", "train_steps", "logits", "weights", "optimizer_state", "load"])
def test_a_fine_tuner_that_fails_is_named(plugins: Any, method: str) -> None:
    plugins("backend", "puppet", "puppets:Backend", distribution="my-backend", version="3.0")

    class Backend:
        def start_finetuning(self, **_: Any) -> Any:
            if method == "start_finetuning":
                raise KeyError("a b")
            return failing(method, KeyError("a b"))

    with pytest.raises(PluginError, match=r"^backend 'puppet' of my-backend 3\.0 failed: KeyError: 'a b'$"):
        made = start_fine_tuner(Backend(), "puppet", NoOptimizer(), head="tagging", num_labels=3)
        {"logits": lambda made: made.logits(None), **dict(CALLS)}[method](made)


@pytest.mark.parametrize("trainer_of", ["raises it", "wraps it", "swallows it"])
def test_an_error_of_the_batches_is_not_the_backends(trainer: Any, trainer_of: str) -> None:
    ours = ZeroDivisionError("ours")

    class Consumer(Puppet):
        def train_steps(self, batches: Any, **_: Any) -> Any:
            try:
                return [GOOD for _ in batches]
            except ZeroDivisionError as error:
                if trainer_of == "swallows it":
                    return [GOOD]
                raise error if trainer_of == "raises it" else RuntimeError("wrapped") from error

    def batches() -> Any:
        yield BATCH
        raise ours

    with pytest.raises(ZeroDivisionError) as raised:
        trainer(Consumer({})).train_steps(batches(), learning_rates=[0.1] * 2, seeds=[0] * 2)
    assert raised.value is ours
