"""The exported module in the hands of PaddleHub itself."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import paddle
import paddlehub as hub
import pytest

from wholeword.core.bert.config import model_config
from wholeword.core.bert.forward import forward
from wholeword.core.bert.shapes import tensor_shapes
from wholeword.core.contracts import ModelFiles, Provenance
from wholeword.core.errors import UserError
from wholeword.core.vocabulary import SPECIAL_PIECES, Vocabulary
from wholeword.exporters.paddlehub_module import PaddleHubModule, module_name

SENTENCE = "使用语言模型来预测下一个词的É。"
VOCABULARY = Vocabulary([*SPECIAL_PIECES, *dict.fromkeys(SENTENCE[:-2]), "。", "É", "e"])


def random_model(name: str = "mine", *, lowercase: bool = True, next_sentence: bool = True, **section: Any) -> ModelFiles:
    """Every tensor has values of its own, biases and LayerNorms too."""
    sizes = {"num_hidden_layers": 3, "hidden_size": 48, "num_attention_heads": 4, "max_position_embeddings": 128}
    no_dropout = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    config = model_config(sizes | no_dropout | section, vocab_size=len(VOCABULARY))
    generator = np.random.default_rng(3)
    weights = {name: generator.normal(0, 0.2, shape).astype(np.float32) for name, shape in tensor_shapes(config).items()}
    return ModelFiles(config, weights, VOCABULARY, lowercase, next_sentence, Provenance(name=name))


def exported(tmp_path: Path, model: ModelFiles) -> str:
    """A module folder for `hub.Module`, inside a folder whose name is no identifier."""
    folder = tmp_path / "roberta-mine.v1"
    folder.mkdir()
    PaddleHubModule().export(model, folder)
    name = module_name(model)
    for module in [module for module in sys.modules if module.split(".")[0] == name]:
        del sys.modules[module]  # of the test before, which had a folder of the same name
    assert sorted(path.name for path in folder.iterdir()) == ["README.md", name]
    assert f'hub.Module(directory="{name}")' in (folder / "README.md").read_text(encoding="utf-8")
    return str(folder / name)


@pytest.mark.parametrize("next_sentence", [True, False])
def test_hidden_states_are_the_references(tmp_path: Path, next_sentence: bool) -> None:
    model = random_model(next_sentence=next_sentence)
    bert = hub.Module(directory=exported(tmp_path, model))
    bert.eval()
    lengths = np.array([[40], [23], [7]])
    mask = (np.arange(40) < lengths).astype(np.int64)
    ids = np.random.default_rng(4).integers(1, len(VOCABULARY), mask.shape) * mask
    segments = (np.arange(40) >= lengths // 2) * mask
    with paddle.no_grad():
        hidden, pooled = bert(paddle.to_tensor(ids), paddle.to_tensor(segments))
    expected = forward(model.weights, model.config, {"input_ids": ids, "input_mask": mask, "segment_ids": segments})
    hidden_difference = np.abs(hidden.numpy() - expected["hidden_states"][-1])[mask > 0].max()
    pooled_difference = np.abs(pooled.numpy() - expected["pooler_output"]).max()
    print(f"largest differences: hidden states {hidden_difference:.2e}, pooler {pooled_difference:.2e}")
    assert max(hidden_difference, pooled_difference) < 1e-5


@pytest.mark.parametrize("lowercase", [True, False])
def test_embeddings_of_text_are_the_references(tmp_path: Path, lowercase: bool) -> None:
    model = random_model(lowercase=lowercase)
    bert = hub.Module(directory=exported(tmp_path, model))
    pieces = ["[CLS]", *SENTENCE[:-2], "e" if lowercase else "É", "。", "[SEP]"]
    ids = np.array([[VOCABULARY.ids[piece] for piece in pieces]])
    assert bert.get_tokenizer()(SENTENCE)["input_ids"] == ids[0].tolist()
    features = {"input_ids": ids, "input_mask": np.ones_like(ids), "segment_ids": np.zeros_like(ids)}
    expected = forward(model.weights, model.config, features)
    for results in (bert.get_embedding([[SENTENCE], [SENTENCE]]), bert.predict([[SENTENCE]])):
        for pooled, tokens in results:
            np.testing.assert_allclose(pooled, expected["pooler_output"][0], rtol=0, atol=1e-5)
            np.testing.assert_allclose(tokens[: len(pieces)], expected["hidden_states"][-1, 0], rtol=0, atol=1e-5)


def batch(rows: int, length: int) -> tuple[paddle.Tensor, paddle.Tensor]:
    ids = np.random.default_rng(5).integers(5, len(VOCABULARY), (rows, length))
    return paddle.to_tensor(ids), paddle.to_tensor(np.zeros_like(ids))


def fine_tune(model: Any, step: Any, learning_rate: float = 1e-3) -> list[float]:
    optimizer = paddle.optimizer.AdamW(learning_rate, parameters=model.parameters())
    losses = []
    model.train()
    for _ in range(100):
        loss = step()["loss"]
        loss.backward()
        optimizer.step()
        optimizer.clear_grad()
        losses.append(float(loss))
    return losses


def test_texts_are_classified_after_fine_tuning(tmp_path: Path) -> None:
    folder = exported(tmp_path, random_model(num_hidden_layers=1))
    labels = {0: "差", 1: "中", 2: "好"}
    classifier = hub.Module(directory=folder, task="seq-cls", label_map=labels)
    inputs, wanted = batch(6, 12), paddle.to_tensor([0, 1, 2, 0, 1, 2])
    losses = fine_tune(classifier, lambda: classifier.training_step([*inputs, wanted], 0))
    assert losses[-1] < 0.5 * losses[0]
    classifier.eval()
    assert float(classifier.validation_step([*inputs, wanted], 0)["metrics"]["acc"]) == 1.0
    answers, probabilities = classifier.predict([["使用语言"], ["预测下一个词"]], max_seq_len=20, batch_size=2, return_prob=True)
    assert set(answers) <= set(labels.values()) and np.allclose(np.sum(probabilities, axis=1), 1, atol=1e-5)
    paddle.save(classifier.state_dict(), str(tmp_path / "tuned.pdparams"))
    again = hub.Module(directory=folder, task="seq-cls", label_map=labels, load_checkpoint=str(tmp_path / "tuned.pdparams"))
    again_probabilities = again.predict([["使用语言"], ["预测下一个词"]], max_seq_len=20, batch_size=2, return_prob=True)[1]
    np.testing.assert_allclose(again_probabilities, probabilities, rtol=0, atol=1e-6)
    assert hub.Module(directory=folder, task="seq-cls", num_classes=4).predict([["使用"]])[0] in range(4)


def test_tokens_are_labelled_after_fine_tuning(tmp_path: Path) -> None:
    labels = {0: "B-PER", 1: "I-PER", 2: "O"}
    tagger = hub.Module(directory=exported(tmp_path, random_model(num_hidden_layers=1)), task="token-cls", label_map=labels)
    inputs = batch(2, 9)
    wanted, lengths = paddle.to_tensor([[0, 1, 2, 2, 0, 2, 2, 0, 1]] * 2), paddle.to_tensor([9, 9])
    losses = fine_tune(tagger, lambda: tagger.training_step([*inputs, lengths, wanted], 0))
    assert losses[-1] < 0.5 * losses[0]
    tagger.eval()
    assert float(tagger.validation_step([*inputs, lengths, wanted], 0)["metrics"]["f1_score"]) == 1.0
    answers = tagger.predict([["\2".join("使用语言模型")]], max_seq_len=10)
    assert len(answers) == 1 and set(answers[0]) <= set(labels.values())


def test_an_unknown_task_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="task 'text-matching'; expected one of"):
        hub.Module(directory=exported(tmp_path, random_model()), task="text-matching")


def test_the_modules_name_is_an_identifier() -> None:
    names = {"chinese-roberta-wwm-ext": "chinese_roberta_wwm_ext", "rbt3": "rbt3", "3-layers": "bert_3_layers"}
    names |= {"我的": "bert", "json": "bert_json", "import": "bert_import", "../x": "x"}
    assert {name: module_name(random_model(name)) for name in names} == names


def test_an_activation_that_paddlenlp_lacks_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="hidden_act is 'gelu_tanh'"):
        PaddleHubModule().export(random_model(hidden_act="gelu_tanh"), tmp_path)
