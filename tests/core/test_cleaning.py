"""Cleaning: what each cleaner does to a line, and what a recipe that asks for it does to a store."""

import json
import os
import sys
import unicodedata
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers.implementations import BertWordPieceTokenizer

from wholeword.core.config import load_recipe
from wholeword.core.config.job import resolve
from wholeword.core.config.layout import corpus_layout
from wholeword.core.config.preparation import prepare_job
from wholeword.core.config.recipe import CorpusSection
from wholeword.core.data.chunks import CorpusReader
from wholeword.core.data.cleaning import clean
from wholeword.core.data.corpus import expand_files
from wholeword.core.data.documents import read_documents
from wholeword.core.data.store import TokenStore
from wholeword.core.errors import PluginError, UserError
from wholeword.core.registry.plugins import Entry, Offers
from wholeword.core.registry.registry import registry
from wholeword.core.testing import check_cleaner
from wholeword.core.training.prepare import prepare
from wholeword.core.vocabulary import SPECIAL_PIECES, Vocabulary
from wholeword.planning.plan import plan
from wholeword.plugins.cleaning.html import BREAKS
from wholeword.plugins.cleaning.quotes import REPLACEMENTS

NAMES = ["html", "control-characters", "quotes", "full-width"]
needs_data = pytest.mark.skipif("WHOLEWORD_DATA" not in os.environ, reason="WHOLEWORD_DATA is unset: no released vocabulary, no real text")

# cleaner, line, what it becomes
GOLDEN = [
    ("html", "<p>老板以前是一名<b>程序员</b>，会写Python。</p>", " 老板以前是一名程序员，会写Python。 "),
    ("html", "第一段<br/>第二段<BR>New<td>York", "第一段 第二段 New York"),
    ("html", '<a title="a>b" href=x.html>点击<!-- <b>不</b> -->这里</a>', "点击这里"),
    ("html", "价格<script>if (a<b) {写('</p>')}</script>上涨<style>p{color:red}</style >了。", "价格上涨了。"),
    ("html", "A&amp;B公司&nbsp;&copy;&#160;2027&#x5e74;&hellip;", "A&B公司\xa0©\xa02027年…"),
    ("html", "&amp;lt;b&amp;gt;&lt;b&gt;", "&lt;b&gt;<b>"),  # one layer
    ("html", "换行&#10;&NewLine;回车&#13;", "换行  回车\r"),  # never a line feed
    ("html", "如果3<5且x<y，那么y>x；<http://a.cn>、<me@a.cn>，<x且y>", "如果3<5且x<y，那么y>x；<http://a.cn>、<me@a.cn>，<x且y>"),
    ("html", '第一行<a href="x.html"', '第一行<a href="x.html"'),  # its > is on another line
    ("html", "正文<!-- 到下一行", "正文"),
    ("html", "<!DOCTYPE html><o:p>&am<b>p;</b></o:p>", "&amp;"),
    ("control-characters", "\ufeff零\u200b宽\u00ad的\u2060空\u202a格\x00", "零宽的空格"),
    ("control-characters", "制表\t全角\u3000不换行\xa0行\u2028分\x85隔\r", "制表 全角 不换行 行 分 隔 "),
    ("control-characters", "👩\u200d💻写代码❤\ufe0f，🇨🇳", "👩💻写代码❤，🇨🇳"),
    ("control-characters", "é重音，か\u3099仮名，ＡＢＣ，臺灣𠮷", "é重音，か\u3099仮名，ＡＢＣ，臺灣𠮷"),
    ("quotes", "“真的吗？”她笑着问——没有人回答……", "\"真的吗？\"她笑着问--没有人回答⋯⋯"),
    ("quotes", "他说：‘it’s “OK”’，1939–1945年", "他说：'it's \"OK\"'，1939-1945年"),
    ("quotes", "「好」『是』《书》„nein«·、", "「好」『是』《书》„nein«·、"),
    ("full-width", "ＡＢＣ１２３，ｘｙｚ！\u3000（全角）", "ABC123，xyz！ （全角）"),
    ("full-width", "臺灣、한국어、カタカナ、￥１００、①", "臺灣、한국어、カタカナ、￥100、①"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "line", "cleaned"), GOLDEN, ids=[f"{name} {line}" for name, line, _ in GOLDEN])
def test_lines_are_cleaned_as_a_reader_would(name, line, cleaned):
    assert registry.create("cleaner", name).clean([line]) == [cleaned]


def test_full_width_punctuation_is_left_unless_asked_for():
    line = "（１）价格：３５％，对吗？〜。、「￥」"
    assert registry.create("cleaner", "full-width").clean([line]) == ["（1）价格：35％，对吗？〜。、「￥」"]
    assert registry.create("cleaner", "full-width", punctuation=True).clean([line]) == ["(1)价格:35%,对吗?〜。、「￥」"]


@pytest.mark.parametrize("punctuation", [False, True])
def test_full_width_is_unicodes_compatibility_form(punctuation):
    cleaner = registry.create("cleaner", "full-width", punctuation=punctuation)
    for code in range(0xFF01, 0xFF5F):
        ascii_form = unicodedata.normalize("NFKC", chr(code))
        assert cleaner.clean([chr(code)]) == [ascii_form if punctuation or ascii_form.isalnum() else chr(code)]


def test_what_is_invisible_is_what_unicode_calls_control_and_format():
    cleaner = registry.create("cleaner", "control-characters")
    characters = list(map(chr, [*range(0xD800), *range(0xE000, sys.maxunicode + 1)]))
    for character, cleaned in zip(characters, cleaner.clean(characters), strict=True):
        code = ord(character)
        selector = character in "\u180b\u180c\u180d\u180f" or 0xFE00 <= code < 0xFE10 or 0xE0100 <= code < 0xE01F0
        invisible = selector or unicodedata.category(character) in ("Cc", "Cf")
        expected = " " if character.isspace() else "" if invisible else character
        # this Python's Unicode may be older than the list
        assert cleaned == expected or (cleaned == "" and unicodedata.category(character) == "Cn"), f"U+{code:04X}"


@settings(max_examples=200, deadline=None)
@given(
    st.text(
        st.sampled_from("使用语言模型，ab1 é😀か\u3099\t\u3000\xa0\u2028\0\x1b\x7f\xad\u200b\u200d\u2060\u202e\ufe0f\ufeff\U000e0041"),
        max_size=30,
    )
)
def test_no_piece_of_bert_changes_when_what_is_invisible_goes(line):
    """Google's own cleaning drops the same, but only after a segmenter has seen it."""
    vocabulary = Vocabulary([*SPECIAL_PIECES, *"使用语言模型，ab1か", "e", "##a", "##b", "##1", "##e", "##か"])
    pieces = BertWordPieceTokenizer(vocabulary.ids, lowercase=True).encode
    [cleaned] = registry.create("cleaner", "control-characters").clean([line])
    assert pieces(cleaned, add_special_tokens=False).tokens == pieces(line, add_special_tokens=False).tokens


class Page(HTMLParser):
    """The text of a page by Python's own parser: no scripts and styles, a blank for a tag that begins a new line."""

    def __init__(self, line: str):
        super().__init__()
        self.parts: list[str] = []
        self.feed(line)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.parts += [" "] * (tag in BREAKS)

    handle_endtag = handle_startendtag = lambda self, tag, attrs=(): Page.handle_starttag(self, tag, attrs)

    def handle_data(self, data):
        self.parts += [data] * (self.cdata_elem is None)


ATTRIBUTES = ["", ' class="a>b"', " id=x", " title='a\"b>c'", " hidden", ' 标题="，" ', ' a = "1"b=2', " /", ' alt="a" "', "\t\r"]
TAGS = ["p", "b", "BR", "div", "h1", "td", "o:p", "my-tag", "font", "A"]
MARKUP = st.one_of(
    st.text(st.sampled_from("使用语言模型。 ab1;#=\"'>\u3000\xa0&ltamp"), max_size=6),
    st.sampled_from(["&amp;", "&lt;", "&#10;", "&#x4e2d;", "&copy", "&NotEqualTilde;", "&hellip;", "&#xD800;", "&am", "p;", "&#0;"]),
    st.builds("<{}{}>".format, st.sampled_from(TAGS), st.sampled_from(ATTRIBUTES)),
    st.builds("</{}{}>".format, st.sampled_from(TAGS), st.sampled_from(["", " "])),
    st.builds("<!-- {} -->".format, st.sampled_from(["", "<b>", "注释", "a > b", "--", "<script>"])),
    st.builds("<{0}{1}>{2}</{0}>".format, st.sampled_from(["script", "style", "SCRIPT"]), st.sampled_from(["", " type='x'"]),
              st.sampled_from(["", "var a = '<p>' && b < c;", "p > a {}", "// 注释 &lt;"])),
    st.sampled_from(["< ", "<3", "<，", "<!DOCTYPE html>", "<?xml version='1.0'?>"]),
)  # fmt: skip


@settings(max_examples=500, deadline=None)
@given(st.lists(MARKUP, max_size=12).map("".join))
def test_html_is_read_as_by_pythons_parser(line):
    assert registry.create("cleaner", "html").clean([line]) == ["".join(Page(line).parts).replace("\n", " ")]


HOSTILE = st.text(
    st.sampled_from("<>&/!-=\"' pbr;#x10ａＺ９！“”‘’—…\u3000\xa0\0\t\r\x0b\x85\u2028\u200b\u200d\ufe0f\ufeff\U000e0041\xad😀使用")
    | st.characters(codec="utf-8", exclude_characters="\n"),
    max_size=40,
)


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=200, deadline=None)
@given(lines=st.lists(HOSTILE, max_size=5))
def test_hostile_lines_keep_the_contract(name, lines):
    """As many lines, no line feed, the same again, alone and among others; and but for entities, nothing is left to clean."""
    check_cleaner(registry.create("cleaner", name), lines, idempotent=name != "html")
    check_cleaner(registry.create("cleaner", name))


@pytest.mark.parametrize("text", ["<a ", "<!--", "<script>", "</script ", '<a ="', "<a b='<' ", "<!", "&#", "<" + "a" * 9, "=  ", "--!"])
def test_html_without_end_is_read_in_time_that_grows_with_it(text):
    line = "<script>" * (text == "</script ") + text * (2_000_000 // len(text))  # quadratic time would be hours
    assert len(registry.create("cleaner", "html").clean([line])) == 1


# --- what is asked of a cleaner


class Feeds:
    def clean(self, lines):
        return [line.replace("。", "。\n") for line in lines]


class Filters:
    def clean(self, lines):
        return [line for line in lines if "雨" not in line]


class Fails:
    def clean(self, lines):
        return [line[line.index("天") :] for line in lines]


class Bytes:
    def clean(self, lines):
        return [line.encode() if "雨" in line else line for line in lines]


class Nothing:
    def clean(self, lines):
        pass


class Numbers:
    def clean(self, lines):
        return [f"{number} {line}" for number, line in enumerate(lines)]


class InPlace:
    def clean(self, lines):
        lines[:] = [line + "。" for line in lines]
        return lines


class Counts:
    calls = 0

    def clean(self, lines):
        self.calls += 1
        return [f"{self.calls} {line}" for line in lines]


@pytest.mark.parametrize(
    ("cleaner", "complaint"),
    [
        (Feeds, "gave '我在家。\\n'; expected text without a line feed (for the line '我在家。'"),
        (Filters, "gave 2 lines for 3; expected one each (for the line '外面下雨'"),
        (Fails, "failed with ValueError: substring not found (for the line '我在家。'"),
        (Bytes, f"gave {'外面下雨'.encode()!r}; expected text without a line feed (for the line '外面下雨'"),
        (Nothing, "failed with TypeError: 'NoneType' object is not iterable (for the line '今天'"),
    ],
)
def test_a_cleaner_that_breaks_its_contract_is_named_with_the_line(cleaner, complaint):
    with pytest.raises(PluginError) as raised:
        clean(["今天", "我在家。", "外面下雨"], [("good", registry.create("cleaner", "quotes")), ("bad", cleaner())], "a.txt:7")
    assert str(raised.value) == f"cleaner 'bad' {complaint} of the document at a.txt:7)"


@pytest.mark.parametrize(
    ("cleaner", "complaint"),
    [
        (Feeds, "no line feed"),
        (Filters, "expected one for each"),
        (Bytes, "expected a string"),
        (Nothing, "returned NoneType"),
        (Numbers, "must not depend on others"),
        (InPlace, "wrote into its argument"),
        (Counts, "deterministic"),
    ],
)
def test_a_broken_cleaner_is_caught(cleaner, complaint):
    with pytest.raises(AssertionError, match=complaint):
        check_cleaner(cleaner(), ["今天。", "外面下雨"])
    with pytest.raises(AssertionError, match="when cleaned twice"):
        check_cleaner(registry.create("cleaner", "html"), ["&amp;amp;"])


# --- in a corpus


def read(folder: Path, *names: str, counts: Counter | None = None, **changes) -> list[list[str]]:
    corpus = corpus_layout(CorpusSection(files=["*"], **changes), folder)
    cleaners = [(name, registry.create("cleaner", name)) for name in names]
    chunks = CorpusReader(expand_files(corpus), corpus).chunks()
    counts = Counter() if counts is None else counts
    return [document for chunk in chunks for _, document in read_documents(chunk, corpus, counts, cleaners)]


def test_lines_are_cleaned_before_they_are_cut_into_sentences(tmp_path):
    lines = ["<p>“今天下雨。”他说。</p><p>我在家。</p>", "<br>", "", "<!-- 空 -->", "", "没有标记"]
    (tmp_path / "a.txt").write_text("\n".join(lines), encoding="utf-8")
    counts = Counter()
    assert read(tmp_path, "html", "quotes", counts=counts) == [['"今天下雨。"他说。  我在家。'], ["没有标记"]]
    assert counts["num_cleaned"] == 3  # lines; the last is as it was
    assert read(tmp_path, "quotes", "html", format="text") == [['"今天下雨。"', "他说。", "我在家。"], ["没有标记"]]
    assert read(tmp_path, "html", documents="line") == [["“今天下雨。”他说。  我在家。"], ["没有标记"]]
    assert read(tmp_path, "html", documents="file", format="text") == [["“今天下雨。”", "他说。", "我在家。", "没有标记"]]
    (tmp_path / "a.txt").unlink()
    (tmp_path / "a.jsonl").write_text("\n".join(json.dumps({"text": text}) for text in ("\n".join(lines), "<i>")), encoding="utf-8")
    counts = Counter()
    assert read(tmp_path, "html", format="jsonl", counts=counts) == [["“今天下雨。”", "他说。", "我在家。", "没有标记"]]
    assert counts["num_cleaned"] == 4


def test_duplicates_are_told_by_the_text_before_cleaning(tmp_path):
    (tmp_path / "a.txt").write_text("<p>好。\n\n<b>好。\n\n<p>好。\n", encoding="utf-8")
    assert read(tmp_path, "html", drop_duplicates=True) == [["好。"], ["好。"]]


def test_without_cleaning_lines_stay_as_they_are(tmp_path):
    lines = ["“ＡＢＣ”——&amp;<p>零\u200b宽……", "\x00\ufeffé\u3000か\u2028行"]
    (tmp_path / "a.txt").write_text("\n".join(lines), encoding="utf-8")
    counts = Counter()
    assert read(tmp_path, counts=counts) == [lines]
    assert not counts


# --- in a store

RECIPE = """
version: 1
name: cleaned
corpus: {{files: ["*.txt"]}}
segmenter: characters
tokenizer: {{train: 100, min_frequency: 1}}
model: {{size: tiny}}
phases: [{{max_seq_length: 32, batch_size: 2, steps: 1, peak_lr: 1e-4}}]
output: {folder}/run
prepare_workers: 1
"""


@pytest.fixture
def recipe(tmp_path):
    """A recipe over text with quotation marks and tags, with overrides."""
    (tmp_path / "a.txt").write_text("<p>“今天下雨。”她说。</p>\n我在家。\n" * 3, encoding="utf-8")

    def loaded(*overrides: str):
        (tmp_path / "recipe.yaml").write_text(RECIPE.format(folder=tmp_path), encoding="utf-8")
        return load_recipe(tmp_path / "recipe.yaml", overrides)

    return loaded


def test_the_store_is_made_of_cleaned_text_and_says_so(recipe, tmp_path):
    cleaning = "corpus.cleaning=[html, quotes, {name: full-width, punctuation: true}]"
    folder = prepare(prepare_job(recipe(cleaning)))
    store = TokenStore(folder)
    ids, _ = store.gather([0], [store.num_tokens])
    assert "".join(store.vocabulary.pieces[id] for id in ids) == '"今天下雨。"她说。我在家。' * 3
    assert store.manifest["counts"]["num_cleaned"] == 3 and store.manifest["counts"]["num_unknown"] == 0
    assert not {"“", "<", "p"} & set(store.vocabulary.pieces)  # the vocabulary was trained on cleaned text, too
    assert store.manifest["inputs"]["corpus"]["cleaning"] == [
        {"name": "html", "distribution": "wholeword", "version": "1", "settings": {}},
        {"name": "quotes", "distribution": "wholeword", "version": "1", "settings": {}},
        {"name": "full-width", "distribution": "wholeword", "version": "1", "settings": {"punctuation": True}},
    ]
    assert prepare(prepare_job(recipe(cleaning))) == folder
    for other, message in {
        "[html, quotes, full-width]": r"corpus\.cleaning\.2\.settings\.punctuation was True, is False",
        "[html, full-width, quotes]": r"corpus\.cleaning\.1\.name was 'quotes', is 'full-width'",
        "[]": r"corpus\.cleaning was \[.*\], is None",
    }.items():
        with pytest.raises(UserError, match=rf"made from other inputs: {message}.*; set 'store' to another folder"):
            prepare(prepare_job(recipe(f"corpus.cleaning={other}")))


def test_a_store_without_cleaning_does_not_speak_of_it(recipe):
    manifest = TokenStore(prepare(prepare_job(recipe()))).manifest
    assert "cleaning" not in manifest["inputs"]["corpus"] and manifest["counts"]["num_cleaned"] == 0


def test_workers_clean_as_one_process_does(recipe, tmp_path):
    (tmp_path / "b.txt").write_text("“他说今年的鱼比去年少了许多。”\n" * 25_000, encoding="utf-8")
    corpus, shards = "corpus={files: [b.txt], cleaning: [quotes], shard_mb: 1}", []
    for workers in (1, 2):
        folder = prepare(prepare_job(recipe(corpus, f"prepare_workers={workers}", f"store={tmp_path}/{workers}")))
        shards.append([path.read_bytes() for path in sorted(folder.glob("shard-*"))])
    assert shards[0] == shards[1] and len(shards[0]) == 2


def test_words_kept_of_a_text_are_not_taken_for_those_of_its_cleaned_form(recipe, tmp_path):
    stores = []
    for overrides in (["corpus.cleaning=[]"], ["corpus.cleaning=[quotes]"], ["corpus.cleaning=[quotes]", "cache=null"]):
        folder = prepare(prepare_job(recipe("segmenter=jieba", f"store={tmp_path}/{len(stores)}", *overrides)))
        stores.append([path.read_bytes() for path in sorted(folder.iterdir()) if path.name != "manifest.json"])
    assert stores[0] != stores[1] == stores[2]


STRIP = """
from pathlib import Path

class Strip:
    def __init__(self, *, characters: Path | None = None, version: str = "1"):
        self.table = str.maketrans("", "", characters.read_text(encoding="utf-8"))
        self.version = version

    def clean(self, lines):
        return [line.translate(self.table) for line in lines]
"""


def test_a_file_that_a_setting_names_and_the_version_decide(recipe, tmp_path, monkeypatch):
    (tmp_path / "strip_cleaner.py").write_text(STRIP)
    monkeypatch.syspath_prepend(tmp_path)
    strip = Entry("cleaner", "strip", "strip_cleaner:Strip", "strip-dist", "7.1")
    monkeypatch.setattr(registry, "_offers", Offers([*registry.entries, strip], []))
    (tmp_path / "characters.list").write_text("<>p/", encoding="utf-8")
    cleaning = "corpus.cleaning=[{name: strip, characters: characters.list}]"
    store = TokenStore(prepare(prepare_job(recipe(cleaning))))
    [cleaner] = store.manifest["inputs"]["corpus"]["cleaning"]
    assert (cleaner["name"], cleaner["distribution"], cleaner["version"]) == ("strip", "strip-dist", "1")
    assert cleaner["settings"]["characters"].keys() == {"name", "sha256"} and str(tmp_path) not in json.dumps(store.manifest)
    assert "<" not in store.vocabulary.ids and plan(resolve(recipe(cleaning, f"store={tmp_path}/none"))).num_tokens == store.num_tokens
    with pytest.raises(UserError, match=r"corpus\.cleaning\.0\.version was '1', is '2'"):
        prepare(prepare_job(recipe(cleaning.replace("}]", ", version: '2'}]"))))
    (tmp_path / "characters.list").write_text("<>p/。", encoding="utf-8")
    with pytest.raises(UserError, match=r"corpus\.cleaning\.0\.settings\.characters\.sha256 was"):
        prepare(prepare_job(recipe(cleaning)))


def test_the_estimate_counts_cleaned_text(recipe):
    plain, cleaned = (plan(resolve(recipe(*more))).num_tokens for more in ((), ("corpus.cleaning=[html]",)))
    assert plain - cleaned == pytest.approx(3 * 7, abs=3)  # <p></p>


# --- with the vocabulary of the released models


@needs_data
def test_quotes_writes_what_the_released_vocabulary_has_for_what_it_lacks():
    vocabulary = Vocabulary.read(Path(os.environ["WHOLEWORD_DATA"], "vocab", "vocab.txt"))
    assert len(vocabulary) == 21128
    assert all(mark not in vocabulary.ids and written in vocabulary.ids for mark, written in REPLACEMENTS.items())
    assert all(mark in vocabulary.ids for mark in "「」『』《》〈〉„«»‹›〝〞·")


@needs_data
def test_quotes_takes_most_unknown_pieces_out_of_cmrc(recipe, tmp_path):
    """0.41 % of the pieces of the development contexts are [UNK]; “ and ” are 61 % of these."""
    data = Path(os.environ["WHOLEWORD_DATA"])
    articles = json.loads((data / "cmrc2018" / "cmrc2018_dev.json").read_text(encoding="utf-8"))["data"]
    contexts = [paragraph["context"] for article in articles for paragraph in article["paragraphs"]]
    (tmp_path / "cmrc.jsonl").write_text("\n".join(json.dumps({"text": context}) for context in contexts), encoding="utf-8")
    shares = []
    for cleaning in ("[]", "[quotes]"):
        tokenizer, corpus = (
            f"tokenizer={{vocab: {data}/vocab/vocab.txt}}",
            f"corpus={{files: [cmrc.jsonl], format: jsonl, cleaning: {cleaning}}}",
        )
        counts = TokenStore(prepare(prepare_job(recipe(corpus, tokenizer, f"store={tmp_path}/{len(shares)}")))).manifest["counts"]
        shares.append(counts["num_unknown"] / counts["num_tokens"])
    print("share of [UNK]: {:.4%} before, {:.4%} after".format(*shares))
    assert len(contexts) == 848 and round(shares[0], 4) == 0.0041 and shares[1] <= 0.0016
