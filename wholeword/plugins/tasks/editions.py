"""The known editions of the published files, with the source of every count and fingerprint.

Several files are in circulation under the name of one dataset (ymcui/Chinese-BERT-wwm#37), so each reader says which of them it was given.
"""

from typing import NamedTuple

WWM = "https://github.com/ymcui/Chinese-BERT-wwm/tree/master/data"
OYE93 = "https://github.com/OYE93/Chinese-NLP-Corpus/tree/master/NER"
# dataset_infos.json and README.md of each: counts, and the sha256 of the files that are downloaded
HF = "https://github.com/huggingface/datasets/tree/040102f100964a33fd334e2695f1c493fa6b92db/datasets"
CLUE = f"{HF}/clue"
CMRC = "https://github.com/ymcui/cmrc2018"
TITLES = "https://github.com/649453932/Bert-Chinese-Text-Classification-Pytorch/tree/master/THUCNews/data"
CNEWS = "https://github.com/gaussic/text-classification-cnn-rnn"


class Edition(NamedTuple):
    """A file that is known to be in circulation."""

    name: str
    rows: int | None  # examples that are read from it; None where nobody says
    sha256: str | None  # None where it has not been examined
    source: str  # where the count and the fingerprint are from


Editions = tuple[Edition, ...]


class File(NamedTuple):
    """One split of a dataset."""

    names: tuple[str, ...]  # names of the file; the first one present is read
    editions: Editions = ()  # those known


def counted(num_examples: int, name: str, source: str, sha256: str | None = None) -> Editions:
    """The only known edition of a file."""
    return (Edition(name, num_examples, sha256, source),)


CHNSENTICORP = {
    "train": File(
        ("train.tsv",), counted(9_600, "HFL", f"{WWM}/chnsenticorp", "0b2653c23e5c79f539472e90cb10522f0ada4b80d3da95572d8b48fda47d5b33")
    ),
    "dev": File(
        ("dev.tsv",), counted(1_200, "HFL", f"{WWM}/chnsenticorp", "d129e443eac08ce7643013dad496a8edf282be39cac1a4f2ad080818b296b331")
    ),
    "test": File(
        ("test.tsv",), counted(1_200, "HFL", f"{WWM}/chnsenticorp", "34f9d71eba6096cd8689e18913d28cf9a5f3c18a6c2804cd13304a321738c4bc")
    ),
}
THUCNEWS = {
    "train": File(("cnews.train.txt", "train.txt"), counted(50_000, "cnews", CNEWS)),
    "dev": File(("cnews.val.txt", "dev.txt"), counted(5_000, "cnews", CNEWS)),
    "test": File(("cnews.test.txt", "test.txt"), counted(10_000, "cnews", CNEWS)),
}
THUCNEWS_TITLE = {
    "train": File(("train.txt",), counted(180_000, "649453932", TITLES)),
    "dev": File(("dev.txt",), counted(10_000, "649453932", TITLES, "6ed73aa2c57ee1560c8f76570d48735c4b1c29ae4983fe3523d56e115813e175")),
    "test": File(("test.txt",), counted(10_000, "649453932", TITLES)),
}
HF_XNLI = "https://github.com/huggingface/datasets/tree/0006d14cecbac8ac58265977ecdb3aea8cdd97c6/datasets/xnli"
XNLI = {
    "train": File(("multinli.train.zh.tsv", "XNLI-MT-1.0/multinli/multinli.train.zh.tsv"), counted(392_702, "XNLI-MT-1.0", HF_XNLI)),
    "dev": File(("xnli.dev.tsv", "XNLI-1.0/xnli.dev.tsv"), counted(2_490, "XNLI-1.0", HF_XNLI)),
    "test": File(("xnli.test.tsv", "XNLI-1.0/xnli.test.tsv"), counted(5_010, "XNLI-1.0", HF_XNLI)),
}
OCNLI_DATA = "https://github.com/CLUEbenchmark/OCNLI/tree/main/data/ocnli"
OCNLI = {  # without the pairs that have no decided label
    "train": File(
        ("train.50k.json", "train.json", "train.10k.json"),
        (
            Edition("train.50k", 50_437, None, CLUE),
            Edition("train.10k", 9_985, "b8a0b7b72f62eb8d47a4d21ba34c4948bf2bdf5fde649a964ef3779504c7ab81", OCNLI_DATA),
            Edition("train.small", None, None, OCNLI_DATA),  # "30k data points"
        ),
    ),
    "dev": File(("dev.json",), counted(2_950, "OCNLI", OCNLI_DATA, "001ded235d73a18dac68a45a38cd5f9b3f9311fa4246df623e199422c073ddc5")),
    "test": File(("test.json",), counted(3_000, "OCNLI", CLUE)),
}
LCQMC_PAPER = "https://aclanthology.org/C18-1166"
LCQMC_COPY = "https://github.com/zejunwang1/CSTS/tree/main/LCQMC"
LCQMC = {
    "train": File(("train.txt", "train.tsv"), counted(238_766, "HIT-SZ", LCQMC_PAPER)),
    "dev": File(
        ("dev.txt", "dev.tsv"), counted(8_802, "HIT-SZ", LCQMC_COPY, "d3cd41ed89b8f6196a76ebff2aa03d5ecf42edcd12942aa865d34f7e570af7c2")
    ),
    "test": File(("test.txt", "test.tsv"), counted(12_500, "HIT-SZ", LCQMC_PAPER)),
}
BQ_PAPER = "https://aclanthology.org/D18-1536"
BQ_COPY = "https://github.com/terrifyzhao/text_matching/tree/master/input"
BQ = {
    "train": File(("train.csv", "train.tsv", "train.txt"), counted(100_000, "HIT-SZ", BQ_PAPER)),
    "dev": File(
        ("dev.csv", "dev.tsv", "dev.txt"),
        counted(10_000, "HIT-SZ", BQ_COPY, "2c111beccec92e9bcadfb2b5203895df89847786462d880d5d2bf98ab5169202"),
    ),
    "test": File(("test.csv", "test.tsv", "test.txt"), counted(10_000, "HIT-SZ", BQ_PAPER)),
}
CMRC2018 = {
    "train": File(
        ("cmrc2018_train.json", "train-pseudo-cmrc2018.json"),
        (
            Edition("SQuAD form", 10_142, "5497aa2f81908e31d6b0e27d99b1f90ab63a8f58fa92fffe5d17cf62eba0c212", f"{HF}/cmrc2018"),
            Edition(
                "ExpMRC",
                10_142,
                "23ac5ce2d7b3ecc0edee5a677734556c78ff726639366523ff89dd7c81d47867",
                "https://github.com/ymcui/expmrc/tree/main/pseudo_training_data",
            ),
            Edition("original form", 10_321, None, "https://aclanthology.org/D19-1600"),
        ),
    ),
    "dev": File(
        ("cmrc2018_dev.json",),
        (
            Edition(
                "SQuAD form",
                3_219,
                "e9ff74231f05c230c6fa88b84441ee334d97234cbb610991cd94b82db00c7f1f",
                f"{CMRC}/tree/master/squad-style-data",
            ),
            Edition("original form", 3_219, None, f"{CMRC}/tree/master/data"),
        ),
    ),
    "trial": File(
        ("cmrc2018_trial.json",),
        (
            Edition(
                "SQuAD form",
                1_002,
                "f3fae95b57da8e03afb2b57467dd221417060ef4d82db13bf22fc88589f3a6f3",
                f"{CMRC}/tree/master/squad-style-data",
            ),
            Edition("original form", 1_002, None, f"{CMRC}/tree/master/data"),
        ),
    ),
    "test": File(("cmrc2018_test.json",), counted(2_000, "CLUE, with hidden answers", CLUE)),
}
DRCD = {
    "train": File(("DRCD_training.json",), counted(26_936, "DRCD", CLUE)),
    "dev": File(
        ("DRCD_dev.json",),
        counted(
            3_524, "DRCD", "https://github.com/DRCKnowledgeTeam/DRCD", "e236df03861ba241bd7b29628cd48b3b8e339c60137e041a4358b5320ed61928"
        ),
    ),
    "test": File(("DRCD_test.json",), counted(3_493, "DRCD", CLUE)),
}
CAIL = (Edition("CAIL 2019", None, None, "http://cail.cipsc.org.cn"),)  # the seeds' own split was never published
CJRC = {
    "train": File(("train.json", "big_train_data.json"), CAIL),
    "dev": File(("dev.json", "dev_ground_truth.json"), CAIL),
    "test": File(("test.json", "test_ground_truth.json"), CAIL),
}
BAKEOFF = "https://aclanthology.org/W06-0115"  # SIGHAN 2006; the counts are those of copies that cite it
MSRA = {
    "train": File(
        ("msra_train_bio.txt", "msra_train_bio", "train.txt"),
        (
            Edition("OYE93", 45_000, "b403d1318c5289917ad2ca4136279592521684748327e93f1bf49a3845a40ac7", f"{HF}/msra_ner"),
            Edition("bakeoff", 46_364, None, BAKEOFF),
        ),
    ),
    "dev": File(("msra_dev_bio.txt", "dev.txt"), (Edition("held back by a user", None, None, f"{OYE93}/MSRA"),)),  # none was published
    "test": File(
        ("msra_test_bio.txt", "msra_test_bio", "test.txt"),
        (
            Edition("OYE93", 3_442, "2be8e580bcb22e9086e4403d82a7ec0f6e18019ebef35b0fd52941724bdf89a3", f"{HF}/msra_ner"),
            Edition("bakeoff", 4_365, None, BAKEOFF),
        ),
    ),
}
HFL_PEOPLES_DAILY = f"{WWM}/peopledaily"  # named by its README: https://github.com/ProHiryu/bert-chinese-ner/tree/master/data
PEOPLES_DAILY = {
    "train": File(
        ("example.train", "train.txt"),
        (
            Edition("OYE93", 20_864, "fbacf4110b131354270b7ff470c88eb84645f0ed8df30c3e409dde437cb45e70", f"{HF}/peoples_daily_ner"),
            Edition("HFL", 50_658, None, HFL_PEOPLES_DAILY),
        ),
    ),
    "dev": File(
        ("example.dev", "dev.txt"),
        (
            Edition("OYE93", 2_318, "7d8e6fcd1745e6adcb99d90307d84c3a0f9f8ff5ee6fe62ca27646cb765fc38a", f"{HF}/peoples_daily_ner"),
            Edition("HFL", 4_631, None, HFL_PEOPLES_DAILY),
        ),
    ),
    "test": File(
        ("example.test", "test.txt"),
        (
            Edition("OYE93", 4_636, "233299005f941a4b055e38aadcf3ee853e44bc1f88166078d3b52b26b77ea362", f"{HF}/peoples_daily_ner"),
            Edition("HFL", None, None, HFL_PEOPLES_DAILY),
        ),
    ),
}
