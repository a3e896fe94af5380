"""A recipe that has a line for every section."""

RECIPE = """\
version: 1
name: small
corpus: {files: [wiki/*.txt]}
segmenter: jieba
tokenizer: {vocab: vocab.txt}
examples: nsp-pairs
masking: {name: whole-word, rate: 0.15}
model: {size: base}
optimizer: {name: adamw}
backend: {name: pytorch}
phases:
  - {max_seq_length: 128, batch_size: 256, steps: 1000, peak_lr: 1.0e-4}
evaluation: {held_out_rate: 0.01}
export: [pytorch-bin]
"""
