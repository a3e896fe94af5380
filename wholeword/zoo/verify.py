"""Check that the tool an export is meant for computes the same outputs as the NumPy reference. The tool runs in a separate process,

    python -m wholeword.zoo.verify EXPORTER FOLDER FEATURES OUTPUTS

which loads the folder with that tool and writes its outputs; `verify` starts it and compares. FEATURES and OUTPUTS are safetensors files
with arrays named as in `wholeword.core.bert.forward.forward`.
"""

import json
import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from wholeword.core.bert.config import bert_config
from wholeword.core.bert.forward import forward
from wholeword.core.bert.parts import completed, without_lacking_parts
from wholeword.core.bert.task_heads import declared_head, head_logits
from wholeword.core.console import doing
from wholeword.core.contracts import ModelFiles
from wholeword.core.data.tokenizer import WordPieceTokenizer
from wholeword.core.errors import IntegrityError, PluginError
from wholeword.core.formats.tensors import read_tensors, write_tensors
from wholeword.core.registry.registry import registry
from wholeword.core.vocabulary import Vocabulary
from wholeword.zoo.to_tensorflow import EPSILON

Arrays = Mapping[str, np.ndarray]

TOLERANCE = 1e-4  # relative to the largest expected value, or to 1
ENVIRONMENT = {  # CPU only, where float32 has full precision; no network, and little logging
    **{"CUDA_VISIBLE_DEVICES": "", "HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"},
    **{"KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "3", "TF_ENABLE_ONEDNN_OPTS": "0"},
}
PAIRS = (
    ("使用语言模型来预测下一个词的probability。", ""),
    ("图书馆的新系统将于2027年3月1日上线，", "届时可以用手机查阅三百万册图书。"),
    ("“真的吗？”她笑着问——没有人回答……", "ＡＢＣ１２３是全角字符，价格涨了将近30%。"),
    ("臺灣的繁體中文，𠮷野家的第一個字在擴展區。", "😀"),
)
OUTPUTS = {
    **{"hidden_states": "hidden states", "pooler_output": "pooler", "mlm_logits": "MLM logits", "nsp_logits": "NSP logits"},
    "head_logits": "logits of the fine-tuned head",
}
ALWAYS_COMPARED = {"hidden_states", "mlm_logits", "head_logits"}  # if the model has them; not every tool gives the other outputs


class Tool(NamedTuple):
    """A tool that reads exports, and the function that runs it."""

    distribution: str  # also the name of its package
    extra: str | None  # the extra of wholeword that installs it
    compute: Callable[[Path, Arrays], Arrays]


def verify(model: ModelFiles, exporter: str, folder: Path) -> str:
    """Compare the outputs of an exporter's tool for the model in `folder` with those of `model`.

    Returns: one line with the largest differences.
    Raises: PluginError if the tool is not installed; IntegrityError if it cannot read the folder, or its outputs differ.
    """
    name = registry.find("exporter", exporter).name
    tool = TOOLS[name]
    with tempfile.TemporaryDirectory() as scratch:
        inputs, results = Path(scratch, "features"), Path(scratch, "outputs")
        features = _features(model)
        write_tensors(inputs, features)
        command = [sys.executable, "-P", "-m", __name__, name, str(folder.absolute()), str(inputs), str(results)]
        with doing(f"loading {folder} with {tool.distribution}"):
            environment = os.environ | ENVIRONMENT
            finished = subprocess.run(command, capture_output=True, text=True, errors="replace", env=environment)
        if finished.returncode == PluginError.exit_code:
            requirement = f'"wholeword[{tool.extra}]"' if tool.extra else tool.distribution
            raise PluginError(f"{exporter}: not verified: {finished.stdout.splitlines()[-1]} is not installed: pip install {requirement}")
        if finished.returncode:
            reason = (finished.stderr.strip() or f"exit code {finished.returncode}").splitlines()[-1]
            raise IntegrityError(f"{exporter}: {tool.distribution} cannot read {folder}: {reason}")
        computed = read_tensors(results)
    expected = expected_outputs(model, features)
    computed = {key: array for key, array in computed.items() if key.partition("@")[0] in expected}  # a tool may make up what a model lacks
    if lacking := (ALWAYS_COMPARED & expected.keys()) - {key.partition("@")[0] for key in computed}:
        raise IntegrityError(f"{exporter}: {folder}: {tool.distribution} found no {OUTPUTS[min(lacking)]} to compute")
    differences = _differences(computed, expected, features["input_mask"] > 0)
    summary = ", ".join(f"{name} {difference:.1e}" for name, (difference, _) in differences.items())
    line = f"{exporter}: {finished.stdout.splitlines()[-1]} computes the same outputs; largest differences: {summary}"
    if wrong := [name for name, (difference, allowed) in differences.items() if not difference <= allowed]:
        raise IntegrityError(f"{exporter}: {folder}: {tool.distribution} computes different {wrong[0]}; largest differences: {summary}")
    unlike = tool.distribution == "tensorflow" and model.config.epsilon != EPSILON
    return f"{line}; not compared with KerasHub, which supports only layer_norm_eps {EPSILON}" if unlike else line


def expected_outputs(model: ModelFiles, features: Arrays) -> dict[str, np.ndarray]:
    """Everything that the model computes, by the keys of OUTPUTS; nothing of parts that it lacks."""
    weights = without_lacking_parts(model).weights
    results = forward(weights, model.config, features)
    return results if model.head is None else results | {"head_logits": head_logits(weights, model.head, results)}


def model_path(folder: Path) -> Path:
    """The model in an exporter's folder: an archive or a PaddleHub module inside it, otherwise the folder itself."""
    inside = [*folder.glob("*.zip"), *(code.parent for code in folder.glob("*/module.py"))]
    return next(iter(inside), folder).absolute()


def _features(model: ModelFiles) -> dict[str, np.ndarray]:
    """The sentences as the rows of one batch, truncated to the model's maximum length."""
    tokenizer, vocabulary = WordPieceTokenizer(model.vocabulary, model.lowercase, definition="transformers"), model.vocabulary
    rows = []
    for first, second in PAIRS:
        parts = [[vocabulary.cls_id, *map(int, tokenizer.encode(first)[0]), vocabulary.sep_id]]
        if second and model.config.type_vocab_size > 1:
            parts.append([*map(int, tokenizer.encode(second)[0]), vocabulary.sep_id])
        rows.append([(piece, segment) for segment, part in enumerate(parts) for piece in part][: model.config.max_position_embeddings])
    width = max(map(len, rows))
    padded = np.array([row + [(vocabulary.pad_id, 0)] * (width - len(row)) for row in rows])
    mask = np.array([[1] * len(row) + [0] * (width - len(row)) for row in rows])
    return {"input_ids": padded[:, :, 0], "input_mask": mask, "segment_ids": padded[:, :, 1]}


def _differences(computed: Arrays, expected: Arrays, real: np.ndarray) -> dict[str, tuple[float, float]]:
    """Name of each computed output -> the largest difference and the largest allowed one. Positions of padding are ignored."""
    differences = {}
    for key, by in sorted((key.partition("@")[::2] for key in computed), key=lambda pair: (pair[1], list(OUTPUTS).index(pair[0]))):
        ours, theirs = expected[key], computed[f"{key}@{by}" if by else key].astype(np.float64)
        if key == "hidden_states":
            ours = ours[-len(theirs) :]  # if the tool returns only the last layer
        if key in ("hidden_states", "mlm_logits") or (key == "head_logits" and ours.ndim == 3):
            ours, theirs = ours[..., real, :], theirs[..., real, :]
        name, largest = f"{OUTPUTS[key]} of {by}" if by else OUTPUTS[key], float(np.abs(ours).max())
        differences[name] = (float(np.abs(ours - theirs).max()), TOLERANCE * max(1.0, largest))
    return differences


# --- in the separate process


LOGITS = {"BertForMaskedLM": "mlm_logits", "BertForNextSentencePrediction": "nsp_logits"}  # of other classes: of the fine-tuned head


def _transformers(folder: Path, features: Arrays) -> Arrays:
    import torch
    import transformers

    inputs = {
        "input_ids": torch.from_numpy(features["input_ids"]),
        "attention_mask": torch.from_numpy(features["input_mask"]),
        "token_type_ids": torch.from_numpy(features["segment_ids"]),
    }
    with torch.no_grad():
        encoder = transformers.BertModel.from_pretrained(folder).eval()(**inputs, output_hidden_states=True)
        results = {"hidden_states": torch.stack(encoder.hidden_states), "pooler_output": encoder.pooler_output}
        [architecture] = transformers.AutoConfig.from_pretrained(folder).architectures
        if architecture != "BertModel":
            heads = getattr(transformers, architecture).from_pretrained(folder).eval()(**inputs)
            if architecture == "BertForPreTraining":
                results |= {"mlm_logits": heads.prediction_logits, "nsp_logits": heads.seq_relationship_logits}
            elif architecture == "BertForQuestionAnswering":
                results["head_logits"] = torch.stack([heads.start_logits, heads.end_logits], -1)
            else:
                results[LOGITS.get(architecture, "head_logits")] = heads.logits
    return {name: tensor.numpy() for name, tensor in results.items()}


def _tensorflow(folder: Path, features: Arrays) -> Arrays:
    """TensorFlow reads the weights for our forward pass, as Google's code needs TensorFlow 1; KerasHub, if installed, computes too."""
    import tensorflow as tf

    reader = tf.train.load_checkpoint(str(folder / "bert_model.ckpt"))
    weights = {name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map()}
    raw = json.loads((folder / "bert_config.json").read_bytes())
    config, head = bert_config(raw, "bert_config.json"), declared_head(raw, weights, "canonical")
    model = ModelFiles(config, weights, Vocabulary.read(folder / "vocab.txt"), lowercase=True, next_sentence=True, head=head)
    results = forward(weights, config, features)
    if head is not None:
        results["head_logits"] = head_logits(weights, head, results)
    computes = find_spec("keras_hub") is not None and config.epsilon == EPSILON
    return {**results, **(_keras_hub(model, features) if computes else {})}


def _keras_hub(model: ModelFiles, features: Arrays) -> Arrays:
    from wholeword.zoo.to_tensorflow import to_tensorflow

    names = {"token_ids": "input_ids", "padding_mask": "input_mask", "segment_ids": "segment_ids"}
    inputs = {theirs: features[ours] for theirs, ours in names.items()}
    if model.head is not None:
        return {"head_logits@KerasHub": to_tensorflow(model, model.head)(inputs).numpy()}
    complete = completed(model)  # KerasHub's classes have a pooler and an MLM head in any case
    outputs = to_tensorflow(complete)(inputs)
    positions = np.broadcast_to(np.arange(inputs["token_ids"].shape[1]), inputs["token_ids"].shape)
    return {
        "hidden_states@KerasHub": outputs["sequence_output"].numpy()[None],
        "pooler_output@KerasHub": outputs["pooled_output"].numpy(),
        "mlm_logits@KerasHub": to_tensorflow(complete, "mlm")(inputs | {"mask_positions": positions}).numpy(),
    }


def _tensorflow_zip(folder: Path, features: Arrays) -> Arrays:
    with tempfile.TemporaryDirectory() as scratch:
        zipfile.ZipFile(model_path(folder)).extractall(scratch)
        return _tensorflow(Path(scratch), features)


def _paddlenlp(folder: Path, features: Arrays) -> Arrays:
    import paddle
    from paddlenlp import transformers

    [architecture] = json.loads((folder / "config.json").read_bytes())["architectures"]
    inputs = _paddle_inputs(features)

    def outputs(name: str) -> Any:
        model = getattr(transformers, name).from_pretrained(str(folder))
        model.eval()
        return model(**inputs)

    with paddle.no_grad():
        hidden, pooled = outputs("BertModel")[:2]
        results = {"hidden_states": hidden.unsqueeze(0), "pooler_output": pooled}
        if architecture == "BertForPretraining":
            results["mlm_logits"], results["nsp_logits"] = outputs(architecture)[:2]
        elif architecture == "BertForQuestionAnswering":
            results["head_logits"] = paddle.stack(list(outputs(architecture)[:2]), -1)
        elif architecture != "BertModel":
            logits = outputs(architecture)
            results[LOGITS.get(architecture, "head_logits")] = logits[0] if isinstance(logits, tuple) else logits
    return {name: tensor.numpy() for name, tensor in results.items()}


def _paddlehub(folder: Path, features: Arrays) -> Arrays:
    import paddle
    import paddlehub

    module = paddlehub.Module(directory=str(model_path(folder)))
    module.eval()
    with paddle.no_grad():
        hidden, pooled = module(**_paddle_inputs(features))[:2]
    others = _paddlenlp(model_path(folder) / "assets", features)  # the module does not expose its MLM head
    logits = {f"{name}@paddlenlp": others[name] for name in ("mlm_logits",) if name in others}
    return {"hidden_states": hidden.unsqueeze(0).numpy(), "pooler_output": pooled.numpy(), **logits}


def _paddle_inputs(features: Arrays) -> dict[str, Any]:
    import paddle

    names = {"input_ids": "input_ids", "token_type_ids": "segment_ids", "attention_mask": "input_mask"}
    return {theirs: paddle.to_tensor(features[ours]) for theirs, ours in names.items()}


TOOLS = {
    "pytorch-bin": Tool("transformers", "torch", _transformers),
    "tf-checkpoint": Tool("tensorflow", "tensorflow", _tensorflow),
    "tf-checkpoint-zip": Tool("tensorflow", "tensorflow", _tensorflow_zip),
    "paddlenlp": Tool("paddlenlp", "paddle", _paddlenlp),
    "paddlehub-module": Tool("paddlehub", None, _paddlehub),
}

PACKAGES = {
    "torch",
    "tensorflow",
    "paddle",
    *(tool.distribution for tool in TOOLS.values()),
}  # if one is missing, that is not a fault of the folder


def main(arguments: list[str]) -> Any:
    """Load an export and write its outputs; see the top of this file. Returns: the exit code."""
    name, folder, inputs, results = arguments
    tool = TOOLS[name]
    features = read_tensors(inputs)
    try:
        computed = tool.compute(Path(folder), features)
    except ModuleNotFoundError as error:
        if str(error.name).partition(".")[0] not in PACKAGES:
            raise
        print(error.name)
        return PluginError.exit_code
    write_tensors(results, computed)
    print(
        tool.distribution, getattr(sys.modules[tool.distribution], "__version__", "")
    )  # not its metadata: tensorflow-cpu counts as tensorflow
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
