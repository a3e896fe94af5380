"""What `wholeword check` says about a TPU, against numbers worked out by hand and what is known about BERT-wwm."""

from dataclasses import replace

import pytest

from wholeword.core.bert.activations import comfortable_rows, row_bytes
from wholeword.core.bert.config import model_config
from wholeword.core.bert.shapes import flops_per_token
from wholeword.core.config import load_recipe
from wholeword.core.config.job import resolve
from wholeword.core.devices import GIB, tpu_slice
from wholeword.core.errors import UserError
from wholeword.core.registry.spec import PluginSpec
from wholeword.planning.tpu import padding, plan_tpu, up, utilisation

BASE = model_config({"size": "base"}, 21128)
RECIPE = """
version: 1
name: planned
corpus: {files: [corpus/*]}
segmenter: characters
tokenizer: {train: 1000}
model: {size: base}
optimizer: {name: lamb, variant: hfl}
phases:
  - {max_seq_length: 128, batch_size: 2560, steps: 100000, peak_lr: 1e-4, max_predictions: 20}
  - {max_seq_length: 512, batch_size: 384, steps: 100000, peak_lr: 1e-4, max_predictions: 77}
"""


@pytest.fixture
def planned(tmp_path):
    """The plan of BERT-wwm on a TPU, the backend's settings changed."""

    def planned(*overrides, config=BASE, **settings):
        (tmp_path / "recipe.yaml").write_text(RECIPE, encoding="utf-8")
        job = resolve(load_recipe(tmp_path / "recipe.yaml", [f"output={tmp_path}/run", *overrides]))
        backend = PluginSpec("tensorflow", {"strategy": "tpu", **settings})
        return plan_tpu(replace(job, backend=backend), config, utilisation=0.4)

    return planned


@pytest.mark.parametrize(
    ("name", "chips", "replicas", "hosts", "gib", "teraflops"),
    [
        ("v2-8", 4, 8, 1, 8, 180),  # "180 teraflops, 64 GB" of Google's announcement
        ("v3-8", 4, 8, 1, 16, 492),
        ("v3-32", 16, 32, 4, 16, 1968),
        ("v4-8", 4, 4, 1, 32, 1100),
        ("v5litepod-8", 8, 8, 1, 16, 1576),
        ("v5e-16", 16, 16, 4, 16, 3152),
        ("v5p-8", 4, 4, 1, 95, 1836),
        ("v6e-4", 4, 4, 1, 32, 3672),
    ],
)
def test_a_tpu_has_what_googles_pages_say(name, chips, replicas, hosts, gib, teraflops):
    tpu = tpu_slice(name)
    assert (tpu.num_chips, tpu.num_replicas, tpu.num_hosts) == (chips, replicas, hosts)
    assert tpu.replica_bytes == gib * GIB and tpu.peak_flops == pytest.approx(teraflops * 1e12)


def test_the_seeds_tpu_has_128_gib():
    tpu = tpu_slice("v3-8")
    assert tpu.num_replicas * tpu.replica_bytes == 128 * GIB


@pytest.mark.parametrize("name", ["v3", "v9-8", "v3-7", "v3-0", "tpu", "3-8"])
def test_an_unknown_accelerator_type_is_refused(name):
    with pytest.raises(UserError, match=r"backend\.accelerator_type: .*such as v3-8"):
        tpu_slice(name)


def test_the_days_of_bert_wwm_mean_a_utilisation_that_others_reach_too():
    """About 1.5 days on a TPU v3 of 128 GiB (readme of Chinese-BERT-wwm); NVIDIA's BERT-large on A100: .44, DeepSpeed's on V100: .52."""
    flops = sum(100_000 * rows * length * flops_per_token(BASE, length, slots) for rows, length, slots in ((2560, 128, 20), (384, 512, 77)))
    share = utilisation(flops, 36, tpu_slice("v3-8"))
    assert share == pytest.approx(0.4565, abs=1e-4)
    assert 0.19 < share < 0.52


def test_bert_wwm_on_a_v3_8(planned):
    plan = planned()
    first, second = plan.phases
    assert (first.rows, second.rows) == (2560 // 8, 384 // 8) == (320, 48)
    assert not plan.errors
    assert sum(phase.hours for phase in plan.phases) == pytest.approx(36 * 0.4565 / 0.4, rel=1e-3)  # at 0.40 of the peak
    assert first.steps_per_second == pytest.approx(1.11, abs=5e-3)  # 0.4 x 492e12 FLOP/s / 1.77e14 FLOPs
    text = "\n".join(plan.lines())
    assert "TPU v3-8 (calculated, not measured)" in text and "at an assumed utilisation of 0.40" in text
    assert "BERT-wwm took about 1.5 days on a v3-8 according to its README, a utilisation of 0.46" in text


def test_padding_is_what_fills_tiles_of_8_by_128():
    assert [up(size, 128) for size in (1, 128, 129, 21128)] == [128, 128, 256, 21248]
    aligned = model_config({"size": "base", "num_attention_heads": 6}, 21248)  # heads of 128
    assert padding(aligned, 8, 128, 24) == 0
    # heads of 64 are filled up to 128: scores and context, 2 x 128 x 64 of a position and head each, cost twice as much
    heads = model_config({"size": "base"}, 21248)
    needed = 12 * (12 * 768 * 768 + 2 * 128 * 768) + (24 / 128) * (768 * 768 + 768 * 21248)
    assert padding(heads, 8, 128, 24) == pytest.approx(12 * 2 * 128 * 768 / needed)
    # a row of 9 predictions alone is filled up to 16
    tiny = model_config({"hidden_size": 128, "num_hidden_layers": 1, "num_attention_heads": 1, "intermediate_size": 128}, 128)
    needed = 128 * (6 * 128 * 128 + 2 * 128 * 128) + 9 * 2 * 128 * 128
    assert padding(tiny, 1, 128, 9) == pytest.approx(7 * 2 * 128 * 128 / needed)


def test_padded_shapes_are_named(planned):
    shapes = planned().shapes
    assert shapes == ["vocabulary: 21,128 -> 21,248", "size of a head: 64 -> 128"]
    assert "phases.0.max_seq_length: 100 -> 128" in planned("phases.0.max_seq_length=100").shapes


def test_memory_of_a_row_and_a_replica(planned):
    # Korthikanti et al., sbh(34 + 5as/h): 34 x 768 + 5 x 12 x 128 = 33,792 bytes, for each of 12 layers and 128 positions;
    # and 12 bytes for each of 20 x 21,128 logits
    assert row_bytes(BASE, 128, 20, bf16=True) == 51_904_512 + 5_070_720
    assert row_bytes(BASE, 128, 20, bf16=False) == 103_809_024 + 5_070_720
    parameters = 102_267_648 + 613_256 + 1_538  # encoder and pooler, MLM head, NSP head: facts of the releases
    assert planned(micro_batch_size=320).phases[0].memory_bytes == 16 * parameters + 320 * 56_975_232
    assert comfortable_rows(BASE, 16 * GIB, 128, 20, bf16=True) == 242  # (0.9 x 16 GiB - 1,646,119,072) / 56,975,232 = 242.5


def test_as_many_rows_are_computed_at_once_as_fit(planned):
    plan = planned()
    assert [phase.rows_at_once for phase in plan.phases] == [160, 24]  # divisors of 320 and 48
    assert all(phase.memory_bytes < 0.9 * 16 * GIB for phase in plan.phases) and not plan.warnings
    assert [phase.rows_at_once for phase in planned(accelerator_type="v5p-8").phases] == [640, 96]  # all of them


def test_rows_that_do_not_fit_are_a_warning(planned):
    [warning] = [warning for warning in planned(micro_batch_size=320).warnings if warning.startswith("phases.0:")]
    assert warning.startswith("phases.0: needs up to 18.5 GiB per replica, which has 16;") and "remove backend.micro_batch_size" in warning
    large = model_config({"size": "large", "num_hidden_layers": 200}, 21128)
    assert all("take a larger TPU" in warning for warning in planned(config=large).warnings if "GiB per replica" in warning)
    assert any("GiB per replica" in warning for warning in planned(config=large).warnings)


def test_a_batch_that_replicas_cannot_share_is_an_error(planned):
    plan = planned("phases.1.batch_size=380")
    assert plan.errors == ["phases.1.batch_size: 380 rows are not a multiple of 8 replicas; use 376 or 384"]
    assert any(line.startswith("TPU error: phases.1.batch_size") for line in plan.lines())
    assert planned(micro_batch_size=48).errors == [
        "phases.0.batch_size: 320 rows per replica are not a multiple of backend.micro_batch_size 48"
    ]
    assert planned(accelerator_type="v3-32").phases[0].rows == 80


def test_what_will_not_compile_or_be_quick_is_a_warning(planned):
    assert any("several passes for float32" in warning for warning in planned(precision="fp32").warnings)
    assert any("4 hosts: one command on host 0" in warning for warning in planned(accelerator_type="v3-32").warnings)
    assert any("12 rows at once on a replica are not a multiple of 8" in warning for warning in planned("phases.1.batch_size=96").warnings)
    assert not any("not wholeword's own" in warning for warning in planned().warnings)


def test_other_backends_have_no_tpu(planned, tmp_path):
    assert planned(strategy="one-device") is None
    (tmp_path / "recipe.yaml").write_text(RECIPE, encoding="utf-8")
    assert plan_tpu(resolve(load_recipe(tmp_path / "recipe.yaml")), BASE, utilisation=0.4) is None
