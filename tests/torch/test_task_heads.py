"""Fine-tuned models keep their heads: in every format, in `zoo.load` and `zoo info`, and in the folders of fine-tuning runs."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from finetuned_models import LABELS, VOCABULARY, finetuned_model, run_folder, whole_model
from transformers import (
    BertConfig,
    BertForMultipleChoice,
    BertForQuestionAnswering,
    BertForSequenceClassification,
    BertForTokenClassification,
)

from wholeword import zoo
from wholeword.core.bert.task_heads import head_tensors, labels_of
from wholeword.core.contracts import Head, ModelFiles
from wholeword.core.errors import UserError
from wholeword.core.formats.tensor_bundle import read_bundle, write_bundle
from wholeword.core.formats.tensors import read_tensors, write_tensors
from wholeword.core.training.export import export
from wholeword.zoo.finetuned import read_with_head
from wholeword.zoo.verify import TOOLS, _features, expected_outputs

CLASSES: dict[Head, Any] = {
    "classification": BertForSequenceClassification,
    "span": BertForQuestionAnswering,
    "tagging": BertForTokenClassification,
}
FORMATS = ("pytorch-bin", "tf-checkpoint", "tf-checkpoint-zip", "paddlenlp")


def logits_of(bert: Any, model: ModelFiles) -> tuple[np.ndarray, np.ndarray]:
    """Logits of transformers' model for the sentences of --verify, and those of the reference, padding left out."""
    features = _features(model)
    names = {"input_ids": "input_ids", "attention_mask": "input_mask", "token_type_ids": "segment_ids"}
    with torch.no_grad():
        outputs = bert(**{theirs: torch.from_numpy(features[ours]) for theirs, ours in names.items()})
    spans = isinstance(bert, BertForQuestionAnswering)
    logits = (torch.stack([outputs.start_logits, outputs.end_logits], -1) if spans else outputs.logits).numpy()
    real = features["input_mask"] > 0 if logits.ndim == 3 else np.ones(len(logits), bool)
    return logits[real], expected_outputs(model, features)["head_logits"][real]


def assert_same(found: ModelFiles, expected: ModelFiles) -> None:
    assert found.head == expected.head and tuple(found.labels) == tuple(expected.labels)
    assert found.weights.keys() == expected.weights.keys()
    assert all(np.array_equal(found.weights[name], array) for name, array in expected.weights.items())


@pytest.mark.parametrize("head", CLASSES)
@pytest.mark.parametrize("name", FORMATS)
def test_every_format_carries_the_head_and_its_labels(head: Head, name: str, tmp_path: Path) -> None:
    model = finetuned_model(head)
    export(model, name, tmp_path / "out")
    location = next(iter((tmp_path / "out").glob("*.zip")), tmp_path / "out")
    found = read_with_head(str(location))
    assert_same(found, model)
    export(found, "pytorch-bin", tmp_path / "back")  # and back
    assert_same(read_with_head(str(tmp_path / "back")), model)


@pytest.mark.parametrize("head", CLASSES)
def test_no_format_has_an_mlm_head_or_says_so(head: Head, tmp_path: Path) -> None:
    for name in FORMATS[:2] + FORMATS[3:]:
        export(finetuned_model(head), name, tmp_path / name)
        config = json.loads(next((tmp_path / name).glob("*config.json")).read_bytes()) if name != "pytorch-bin" else {}
        card = (tmp_path / name / "README.md").read_text(encoding="utf-8")
        assert "MaskedLM" not in card and "fill-mask" not in card and "MaskedLM" not in str(config)
        assert all(label in card for label in LABELS[head])
    names = read_bundle(tmp_path / "tf-checkpoint" / "bert_model.ckpt").keys()
    assert not [name for name in names if name.startswith("cls/predictions")] and head_tensors(head, "canonical").weights in names


@pytest.mark.parametrize("head", CLASSES)
def test_verify_asks_transformers_for_the_logits_of_the_head(head: Head, tmp_path: Path) -> None:
    model = finetuned_model(head)
    export(model, "pytorch-bin", tmp_path / "out")
    features = _features(model)
    computed, expected = TOOLS["pytorch-bin"].compute(tmp_path / "out", features), expected_outputs(model, features)
    real = features["input_mask"] > 0 if head != "classification" else np.ones(len(expected["head_logits"]), bool)
    np.testing.assert_allclose(computed["head_logits"][real], expected["head_logits"][real], rtol=0, atol=1e-4)
    assert "mlm_logits" not in computed and ("pooler_output" in expected) == (head == "classification")


def test_verify_compares_the_logits_of_the_head(tmp_path: Path, command: Any) -> None:
    export(finetuned_model("classification"), "tf-checkpoint", tmp_path / "model")
    ran = command("export", str(tmp_path / "model"), "--to", "pytorch-bin", "-o", str(tmp_path / "out"), "--verify")
    assert ran.returncode == 0, ran.stderr
    figures = dict(re.findall(r"(hidden states|pooler|logits of the fine-tuned head|MLM logits) (\d\.\de-\d+)", ran.stdout))
    assert figures.keys() == {"hidden states", "pooler", "logits of the fine-tuned head"}
    assert all(0 < float(figure) < 1e-4 for figure in figures.values()), ran.stdout


def test_verify_finds_a_wrong_label_and_a_wrong_number(tmp_path: Path, command: Any) -> None:
    from wholeword.core.errors import IntegrityError
    from wholeword.core.training.export import read_back
    from wholeword.zoo.verify import verify

    model = finetuned_model("classification")
    export(model._replace(labels=("差评", "好评", "中评")), "pytorch-bin", tmp_path / "labels")
    with pytest.raises(IntegrityError, match=r"the head read back is classification of .*好评.*中评.*; expected"):
        list(read_back(model, read_with_head(str(tmp_path / "labels"))))
    other = {"output_bias": model.weights["output_bias"] + np.float32(0.01)}
    export(model._replace(weights=model.weights | other), "pytorch-bin", tmp_path / "number")
    with pytest.raises(IntegrityError, match="transformers computes different logits of the fine-tuned head"):
        verify(model, "pytorch-bin", tmp_path / "number")


def test_a_format_that_cannot_hold_the_head_is_refused_before_anything_is_written(tmp_path: Path, command: Any) -> None:
    export(finetuned_model("tagging"), "pytorch-bin", tmp_path / "model")
    ran = command("export", str(tmp_path / "model"), "--to", "pytorch-bin,paddlehub-module", "-o", str(tmp_path / "out"))
    assert ran.returncode == 2 and not (tmp_path / "out").exists()
    assert "paddlehub-module: cannot write the tagging head of a fine-tuned model; expected one that can, such as" in ran.stderr


def test_an_exporter_of_others_is_given_a_head_only_if_it_says_so(tmp_path: Path, plugins: Any) -> None:
    class Encoders:
        def export(self, model: ModelFiles, folder: Path) -> None:
            (folder / "names").write_text("\n".join(model.weights), encoding="utf-8")

    class Taggers(Encoders):
        heads = ("tagging",)

    plugins("exporter", "encoders", Encoders)
    plugins("exporter", "taggers", Taggers)
    with pytest.raises(UserError, match="encoders: cannot write the tagging head of a fine-tuned model"):
        export(finetuned_model("tagging"), "encoders", tmp_path / "x")
    with pytest.raises(UserError, match="taggers: cannot write the span head"):
        export(finetuned_model("span"), "taggers", tmp_path / "x")
    export(finetuned_model("tagging"), "taggers", tmp_path / "x")
    assert "output_weights" in (tmp_path / "x" / "names").read_text(encoding="utf-8")


# --- zoo.load


@pytest.mark.parametrize("head", CLASSES)
def test_the_zoo_loads_what_transformers_loads(head: Head, tmp_path: Path) -> None:
    model = finetuned_model(head)
    export(model, "pytorch-bin", tmp_path / "model")
    ours, theirs = zoo.load(str(tmp_path / "model"), "torch", head=head), CLASSES[head].from_pretrained(tmp_path / "model")
    assert type(ours) is CLASSES[head] and not ours.training
    state, expected = ours.state_dict(), theirs.state_dict()
    assert state.keys() == expected.keys() and all(torch.equal(state[name], expected[name]) for name in state)
    assert ours.config.id2label == theirs.config.id2label
    logits, reference = logits_of(ours, model)
    np.testing.assert_allclose(logits, reference, rtol=0, atol=1e-4)


def test_the_zoo_refuses_another_head_and_a_model_without_one(tmp_path: Path) -> None:
    export(finetuned_model("tagging"), "pytorch-bin", tmp_path / "model")
    with pytest.raises(UserError, match="head='span', but its files contain the head of a BertForTokenClassification: head='tagging'"):
        zoo.load(str(tmp_path / "model"), "torch", head="span")
    with pytest.raises(UserError, match="contain no MLM head"):
        zoo.load(str(tmp_path / "model"), "torch", head="mlm")
    export(whole_model(), "pytorch-bin", tmp_path / "whole")
    with pytest.raises(UserError, match="contain no BertForSequenceClassification; `wholeword finetune` trains a head"):
        zoo.load(str(tmp_path / "whole"), "torch", head="classification")


@pytest.mark.parametrize("head", CLASSES)
def test_models_that_transformers_saved_are_read_with_their_head(head: Head, tmp_path: Path) -> None:
    """With two labels, which transformers does not write down, and with more."""
    for labels in (["LABEL_0", "LABEL_1"], ["x", "y", "z"]) if head != "span" else ([],):
        named = {"id2label": dict(enumerate(labels)), "label2id": {label: n for n, label in enumerate(labels)}} if len(labels) > 2 else {}
        config = BertConfig(
            vocab_size=len(VOCABULARY), hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=64, **named
        )
        saved = CLASSES[head](config)
        saved.save_pretrained(tmp_path / f"{len(labels)}")
        (tmp_path / f"{len(labels)}" / "vocab.txt").write_bytes(VOCABULARY.to_bytes())
        found = read_with_head(str(tmp_path / f"{len(labels)}"))
        assert found.head == head and list(labels_of(found)) == labels
        logits, reference = logits_of(saved.eval(), found)
        np.testing.assert_allclose(logits, reference, rtol=0, atol=1e-4)


def test_googles_checkpoint_of_a_classifier_is_what_the_caller_says(tmp_path: Path) -> None:
    """run_classifier.py writes no word about the kind of its head; run_squad.py's names tell."""
    for head in CLASSES:
        model, folder = finetuned_model(head), tmp_path / head
        folder.mkdir()
        write_bundle(folder / "model.ckpt-20", model.weights)
        (folder / "bert_config.json").write_text(json.dumps(model.config.to_dict()))
        (folder / "vocab.txt").write_bytes(VOCABULARY.to_bytes())
        assert read_with_head(str(folder)).head == ("span" if head == "span" else None)
        assert type(zoo.load(str(folder), "torch", head=head)) is CLASSES[head]


def saved_by_transformers(model_class: Any, folder: Path, **changes: Any) -> Path:
    """A small model of a class, with changes to its config.json."""
    config = BertConfig(vocab_size=len(VOCABULARY), hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=64)
    model_class(config).save_pretrained(folder)
    (folder / "vocab.txt").write_bytes(VOCABULARY.to_bytes())
    content = json.loads((folder / "config.json").read_bytes()) | changes
    (folder / "config.json").write_text(json.dumps(content))
    return folder


def test_the_head_of_multiple_choice_is_not_taken_for_a_classifier(tmp_path: Path) -> None:
    """Both have a tensor called `classifier.weight`."""
    folder = saved_by_transformers(BertForMultipleChoice, tmp_path / "choices")
    for head in CLASSES:
        with pytest.raises(UserError, match=f"head='{head}', but its files contain the head of a BertForMultipleChoice"):
            zoo.load(str(folder), "torch", head=head)
    assert read_with_head(str(folder)).head is None


@pytest.mark.parametrize("architectures", [None, ["BertForMaskedLM"]])
def test_a_head_of_unknown_kind_is_left_out_with_the_setting_that_names_it(
    architectures: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = saved_by_transformers(BertForSequenceClassification, tmp_path / "unknown", architectures=architectures)
    assert read_with_head(str(folder)).head is None
    assert '"architectures": ["BertForSequenceClassification"] or ["BertForTokenClassification"]' in caplog.text
    saved_by_transformers(BertForSequenceClassification, folder, architectures=["BertForSequenceClassification"])
    assert read_with_head(str(folder)).head == "classification"


@pytest.mark.parametrize("head", CLASSES)
def test_a_head_beside_an_auxiliary_one_is_the_one_that_transformers_reads(head: Head, tmp_path: Path) -> None:
    folder = saved_by_transformers(CLASSES[head], tmp_path / "two")
    tensors, names = dict(read_tensors(folder / "model.safetensors")), head_tensors(head, "transformers")
    write_tensors(folder / "model.safetensors", tensors | {f"aux.{name}": tensors[name] + 1 for name in names[:2]})
    found = read_with_head(str(folder))
    assert found.head == head
    assert np.array_equal(found.weights[head_tensors(head, "canonical").weights], tensors[names.weights])


@pytest.mark.parametrize("kind", [np.int32, np.int64])
def test_a_head_that_is_not_of_floating_point_numbers_is_refused(kind: Any, tmp_path: Path) -> None:
    folder = saved_by_transformers(BertForTokenClassification, tmp_path / "integers")
    tensors = dict(read_tensors(folder / "model.safetensors"))
    write_tensors(folder / "model.safetensors", tensors | {"classifier.weight": tensors["classifier.weight"].astype(kind)})
    with pytest.raises(UserError, match=r"tensors must be floating-point numbers: classifier.weight \(" + np.dtype(kind).name):
        read_with_head(str(folder))


@pytest.mark.parametrize("head", CLASSES)
def test_parts_that_a_fine_tuned_model_does_not_use_are_left_out_by_name(
    head: Head, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Google's scripts leave the pooler under spans and tags; joint training leaves the MLM head."""
    model, whole = finetuned_model(head), whole_model()
    write_bundle(tmp_path / "model.ckpt-20", {**whole.weights, **model.weights})
    (tmp_path / "bert_config.json").write_text(json.dumps(model.config.to_dict()))
    (tmp_path / "vocab.txt").write_bytes(VOCABULARY.to_bytes())
    found = read_with_head(str(tmp_path), head=head)
    assert found.head == head and found.weights.keys() == model.weights.keys()
    unused = "MLM head, NSP head" if head == "classification" else "pooler, MLM head, NSP head"
    for text in (caplog.text, "\n".join(found.provenance.notes or ())):
        assert f"left out, since a {CLASSES[head].__name__} does not use it: {unused}" in text


def test_labels_that_do_not_fit_the_head_are_refused(tmp_path: Path) -> None:
    export(finetuned_model("classification"), "pytorch-bin", tmp_path / "model")
    path = tmp_path / "model" / "config.json"
    (tmp_path / "model" / "manifest.json").unlink()
    config = json.loads(path.read_bytes())
    path.write_text(json.dumps(config | {"id2label": {"0": "差评", "1": "好评"}}))
    with pytest.raises(UserError, match=r"config.json: id2label has .*; expected a label for each of 3 outputs"):
        read_with_head(str(tmp_path / "model"))
    path.write_text(json.dumps(config | {"problem_type": "multi_label_classification"}))
    with pytest.raises(UserError, match="problem_type is 'multi_label_classification'; only classifiers of one label"):
        read_with_head(str(tmp_path / "model"))


# --- runs


def test_the_folder_of_a_run_is_its_only_model(tmp_path: Path, command: Any) -> None:
    run = run_folder(tmp_path / "one", {3: 94.5})
    for location in (run, run / "seed-3", run / "seed-3" / "model"):
        assert type(zoo.load(str(location), "torch", head="classification")) is BertForSequenceClassification
    ran = command("export", str(run), "--to", "tf-checkpoint", "-o", str(tmp_path / "out"))
    assert ran.returncode == 0 and read_with_head(str(tmp_path / "out")).labels == LABELS["classification"]
    assert zoo.load_tokenizer(str(run), "torch").tokenize("今天") == ["今", "天"]


def test_a_run_of_several_seeds_asks_for_one(tmp_path: Path) -> None:
    run = run_folder(tmp_path / "two", {3: 94.5, 12: 93.25})
    with pytest.raises(UserError, match=r"of 2 seeds; choose one of .*seed-3 \(dev accuracy 94.50\), .*seed-12 \(dev accuracy 93.25\)"):
        zoo.load(str(run), "torch", head="classification")
    with pytest.raises(UserError, match="without models: none is finished, or the recipe says keep_model: false"):
        zoo.load(str(run_folder(tmp_path / "none", {3: 94.5}, keep_model=False)), "torch")


def test_zoo_info_and_report_know_fine_tuning_runs(tmp_path: Path, command: Any) -> None:
    run = run_folder(tmp_path / "two", {3: 94.5, 12: 93.25})
    one = json.loads(command("zoo", "info", str(run / "seed-3"), "--json").stdout)
    assert one["head"] == "classification" and one["labels"] == list(LABELS["classification"]) and one["task"] == "chnsenticorp"
    both = command("zoo", "info", str(run)).stdout
    assert "chnsenticorp" in both and "94.5" in both and "93.25" in both and "2 seeds" in both
    report = command("report", str(run))
    assert report.returncode == 0 and "fine-tuning of zoo:rbt3 on chnsenticorp (data data)" in report.stdout
    assert "labels: 差评, 中评, 好评" in report.stdout and "seed 12: dev accuracy 93.3" in report.stdout
    assert "dev accuracy 94.5 (93.9): largest (mean) of 2 seeds" in report.stdout
    assert json.loads(command("report", str(run), "--json").stdout)["seeds"]["3"]["splits"] == {"dev": {"accuracy": 94.5}}
    ran = command("report", str(run), "--compare", "jieba,characters")
    assert ran.returncode == 2 and "a fine-tuning run; its report has no options but --json" in ran.stderr
