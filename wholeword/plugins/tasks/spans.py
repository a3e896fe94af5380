"""Questions answered by a span of a context: SQuAD's JSON, and the form in which CMRC 2018 was first released."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from wholeword.core.contracts.tasks import Answer, SpanExample
from wholeword.core.errors import UserError
from wholeword.core.text_files import TextFile, parse_json, printable, quoted
from wholeword.plugins.tasks import editions
from wholeword.plugins.tasks.files import Dataset, FileTask, Reading, own_data
from wholeword.plugins.tasks.questions import UNKNOWN, Question, read_questions, unread_keys

NO_SPAN = ("YES", "NO")  # CJRC's answers to yes-or-no questions
PLACEHOLDER = re.compile(r"fake[_ -]?answers?([_ -]?\d+)?", re.I)  # FAKE_ANSWER_1 in CLUE's cmrc2018 test.json

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
    editions.CMRC2018,
    (),
    DEFAULTS,
)
DRCD = Dataset(
    "DRCD",
    "https://github.com/DRCKnowledgeTeam/DRCD",
    "CC BY-SA 3.0",
    editions.DRCD,
    (),
    DEFAULTS,
)
CJRC = Dataset(
    "CJRC",
    "http://cail.cipsc.org.cn (CAIL 2019; the seeds' own split was never given out)",
    "for research",
    editions.CJRC,
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


def spans(*, data: Path, dev_rate: float | None = None) -> FileTask:
    """Your own questions: train.json, dev.json and test.json in SQuAD's form.

    `data` may be one file, of which `dev_rate` holds a part back; questions about one context stay together.
    """
    return FileTask(own_data("spans", OWN, DEFAULTS), data, head="span", read=read_spans, dev_rate=dev_rate)


def read_spans(text: TextFile) -> Reading:
    """Read questions; a wrong `answer_start` is replaced by the nearest occurrence of the text.

    The notes count wrong ones. An answer that is not in the context cannot be learnt, but counts when predictions are scored. If all
    answers of a file are placeholders or empty, as those of CLUE's test file are, they are hidden: its questions have none. In other
    files, a question whose answers are placeholders has none, and one with an empty answer is left out.
    """
    content = parse_json(text)
    questions = list(read_questions(content, str(text.path)))
    hidden = [bool(item.answers) and all(_is_placeholder(answer.text) for answer in item.answers) for item in questions]
    empty = [
        bool(item.answers) and all(not answer.text.strip() or _is_placeholder(answer.text) for answer in item.answers) for item in questions
    ]
    unanswerable = any(item.impossible for item in questions)
    if questions and not unanswerable and all(is_empty or not item.answers for item, is_empty in zip(questions, empty, strict=True)):
        hidden = empty
    elif not any(map(_may_be_answered, questions)):
        hidden = [bool(item.answers) for item in questions]
    examples: list[SpanExample] = []
    counts: Counter[str] = Counter()
    for item, is_hidden in zip(questions, hidden, strict=True):
        if is_hidden:
            examples.append(SpanExample(item.id, item.question, item.context))
        elif item.impossible or _is_yes_or_no(item) or not all(answer.text.strip() for answer in item.answers):
            counts["left out"] += 1
        else:
            answers = tuple(Answer(answer.text, find_answer(item.context, answer.text, answer.start)) for answer in item.answers)
            counts.update(_kinds_of(item, answers))
            examples.append(SpanExample(item.id, item.question, item.context, answers))
    for id, count in Counter(example.id for example in examples).items():
        if count > 1:
            raise UserError(f"{text.path}: question {quoted(id)} appears {count} times; expected a different id for each question")
    if counts["moved"] or counts["lost"]:
        places = f"{counts['moved']} found elsewhere in the context, {counts['lost']} nowhere"
        wrong = counts["moved"] + counts["lost"]
        text.notes.append(f"{wrong:,} of {counts['answers']:,} answers are not where answer_start says: {places}")
    if counts["left out"]:
        text.notes.append(f"{counts['left out']:,} of {len(questions):,} questions are left out: no span answers them")
    unread = [f"keys not read: {printable(keys)}"] if (keys := unread_keys(content)) else []
    return Reading(examples, [*unread, *_descriptions(questions, hidden, counts)])


def _is_placeholder(text: str) -> bool:
    return PLACEHOLDER.fullmatch(text) is not None


def _may_be_answered(item: Question) -> bool:
    """Not where an answer is neither in the context nor said to be: a placeholder of another form."""
    return item.impossible or _is_yes_or_no(item) or any(answer.start >= 0 or answer.text in item.context for answer in item.answers)


def _is_yes_or_no(item: Question) -> bool:
    return any(answer.text.strip().upper() in NO_SPAN and answer.start < 0 for answer in item.answers)


def _kinds_of(item: Question, answers: Sequence[Answer]) -> Iterator[str]:
    for given, answer in zip(item.answers, answers, strict=True):
        yield "answers"
        if given.was_number:
            yield "numbers"
        if answer.start is None:
            yield "lost"
        elif given.start == UNKNOWN:
            yield "searched"
            if item.context.count(answer.text) > 1:
                yield "ambiguous"
        elif given.start != answer.start:
            yield "moved"


def _descriptions(questions: Sequence[Question], hidden: Sequence[bool], counts: Counter[str]) -> Iterator[str]:
    if any(hidden):
        texts = (answer.text for item, is_hidden in zip(questions, hidden, strict=True) if is_hidden for answer in item.answers)
        example = next((printable([text]) for text in texts if text), "empty")
        yield f"the answers to {sum(hidden):,} of {len(questions):,} questions are hidden ({example}): they are predicted, not scored"
    if counts["numbers"]:
        yield f"{counts['numbers']:,} answers are numbers and read as text (2018.0 is '2018.0'), as the official script does"
    if counts["searched"]:
        often = f"; {counts['ambiguous']:,} occur more than once, and the first place is taken" if counts["ambiguous"] else ""
        yield f"{counts['searched']:,} of {counts['answers']:,} answers have no answer_start and were searched for{often}"


def find_answer(context: str, answer: str, start: int) -> int | None:
    """The first character of the answer: `start` if it is there, else its nearest occurrence; None if it is not in the context."""
    if start >= 0 and context.startswith(answer, start):
        return start
    after = context.find(answer, max(start, 0))
    before = context.rfind(answer, 0, max(start, 0) + len(answer))
    places = [place for place in (before, after) if place >= 0]
    return min(places, key=lambda place: abs(place - start), default=None)
