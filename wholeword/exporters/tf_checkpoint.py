"""Models as google-research/bert reads them: `bert_model.ckpt`, `bert_config.json` and `vocab.txt`, plain or zipped as HFL publishes them.

Written without TensorFlow. With it there is `bert_model.ckpt.meta` too, the graph that tf.train.import_meta_graph would restore; nothing
that builds its own graph reads it.
"""

import logging
import re
import shutil
import zipfile
from collections.abc import Mapping
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from wholeword.core.bert.gelu import ACTIVATIONS
from wholeword.core.bert.parts import without_lacking_parts
from wholeword.core.contracts import ModelFiles
from wholeword.core.files import disk_errors, to_json, write_file
from wholeword.core.formats.tensor_bundle import write_bundle
from wholeword.exporters.finetuned import HEADS, head_config, head_line
from wholeword.exporters.model_card import head_lines

log = logging.getLogger(__name__)
CHECKPOINT = "bert_model.ckpt"
NOTICE = """\
# {name}

A checkpoint by the names and layouts of google-research/bert, without optimizer slots. {meta}

    {script} --init_checkpoint={checkpoint} --bert_config_file=bert_config.json --do_lower_case={lowercase} ...
    tf.train.load_checkpoint("{checkpoint}")

{heads}{activation}"""
ACTIVATION = """
The activation is the tanh form of gelu, `gelu_new` in bert_config.json. google-research/bert has another word for it: what it calls
`gelu` is that form since 2019, and was the other one before.
"""
EPSILON = 1e-12  # of every LayerNorm, hard-coded in google-research/bert `modeling.py`
EPSILON_NOTICE = """
The model has layer_norm_eps {epsilon:g}, which google-research/bert does not read from bert_config.json: it always computes with 1e-12,
and its outputs differ slightly. Readers that honour `layer_norm_eps` compute what the model does.
"""
SCRIPTS = {
    None: "run_pretraining.py",
    "classification": "run_classifier.py",
    "span": "run_squad.py",
    "tagging": "your_tagger.py",
}  # by head; Google has no script for tagging
META = {
    True: f"`{CHECKPOINT}.meta` holds the variables' graph for tf.train.import_meta_graph.",
    False: f"`{CHECKPOINT}.meta` (the graph) is left out, TensorFlow was not installed; no reader of the weights needs it.",
}


class TFCheckpoint:
    """Writes the files, and a README.md that describes them."""

    heads = HEADS

    def export(self, model: ModelFiles, folder: Path) -> None:
        """Parts that the model lacks are left out. Raises: DiskError."""
        model = without_lacking_parts(model)
        _write_checkpoint(model, folder)
        notice = NOTICE.format(
            name=model.provenance.name or "bert",
            meta=META[_has_tensorflow()],
            script=SCRIPTS[model.head],
            checkpoint=CHECKPOINT,
            lowercase=model.lowercase,
            heads="".join(head_lines(model)) if model.head is None else head_line(model),
            activation=ACTIVATION if ACTIVATIONS[model.config.hidden_act].is_tanh else "",
        )
        write_file(folder / "README.md", (notice + _epsilon_notice(model)).encode())


class TFCheckpointZip:
    """Writes one archive of the files: `chinese_wwm_L-12_H-768_A-12.zip` for a model called bert-wwm."""

    heads = HEADS

    def export(self, model: ModelFiles, folder: Path) -> None:
        """Parts that the model lacks are left out. Raises: DiskError."""
        model = without_lacking_parts(model)
        files, archive = folder / "files", folder / zip_name(model)
        files.mkdir()
        _write_checkpoint(model, files)
        with disk_errors(archive, needed=sum(path.stat().st_size for path in files.iterdir())), zipfile.ZipFile(archive, "w") as target:
            for path in sorted(files.iterdir()):
                info = zipfile.ZipInfo(
                    path.name
                )  # stored, since weights hardly compress; without a time, so that the bytes are reproducible
                info.external_attr = 0o644 << 16
                with open(path, "rb") as source, target.open(info, "w", force_zip64=True) as member:
                    shutil.copyfileobj(source, member, 1 << 20)
        shutil.rmtree(files)


def zip_name(model: ModelFiles) -> str:
    """The name of the archive, in the style of HFL."""
    name = re.sub(r"\W+", "_", (model.provenance.name or "bert").removeprefix("chinese-").removeprefix("bert-")).strip("_") or "bert"
    config = model.config
    return f"chinese_{name}_L-{config.num_hidden_layers}_H-{config.hidden_size}_A-{config.num_attention_heads}.zip"


def _write_checkpoint(model: ModelFiles, folder: Path) -> None:
    write_bundle(folder / CHECKPOINT, model.weights)
    if _has_tensorflow():
        write_file(folder / f"{CHECKPOINT}.meta", _meta(model.weights))
    else:
        log.warning("%s.meta (the graph) is left out, since TensorFlow is not installed; no reader of the weights needs it", CHECKPOINT)
    config = replace(model.config, hidden_act=ACTIVATIONS[model.config.hidden_act].checkpoint)
    head = {} if model.head is None else head_config(model)  # Google's code ignores these keys
    write_file(folder / "bert_config.json", to_json(config.to_dict() | head))
    if notice := _epsilon_notice(model):
        log.warning("%s: %s", CHECKPOINT, notice.strip().replace("\n", " "))
    write_file(folder / "vocab.txt", model.vocabulary.to_bytes())
    if not model.lowercase:  # Google's files cannot say so, and every tool lowercases by default
        write_file(folder / "tokenizer_config.json", to_json({"do_lower_case": False}))


def _epsilon_notice(model: ModelFiles) -> str:
    """What is different in Google's code for a model with an epsilon of its own; empty for any other."""
    return "" if model.config.epsilon == EPSILON else EPSILON_NOTICE.format(epsilon=model.config.epsilon)


def _has_tensorflow() -> bool:
    return find_spec("tensorflow") is not None


def _meta(weights: Mapping[str, np.ndarray]) -> bytes:
    """A graph of these variables and of the operations that save and restore them."""
    import tensorflow.compat.v1 as tf

    graph = tf.Graph()
    with graph.as_default():
        for name, array in weights.items():
            tf.get_variable(name, array.shape, tf.float32, use_resource=False)
        saver = tf.train.Saver()
        meta = tf.train.export_meta_graph(graph=graph, saver_def=saver.as_saver_def())
    content: bytes = meta.SerializeToString(deterministic=True)
    return content
