"""The tasks' readers, on small files in the original formats written by hand (tests/data/tasks), and on the real ones."""

import os
from itertools import count
from pathlib import Path

import pytest

from wholeword.core.contracts.tasks import Answer, SpanExample, TaggedExample, TextExample
from wholeword.core.errors import UserError
from wholeword.core.registry.registry import registry
from wholeword.core.testing import check_task
from wholeword.plugins.tasks.spans import find_answer

SMALL = Path(__file__).parents[1] / "data" / "tasks"
OWN = ("classification", "pairs", "spans", "tagging")  # a user's own files: any number of rows
PUBLISHED = sorted({path.name for path in SMALL.iterdir()} - set(OWN))
REAL = {
    "chnsenticorp": {"train": 9_600, "dev": 1_200, "test": 1_200},
    "thucnews-title": {"dev": 10_000},
    "ocnli": {"train": 9_985, "dev": 2_950},  # without those that have no decided label
    "lcqmc": {"dev": 8_802},
    "bq": {"dev": 10_000},
    "cmrc2018": {"train": 10_142, "dev": 3_219, "trial": 1_002},
    "drcd": {"dev": 3_524},
}
needs_data = pytest.mark.skipif("WHOLEWORD_DATA" not in os.environ, reason="WHOLEWORD_DATA is unset: no real data")


def small(name, **settings):
    return registry.create("task", name, data=SMALL / name, **({} if name in OWN else {"check": False}), **settings)


def real(name):
    return registry.create("task", name, data=Path(os.environ["WHOLEWORD_DATA"], name.replace("-", "_")))


def test_every_task_has_a_small_file():
    assert registry.names("task") == sorted([*PUBLISHED, *OWN])


@pytest.mark.parametrize("name", [*PUBLISHED, *OWN])
def test_our_tasks_keep_the_contract(name):
    check_task(small(name))


@needs_data
@pytest.mark.parametrize("name", REAL)
def test_real_files_are_what_was_published(name):
    task = real(name)
    check_task(task)
    assert {split: len(task.read(split)) for split in task.splits} == REAL[name]
    assert not any("sha256" in note for note in task.notes)


@pytest.mark.parametrize(
    ("name", "split", "expected"),
    [
        ("chnsenticorp", "train", TextExample("3", '"隔音"太差，一夜没睡好。', None, "0")),  # a quotation mark is text
        ("thucnews", "train", TextExample("2", "新手机的电池可以换了。", None, "科技")),
        ("thucnews-title", "dev", TextExample("2", "主队2:1取胜", None, "sports")),
        ("xnli", "train", TextExample("3", '她 说 "不" 。', "她 同意 了 。", "contradiction")),
        ("xnli", "dev", TextExample("4", "门开着。", "门关着。", "contradiction")),  # of all languages, Chinese
        ("ocnli", "dev", TextExample("3", "会议推迟了。", "会议照常举行。", "contradiction")),
        ("ocnli", "test", TextExample("1", "他走了。", "他还在。", None)),
        ("lcqmc", "dev", TextExample("2", "这花叫什么名字", "这首歌叫什么名字", "0")),
        ("lcqmc", "train", TextExample("2", "几点开门", "什么时候开门", "1")),  # with a header line and carriage returns
        ("bq", "dev", TextExample("3", "额度是多少,能提吗", "怎样注销", "0")),
        ("classification", "test", TextExample("2", "一般", None, None)),
        ("pairs", "train", TextExample("3", "几点了", "去哪里", "0")),
        ("cjrc", "dev", SpanExample("C1", "被告何时借款？", "被告2015年3月向原告借款，至今未还。", (Answer("2015年3月", 2),))),
        ("msra-ner", "test", TaggedExample("0", tuple("王芳去了上海"), ("B-PER", "I-PER", "O", "O", "B-LOC", "I-LOC"))),
        ("peoples-daily-ner", "train", TaggedExample("1", (" ", "京"), ("O", "B-LOC"))),  # a blank has its tag too
        ("tagging", "train", TaggedExample("1", ("他", "去", "纽", "约"), ("S-PER", "O", "B-LOC", "E-LOC"))),
    ],
)
def test_the_last_example_of_a_split_or_a_telling_one(name, split, expected):
    assert expected in small(name).read(split)


def test_labels_of_own_data_are_those_of_the_training_file_or_as_given():
    assert small("classification").labels == sorted(["正面", "负面", "中性"])
    assert small("classification", labels=["负面", "中性", "正面"]).labels == ["负面", "中性", "正面"]
    assert small("tagging").labels == ["O", "B-LOC", "E-LOC", "S-PER"]
    with pytest.raises(UserError, match=r"train\.jsonl: example 3 is '中性'; expected one of 负面, 正面"):
        small("classification", labels=["负面", "正面"]).read("train")


def test_answers_that_are_not_where_they_should_be_are_searched_for():
    task = small("cmrc2018")
    first, second, third = task.read("dev")
    assert first.answers == (Answer("1998年", 7), Answer("1998", 7))
    assert second.answers == (Answer("四个", 28),)
    assert third.answers == (Answer("城里最大", 34), Answer("很大", None))
    task.read("dev")
    assert task.notes == [f"{SMALL}/cmrc2018/cmrc2018_dev.json: 2 of 5 answers are not where answer_start says: "
                          "1 found elsewhere in the context, 1 nowhere", *task.notes[1:]]  # fmt: skip
    assert find_answer("天天向上，天天", "天天", 4) == 5 and find_answer("天天向上，天天", "天天", 1) == 0
    assert find_answer("天天向上", "上天", 1) is None


@needs_data
def test_wrong_answer_starts_of_cmrc_2018_are_counted():
    task = real("cmrc2018")
    for split in task.splits:
        task.read(split)
    counts = ["21 found elsewhere in the context, 0 nowhere", "7 found elsewhere in the context, 193 nowhere", "5 found elsewhere"]
    assert len(task.notes) == 3 and all(count in note for count, note in zip(counts, task.notes, strict=True))


def test_questions_without_a_span_are_left_out_and_counted():
    task = small("cjrc")
    assert [example.id for example in task.read("dev")] == ["C1"]
    assert task.notes == [f"{SMALL}/cjrc/dev.json: 2 of 3 questions are left out: no span answers them"]


def test_the_message_for_a_missing_file_names_its_source_and_what_is_expected(tmp_path):
    (tmp_path / "empty").mkdir()
    for folder, problem in ((tmp_path / "none", "no such folder"), (tmp_path / "empty", "no train.tsv in it")):
        task = registry.create("task", "chnsenticorp", data=folder)
        assert task.splits == []
        with pytest.raises(UserError) as error:
            task.read("train")
        message = str(error.value)
        assert message.startswith(f"{folder}: {problem}; expected ChnSentiCorp train (9,600 examples, sha256 0b2653c2")
        assert "from https://github.com/ymcui/Chinese-BERT-wwm/" in message and "for research" in message and "\n" not in message
    with pytest.raises(UserError, match="ChnSentiCorp has no split 'trial'; expected one of train, dev, test"):
        task.read("trial")


def test_a_file_with_other_rows_is_refused_and_one_with_other_bytes_is_noted(tmp_path):
    rows = ["label\ttext_a", *(f"{number % 2}\t第{number}条" for number in range(1200))]
    (tmp_path / "dev.tsv").write_text("\n".join(rows[:-1]), "utf-8")
    task = registry.create("task", "chnsenticorp", data=tmp_path)
    with pytest.raises(UserError, match=r"dev\.tsv: 1,199 examples; expected ChnSentiCorp dev \(1,200 examples, .*check: false"):
        task.read("dev")
    assert len(registry.create("task", "chnsenticorp", data=tmp_path, check=False).read("dev")) == 1199
    (tmp_path / "dev.tsv").write_text("\n".join(rows), "utf-8")
    assert len(task.read("dev")) == 1200
    (note,) = task.notes
    assert "not d129e443eac08ce7643013dad496a8edf282be39cac1a4f2ad080818b296b331 as published; 1,200 examples" in note


@pytest.mark.parametrize(
    ("name", "file", "content", "message"),
    [
        ("chnsenticorp", "dev.tsv", "label\ttext_a\n1\t好\t坏\n", r"dev\.tsv:2: 3 columns; expected 2: label, text_a"),
        ("chnsenticorp", "dev.tsv", "label\ttext_a\n2\t好\n", r"dev\.tsv: example 2 is '2'; expected one of 0, 1"),
        ("lcqmc", "dev.txt", "一\t二\n", r"dev\.txt:1: 2 columns; expected 3: text_a, text_b, label"),
        ("ocnli", "dev.json", '{"sentence1": "一", "label": "neutral"}\n', r"dev\.json:1: no text_b; expected label, text_a, text_b"),
        ("ocnli", "dev.json", "[]\n", r"dev\.json:1: a list; expected one object a line"),
        ("ocnli", "dev.json", "{\n", r"dev\.json:1: not JSON: .*; expected one object a line"),
        ("classification", "dev.tsv", "好\t1\n", r"dev\.tsv:1: no header line; expected one with label and text_a"),
        ("cmrc2018", "cmrc2018_dev.json", '{"data": [{"title": "一"}]}', r"dev\.json: article 1: no paragraphs; expected SQuAD's data"),
        ("cmrc2018", "cmrc2018_dev.json", '{"data": ', r"dev\.json: not JSON"),
        ("msra-ner", "msra_test_bio.txt", "一\tO\n二\n", r"msra_test_bio\.txt:2: '二'; expected a character or word and its tag"),
        ("msra-ner", "msra_test_bio.txt", "一\tB-GPE\n", r"msra_test_bio\.txt: example 0 is 'B-GPE'; expected one of O, B-PER"),
        ("msra-ner", "msra_test_bio.txt", b"\xff\tO\n", r"msra_test_bio\.txt:1: byte 1 of the line \(0xff\) is not UTF-8; convert"),
    ],
)
def test_what_is_wrong_in_a_file_is_reported_in_one_line(tmp_path, name, file, content, message):
    (tmp_path / file).write_bytes(content if isinstance(content, bytes) else content.encode())
    task = registry.create("task", name, data=tmp_path, **({"labels": ["1"]} if name in OWN else {"check": False}))
    with pytest.raises(UserError, match=message) as error:
        task.read("test" if "test" in file else "dev")
    assert "\n" not in str(error.value)


def test_learning_rates_are_the_seeds_best():
    """Source: the table of best learning rates in the README of Chinese-BERT-wwm, column BERT-wwm."""
    best = {"cmrc2018": 3e-5, "drcd": 3e-5, "cjrc": 4e-5, "xnli": 3e-5, "chnsenticorp": 2e-5, "lcqmc": 2e-5, "bq": 3e-5, "thucnews": 2e-5}
    for name, rate in best.items():
        defaults = small(name).defaults
        assert (defaults["learning_rate"], defaults["batch_size"]) == (rate, 64)


NUMBERS = count()


class Broken:
    """A task that breaks one rule."""

    def __init__(self, **changes):
        task = small("chnsenticorp")
        for name in ("head", "labels", "metrics", "defaults", "notes", "splits", "read", "score"):
            setattr(self, name, changes.get(name, getattr(task, name)))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"head": "regression"}, "head is 'regression'"),
        ({"labels": ["0", "1", "1"]}, "one appears twice"),
        ({"labels": []}, "0 labels for head 'classification'"),
        ({"metrics": ()}, "metrics is empty"),
        ({"defaults": {}}, "defaults have no batch_size"),
        ({"splits": []}, "no file of a split is there"),
        ({"read": lambda split: [TextExample("1", "一", None, "0")] * 2}, "all different"),
        ({"read": lambda split: [TextExample("1", "一", None, "2")]}, "'2' is not among"),
        ({"read": lambda split: [SpanExample("1", "一", "二")]}, "SpanExample for head 'classification'"),
        ({"read": lambda split: [TextExample(str(next(NUMBERS)), "一", None, "0")]}, "a second reading gave other"),
        ({"score": lambda examples, predictions: {"F1": 1.0}}, "score has no 'accuracy'"),
        ({"score": lambda examples, predictions: {"accuracy": 100.0}}, "no predictions have accuracy 100.0"),
        ({"score": lambda examples, predictions: {"accuracy": 1.0}}, "right predictions have accuracy 1.0"),
    ],
)
def test_the_check_catches_tasks_that_break_the_contract(changes, message):
    with pytest.raises(AssertionError, match=message):
        check_task(Broken(**changes))
