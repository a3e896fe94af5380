"""Every problem of a recipe has one clear message, at its line and column."""

import pytest
from small_recipe import RECIPE

# from this line on the recipe says this, ▸ is the place of the problem, and these words are in it
BROKEN = [
    (1, "version: ▸2", "version: 2; expected 1 (version of the recipe format)"),
    (1, "# no version\n▸name: small", "version: missing; expected 1"),
    (2, "name: ▸Small Model", "expected text (name of the run: lower-case letters, digits, '.', '_', '-'); did you mean small-model?"),
    (2, "▸nmae: small", "nmae: unknown setting; did you mean 'name'?"),
    (14, "export: []\n▸export: []", "export: duplicate entry (first on line 14); keep one"),
    (3, "corpus: {files: ▸wiki.txt}", "corpus.files: 'wiki.txt' is text; expected a list of text"),
    (3, "corpus: {files: ▸[]}", "corpus.files: an empty list; expected a list of text"),
    (3, "corpus: {files: [a.txt], format: ▸txt}", "corpus.format.name: unknown corpus_format 'txt'; did you mean 'text'?"),
    (3, "corpus: {files: [a.txt], text_key: ▸body}", "corpus.text_key: only valid for format: jsonl"),
    (3, "corpus: {files: [a.txt], format: jsonl, documents: ▸line}", "corpus.documents: every line of jsonl is a document"),
    (3, "corpus: ▸[a.txt]", "corpus: a list; expected settings as key: value (files, format, documents"),
    (3, "corpus: {files: [a.txt], cleaning: ▸html}", "corpus.cleaning: 'html' is text; expected a list of"),
    (3, "corpus: {files: [a.txt], cleaning: [html, ▸qoutes]}", "corpus.cleaning.1.name: unknown cleaner 'qoutes'; did you mean 'quotes'?"),
    (3, "corpus: {files: [a.txt], cleaning: [html, {name: full-width, ▸punctuatoin: true}]}",
     "corpus.cleaning.1.punctuatoin: unknown setting; did you mean 'punctuation'?"),
    (3, "corpus: {files: [a.txt], cleaning: [{name: full-width, punctuation: ▸yes}]}", "'yes' is text; expected true or false"),
    (3, "corpus: {files: [a.txt], cleaning: [{name: full-width}, {name: html, ▸punctuation: true}]}",
     "corpus.cleaning.1.punctuation: unknown setting; did you mean 'corpus.cleaning.0.punctuation'?"),
    (3, "corpus: {files: [a.txt], cleaning: [quotes, {▸nmae: html}]}", "corpus.cleaning.1.nmae: unknown setting; did you mean 'name'?"),
    (3, "corpus: {files: [a.txt], cleaning: [▸5]}", "corpus.cleaning.0: 5; expected text or settings as key: value"),
    (3, "corpus: {files: [a.txt], ▸cleanning: [html]}", "corpus.cleanning: unknown setting; did you mean 'cleaning'?"),
    (4, "segmenter: ▸jeiba", "segmenter.name: unknown segmenter 'jeiba'; did you mean 'jieba'?"),
    (4, "segmenter: ▸5", "segmenter: 5; expected text or settings as key: value (plugin that splits sentences into words)"),
    (4, "segmenter: {▸nmae: jieba}", "segmenter.nmae: unknown setting; did you mean 'name'?"),
    (5, "tokenizer: {vocab: vocab.txt, train: ▸8000}", "tokenizer.train: both vocab and train are given; keep one"),
    (5, "tokenizer: ▸{lowercase: true}", "tokenizer: neither vocab nor train"),
    (5, "tokenizer: {train: ▸017}", "tokenizer.train: '017' is text; expected a whole number of at least 64"),
    (5, "tokenizer: {vocab: ▸zoo:bert-base-chinise}", "bert-base-chinise: unknown model; did you mean 'bert-base-chinese'?"),
    (5, "tokenizer: {vocab: v.txt, lowercase: ▸no}", "tokenizer.lowercase: 'no' is text; expected true or false"),
    (5, "tokenizer: {▸vocabulary: v.txt}", "tokenizer.vocabulary: unknown setting; did you mean 'vocab'?"),
    (8, "model: {▸sise: base}", "model.sise: unknown setting; did you mean 'size'?"),
    (6, "examples: ▸nsp_pairs", "examples.name: 'nsp_pairs'; expected one of nsp-pairs, sop-pairs, full-sentences, doc-sentences"),
    (7, "masking: {name: whole-word, rate: ▸15}", "15 is not a share; expected a number of at least 0 and at most 1; did you mean 0.15?"),
    (7, "masking: {name: whole-word, rate: ▸'0.15'}", "masking.rate: '0.15' is text; expected a number"),
    (7, "masking: {name: whole-word, rate: ▸0}", "masking.rate: 0 masks nothing"),
    (7, "masking: {name: whole-word, ▸ngram: 3}", "masking.ngram: unknown setting; expected one of name, dynamic, dupe_factor, fallback"),
    (7, "masking: {name: whole-word, dynamic: ▸1}", "masking.dynamic: 1; expected true or false"),
    (7, "masking: {name: whole-word, budget: ▸gogle}", "'gogle'; expected one of google, bernoulli, exact; did you mean google?"),
    (7, "masking: {name: ngram, replacement: ▸piece}", "masking.replacement: 'piece'; expected one of token, word, span"),
    (7, "masking: ▸{name: lexicon}", "masking.words: missing; lexicon needs it"),
    (13, "evaluation: {held_out_rate: 0.1, maskings: [▸lexicon]}", "evaluation.maskings.0: lexicon needs the setting 'words'"),
    (14, "compat: ▸googel", "compat: 'googel' is text; expected google (google: reproduce rows and masks"),
    (6, "examples: ▸doc-sentences\ncompat: google", "examples.name: doc-sentences does not work with compat: google; expected nsp-pairs"),
    (6, "compat: google\nmasking: ▸ngram", "masking.name: ngram does not work with compat: google; expected whole-word or"),
    (6, "compat: google\nmasking: {name: wordpiece, dynamic: ▸true}",
     "masking.dynamic: true does not work with compat: google; expected false"),
    (6, "compat: google\nmasking: {name: whole-word, rate: 0.2, wordpiece_rate: ▸0.5}",
     "masking.wordpiece_rate: 0.5 does not work with compat: google, which only supports rate; remove wordpiece_rate or compat"),
    (6, "compat: google\nmasking: {name: wordpiece, random_pool: ▸live, budget: google}",
     "masking.random_pool: live does not work with compat: google"),
    (8, "model: {size: ▸bsae}", "model.size: 'bsae'; expected one of tiny, mini, small, rbt3, rbt4, rbt6, rbtl3, base, large"),
    (8, "model: ▸{init: random}", "model: neither size nor hidden_size, num_hidden_layers, num_attention_heads"),
    (8, "model: {size: base, num_attention_heads: ▸5}", "model.num_attention_heads: 768 is not a multiple of"),
    (8, "model: {size: base, type_vocab_size: ▸1}", "model.type_vocab_size: 1, but nsp-pairs have two segments"),
    (8, "model: {size: base, max_position_embeddings: 64}\n\n\nphases:\n  - {max_seq_length: ▸99, batch_size: 2, steps: 9, peak_lr: 1}",
     "99 pieces, but the model has 64 positions"),
    (8, "model: {size: rbt3, init: {from: roberta, layers: ▸[0, 1]}}", "2 layers given for a model with 3; expected one for each"),
    (8, "model: {size: rbt3, freeze: ▸encoder}", "encoder of a randomly initialised model would stay random; add init: with a folder"),
    (8, "model: {size: rbt3, init: {layers: ▸[0, 1, 2]}}", "layers given for a randomly initialised model; add from: with a folder"),
    (8, "model: {size: base, hidden_dropout_prob: ▸10}", "10 is not a share; expected a number of at least 0 and under 1 (0.1 by default)"),
    (9, "optimizer: {name: adamw, ▸learning_rate: 1e-4}", "optimizer.learning_rate: unknown setting; did you mean 'phases.0.peak_lr'?"),
    (9, "optimizer: {name: adamw, ▸weigth_decay: 0.1}", "optimizer.weigth_decay: unknown setting; did you mean 'weight_decay'?"),
    (9, "optimizer: {name: lamb, variant: ▸hlf}", "optimizer.variant: 'hlf'; expected one of hfl, google, tfa, nvlamb; did you mean hfl?"),
    (10, "backend: {name: pytorch, precision: ▸fp16}", "backend.precision: 'fp16'; expected one of auto, fp32, bf16"),
    (10, "backend: {name: pytorch, micro_batch_size: ▸1.5}", "backend.micro_batch_size: 1.5; expected a whole number or null"),
    (12, "  - {max_seq_length: 128, batch_size: 8, steps: ▸1e5, peak_lr: 1e-4}", "of at least 1 (optimizer steps); did you mean 100000?"),
    (12, "  - {max_seq_length: 128, batch_size: 256, ▸step: 10, peak_lr: 1e-4}", "phases.0.step: unknown setting; did you mean 'steps'?"),
    (12, "  - ▸{max_seq_length: 128, batch_size: 8, peak_lr: 1e-4}", "phases.0.steps: missing; expected a whole number of at least 1"),
    (12, "  - {max_seq_length: 128, batch_size: 256, steps: ▸100_000, peak_lr: 1e-4}", "'100_000' is text; expected a whole number"),
    (12, "  - {max_seq_length: 128, batch_size: 8, steps: 1, peak_lr: ▸15}", "15; expected a number over 0 and at most 1"),
    (12, "  - {max_seq_length: 128, batch_size: 256, steps: 10, peak_lr: 1e-4, warmup_steps: ▸11}", "11 steps of warm-up in a phase of 10"),
    (12, "  - {max_seq_length: 64, batch_size: 8, steps: 9, peak_lr: 1, max_predictions: ▸75}", "75 positions in a row of 64 pieces"),
    (12, "  - {max_seq_length: ▸1024, batch_size: 256, steps: 10, peak_lr: 1e-4}", "1024 pieces, but the model has 512 positions"),
    (12, "  - {max_seq_length: 128, batch_size: 8, steps: 9, peak_lr: 1, ▸rate: 0.15}", "unknown setting; did you mean 'masking.rate'?"),
    (11, "phases: ▸3\n", "phases: 3; expected a list of settings as key: value (one or more phases of training"),
    (11, "phases: [{max_seq_length: 128, batch_size: 8, steps: 9, peak_lr: 1}, ▸3]\n", "phases.1: 3; expected settings as key: value"),
    (13, "evaluation: {every: ▸100}", "evaluation.every: no documents are held out to evaluate on"),
    (13, "evaluation: {maskings: ▸[wordpiece]}", "evaluation.maskings: no documents are held out to evaluate on"),
    (13, "evaluation: {held_out_rate: 0.1, maskings: [▸wordpeice]}", "unknown masking 'wordpeice'; did you mean 'wordpiece'?"),
    (13, "evaluation: {held_out_rate: ▸2}", "2 is not a share; expected a number of at least 0 and under 1"),
    (13, "evaluation: {fill_mask: [▸'今天[CLS][MASK]很好。']}", "evaluation.fill_mask.0: '今天[CLS][MASK]很好。': [CLS] within the text"),
    (13, "evaluation: {fill_mask: [▸今天天气很好。]}", "evaluation.fill_mask.0: no [MASK] in '今天天气很好。'"),
    (13, "checkpoint: {every: ▸0}", "checkpoint.every: 0; expected a whole number of at least 1 (steps between checkpoints)"),
    (13, "▸batch_size: 32", "batch_size: unknown setting; did you mean 'phases.0.batch_size'?"),
    (14, "export: [pytorch-bin, ▸pytorch-bin]", "export.1: 'pytorch-bin' appears 2 times; keep one"),
    (14, "export: [▸onxx]", "export.0: unknown exporter 'onxx'"),
    (14, "export: ▸pytorch-bin", "a list of text or settings as key: value (exporters to run at the end; by default "
     "tf-checkpoint for the backend tensorflow, pytorch-bin for others); did you mean [pytorch-bin]?"),
    (14, "clip_norm:▸", "clip_norm: no value; expected a number over 0"),
    (14, "seed: ▸-1", "seed: -1; expected a whole number of at least 0"),
    (14, "▸optimiser: adamw", "optimiser: unknown setting; did you mean 'optimizer'?"),
]  # fmt: skip


@pytest.mark.parametrize(("number", "lines", "words"), BROKEN, ids=[case[1] for case in BROKEN])
def test_a_broken_line_has_one_clear_answer(load, number, lines, words):
    marked = RECIPE.splitlines()
    marked[number - 1 : number + lines.count("\n")] = lines.split("\n")
    line, text = next((line, text) for line, text in enumerate(marked, 1) if "▸" in text)
    problems = load.problems(text="\n".join(marked).replace("▸", ""))
    assert len(problems) == 1, problems
    assert problems[0].startswith(f"recipe.yaml:{line}:{text.index('▸') + 1}: "), problems
    assert words in problems[0]


def test_all_problems_come_at_once_by_place(load):
    problems = load.problems(
        {
            2: "name: Small",
            4: "segmenter: {name: jieba, dict: x}",
            7: "masking: {name: whole-word, rate: 15}",
            8: "model: {sise: base, init: random}",
            12: "  - {max_seq_length: 128, batch_size: 0, steps: 10, peak_lr: 1e-4, warmup_step: 11}\n"
            "  - {max_seq_length: 128, batch_size: 8, steps: 10, peak_lr: 1e-4}",
            13: "evaluation: {every: 100}",
            14: "expert: []",
        },
        "checkpoint.keep=0",
    )
    assert [problem.split(": ")[:2] for problem in problems] == [
        ["--set checkpoint.keep=0", "checkpoint.keep"],
        ["recipe.yaml:2:7", "name"],
        ["recipe.yaml:4:26", "segmenter.dict"],
        ["recipe.yaml:7:35", "masking.rate"],
        ["recipe.yaml:8:9", "model.sise"],
        ["recipe.yaml:12:39", "phases.0.batch_size"],
        ["recipe.yaml:12:68", "phases.0.warmup_step"],
        ["recipe.yaml:14:21", "evaluation.every"],
        ["recipe.yaml:15:1", "expert"],
    ]
