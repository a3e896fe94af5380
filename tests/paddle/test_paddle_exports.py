"""Models out to paddlenlp's folders and classes, and back, held to the NumPy reference and to PyTorch."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import paddle
import pytest
from paddlenlp.transformers import BertConfig, BertForMaskedLM, BertForPretraining, BertModel, BertTokenizer

from wholeword.core.bert.config import model_config
from wholeword.core.bert.forward import forward
from wholeword.core.bert.names import TIED, from_framework, names, to_framework
from wholeword.core.bert.shapes import tensor_shapes
from wholeword.core.contracts import ModelFiles, Provenance
from wholeword.core.data.tokenizer import WordPieceTokenizer
from wholeword.core.errors import UserError
from wholeword.core.formats.pdparams import read_pdparams, write_pdparams
from wholeword.core.vocabulary import SPECIAL_PIECES, Vocabulary
from wholeword.exporters.paddlenlp import PaddleNLP
from wholeword.zoo.to_paddle import paddle_tokenizer, to_paddle
from wholeword.zoo.to_torch import to_torch

SENTENCE = "使用语言模型来预测下一个词的probability，É。"
VOCABULARY = Vocabulary([*SPECIAL_PIECES, *dict.fromkeys(SENTENCE[:14]), "，", "。", "pro", "##ba", "##bility", "É", "e"])
HEADS = {None: BertModel, "mlm": BertForMaskedLM, "nsp": BertForPretraining}


def random_model(*, next_sentence: bool = True, lowercase: bool = True, **section: Any) -> ModelFiles:
    """Every tensor has values of its own, biases and LayerNorms too."""
    sizes = {"num_hidden_layers": 3, "hidden_size": 48, "num_attention_heads": 4, "max_position_embeddings": 40}
    config = model_config(sizes | section, vocab_size=len(VOCABULARY))
    generator = np.random.default_rng(3)
    weights = {name: generator.normal(0, 0.2, shape).astype(np.float32) for name, shape in tensor_shapes(config).items()}
    return ModelFiles(config, weights, VOCABULARY, lowercase, next_sentence, Provenance(name="mine"))


def random_features() -> dict[str, np.ndarray]:
    """Rows of different lengths, in two segments."""
    generator = np.random.default_rng(4)
    lengths = np.array([[40], [23], [7]])
    mask = (np.arange(40) < lengths).astype(np.int64)
    ids = generator.integers(1, len(VOCABULARY), mask.shape) * mask
    return {"input_ids": ids, "input_mask": mask, "segment_ids": (np.arange(40) >= lengths // 2) * mask}


def outputs(bert: Any, features: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    ids, mask, segments = (paddle.to_tensor(features[name]) for name in ("input_ids", "input_mask", "segment_ids"))
    with paddle.no_grad():
        given = bert(ids, segments, attention_mask=mask, output_hidden_states=True, return_dict=True)
    named = {
        "hidden_states": paddle.stack(given.hidden_states),
        "pooler_output": getattr(given, "pooler_output", None),
        "mlm_logits": getattr(given, "logits", getattr(given, "prediction_logits", None)),
        "nsp_logits": getattr(given, "seq_relationship_logits", None),
    }
    return {name: tensor.numpy() for name, tensor in named.items() if tensor is not None}


def assert_computes(bert: Any, head: str | None, model: ModelFiles) -> None:
    features = random_features()
    expected, found = forward(model.weights, model.config, features), outputs(bert, features)
    more = {None: {"pooler_output"}, "mlm": {"mlm_logits"}, "nsp": {"mlm_logits", "nsp_logits"}}[head]
    assert type(bert) is HEADS[head] and not bert.training
    assert found.keys() == {"hidden_states"} | more
    real = features["input_mask"] > 0
    kept: dict[str, Any] = {"hidden_states": np.s_[:, real], "mlm_logits": real}
    for name in found:
        difference = float(np.abs(found[name] - expected[name])[kept.get(name, ...)].max())
        print(f"largest difference: {head} {model.config.hidden_act} {name} {difference:.2e}")
        assert difference < 1e-5, name


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "roberta-mine"
    path.mkdir()
    return path


# --- out


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("settings", [{}, {"hidden_act": "gelu_tanh"}, {"layer_norm_eps": 1e-3}], ids=str)
def test_the_model_in_memory_computes_what_the_reference_does(head: str | None, settings: dict[str, Any]) -> None:
    model = random_model(hidden_act=settings.get("hidden_act", "gelu"))
    model = model._replace(config=replace(model.config, **settings))
    assert_computes(to_paddle(model, head), head, model)


@pytest.mark.parametrize("head", HEADS)
def test_every_class_loads_the_folder(folder: Path, head: str | None) -> None:
    model = random_model()
    PaddleNLP().export(model, folder)
    assert_computes(HEADS[head].from_pretrained(str(folder)).eval(), head, model)


def test_an_untrained_nsp_head_is_left_out(folder: Path) -> None:
    model = random_model(next_sentence=False)
    PaddleNLP().export(model, folder)
    assert not any("seq_relationship" in name for name in read_pdparams(folder / "model_state.pdparams"))
    assert_computes(BertForMaskedLM.from_pretrained(str(folder)).eval(), "mlm", model)


@pytest.mark.parametrize("lowercase", [True, False])
def test_both_tokenizers_are_ours(folder: Path, lowercase: bool) -> None:
    PaddleNLP().export(random_model(lowercase=lowercase), folder)
    ours = WordPieceTokenizer(VOCABULARY, lowercase=lowercase, definition="transformers")
    pieces = ["[CLS]", *SENTENCE[:14], "pro", "##ba", "##bility", "，", "e" if lowercase else "É", "。", "[SEP]"]
    for tokenizer in (BertTokenizer.from_pretrained(str(folder)), paddle_tokenizer(VOCABULARY, lowercase=lowercase, max_length=512)):
        ids = tokenizer(SENTENCE)["input_ids"]
        assert tokenizer.convert_ids_to_tokens(ids) == pieces
        assert ids[1:-1] == ours.encode(SENTENCE)[0].tolist()
        assert tokenizer.mask_token_id == VOCABULARY.mask_id and tokenizer.tokenize("[MASK]") == ["[MASK]"]


def test_an_activation_that_paddlenlp_lacks_is_refused(folder: Path) -> None:
    with pytest.raises(UserError, match="hidden_act is 'gelu_tanh'"):
        PaddleNLP().export(random_model(hidden_act="gelu_tanh"), folder)


# --- in, and through


def test_the_table_names_every_tensor_of_paddlenlp() -> None:
    model = random_model()
    config = BertConfig(**model.config.to_dict())
    state = {name: tuple(tensor.shape) for name, tensor in BertForPretraining(config).state_dict().items()}
    tensors = {name: array.shape for name, array in to_framework(model.weights, "paddlenlp").items()}
    assert {name: shape for name, shape in state.items() if name not in TIED["paddlenlp"]} == tensors
    assert set(state) - set(tensors) <= set(TIED["paddlenlp"])


@pytest.mark.parametrize("head", HEADS)
def test_what_paddlenlp_saves_is_read(tmp_path: Path, head: str | None) -> None:
    model = random_model()
    to_paddle(model, head).save_pretrained(str(tmp_path))
    tensors = read_pdparams(tmp_path / "model_state.pdparams")
    for copy, original in TIED["paddlenlp"].items():
        assert copy not in tensors or np.array_equal(tensors.pop(copy), tensors[original])
    prefixed = {name if head else f"bert.{name}": array for name, array in tensors.items()}
    found = from_framework(prefixed, "paddlenlp", num_hidden_layers=3)
    assert all(found[name].tobytes() == model.weights[name].tobytes() for name in found)
    assert len(found) == len(model.weights) - {None: 7, "mlm": 2, "nsp": 0}[head]


def test_pytorch_to_paddle_to_pytorch_changes_no_bit() -> None:
    model = random_model()
    first = to_torch(model, "nsp").state_dict()
    tensors = {name: first[name].numpy() for name in names("transformers", num_hidden_layers=3).values()}
    weights = from_framework(tensors, "transformers", num_hidden_layers=3)
    through = {name: tensor.numpy() for name, tensor in to_paddle(model._replace(weights=weights), "nsp").state_dict().items()}
    through = {name: array for name, array in through.items() if name not in TIED["paddlenlp"]}
    second = to_torch(model._replace(weights=from_framework(through, "paddlenlp", num_hidden_layers=3)), "nsp").state_dict()
    assert first.keys() == second.keys()
    assert all(first[name].numpy().tobytes() == second[name].numpy().tobytes() for name in first)


def test_pytorch_computes_the_same() -> None:
    import torch

    model, features = random_model(), random_features()
    ids, mask, segments = (torch.tensor(features[name]) for name in ("input_ids", "input_mask", "segment_ids"))
    with torch.no_grad():
        given = to_torch(model, "nsp")(ids, attention_mask=mask, token_type_ids=segments)
    found = outputs(to_paddle(model, "nsp"), features)
    kept = features["input_mask"] > 0
    assert np.abs(found["mlm_logits"] - given.prediction_logits.numpy())[kept].max() < 1e-5
    assert np.abs(found["nsp_logits"] - given.seq_relationship_logits.numpy()).max() < 1e-5


@pytest.mark.parametrize("protocol", [2, 3, 4])
def test_files_of_paddle_are_read_as_paddle_reads_them(tmp_path: Path, protocol: int) -> None:
    path = tmp_path / "x.pdparams"
    state = to_paddle(random_model(), "mlm").state_dict()
    for content in (state, {name: tensor.numpy() for name, tensor in state.items()}, {"epoch": (), **state}):
        paddle.save(content, str(path), protocol=protocol)
        expected, found = paddle.load(str(path), return_numpy=True), read_pdparams(path)
        expected.pop("epoch", None)  # what lies beside the tensors is left out
        assert list(found) == list(expected)
        assert all(found[name].tobytes() == expected[name].tobytes() for name in found)
    halves = paddle.to_tensor([1.0, -2.5, 3.0e38, 1e-3]).astype("bfloat16")
    paddle.save({"a": halves}, str(path), protocol=protocol)
    assert np.array_equal(read_pdparams(path)["a"], halves.astype("float32").numpy())


def test_paddle_reads_what_is_written(tmp_path: Path) -> None:
    path = tmp_path / "x.pdparams"
    tensors = {"a": np.arange(6, dtype=np.float32).reshape(2, 3).T, "b": np.array([1, 2]), "c": np.array(0.5, np.float32)}
    write_pdparams(path, tensors)
    loaded = paddle.load(str(path))
    assert {name: type(tensor) for name, tensor in loaded.items()} == dict.fromkeys(tensors, paddle.Tensor)
    assert all(np.array_equal(loaded[name].numpy(), tensors[name]) and loaded[name].name == name for name in tensors)
