"""The YAML of recipes: what is read, what is refused, and where."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wholeword.core.config.yaml import MAX_BYTES, MAX_DEPTH, from_text, read_yaml

MERGE_BOMB = "x: &a0 {k: v}\n" + "".join(f"y{i}: &a{i} {{<<: [{','.join([f'*a{i - 1}'] * 9)}], k{i}: 1}}\n" for i in range(1, 9))

# content, place of the only problem, words in it
REFUSED = {
    "merge bomb": (MERGE_BOMB, "1:4", "'&a0' (an anchor) is not allowed"),
    "merge key": ("a: {<<: b}", "1:5", "'<<' (a merge key) is not allowed"),
    "alias": ("a: 1\nb: *a", "2:4", "'*a' (an alias) is not allowed"),
    "recursive alias": ("a: &a [*a]", "1:4", "'&a' (an anchor) is not allowed"),
    "glob that looks like an alias": ("files: [*.txt]", "1:9", "'*' at the beginning is an alias"),
    "python object": ("a: !!python/object/apply:os.system ['id']", "1:4", "os.system' (a tag) is not allowed"),
    "python name": ("a: !!python/name:os.system", "1:4", "is not allowed"),
    "standard tag": ("a: !!str 1", "1:4", "'tag:yaml.org,2002:str' (a tag) is not allowed"),
    "own tag": ("a: !zoo base", "1:4", "'!zoo' (a tag) is not allowed"),
    "2000 lists": ("a: " + "[" * 2000, f"1:{MAX_DEPTH + 4}", "nested deeper than 32"),
    "2000 mappings": ("{" * 2000, f"1:{MAX_DEPTH + 1}", "nested deeper than 32"),
    "2000 lists in lists, block style": ("- " * 2000, "1:67", "nested deeper than 32"),
    "2000 mappings, block style": ("".join(" " * i + "a:\n" for i in range(300)), "34:34", "nested deeper than 32"),
    "two documents": ("a: 1\n---\nb: 2", "2:1", "a second document"),
    "a list": ("- a\n- b", "1:1", "expected lines of key: value"),
    "text": ("hello", "1:1", "expected lines of key: value"),
    "a list as a key": ("? [a, b]\n: c", "1:3", "a list or mapping as a key; expected text"),
    "same key twice": ("steps: 1\nseed: 2\nsteps: 3", "3:1", "steps: duplicate entry (first on line 1); keep one"),
    "same key twice, inside": ("phases:\n  - {steps: 1, steps: 2}", "2:16", "phases.0.steps: duplicate entry (first on line 2); keep one"),
    "tab": ("a:\n\tb: 1", "2:1", "a tab; expected spaces"),
    "tab after a colon": ("a: 1\nb:\t2", "2:3", "a tab; expected spaces"),
    "no blank after the colon": ("a: 1\nsteps:100\nb: 2", "2:1", "no ': ' after the key"),
    "full-width colon": ("a: 1\n学习率：1\nb: 2", "2:1", "full-width '：'; did you mean ':'?"),
    "full-width comma": ("files: [a：b，c", "1:14", "full-width '：'"),
    "two colons": ("a: b: c", "1:5", "a ':' inside a value"),
    "list not closed": ("a: [1, 2\nb: 3", "2:2", "began on line 1"),
    "mapping not closed": ("a: {b: 1\nc: 3", "2:2", "began on line 1"),
    "list never closed": ("a: [1, 2", "1:9", "began on line 1"),
    "quote not closed": ("a: 1\nb: 'text\nc: 3", "2:4", "a quotation mark that is never closed"),
    "escape": ('a: "C:\\Users"', "1:9", "single quotes"),
    "indentation": ("a:\n  b: 1\n c: 2", "3:2", "not in line with what began on line 1"),
    "at sign": ("a: @x", "1:4", "put the text in quotes"),
    "NUL": ("a: x\nb: \0", "2:4", "control character U+0000"),
    "escaped NUL": ('a: "\\0"', "1:4", "not a character"),
    "escaped surrogate": ('a: 1\n"\\ud800": 1', "2:1", "not a character"),
    "too large": ("a: " + "x" * MAX_BYTES, "1:1", "name many files by a pattern"),
    "2 MiB": ("[" * 2**21, "1:1", "more than 131,072 bytes"),
    "too many values": ("a: [" + "1," * 20000 + "]", "1:8193", "more than 4096 values"),
}
BYTES = {
    "GB18030": ("a: 1\nb: 中文".encode("gb18030"), "2:4", "byte 0xd6 is not UTF-8; expected UTF-8"),
    "UTF-16": ("a: 1".encode("utf-16"), "1:1", "is not UTF-8"),
    "surrogate": (b"a: \xed\xa0\x80", "1:4", "byte 0xed is not UTF-8"),
    "after a BOM": (b"\xef\xbb\xbfa: \xff", "1:4", "byte 0xff is not UTF-8"),
}


@pytest.mark.parametrize(("content", "place", "words"), [*REFUSED.values(), *BYTES.values()], ids=[*REFUSED, *BYTES])
def test_what_is_refused_is_refused_in_one_line_with_its_place(content, place, words):
    document = read_yaml(content if isinstance(content, bytes) else content.encode(), "recipe.yaml")
    (problem,) = document.problems
    assert str(problem).startswith(f"recipe.yaml:{place}: "), str(problem)
    assert words in str(problem)
    assert "\n" not in str(problem)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-4", 1e-4),
        ("1.0e-4", 1e-4),
        ("1E5", 1e5),
        (".5", 0.5),
        ("2.", 2.0),
        ("-3", -3),
        ("+3", 3),
        ("0", 0),
        ("true", True),
        ("False", False),
        ("~", None),
        ("null", None),
        ("", None),
        *[(text, text) for text in ("no", "yes", "on", "off", "017", "-017", "00.5", "0x1f", "0o17", "12:30:45", "2024-01-01", "100_000")],
        *[(text, text) for text in (".inf", "-.inf", ".nan", "nan", "1e400", "9" * 5000, "1.2.3", "1e", "e5", ".", "-", "１２", "使用")],
    ],
)
def test_plain_scalars_are_yaml_1_2_without_its_traps(text, value):
    assert from_text(text) == value
    assert type(from_text(text)) is type(value)


def test_quoted_scalars_are_text():
    assert read_yaml(b"a: '1'\nb: \"true\"\nc: |\n  1\n", "x").data == {"a": "1", "b": "true", "c": "1\n"}


def test_keys_are_their_text():
    assert read_yaml(b"no: 1\n2: 2\ntrue: 3\n~: 4", "x").data == {"no": 1, "2": 2, "true": 3, "~": 4}


def test_bom_and_crlf_change_nothing():
    plain = read_yaml("名: 词\nb: [1]\n".encode(), "x")
    windows = read_yaml("\ufeff名: 词\r\nb: [1]\r\n".encode(), "x")
    assert windows == plain
    assert windows.data == {"名": "词", "b": [1]}


def test_an_empty_file_is_an_empty_mapping():
    for text in (b"", b"# nothing\n", b"\n\n"):
        assert read_yaml(text, "x").data == {}


def test_every_key_and_value_has_its_place():
    document = read_yaml(b"corpus:\n  files: [a, b]\nphases:\n  - {steps: 100}\n", "r.yaml")
    assert str(document.key_place(("corpus", "files"))) == "r.yaml:2:3"
    assert str(document.place(("corpus", "files", 1))) == "r.yaml:2:14"
    assert str(document.key_place(("phases", 0, "steps"))) == "r.yaml:4:6"
    assert str(document.place(("phases", 0, "steps"))) == "r.yaml:4:13"
    assert str(document.place(("phases", 0, "peak_lr"))) == "r.yaml:4:5"  # not there: the section's
    assert document.place(("nowhere", 3)) == document.place(())


words = st.text(st.characters(exclude_categories=("C", "Zl", "Zp")))
numbers = st.integers(-(10**17), 10**17) | st.floats(allow_nan=False, allow_infinity=False)
json_data = st.recursive(
    st.none() | st.booleans() | numbers | words,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(words, inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(words, json_data, max_size=4), st.sampled_from([None, 1]))
def test_json_is_read_as_json(data, indent):
    document = read_yaml(json.dumps(data, ensure_ascii=False, indent=indent).encode("utf-8"), "x")
    assert document.problems == []
    assert document.data == data


@given(st.binary(max_size=200) | st.text(alphabet="ab:{}[]-?&*!|>'\"%@`#,\n\t \\~<0.：\u3000\u2028", max_size=60).map(str.encode))
def test_no_bytes_make_it_raise(content):
    document = read_yaml(content, "x")
    assert document.problems or isinstance(document.data, dict)
    assert all("\n" not in str(problem) for problem in document.problems)
