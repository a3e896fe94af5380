"""`wholeword check` takes fine-tuning recipes and tables, and refuses what `finetune` and `bench run` refuse before a run."""

import json

import pytest
from plugin_sites import stand_in

from wholeword.cli import main
from wholeword.core.errors import RecipeError
from wholeword.core.vocabulary import SPECIAL_PIECES
from wholeword.finetuning.bench.check import expect_ready as expect_table
from wholeword.finetuning.bench.recipe import load_table
from wholeword.finetuning.job import resolve
from wholeword.finetuning.preflight import expect_ready
from wholeword.finetuning.recipe import load_finetune_recipe

RECIPE = """
version: 1
name: tuned
model: small
task: {name: pairs, data: data}
seeds: [1, 2]
batch_size: 2
epochs: 3
max_seq_length: 48
output: runs
"""
TABLE = """
version: 1
name: table
models: [small]
tasks: [{task: {name: pairs, data: data}, max_seq_length: 48}]
seeds: [1, 2]
output: bench
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The working folder: a model's configuration, a task's files, a recipe and a table; PyTorch counts as installed."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "libraries").mkdir()
    stand_in(tmp_path / "libraries", "torch", "transformers")
    monkeypatch.syspath_prepend(str(tmp_path / "libraries"))
    write_model(tmp_path)
    (tmp_path / "data").mkdir()
    for split, rows in (("train", "好\t不好\t1\n大\t小\t0\n高\t低\t1\n"), ("dev", "来\t去\t0\n")):
        (tmp_path / "data" / f"{split}.tsv").write_text("text_a\ttext_b\tlabel\n" + rows, encoding="utf-8")
    (tmp_path / "tuned.yaml").write_text(RECIPE, encoding="utf-8")
    (tmp_path / "table.yaml").write_text(TABLE, encoding="utf-8")
    return tmp_path


def write_model(folder, **changes):
    (folder / "small").mkdir(exist_ok=True)
    config = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 64, "vocab_size": 207}
    pieces = [*SPECIAL_PIECES, *"好大高来不小低去"]
    pieces += [f"[unused{number}]" for number in range(207 - len(pieces))]
    (folder / "small" / "vocab.txt").write_text("\n".join(pieces) + "\n", encoding="utf-8")
    (folder / "small" / "config.json").write_text(json.dumps(config | {"max_position_embeddings": 64, "type_vocab_size": 2} | changes))


def checked(capsys, *arguments):
    code = 0
    try:
        main(["check", *(item for argument in arguments for item in (["--set", argument] if "=" in argument else [argument]))])
    except SystemExit as stopped:
        code = int(stopped.code or 0)
    return (code, *capsys.readouterr())


def test_check_says_what_a_fine_tuning_recipe_will_do(folder, capsys):
    code, printed, errors = checked(capsys, "tuned.yaml")
    assert code == 0 and not errors
    assert printed.startswith("model: 18,466 parameters\n") and "train: 3 examples; classes: " in printed
    assert "training: about 6 steps of 2 rows of up to 48 pieces, 3 epochs, learning rate 2e-05; 2 seeds" in printed
    answers = json.loads(checked(capsys, "tuned.yaml", "--json")[1])
    assert answers["num_examples"] == {"train": 3, "dev": 1} and answers["problems"] == []


@pytest.mark.parametrize(
    "setting, problem",
    [
        ("max_seq_length=128", "max_seq_length: 128; small has positions for 64: set that or less"),
        ("model=nowhere", "nowhere: no such model (looked in "),
        ("task.data=nowhere", "nowhere: no such folder; expected"),
        ("splits=[dev, test]", "data: no test.tsv"),
        ("backend=tensorflow", "backend.name: tensorflow cannot fine-tune"),
    ],
)
def test_what_fine_tuning_refuses_check_refuses(folder, capsys, setting, problem):
    code, _, errors = checked(capsys, "tuned.yaml", setting)
    assert code == 2 and problem in errors and len(errors.splitlines()) == 1


def test_fine_tuning_begins_with_the_same_checks(folder):
    with pytest.raises(RecipeError) as refused:
        expect_ready(resolve(load_finetune_recipe("tuned.yaml", ["model=nowhere"])), 2)
    assert "nowhere: no such model" in refused.value.problems[0]
    with pytest.raises(RecipeError, match="max_query_length: 64 leaves no room in rows of 48"):
        expect_ready(resolve(load_finetune_recipe("tuned.yaml", ["task={name: cmrc2018, data: data}"])), 2)


def test_pairs_are_refused_for_a_model_of_one_segment(folder, capsys):
    write_model(folder, type_vocab_size=1)
    for file in ("tuned.yaml", "table.yaml"):
        code, _, errors = checked(capsys, file)
        assert code == 2 and "small has one segment (type_vocab_size 1), but pairs has pairs" in errors


def test_check_says_what_fills_a_table(folder, capsys):
    code, printed, errors = checked(capsys, "table.yaml")
    assert code == 0 and not errors
    assert printed.splitlines() == ["pairs: train 3, dev 1 examples", "small, pairs: learning rate 2e-5; 2 seeds each"]


def test_a_table_is_refused_before_its_first_run(folder, capsys):
    code, _, errors = checked(capsys, "table.yaml", "tasks.0.max_seq_length=128")
    assert code == 2 and errors == "small, pairs: max_seq_length: 128; small has positions for 64: set that or less\n"
    with pytest.raises(RecipeError) as refused:
        expect_table(load_table("table.yaml", ["tasks.0.max_seq_length=128"]))
    assert refused.value.problems == errors.splitlines()
    with pytest.raises(SystemExit) as stopped:
        main(["bench", "run", "table.yaml", "--set", "tasks.0.max_seq_length=128"])
    assert stopped.value.code == 2 and not (folder / "bench").exists()


@pytest.mark.parametrize("recipe", ["tuned.yaml", "table.yaml"])
def test_text_that_the_model_has_no_piece_for_is_refused(folder, capsys, recipe):
    (folder / "data" / "train.tsv").write_text("text_a\ttext_b\tlabel\n龘\t齉\t1\n齾\t爩\t0\n", encoding="utf-8")
    code, _, errors = checked(capsys, recipe)
    assert code == 2 and "pairs: every piece of train is [UNK]: the vocabulary does not have a character of it" in errors
    (folder / "data" / "train.tsv").write_text("text_a\ttext_b\tlabel\n龘\t齉\t1\n齾好\t爩\t0\n", encoding="utf-8")
    code, _, errors = checked(capsys, recipe)
    assert code == 0 and "warning: train: 80% of the pieces are [UNK]" in errors
    (folder / "small" / "vocab.txt").unlink()
    code, _, errors = checked(capsys, recipe)
    assert code == 2 and "vocab.txt" in errors


@pytest.mark.parametrize("recipe, command", [("tuned.yaml", ["finetune"]), ("table.yaml", ["bench", "run"])])
@pytest.mark.parametrize("output", ["data/dev.tsv", "data/dev.tsv/below"])
def test_a_file_in_place_of_the_output_folder_is_refused(folder, capsys, recipe, command, output):
    code, _, errors = checked(capsys, recipe, f"output={output}")
    expected = f"output: {output}: data/dev.tsv is a file; expected a folder"
    assert code == 2 and expected in errors.replace(f"{folder}/", "")
    with pytest.raises(SystemExit) as stopped:
        main([*command, recipe, "--set", f"output={output}"])
    assert stopped.value.code == 2 and expected in capsys.readouterr().err.replace(f"{folder}/", "")


def test_a_shipped_recipe_waits_for_its_files(folder, capsys):
    code, printed, errors = checked(capsys, "finetune-chnsenticorp")
    assert code == 0 and not errors and "not here yet: chnsenticorp: no such folder" in printed
    assert checked(capsys, "finetune-chnsenticorp", "task.data=nowhere")[0] == 2


@pytest.mark.parametrize(
    "rows, problem",
    [("好\t不好\t1\n大\t小\t1\n", "all 2 labels of train are '1'"), ("好\t不好\t\n大\t小\t\n", "no example has a label")],
)
@pytest.mark.parametrize("recipe", ["tuned.yaml", "table.yaml"])
def test_a_task_that_teaches_nothing_is_refused(folder, capsys, recipe, rows, problem):
    (folder / "data" / "train.tsv").write_text("text_a\ttext_b\tlabel\n" + rows, encoding="utf-8")
    (folder / "data" / "dev.tsv").unlink()
    code, _, errors = checked(capsys, recipe)
    assert code == 2 and problem in errors


def test_questions_without_an_answer_in_any_context_are_refused(folder, capsys):
    question = {"id": "1", "question": "谁来？", "answers": [{"text": "海鸥", "answer_start": 0}]}
    article = {"paragraphs": [{"context": "好大高来。", "qas": [question, question | {"id": "2"}]}]}
    (folder / "data" / "train.json").write_text(json.dumps({"data": [article]}), encoding="utf-8")
    code, _, errors = checked(capsys, "tuned.yaml", "task.name=spans", "max_query_length=8")
    assert code == 2 and "no answer in train is in its context; there is nothing to learn from" in errors
