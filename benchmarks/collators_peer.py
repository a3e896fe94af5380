"""Run by collators.py in an environment with transformers 4: its collator on the same rows, some batches per line of standard input."""

import gc
import json
import os
import sys
import time
import warnings

os.environ["HF_HUB_OFFLINE"] = "1"
warnings.filterwarnings("ignore")  # its own deprecation notice

import torch  # noqa: E402
import transformers  # noqa: E402


def main() -> None:
    torch.set_num_threads(1)
    folder, name = sys.argv[1:]
    tokenizer = getattr(transformers, name)(f"{folder}/vocab.txt")
    collator = transformers.DataCollatorForWholeWordMask(tokenizer=tokenizer, mlm_probability=0.15)
    with open(f"{folder}/rows.json", encoding="utf-8") as file:
        batches = json.load(file)
    gc.freeze()
    print("ready", flush=True)
    for line in sys.stdin:
        numbers = list(map(int, line.split()))
        begin = time.process_time()
        for number in numbers:
            collator(batches[number])
        print(time.process_time() - begin, flush=True)


if __name__ == "__main__":
    main()
