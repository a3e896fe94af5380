"""The exporter `tf-checkpoint` and the reader and writer below it, beside TensorFlow's own."""

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from wholeword.core.bert.config import model_config
from wholeword.core.bert.shapes import tensor_shapes
from wholeword.core.bert.stored_names import is_slot
from wholeword.core.contracts import ModelFiles, Provenance
from wholeword.core.errors import IntegrityError, UserError
from wholeword.core.formats.tensor_bundle import TYPES, read_bundle, read_entries, write_bundle
from wholeword.core.vocabulary import SPECIAL_PIECES, Vocabulary
from wholeword.exporters.tf_checkpoint import TFCheckpoint, TFCheckpointZip

VOCABULARY = Vocabulary([*SPECIAL_PIECES, *"使用语言模型来预测下一个词的概率"])
SMALL = {"num_hidden_layers": 3, "hidden_size": 24, "num_attention_heads": 4, "max_position_embeddings": 16}
DATA = "bert_model.ckpt.data-00000-of-00001"
v1 = tf.compat.v1


def bert(*, next_sentence: bool = True) -> ModelFiles:
    """Every tensor has values of its own, biases and LayerNorms too."""
    config = model_config(SMALL, vocab_size=len(VOCABULARY))
    generator = np.random.default_rng(3)
    weights = {name: generator.normal(0, 0.3, shape).astype(np.float32) for name, shape in tensor_shapes(config).items()}
    return ModelFiles(config, weights, VOCABULARY, True, next_sentence, Provenance(name="bert-wwm"))


def save_v2(prefix: Path, tensors: dict[str, np.ndarray]) -> None:
    names = sorted(tensors, key=str.encode)
    tf.raw_ops.SaveV2(
        prefix=str(prefix), tensor_names=names, shape_and_slices=[""] * len(names), tensors=[tf.constant(tensors[name]) for name in names]
    )


def assert_same_files(folder: Path, ours: str, theirs: str) -> None:
    for end in ("index", "data-00000-of-00001"):
        assert (folder / f"{ours}.{end}").read_bytes() == (folder / f"{theirs}.{end}").read_bytes()


def assert_same_arrays(found: dict[str, Any], expected: dict[str, Any]) -> None:
    assert found.keys() == expected.keys()
    for name in expected:
        assert found[name].dtype == expected[name].dtype and np.array_equal(found[name], expected[name])


def test_our_files_are_those_of_tensorflow(tmp_path: Path) -> None:
    model = bert()
    TFCheckpoint().export(model, tmp_path)
    save_v2(tmp_path / "theirs", model.weights)
    assert_same_files(tmp_path, "bert_model.ckpt", "theirs")


def test_every_type_and_shape_has_the_bytes_of_tensorflow(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    tensors = {
        f"{dtype}/{shape}": generator.integers(0, 2, shape).astype(dtype)
        for dtype in TYPES.values()
        for shape in [(), (0,), (3, 0, 2), (2, 3)]
    }
    write_bundle(tmp_path / "ours", tensors)
    save_v2(tmp_path / "theirs", tensors)
    assert_same_files(tmp_path, "ours", "theirs")
    assert_same_arrays(read_bundle(tmp_path / "theirs"), tensors)


def test_an_index_of_several_blocks_has_the_bytes_of_tensorflow(tmp_path: Path) -> None:
    """Its own keys are what is short between the last name of a block and the first of the next."""
    tensors = {f"{number * 7919 % 10007}/{'名' * (number % 30)}": np.array(number) for number in range(9000)}
    write_bundle(tmp_path / "ours", tensors)
    save_v2(tmp_path / "theirs", tensors)
    assert (tmp_path / "ours.index").stat().st_size > 2 * 262144
    assert_same_files(tmp_path, "ours", "theirs")


def test_tensorflow_finds_googles_names(tmp_path: Path) -> None:
    model = bert()
    TFCheckpoint().export(model, tmp_path)
    prefix = str(tmp_path / "bert_model.ckpt")
    assert dict(tf.train.list_variables(prefix)) == {name: list(shape) for name, shape in tensor_shapes(model.config).items()}
    reader = tf.train.load_checkpoint(prefix)
    assert_same_arrays({name: reader.get_tensor(name) for name in model.weights}, model.weights)


def test_the_graph_restores_the_variables(tmp_path: Path) -> None:
    model = bert(next_sentence=False)
    TFCheckpoint().export(model, tmp_path)
    with tf.Graph().as_default(), v1.Session() as session:
        saver = v1.train.import_meta_graph(str(tmp_path / "bert_model.ckpt.meta"))
        saver.restore(session, str(tmp_path / "bert_model.ckpt"))
        variables = {variable.op.name: session.run(variable) for variable in v1.global_variables()}
    assert_same_arrays(variables, {name: array for name, array in model.weights.items() if not name.startswith("cls/seq_relationship/")})


def test_the_archive_is_laid_out_as_the_published_ones(tmp_path: Path) -> None:
    TFCheckpointZip().export(bert(), tmp_path)
    with zipfile.ZipFile(tmp_path / "chinese_wwm_L-3_H-24_A-4.zip") as archive:
        assert archive.namelist() == ["bert_config.json", DATA, "bert_model.ckpt.index", "bert_model.ckpt.meta", "vocab.txt"]
        archive.extractall(tmp_path / "out")
    assert len(tf.train.list_variables(str(tmp_path / "out" / "bert_model.ckpt"))) == len(bert().weights)


def test_the_graph_has_the_same_bytes_every_time(tmp_path: Path) -> None:
    for number in "12":
        (tmp_path / number).mkdir()
        TFCheckpoint().export(bert(), tmp_path / number)
    assert len({(tmp_path / number / "bert_model.ckpt.meta").read_bytes() for number in "12"}) == 1


def test_we_read_what_a_saver_wrote_and_know_adams_slots(tmp_path: Path) -> None:
    model = {name: shape for name, shape in tensor_shapes(bert().config).items() if "/layer_" not in name}
    with tf.Graph().as_default(), v1.Session() as session:
        loss = tf.add_n([tf.reduce_sum(v1.get_variable(name, shape) ** 2) for name, shape in model.items()])
        step = v1.train.get_or_create_global_step()
        train = v1.train.AdamOptimizer().minimize(loss, global_step=step)
        session.run(v1.global_variables_initializer())
        session.run(train)
        prefix = v1.train.Saver().save(session, str(tmp_path / "model.ckpt"), global_step=step)
        expected = {variable.op.name: np.asarray(session.run(variable)) for variable in v1.global_variables()}
    assert Path(prefix).name == "model.ckpt-1" and len(expected) == 3 * len(model) + 3
    assert_same_arrays(read_bundle(prefix), expected)
    assert_same_arrays(read_bundle(prefix, select=lambda name: not is_slot(name, expected)), {name: expected[name] for name in model})


def test_we_read_several_data_files(tmp_path: Path) -> None:
    """As tf.train.Saver(sharded=True) makes them: each device saves what it has, and the indices are merged."""
    weights = bert().weights
    parts = [{name: weights[name] for name in list(weights)[start::3]} for start in range(3)]
    for number, part in enumerate(parts):
        save_v2(tmp_path / f"part-{number}", part)
    prefixes = [str(tmp_path / f"part-{number}") for number in range(3)]
    tf.raw_ops.MergeV2Checkpoints(checkpoint_prefixes=prefixes, destination_prefix=str(tmp_path / "model.ckpt"))
    assert len(list(tmp_path.glob("model.ckpt.data-*-of-00003"))) == 3
    assert_same_arrays(read_bundle(tmp_path / "model.ckpt"), weights)
    (tmp_path / "model.ckpt.data-00001-of-00003").unlink()
    with pytest.raises(IntegrityError, match=r"data-00001-of-00003: no such file, but the index lists .* in it"):
        read_bundle(tmp_path / "model.ckpt")


def test_partitioned_variables_are_refused_by_name(tmp_path: Path) -> None:
    with tf.Graph().as_default(), v1.Session() as session:
        v1.get_variable("whole", (3,))
        v1.get_variable("cut", (8, 2), partitioner=v1.fixed_size_partitioner(4))
        session.run(v1.global_variables_initializer())
        prefix = v1.train.Saver().save(session, str(tmp_path / "model.ckpt"))
    with pytest.raises(UserError, match="cut is a partitioned variable in 4 slices, which is not supported; save it in one piece"):
        read_bundle(prefix)
    assert read_entries(prefix).keys() == {"cut", "whole"}
    assert read_bundle(prefix, select=lambda name: name == "whole").keys() == {"whole"}


def test_checkpoints_of_objects_have_strings_which_are_refused(tmp_path: Path) -> None:
    prefix = tf.train.Checkpoint(kernel=tf.Variable([1.0, 2.0])).write(str(tmp_path / "objects"))
    with pytest.raises(UserError, match="_CHECKPOINTABLE_OBJECT_GRAPH is of type string, which is not supported"):
        read_bundle(prefix)
    [kernel] = read_bundle(prefix, select=lambda name: name.startswith("kernel")).values()
    assert kernel.tolist() == [1.0, 2.0]


def test_both_refuse_a_flipped_byte(tmp_path: Path) -> None:
    TFCheckpoint().export(bert(), tmp_path)
    data = bytearray((tmp_path / DATA).read_bytes())
    name, entry = next(
        (name, entry) for name, entry in read_entries(tmp_path / "bert_model.ckpt").items() if name.endswith("pooler/dense/kernel")
    )
    data[entry.offset + 5] ^= 1
    (tmp_path / DATA).write_bytes(data)
    with pytest.raises(tf.errors.OpError, match="Checksum does not match"):
        tf.train.load_checkpoint(str(tmp_path / "bert_model.ckpt")).get_tensor(name)
    with pytest.raises(IntegrityError, match=f"{DATA}: {name} fails its crc32c check"):
        read_bundle(tmp_path / "bert_model.ckpt")
