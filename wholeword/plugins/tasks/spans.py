"""Questions answered by a span of a context: SQuAD's JSON, and the format in which CMRC 2018 was first released."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from wholeword.core.contracts.tasks import Answer, SpanExample
from wholeword.core.errors import UserError
from wholeword.plugins.tasks.files import Dataset, File, FileTask, Text, own_data, parse_json

NO_SPAN = ("YES", "NO")  # CJRC's answers to yes-or-no questions
UNKNOWN = -1  # no answer_start

# learning rates: the seeds' table of best values; stride and longest answer: baseline of ymcui/cmrc2018; batch size, epochs and length
# assumed (recalled from the paper's table, not read again)
DEFAULTS: Mapping[str, Any] = {
    "learning_rate": 3e-5,
    "batch_size": 64,
    "epochs": 2,
    "max_seq_length": 512,
    "doc_stride": 128,
    "warmup_rate": 0.1,
}

CMRC2018 = Dataset(
    "CMRC 2018",
    "https://github.com/ymcui/cmrc2018 (squad-style-data)",
    "CC BY-SA 4.0",
    {
        "train": File(
            ("cmrc2018_train.json", "train-pseudo-cmrc2018.json"),
            (10_142, 10_321),
            ("23ac5ce2d7b3ecc0edee5a677734556c78ff726639366523ff89dd7c81d47867",),
        ),
        "dev": File(("cmrc2018_dev.json",), (3_219,), ("e9ff74231f05c230c6fa88b84441ee334d97234cbb610991cd94b82db00c7f1f",)),
        "trial": File(("cmrc2018_trial.json",), (1_002,), ("f3fae95b57da8e03afb2b57467dd221417060ef4d82db13bf22fc88589f3a6f3",)),
        "test": File(("cmrc2018_test.json",)),  # hidden; scored by its makers
    },
    (),
    DEFAULTS,
)
DRCD = Dataset(
    "DRCD",
    "https://github.com/DRCKnowledgeTeam/DRCD",
    "CC BY-SA 3.0",
    {
        "train": File(("DRCD_training.json",), (26_936,)),
        "dev": File(("DRCD_dev.json",), (3_524,), ("e236df03861ba241bd7b29628cd48b3b8e339c60137e041a4358b5320ed61928",)),
        "test": File(("DRCD_test.json",), (3_493,)),
    },
    (),
    DEFAULTS,
)
CJRC = Dataset(
    "CJRC",
    "http://cail.cipsc.org.cn (CAIL 2019; the seeds' own split was never given out)",
    "for research",
    {
        "train": File(("train.json", "big_train_data.json")),
        "dev": File(("dev.json", "dev_ground_truth.json")),
        "test": File(("test.json", "test_ground_truth.json")),
    },
    (),
    {**DEFAULTS, "learning_rate": 4e-5},
)
OWN = {split: (f"{split}.json",) for split in ("train", "dev", "test")}


def cmrc2018(*, data: Path, check: bool = True) -> FileTask:
    """Chinese Wikipedia."""
    return FileTask(CMRC2018, data, head="span", read=read_spans, check=check)


def drcd(*, data: Path, check: bool = True) -> FileTask:
    """Chinese Wikipedia in traditional characters."""
    return FileTask(DRCD, data, head="span", read=read_spans, check=check)


def cjrc(*, data: Path, check: bool = True) -> FileTask:
    """Court judgments; questions that no span answers are left out."""
    return FileTask(CJRC, data, head="span", read=read_spans, check=check)


def spans(*, data: Path) -> FileTask:
    """Your own questions: train.json, dev.json and test.json in SQuAD's form."""
    return FileTask(own_data("spans", OWN, DEFAULTS), data, head="span", read=read_spans)


class _Question(NamedTuple):
    id: str
    question: str
    context: str
    answers: list[tuple[str, int]]
    impossible: bool


def read_spans(text: Text) -> list[SpanExample]:
    """Read questions; a wrong `answer_start` is replaced by the nearest occurrence of the text.

    The notes count wrong ones. An answer that is not in the context cannot be learnt, but counts when predictions are scored.
    """
    content = parse_json(text)
    try:
        questions = list(_original(content) if isinstance(content, list) else _squad(content))
    except (KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{text.path}: {type(error).__name__}: {error}; expected SQuAD's data / paragraphs / context and qas") from None
    examples: list[SpanExample] = []
    known = moved = lost = left_out = 0
    for item in questions:
        is_yes_or_no = any(answer.strip().upper() in NO_SPAN and start < 0 for answer, start in item.answers)
        if item.impossible or is_yes_or_no or not all(answer for answer, _ in item.answers):
            left_out += 1
            continue
        answers = tuple(Answer(answer, find_answer(item.context, answer, start)) for answer, start in item.answers)
        known += len(answers)
        lost += sum(answer.start is None for answer in answers)
        pairs = zip(answers, item.answers, strict=True)
        moved += sum(answer.start is not None and start not in (answer.start, UNKNOWN) for answer, (_, start) in pairs)
        examples.append(SpanExample(item.id, item.question, item.context, answers))
    if len({example.id for example in examples}) != len(examples):
        raise UserError(f"{text.path}: an id appears twice; expected a different one for each question")
    if moved or lost:
        counts = f"{moved} found elsewhere in the context, {lost} nowhere"
        text.notes.append(f"{moved + lost:,} of {known:,} answers are not where answer_start says: {counts}")
    if left_out:
        text.notes.append(f"{left_out:,} of {len(questions):,} questions are left out: no span answers them")
    return examples


def find_answer(context: str, answer: str, start: int) -> int | None:
    """The first character of the answer: `start` if it is there, else its nearest occurrence; None if it is not in the context."""
    if start >= 0 and context.startswith(answer, start):
        return start
    after = context.find(answer, max(start, 0))
    before = context.rfind(answer, 0, max(start, 0) + len(answer))
    places = [place for place in (before, after) if place >= 0]
    return min(places, key=lambda place: abs(place - start), default=None)


def _squad(content: Mapping[str, Any]) -> Iterator[_Question]:
    for article in content["data"]:
        for paragraph in article["paragraphs"]:
            for item in paragraph["qas"]:
                answers = [(answer["text"], int(answer.get("answer_start", UNKNOWN))) for answer in item.get("answers", ())]
                impossible = str(item.get("is_impossible", False)).lower() == "true"
                yield _Question(str(item["id"]).strip(), item["question"], paragraph["context"], answers, impossible)


def _original(content: list[Mapping[str, Any]]) -> Iterator[_Question]:
    for paragraph in content:
        for item in paragraph["qas"]:
            answers = [(answer, UNKNOWN) for answer in item.get("answers", ())]
            yield _Question(str(item["query_id"]).strip(), item["query_text"], paragraph["context_text"], answers, False)
