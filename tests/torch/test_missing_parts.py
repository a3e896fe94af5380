"""What a model lacks, no export has: no format writes values for a head that nobody trained."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from finetuned_models import VOCABULARY, whole_model, without
from transformers import AutoModel, BertConfig, BertForMaskedLM, BertForNextSentencePrediction, BertModel

from wholeword import zoo
from wholeword.core.bert.parts import PARTS
from wholeword.core.contracts import ModelFiles
from wholeword.core.errors import UserError
from wholeword.core.formats.pdparams import read_pdparams
from wholeword.core.formats.tensor_bundle import read_bundle
from wholeword.core.formats.tensors import read_tensors
from wholeword.core.testing import check_exporter
from wholeword.core.training.export import export
from wholeword.zoo.find import read
from wholeword.zoo.folder import Folder
from wholeword.zoo.verify import model_path

FORMATS = ("pytorch-bin", "tf-checkpoint", "tf-checkpoint-zip", "paddlenlp", "paddlehub-module")


def saved_by_transformers(kind: Any, folder: Path) -> Path:
    config = BertConfig(vocab_size=len(VOCABULARY), hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=64)
    kind(config).save_pretrained(folder)
    (folder / "vocab.txt").write_bytes(VOCABULARY.to_bytes())
    return folder


def stored_names(folder: Path, name: str) -> set[str]:
    """Of all tensors in the files of an export."""
    if name == "pytorch-bin":
        import torch

        names = set(torch.load(folder / "pytorch_model.bin"))
        assert names == set(read_tensors(folder / "model.safetensors"))
        return names
    if name == "tf-checkpoint":
        return set(read_bundle(folder / "bert_model.ckpt"))
    if name == "tf-checkpoint-zip":
        from wholeword.zoo.archive import unpack

        return set(read_bundle(unpack(model_path(folder)) / "bert_model.ckpt"))
    return set(read_pdparams((folder if name == "paddlenlp" else model_path(folder) / "assets") / "model_state.pdparams"))


@pytest.mark.parametrize("name", FORMATS)
def test_an_encoder_is_exported_without_heads(name: str, tmp_path: Path, command: Any) -> None:
    source = saved_by_transformers(BertModel, tmp_path / "encoder")
    ran = command("export", str(source), "--to", name, "-o", str(tmp_path / "out"))
    assert ran.returncode == 0
    assert f"{source}: its files contain no MLM head, so none is exported; load the export with BertModel" in ran.stderr
    names = stored_names(tmp_path / "out", name)
    assert names and not [tensor for tensor in names if "cls" in tensor] and [tensor for tensor in names if "pooler" in tensor]
    export_path = str(model_path(tmp_path / "out"))
    assert {"MLM head", "NSP head"} <= set(read(export_path).provenance.missing or ())
    for location in (str(source), export_path):
        with pytest.raises(UserError, match="its files contain no MLM head"):
            zoo.load(location, "torch", head="mlm")
        filled = command("fill", "今天[MASK]气", "--model", location)
        assert filled.returncode == 2 and "its files contain no MLM head" in filled.stderr


@pytest.mark.parametrize("name", [name for name in FORMATS if name != "tf-checkpoint-zip"])
def test_the_card_of_an_encoder_promises_no_predictions(name: str, tmp_path: Path, command: Any) -> None:
    source = saved_by_transformers(BertModel, tmp_path / "encoder")
    command("export", str(source), "--to", name, "-o", str(tmp_path / "out"))
    card = (tmp_path / "out" / "README.md").read_text(encoding="utf-8")
    assert "MLM head: missing: the files that the model was read from have none. MLM 头：缺失。" in card
    assert "MaskedLM" not in card and "fill-mask" not in card and "freshly" not in card and "trained without NSP" not in card
    configs = [json.loads(path.read_bytes()) for path in (tmp_path / "out").rglob("config.json")]
    assert all(config["architectures"] == ["BertModel"] for config in configs) and bool(configs) == (name != "tf-checkpoint")


def test_verify_compares_what_an_encoder_has(tmp_path: Path, command: Any) -> None:
    source = saved_by_transformers(BertModel, tmp_path / "encoder")
    ran = command("export", str(source), "--to", "pytorch-bin", "-o", str(tmp_path / "out"), "--verify")
    assert ran.returncode == 0 and "hidden states" in ran.stdout and "pooler" in ran.stdout and "MLM logits" not in ran.stdout
    assert type(AutoModel.from_pretrained(tmp_path / "out")) is BertModel


def test_a_missing_pooler_is_not_made_up_either(tmp_path: Path, command: Any) -> None:
    source = saved_by_transformers(BertForMaskedLM, tmp_path / "mlm")
    ran = command("export", str(source), "--to", "pytorch-bin", "-o", str(tmp_path / "out"), "--verify")
    assert ran.returncode == 0 and "its files contain no pooler, so none is exported" in ran.stderr
    assert not [name for name in stored_names(tmp_path / "out", "pytorch-bin") if "pooler" in name or "seq_relationship" in name]
    assert "MLM logits" in ran.stdout and "pooler " not in ran.stdout


def test_an_nsp_head_alone_stays(tmp_path: Path, command: Any) -> None:
    source = saved_by_transformers(BertForNextSentencePrediction, tmp_path / "nsp")
    ran = command("export", str(source), "--to", "pytorch-bin", "-o", str(tmp_path / "out"), "--verify")
    assert ran.returncode == 0 and "NSP logits" in ran.stdout
    assert json.loads((tmp_path / "out" / "config.json").read_bytes())["architectures"] == ["BertForNextSentencePrediction"]


def test_an_untrained_head_is_told_on_the_command_line_and_not_promised_on_the_card(tmp_path: Path, command: Any) -> None:
    """As in the released whole word masking checkpoints, whose files do have one."""
    from wholeword.core.bert.shapes import initial_weights

    model = whole_model()
    fresh = {name: array for name, array in initial_weights(model.config, 1).items() if name.startswith("cls/predictions/")}
    export(model._replace(weights=model.weights | fresh), "tf-checkpoint", tmp_path / "model")
    ran = command("export", str(tmp_path / "model"), "--to", "pytorch-bin", "-o", str(tmp_path / "out"))
    assert ran.returncode == 0 and "its MLM head was never trained" in ran.stderr
    card = (tmp_path / "out" / "README.md").read_text(encoding="utf-8")
    assert "fill-mask" not in card and "BertModel" in card and "MLM head: untouched" in card


def test_surgery_says_what_is_missing_and_new_heads_are_asked_for(tmp_path: Path, command: Any) -> None:
    source = saved_by_transformers(BertModel, tmp_path / "encoder")
    kept = command("take-layers", str(source), "--layers", "1", "-o", str(tmp_path / "kept"))
    assert "contain no MLM head, so none is exported" in kept.stderr
    assert "MLM head" in (Folder().read(str(tmp_path / "kept")).provenance.missing or ())
    new = command("take-layers", str(source), "--layers", "1", "--heads", "new", "-o", str(tmp_path / "new"))
    assert "no MLM head" not in new.stderr and "its MLM head was never trained" in new.stderr
    assert Folder().read(str(tmp_path / "new")).provenance.missing == ["NSP head"]


class Npz:
    """An exporter of others."""

    def export(self, model: ModelFiles, folder: Path) -> None:
        np.savez(folder / "weights.npz", **model.weights)


def test_exporters_of_others_get_no_made_up_part(tmp_path: Path, plugins: Any) -> None:
    plugins("exporter", "npz", Npz)
    source = saved_by_transformers(BertModel, tmp_path / "encoder")
    export(Folder().read(str(source)), "npz", tmp_path / "out")
    with np.load(tmp_path / "out" / "weights.npz") as written:
        assert not [name for name in written if name.startswith("cls/")]
    check_exporter(Npz())


@pytest.mark.parametrize("part", PARTS.values())
def test_a_source_of_others_may_lack_a_part(part: str, tmp_path: Path, plugins: Any) -> None:
    class Source:
        def read(self, location: str) -> ModelFiles:
            if location != "x":
                raise UserError(f"{location}: no such model")
            return without(whole_model(), part)

    plugins("zoo_source", "mine", Source)
    model = read("mine:x")
    assert model.provenance.missing == [part] and model.weights.keys() == whole_model().weights.keys()
    export(model, "tf-checkpoint", tmp_path / "out")
    assert (Folder().read(str(tmp_path / "out")).provenance.missing or []) == [part]
