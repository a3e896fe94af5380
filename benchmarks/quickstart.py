"""What the quickstart reaches, as README shows it: held-out loss and accuracy of both kinds of masks, and the time it took.

    python benchmarks/quickstart.py [--record]

Installs nothing. The run is `wholeword train quickstart`, in a folder of its own that is removed afterwards.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path

from results import Results, add_option

from wholeword.core.config import load_recipe
from wholeword.core.config.job import resolve
from wholeword.core.console import observer
from wholeword.core.training.run import train


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    add_option(parser)
    arguments = parser.parse_args()
    results = Results("quickstart", claim="what `wholeword train quickstart` reaches on held-out text", peer="piece frequencies alone")
    with tempfile.TemporaryDirectory() as folder, observer() as console:
        begin = time.perf_counter()
        run = train(resolve(load_recipe("quickstart", overrides=[f"output={folder}/run", f"cache={folder}/cache"])), observer=console)
        seconds = time.perf_counter() - begin
        result = json.loads(Path(run, "result.json").read_text(encoding="utf-8"))
    entropy, most_frequent = result["unigram"]["entropy"], result["unigram"]["most_frequent_share"]
    results.add("unigram entropy", entropy, "nats")
    results.add("share of the most frequent piece", most_frequent, "")
    for masks in ("whole-word", "wordpiece"):
        loss, accuracy = result[masks]["mlm_loss"], result[masks]["mlm_accuracy"]
        results.add(f"{masks} masks, loss", loss, "nats")
        results.add(f"{masks} masks, loss below the unigram entropy", entropy - loss, "nats")
        results.add(f"{masks} masks, accuracy", accuracy, "")
        results.add(f"{masks} masks, accuracy over the share of the most frequent piece", accuracy / most_frequent, "x")
    results.add("wall time", seconds / 60, "min")
    for metric in results.metrics:
        print(f"{metric['name']:70} {metric['value']} {metric['unit']}")
    if arguments.record:
        results.write()


if __name__ == "__main__":
    main()
