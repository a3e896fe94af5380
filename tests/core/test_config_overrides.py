"""`--set section.key=value`."""

import pytest


def test_set_reaches_everywhere(load):
    recipe = load(
        {},
        "phases.0.steps=10",
        "optimizer.name=lamb",
        "optimizer.variant=google",
        "segmenter.name=characters",
        "corpus.cleaning=[quotes, full-width]",
        "corpus.cleaning.1.punctuation=true",
        "examples.short_seq_rate=0.5",
        "checkpoint.keep=7",
        "model.init=other=folder",
        "export=[]",
        "evaluation={held_out_rate: 0.25, batches: 2}",
        "clip_norm=1e-1",
        "log.tensorboard=true",
        "store=",
    )
    assert recipe.phases[0].steps == 10
    assert recipe.optimizer.settings["variant"] == "google"
    assert recipe.segmenter.name == "characters"
    assert [cleaner.name for cleaner in recipe.corpus.cleaning] == ["quotes", "full-width"]
    assert recipe.corpus.cleaning[1].settings == {"punctuation": True}
    assert recipe.examples.short_seq_rate == 0.5
    assert recipe.checkpoint.keep == 7
    assert recipe.model.init_folder == "other=folder"
    assert recipe.export == []
    assert recipe.evaluation.batches == 2
    assert recipe.clip_norm == 0.1
    assert recipe.log.tensorboard is True
    assert recipe.store == "runs/small/store"


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("steps", "expected section.key=value, as in backend.threads=2"),
        ("=3", "expected section.key=value"),
        ("phases.7.steps=3", "phases has one entry; expected 0, found '7'"),
        ("phases.first.steps=3", "phases has one entry; expected 0, found 'first'"),
        ("phases.-1.steps=3", "phases has one entry; expected 0, found '-1'"),
        ("export=[3]", "export.0: 3; expected text or settings as key: value"),
        ("name.first=x", "name is not a section"),
        ("seed=[1", "no ',' or ']' in the list"),
        ("seed=&a 1", "'&a' (an anchor) is not allowed"),
        ("phases.0.steps=many", "phases.0.steps: 'many' is text; expected a whole number"),
        ("phases.0.step=5", "phases.0.step: unknown setting; did you mean 'phases.0.steps'?"),
        ("checkpont.every=5", "checkpont: unknown setting; did you mean 'checkpoint'?"),
        ("phases.0.warmup_steps=2000", "phases.0.warmup_steps: 2,000 steps of warm-up in a phase of 1,000"),
        ("segmenter.user_dictionary.deep=1", "segmenter.user_dictionary"),
        ("corpus={fils: [a]}", "corpus.fils: unknown setting; did you mean 'files'?"),
    ],
)
def test_what_is_wrong_with_a_set_is_said_of_the_set(load, override, words):
    (problem,) = load.problems({}, override)
    assert problem.startswith(f"--set {override}: ")
    assert words in problem


def test_a_later_set_wins(load):
    assert load({}, "seed=1", "seed=2").seed == 2


def test_a_wrong_plugin_section_is_described_without_the_docstring_of_a_class(load):
    (problem,) = load.problems({}, "export=[3]")
    assert problem.endswith("export.0: 3; expected text or settings as key: value")
