"""`wholeword export --to paddlenlp --verify`: paddlenlp loads the folder and computes with it, in a process of its own."""

import re
from pathlib import Path

import numpy as np
import pytest

from wholeword.cli import main
from wholeword.core.bert.config import model_config
from wholeword.core.bert.shapes import tensor_shapes
from wholeword.core.contracts import ModelFiles, Provenance
from wholeword.core.errors import IntegrityError
from wholeword.core.training.export import export
from wholeword.core.vocabulary import SPECIAL_PIECES, Vocabulary
from wholeword.zoo.verify import verify

VOCABULARY = Vocabulary([*SPECIAL_PIECES, *dict.fromkeys("使用语言模型来预测下一个词的。，图书馆新系统将于年月日上线")])


def random_model(*, next_sentence: bool = True) -> ModelFiles:
    """Every tensor has values of its own."""
    sizes = {"num_hidden_layers": 3, "hidden_size": 48, "num_attention_heads": 4, "max_position_embeddings": 40}
    config = model_config(sizes, vocab_size=len(VOCABULARY))
    generator = np.random.default_rng(3)
    weights = {name: generator.normal(0, 0.2, shape).astype(np.float32) for name, shape in tensor_shapes(config).items()}
    return ModelFiles(config, weights, VOCABULARY, True, next_sentence, Provenance(name="mine"))


@pytest.mark.parametrize("next_sentence", [True, False])
def test_a_good_export_is_verified_and_says_by_how_much(next_sentence: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    export(random_model(next_sentence=next_sentence), "tf-checkpoint", tmp_path / "source")
    main(["export", str(tmp_path / "source"), "--to", "paddlenlp", "-o", str(tmp_path / "out"), "--verify"])
    printed = capsys.readouterr().out
    figures = dict(re.findall(r"(hidden states|pooler|MLM logits|NSP logits) (\d\.\de-\d+)", printed))
    assert figures.keys() == {"hidden states", "pooler", "MLM logits"} | ({"NSP logits"} if next_sentence else set())
    assert all(0 < float(figure) < 1e-5 for figure in figures.values()), printed  # float32 beside float64
    assert re.search(r"paddlenlp: paddlenlp \d+\.\d+", printed)


@pytest.mark.parametrize(
    ("name", "output"),
    [
        ("bert/encoder/layer_1/output/dense/kernel", "hidden states"),
        ("bert/pooler/dense/bias", "pooler"),
        ("cls/predictions/output_bias", "MLM logits"),
        ("cls/seq_relationship/output_bias", "NSP logits"),
    ],
)
def test_one_wrong_number_is_found(name: str, output: str, tmp_path: Path) -> None:
    model = random_model()
    wrong = model.weights[name].copy()
    wrong.flat[0] += 1.0
    export(model._replace(weights=model.weights | {name: wrong}), "paddlenlp", tmp_path / "out")
    with pytest.raises(IntegrityError, match=f"paddlenlp computes different {output}"):
        verify(model, "paddlenlp", tmp_path / "out")


def test_a_damaged_folder_is_refused_in_one_line(tmp_path: Path) -> None:
    model = random_model()
    export(model, "paddlenlp", tmp_path / "out")
    (tmp_path / "out" / "model_state.pdparams").write_bytes(b"nothing")
    with pytest.raises(IntegrityError, match=r"paddlenlp cannot read .*out: .+") as caught:
        verify(model, "paddlenlp", tmp_path / "out")
    assert "\n" not in str(caught.value)
