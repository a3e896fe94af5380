"""What was understood of a task's files is printed before it is used, and what cannot be used is refused."""

import json

import numpy as np
import pytest

from wholeword.core.contracts.tasks import SpanExample, TextExample
from wholeword.core.errors import UserError
from wholeword.core.registry.registry import registry
from wholeword.finetuning.checked import create_task
from wholeword.finetuning.understanding import understand, unknown_lines
from wholeword.plugins.tasks.metrics import score, score_classes

HEADER = "label\ttext_a\n"


def write(folder, **files):
    for name, content in files.items():
        (folder / name.replace("_", ".")).write_text(content, "utf-8")
    return folder


def lines_of(folder, name="classification", **settings):
    return list(understand(create_task(name, {"data": folder, **settings}), name).lines())


# --- classes, columns and keys


def test_classes_are_counted_and_columns_are_named(tmp_path):
    write(tmp_path, train_tsv="id\tlabel\tcontent\n1\t好\t干净\n2\t差\t脏\n3\t好\t安静\n", dev_tsv="content\tlabel\n一般\t差\n不知道\t\n")
    assert lines_of(tmp_path) == [
        f"{tmp_path}/train.tsv: text is 'content', label is 'label'; not read: id",
        f"{tmp_path}/dev.tsv: text is 'content', label is 'label'",
        "train: 3 examples; classes: '好' 2, '差' 1",
        "dev: 2 examples; 1 without a label are not scored; classes: '差' 1",
    ]


def test_keys_of_json_are_found_and_what_is_not_read_is_named(tmp_path):
    rows = [{"sentence": f"第{n}句", "label": n % 2, "label_desc": "x", "date": "1月"} for n in range(4)]
    write(tmp_path, train_jsonl="\n".join(map(json.dumps, rows)))
    assert lines_of(tmp_path)[0] == f"{tmp_path}/train.jsonl: text is 'sentence', label is 'label'; not read: label_desc, date"
    rows = [{"content": row["sentence"], "label_desc": f"news_{row['label']}"} for row in rows]
    write(tmp_path, train_jsonl="\n".join(map(json.dumps, rows)))
    assert lines_of(tmp_path)[1] == "train: 4 examples; classes: 'news_0' 2, 'news_1' 2"


def test_columns_can_be_set(tmp_path):
    write(tmp_path, train_csv="评语,好坏,sentence1,sentence2\n干净,1,甲,乙\n脏,0,丙,丁\n")
    task = registry.create("task", "classification", data=tmp_path, text_column="评语", label_column="好坏")
    assert task.read("train")[0] == TextExample("2", "干净", None, "1")
    task = registry.create("task", "pairs", data=tmp_path, text_column="sentence2", pair_column="sentence1", label_column="好坏")
    assert task.read("train")[0] == TextExample("2", "乙", "甲", "1")
    with pytest.raises(UserError, match=r"no '评价', which task\.text_column names; it has 评语, 好坏, sentence1, sentence2"):
        registry.create("task", "classification", data=tmp_path, text_column="评价").read("train")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("classification", "label\ttext_a\n1\t好\nlabel\ttext_a\n0\t差\n", r"train\.tsv:3: the header line again"),
        ("classification", "label\ttext_a\n1\t好\ntext_a\tlabel\n0\t差\n", r"train\.tsv:3: the header line again"),
        ("pairs", "label\ttext_a\ttext_b\n1\t好\t好\n0\t好\t差\nsentence1\tsentence2\tlabel\n", r"train\.tsv:4: the header line again"),
        ("classification", "label\tsentence1\tsentence2\n1\t好\t好\n", "sentence1 and sentence2 are a pair, which task pairs reads"),
        ("classification", "label\ttitle\tcontent\n1\t好\t好\n", r"content or title could be the text; set task\.text_column"),
        ("classification", "label\tclass\ttext\n1\t好\t好\n", r"label or class could be the label; set task\.label_column"),
        ("classification", "label\ttext_a\n1\t好\n1\t差\n", "all 2 labels of train are '1'; expected at least two classes"),
        ("classification", "label\ttext_a\n1\t好\n1.0\t差\n", r"'1' \(1 examples\) and '1\.0' \(1 examples\) look like one class"),
        ("classification", "label\ttext_a\nGood\t好\ngood\t差\n", r"'Good' .* and 'good' .* look like one class"),
        ("classification", "label\ttext_a\n１\t好\n1\t差\n", "look like one class"),
        ("classification", "label\ttext_a\n1\u200b\t好\n1\t差\n", "look like one class"),
        ("classification", "label\ttext_a\ttext_a\n1\t好\t差\n", r"train\.tsv:1: two columns have one name"),
        ("classification", "标注\t语句\n1\t好\n", r"no header line; .*task\.text_column"),
        ("classification", "uid\tlabel\n1\t好\n", r"train\.tsv:2: no text_a; .*it has uid, label: set task\.text_column"),
        ("classification", "label\ttext_a\na|b\t好\na\t差\nb\t中\n", r"label 'a\|b' \(1 examples\) looks like several"),
        ("classification", "text_a\tstars\n好\t1\n", r"train\.tsv: no example has a label; .*task\.label_column"),
        ("classification", "label\ttext_a\n", r"train\.tsv: no examples; expected examples in the form that task"),
        ("classification", "label\ttext_a\n1\t好\n0\u3000差\n", r"train\.tsv:3: 1 columns; expected 2: label, text_a"),
        ("tagging", "一 O\n二 O\n", "all tags of train are 'O'"),
        (
            "tagging",
            "一,O\n二,B-LOC\n",
            "no example has a label; expected a character or word on each line, and behind a blank or tab its tag",
        ),
        ("tagging", "O\t我\nO\t在\nB-LOC\t北\n", "the first column holds tags, such as B-LOC; expected a character or word first"),
        ("tagging", "1 北 B-LOC\n2 京 I-LOC\n3 的 O\n\n1 我 O\n", "the first column counts from 1"),
        ("tagging", "char\ttag\n北\tLOC\n的\tO\n", r"train\.txt:1: 'char\\ttag' names the columns; remove it"),
        ("tagging", "我 在 北\tO O LOC\n我\tO\n", r"train\.txt:1: tag 'O O LOC'; expected O and tags"),
        ("tagging", "我/O 北/B-LOC\n他/O 走/O\n", r"train\.txt:1: tag '北/B-LOC'; expected O and tags"),
    ],
)
def test_what_cannot_be_meant_is_refused_in_one_line(tmp_path, name, content, message):
    (tmp_path / ("train.txt" if name == "tagging" else "train.tsv")).write_text(content, "utf-8")
    with pytest.raises(UserError, match=message) as error:
        lines_of(tmp_path, name)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("name", "file", "content"),
    [
        ("classification", "train.tsv", "label\ttext\t{}\n1\t好\n"),
        ("lcqmc", "train.tsv", "甲\t乙\t{}\n"),
        ("tagging", "train.txt", "甲 O\n{}\n"),
        ("tagging", "train.txt", "甲 O\n乙 B-{}\n"),
        ("spans", "train.json", '{{"data": [{{"paragraphs": [{{"context": "甲", "qas": [{{"id": "{}", "question": 1}}]}}]}}]}}'),
    ],
)
def test_a_message_shows_the_beginning_of_a_long_value(tmp_path, name, file, content):
    (tmp_path / file).write_text(content.format("好" * 10_000), "utf-8")
    with pytest.raises(UserError) as error:
        lines_of(tmp_path, name, **({"check": False} if name == "lcqmc" else {}))
    assert "好" * 10 in str(error.value) and len(str(error.value)) < 600


def test_what_does_not_show_is_escaped(tmp_path):
    write(tmp_path, train_tsv="label\ttext\ta\u2028b\n1\u2028\t好\t1\n0\x01\t差\t2\n")
    lines = lines_of(tmp_path)
    assert all(line.isprintable() for line in lines) and lines[0].endswith("not read: 'a\\u2028b'")


def test_quotation_marks_around_labels_are_named(tmp_path):
    write(tmp_path, train_tsv='label\ttext\n"1"\t"好"\n"0"\t"差"\n')
    assert any("have the label '\"1\"': the quotation marks are part of it" in line for line in lines_of(tmp_path))


def test_a_first_row_of_a_published_file_that_reads_like_chinese_names_is_a_row(tmp_path):
    (tmp_path / "train.tsv").write_text("1\t评论\n0\t标题\n", "utf-8")
    examples = registry.create("task", "chnsenticorp", data=tmp_path, check=False).read("train")
    assert [(example.label, example.text) for example in examples] == [("1", "评论"), ("0", "标题")]


def test_a_file_of_other_languages_alone_is_refused_as_such(tmp_path):
    (tmp_path / "multinli.train.zh.tsv").write_text("language\tgold_label\tsentence1\tsentence2\nen\tneutral\ta\tb\n", "utf-8")
    with pytest.raises(UserError, match=r"no examples .*1 of 1 rows are in other languages than 'zh'"):
        registry.create("task", "xnli", data=tmp_path, check=False).read("train")


@pytest.mark.parametrize(("place", "answer"), [(-1, "FAKE_ANSWER_1"), (0, "\n")])
def test_hidden_answers_are_quoted_in_one_line(tmp_path, place, answer):
    known = [[{"text": "北京", "answer_start": 2}]]
    answers = [*(known if place else []), [{"text": answer, "answer_start": place}]]
    for split, items in (("train", known), ("dev", answers)):
        qas = [{"id": str(number), "question": "？", "answers": item} for number, item in enumerate(items)]
        (tmp_path / f"{split}.json").write_text(json.dumps({"data": [{"paragraphs": [{"context": "我在北京", "qas": qas}]}]}), "utf-8")
    (line,) = (line for line in lines_of(tmp_path, "spans") if "hidden" in line)
    assert answer.strip() in line and "北京" not in line and "\n" not in line


def test_a_split_none_of_whose_answers_is_in_its_context_is_warned_of(tmp_path):
    def content(*texts):
        qas = [{"id": text, "question": "？", "answers": [{"text": text, "answer_start": 0}]} for text in texts]
        return json.dumps({"data": [{"paragraphs": [{"context": "我在北京", "qas": qas}]}]})

    (tmp_path / "train.json").write_text(content("北京"), "utf-8")
    (tmp_path / "test.json").write_text(content("甲", "乙"), "utf-8")
    assert any(line.startswith("warning: test: no answer is in its context") for line in lines_of(tmp_path, "spans"))


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ('["体育", "财经"]', "the label is a list of 2, .*several for one text are not supported"),
        ('["体育"]', "the label is a list of 1"),
        ('{"体育": 1}', "the label is an object of 1"),
        ("\"['体育', '财经']\"", r"the label is text \(\['体育', '财经'\]\)"),
        ("NaN", "the label is nan; expected a label, or null for none"),
    ],
)
def test_labels_of_json_are_one_value(tmp_path, value, message):
    write(tmp_path, train_jsonl=f'{{"text": "好", "label": 1}}\n{{"text": "差", "label": {value}}}\n')
    with pytest.raises(UserError, match=r"train\.jsonl:2: " + message):
        lines_of(tmp_path)


@pytest.mark.parametrize(
    ("value", "message"), [("null", "text is null"), ("12", r"text is a number \(12\)"), ("[]", "text is a list of 0")]
)
def test_texts_of_json_are_text(tmp_path, value, message):
    write(tmp_path, train_jsonl=f'{{"text": {value}, "label": 1}}\n')
    with pytest.raises(UserError, match=rf"train\.jsonl:1: {message}; expected text"):
        lines_of(tmp_path)


def test_undecided_pairs_are_left_out_and_counted(tmp_path):
    write(tmp_path, train_tsv="text_a\ttext_b\tlabel\n甲\t乙\tneutral\n甲\t丙\t-\n甲\t丁\tentailment\n")
    assert lines_of(tmp_path, "pairs")[1:] == [
        f"{tmp_path}/train.tsv: 1 examples without a decided label are left out",
        "train: 2 examples; classes: 'entailment' 1, 'neutral' 1",
    ]
    assert len(registry.create("task", "pairs", data=tmp_path, labels=["neutral", "-", "entailment"]).read("train")) == 3


def test_what_looks_wrong_is_warned_of(tmp_path):
    rows = "".join(f"标签{n}\t第{n}条\n" for n in range(12))
    write(tmp_path, train_tsv=HEADER + rows + "nan\t空\n", dev_tsv="label\ttext_a\n标签1\t \n", dev_csv="label,text_a\n标签1,二\n")
    lines = lines_of(tmp_path)
    assert f"{tmp_path}/dev.tsv: read; dev.csv beside it is not" in lines
    assert "warning: train: 1 examples have the label 'nan': is it a missing value?" in lines
    assert "warning: train: 13 classes in 13 examples: is this the column of labels?" in lines
    assert "dev: 1 examples; 1 without text; classes: '标签1' 1" in lines


def test_hidden_labels_are_predicted_and_not_scored(tmp_path):
    write(tmp_path, train_tsv=HEADER + "1\t好\n0\t差\n", dev_tsv=HEADER + "1\t好\n1\t差\n", test_tsv=HEADER + "-1\t中\n-1\t大\n")
    lines = lines_of(tmp_path)
    assert "test: 2 examples; none has a label: predicted, not scored" in lines
    assert "warning: dev: every label is '1': metrics mean little; is this how hidden labels are written?" in lines


def test_classes_that_train_never_has_are_named(tmp_path):
    write(tmp_path, train_tsv=HEADER + "1\t好\n0\t差\n", dev_tsv=HEADER + "2\t中\n")
    lines = lines_of(tmp_path, labels=["0", "1", "2"])
    assert "warning: dev has '2', which train never has: they cannot be learnt" in lines


def test_the_share_of_unknown_pieces_is_printed_and_a_strange_vocabulary_refused():
    assert list(unknown_lines({"train": 0.001, "dev": 0.25}, "bq")) == [
        "[UNK]: train 0.10% of the pieces, dev 25.00% of the pieces",
        "warning: dev: 25% of the pieces are [UNK]; the vocabulary does not fit this text",
    ]
    with pytest.raises(UserError, match=r"bq: every piece of train is \[UNK\]"):
        list(unknown_lines({"train": 1.0}, "bq"))


# --- a part of train as dev


def test_a_single_file_is_split_by_its_text_alone(tmp_path):
    rows = [f"{n % 2}\t第{n}条评论\n" for n in range(200)] + ["1\t第7条评论\n"]
    path = tmp_path / "all.tsv"
    path.write_text(HEADER + "".join(rows), "utf-8")
    task = registry.create("task", "classification", data=path, dev_rate=0.1)
    assert task.splits == ["train", "dev"] and task.labels == ["0", "1"]
    train, dev = ({example.text for example in task.read(split)} for split in ("train", "dev"))
    assert len(task.read("dev")) in (20, 21) and not train & dev and len(train | dev) == 200
    path.write_text(HEADER + "".join(reversed(rows)), "utf-8")
    again = registry.create("task", "classification", data=path, dev_rate=0.1)
    assert {example.text for example in again.read("dev")} == dev
    assert f"{path}: {len(task.read('dev'))} of 201 examples are held back as dev (dev_rate 0.1)" in task.descriptions


def test_questions_about_one_context_stay_together(tmp_path):
    answer = [{"text": "北京", "answer_start": 0}]
    contexts = [
        {"context": f"北京{n}", "qas": [{"id": f"{n}-{k}", "question": "哪", "answers": answer} for k in range(3)]} for n in range(10)
    ]
    write(tmp_path, train_json=json.dumps({"data": [{"paragraphs": contexts}]}))
    task = registry.create("task", "spans", data=tmp_path, dev_rate=0.3)
    assert not {e.context for e in task.read("train")} & {e.context for e in task.read("dev")}
    assert len(task.read("dev")) == 9


def test_what_dev_rate_cannot_do_is_refused(tmp_path):
    write(tmp_path, train_tsv=HEADER + "1\t好\n0\t差\n")
    for rate, message in ((1.5, "expected a share between 0 and 1"), (0.1, "leaves 2 for train and 0 for dev")):
        with pytest.raises(UserError, match=message):
            registry.create("task", "classification", data=tmp_path, dev_rate=rate).read("dev")
    write(tmp_path, dev_tsv=HEADER + "1\t好\n")
    with pytest.raises(UserError, match=r"task\.dev_rate: 0\.5, but .*dev\.tsv is there"):
        registry.create("task", "classification", data=tmp_path, dev_rate=0.5).read("train")


# --- spans


def squad(folder, name, *answers, context="小明在北京的书店工作，他每天看书。", **changes):
    qas = [{"id": f"Q{n}", "question": "小明在哪里工作？", "answers": some} | changes for n, some in enumerate(answers)]
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(json.dumps({"data": [{"paragraphs": [{"context": context, "qas": qas}]}]}), "utf-8")


RIGHT = [{"text": "北京的书店", "answer_start": 3}]
OTHER = [{"text": "<hidden>", "answer_start": -1}]
FAKE = [{"text": f"FAKE_ANSWER_{n}", "answer_start": -1} for n in (1, 2, 3)]


@pytest.mark.parametrize("hidden", [FAKE, OTHER, [{"text": "", "answer_start": -1}], [{"text": " ", "answer_start": 0}], [], None])
def test_hidden_answers_are_predicted_and_not_scored(tmp_path, hidden):
    squad(tmp_path, "train.json", RIGHT)
    squad(tmp_path, "test.json", hidden, hidden)
    task = create_task("spans", {"data": tmp_path})
    assert [(example.id, example.answers) for example in task.read("test")] == [("Q0", ()), ("Q1", ())]
    assert task.score(task.read("test"), {"Q0": "北京"}) == {}
    assert "test: 2 examples; none has a label: predicted, not scored" in lines_of(tmp_path, "spans")


def test_keys_of_questions_that_are_not_read_are_named(tmp_path):
    squad(tmp_path, "train.json", RIGHT, level="hard", answer="北京")
    task = registry.create("task", "spans", data=tmp_path)
    assert task.read("train") and task.descriptions == [f"{tmp_path}/train.json: keys not read: level, answer"]


def test_a_file_without_a_question_to_answer_is_refused(tmp_path):
    squad(tmp_path, "train.json", [], is_impossible=True)
    with pytest.raises(UserError, match=r"train\.json: no examples \(1 of 1 questions are left out: no span answers them\); expected"):
        registry.create("task", "spans", data=tmp_path).read("train")


def test_a_placeholder_among_answers_is_not_scored(tmp_path):
    squad(tmp_path, "train.json", RIGHT, FAKE)
    task = registry.create("task", "spans", data=tmp_path)
    assert [len(example.answers) for example in task.read("train")] == [1, 0]
    assert "the answers to 1 of 2 questions are hidden" in task.descriptions[0]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"context": None}, "article 1, paragraph 1: context is null; expected text"),
        ({"context": ["小", "明"]}, "context is a list of 2"),
        ({"question": None}, "question 'Q0': question is null; expected text"),
        ({"id": None}, "id is null; expected the id of a question"),
        ({"answers": "北京"}, r"answers is text \(北京\); expected a list"),
        ({"answers": ["北京"]}, r"an answer is text \(北京\); expected an object"),
        ({"answers": [{"text": None, "answer_start": 3}]}, "question 'Q0': an answer is null; expected text"),
        ({"answers": [{"text": True, "answer_start": 3}]}, "an answer is true or false"),
        ({"answers": [{"text": "北京", "answer_start": 3.5}]}, r"answer_start is a number \(3\.5\); expected a whole number"),
        ({"answers": [{"text": "北京", "answer_start": []}]}, "answer_start is a list of 0"),
        ({"answers": {"text": ["北京"], "answer_start": []}}, "answers is an object of 2"),
    ],
)
def test_odd_values_in_questions_are_refused_where_they_are(tmp_path, changes, message):
    squad(tmp_path, "train.json", RIGHT, **changes)
    with pytest.raises(UserError, match=r"train\.json: .*" + message) as error:
        registry.create("task", "spans", data=tmp_path).read("train")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("start", [None, "", float("nan"), -1, 3, 3.0, "3"])
def test_an_answer_without_a_start_is_searched_for(tmp_path, start):
    squad(tmp_path, "train.json", [{"text": "北京", "answer_start": start}])
    task = registry.create("task", "spans", data=tmp_path)
    assert task.read("train")[0].answers[0].start == 3
    searched = f"{tmp_path}/train.json: 1 of 1 answers have no answer_start and were searched for"
    assert task.descriptions == ([] if start in (3, 3.0, "3") else [searched])


def test_answers_that_are_numbers_are_text_as_for_the_official_script(tmp_path):
    """29 answers of CMRC 2018's dev file in its original form are numbers."""
    qas = [{"query_id": 7, "query_text": "多少人？", "answers": [39764.0, "39764人", 39764]}]
    (tmp_path / "cmrc2018_dev.json").write_text(json.dumps([{"context_id": "D", "context_text": "有39764人。", "qas": qas}]), "utf-8")
    task = registry.create("task", "cmrc2018", data=tmp_path, check=False)
    (example,) = task.read("dev")
    assert isinstance(example, SpanExample) and example.id == "7"
    assert [(answer.text, answer.start) for answer in example.answers] == [("39764.0", None), ("39764人", 1), ("39764", 1)]
    assert any("2 answers are numbers" in line for line in task.descriptions)
    assert task.score([example], {"7": "39764"})["EM"] == 100


# --- known editions


@pytest.mark.parametrize(("split", "count", "edition"), [("train", 50_658, "HFL"), ("dev", 4_631, "HFL"), ("train", 20_864, "OYE93")])
def test_the_peoples_daily_is_read_in_all_its_editions(tmp_path, split, count, edition):
    (tmp_path / f"{split}.txt").write_text("京 B-LOC\n\n" * count, "utf-8")
    task = registry.create("task", "peoples-daily-ner", data=tmp_path)
    if edition == "HFL":
        assert len(task.read(split)) == count
        assert any(f"as many examples as the edition '{edition}'" in line for line in task.descriptions)
    else:  # its fingerprint is known, and is not that of this file
        assert len(task.read(split)) == count and any("not fbacf4110b13" in note for note in task.notes)


def test_a_file_of_no_known_edition_is_refused_or_called_so(tmp_path):
    (tmp_path / "train.txt").write_text("京 B-LOC\n\n" * 5, "utf-8")
    with pytest.raises(UserError, match=r"5 examples; expected People's Daily NER train \(20,864 or 50,658 examples"):
        registry.create("task", "peoples-daily-ner", data=tmp_path).read("train")
    task = registry.create("task", "peoples-daily-ner", data=tmp_path, check=False)
    assert len(task.read("train")) == 5 and any("no known edition of People's Daily NER train: 5 examples" in s for s in task.descriptions)


@pytest.mark.parametrize("name", sorted(set(registry.names("task")) - {"classification", "pairs", "spans", "tagging"}))
def test_every_published_file_has_editions_with_their_sources(name):
    for file in registry.create("task", name, data="nowhere").dataset.splits.values():
        assert file.editions
        for edition in file.editions:
            assert edition.source.startswith(("https://", "http://"))
            assert edition.sha256 is None or (edition.rows and len(bytes.fromhex(edition.sha256)) == 32)


# --- metrics of classes


def test_macro_and_micro_f1_are_those_of_scikit_learn():
    sklearn = pytest.importorskip("sklearn.metrics")
    generator = np.random.default_rng(3)
    for _ in range(50):
        truth, guess = (list(map(str, generator.integers(0, 5, 30))) for _ in range(2))
        examples = [TextExample(str(number), "字", label=label) for number, label in enumerate(truth)]
        metrics = score("classification", examples, {str(number): label for number, label in enumerate(guess)})
        for average in ("macro", "micro"):
            assert metrics[f"{average}_F1"] == pytest.approx(100 * sklearn.f1_score(truth, guess, average=average, zero_division=0))
        classes = score_classes("classification", examples, {str(number): label for number, label in enumerate(guess)})
        names = sorted({*truth, *guess})
        precision, recall, f1, counts = sklearn.precision_recall_fscore_support(truth, guess, labels=names, zero_division=0)
        assert [classes[name]["COUNT"] for name in names] == counts.tolist()
        for key, values in (("precision", precision), ("recall", recall), ("F1", f1)):
            assert [classes[name][key] for name in names] == pytest.approx((100 * values).tolist())


def test_macro_and_micro_f1_by_eye():
    examples = [TextExample(str(number), "字", label=label) for number, label in enumerate("aab")]
    assert score("classification", examples, {"0": "a", "1": "b", "2": "b"}) == {
        "accuracy": pytest.approx(200 / 3),
        "macro_F1": pytest.approx(200 / 3),
        "micro_F1": pytest.approx(200 / 3),
        "TOTAL": 3,
        "SKIP": 0,
    }
    assert score("classification", examples, {"0": "a"})["micro_F1"] == pytest.approx(50)  # precision 1, recall 1 / 3
