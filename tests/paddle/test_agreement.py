"""The same model from PyTorch, TensorFlow and Paddle, each through `zoo.load` in a process of its own: real sizes, and the same numbers."""

import json
import os
import shutil
import signal
import subprocess
import sys
from itertools import combinations
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from wholeword.core.bert.config import model_config
from wholeword.core.bert.forward import forward
from wholeword.core.bert.names import to_framework
from wholeword.core.bert.shapes import tensor_shapes
from wholeword.core.contracts import ModelFiles, Provenance
from wholeword.core.formats.tensors import checksum, read_tensors, write_tensors
from wholeword.core.training.export import export
from wholeword.core.vocabulary import SPECIAL_PIECES, Vocabulary
from wholeword.zoo.folder import Folder

VOCAB_SIZE = 21128
SIZES: dict[str, dict[str, Any]] = {  # the first is a toy but for its vocabulary; the others are the published ones
    "3 layers": {"num_hidden_layers": 3, "hidden_size": 96, "num_attention_heads": 6},
    "rbt3": {"size": "rbt3"},
    "rbtl3": {"size": "rbtl3"},
}
QUIET = {"TF_CPP_MIN_LOG_LEVEL": "3", "TF_ENABLE_ONEDNN_OPTS": "0", "CUDA_VISIBLE_DEVICES": "", "HF_HUB_OFFLINE": "1"}
PROGRAMS = {
    "torch": """
import torch
from wholeword import zoo
features = {name: torch.from_numpy(features[ours]) for name, ours in NAMES.items()}
with torch.no_grad():
    bert = zoo.load(folder, "torch")(**features, output_hidden_states=True)
    logits = zoo.load(folder, "torch", head="mlm")(**features).logits
results = {"hidden_states": torch.stack(bert.hidden_states), "pooler_output": bert.pooler_output, "mlm_logits": logits}
results = {name: tensor.numpy() for name, tensor in results.items()}
""",
    "tensorflow": """
import numpy as np
from wholeword import zoo
features = {"token_ids": features["input_ids"], "padding_mask": features["input_mask"], "segment_ids": features["segment_ids"]}
bert = zoo.load(folder, "tensorflow")(features)
places = np.tile(np.arange(features["token_ids"].shape[1]), (len(features["token_ids"]), 1))
logits = zoo.load(folder, "tensorflow", head="mlm")(features | {"mask_positions": places})
results = {"hidden_states": bert["sequence_output"][None], "pooler_output": bert["pooled_output"], "mlm_logits": logits}
results = {name: np.array(tensor) for name, tensor in results.items()}
""",
    "paddle": """
import paddle
from wholeword import zoo
features = {name: paddle.to_tensor(features[ours]) for name, ours in NAMES.items()}
with paddle.no_grad():
    bert = zoo.load(folder, "paddle")(**features, output_hidden_states=True, return_dict=True)
    logits = zoo.load(folder, "paddle", head="mlm")(**features)
results = {"hidden_states": paddle.stack(bert.hidden_states), "pooler_output": bert.pooler_output, "mlm_logits": logits}
results = {name: tensor.numpy() for name, tensor in results.items()}
""",
}
COMPUTE = """
import sys
from wholeword.core.formats.tensors import read_tensors, write_tensors
NAMES = {"input_ids": "input_ids", "token_type_ids": "segment_ids", "attention_mask": "input_mask"}
folder, features, target = sys.argv[1], read_tensors(sys.argv[2]), sys.argv[3]
"""
SAVE_AGAIN = {  # the framework itself reads a folder and writes what it has
    "torch": """
from transformers import BertForPreTraining
BertForPreTraining.from_pretrained(source).save_pretrained(target)
""",
    "tensorflow": """
import tensorflow as tf
reader = tf.train.load_checkpoint(f"{source}/bert_model.ckpt")
names = sorted(reader.get_variable_to_shape_map())
tensors = [reader.get_tensor(name) for name in names]
tf.raw_ops.SaveV2(prefix=f"{target}/bert_model.ckpt", tensor_names=names, shape_and_slices=[""] * len(names), tensors=tensors)
""",
    "paddle": """
from paddlenlp.transformers import BertForPretraining
BertForPretraining.from_pretrained(source).save_pretrained(target)
""",
}
EXPORTERS = {"torch": "pytorch-bin", "tensorflow": "tf-checkpoint", "paddle": "paddlenlp"}


def run(program: str, *arguments: object) -> None:
    command = [sys.executable, "-c", program, *map(str, arguments)]
    finished = subprocess.run(command, capture_output=True, text=True, env=os.environ | QUIET)
    assert finished.returncode == 0, finished.stderr[-3000:]


class Computed(NamedTuple):
    model: ModelFiles
    folder: Path
    used: np.ndarray  # bool [batch, length], where a row has pieces
    by: dict[str, dict[str, np.ndarray]]  # framework, and "NumPy" for the reference


@pytest.fixture(scope="module", params=SIZES)
def computed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Computed:
    """One set of random weights, as the hub has a model, and what each framework makes of the same batch."""
    folder = tmp_path_factory.mktemp("model")
    config = model_config(SIZES[request.param], vocab_size=VOCAB_SIZE)
    generator = np.random.default_rng(1)
    weights = {name: generator.normal(0, 0.02, shape).astype(np.float32) for name, shape in tensor_shapes(config).items()}
    weights |= {name: array + 1 for name, array in weights.items() if name.endswith("gamma")}
    vocabulary = Vocabulary([*SPECIAL_PIECES, *(f"[unused{number}]" for number in range(VOCAB_SIZE - len(SPECIAL_PIECES)))])
    write_tensors(folder / "model.safetensors", to_framework(weights, "transformers"))
    (folder / "config.json").write_text(json.dumps(config.to_dict() | {"model_type": "bert"}))
    (folder / "vocab.txt").write_bytes(vocabulary.to_bytes())
    mask = (np.arange(40) < np.array([[40], [23], [7]])).astype(np.int64)
    ids = generator.integers(5, VOCAB_SIZE, mask.shape) * mask
    features = {"input_ids": ids, "input_mask": mask, "segment_ids": (np.arange(40) >= 5) * mask}
    write_tensors(folder / "features", features)
    by = {"NumPy": forward(weights, config, features)}
    for framework, program in PROGRAMS.items():
        run(f"{COMPUTE}{program}\nwrite_tensors(target, results)", folder, folder / "features", folder / framework)
        by[framework] = read_tensors(folder / framework)
    return Computed(ModelFiles(config, weights, vocabulary, True, True, Provenance(name=request.param)), folder, mask > 0, by)


def test_all_frameworks_agree(computed: Computed) -> None:
    """Every two of them, and the reference; of every layer, where a framework shows it."""
    for one, other in combinations(computed.by, 2):
        for name in ("hidden_states", "pooler_output", "mlm_logits"):
            first, second = computed.by[one][name], computed.by[other][name]
            if name == "hidden_states":
                layers = min(len(first), len(second))
                first, second = first[-layers:, computed.used], second[-layers:, computed.used]
            elif name == "mlm_logits":
                first, second = first[computed.used], second[computed.used]
            difference = float(np.abs(first - second).max())
            print(f"{computed.model.provenance.name}: {name} of {one} and {other}: {difference:.1e}")
            assert first.shape == second.shape and difference < 1e-5, (one, other, name)


@pytest.mark.parametrize("computed", ["rbt3", "rbtl3"], indirect=True)
@pytest.mark.parametrize("framework", ["tensorflow", "paddle"])
def test_there_and_back_no_bit_changes(computed: Computed, framework: str, tmp_path: Path) -> None:
    """PyTorch writes, we export, the other framework reads and writes, we export, PyTorch reads and writes."""

    def written_by(framework: str, source: Path) -> Path:
        target = tmp_path / f"{source.name}-{framework}"
        target.mkdir()
        run(f"import sys\nsource, target = sys.argv[1:]\n{SAVE_AGAIN[framework]}", source, target)
        for name in ("bert_config.json", "vocab.txt"):
            if (source / name).exists():
                shutil.copy(source / name, target / name)
        return target

    def exported(source: Path, framework: str) -> Path:
        target = tmp_path / f"{source.name}-export"
        export(Folder().read(str(source)), EXPORTERS[framework], target)
        return target

    start = written_by("torch", computed.folder)
    there = written_by(framework, exported(start, framework))
    back = written_by("torch", exported(there, "torch"))
    before, after = (read_tensors(folder / "model.safetensors") for folder in (start, back))
    assert before.keys() == after.keys() and all(before[name].tobytes() == after[name].tobytes() for name in before)
    assert checksum(Folder().read(str(there)).weights) == checksum(computed.model.weights)


# --- Paddle and TensorFlow in one process


def said(program: str) -> tuple[int, list[str]]:
    finished = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=os.environ | QUIET)
    return finished.returncode, finished.stdout.splitlines()


def test_paddle_after_tensorflow_is_refused_before_anything_is_read() -> None:
    program = """
import tensorflow
from wholeword import zoo
from wholeword.core.errors import UserError
for call in (zoo.load, zoo.load_tokenizer):
    try:
        call("/nowhere", "paddle")
    except UserError as error:
        print(error.exit_code, error)
"""
    way_out = "import paddle first, or use separate processes"
    assert said(program) == (0, [f"2 Paddle crashes if it is imported after TensorFlow; {way_out}"] * 2)


def test_paddle_after_tensorflow_would_crash() -> None:
    """As long as it does, it has to be refused."""
    code, _ = said("import tensorflow, paddle, paddlenlp.transformers")
    assert code == -signal.SIGSEGV


@pytest.mark.parametrize("computed", ["3 layers"], indirect=True)
def test_paddle_before_tensorflow_works(computed: Computed) -> None:
    """The way out: all three frameworks in one process."""
    program = f"""
import paddle
from wholeword import zoo
models = [zoo.load({str(computed.folder)!r}, name) for name in ("paddle", "tensorflow", "torch")]
first, second, third = models
print(first.embeddings.word_embeddings.weight.numpy().tobytes() == second.token_embedding.embeddings.numpy().tobytes()
      == third.embeddings.word_embeddings.weight.detach().numpy().tobytes())
"""
    assert said(program) == (0, ["True"])
