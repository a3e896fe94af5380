"""The zoo without a framework: cards, names, the command line, `zoo:` in recipes."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import hub_server
import numpy as np
import pytest

import wholeword
from wholeword import zoo
from wholeword.cli import main
from wholeword.core.bert.config import model_config
from wholeword.core.bert.names import to_framework
from wholeword.core.bert.shapes import count_parameters, initial_weights, tensor_shapes
from wholeword.core.config import load_recipe
from wholeword.core.config.job import resolve
from wholeword.core.config.preparation import prepare_job
from wholeword.core.config.recipes import shipped_recipes
from wholeword.core.contracts import BertConfig
from wholeword.core.data.store import TokenStore
from wholeword.core.errors import RecipeError, UserError
from wholeword.core.formats.tensors import read_tensors, write_tensors
from wholeword.core.training.prepare import prepare
from wholeword.core.vocabulary import SPECIAL_PIECES, Vocabulary
from wholeword.planning.plan import plan
from wholeword.zoo.cards import Card, card_names, find_card, read_card
from wholeword.zoo.find import find

# names in the project's README, on the hub and on PaddleHub
README_NAMES = {
    "RoBERTa-wwm-ext-large": ["hfl/chinese-roberta-wwm-ext-large", "chinese-roberta-wwm-ext-large"],
    "RoBERTa-wwm-ext": ["hfl/chinese-roberta-wwm-ext", "chinese-roberta-wwm-ext"],
    "BERT-wwm-ext": ["hfl/chinese-bert-wwm-ext", "chinese-bert-wwm-ext"],
    "BERT-wwm": ["hfl/chinese-bert-wwm", "chinese-bert-wwm"],
    "RBT3": ["hfl/rbt3", "rbt3"],
    "RBTL3": ["hfl/rbtl3", "rbtl3"],
}
# from its table of small models, extended to their siblings by the same rule
PARAMETERS = {
    "bert-base-chinese": "102M (100.0%)",
    "bert-wwm": "102M (100.0%)",
    "bert-wwm-ext": "102M (100.0%)",
    "roberta-wwm-ext": "102M (100.0%)",
    "roberta-wwm-ext-large": "325M (318.6%)",
    "rbt3": "38M (37.3%)",
    "rbt4": "45M (44.1%)",
    "rbt6": "59M (57.8%)",
    "rbtl3": "61M (59.8%)",
}
ENCODERS = {"lert-base": 102_267_648, "lert-large": 325_522_432, "lert-small": 15_083_776}  # LERT's README: the Transformer part alone
MILLIONS = {
    "minirbt-h256": 10.4,
    "minirbt-h288": 12.3,
    "rbt3": 38.5,
    "roberta-wwm-ext": 102.3,
}  # MiniRBT's README; these are the parameters of BertForMaskedLM


# --- cards


@pytest.mark.parametrize("name", card_names())
def test_a_card_is_complete(name: str) -> None:
    """Reading it checks keys, types and sources; this checks the rest."""
    card = read_card(name)
    assert card.hub in card.aliases and len(set(card.aliases)) == len(card.aliases) and name not in card.aliases
    assert set(card.config) == set(model_config({}, vocab_size=1).to_dict())
    assert any("一" <= character <= "鿿" for character in card.summary.zh) and card.summary.en.isascii()
    assert card.recipe is None or card.recipe in shipped_recipes()
    assert card.lowercase != ("cased" in name and "uncased" not in name)
    assert any("Bert classes" in note for note in card.notes)
    heads = "repair-head" in " ".join(card.notes)
    assert heads == (card.heads.mlm == "untrained")


# words that mark a second-hand source
SECOND_HAND = ("second-hand", "same vocabulary", "read from the name", "recalled", "not read", "badge of", "not said", "nothing is said")
PLACE = re.compile(r"\w[\w.-]*/[\w.-]+|arXiv")


@pytest.mark.parametrize("name", card_names())
def test_facts_not_marked_as_assumed_have_a_first_hand_source(name: str) -> None:
    card = read_card(name)
    for fact, source in card.sources.items():
        weak = [words for words in SECOND_HAND if words in source.where]
        if fact == "heads" and card.heads.nsp == "unknown" and source.where.endswith("of NSP nothing is said"):
            weak = []  # the card says so too
        assert source.assumed or (PLACE.search(source.where) and not weak), (fact, source.where)
        assert not source.assumed or weak or "its training configuration says" in source.where, (fact, source.where)
    assert card.heads.mlm != "unknown" or card.sources["heads"].assumed


def test_names_and_aliases_lead_to_one_model_each() -> None:
    spellings = [spelling.lower() for name in card_names() for spelling in (name, *read_card(name).aliases)]
    assert len(spellings) == len(set(spellings))
    for published, names in README_NAMES.items():
        card = find_card(published)
        assert card and all(find_card(name) is card for name in names)
    chinese = [read_card(name) for name in card_names() if "multilingual" not in name and "large-" not in name]
    assert {card.bert_config.vocab_size for card in chinese} == {21128}


def test_parameters_are_counted_as_published() -> None:
    for name, parameters in PARAMETERS.items():
        assert zoo.info(name)["parameters"] == parameters, name
    for name, count in ENCODERS.items():
        shapes = tensor_shapes(BertConfig(**zoo.info(name)["config"]))
        assert sum(int(np.prod(shape)) for tensor, shape in shapes.items() if tensor.startswith("bert/")) == count, name
    for name, millions in MILLIONS.items():
        shapes = tensor_shapes(BertConfig(**zoo.info(name)["config"]))
        count = sum(
            int(np.prod(shape)) for tensor, shape in shapes.items() if not tensor.startswith(("bert/pooler/", "cls/seq_relationship/"))
        )
        assert round(count / 1e6, 1) == millions, name


def test_a_card_with_anything_missing_or_more_is_refused() -> None:
    from pydantic import ValidationError

    data = read_card("rbt3").model_dump(by_alias=True)
    assert Card.model_validate(data) == read_card("rbt3")
    for key in data:
        with pytest.raises(ValidationError):
            Card.model_validate({other: value for other, value in data.items() if other != key})
    for change in (
        {"size": 3},
        {"lowercase": "yes"},
        {"heads": {"mlm": "good", "nsp": "trained"}},
        {"summary": {"en": "x"}},
        {"hub": "rbt3"},
    ):
        with pytest.raises(ValidationError):
            Card.model_validate(data | change)


# --- the library


def test_the_zoo_is_imported_on_first_use() -> None:
    program = (
        "import sys, wholeword; before = set(sys.modules); wholeword.zoo.load; print('wholeword.zoo' in before, 'torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split() == ["False", "False"]
    assert wholeword.zoo is zoo and zoo.list_models() == card_names()


def test_misspelt_names_get_suggestions() -> None:
    for wrong, meant in (
        ("rbt33", "rbt3"),
        ("roberta-wwm-extlarge", "roberta-wwm-ext-large"),
        ("hfl/chinese-bert-wmm", "hfl/chinese-bert-wwm"),
    ):
        for call in (zoo.info, find):
            with pytest.raises(UserError, match=f"{wrong}: .* did you mean '{meant}'"):
                call(wrong)
    with pytest.raises(UserError, match="bert-wwm/: neither the name of a model nor a folder"):
        find("bert-wwm/")
    with pytest.raises(UserError, match="revision 'v1' given for a local model; only models on the hub have revisions"):
        find(".", revision="v1")
    with pytest.raises(UserError, match="hub:rbt3: not a valid model ID on the hub; expected hub:owner/name"):
        find("hub:rbt3")


def test_framework_and_head_are_checked_before_anything_is_read() -> None:
    with pytest.raises(UserError, match="framework 'jax'; expected one of torch, tensorflow, paddle"):
        zoo.load("rbt3", framework="jax")
    with pytest.raises(UserError, match="head 'xnli'; expected None, 'mlm', 'nsp', 'classification', 'span' or 'tagging'"):
        zoo.load("rbt3", head="xnli")
    for framework in ("torch", "tensorflow", "paddle"):
        if not find_spec(framework):
            with pytest.raises(UserError, match=rf"'{framework}' needs '{framework}': pip install \"wholeword\[{framework}\]\""):
                zoo.load("rbt3", framework)


@pytest.mark.parametrize(
    ("installed", "imported", "expected"),
    [
        ("torch", "", "torch"),
        ("torch paddle", "paddle", "paddle"),
        ("torch tensorflow paddle", "", "torch, tensorflow, paddle are installed; choose one: framework='torch' or"),
        ("torch tensorflow", "torch tensorflow", "torch, tensorflow are imported; choose one: framework='torch' or framework='tensorflow'"),
        ("", "", 'no framework is installed: pip install "wholeword[torch]"'),
    ],
)
def test_the_framework_is_the_one_at_hand(tmp_path: Path, installed: str, imported: str, expected: str) -> None:
    """Empty modules by the frameworks' names, in a process that sees no others."""
    for name in installed.split():
        (tmp_path / f"{name}.py").touch()
    program = f"""
import sys
hidden = {{"torch", "tensorflow", "paddle"}} - set({installed.split()})
class Hide:
    def find_spec(self, name, path=None, target=None):
        if name in hidden:
            raise ModuleNotFoundError(name)
import importlib.util
find_spec = importlib.util.find_spec
importlib.util.find_spec = lambda name: None if name in hidden else find_spec(name)
for name in {imported.split()}:
    __import__(name)
from wholeword.zoo import choose_framework
try:
    print(choose_framework(None))
except Exception as error:
    print(error)
"""
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, env=environment)
    assert result.stdout.startswith(expected)


# --- the command line


def run(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    try:
        main(arguments)
        code = 0
    except SystemExit as error:
        code = int(error.code or 0)
    output = capsys.readouterr()
    return code, output.out, output.err


def test_ls_prints_the_counts_of_the_readme(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(["zoo", "ls"], capsys)
    rows = {line.split()[0]: " ".join(line.split()) for line in out.splitlines()}
    assert code == 0 and list(rows) == card_names()
    assert rows["rbt3"] == "rbt3 3 x 768 38M (37.3%) MLM head untrained Apache-2.0"
    assert rows["roberta-wwm-ext-large"] == "roberta-wwm-ext-large 24 x 1024 325M (318.6%) MLM head untrained Apache-2.0"
    listed = json.loads(run(["zoo", "ls", "--json"], capsys)[1])
    assert [card["name"] for card in listed] == card_names() and listed == [zoo.info(name) for name in card_names()]


def test_info_marks_what_is_assumed(capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = run(["zoo", "info", "minirbt-h288"], capsys)
    assert "(assumed: README of iflytek/MiniRBT; its training configuration says 12 heads)" in out
    assert json.loads(run(["zoo", "info", "hfl/rbt3", "--json"], capsys)[1]) == zoo.info("rbt3")
    code, out, err = run(["zoo", "info", "rbt33"], capsys)
    assert (code, out) == (
        2,
        "",
    ) and err == "rbt33: neither the name of a model nor a folder, .zip or TF checkpoint; did you mean 'rbt3'?\n"


def model_folder(folder: Path, **section: int) -> Path:
    """A model for pre-training with a head that was never trained, and no NSP head."""
    pieces = [*SPECIAL_PIECES, *"使用语言模型来预测下一个词的概率。，"]
    config = model_config({"num_hidden_layers": 2, "hidden_size": 16, "num_attention_heads": 2} | section, vocab_size=len(pieces))
    weights = initial_weights(config, 1)
    folder.mkdir(parents=True)
    kept = {name: array for name, array in weights.items() if "seq_relationship" not in name}
    write_tensors(folder / "model.safetensors", to_framework(kept, "transformers"))
    (folder / "config.json").write_text(json.dumps(config.to_dict() | {"model_type": "bert"}))
    (folder / "vocab.txt").write_bytes(Vocabulary(pieces).to_bytes())
    return folder


def test_info_counts_the_tensors_of_an_optimizer(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An average of the weights, which somebody may have wanted, is among them."""
    folder = model_folder(tmp_path / "mine")
    tensors = dict(read_tensors(folder / "model.safetensors"))
    name = "bert.embeddings.word_embeddings.weight"
    write_tensors(folder / "model.safetensors", tensors | {f"{name}.ExponentialMovingAverage": tensors[name]})
    notes = json.loads(run(["zoo", "info", str(folder), "--json"], capsys)[1])["notes"]
    assert f"not read: tensors of an optimizer, or averages: 1, {tensors[name].nbytes:,} bytes" in notes


def test_info_describes_a_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = str(model_folder(tmp_path / "roberta-mine"))
    facts = json.loads(run(["zoo", "info", path, "--weights", "--json"], capsys)[1])
    assert facts["name"] == "roberta-mine" and facts["config"]["num_hidden_layers"] == 2
    nsp_head = 2 * 16 + 2  # which the folder lacks
    assert facts["total_parameters"] == count_parameters(BertConfig(**facts["config"])) - nsp_head
    assert {part: head["state"] for part, head in facts["weights"].items()} | {"pooler": ""} == {
        "MLM head": "untouched",
        "NSP head": "missing",
        "pooler": "",
    }
    code, out, _ = run(["zoo", "info", path, "--weights"], capsys)
    assert code == 0 and "MLM head          untouched: " in out


def test_get_copies_with_checksums_and_verify_checks_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    model_folder(tmp_path / "mirror" / "rbt3")
    monkeypatch.setenv("WHOLEWORD_ZOO", str(tmp_path / "mirror"))
    copy = tmp_path / "copy"
    assert run(["zoo", "get", "hfl/rbt3", "-o", str(copy)], capsys) == (0, f"{copy}\n", "")
    for name in ("config.json", "vocab.txt", "model.safetensors"):
        assert (copy / name).read_bytes() == (tmp_path / "mirror" / "rbt3" / name).read_bytes()
    code, _, err = run(["zoo", "get", "rbt3", "-o", str(copy)], capsys)
    assert code == 2 and "already exists" in err
    checksums = json.loads(run(["zoo", "verify", str(copy), "--json"], capsys)[1])
    assert set(checksums) == {"config.json", "vocab.txt", "model.safetensors"}
    content = bytearray((copy / "model.safetensors").read_bytes())
    content[-7] ^= 1
    (copy / "model.safetensors").write_bytes(content)
    code, _, err = run(["zoo", "verify", str(copy)], capsys)
    assert code == 3 and "model.safetensors: changed" in err
    code, _, err = run(["zoo", "verify", str(tmp_path / "mirror" / "rbt3")], capsys)
    assert code == 2 and "contains no manifest.json to check against" in err


@pytest.fixture
def hub() -> Iterator[hub_server.Hub]:
    hub_server.FAULTS["hfl/rbt3"] = "well"
    with hub_server.Hub() as hub:
        yield hub
        hub.shutdown()
    del hub_server.FAULTS["hfl/rbt3"]


def test_a_name_is_fetched_from_the_hub(hub: hub_server.Hub, tmp_path: Path) -> None:
    """By the client's own environment, in processes of their own, the second without the network."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("HF_", "WHOLEWORD_"))}
    environment |= {"HF_ENDPOINT": hub.address, "HF_HOME": str(tmp_path), "HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1"}

    def command(*arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([sys.executable, "-m", "wholeword", *arguments], capture_output=True, text=True, env=environment | more)

    fetched = command("zoo", "get", "rbt3")
    assert fetched.returncode == 0, fetched.stderr
    folder = Path(fetched.stdout.strip())
    assert (folder / "model.safetensors").read_bytes() == hub_server.WEIGHTS
    before = len(hub.requests)
    assert command("zoo", "get", "hub:hfl/rbt3", HF_HUB_OFFLINE="1").stdout == fetched.stdout
    assert "model.safetensors" in command("zoo", "verify", "rbt3").stdout
    assert len(hub.requests) == before
    refused = command("zoo", "get", "rbt4", HF_HUB_OFFLINE="1")
    assert refused.returncode == 5 and "hfl/rbt4@main: not in the cache" in refused.stderr


# --- recipes

RECIPE = """\
version: 1
name: x
corpus: {files: [text.txt], format: sentences}
segmenter: characters
tokenizer: {vocab: zoo:rbt3}
examples: doc-sentences
model: {init: zoo:rbt3}
phases:
  - {max_seq_length: 16, batch_size: 2, steps: 2, peak_lr: 1.0e-4}
output: run
"""


def test_recipes_start_from_the_zoo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The plan comes from the card; text is prepared with the mirror's vocabulary."""
    monkeypatch.chdir(tmp_path)
    Path("text.txt").write_text("使用语言模型来预测下一个词的概率。\n" * 3, encoding="utf-8")
    Path("x.yaml").write_text(RECIPE)
    recipe = load_recipe("x.yaml")
    assert plan(resolve(recipe)).num_parameters == count_parameters(BertConfig(**zoo.info("rbt3")["config"]))
    vocabulary = model_folder(tmp_path / "mirror" / "rbt3") / "vocab.txt"
    monkeypatch.setenv("WHOLEWORD_ZOO", str(tmp_path / "mirror"))
    assert TokenStore(prepare(prepare_job(recipe))).vocabulary.to_bytes() == vocabulary.read_bytes()


def test_unknown_zoo_names_are_reported_on_loading(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(RECIPE.replace("zoo:rbt3", "zoo:rbt33"))
    with pytest.raises(RecipeError) as raised:
        load_recipe(path)
    first, second = raised.value.problems
    assert f"{path}:5:20: tokenizer.vocab: rbt33: unknown model; did you mean 'rbt3'?" in first
    assert f"{path}:7:15: model.init: rbt33: unknown model; did you mean 'rbt3'?" in second
