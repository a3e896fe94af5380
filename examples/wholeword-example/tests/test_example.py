"""Run where the plugin is installed as any other package (tox -e plugin)."""

import csv
import json
import subprocess
from pathlib import Path

import numpy as np
import pytest
import yaml
from wholeword_example.backend import OnCpu
from wholeword_example.cleaner import MaskDigits
from wholeword_example.command import count
from wholeword_example.exporter import Npz
from wholeword_example.masking import ContentWords
from wholeword_example.schedule import Triangle
from wholeword_example.segmenter import LongestMatch
from wholeword_example.task import Reviews
from wholeword_example.tracker import Csv
from wholeword_example.zoo_source import Npz as NpzSource

from wholeword.core import testing
from wholeword.core.registry.hookspecs import HOOKS
from wholeword.core.registry.registry import registry

FOLDER = Path(__file__).parents[1]
REVIEWS = ("1\t房间很干净，早餐也好。", "0\t早餐太差了，不会再来。", "1\t位置好，服务热情。", "0\t房间又小又吵。")


def wholeword(*arguments, cwd, code=0):
    result = subprocess.run(["wholeword", *map(str, arguments)], cwd=cwd, capture_output=True, text=True)
    assert result.returncode == code, result.stderr
    return result


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The folder of a run of recipe.yaml."""
    folder = tmp_path_factory.mktemp("run")
    wholeword("train", FOLDER / "recipe.yaml", "--set", f"output={folder / 'run'}", cwd=folder)
    return folder / "run"


def test_there_is_one_object_of_every_kind_in_a_short_file():
    offered = {entry.kind: entry for entry in registry.entries if entry.distribution == "wholeword-example"}
    assert set(offered) == set(HOOKS) - {"optimizer_kernel"}  # sgd is its own on PyTorch
    for entry in offered.values():
        path = FOLDER / (entry.target.partition(":")[0].replace(".", "/") + ".py")
        assert len(path.read_text(encoding="utf-8").splitlines()) < 40, path
        assert registry.load(entry.kind, entry.name)
    assert not registry.broken and not registry.ignored


def test_the_contracts_are_kept(tmp_path):
    testing.check_cleaner(MaskDigits())
    testing.check_segmenter(LongestMatch(words=["语言", "模型", "图书馆"]))
    testing.check_masking(ContentWords())
    testing.check_schedule(Triangle())
    testing.check_exporter(Npz())
    testing.check_exporter(Npz(half=True))
    testing.check_command(count)
    (tmp_path / "train.tsv").write_text("\n".join(REVIEWS), encoding="utf-8")
    testing.check_task(Reviews(data=tmp_path))
    (tmp_path / "run").mkdir()
    testing.check_tracker(Csv, tmp_path / "run")


def test_the_backend_trains_with_the_optimizer():
    testing.check_backend(OnCpu(), optimizer=registry.create("optimizer", "sgd"))


def test_the_zoo_source_reads_what_the_exporter_writes(tmp_path):
    Npz().export(testing.tiny_model(), tmp_path)
    testing.check_zoo_source(NpzSource(), str(tmp_path))


def test_words_of_the_list_are_masked_whole(tmp_path):
    [line] = wholeword("mask", "图书馆的新系统", "--strategy", "content-words", "--json", cwd=tmp_path).stdout.splitlines()
    row = json.loads(line)
    assert row["masked_positions"] and all(
        set(group) <= set(row["masked_positions"]) or not set(group) & set(row["masked_positions"]) for group in row["groups"]
    )


def test_a_recipe_uses_them_by_name(run):
    manifest = json.loads((run / "store" / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["segmenter"]["name"] == "longest-match" and manifest["segmenter"]["distribution"] == "wholeword-example"
    assert manifest["counts"]["num_documents"] == 8 and manifest["counts"]["num_cleaned"] > 0  # 2027 and the like
    lines = (FOLDER / "corpus.txt").read_text(encoding="utf-8").splitlines()
    assert manifest["counts"]["num_sentences"] == sum(not line.startswith("# ") for line in lines)
    config = json.loads((run / "export" / "pytorch-bin" / "config.json").read_text(encoding="utf-8"))
    assert config["architectures"] == ["BertForPreTraining"] and config["hidden_size"] == 32
    with np.load(run / "export" / "npz" / "weights.npz") as weights:
        assert {weights[name].dtype for name in weights.files} == {np.dtype(np.float16)}
    rates = {int(step): float(value) for step, name, value in csv.reader(open(run / "metrics.csv", encoding="utf-8")) if name == "train/lr"}
    assert rates == pytest.approx(
        {step: Triangle(final_rate=0.2).learning_rate(step - 1, steps=20, peak_lr=0.01, warmup_steps=2) for step in rates}
    )
    assert rates


def test_an_export_is_verified_and_read_as_a_model_of_the_zoo(run, tmp_path):
    printed = wholeword("export", run, "--to", "npz", "-o", "model", "--verify", cwd=tmp_path).stdout
    assert "npz: 30 tensors, largest difference 0.0e+00" in printed
    assert "hidden_size 32" in wholeword("zoo", "info", "npz:model", cwd=tmp_path).stdout
    wholeword("export", "npz:model", "--to", "pytorch-bin,npz", "-o", "again", cwd=tmp_path)
    assert (tmp_path / "again" / "npz" / "weights.npz").read_bytes() == (tmp_path / "model" / "weights.npz").read_bytes()
    recipe = yaml.safe_load((FOLDER / "recipe.yaml").read_text(encoding="utf-8"))
    recipe |= {
        "tokenizer": {"vocab": "npz:model"},
        "model": {"init": "npz:model"},
        "corpus": recipe["corpus"] | {"files": [str(FOLDER / "corpus.txt")]},
    }
    (tmp_path / "recipe.yaml").write_text(json.dumps(recipe, ensure_ascii=False), encoding="utf-8")
    wholeword("train", "recipe.yaml", "--set", "phases.0.steps=2", "--set", "output=continued", cwd=tmp_path)
    assert (tmp_path / "continued" / "export" / "npz" / "vocab.txt").read_bytes() == (tmp_path / "model" / "vocab.txt").read_bytes()


def test_a_model_is_fine_tuned_on_the_task(run, tmp_path):
    for split in ("train", "dev"):
        (tmp_path / f"{split}.tsv").write_text("\n".join(REVIEWS), encoding="utf-8")
    recipe = {
        "version": 1,
        "name": "reviews",
        "model": str(run),
        "task": {"name": "reviews", "data": "."},
        "backend": {"name": "pytorch", "device": "cpu"},
    }
    (tmp_path / "reviews.yaml").write_text(json.dumps(recipe), encoding="utf-8")
    assert "accuracy" in wholeword("finetune", "reviews.yaml", cwd=tmp_path).stdout


def test_the_command_is_one_of_wholewords(tmp_path):
    assert "Count the characters of text files." in wholeword("--help", cwd=tmp_path).stdout
    (tmp_path / "text.txt").write_text("好好学习", encoding="utf-8")
    assert wholeword("count", "--unique", "text.txt", cwd=tmp_path).stdout == "3\n"


def test_a_wrong_setting_is_explained_at_its_place(tmp_path):
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text((FOLDER / "recipe.yaml").read_text(encoding="utf-8").replace("words:", "word:"), encoding="utf-8")
    problems = wholeword("check", recipe, cwd=tmp_path, code=2).stderr
    assert "recipe.yaml:5:" in problems and "did you mean 'words'" in problems
