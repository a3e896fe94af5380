"""Models as other people's programs leave them: the same rules in every format that needs no framework."""

import json
import logging
import pickle
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from model_formats import FORMATS, MODEL, VOCABULARY, assert_same, make_model, write_model

from wholeword.core.bert.names import to_framework
from wholeword.core.config.locations import read_config, read_vocabulary
from wholeword.core.errors import UserError
from wholeword.core.formats import tensor_bundle
from wholeword.core.formats.tensor_bundle import write_bundle
from wholeword.core.formats.tensors import write_tensors
from wholeword.core.vocabulary import Vocabulary
from wholeword.zoo import folder as folder_module
from wholeword.zoo.find import read, read_tokenizer
from wholeword.zoo.folder import Folder

SEPARATORS = {form: "/" if form == "TF checkpoint" else "." for form in FORMATS}
DOTTED = [form for form in FORMATS if form != "TF checkpoint"]
ENCODER = {name: array for name, array in MODEL.weights.items() if name.startswith("bert/")}


@pytest.fixture(autouse=True)
def every_warning_is_new() -> None:
    folder_module._warn.cache_clear()


def rewrite(folder: Path, form: str, change: Any, weights: dict[str, np.ndarray] = MODEL.weights) -> None:
    """The weights of a folder, with the tensors that `change` makes of them."""
    framework, write = FORMATS[form][1:]
    for path in folder.iterdir():
        if path.suffix not in (".json", ".txt") or path.name.endswith(".index.json"):
            path.unlink()
    tensors = to_framework(weights, framework)
    (write_bundle if form == "TF checkpoint" else write)(folder / "bert_model.ckpt" if form == "TF checkpoint" else folder, change(tensors))


def heads(form: str, *names: str) -> dict[str, np.ndarray]:
    return {name.replace("/", SEPARATORS[form]): np.ones((3, 32), np.float32) for name in names}


# --- prefixes and heads


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("prefix", ["model/", "a/b/"])
def test_a_model_is_read_under_any_prefix(tmp_path: Path, form: str, prefix: str) -> None:
    write_model(tmp_path, form)
    before = prefix.replace("/", SEPARATORS[form])
    rewrite(tmp_path, form, lambda tensors: {before + name: array for name, array in tensors.items()})
    assert_same(Folder().read(str(tmp_path)), MODEL)


@pytest.mark.parametrize("form", DOTTED)
@pytest.mark.parametrize("container", ["module.", "_orig_mod.", "module._orig_mod.", "net._fsdp_wrapped_module."])
def test_parts_of_names_that_containers_add_are_ignored_anywhere(tmp_path: Path, form: str, container: str) -> None:
    write_model(tmp_path, form)
    rewrite(tmp_path, form, lambda tensors: {container + name: array for name, array in tensors.items()})
    assert_same(Folder().read(str(tmp_path)), MODEL)
    inside = container.replace("net.", "")
    rewrite(tmp_path, form, lambda tensors: {name.replace(".", f".{inside}", 1): array for name, array in tensors.items()})
    assert_same(Folder().read(str(tmp_path)), MODEL)


@pytest.mark.parametrize("form", DOTTED)
@pytest.mark.parametrize("name", ["encoder.", "plm.", "model.bert_model."])
def test_the_encoder_may_have_any_name(tmp_path: Path, form: str, name: str) -> None:
    """As in a class with `self.plm = BertModel(...)` and a layer of its own."""
    write_model(tmp_path, form)
    layer = heads(form, "fc/w")
    rewrite(tmp_path, form, lambda tensors: {key.replace("bert.", name): array for key, array in tensors.items()} | layer, ENCODER)
    model = Folder().read(str(tmp_path))
    assert all(np.array_equal(model.weights[key], array) for key, array in ENCODER.items())
    assert any("fc.w" in note for note in model.provenance.notes)


HEADS = {
    "classifier": ["classifier/weight", "classifier/bias"],
    "Google's classifier": ["output_weights", "output_bias"],
    "SQuAD": ["cls/squad/output_weights", "cls/squad/output_bias"],
    "CRF": ["fc/weight", "fc/bias", "crf/transitions"],
    "LERT": ["cls/predictions/output_pos_layer/kernel", "cls/predictions/output_dep_layer/bias"],
}


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("head", HEADS)
def test_another_head_is_left_out_by_name(tmp_path: Path, caplog: pytest.LogCaptureFixture, form: str, head: str) -> None:
    write_model(tmp_path, form)
    rewrite(tmp_path, form, lambda tensors: tensors | heads(form, *HEADS[head]), ENCODER)
    with caplog.at_level(logging.WARNING):
        model = Folder().read(str(tmp_path))
    assert all(np.array_equal(model.weights[name], array) for name, array in ENCODER.items())
    for name in heads(form, *HEADS[head]):
        assert name in caplog.text and any(name in note for note in model.provenance.notes)


@pytest.mark.parametrize("form", FORMATS)
def test_an_unknown_tensor_inside_the_encoder_is_refused(tmp_path: Path, form: str) -> None:
    """Since the encoder would compute something else: an adapter, a layer more, LoRA that is not merged."""
    write_model(tmp_path, form)
    separator = SEPARATORS[form]
    for name in ("bert/adapter/weight", "bert/embeddings/task_type_embeddings/weight"):
        rewrite(tmp_path, form, lambda tensors, name=name: tensors | heads(form, name))
        with pytest.raises(UserError, match=f"unknown tensors for a BERT with 2 layers: {name.replace('/', separator)}"):
            Folder().read(str(tmp_path))


@pytest.mark.parametrize("form", FORMATS)
def test_two_encoders_in_one_file_are_refused(tmp_path: Path, form: str) -> None:
    write_model(tmp_path, form)
    before = f"query{SEPARATORS[form]}"
    rewrite(tmp_path, form, lambda tensors: tensors | {before + name: array for name, array in tensors.items()})
    with pytest.raises(UserError, match=r"2 encoders in one file, with '.*' and '.*'; save the one to be read on its own"):
        Folder().read(str(tmp_path))


@pytest.mark.parametrize("form", FORMATS)
def test_an_average_of_the_weights_counts_as_the_optimizers(tmp_path: Path, form: str) -> None:
    write_model(tmp_path, form)
    before = f"model_ema{SEPARATORS[form]}"
    average = {before + name: np.zeros_like(array) for name, array in to_framework(MODEL.weights, FORMATS[form][1]).items()}
    rewrite(tmp_path, form, lambda tensors: tensors | average)
    model = Folder().read(str(tmp_path))
    assert_same(model, MODEL)
    assert model.provenance.slots.tensors == len(average)


@pytest.mark.parametrize("form", FORMATS)
def test_a_file_without_an_encoder_is_refused(tmp_path: Path, form: str) -> None:
    write_model(tmp_path, form)
    rewrite(tmp_path, form, lambda tensors: heads(form, "decoder/wte/weight"))
    with pytest.raises(UserError, match=r"unknown tensors, none of which is the word embeddings of a BERT, bert.embeddings.*: decoder.wte"):
        Folder().read(str(tmp_path))


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("slot", ["adam_m", "Momentum", "LAMB", "LAMB_1", "ExponentialMovingAverage", "vr", "Adam_1"])
def test_tensors_of_an_optimizer_are_counted_whatever_their_name(tmp_path: Path, form: str, slot: str) -> None:
    write_model(tmp_path, form)
    ending = SEPARATORS[form] + slot

    def with_slots(tensors: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        step = {"global_step": np.array(7, np.int64), "loss_scale": np.array(2.0, np.float32)} if form == "TF checkpoint" else {}
        return tensors | {name + ending: np.zeros_like(array) for name, array in tensors.items()} | step

    rewrite(tmp_path, form, with_slots)
    model = Folder().read(str(tmp_path))
    assert_same(model, MODEL)
    assert model.provenance.slots.tensors == len(MODEL.weights) + (2 if form == "TF checkpoint" else 0)
    assert not any("head" in note for note in model.provenance.notes)


# --- numbers in half precision


def bfloat16(array: np.ndarray) -> np.ndarray:
    """The bits, as uint16."""
    return (np.ascontiguousarray(array).view("<u4") >> 16).astype("<u2")


def assert_bfloat16(folder: Path) -> None:
    model = Folder().read(str(folder))
    for name, array in MODEL.weights.items():
        assert model.weights[name].dtype == np.float32 and np.array_equal(bfloat16(model.weights[name]), bfloat16(array))
        assert not (model.weights[name].view(np.uint32) & 0xFFFF).any()


def safetensors(tensors: dict[str, np.ndarray], dtype: str, pack: Any) -> bytes:
    header, data = {}, b""
    for name, array in tensors.items():
        packed = pack(np.ascontiguousarray(array)).tobytes()
        header[name] = {"dtype": dtype, "shape": list(array.shape), "data_offsets": [len(data), len(data) + len(packed)]}
        data += packed
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


@pytest.mark.parametrize("shards", [1, 3])
def test_bfloat16_is_read_from_safetensors(tmp_path: Path, shards: int) -> None:
    write_model(tmp_path, "safetensors")
    (tmp_path / "model.safetensors").unlink()
    tensors = list(to_framework(MODEL.weights, "transformers").items())
    names = ["model.safetensors"] if shards == 1 else [f"model-{number:05d}-of-00003.safetensors" for number in range(1, 4)]
    for number, name in enumerate(names):
        (tmp_path / name).write_bytes(safetensors(dict(tensors[number::shards]), "BF16", bfloat16))
    if shards > 1:
        index = {"weight_map": {name: names[number % 3] for number, (name, _) in enumerate(tensors)}}
        (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    assert_bfloat16(tmp_path)


def test_bfloat16_is_read_from_pdparams(tmp_path: Path) -> None:
    """Paddle writes its bits as whole numbers of 16 bits."""
    write_model(tmp_path, "Paddle")
    halves = {name: bfloat16(array) for name, array in to_framework(MODEL.weights, "paddlenlp").items()}
    (tmp_path / "model_state.pdparams").write_bytes(pickle.dumps(halves, 2))
    assert_bfloat16(tmp_path)


def test_bfloat16_is_read_from_tf_checkpoints(tmp_path: Path) -> None:
    """As DT_BFLOAT16, which is 14; the index is written for uint16, which is 17, and changed."""
    write_model(tmp_path, "TF checkpoint")
    numbers = dict(tensor_bundle.TYPE_NUMBERS)
    tensor_bundle.TYPE_NUMBERS["uint16"] = 14
    try:
        write_bundle(tmp_path / "bert_model.ckpt", {name: bfloat16(array).reshape(array.shape) for name, array in MODEL.weights.items()})
    finally:
        tensor_bundle.TYPE_NUMBERS.update(numbers)
    assert_bfloat16(tmp_path)


@pytest.mark.parametrize("form", ["safetensors", "TF checkpoint", "Paddle", "shards of safetensors"])
def test_float16_is_read(tmp_path: Path, form: str) -> None:
    write_model(tmp_path, form)
    rewrite(tmp_path, form, lambda tensors: {name: array.astype(np.float16) for name, array in tensors.items()})
    model = Folder().read(str(tmp_path))
    assert all(np.array_equal(model.weights[name], array.astype(np.float16).astype(np.float32)) for name, array in MODEL.weights.items())


def test_numbers_of_8_bits_are_refused_by_type(tmp_path: Path) -> None:
    write_model(tmp_path, "safetensors")
    tensors = to_framework(MODEL.weights, "transformers")
    (tmp_path / "model.safetensors").write_bytes(safetensors(tensors, "F8_E4M3", lambda array: array.astype(np.uint8)))
    with pytest.raises(UserError, match=r"is of type F8_E4M3, which is not read; expected BF16, .*; save it as F32 or F16"):
        Folder().read(str(tmp_path))


# --- state dicts inside other things


NESTED: dict[str, Any] = {
    "model": lambda state: {"model": state, "epoch": 3},
    "state_dict": lambda state: {"state_dict": state, "epoch": 3, "loss": 0.5, "best": None, "names": ["a"], "seen": {1, 2}},
    "two deep": lambda state: {"trainer": {"model_state_dict": state, "lr": 1e-4}},
    "beside its optimizer": lambda state: {"model": state, "optimizer": {"state": {0: {"step": 7, "exp_avg": np.ones(3)}}}},
    "beside its average": lambda state: {"model": state, "model_ema": dict(state)},
}


@pytest.mark.parametrize("nesting", NESTED)
def test_a_state_dict_is_found_inside_a_training_checkpoint(tmp_path: Path, nesting: str) -> None:
    write_model(tmp_path, "Paddle")
    state = to_framework(MODEL.weights, "paddlenlp")
    (tmp_path / "model_state.pdparams").write_bytes(pickle.dumps(NESTED[nesting](state), 4))
    model = Folder().read(str(tmp_path))
    assert_same(model, MODEL)
    (note,) = [note for note in model.provenance.notes if "the state dict is the one under" in note]
    assert note.startswith("model_state.pdparams: ")


def test_what_is_beside_a_state_dict_is_named(tmp_path: Path) -> None:
    write_model(tmp_path, "Paddle")
    content = {"model": to_framework(MODEL.weights, "paddlenlp"), "optimizer": {"lr": 0.1}, "epoch": 3}
    (tmp_path / "model_state.pdparams").write_bytes(pickle.dumps(content, 4))
    assert "model_state.pdparams: not read, beside the state dict: optimizer, epoch" in Folder().read(str(tmp_path)).provenance.notes


def test_two_state_dicts_in_a_file_are_refused(tmp_path: Path) -> None:
    write_model(tmp_path, "Paddle")
    state = to_framework(MODEL.weights, "paddlenlp")
    (tmp_path / "model_state.pdparams").write_bytes(pickle.dumps({"query": state, "passage": dict(state)}, 4))
    with pytest.raises(UserError, match="several state dicts, under query and passage; save the one to be read on its own"):
        Folder().read(str(tmp_path))


# --- the vocabulary beside the model


@pytest.mark.parametrize("form", FORMATS)
def test_added_tokens_continue_the_vocabulary(tmp_path: Path, form: str, caplog: pytest.LogCaptureFixture) -> None:
    grown = make_grown(2)
    write_model(tmp_path, form, grown)
    (tmp_path / "vocab.txt").write_bytes(VOCABULARY.to_bytes())
    (tmp_path / "added_tokens.json").write_text(json.dumps({"喆": len(VOCABULARY), "[DEC]": len(VOCABULARY) + 1}))
    with caplog.at_level(logging.WARNING):
        model = Folder().read(str(tmp_path))
    assert model.vocabulary.pieces == (*VOCABULARY.pieces, "喆", "[DEC]") and "added_tokens.json adds 2 pieces" in caplog.text
    assert read_tokenizer(str(tmp_path)).vocabulary.pieces == model.vocabulary.pieces
    assert read_vocabulary(str(tmp_path), tmp_path).pieces == model.vocabulary.pieces


def make_grown(rows: int) -> Any:
    """A model with more rows than VOCABULARY has pieces, under that vocabulary."""
    more = Vocabulary([*VOCABULARY.pieces, *(f"x{number}" for number in range(rows))])
    return make_model(vocabulary=more)


@pytest.mark.parametrize(
    ("added", "message"),
    [
        ({"喆": len(VOCABULARY) + 1}, "expected 1 ids that continue the vocabulary, from"),
        ({"喆": 2}, r"'喆' has the id 2, which is that of '\[CLS\]' in the vocabulary"),
        ({"喆": "x"}, "'喆' has the id 'x'; expected a whole number"),
        ({"喆": -1}, "'喆' has the id -1; expected a whole number"),
        ({"喆": len(VOCABULARY), "好": len(VOCABULARY)}, "have the same id"),
    ],
)
def test_added_tokens_that_do_not_continue_the_vocabulary_are_refused(tmp_path: Path, added: dict[str, Any], message: str) -> None:
    write_model(tmp_path, "safetensors")
    (tmp_path / "added_tokens.json").write_text(json.dumps(added))
    with pytest.raises(UserError, match=rf"added_tokens\.json: .*{message}"):
        Folder().read(str(tmp_path))


@pytest.mark.parametrize("form", FORMATS)
def test_padding_rows_are_kept_under_unused_pieces(tmp_path: Path, form: str, caplog: pytest.LogCaptureFixture) -> None:
    extra = -len(VOCABULARY) % 8 + 8
    padded = make_grown(extra)
    write_model(tmp_path, form, padded)
    (tmp_path / "vocab.txt").write_bytes(VOCABULARY.to_bytes())
    with caplog.at_level(logging.WARNING):
        model = Folder().read(str(tmp_path))
    assert all(np.array_equal(model.weights[name], array) for name, array in padded.weights.items())
    assert model.vocabulary.pieces[: len(VOCABULARY)] == VOCABULARY.pieces
    assert model.vocabulary.pieces[len(VOCABULARY) :] == tuple(f"[unused{number}]" for number in range(extra))
    assert f"the last {extra} of {len(padded.vocabulary)} rows have no piece in vocab.txt: taken for padding" in caplog.text
    assert read_vocabulary(str(tmp_path), tmp_path).pieces == model.vocabulary.pieces


@pytest.mark.parametrize("rows", [-1, 1, 200])
def test_another_vocabulary_is_refused(tmp_path: Path, rows: int) -> None:
    rows = rows if (len(VOCABULARY) + rows) % 8 else rows + 1
    write_model(tmp_path, "safetensors", vocab_size=len(VOCABULARY) + rows)
    with pytest.raises(UserError, match=r"vocab.txt has \d+ entries but config.json says vocab_size \d+; "):
        Folder().read(str(tmp_path))


@pytest.mark.parametrize("change", ["one empty line", "two empty lines", "byte order mark", "CRLF", "no line end"])
def test_what_editors_do_to_a_vocabulary_changes_no_id(tmp_path: Path, change: str) -> None:
    write_model(tmp_path, "safetensors")
    content = VOCABULARY.to_bytes()
    changed = {"one empty line": content + b"\n", "two empty lines": content + b"\n\n", "byte order mark": b"\xef\xbb\xbf" + content}
    changed |= {"CRLF": content.replace(b"\n", b"\r\n"), "no line end": content[:-1]}
    (tmp_path / "vocab.txt").write_bytes(changed[change])
    assert_same(Folder().read(str(tmp_path)), MODEL)


def test_empty_lines_in_a_vocabulary_are_named(tmp_path: Path) -> None:
    write_model(tmp_path, "safetensors")
    (tmp_path / "vocab.txt").write_bytes(VOCABULARY.to_bytes().replace("使\n".encode(), b"\n\n"))
    with pytest.raises(UserError, match=r"vocab\.txt: an empty line is a duplicate entry \(last on line 7\); every piece needs one id"):
        Folder().read(str(tmp_path))


# --- settings of tokenizers


@pytest.mark.parametrize(
    ("text", "lowercase"), [("true", True), ("false", False), ("False", False), ("True", True), (False, False), (0, False), (None, True)]
)
def test_a_boolean_written_as_text_is_one(tmp_path: Path, text: Any, lowercase: bool) -> None:
    write_model(tmp_path, "safetensors")
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"do_lower_case": text}))
    assert Folder().read(str(tmp_path)).lowercase is lowercase
    assert read_tokenizer(str(tmp_path)).lowercase is lowercase


def test_whether_text_is_lower_cased_may_only_be_true_or_false(tmp_path: Path) -> None:
    write_model(tmp_path, "safetensors")
    for value in ("no", 2, [], {}):
        (tmp_path / "tokenizer_config.json").write_text(json.dumps({"do_lower_case": value}))
        with pytest.raises(UserError, match=r"tokenizer_config\.json: do_lower_case is .*, expected true or false"):
            Folder().read(str(tmp_path))


@pytest.mark.parametrize(
    "settings",
    [
        {"strip_accents": False},
        {"strip_accents": True, "do_lower_case": False},
        {"tokenize_chinese_chars": False},
        {"tokenize_chinese_chars": "false"},
        {"do_basic_tokenize": False},
        {"never_split": ["[E1]"]},
        {"mask_token": "<mask>"},
        {"tokenizer_class": "BertJapaneseTokenizer"},
    ],
)
def test_settings_of_a_tokenizer_that_berts_does_not_have_are_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, settings: dict[str, Any]
) -> None:
    write_model(tmp_path, "safetensors")
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(settings))
    with caplog.at_level(logging.WARNING):
        model = Folder().read(str(tmp_path))
    key = next(iter(settings))
    assert f"tokenizer_config.json says {key} " in caplog.text
    assert any(f"says {key}" in note and "not honoured" in note for note in model.provenance.notes)


def test_settings_as_bert_has_them_are_not_worth_a_word(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_model(tmp_path, "safetensors")
    settings = {"do_lower_case": True, "strip_accents": None, "tokenize_chinese_chars": True, "do_basic_tokenize": True}
    settings |= {
        "never_split": None,
        "mask_token": "[MASK]",
        "pad_token": {"content": "[PAD]"},
        "tokenizer_class": "BertTokenizerFast",
        "model_max_length": 512,
    }
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(settings))
    with caplog.at_level(logging.WARNING):
        assert not Folder().read(str(tmp_path)).provenance.notes
    assert not caplog.text


def test_a_tokenizer_json_says_whether_text_is_lower_cased_beside_a_vocabulary_too(tmp_path: Path) -> None:
    write_model(tmp_path, "safetensors")
    (tmp_path / "tokenizer.json").write_text(json.dumps({"normalizer": {"lowercase": False, "strip_accents": True}}))
    model = Folder().read(str(tmp_path))
    assert not model.lowercase and any("tokenizer.json says strip_accents True" in note for note in model.provenance.notes)


def test_a_tokenizer_has_the_positions_of_its_model(tmp_path: Path) -> None:
    write_model(tmp_path, "safetensors")
    assert read_tokenizer(str(tmp_path)).max_length == MODEL.config.max_position_embeddings == 24


# --- configurations and places


@pytest.mark.parametrize("inside", [True, False])
def test_the_configuration_of_old_paddlenlp_is_read(tmp_path: Path, inside: bool) -> None:
    """`model_config.json`, with the settings of the encoder inside those of a class around it."""
    write_model(tmp_path, "Paddle")
    (tmp_path / "config.json").unlink()
    settings = MODEL.config.to_dict() | {"pad_token_id": 0, "pool_act": "tanh", "init_class": "BertModel"}
    content = {"init_args": [settings], "init_class": "BertForMaskedLM"} if inside else settings
    (tmp_path / "model_config.json").write_text(json.dumps(content))
    assert_same(Folder().read(str(tmp_path)), MODEL)
    assert read_config(str(tmp_path), tmp_path) == MODEL.config


def test_the_configuration_of_a_distilled_model_of_hfl_is_found(tmp_path: Path) -> None:
    write_model(tmp_path, "TF checkpoint")
    (tmp_path / "bert_config.json").rename(tmp_path / "bert_config_rbt3.json")
    assert_same(Folder().read(str(tmp_path)), MODEL)
    assert read_config(str(tmp_path), tmp_path) == MODEL.config


@pytest.mark.parametrize("file", ["bert_model.ckpt.index", "bert_model.ckpt.data-00000-of-00001", "bert_model.ckpt"])
def test_a_file_of_a_tf_checkpoint_means_the_checkpoint(tmp_path: Path, file: str) -> None:
    write_model(tmp_path, "TF checkpoint")
    assert_same(Folder().read(str(tmp_path / file)), MODEL)
    assert_same(read(str(tmp_path / file)), MODEL)
    assert read_config(str(tmp_path / file), tmp_path) == MODEL.config


@pytest.mark.parametrize("form", ["safetensors", "PyTorch", "Paddle"])
def test_a_file_of_weights_is_answered_with_its_folder(tmp_path: Path, form: str) -> None:
    write_model(tmp_path, form)
    path = next(path for path in tmp_path.iterdir() if path.suffix in (".safetensors", ".bin", ".pdparams"))
    for reader in (Folder().read, read):
        with pytest.raises(UserError, match=rf"{path.name}: a file; expected the folder {tmp_path} with config.json"):
            reader(str(path))


def test_weights_that_are_not_read_are_named(tmp_path: Path) -> None:
    write_model(tmp_path, "PyTorch")
    write_model(tmp_path, "safetensors", make_model())
    notes = Folder().read(str(tmp_path)).provenance.notes
    assert "the weights are those of model.safetensors; pytorch_model.bin not read" in notes


def test_weights_under_other_names_are_named(tmp_path: Path) -> None:
    write_model(tmp_path, "PyTorch")
    (tmp_path / "pytorch_model.bin").rename(tmp_path / "best.ckpt")
    with pytest.raises(UserError, match=r"no weights; expected model\.safetensors .*; best\.ckpt has none of these names"):
        Folder().read(str(tmp_path))


def test_paddlenlps_names_in_safetensors_are_understood(tmp_path: Path) -> None:
    write_model(tmp_path, "safetensors")
    write_tensors(tmp_path / "model.safetensors", to_framework(MODEL.weights, "paddlenlp"))
    assert_same(Folder().read(str(tmp_path)), MODEL)


def test_an_activation_under_any_of_its_names_is_the_same_function(tmp_path: Path) -> None:
    for name, hidden_act in {"gelu_python": "gelu", **dict.fromkeys(("gelu_new", "gelu_fast", "gelu_accurate"), "gelu_tanh")}.items():
        assert Folder().read(str(write_model(tmp_path, "safetensors", hidden_act=name))).config.hidden_act == hidden_act
    for name in ("quick_gelu", "gelu_10", "relu"):
        with pytest.raises(UserError, match=f"hidden_act is '{name}', expected one of gelu"):
            Folder().read(str(write_model(tmp_path, "safetensors", hidden_act=name)))
