"""A recipe over the small corpus, for the tests of reports."""

import pytest
from report_parts import DOCUMENTS, SMALL

RECIPE = """
version: 1
name: small
corpus: {{files: [corpus.txt]}}
tokenizer: {{vocab: {vocabulary}}}
examples: nsp-pairs
masking: {{name: {masking}, rate: 0.2, dynamic: true}}
model: {{size: tiny}}
phases:
  - {{max_seq_length: 32, batch_size: 4, steps: 1, peak_lr: 1.0e-4}}
  - {{max_seq_length: 64, batch_size: 4, steps: 1, peak_lr: 1.0e-4}}
output: {folder}/run
"""


@pytest.fixture
def recipe(tmp_path):
    """A recipe over the small corpus, as a path."""
    (tmp_path / "corpus.txt").write_text("\n\n".join("\n".join(document) for document in DOCUMENTS), encoding="utf-8")
    path = tmp_path / "small.yaml"
    path.write_text(RECIPE.format(vocabulary=SMALL / "vocab.txt", folder=tmp_path, masking="whole-word"), encoding="utf-8")
    return path
