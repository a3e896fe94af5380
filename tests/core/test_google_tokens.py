"""Pieces as Google's tokenization.py gives them; `tests/tf_legacy` compares more of them with that code itself."""

import ast
import unicodedata
from pathlib import Path

import pytest

import wholeword
from wholeword.core.data.google_tokens import settle_sigmas
from wholeword.core.data.tokenizer import WordPieceTokenizer
from wholeword.core.vocabulary import SPECIAL_PIECES, Vocabulary

VOCABULARY = Vocabulary([*SPECIAL_PIECES, *"的好面，。'a", "##a", "##b", *"βσςα", "##σ", "##ς", "##α"])
U = "[UNK]"


def pieces(text, *, lowercase=True, definition="google"):
    tokenizer = WordPieceTokenizer(VOCABULARY, lowercase, definition=definition)
    return [VOCABULARY.pieces[id] for id in tokenizer.encode(text)[0]]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a" * 200, ["a", *["##a"] * 199]),
        ("a" * 201, [U]),
        ("的\ue000好", ["的", U, "好"]),  # private use
        ("\ue000a", [U]),
        ("a\U000f0001", [U]),
        ("的\U0002b820\U0002b91fa", ["的", U, U, "a"]),  # extension E
        ("好\U00030edd面", ["好", U, "面"]),  # extension G, which Google's list of blocks lacks
        ("a\u061da", ["a", U, "a"]),  # punctuation of Unicode 14,
        ("a\u2e43a", ["a", U, "a"]),  # and 9
        ("的\ufeff好", ["的", "好"]),
        ("a\u200db", ["a", "##b"]),
        ("a\u2028a", ["a", "a"]),
        ("a\x85b\x1cb", ["a", "##b", "##b"]),
        ("ΑΣ", ["α", "##ς"]),
        ("ΑΣ。", ["α", "##ς", "。"]),
        ("ΑΣ'Β", ["α", "##σ", "'", "β"]),  # an apostrophe does not end a word where case is concerned
        ("ΑΣ的", ["α", "##ς", "的"]),
        ("Σ ΑΣΑ", ["σ", "α", "##σ", "##α"]),
    ],
)
def test_rare_characters_have_googles_pieces(text, expected):
    assert pieces(text) == expected


def test_offsets_are_places_in_the_original_text():
    tokenizer = WordPieceTokenizer(VOCABULARY, True)
    ids, offsets = tokenizer.encode("的\ue000好 aΆ\u0301Σ，的\u200d")
    assert [VOCABULARY.pieces[id] for id in ids] == ["的", U, "好", "a", "##α", "##ς", "，", "的"]
    assert offsets.tolist() == [[0, 1], [1, 2], [2, 3], [4, 5], [5, 6], [7, 8], [8, 9], [9, 10]]
    ids, offsets = tokenizer.encode("áÁa\u0301\u0316\u200ba")
    assert [VOCABULARY.pieces[id] for id in ids] == ["a", "##a", "##a", "##a"]
    assert offsets.tolist() == [[0, 1], [1, 2], [2, 3], [6, 7]]


@pytest.mark.parametrize("lowercase", [True, False])
def test_both_definitions_agree_on_common_text(lowercase):
    common = "的好面，。'a b ab áÉ ＡＢＣ１２３ “a”……——《的》 a-b 3.14% C++ カガ 한국어 \t e\u0301 的\u200b好 \x00\ufffd"
    assert pieces(common, lowercase=lowercase) == pieces(common, lowercase=lowercase, definition="transformers")


def test_definitions_differ_where_the_table_of_google_tokens_says_so():
    texts = ["a" * 101, "\ue000", "的\U0002b820a", "ΑΣ", "a\u2e43a"]
    assert all(pieces(text) != pieces(text, definition="transformers") for text in texts)
    assert pieces("a" * 100) == pieces("a" * 100, definition="transformers")


def test_a_sigma_keeps_its_place():
    text = "ΑΣ İΣ' ΣΣ 的Σ，\u200dΑΣ\u0301"
    settled = settle_sigmas(text)
    assert settled == "Ας İς' σς 的σ，\u200dΑς\u0301" and len(settled) == len(text)
    assert unicodedata.name(settled[1]) == "GREEK SMALL LETTER FINAL SIGMA"


def test_every_tokenizer_of_the_product_says_whose_definition_it_follows():
    """The default is Google's; models, tasks and stores without `compat` follow transformers."""
    calls = []
    for path in Path(wholeword.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", None) == "WordPieceTokenizer":
                calls.append((path.name, node.lineno, [keyword.arg for keyword in node.keywords]))
    assert len(calls) > 8 and not [call for call in calls if "definition" not in call[2]]
