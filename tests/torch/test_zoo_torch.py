"""`zoo.load` on PyTorch: transformers' classes, equal to what `from_pretrained` gives and to the reference in NumPy."""

import json
import shutil
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from toys import SECTION
from transformers import BertForMaskedLM, BertForPreTraining, BertModel, BertTokenizer

from wholeword import zoo
from wholeword.core.bert.config import model_config
from wholeword.core.bert.forward import forward
from wholeword.core.bert.shapes import initial_weights, tensor_shapes
from wholeword.core.config import load_recipe
from wholeword.core.config.job import resolve
from wholeword.core.console import Silent
from wholeword.core.contracts import BertConfig, ModelFiles
from wholeword.core.errors import UserError
from wholeword.core.formats.checkpoints import save_checkpoint
from wholeword.core.training.run import train
from wholeword.core.vocabulary import SPECIAL_PIECES, Vocabulary
from wholeword.exporters.pytorch_bin import PyTorchBin
from wholeword.zoo.folder import Folder

SENTENCE = "使用语言模型来预测下一个词的probability。"
PIECES = [*SPECIAL_PIECES, *dict.fromkeys(SENTENCE[:14]), "。", "pro", "##ba", "##bility", "É", "e"]
CLASSES = {None: BertModel, "mlm": BertForMaskedLM, "nsp": BertForPreTraining}


def random_model(**section: Any) -> ModelFiles:
    """A model whose every tensor has values of its own; of a published size with 21,128 pieces."""
    vocab_size = 21128 if "size" in section else len(PIECES)
    config = model_config(section if "size" in section else SECTION | section, vocab_size=vocab_size)
    generator = np.random.default_rng(1)
    deviation = 0.02 if "size" in section else 0.1  # wide models are BERT's: its initializer_range
    weights = {name: generator.normal(0, deviation, shape).astype(np.float32) for name, shape in tensor_shapes(config).items()}
    vocabulary = Vocabulary([*PIECES, *(f"[unused{n}]" for n in range(vocab_size - len(PIECES)))])
    return ModelFiles(config, weights, vocabulary, True, True)


def exported(model: ModelFiles, folder: Path) -> Path:
    folder.mkdir()
    PyTorchBin().export(model, folder)
    return folder


def batch(config: BertConfig, rows: int = 2, length: int = 12) -> dict[str, np.ndarray]:
    generator = np.random.default_rng(2)
    mask = (np.arange(length) < np.linspace(length, length // 2, rows)[:, None]).astype(np.int32)
    return {
        "input_ids": generator.integers(0, config.vocab_size, (rows, length), dtype=np.int32) * mask,
        "input_mask": mask,
        "segment_ids": generator.integers(0, 2, (rows, length), dtype=np.int32) * mask,
    }


def computed(model: Any, features: dict[str, np.ndarray]) -> Any:
    names = {"input_ids": "input_ids", "attention_mask": "input_mask", "token_type_ids": "segment_ids"}
    with torch.no_grad():
        return model(**{theirs: torch.from_numpy(features[ours]).long() for theirs, ours in names.items()}, output_hidden_states=True)


@pytest.mark.parametrize("head", CLASSES)
@pytest.mark.parametrize("act", ["gelu", "gelu_tanh"])
def test_the_model_is_what_transformers_loads(tmp_path: Path, head: str | None, act: str) -> None:
    """To the bit, in eval mode, with the same tensors, buffers and ties; from a folder whose name says roberta."""
    folder = exported(random_model(hidden_act=act), tmp_path / "roberta-mine")
    ours, theirs = zoo.load(str(folder), head=head), CLASSES[head].from_pretrained(folder)
    assert type(ours) is CLASSES[head] and not ours.training
    state, expected = ours.state_dict(), theirs.state_dict()
    assert state.keys() == expected.keys() and all(torch.equal(state[name], expected[name]) for name in state)
    buffers, expected_buffers = dict(ours.named_buffers()), dict(theirs.named_buffers())
    assert buffers.keys() == expected_buffers.keys()
    assert all(torch.equal(buffers[name], expected_buffers[name]) for name in buffers)
    assert len(list(ours.parameters())) == len(list(theirs.parameters()))  # a tied tensor is one parameter
    assert all(parameter.is_contiguous() and parameter.requires_grad for parameter in ours.parameters())
    features = batch(ours.config)
    for one, other in zip(computed(ours, features).hidden_states, computed(theirs, features).hidden_states, strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("section", [{"num_hidden_layers": 3}, {"size": "rbt3"}, {"size": "rbtl3"}], ids=["small", "rbt3", "rbtl3"])
def test_transformers_computes_what_the_reference_does(tmp_path: Path, section: dict[str, Any]) -> None:
    model = random_model(**section)
    folder = exported(model, tmp_path / "x")
    features = batch(model.config)
    used, expected = features["input_mask"] > 0, forward(model.weights, model.config, features)
    body, heads = computed(zoo.load(str(folder)), features), computed(zoo.load(str(folder), head="nsp"), features)
    for layer, hidden_state in enumerate(body.hidden_states):
        np.testing.assert_allclose(hidden_state[used], expected["hidden_states"][layer][used], rtol=0, atol=1e-5)
    np.testing.assert_allclose(body.pooler_output, expected["pooler_output"], rtol=0, atol=1e-5)
    np.testing.assert_allclose(heads.prediction_logits[used], expected["mlm_logits"][used], rtol=0, atol=1e-5)
    np.testing.assert_allclose(heads.seq_relationship_logits, expected["nsp_logits"], rtol=0, atol=1e-5)


def test_a_loaded_model_is_trained_and_saved_like_any(tmp_path: Path) -> None:
    folder = exported(random_model(), tmp_path / "x")
    before = (folder / "model.safetensors").read_bytes()
    model = zoo.load(str(folder), head="mlm")
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    ids = torch.tensor([[2, 6, 7, 3]])
    model(input_ids=ids, labels=ids).loss.backward()
    optimizer.step()
    assert torch.equal(model.cls.predictions.decoder.weight, model.bert.embeddings.word_embeddings.weight)
    assert (folder / "model.safetensors").read_bytes() == before
    model.save_pretrained(tmp_path / "saved")
    again = BertForMaskedLM.from_pretrained(tmp_path / "saved").state_dict()
    assert all(torch.equal(tensor, again[name]) for name, tensor in model.state_dict().items())


def test_runs_and_checkpoints_are_loaded(tmp_path: Path) -> None:
    model = random_model()
    state = {"config": model.config.to_dict(), "lowercase": False, "next_sentence": True, "provenance": {}}
    save_checkpoint(tmp_path / "run/checkpoints/step-2", model.weights, {}, state, files={"vocab.txt": model.vocabulary.to_bytes()})
    loaded = zoo.load(str(tmp_path / "run"))
    assert np.array_equal(loaded.pooler.dense.weight.detach(), model.weights["bert/pooler/dense/kernel"].T)
    assert zoo.load_tokenizer(str(tmp_path / "run")).tokenize("É") == ["É"]


def test_the_tokenizer_is_berts(tmp_path: Path) -> None:
    tokenizer = zoo.load_tokenizer(str(exported(random_model(), tmp_path / "roberta-mine")))
    expected = BertTokenizer.from_pretrained(tmp_path / "roberta-mine")
    assert isinstance(tokenizer, BertTokenizer)
    for text in (SENTENCE, "É [MASK]", "使用 [MASK]", ""):
        assert dict(tokenizer(text)) == dict(expected(text))


@pytest.mark.parametrize("positions", [24, 600])
def test_a_truncated_text_fits_the_model(tmp_path: Path, positions: int) -> None:
    folder = exported(random_model(max_position_embeddings=positions), tmp_path / "mine")
    tokenizer, model = zoo.load_tokenizer(str(folder)), zoo.load(str(folder), framework="torch")
    assert tokenizer.model_max_length == positions
    features = tokenizer(SENTENCE * 200, truncation=True, return_tensors="pt")
    assert features["input_ids"].shape == (1, positions)
    with torch.no_grad():
        assert model(**features).last_hidden_state.shape[1] == positions


@pytest.mark.parametrize("lowercase", [True, False])
def test_what_transformers_saves_is_read(tmp_path: Path, lowercase: bool) -> None:
    """Which has no vocab.txt since version 5."""
    model = random_model()
    tokenizer = BertTokenizer(vocab=model.vocabulary.ids, do_lower_case=lowercase)
    tokenizer.save_pretrained(tmp_path)
    zoo.load(str(exported(model, tmp_path / "x")), head="nsp").save_pretrained(tmp_path)
    assert not (tmp_path / "vocab.txt").exists()
    found = Folder().read(str(tmp_path))
    assert found.vocabulary.pieces == model.vocabulary.pieces and found.lowercase == lowercase
    assert all(np.array_equal(found.weights[name], array) for name, array in model.weights.items())
    assert dict(zoo.load_tokenizer(str(tmp_path))(f"É{SENTENCE}")) == dict(tokenizer(f"É{SENTENCE}"))
    tokenizer.add_tokens(["<新>"])
    tokenizer.save_pretrained(tmp_path)
    with pytest.raises(UserError, match=r"tokenizer.json has 26 entries but config.json says vocab_size 25"):
        Folder().read(str(tmp_path))


def test_a_name_finds_the_mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """WHOLEWORD_ZOO holds models by name; every alias leads there, and zoo: in recipes too."""
    model = random_model(size="rbt3")
    (tmp_path / "zoo" / "hfl").mkdir(parents=True)
    exported(model, tmp_path / "zoo/hfl/rbt3")
    monkeypatch.setenv("WHOLEWORD_ZOO", str(tmp_path / "zoo"))
    for name in ("rbt3", "hfl/rbt3", "RBT3"):
        assert np.array_equal(zoo.load(name).pooler.dense.bias.detach(), model.weights["bert/pooler/dense/bias"])


RECIPE = """\
version: 1
name: x
corpus: {files: [text.txt], format: sentences}
segmenter: characters
tokenizer: {vocab: zoo:rbt3}
examples: doc-sentences
model: {init: {from: zoo:rbt3, layers: [1]}}
phases:
  - {max_seq_length: 16, batch_size: 2, steps: 1, peak_lr: 1.0e-9, warmup_steps: 1}
export: []
output: run
"""


def test_a_run_starts_from_the_zoo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first step has a learning rate of 0: what comes out is what was there."""
    model = random_model(max_position_embeddings=512)
    (tmp_path / "zoo").mkdir()
    exported(model, tmp_path / "zoo/rbt3")
    monkeypatch.setenv("WHOLEWORD_ZOO", str(tmp_path / "zoo"))
    monkeypatch.chdir(tmp_path)
    Path("text.txt").write_text(f"{SENTENCE}\n" * 9, encoding="utf-8")
    Path("x.yaml").write_text(RECIPE, encoding="utf-8")
    layer = zoo.load(str(train(resolve(load_recipe("x.yaml")), observer=Silent()))).encoder.layer
    assert len(layer) == 1
    kernel = model.weights["bert/encoder/layer_1/attention/self/query/kernel"]
    assert np.array_equal(layer[0].attention.self.query.weight.detach(), kernel.T)


def test_missing_parts_are_told(tmp_path: Path) -> None:
    """A model of a class without pooler, and of one without heads."""
    config = transformers.BertConfig(vocab_size=len(PIECES), **SECTION | {"intermediate_size": 64})
    for kind in (BertForMaskedLM, BertModel):
        kind(config).save_pretrained(tmp_path / kind.__name__)
        (tmp_path / kind.__name__ / "vocab.txt").write_bytes(Vocabulary(PIECES).to_bytes())
    with pytest.warns(UserWarning, match="its files contain no pooler, so this one is random; use the hidden states, or fine-tune"):
        zoo.load(str(tmp_path / "BertForMaskedLM"))
    for head, part in (("mlm", "MLM head"), ("nsp", "NSP head")):
        with pytest.raises(
            UserError, match=f"head='{head}', but its files contain no {part}, and a random one would predict nothing useful; "
        ):
            zoo.load(str(tmp_path / "BertModel"), head=head)


def test_a_random_mlm_head_beside_a_trained_nsp_head_is_told(tmp_path: Path) -> None:
    """BertForPreTraining has both, in any case."""
    config = transformers.BertConfig(vocab_size=len(PIECES), **SECTION | {"intermediate_size": 64})
    saved = transformers.BertForNextSentencePrediction(config).eval()
    saved.save_pretrained(tmp_path / "nsp")
    (tmp_path / "nsp" / "vocab.txt").write_bytes(Vocabulary(PIECES).to_bytes())
    with pytest.warns(UserWarning, match="its files contain no MLM head, so this one is random; use seq_relationship_logits alone"):
        loaded = zoo.load(str(tmp_path / "nsp"), head="nsp")
    ids = torch.arange(6)[None]
    with torch.no_grad():
        torch.testing.assert_close(loaded(ids).seq_relationship_logits, saved(ids).logits)


def test_a_head_that_was_never_trained_is_told(tmp_path: Path) -> None:
    """As in the published whole word masking checkpoints."""
    model = random_model()
    fresh = initial_weights(model.config, 1)
    heads = {name: array for name, array in fresh.items() if name.startswith("cls/predictions/")}
    exported(model._replace(weights=model.weights | heads), tmp_path / "x")
    with pytest.warns(UserWarning, match=r"its MLM head was never trained .*; `wholeword repair-head` trains it"):
        zoo.load(str(tmp_path / "x"), head="mlm")
    exported(model, tmp_path / "y")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for head in CLASSES:
            zoo.load(str(tmp_path / "y"), head=head)
        zoo.load(str(tmp_path / "x"))


def test_a_configuration_that_says_roberta_is_explained(tmp_path: Path) -> None:
    folder = exported(random_model(), tmp_path / "x")
    config = json.loads((folder / "config.json").read_text())
    expected = zoo.load(str(folder)).state_dict()
    for said in ({"architectures": ["RobertaForMaskedLM"]}, {"model_type": "roberta"}):
        (folder / "config.json").write_text(json.dumps(config | said))
        with pytest.warns(UserWarning, match="the configuration says RoBERTa, the tensors are a BERT's: .* into its config.json"):
            model = zoo.load(str(folder))
        assert type(model) is BertModel and all(torch.equal(tensor, expected[name]) for name, tensor in model.state_dict().items())
    shutil.rmtree(folder)
    with pytest.raises(UserError, match="neither the name of a model nor a folder"):
        zoo.load(str(folder))
