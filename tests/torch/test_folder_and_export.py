"""Models out to transformers' layout and back in."""

import json
import os
import pickle
import resource
import shutil
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from toys import SECTION, pytorch_trainer
from transformers import (
    AutoModelForMaskedLM,
    AutoModelForPreTraining,
    AutoTokenizer,
    BertConfig,
    BertForMaskedLM,
    BertForPreTraining,
    BertModel,
    BertTokenizer,
)

from wholeword.core.bert.config import model_config
from wholeword.core.bert.shapes import tensor_shapes
from wholeword.core.contracts import ModelFiles, Provenance
from wholeword.core.errors import DiskError, IntegrityError, UserError
from wholeword.core.files import write_manifest
from wholeword.core.formats.checkpoints import save_checkpoint
from wholeword.core.vocabulary import SPECIAL_PIECES, Vocabulary
from wholeword.exporters.pytorch_bin import PyTorchBin
from wholeword.zoo.folder import Folder

SENTENCE = "使用语言模型来预测下一个词的probability。"
VOCABULARY = Vocabulary([*SPECIAL_PIECES, *dict.fromkeys(SENTENCE[:-1]), "。", "pro", "##ba", "##bility", "É", "e"])
PROVENANCE = Provenance(
    name="mine",
    wholeword="0.1.0",
    recipe={"seed": 7, "masking": {"name": "whole-word"}},
    store={"counts": {"documents": 11}},
    held_out={"whole-word": {"mlm_loss": 2.5}},
)


def trained_model(*, next_sentence: bool = True, **section: Any) -> ModelFiles:
    """Every tensor has values of its own, biases and LayerNorms too."""
    config = model_config(SECTION | section, vocab_size=len(VOCABULARY))
    generator = np.random.default_rng(3)
    weights = {name: generator.normal(0, 0.3, shape).astype(np.float32) for name, shape in tensor_shapes(config).items()}
    return ModelFiles(config, weights, VOCABULARY, True, next_sentence, PROVENANCE)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder whose name makes transformers guess Roberta, if nothing in it says better."""
    path = tmp_path / "roberta-mine"
    path.mkdir()
    return path


def batch_of(ids: list[int]) -> dict[str, np.ndarray]:
    """One row whose every position is to be predicted."""
    row = np.array([ids], np.int32)
    return {
        "input_ids": row,
        "input_mask": np.ones_like(row),
        "segment_ids": np.zeros_like(row),
        "masked_lm_positions": np.arange(len(ids), dtype=np.int32)[None],
        "masked_lm_ids": row,
        "masked_lm_weights": np.ones(row.shape, np.float32),
        "next_sentence_labels": np.zeros(1, np.int32),
    }


def assert_same_weights(found: ModelFiles, expected: ModelFiles) -> None:
    assert found.weights.keys() == expected.weights.keys()
    for name, array in expected.weights.items():
        assert np.array_equal(found.weights[name], array), name


# --- out


@pytest.mark.parametrize("act", ["gelu", "gelu_tanh"])
@pytest.mark.parametrize("only", ["model.safetensors", "pytorch_model.bin"])
def test_transformers_computes_what_the_trainer_does(folder: Path, act: str, only: str) -> None:
    model = trained_model(hidden_act=act)
    PyTorchBin().export(model, folder)
    for file in {"model.safetensors", "pytorch_model.bin"} - {only}:
        (folder / file).unlink()
    loaded, tokenizer = AutoModelForMaskedLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    assert type(loaded) is BertForMaskedLM and type(tokenizer).__name__ in ("BertTokenizer", "BertTokenizerFast")
    ids = tokenizer(SENTENCE)["input_ids"]
    expected = loaded.eval()(torch.tensor([ids])).logits.detach()[0]
    trainer = pytorch_trainer(model.config)
    trainer.load(model.weights, trainer.optimizer_state())
    trainer.model.eval()
    with torch.no_grad():
        logits = trainer._forward(next(iter(trainer._micro_batches(batch_of(ids)))))[1]
    np.testing.assert_allclose(logits, expected, rtol=0, atol=1e-5)


def test_the_tokenizer_is_ours(folder: Path) -> None:
    PyTorchBin().export(trained_model(), folder)
    for tokenizer in (AutoTokenizer.from_pretrained(folder), BertTokenizer.from_pretrained(folder)):
        pieces = ["[CLS]", *SENTENCE[:14], "pro", "##ba", "##bility", "。", "[SEP]"]
        assert tokenizer.convert_ids_to_tokens(tokenizer(SENTENCE)["input_ids"]) == pieces
        assert tokenizer.model_max_length == 24 and tokenizer.tokenize("É [MASK]") == ["e", "[MASK]"]
    (folder / "tokenizer.json").unlink()  # older programs read vocab.txt
    assert AutoTokenizer.from_pretrained(folder).tokenize("预测É") == ["预", "测", "e"]


def test_a_cased_model_keeps_case_and_accents(folder: Path) -> None:
    PyTorchBin().export(trained_model()._replace(lowercase=False), folder)
    assert AutoTokenizer.from_pretrained(folder).tokenize("É") == ["É"]
    assert Folder().read(str(folder)).lowercase is False


@pytest.mark.parametrize("next_sentence", [True, False])
def test_every_bert_class_finds_its_tensors(folder: Path, next_sentence: bool) -> None:
    model = trained_model(next_sentence=next_sentence)
    PyTorchBin().export(model, folder)
    assert json.loads((folder / "config.json").read_text())["architectures"] == [
        "BertForPreTraining" if next_sentence else "BertForMaskedLM"
    ]
    missing = {"cls.seq_relationship.weight", "cls.seq_relationship.bias"} if not next_sentence else set()
    for kind in (AutoModelForMaskedLM, AutoModelForPreTraining, BertModel):
        _, info = kind.from_pretrained(folder, output_loading_info=True)
        assert set(info["missing_keys"]) == (missing if kind is AutoModelForPreTraining else set())
        assert not info["mismatched_keys"]
    pooler = BertModel.from_pretrained(folder).pooler.dense.weight.detach().numpy()
    assert np.array_equal(pooler, model.weights["bert/pooler/dense/kernel"].T)


def test_the_model_card_says_what_the_provenance_says(folder: Path) -> None:
    PyTorchBin().export(trained_model(next_sentence=False), folder)
    card = (folder / "README.md").read_text(encoding="utf-8")
    for words in ("# mine", "wholeword 0.1.0", '"mlm_loss": 2.5', '"documents": 11', '"whole-word"', "without NSP", "未使用 NSP"):
        assert words in card


@contextmanager
def file_size_limit(size: int) -> Iterator[None]:
    """No file may grow beyond `size` bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_is_told_as_such(folder: Path) -> None:
    PyTorchBin().export(trained_model(), folder)
    size = (folder / "pytorch_model.bin").stat().st_size
    for limit in range(100, size, size // 10):
        with file_size_limit(limit), pytest.raises(DiskError, match=f"{folder}.*bytes are free"):
            PyTorchBin().export(trained_model(), folder)


# --- in


def test_what_was_exported_is_read(folder: Path) -> None:
    model = trained_model()
    PyTorchBin().export(model, folder)
    write_manifest(folder, {"provenance": model.provenance.to_dict()})
    found = Folder().read(str(folder))
    assert_same_weights(found, model)
    assert found.config == replace(model.config, layer_norm_eps=1e-12)
    assert (found.vocabulary.pieces, found.lowercase, found.next_sentence) == (VOCABULARY.pieces, True, True)
    assert found.provenance == replace(PROVENANCE, notes=[])
    content = bytearray((folder / "model.safetensors").read_bytes())
    content[-5] ^= 4
    (folder / "model.safetensors").write_bytes(content)
    with pytest.raises(IntegrityError, match=r"model\.safetensors: changed"):
        Folder().read(str(folder))


def test_a_model_of_transformers_is_read(folder: Path) -> None:
    """All three classes, with what they lack initialised and noted; in shards too."""
    config = BertConfig(vocab_size=len(VOCABULARY), **SECTION | {"intermediate_size": 64})
    (folder / "vocab.txt").write_bytes(VOCABULARY.to_bytes())
    for kind, notes in (
        (BertForPreTraining, []),
        (BertForMaskedLM, ["the pooler was", "the NSP head was"]),
        (BertModel, ["the MLM head was", "the NSP head was"]),
    ):
        kind(config).save_pretrained(folder, max_shard_size="20KB" if kind is BertForPreTraining else "5GB")
        assert (folder / "model.safetensors.index.json").exists() == (kind is BertForPreTraining)
        found = Folder().read(str(folder))
        assert {name: array.shape for name, array in found.weights.items()} == tensor_shapes(found.config)
        assert len(found.provenance.notes) == 1 + len(notes)  # and that nothing tells the case
        assert all(any(line.startswith(note) for line in found.provenance.notes) for note in notes)
        assert found.next_sentence == (kind is BertForPreTraining)
        for file in folder.glob("model*"):
            file.unlink()


def test_names_of_old_checkpoints_are_understood(folder: Path) -> None:
    """As in the published `pytorch_model.bin`: gamma and beta, a copy of the tied decoder, a buffer of positions."""
    model = trained_model()
    PyTorchBin().export(model, folder)
    (folder / "model.safetensors").unlink()
    (folder / "config.json").rename(folder / "bert_config.json")
    state = torch.load(folder / "pytorch_model.bin")
    old = {name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"): state[name] for name in state}
    old["cls.predictions.decoder.weight"] = state["bert.embeddings.word_embeddings.weight"]
    old["bert.embeddings.position_ids"] = torch.arange(24)[None]
    torch.save(old, folder / "pytorch_model.bin")
    assert_same_weights(Folder().read(str(folder)), model)
    torch.save(old, folder / "pytorch_model.bin", _use_new_zipfile_serialization=False)
    assert_same_weights(Folder().read(str(folder)), model)
    torch.save({name: tensor.half() for name, tensor in state.items()}, folder / "pytorch_model.bin")
    assert all(array.dtype == np.float32 for array in Folder().read(str(folder)).weights.values())
    torch.save(old | {"cls.predictions.decoder.weight": torch.zeros(len(VOCABULARY), 32)}, folder / "pytorch_model.bin")
    with pytest.raises(UserError, match="tied to the embeddings"):
        Folder().read(str(folder))


def test_a_checkpoint_and_its_run_are_read(tmp_path: Path) -> None:
    model = trained_model(next_sentence=False)
    state = {"config": model.config.to_dict(), "lowercase": True, "next_sentence": False, "provenance": {"name": "mine"}}
    path = tmp_path / "checkpoints" / "step-00000002"
    save_checkpoint(path, model.weights, {}, state, files={"vocab.txt": VOCABULARY.to_bytes()})
    for location in (path, tmp_path):
        found = Folder().read(str(location))
        assert_same_weights(found, model)
        assert (found.config, found.vocabulary.pieces, found.next_sentence) == (model.config, VOCABULARY.pieces, False)


def change_config(folder: Path, **keys: Any) -> None:
    config = json.loads((folder / "config.json").read_text()) | keys
    (folder / "config.json").write_text(json.dumps({key: value for key, value in config.items() if value is not None}))


def change_tensors(folder: Path, change: Any) -> None:
    (folder / "model.safetensors").unlink(missing_ok=True)
    state = torch.load(folder / "pytorch_model.bin")
    change(state)
    torch.save(state, folder / "pytorch_model.bin")


BROKEN = {
    "no folder": (lambda folder: shutil.rmtree(folder), "no such folder"),
    "no configuration": (lambda folder: (folder / "config.json").unlink(), "config.json: no such file"),
    "configuration cut": (lambda folder: (folder / "config.json").write_text("{"), "config.json: invalid JSON"),
    "no vocabulary": (lambda folder: [(folder / name).unlink() for name in ("vocab.txt", "tokenizer.json")], "vocab.txt: no such file"),
    "vocabulary short": (
        lambda folder: (folder / "vocab.txt").write_bytes(Vocabulary(VOCABULARY.pieces[:-1]).to_bytes()),
        "vocab.txt has 33 entries but config.json says vocab_size 34",
    ),
    "no weights": (
        lambda folder: [path.unlink() for path in (*folder.glob("*.bin"), *folder.glob("*.safetensors"))],
        "no weights; expected model.safetensors",
    ),
    "a key missing": (
        lambda folder: change_config(folder, max_position_embeddings=None, hidden_size="32"),
        "hidden_size is '32', expected a whole number from 1 to 65,536; max_position_embeddings is missing, expected",
    ),
    "another model": (
        lambda folder: change_config(folder, model_type="electra"),
        "model_type is 'electra', expected 'bert'; only plain BERT",
    ),
    "relative positions": (lambda folder: change_config(folder, position_embedding_type="relative_key"), "position_embedding_type is"),
    "another activation": (lambda folder: change_config(folder, hidden_act="relu"), "hidden_act is 'relu', expected one of gelu"),
    "another width": (
        lambda folder: change_config(folder, intermediate_size=64),
        r"intermediate/dense/kernel is \[32, 128\], expected \[32, 64\]",
    ),
    "fewer layers": (
        lambda folder: change_config(folder, num_hidden_layers=1),
        "unknown tensors for a BERT with 1 layers: bert.encoder.layer.1",
    ),
    "more layers": (lambda folder: change_config(folder, num_hidden_layers=3), "missing tensors: bert/encoder/layer_2"),
    "a tensor missing": (
        lambda folder: change_tensors(folder, lambda state: state.pop("cls.predictions.transform.dense.bias")),
        "missing tensors: cls/predictions/transform/dense/bias",
    ),
    "a tensor more": (
        lambda folder: change_tensors(folder, lambda state: state.update({"bert.adapter.weight": torch.ones(2)})),
        "unknown tensors for a BERT with 2 layers: bert.adapter.weight",
    ),
}


@pytest.mark.parametrize("what", BROKEN)
def test_a_broken_folder_is_explained(folder: Path, what: str) -> None:
    PyTorchBin().export(trained_model(), folder)
    spoil, said = BROKEN[what]
    spoil(folder)
    with pytest.raises(UserError, match=said):
        Folder().read(str(folder))


class Bomb:
    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.mkdir, ("fired",)


def test_a_bin_file_runs_no_code_and_cannot_swell(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    PyTorchBin().export(trained_model(), folder)
    (folder / "model.safetensors").unlink()
    monkeypatch.chdir(folder)
    path = folder / "pytorch_model.bin"
    whole = path.read_bytes()
    for write in (
        lambda: torch.save({"bert.x": Bomb()}, path),
        lambda: torch.save({"bert.x": Bomb()}, path, _use_new_zipfile_serialization=False),
        lambda: path.write_bytes(pickle.dumps(Bomb(), protocol=2)),
        lambda: path.write_bytes(whole[: len(whole) // 2]),
        lambda: torch.save([torch.ones(1)], path),
    ):
        write()
        with pytest.raises(IntegrityError, match=r"pytorch_model\.bin: refused"):
            Folder().read(str(folder))
    path.write_bytes(whole)
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(folder / "deflated", "w", zipfile.ZIP_DEFLATED) as target:
        for name in source.namelist():
            target.writestr(name, source.read(name))
    (folder / "deflated").rename(path)
    with pytest.raises(IntegrityError, match="refused: it is compressed"):
        Folder().read(str(folder))
    assert not (folder / "fired").exists()
