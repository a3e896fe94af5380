import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer
from tokenizers.models import WordPiece
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer

from wholeword.core.data import tokenizer as module
from wholeword.core.data.tokenizer import COMMON_CHINESE, WordPieceTokenizer
from wholeword.core.data.vocabulary_training import train_vocabulary
from wholeword.core.errors import UserError
from wholeword.core.vocabulary import SPECIAL_PIECES, Vocabulary

LATIN = "the in ##ing ##s py ##thon ##h ##t a b c ##a ##b ##c 1 2 ##0 ##1 ##9 20 ##19 E É ß # [ ] mask".split()
KANA = "か ##な 가 ##ᆨ ᄀ ##ᅡ ￮ １ ２ ##２ Ａ ａ ##ｂ ² 金 ３".split()
SMALL = Vocabulary([*SPECIAL_PIECES, *dict.fromkeys([*"使用语言模型来预测下一个词的，。！“”、…·-+%./'\"", *LATIN, *KANA])])
SENTENCES = [
    "使用语言模型来预测下一个词的probability。",
    "ＡＢＣ１２３是全角字符，É是重音，한국어とひらがな。",
    "零宽\u200b空格、a\u200bb、\u3000全角空格、\ttab\u2028和\x0b\x00控制符\ufffd。",
    "𠮷野家，金\uf90a，≮，½，ﬁ，İ，ǆ，🇨🇳👨‍👩‍👧，e\u0301\u0316，\u0301",
    "[MASK]不是[mask]，##ing也不是。",
    "a" * 100 + " " + "a" * 101,
    "",
    " ",
]


def tokenizers_own(vocabulary: Vocabulary, lowercase: bool) -> Tokenizer:
    tokenizer = Tokenizer(WordPiece(vocabulary.ids, unk_token="[UNK]", max_input_chars_per_word=100))
    tokenizer.normalizer = BertNormalizer(lowercase=lowercase)
    tokenizer.pre_tokenizer = BertPreTokenizer()
    return tokenizer


def assert_equal_to_tokenizers(sentences: list[str], vocabulary: Vocabulary, lowercase: bool) -> None:
    encoded = WordPieceTokenizer(vocabulary, lowercase, definition="transformers").encode_batch(sentences)
    offsets = module.offsets_in_sentence(encoded)
    assert len(encoded.sentence_pieces) == len(sentences) + 1
    for number, expected in enumerate(tokenizers_own(vocabulary, lowercase).encode_batch(sentences, add_special_tokens=False)):
        pieces = slice(*encoded.sentence_pieces[number : number + 2])
        assert encoded.ids[pieces].tolist() == expected.ids, sentences[number]
        assert list(map(tuple, offsets[pieces].tolist())) == expected.offsets, sentences[number]


CHARACTERS = st.one_of(
    st.sampled_from("使用语言模型aAbBé1290 　，。！“”-.#[]あガ한é²ß\u0301\u0316\u200b\u200d\ufe0f\x00\ufffd\u2028\n\r\t"),
    st.characters(codec="utf-8"),
    st.characters(codec="utf-8", max_codepoint=0x24F),
    st.characters(codec="utf-8", min_codepoint=0x300, max_codepoint=0x36F),
    st.characters(codec="utf-8", min_codepoint=0xF900, max_codepoint=0xFFFD),
)


@pytest.mark.parametrize("lowercase", [True, False])
def test_pieces_and_offsets_are_those_of_tokenizers(lowercase):
    assert_equal_to_tokenizers(SENTENCES, SMALL, lowercase)
    assert_equal_to_tokenizers([], SMALL, lowercase)


@settings(max_examples=300, deadline=None)
@given(sentences=st.lists(st.text(CHARACTERS, max_size=30), max_size=12), lowercase=st.booleans())
def test_pieces_and_offsets_are_those_of_tokenizers_on_any_unicode(sentences, lowercase):
    assert_equal_to_tokenizers(sentences, SMALL, lowercase)


@pytest.mark.parametrize("lowercase", [True, False])
def test_a_code_point_in_every_surrounding_is_as_in_tokenizers(lowercase):
    blocks = [(0, 0x500), (0x2000, 0x2600), (0x3000, 0x3100), (0x4E00, 0x4F00), (0xABF0, 0xAC20), (0xF900, 0x10000)]
    codes = [code for first, end in blocks for code in range(first, end)]
    assert_equal_to_tokenizers([f"x{chr(code)}\u0316汉{chr(code)}\u0301y，{chr(code)}9" for code in codes], SMALL, lowercase)


@pytest.mark.skipif("WHOLEWORD_DATA" not in os.environ, reason="WHOLEWORD_DATA is unset: no real text")
@pytest.mark.parametrize("lowercase", [True, False])
def test_real_text_is_cut_as_by_tokenizers(lowercase):
    data = Path(os.environ["WHOLEWORD_DATA"])
    lines = (data / "raw/debian/debian-docs-zh.txt").read_text(encoding="utf-8").split("\n")[::4]
    lines += (data / "drcd/DRCD_dev.json").read_text(encoding="utf-8")[:100_000].split("。")
    assert_equal_to_tokenizers(lines, Vocabulary.read(data / "vocab/vocab.txt"), lowercase)


def test_lone_surrogates_are_dropped_like_replacement_characters():
    tokenizer = WordPieceTokenizer(SMALL, True)
    for wrong in ("使\ud800用a\udfffb", "\ud800"):
        ids, offsets = tokenizer.encode(wrong)
        right = tokenizer.encode(wrong.replace("\ud800", "\ufffd").replace("\udfff", "\ufffd"))
        assert ids.tolist() == right[0].tolist() and offsets.tolist() == right[1].tolist()


def test_forgetting_runs_changes_nothing(monkeypatch):
    sentences = [f"词{number}语abc{number % 7}。" for number in range(500)]
    expected = WordPieceTokenizer(SMALL, True).encode_batch(sentences).ids.tolist()
    monkeypatch.setattr(module, "MAX_RUNS", 3)
    tokenizer = WordPieceTokenizer(SMALL, True)
    assert [id for sentence in sentences for id in tokenizer.encode(sentence)[0].tolist()] == expected


TEXT = [
    "语言模型language model预测下一个词",
    "模型的language，模型的probability。",
    "Language modelling is model the modeling. カタカナ한국어",
    "罕rare²",
]


def test_a_trained_vocabulary_covers_its_text():
    vocabulary = train_vocabulary(TEXT, 200, True, min_frequency=1)
    assert vocabulary.pieces[:5] == SPECIAL_PIECES
    assert vocabulary.unk_id not in WordPieceTokenizer(vocabulary, True).encode_batch(TEXT).ids
    assert {"模", "语", "。", "model", "language"} <= set(vocabulary.pieces)
    never_emitted = [piece for piece in vocabulary.pieces if piece.startswith("##") and "\u4e00" <= piece[2] <= "\u9fff"]
    assert not never_emitted


def test_what_is_rare_stays_out_of_a_trained_vocabulary():
    vocabulary = train_vocabulary(TEXT, 200, True, min_frequency=2)
    assert "罕" not in vocabulary.pieces and "²" not in vocabulary.pieces and "模" in vocabulary.pieces
    cased = train_vocabulary(TEXT * 2, 200, False, min_frequency=2)
    assert "L" in cased.pieces and "L" not in vocabulary.pieces


def test_a_small_vocabulary_keeps_the_most_frequent_characters():
    vocabulary = train_vocabulary(["一一一一二二二三三四"], 8, True, min_frequency=1)
    assert vocabulary.pieces == (*SPECIAL_PIECES, "一", "三", "二")
    with pytest.raises(UserError, match="cannot make"):
        train_vocabulary([" "], 100, True)


TRAINING = """
import random
from wholeword.core.data.vocabulary_training import train_vocabulary
generator = random.Random(1)
words = ["".join(generator.choice("abcdefghij") for _ in range(generator.randint(1, 6))) for _ in range(3000)]
print(train_vocabulary([" ".join(words), "语言模型" * 9], 400, True, 2).sha256)
"""


def test_training_is_deterministic_over_processes_and_threads():
    hashes = set()
    for threads in ("1", "1", "2", "2"):
        environment = {**os.environ, "RAYON_NUM_THREADS": threads, "PYTHONHASHSEED": str(len(hashes)), "TOKENIZERS_PARALLELISM": "true"}
        hashes.add(subprocess.run([sys.executable, "-c", TRAINING], env=environment, capture_output=True, check=True).stdout)
    assert len(hashes) == 1


def test_common_chinese_characters_are_what_tokenizers_makes_of_them():
    """All 27,584 of the two blocks that are in the table from the start."""
    known = [chr(code) for code in [*range(0x4E00, 0xA000, 3), *range(0x3400, 0x4DC0, 7)]]
    tokenizer = WordPieceTokenizer(Vocabulary([*SPECIAL_PIECES, "a", *known]), True, definition="transformers")
    characters = [chr(code) for first, last in COMMON_CHINESE for code in range(first, last + 1)]
    encoding = tokenizer.reference.encode("".join(f"a{character}a\n" for character in characters), add_special_tokens=False)
    assert len(encoding.ids) == 3 * len(characters) and encoding.offsets[1::3] == [(4 * n + 1, 4 * n + 2) for n in range(len(characters))]
    assert tokenizer._table[[ord(character) for character in characters]].tolist() == encoding.ids[1::3]
