"""The plugins that come with wholeword, offered through the same hooks as anybody's.

Named by the entry point `builtin` of the group `wholeword` in pyproject.toml.
"""

from wholeword.core.registry.hookspecs import Register, hookimpl


@hookimpl
def register_cleaners(register: Register) -> None:
    register("html", "wholeword.plugins.cleaning.html:Html")
    register("control-characters", "wholeword.plugins.cleaning.control_characters:ControlCharacters")
    register("quotes", "wholeword.plugins.cleaning.quotes:Quotes")
    register("full-width", "wholeword.plugins.cleaning.full_width:FullWidth")


@hookimpl
def register_corpus_formats(register: Register) -> None:
    register("sentences", "wholeword.plugins.corpus_formats.sentences:Sentences")
    register("text", "wholeword.plugins.corpus_formats.text:Text")
    register("jsonl", "wholeword.plugins.corpus_formats.jsonl:Jsonl")


@hookimpl
def register_segmenters(register: Register) -> None:
    register("jieba", "wholeword.plugins.segmenters.jieba:Jieba")
    register("ltp", "wholeword.plugins.segmenters.ltp:LTP", extra="ltp")
    register("presegmented", "wholeword.plugins.segmenters.presegmented:Presegmented")
    register("characters", "wholeword.plugins.segmenters.characters:Characters")


@hookimpl
def register_masking(register: Register) -> None:
    register("whole-word", "wholeword.plugins.masking.whole_word:WholeWord")
    register("wordpiece", "wholeword.plugins.masking.wordpiece:WordPiece")
    register("ngram", "wholeword.plugins.masking.spans:NGram")
    register("span", "wholeword.plugins.masking.spans:Span")
    register("lexicon", "wholeword.plugins.masking.lexicon:Lexicon")


@hookimpl
def register_backends(register: Register) -> None:
    register("pytorch", "wholeword.plugins.pytorch:PyTorch", extra="torch")
    register("tensorflow", "wholeword.plugins.tensorflow:TensorFlow", extra="tensorflow")


@hookimpl
def register_optimizers(register: Register) -> None:
    register("adamw", "wholeword.plugins.optimizers.adamw:AdamW")
    register("lamb", "wholeword.plugins.optimizers.lamb:Lamb")


@hookimpl
def register_optimizer_kernels(register: Register) -> None:
    register("adamw.pytorch", "wholeword.plugins.pytorch.optimizers:AdamW", extra="torch")
    register("adamw.tensorflow", "wholeword.plugins.tensorflow.optimizers:AdamW", extra="tensorflow")
    register("lamb.pytorch", "wholeword.plugins.pytorch.optimizers:Lamb", extra="torch")
    register("lamb.tensorflow", "wholeword.plugins.tensorflow.optimizers:Lamb", extra="tensorflow")


@hookimpl
def register_schedules(register: Register) -> None:
    register("bert-linear", "wholeword.plugins.schedules.bert_linear:BertLinear")
    register("constant", "wholeword.plugins.schedules.constant:Constant")
    register("cosine", "wholeword.plugins.schedules.cosine:Cosine")
    register("warmup-stable-decay", "wholeword.plugins.schedules.warmup_stable_decay:WarmupStableDecay")
    register("inverse-square-root", "wholeword.plugins.schedules.inverse_square_root:InverseSquareRoot")


@hookimpl
def register_trackers(register: Register) -> None:
    register("tensorboard", "wholeword.plugins.trackers.tensorboard:TensorBoard", extra="tensorboard")
    register("wandb", "wholeword.plugins.trackers.wandb:WandB", extra="wandb")
    register("swanlab", "wholeword.plugins.trackers.swanlab:SwanLab", extra="swanlab")
    register("mlflow", "wholeword.plugins.trackers.mlflow:MLflow", extra="mlflow")


@hookimpl
def register_exporters(register: Register) -> None:
    register("pytorch-bin", "wholeword.exporters.pytorch_bin:PyTorchBin", extra="torch")
    register("paddlenlp", "wholeword.exporters.paddlenlp:PaddleNLP")
    register("paddlehub-module", "wholeword.exporters.paddlehub_module:PaddleHubModule")
    register("tf-checkpoint", "wholeword.exporters.tf_checkpoint:TFCheckpoint")
    register("tf-checkpoint-zip", "wholeword.exporters.tf_checkpoint:TFCheckpointZip")


@hookimpl
def register_tasks(register: Register) -> None:
    register("chnsenticorp", "wholeword.plugins.tasks.classification:chnsenticorp")
    register("thucnews", "wholeword.plugins.tasks.classification:thucnews")
    register("thucnews-title", "wholeword.plugins.tasks.classification:thucnews_title")
    register("xnli", "wholeword.plugins.tasks.classification:xnli")
    register("ocnli", "wholeword.plugins.tasks.classification:ocnli")
    register("lcqmc", "wholeword.plugins.tasks.classification:lcqmc")
    register("bq", "wholeword.plugins.tasks.classification:bq")
    register("cmrc2018", "wholeword.plugins.tasks.spans:cmrc2018")
    register("drcd", "wholeword.plugins.tasks.spans:drcd")
    register("cjrc", "wholeword.plugins.tasks.spans:cjrc")
    register("msra-ner", "wholeword.plugins.tasks.tagging:msra_ner")
    register("peoples-daily-ner", "wholeword.plugins.tasks.tagging:peoples_daily_ner")
    register("classification", "wholeword.plugins.tasks.classification:classification")
    register("pairs", "wholeword.plugins.tasks.classification:pairs")
    register("spans", "wholeword.plugins.tasks.spans:spans")
    register("tagging", "wholeword.plugins.tasks.tagging:tagging")


@hookimpl
def register_zoo_sources(register: Register) -> None:
    register("folder", "wholeword.zoo.folder:Folder")
    register("zoo", "wholeword.zoo.find:Zoo")
