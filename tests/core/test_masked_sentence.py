"""Sentences to fill: special pieces mean what they mean in other tools, or are refused."""

import pytest

from wholeword.core.data.masked_sentence import encode_masked, problem_of_masked
from wholeword.core.data.tokenizer import WordPieceTokenizer
from wholeword.core.errors import UserError
from wholeword.core.vocabulary import SPECIAL_PIECES, Vocabulary

VOCABULARY = Vocabulary([*SPECIAL_PIECES, *"[]科学是第一生产力", "mask", "cls", "sep"])
TOKENIZER = WordPieceTokenizer(VOCABULARY, lowercase=True)


def pieces(sentence: str) -> list[str]:
    row, positions = encode_masked(sentence, TOKENIZER)
    assert [VOCABULARY.pieces[piece] for piece in row[positions]] == ["[MASK]"] * len(positions)
    return [VOCABULARY.pieces[piece] for piece in row]


@pytest.mark.parametrize(
    "sentence",
    [
        "科学[MASK][MASK]生产力",
        "[CLS]科学[MASK][MASK]生产力[SEP]",
        "[CLS] 科学 [MASK] [MASK] 生产力 [SEP]",
        " [CLS]科学[MASK][MASK]生产力\n",
        "科学[MASK][MASK]生产力[SEP]",
    ],
)
def test_the_frame_may_be_written_or_not(sentence: str) -> None:
    assert pieces(sentence) == ["[CLS]", *"科学", "[MASK]", "[MASK]", *"生产力", "[SEP]"]


def test_a_separator_and_an_unknown_piece_are_what_they_are() -> None:
    assert pieces("[CLS]科学[SEP]第一[MASK][SEP]") == ["[CLS]", *"科学", "[SEP]", *"第一", "[MASK]", "[SEP]"]
    assert pieces("科[UNK][MASK]") == ["[CLS]", "科", "[UNK]", "[MASK]", "[SEP]"]


def test_the_row_is_that_of_transformers() -> None:
    """Its tokenizer adds the frame to a sentence without one."""
    transformers = pytest.importorskip("transformers")
    theirs = transformers.BertTokenizer(vocab=VOCABULARY.ids, do_lower_case=True)
    for sentence in ("科学[MASK][MASK]生产力", "科学[SEP]第一[MASK]", "科[UNK]学[MASK]"):
        assert encode_masked(sentence, TOKENIZER).ids.tolist() == theirs(sentence)["input_ids"]
    framed = theirs("[CLS]科学[MASK][SEP]", add_special_tokens=False)["input_ids"]
    assert encode_masked("[CLS]科学[MASK][SEP]", TOKENIZER).ids.tolist() == framed


@pytest.mark.parametrize(
    ("sentence", "problem"),
    [
        ("科学", "contains no [MASK]; expected one [MASK] for each piece to fill in"),
        ("科学[mask]", "contains no [MASK], only [mask], which is text; expected one [MASK] for each piece to fill in"),
        ("科学［MASK］", "contains no [MASK], only ［MASK］, which is text"),
        ("科学[MASK][ mask ]", "[ mask ] is text to the model; write the special piece as it is, such as [MASK]"),
        ("[cls]科学[MASK]", "[cls] is text to the model"),
        ("科学[CLS][MASK]", "[CLS] within the text; expected it at the very beginning, or nowhere"),
        ("[CLS][CLS]科学[MASK]", "[CLS] within the text"),
        ("科学[MASK][PAD][PAD]", "contains [PAD], which fills rows up behind the text; leave it out"),
    ],
)
def test_what_cannot_be_meant_is_refused(sentence: str, problem: str) -> None:
    assert problem_of_masked(sentence).startswith(problem)
    with pytest.raises(UserError, match=r"^.*: "):
        encode_masked(sentence, TOKENIZER)
