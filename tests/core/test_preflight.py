"""`wholeword check` and the commands that train refuse the same things, before anything is prepared, with exit code 2."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from plugin_sites import stand_in

from wholeword.cli import main
from wholeword.core.config import load_recipe
from wholeword.core.config.job import resolve
from wholeword.core.data.corpus import unmatched
from wholeword.core.errors import BrokenPluginsError, DiskError, PluginError, RecipeError, UserError
from wholeword.core.testing import tiny_model
from wholeword.core.training.export import export
from wholeword.core.training.prepare import prepare
from wholeword.core.training.problems import Problems, expect_known_pieces, expect_room
from wholeword.core.vocabulary import SPECIAL_PIECES
from wholeword.planning.preflight import expect_ready, preflight

TEXT = "酒店的房间很干净，服务员不错。\n这本书的内容很好看！\n\n"
RECIPE = """
version: 1
name: small
corpus: {files: [corpus.txt]}
segmenter: characters
tokenizer: {vocab: vocab.txt}
examples: full-sentences
masking: {name: whole-word, dynamic: true}
model: {num_hidden_layers: 1, hidden_size: 32, num_attention_heads: 2, max_position_embeddings: 64}
phases: [{max_seq_length: 32, batch_size: 4, steps: 4, peak_lr: 1.0e-3, warmup_steps: 1}]
output: run
prepare_workers: 1
cache: null
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The working folder: recipe, corpus and vocabulary; PyTorch counts as installed, also where it is not."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "libraries").mkdir()
    stand_in(tmp_path / "libraries", "torch", "transformers")
    monkeypatch.syspath_prepend(str(tmp_path / "libraries"))
    (tmp_path / "recipe.yaml").write_text(RECIPE, encoding="utf-8")
    (tmp_path / "corpus.txt").write_text(TEXT * 20, encoding="utf-8")
    (tmp_path / "vocab.txt").write_text("\n".join([*SPECIAL_PIECES, *dict.fromkeys(TEXT.replace("\n", ""))]) + "\n", encoding="utf-8")
    return tmp_path


def job(*overrides: str):
    return resolve(load_recipe("recipe.yaml", overrides))


def problems(*overrides: str) -> list[str]:
    """What the commands that train would report."""
    try:
        expect_ready(job(*overrides))
    except UserError as error:
        return str(error).splitlines()
    return []


def checked(capsys, *arguments: str) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of `wholeword check`; what a slow machine waits for is left out."""
    code = 0
    try:
        main(["check", *(item for argument in arguments for item in (["--set", argument] if "=" in argument else [argument]))])
    except SystemExit as stopped:
        code = int(stopped.code or 0)
    printed, errors = capsys.readouterr()
    return code, printed, "".join(line for line in errors.splitlines(keepends=True) if not line.endswith(" ...\n"))


def test_a_sound_recipe_passes(folder, capsys):
    assert problems() == []
    code, printed, errors = checked(capsys, "recipe.yaml")
    assert code == 0 and not errors and "vocabulary: about 0.00% of the pieces are [UNK]" in printed


def test_check_compares_the_store_in_its_place_with_the_recipe_as_training_does(folder, capsys):
    prepare(job().prepare)
    assert checked(capsys, "recipe.yaml")[0] == 0
    (folder / "corpus.txt").write_text(TEXT * 30, encoding="utf-8")
    with pytest.raises(UserError) as refused:
        prepare(job().prepare)
    code, printed, errors = checked(capsys, "recipe.yaml")
    assert code == 2 and "corpus (exact)" not in printed
    assert errors.splitlines() == [str(refused.value)] == problems()
    assert "segmenter.name was 'characters', is 'jieba'" in checked(capsys, "recipe.yaml", "segmenter=jieba")[2]


def test_a_run_that_is_moved_aside_takes_its_store_along(folder):
    prepare(job().prepare)
    (folder / "run" / "recipe.json").write_text("{}")
    (folder / "corpus.txt").write_text(TEXT * 30, encoding="utf-8")
    with pytest.raises(RecipeError, match="made from other inputs"):
        expect_ready(job())
    assert expect_ready(job(), resume="never") == []
    with pytest.raises(RecipeError, match="made from other inputs"):
        expect_ready(job("store=run/store", "output=other"), resume="never")


def test_an_unfinished_store_is_compared_too(folder, capsys):
    with pytest.raises(UserError, match="not UTF-8"):
        (folder / "corpus.txt").write_bytes((TEXT * 20000).encode() + b"\xff\n")
        prepare(job("corpus.shard_mb=1").prepare)
    assert list((folder / "run" / "store.partial" / "receipts").iterdir())
    (folder / "corpus.txt").write_text(TEXT, encoding="utf-8")
    code, _, errors = checked(capsys, "recipe.yaml", "corpus.shard_mb=1")
    assert code == 2 and "store.partial: made from other inputs" in errors


def test_a_finished_store_needs_no_corpus_but_one_of_its_names(folder, capsys):
    prepare(job().prepare)
    (folder / "corpus.txt").unlink()
    assert checked(capsys, "recipe.yaml")[0] == 0 and prepare(job().prepare) == Path("run/store")
    code, _, errors = checked(capsys, "recipe.yaml", "corpus.files=[corpsu.txt]")
    assert code == 2 and "corpus.files: 'corpsu.txt': no such file" in errors
    with pytest.raises(UserError, match=r"corpsu\.txt"):
        prepare(job("corpus.files=[corpsu.txt]").prepare)


def test_recorded_names_are_those_that_patterns_match():
    names = ["wiki/AA/00.txt", "wiki/b.txt", "package://p/x.txt", "absolute.txt"]
    assert unmatched(["wiki/**/*.txt", "package://p/*.txt", "/data/absolute.txt"], names) == []
    assert unmatched(["./wiki/?.txt", "wiki/AA/[01]0.txt", "package://p/x.txt", "absolute.txt"], names) == []
    assert unmatched(["wiki/*.txt", "other.txt"], names[:2]) == ["other.txt", "wiki/AA/00.txt"]


def test_a_corpus_that_is_not_there_is_refused(folder, capsys):
    code, printed, errors = checked(capsys, "recipe.yaml", "corpus.files=[nowhere.txt]")
    assert code == 2 and errors.startswith("corpus.files: 'nowhere.txt': no such file (looked in ") and not printed.strip()
    code, _, errors = checked(capsys, "bert-wwm", "corpus.files=[nowhere.txt]")
    assert code == 2 and "corpus.files: 'nowhere.txt': no such file" in errors


def test_a_model_that_is_not_there_is_refused_and_none_is_invented(folder, capsys):
    code, printed, errors = checked(capsys, "recipe.yaml", "model={init: nowhere}", "phases.0.peak_lr=1e-5")
    assert code == 2 and "nowhere: no such model (looked in " in errors and "parameters" not in printed
    assert problems("model={init: nowhere}", "phases.0.peak_lr=1e-5") == errors.splitlines()


def test_the_folder_of_a_missing_model_lends_it_no_configuration(folder, capsys):
    export(tiny_model(), "tf-checkpoint", folder / "other")
    shutil.copy(folder / "other" / "bert_config.json", folder / "config.json")
    assert checked(capsys, "recipe.yaml", "model={init: nowhere}")[0] == 2


def test_a_model_and_a_vocabulary_are_of_one_kind(folder, capsys):
    export(tiny_model(), "tf-checkpoint", folder / "parent")
    code, _, errors = checked(capsys, "recipe.yaml", "model={init: parent}")
    assert code == 2 and "pieces of parent are not the" in errors and "set tokenizer.vocab to " in errors
    code, _, errors = checked(capsys, "recipe.yaml", "model={init: parent, hidden_size: 24}", "tokenizer.vocab=parent/vocab.txt")
    assert code == 2 and "but the recipe sets 24" in errors
    for name in ("manifest.json", "bert_model.ckpt.index"):
        (folder / "parent" / name).unlink()
    code, _, errors = checked(capsys, "recipe.yaml", "model={init: parent}", "tokenizer.vocab=parent/vocab.txt")
    assert code == 2 and "parent" in errors  # it has a configuration, but no weights


def test_a_vocabulary_that_is_trained_cannot_be_a_larger_one(folder):
    export(tiny_model(), "tf-checkpoint", folder / "parent")
    [problem] = problems("tokenizer={train: 100}", "model={init: parent}", "phases.0.peak_lr=1e-5")
    assert problem == "tokenizer.train: 100 pieces, but parent has 150; set tokenizer.vocab to parent"


def test_a_model_of_the_zoo_is_compared_by_its_card(folder, capsys):
    """No weights are fetched to find out."""
    [problem] = problems("model={init: zoo:rbt3}", "phases.0.peak_lr=1e-5")
    assert problem == f"model.init: zoo:rbt3 has 21,128 pieces, but tokenizer.vocab has {len(Path('vocab.txt').read_text('utf-8').split())}"
    wider = preflight(job("model={init: zoo:rbt3, hidden_size: 1536}", "tokenizer.vocab=zoo:rbt3")).problems.problems
    assert wider == ["model: zoo:rbt3 has hidden_size 768, but the recipe sets 1536; leave it out"]


def parent(folder: Path, **changes: int) -> None:
    """A folder with the configuration of a model."""
    (folder / "parent").mkdir(exist_ok=True)
    config = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 64, "vocab_size": 207}
    (folder / "parent" / "config.json").write_text(json.dumps(config | {"max_position_embeddings": 64, "type_vocab_size": 2} | changes))


def test_lengths_are_compared_with_the_positions_of_the_initial_model(folder):
    parent(folder)
    with pytest.raises(RecipeError, match=r"recipe\.yaml:10:\d+: phases\.0\.max_seq_length|--set phases"):
        job("model={init: parent}", "phases.0.max_seq_length=128")
    with pytest.raises(RecipeError, match="128 pieces, but parent has 64 positions; expected at most 64"):
        job("model={init: parent}", "phases.0.max_seq_length=128")
    parent(folder, max_position_embeddings=600)
    assert job("model={init: parent}", "phases.0.max_seq_length=550").phases[0].max_seq_length == 550
    with pytest.raises(RecipeError, match="601 pieces, but parent has 600 positions"):
        job("model={init: parent}", "phases.0.max_seq_length=601")


def test_pairs_are_refused_for_an_initial_model_of_one_segment(folder):
    parent(folder, type_vocab_size=1)
    with pytest.raises(RecipeError, match="parent has type_vocab_size 1, but nsp-pairs have two segments"):
        job("model={init: parent}", "examples=nsp-pairs")
    assert job("model={init: parent}", "examples=full-sentences")


WITHOUT = "import sys\nfor name in {missing}: sys.modules[name] = None\nfrom wholeword.cli import main\nmain()"


@pytest.mark.parametrize(
    "missing, settings, problem",
    [
        (["torch"], [], "backend 'pytorch' needs 'torch': pip install \"wholeword[torch]\""),
        (["transformers"], [], "backend 'pytorch' needs 'transformers': pip install \"wholeword[torch]\""),
        (["tensorflow"], ["backend=tensorflow"], "backend 'tensorflow' needs 'tensorflow': pip install \"wholeword[tensorflow]\""),
        (["wandb"], ["log.trackers=[wandb]"], "tracker 'wandb' needs 'wandb': pip install \"wholeword[wandb]\""),
        (["ltp_extension"], ["segmenter=ltp"], "segmenter 'ltp' needs 'ltp_extension': pip install \"wholeword[ltp]\""),
        (["torch"], ["export=[pytorch-bin]"], "exporter 'pytorch-bin' needs 'torch': pip install \"wholeword[torch]\""),
    ],
)
def test_what_is_not_installed_is_said_before_anything_is_prepared(folder, missing, settings, problem):
    overrides = [item for setting in settings for item in ("--set", setting)]
    program = [sys.executable, "-c", WITHOUT.format(missing=missing)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(folder / "libraries"), *sys.path])}
    checked = subprocess.run([*program, "check", "recipe.yaml", *overrides], capture_output=True, text=True, env=environment)
    assert checked.returncode == 2 and problem in checked.stderr.splitlines() and "Traceback" not in checked.stderr
    trained = subprocess.run([*program, "train", "recipe.yaml", *overrides], capture_output=True, text=True, env=environment)
    assert trained.returncode in (2, 4) and problem in trained.stderr.splitlines() and not (folder / "run").exists()


def test_the_default_export_needs_no_framework_but_the_backends(folder):
    assert [exporter.name for exporter in job("backend=tensorflow").export] == ["tf-checkpoint"]
    assert [exporter.name for exporter in job("backend=pytorch").export] == ["pytorch-bin"]
    assert [exporter.name for exporter in job("backend=tensorflow", "export=[pytorch-bin]").export] == ["pytorch-bin"]
    assert [exporter.name for exporter in job("backend=tensorflow", "export=[]").export] == []


def test_a_disk_without_room_is_refused(folder, capsys):
    """A million checkpoints of 38 million parameters, which no disk holds."""
    huge = ["model={size: rbt3}", "checkpoint={every: 1, keep: 10000000}", "phases.0.steps=10000000"]
    code, printed, errors = checked(capsys, "recipe.yaml", *huge)
    assert code == 2 and "more are needed" in errors and "are free; make room" in errors and "disk: " in printed
    [problem] = problems(*huge)
    assert problem.split(", ")[0] == errors.split(", ")[0]  # what is free changes
    assert problems("checkpoint={every: 1, keep: 10000000}") == []  # four checkpoints of a small model
    with pytest.raises(DiskError) as raised:  # at which a table stops; any other problem is of one run
        expect_ready(job(*huge))
    assert raised.value.exit_code == 2


@pytest.mark.parametrize("setting", ["output", "store", "cache"])
@pytest.mark.parametrize("value", ["vocab.txt", "vocab.txt/below"])
def test_a_file_in_place_of_a_folder_is_refused(folder, capsys, setting, value):
    code, _, errors = checked(capsys, "recipe.yaml", f"{setting}={value}")
    expected = f"{setting}: {value}: vocab.txt is a file; expected a folder"
    assert code == 2 and expected in errors.replace(f"{folder}/", "")
    if setting != "output":
        with pytest.raises(SystemExit) as stopped:
            main(["prepare", "recipe.yaml", "--set", f"{setting}={value}"])
        assert stopped.value.code == 2 and expected in capsys.readouterr().err.replace(f"{folder}/", "")
    assert problems(f"{setting}={value}") == errors.splitlines()


def test_folders_on_one_disk_are_counted_together(tmp_path):
    free = shutil.disk_usage(tmp_path).free
    half = free * 2 // 3
    expect_room({tmp_path / "a" / "b": half})
    with pytest.raises(UserError, match=r"a and .*b: about"):
        expect_room({tmp_path / "a": half, tmp_path / "b": half, tmp_path / "c": -5})


@pytest.mark.parametrize(
    "setting, problem",
    [
        ("segmenter={name: jieba, user_dictionary: words.txt}", "segmenter.user_dictionary: words.txt: no such file (looked in "),
        ("masking={name: lexicon, words: words.txt}", "masking.words: words.txt: no such file (looked in "),
    ],
)
def test_a_word_list_that_is_not_there_is_refused(folder, capsys, setting, problem):
    code, _, errors = checked(capsys, "recipe.yaml", setting)
    assert code == 2 and errors.startswith(problem) and problems(setting) == errors.splitlines()
    (folder / "words.txt").write_text("酒店\n", encoding="utf-8")
    assert problems(setting) == []


@pytest.mark.parametrize("setting", ["segmenter={name: jieba, user_dictionary: words.txt}", "masking={name: lexicon, words: words.txt}"])
def test_a_word_list_is_read_by_check_as_by_a_run(folder, capsys, setting):
    (folder / "words.txt").write_bytes("酒店\n".encode("gb18030"))
    code, _, errors = checked(capsys, "recipe.yaml", setting)
    assert code == 2 and "words.txt:1: byte 1 of the line (0xbe) is not UTF-8" in errors and problems(setting) == errors.splitlines()
    with pytest.raises(SystemExit) as stopped:
        main(["prepare", "recipe.yaml", "--set", setting])
    assert stopped.value.code == 2 and capsys.readouterr().err.endswith(errors) and not (folder / "run").exists()
    (folder / "words.txt").write_text("酒店\n房间，龘\n", encoding="utf-8")
    code, _, errors = checked(capsys, "recipe.yaml", setting)
    assert code == 0 and len(errors.splitlines()) == 1 and errors.startswith("warning: ")
    assert "words.txt: 1 of 2 entries can never match: '房间，龘' (" in errors
    assert expect_ready(job(setting)) == []  # the run itself warns
    (folder / "words.txt").unlink()
    (folder / "words.txt").mkdir()
    code, _, errors = checked(capsys, "recipe.yaml", setting)
    assert code == 2 and "words.txt: Is a directory; expected a word list" in errors


def test_pairs_of_one_document_are_warned_of(folder, capsys):
    (folder / "corpus.txt").write_text(TEXT.replace("\n\n", "\n") * 20, encoding="utf-8")
    code, _, errors = checked(capsys, "recipe.yaml", "examples=nsp-pairs")
    assert code == 0 and errors.startswith("warning: examples: nsp-pairs of one document: a random B comes from that document too")
    for examples in ("sop-pairs", "full-sentences"):
        assert not checked(capsys, "recipe.yaml", f"examples={examples}")[2]
    prepare(job().prepare)
    assert [line.split(":")[0] for line in expect_ready(job("examples=nsp-pairs"))] == ["examples"]


def test_a_split_without_a_document_is_refused_once_documents_are_counted(folder):
    (folder / "corpus.txt").write_text(TEXT, encoding="utf-8")
    assert [line.split(":")[0] for line in expect_ready(job("evaluation.held_out_rate=0.01"))] == ["evaluation.held_out_rate"]
    prepare(job().prepare)
    [problem] = problems("evaluation.held_out_rate=0.01")
    assert "0.01 holds out none of the 1 documents" in problem


def test_a_vocabulary_that_matches_nothing_is_refused(folder, capsys):
    latin = [*SPECIAL_PIECES, *"abcdefghijklmnopqrstuvwxyz"]
    (folder / "vocab.txt").write_text("\n".join(latin) + "\n")
    code, printed, errors = checked(capsys, "recipe.yaml")
    assert code == 2 and "vocabulary: about 100.00% of the pieces are [UNK]" in printed
    assert errors.startswith("tokenizer.vocab: 100.0% of the pieces of this text are [UNK]; expected a vocabulary made for such text")
    with pytest.raises(SystemExit) as stopped:
        main(["prepare", "recipe.yaml"])
    assert stopped.value.code == 2 and not (folder / "run").exists()
    assert capsys.readouterr().err == errors
    (folder / "vocab.txt").write_text("\n".join([*latin, *"酒店房间很干净服务员"]) + "\n", encoding="utf-8")
    code, _, errors = checked(capsys, "recipe.yaml")
    assert code == 0 and errors.startswith("warning: tokenizer.vocab: ")
    main(["prepare", "recipe.yaml"])
    assert "warning: tokenizer.vocab: " in capsys.readouterr().err
    assert checked(capsys, "recipe.yaml")[2].startswith("warning: tokenizer.vocab: ")  # now counted, in the store


@pytest.mark.parametrize("rate, kind", [(0.0, None), (0.09, None), (0.1, str), (0.89, str)])
def test_the_share_of_unknown_pieces_decides(rate, kind):
    assert type(expect_known_pieces(rate)) is (kind or type(None))
    with pytest.raises(UserError, match=r"90\.0% of the pieces"):
        expect_known_pieces(0.9)


def test_fewer_predictions_than_the_rate_asks_for_are_a_warning(folder):
    """75 in rows of 512 is HFL's own value; Google's code takes the smaller number."""
    recipe = load_recipe("recipe.yaml", ["model.max_position_embeddings=512", "phases.0.max_seq_length=512", "phases.0.max_predictions=75"])
    [warning] = recipe.warnings
    assert "75 positions are fewer than 0.15 of 512 pieces, 77: no row will have more than 75 predictions" in warning
    assert recipe.phases[0].max_predictions == 75


def test_all_problems_are_reported_at_once(folder):
    lines = problems("corpus.files=[nowhere.txt]", "model={init: missing}", "masking={name: lexicon, words: words.txt}")
    assert [line.split(":")[0] for line in lines] == ["masking.words", "corpus.files", "missing"]


def test_plugins_alone_keep_their_exit_code():
    for errors, kind, code in (
        ([PluginError("a")], BrokenPluginsError, 4),
        ([PluginError("a"), UserError("b")], RecipeError, 2),
        ([UserError("b\nc")], RecipeError, 2),
    ):
        found = Problems()
        for error in errors:
            with found.collected():
                raise error
        with pytest.raises(kind) as raised:
            found.expect_none()
        assert raised.value.exit_code == code


def test_json_says_the_same(folder, capsys):
    code, printed, errors = checked(capsys, "recipe.yaml", "--json", "corpus.files=[nowhere.txt]")
    assert code == 2 and json.loads(printed)["problems"] == errors.splitlines()
    code, printed, errors = checked(capsys, "recipe.yaml", "--json", "examples=nsp-pairs")
    assert code == 0 and json.loads(printed)["problems"] == [] and json.loads(printed)["unknown_rate"] == 0.0
