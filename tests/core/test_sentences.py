import pytest
from hypothesis import given
from hypothesis import strategies as st

from wholeword.core.data.sentences import split_sentences

GOLDEN = [
    ("今天很好。明天呢？！不知道", ["今天很好。", "明天呢？！", "不知道"]),
    ("他问：“去吗？” 我说：“不去。”后来下雨了……", ["他问：“去吗？”", "我说：“不去。”", "后来下雨了……"]),
    ("「好！」『是？』（真的！）。【完。】下一句", ["「好！」", "『是？』", "（真的！）。", "【完。】", "下一句"]),
    ("他说：“你听我说‘走。’”大家都走了。", ["他说：“你听我说‘走。’”", "大家都走了。"]),
    ("“你去吗？”，他问。", ["“你去吗？”，他问。"]),
    ("《你好，李焕英！》很好看。我也去。", ["《你好，李焕英！》很好看。", "我也去。"]),
    ('他说:"好。"然后走了。"真的吗?"她问。', ['他说:"好。"', "然后走了。", '"真的吗?"', "她问。"]),
    ('他走了。"真的吗?"她问。', ["他走了。", '"真的吗?"', "她问。"]),
    ("第一；第二：第三，第四、第五。", ["第一；第二：第三，第四、第五。"]),
    ("等等……然后呢？……不知道……", ["等等……", "然后呢？……", "不知道……"]),
    ("等等⋯⋯然后呢", ["等等⋯⋯", "然后呢"]),
    ("一个…不算", ["一个…不算"]),
    ("圆周率是3.14，版本是2.0.1。网址http://a.cn/c?d=e&f!g", ["圆周率是3.14，版本是2.0.1。", "网址http://a.cn/c?d=e&f!g"]),
    ("你好!我是Bob. 你呢?我也是. 好", ["你好!", "我是Bob.", "你呢?", "我也是.", "好"]),
    ("Mr. Smith joined the U.S. Army. He left. 他走了", ["Mr. Smith joined the U.S. Army.", "He left.", "他走了"]),
    ("3. 打开文件。4. 关闭文件。", ["3. 打开文件。", "4. 关闭文件。"]),
    ("使用apt. 安装", ["使用apt.", "安装"]),
    ("结束。\u3000\u3000第二段。 ", ["结束。", "第二段。"]),
    ("没有标点的一行", ["没有标点的一行"]),
    ("。。。", ["。。。"]),
    (" \t\u3000", []),
    ("", []),
]


@pytest.mark.parametrize(("line", "sentences"), GOLDEN, ids=[line for line, _ in GOLDEN])
def test_sentences_end_where_a_reader_would_end_them(line, sentences):
    assert split_sentences(line) == sentences


@given(st.text(st.sampled_from("。！？｡!?.…⋯\"'”’」』）》】《“「（ \u3000\t\ra中B1，；\x85\u2028"), max_size=40) | st.text())
def test_sentences_are_the_line_without_the_blanks_around_them(line):
    position = 0
    for sentence in split_sentences(line):
        assert sentence == sentence.strip() != ""
        found = line.index(sentence, position)
        assert not line[position:found].strip()
        position = found + len(sentence)
    assert not line[position:].strip()


def test_a_run_on_is_left_whole():
    line = "没有标点的文字" * 10_000
    assert split_sentences(line) == [line]
