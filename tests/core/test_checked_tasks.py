"""What a task plugin returns is checked where it enters; whatever breaks the contract is one line that names the distribution."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from wholeword.cli import main
from wholeword.core.contracts.tasks import Answer, SpanExample, TaggedExample, TextExample
from wholeword.core.errors import PluginError, UserError
from wholeword.core.registry.registry import registry
from wholeword.finetuning.checked import CheckedTask, create_task

SMALL = Path(__file__).parents[1] / "data" / "tasks"
DEFAULTS = {"learning_rate": 2e-5, "batch_size": 64, "epochs": 3, "max_seq_length": 128, "warmup_rate": 0.1}


class Reviews:
    """Keeps the contract, unless an attribute is replaced."""

    head = "classification"
    labels = ("bad", "good")
    metrics = ("accuracy",)
    defaults = DEFAULTS
    splits = ("train", "dev")
    notes: list[str] = []  # noqa: RUF012

    def __init__(self, **replaced: Any):
        for name, value in replaced.items():
            setattr(self, name, value)

    def read(self, split: str) -> list[Any]:
        return [TextExample("1", "很好", None, "good"), TextExample("2", "一般", None, None)]

    def score(self, examples: Any, predictions: Any) -> dict[str, Any]:
        return {"accuracy": np.float32(50.0), "TOTAL": 2}


@pytest.fixture
def checked(plugins: Any) -> Any:
    """Makes the task `reviews` of my-tasks 2.0 with some attributes replaced."""

    def make(**replaced: Any) -> CheckedTask:
        plugins("task", "reviews", lambda: Reviews(**replaced), distribution="my-tasks", version="2.0")
        return create_task("my-tasks:reviews", {})

    return make


def use(task: CheckedTask) -> None:
    """Everything that fine-tuning asks of a task."""
    examples = task.read(task.splits[0])
    assert task.labels or task.head == "span"
    task.score(examples, {})
    list(task.notes)


def raises(error: Exception) -> Any:
    def method(*arguments: Any) -> Any:
        raise error

    return method


def returns(value: Any) -> Any:
    return lambda *arguments: value


def test_a_task_that_keeps_the_contract_is_itself(checked: Any) -> None:
    task = checked()
    use(task)
    assert (task.head, task.labels, task.metrics, task.splits) == ("classification", ("bad", "good"), ("accuracy",), ("train", "dev"))
    assert task.read("dev") == Reviews().read("dev") and task.defaults == DEFAULTS
    scores = task.score(task.read("dev"), {"1": "good"})
    assert scores == {"accuracy": 50.0, "TOTAL": 2} and type(scores["accuracy"]) is float and type(scores["TOTAL"]) is int


SPAN: dict[str, Any] = {"head": "span", "labels": ()}
TAGS: dict[str, Any] = {"head": "tagging", "labels": ("O", "B-LOC")}


@pytest.mark.parametrize(
    ("replaced", "problem"),
    [
        ({"head": "regression"}, "head is 'regression'; expected one of classification, span, tagging"),
        ({"head": []}, "head is []; expected one of"),
        ({"labels": ("a", "a")}, "labels a, a: duplicate entry"),
        ({"labels": ()}, "0 labels for head 'classification'; expected at least one"),
        ({"labels": (0, 1)}, "labels is (0, 1); expected a list of strings"),
        (SPAN | {"labels": ("a",)}, "1 labels for head 'span'; expected none"),
        ({"metrics": ()}, "metrics is empty"),
        ({"metrics": "accuracy"}, "metrics is 'accuracy'; expected a list of strings"),
        ({"splits": None}, "splits is None; expected a list of strings"),
        ({"notes": [3]}, "notes is [3]; expected a list of strings"),
        ({"defaults": None}, "defaults is a NoneType; expected a dict"),
        ({"defaults": {}}, "defaults have no learning_rate; expected learning_rate, batch_size"),
        ({"defaults": DEFAULTS | {"batch_size": "64"}}, "defaults have batch_size '64'; expected a whole number of at least 1"),
        ({"defaults": DEFAULTS | {"epochs": 0}}, "defaults have epochs 0; expected a whole number of at least 1"),
        ({"defaults": DEFAULTS | {"learning_rate": float("nan")}}, "defaults have learning_rate nan; expected a number"),
        ({"defaults": DEFAULTS | {"doc_stride": 0.5}}, "defaults have doc_stride 0.5; expected a whole number"),
        ({"read": returns(None)}, "read('train') returned NoneType; expected a list of examples"),
        ({"read": returns([("1", "好", None, "good")])}, "example 0 of train is a tuple; expected a TextExample for head 'classification'"),
        ({"read": returns([SpanExample("1", "问", "文")])}, "example 0 of train is a SpanExample; expected a TextExample"),
        ({"read": returns([TextExample(1, "好")])}, "example 0 of train: id 1; expected a string"),  # type: ignore[arg-type]
        ({"read": returns([TextExample("1", b"x")])}, "text b'x', pair None; expected strings"),  # type: ignore[arg-type]
        ({"read": returns([TextExample("1", "好", None, "great")])}, "label 'great'; expected one of bad, good"),
        ({"read": returns([TextExample("1", "好", None, ["good"])])}, "label ['good']; expected one of bad, good"),  # type: ignore[arg-type]
        (
            {"read": returns([TextExample("1", "好")] * 2)},
            "example 1 of train: duplicate id '1'; expected a different one for each",
        ),
        (SPAN | {"read": returns([SpanExample("1", "问", "在城西", (Answer("城西", 0),))])}, "answer '城西' is not at character 0"),
        (SPAN | {"read": returns([SpanExample("1", "问", "在城西", (Answer("城西", -2),))])}, "answer '城西' is not at character -2"),
        (SPAN | {"read": returns([SpanExample("1", "问", "在城西", ("城西",))])}, "answer '城西'; expected an Answer"),  # type: ignore[arg-type]
        (SPAN | {"read": returns([SpanExample("1", "问", "在城西", None)])}, "answers None; expected a tuple"),  # type: ignore[arg-type]
        (TAGS | {"read": returns([TaggedExample("1", ("城", "西"), ("O",))])}, "1 tags for 2 units"),
        (TAGS | {"read": returns([TaggedExample("1", ("城",), ("B-PER",))])}, "tag 'B-PER'; expected one of B-LOC, O"),
        (TAGS | {"read": returns([TaggedExample("1", (3,), None)])}, "units (3,); expected strings"),  # type: ignore[arg-type]
        (TAGS | {"read": returns([TaggedExample("1", None)])}, "units None; expected strings"),  # type: ignore[arg-type]
        ({"score": returns(50.0)}, "score returned float; expected a dict of metrics"),
        ({"score": returns({"F1": 50.0})}, "score has no accuracy; expected all of metrics: accuracy"),
        ({"score": returns({"accuracy": "50"})}, "score has 'accuracy': '50'; expected a name and a finite number"),
        ({"score": returns({"accuracy": float("inf")})}, "score has 'accuracy': inf; expected a name and a finite number"),
        ({"score": returns({"accuracy": True})}, "score has 'accuracy': True; expected a name and a finite number"),
        ({"read": raises(KeyError("text"))}, "failed: KeyError: 'text'"),
        ({"score": raises(ZeroDivisionError("division by zero"))}, "failed: ZeroDivisionError: division by zero"),
    ],
)
def test_what_breaks_the_contract_is_said_in_one_line_with_the_distribution(checked: Any, replaced: Any, problem: str) -> None:
    with pytest.raises(PluginError) as caught:
        use(checked(**replaced))
    message = str(caught.value)
    assert "reviews' of my-tasks 2.0" in message and problem in message and "\n" not in message


def test_a_missing_attribute_is_said_too(plugins: Any) -> None:
    plugins("task", "empty", object, distribution="my-tasks")
    with pytest.raises(PluginError, match=r"task 'empty' of my-tasks 1.0 failed: AttributeError: .*'head'"):
        create_task("empty", {})


def test_errors_of_the_users_files_stay_as_they_are(checked: Any) -> None:
    with pytest.raises(UserError, match=r"dev\.tsv:3: no label") as caught:
        use(checked(read=raises(UserError("dev.tsv:3: no label"))))
    assert type(caught.value) is UserError


@pytest.mark.parametrize("name", registry.names("task"))
def test_our_tasks_pass(name: str) -> None:
    own = name in ("classification", "pairs", "spans", "tagging")
    task = create_task(name, {"data": SMALL / name} | ({} if own else {"check": False}))
    for split in task.splits:
        examples = task.read(split)
        assert examples == task.task.read(split) and task.score(examples, {}) == task.task.score(examples, {})


def test_the_command_line_ends_with_the_exit_code_of_a_broken_plugin(plugins: Any, tmp_path: Path, capsys: Any) -> None:
    plugins("task", "reviews", lambda: Reviews(head="regression"), distribution="my-tasks", version="2.0")
    (tmp_path / "recipe.yaml").write_text("version: 1\nname: x\nmodel: zoo:rbt3\ntask: reviews\n", encoding="utf-8")
    with pytest.raises(SystemExit) as stopped:
        main(["finetune", str(tmp_path / "recipe.yaml"), "--set", f"output={tmp_path / 'out'}"])
    error = capsys.readouterr().err
    assert stopped.value.code == 4 and "task 'reviews' of my-tasks 2.0: head is 'regression'" in error and "Traceback" not in error
