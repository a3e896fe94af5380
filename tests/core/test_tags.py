"""Entity tags mean the same in every spelling, or are refused where they are read."""

import pytest

from wholeword.core.contracts.tasks import TaggedExample
from wholeword.core.errors import UserError
from wholeword.core.registry.registry import registry
from wholeword.plugins.tasks.metrics import score, score_classes
from wholeword.plugins.tasks.tags import spelling_of

SENTENCE = ["B-PER", "I-PER", "O", "B-LOC", "I-LOC"]
WRONG_KINDS = ["B-LOC", "I-LOC", "O", "B-PER", "I-PER"]


def f1(truth, guess):
    example = TaggedExample("0", tuple("一" * len(truth)), tuple(truth))
    return score("tagging", [example], {"0": guess})["F1"]


SPELLINGS = {
    "B-PER": lambda tag: tag,
    "B_PER": lambda tag: tag.replace("-", "_"),
    "PER-B": lambda tag: "-".join(reversed(tag.split("-"))),
    "PER_B": lambda tag: "_".join(reversed(tag.split("-"))),
    "b-per, o": str.lower,
    "0 for O": lambda tag: "0" if tag == "O" else tag,
    "kinds alone": lambda tag: tag[2:] or tag,
}


@pytest.mark.parametrize("spell", SPELLINGS.values(), ids=SPELLINGS)
@pytest.mark.parametrize(
    ("guess", "expected"),
    [
        (SENTENCE, 100),
        (WRONG_KINDS, 0),
        (["O"] * 5, 0),
        (["B-PER", "I-PER", "O", "O", "O"], 200 / 3),
        (["B-PER", "O", "O", "B-LOC", "I-LOC"], 50),
    ],
)
def test_f1_does_not_depend_on_how_tags_are_spelt(spell, guess, expected):
    assert f1([spell(tag) for tag in SENTENCE], [spell(tag) for tag in guess]) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("truth", "guess", "expected"),
    [
        (["B-PER", "I-PER", "L-PER"], ["B-PER", "I-PER", "L-PER"], 100),
        (["B-PER", "I-PER", "L-PER"], ["B-PER", "I-PER", "O"], 0),  # a part of an entity
        (["B-PER", "L-PER"], ["U-PER", "U-PER"], 0),  # two entities for one
        (["U-PER", "U-PER"], ["U-PER", "U-PER"], 100),
        (["U-PER", "U-PER"], ["B-PER", "L-PER"], 0),
        (["B", "E", "S"], ["B", "E", "S"], 100),  # words: letters without a kind
        (["B", "E", "S"], ["S", "S", "S"], 40),
    ],
)
def test_bilou_and_letters_alone_are_understood(truth, guess, expected):
    assert f1(truth, guess) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("tags", "message"),
    [
        (["O", "0", "B-PER"], "tag '0' beside 'O'"),
        (["B-PER", "PER-I", "O"], "tag 'PER-I' beside 'B-PER'"),
        (["B-PER", "I_PER", "O"], "tag 'I_PER' beside 'B-PER'"),
        (["B-PER", "PER", "O"], "tag 'PER' beside 'B-PER'"),
        (["B-PER", "I-PER", "X"], "tag 'X' beside"),
        (["B", "I", "PER"], "tag 'PER' beside 'B' and 'I'"),
        (["O", "B-PER", "I-Per"], "tag 'I-Per': kinds 'PER' and 'Per' differ in case alone"),
        (["1", "2", "0"], "tag '1'; expected O and tags such as B-PER"),
        (["B-PER", "-"], "tag '-'; expected"),
        (["B-", "I-", "O"], "tag 'B-'"),
        (["B－PER", "I－PER", "O"], "tag 'B－PER'; expected O and tags such as B-PER and I-PER, or kinds"),
        (["B:PER", "I:PER", "O"], "tag 'B:PER'"),
        (["BPER", "IPER", "O"], "tag 'BPER'"),
        (["PERB", "PERI", "O"], "tag 'PERB'"),
        (["PER_begin", "PER_inside", "O"], "tag 'PER_begin'"),
        (["PER", "LOC", "NONE"], "tag 'NONE'"),
        (["n", "v", "o"], "tag 'o' beside kinds without B- or I-"),
    ],
)
def test_tags_that_could_mean_two_things_are_refused(tmp_path, tags, message):
    with pytest.raises(UserError, match=message):
        spelling_of(tags)
    (tmp_path / "train.txt").write_text("".join(f"字 {tag}\n" for tag in tags), "utf-8")
    with pytest.raises(UserError, match=r"train\.txt:\d: " + message) as error:
        registry.create("task", "tagging", data=tmp_path).read("train")
    assert "\n" not in str(error.value)


def test_a_file_is_read_in_one_spelling_and_says_which(tmp_path):
    (tmp_path / "train.txt").write_text("王 B_PER\n芳 I_PER\n去 0\n\n京 B_LOC\n", "utf-8")
    task = registry.create("task", "tagging", data=tmp_path)
    assert [example.tags for example in task.read("train")] == [("B-PER", "I-PER", "O"), ("B-LOC",)]
    assert task.labels == ["O", "B-LOC", "B-PER", "I-PER"]
    assert task.descriptions == [f"{tmp_path}/train.txt: tags of the form B_PER; B_PER is read as B-PER"]
    given = registry.create("task", "tagging", data=tmp_path, labels=["O", "B_PER", "I_PER", "B_LOC", "I_LOC"])
    assert given.labels == ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"] and len(given.read("train")) == 2


def test_kinds_alone_stay_as_they_are(tmp_path):
    """Parts of speech are such tags."""
    tags = ("r", "v", "ns", "n", "b", "s", "m", "e", "u", "vn", "nr", "Ng", "Tg", "w")  # of the People's Daily
    (tmp_path / "train.txt").write_text("".join(f"字 {tag}\n" for tag in tags), "utf-8")
    task = registry.create("task", "tagging", data=tmp_path)
    assert task.read("train")[0].tags == tags and task.labels == sorted(tags)


def test_units_without_tags_are_predicted_and_not_scored(tmp_path):
    (tmp_path / "test.txt").write_text("王\n芳\n\n去\n", "utf-8")
    task = registry.create("task", "tagging", data=tmp_path, labels=["O", "B-PER", "I-PER"])
    assert task.read("test") == [TaggedExample("0", ("王", "芳"), None), TaggedExample("1", ("去",), None)]
    assert task.score(task.read("test"), {}) == {} and "one column: units without tags" in task.descriptions[0]
    (tmp_path / "test.txt").write_text("王 B-PER\n芳\n", "utf-8")
    with pytest.raises(UserError, match=r"test\.txt:2: '芳'; expected a character or word and its tag"):
        task.read("test")


def test_lines_with_another_number_of_columns_are_refused(tmp_path):
    (tmp_path / "train.txt").write_text("王 B-PER\nNew York B-LOC\n", "utf-8")
    with pytest.raises(UserError, match=r"train\.txt:2: 3 columns \('New York B-LOC'\); line 1 has 2"):
        registry.create("task", "tagging", data=tmp_path).read("train")


def test_each_kind_of_entity_has_metrics_of_its_own():
    example = TaggedExample("0", tuple("一" * 5), tuple(SENTENCE))
    classes = score_classes("tagging", [example], {"0": ["B-PER", "I-PER", "O", "B-PER", "I-PER"]})
    assert classes == {
        "LOC": {"precision": 0, "recall": 0, "F1": 0, "COUNT": 1, "PREDICTED": 0},
        "PER": {"precision": 50, "recall": 100, "F1": pytest.approx(200 / 3), "COUNT": 1, "PREDICTED": 2},
    }
