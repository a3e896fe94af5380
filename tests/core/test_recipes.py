"""The shipped recipes and their schema."""

import json
import re
from importlib.resources import files

import jsonschema
import pytest
import yaml

from wholeword.cli import main
from wholeword.core.config import load_recipe
from wholeword.core.config.job import resolve
from wholeword.core.config.locations import read_model
from wholeword.core.config.origins import declared_sources, origins
from wholeword.core.config.preparation import prepare_job
from wholeword.core.config.recipes import copy_recipe, read_recipe, shipped_recipes
from wholeword.core.config.schema import recipe_schema
from wholeword.core.config.yaml import read_yaml
from wholeword.core.errors import UserError
from wholeword.core.training.prepare import prepare
from wholeword.finetuning.recipe import load_finetune_recipe
from wholeword.finetuning.schema import SCHEMAS
from wholeword.planning.plan import plan

FOLDER = files("wholeword") / "recipes"
SEEDS = ["bert-wwm", "bert-wwm-ext", "roberta-wwm-ext", "roberta-wwm-ext-large", "rbt3", "rbt4", "rbt6", "rbtl3"]  # of Chinese-BERT-wwm
TEMPLATES = [*SEEDS, "domain-adaptation"]
TWINS = {f"{name}-mini": name for name in TEMPLATES}
NAMES = sorted([*TEMPLATES, *TWINS, "bert-base-chinese-mini", "quickstart", "repair-head"])
OTHERS = ["finetune-chnsenticorp", "finetune-cmrc2018", "table-chnsenticorp"]
ROUGH = {f"{name}: {size}" for name in ("bert-wwm-mini", "bert-wwm-ext-mini") for size in ("60 is a small batch", "9 is a small batch")}
SCHEMA = json.loads((FOLDER / "schema.json").read_text(encoding="utf-8"))


def is_valid(recipe: dict) -> bool:
    return jsonschema.Draft7Validator(SCHEMA).is_valid(recipe)


def test_the_recipes_are_these():
    """Beside those for fine-tuning and tables, which have tests of their own."""
    assert [name for name in shipped_recipes() if b"\nphases:" in read_recipe(name)] == NAMES
    assert all(shipped_recipes().values())


@pytest.mark.parametrize("name", NAMES)
def test_a_shipped_recipe_loads_without_a_warning(name):
    """But for LAMB with the batches of minutes, which two of the small ones show."""
    recipe = load_recipe(name)
    assert recipe.name == name
    said = {f"{name}: {warning.split('batch_size: ')[-1].split(' for lamb')[0]}" for warning in recipe.warnings}
    assert said == {rough for rough in ROUGH if rough.startswith(f"{name}:")}


@pytest.mark.parametrize("name", NAMES)
def test_a_shipped_recipe_is_valid_for_editors(name):
    jsonschema.Draft7Validator.check_schema(SCHEMA)
    jsonschema.validate(read_yaml(read_recipe(name), name).data, SCHEMA, jsonschema.Draft7Validator)
    assert read_recipe(name).startswith(b"# yaml-language-server: $schema=schema.json\n")


@pytest.mark.parametrize("name", NAMES)
def test_every_yaml_reader_reads_the_same(name):
    assert yaml.safe_load(read_recipe(name)) == read_yaml(read_recipe(name), name).data


def test_the_schema_is_up_to_date():
    """If this fails: python -m wholeword.core.config.schema > wholeword/recipes/schema.json"""
    assert json.loads(json.dumps(recipe_schema())) == SCHEMA


def test_the_schema_allows_plugins_of_others_and_knows_the_settings_of_ours():
    recipe = read_yaml(read_recipe("quickstart"), "quickstart").data
    assert is_valid(recipe | {"segmenter": {"name": "of-somebody-else", "beam": 3}})
    assert is_valid(recipe | {"segmenter": "of-somebody-else"})
    assert is_valid(recipe | {"store": None})
    assert not is_valid(recipe | {"segmenter": 3})
    assert not is_valid(recipe | {"optimizer": {"name": "lamb", "variant": "hlf"}})
    assert not is_valid(recipe | {"optimiser": "adamw"})
    assert not is_valid({key: value for key, value in recipe.items() if key != "phases"})


@pytest.mark.parametrize("name", NAMES)
def test_every_value_has_a_source(name):
    """One that the head of the file declares; and every source of the head is some value's, but for the issues of other repositories."""
    content = read_recipe(name)
    declared, found = declared_sources(content), origins(content, f"{name}.yaml")
    assert len(found) >= 15 and all(origin.sources for origin in found)
    used = {"#N" if source.startswith("#") else source for origin in found for source in origin.sources}
    assert used == declared.keys()
    assert all(origin.note for origin in found if origin.assumed), "what is assumed says why"


def value_at(data, path):
    for part in path.split("."):
        data = data.get(part) if isinstance(data, dict) else data[int(part)]
        if isinstance(data, str) and part != path.rpartition(".")[2]:
            return data  # text that stands for a section: `segmenter: jieba`
    return data


@pytest.mark.parametrize("name", TWINS)
def test_a_small_one_is_its_parent_in_small(name):
    """What it calls the same is the same, and what it has scaled down is what it says."""
    parent = read_yaml(read_recipe(TWINS[name]), name).data
    parent["model"]["init"] = init if isinstance(init := parent["model"]["init"], dict) else {"from": init}
    counts = {"same": 0, "scaled": 0}
    for origin in origins(read_recipe(name), name):
        path = "model.init.from" if origin.path == "model.init" else origin.path
        if origin.path == "segmenter":
            continue
        if origin.sources == ["same"]:
            assert value_at(parent, path) == origin.value, path
        elif origin.sources == ["scaled"]:
            said = read_yaml(f"x: {origin.note.split(';')[0]}".encode(), "x").data["x"]
            assert value_at(parent, path) == said != origin.value, path
        counts[origin.sources[0]] = counts.get(origin.sources[0], 0) + 1
    assert counts["same"] >= 10 and counts["scaled"] >= 5
    small, large = load_recipe(name), load_recipe(TWINS[name])
    assert len(small.phases) == len(large.phases) and small.examples == large.examples
    assert small.optimizer.name == large.optimizer.name
    assert small.masking == large.masking.model_copy(update={"fallback": "span"}) and small.segmenter.name == "jieba"
    assert (small.model.layers is None) == (large.model.layers is None)


@pytest.mark.parametrize("name", TEMPLATES)
def test_samples_that_a_segmenter_altered_are_not_masked_by_words(name):
    """HFL's rule (#13). The small ones say why they do without it: `jieba` never alters text."""
    assert load_recipe(name).masking.fallback == "sample"
    assert [origin.sources for origin in origins(read_recipe(name), name) if origin.path == "masking.fallback"] == [["#13"]]
    assert f"no fallback: sample as in {name}.yaml: jieba never alters text" in read_recipe(f"{name}-mini").decode()


@pytest.mark.parametrize("name", TWINS)
def test_a_small_one_starts_from_a_small_one_and_says_how_to_make_it(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    parent = load_recipe(name).tokenizer.vocab.split("/")[1]
    assert parent in NAMES and parent.endswith("-mini")
    assert f"First: wholeword train {parent}" in shipped_recipes()[name]
    (tmp_path / "text.txt").write_text("房间很干净，服务员态度也很好。\n", encoding="utf-8")  # in place of a package that may not be there
    with pytest.raises(UserError, match=rf"vocab\.txt: does not exist yet; create it with `wholeword train {parent}`"):
        prepare(prepare_job(load_recipe(name, overrides=["corpus.files=[text.txt]"])))
    if load_recipe(name).model.init_folder:
        with pytest.raises(UserError, match=f"does not exist yet; create it with `wholeword train {parent}`"):
            read_model(load_recipe(name).model.init_folder, tmp_path)


@pytest.mark.parametrize(
    "comment, said",
    [
        ("", "x.yaml:4:8: steps: no source; expected a comment that begins with one of readme, #N"),
        (" # paper", "x.yaml:4:8: steps: 'paper' is not a declared source"),
        (" # readme, paper: so", "'paper' is not a declared source"),
        (" # ymcui/MacBERT#8", "'ymcui/MacBERT#8' is not a declared source"),
    ],
)
def test_a_value_without_a_source_is_found(comment, said):
    text = f"# Sources\n#   readme: the README\n#   #N: an issue\nsteps: 5{comment}\n"
    with pytest.raises(UserError) as error:
        origins(text.encode(), "x.yaml")
    assert said in str(error.value)


def test_sources_are_read_off_the_comments_alone():
    text = b"""# Sources
#   readme: the README
#     of the project
#   #N: an issue
#   assumed: nobody has said
name: x
text: 'a # readme' # #28, #106: both: say so
list: [1, 2] # assumed: twice
inside: {a: 1, b: [{c: 2}]} # readme
"""
    assert declared_sources(text) == {"readme": "the README of the project", "#N": "an issue", "assumed": "nobody has said"}
    assert [tuple(origin) for origin in origins(text, "x")] == [
        ("text", "a # readme", ["#28", "#106"], "both: say so"),
        ("list", [1, 2], ["assumed"], "twice"),
        ("inside.a", 1, ["readme"], ""),
        ("inside.b.0.c", 2, ["readme"], ""),
    ]
    with pytest.raises(UserError, match="x: lists no sources"):
        origins(b"name: x\n", "x")


def test_a_program_can_read_the_sources(capsys):
    main(["recipes", "show", "rbt3", "--sources", "--json"])
    shown = json.loads(capsys.readouterr().out)
    values = {value["path"]: value for value in shown["values"]}
    assert values["phases.0.steps"] == {"path": "phases.0.steps", "value": 1_000_000, "sources": ["readme"], "note": "", "assumed": False}
    assert values["phases.0.peak_lr"]["assumed"] and shown["sources"]["readme"] == "the README of ymcui/Chinese-BERT-wwm"
    main(["recipes", "show", "rbt3", "--sources"])
    assert "phases.0.steps: 1000000" in capsys.readouterr().out


# the table "Model Comparison" of the README: recipe -> phases as (length, batch, steps), optimizer, NSP, size, init
PUBLISHED = {
    "bert-wwm": ([(128, 2560, 100_000), (512, 384, 100_000)], "lamb", "nsp-pairs", "base", "zoo:bert-base-chinese"),
    "bert-wwm-ext": ([(128, 2560, 1_000_000), (512, 384, 400_000)], "lamb", "nsp-pairs", "base", "zoo:bert-base-chinese"),
    "roberta-wwm-ext": ([(512, 384, 1_000_000)], "adamw", "doc-sentences", "base", "zoo:bert-base-chinese"),
    "roberta-wwm-ext-large": ([(512, 512, 2_000_000)], "adamw", "doc-sentences", "large", "random"),
    "rbt3": ([(512, 384, 1_000_000)], "adamw", "doc-sentences", "rbt3", "zoo:roberta-wwm-ext"),
    "rbtl3": ([(512, 512, 1_000_000)], "adamw", "doc-sentences", "rbtl3", "zoo:roberta-wwm-ext-large"),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_recipes_are_the_published_table(name):
    recipe = load_recipe(name)
    phases = [(phase.max_seq_length, phase.batch_size, phase.steps) for phase in recipe.phases]
    found = (phases, recipe.optimizer.name, recipe.examples.name, recipe.model.size, recipe.model.init.source)
    assert found == PUBLISHED[name]
    assert not recipe.masking.dynamic and recipe.masking.dupe_factor == 5


@pytest.mark.parametrize("name, num_layers", [("rbt3", 3), ("rbt4", 4), ("rbt6", 6), ("rbtl3", 3)])
def test_small_models_are_the_first_layers(name, num_layers):
    assert load_recipe(name).model.layers == list(range(num_layers)) == load_recipe(name, [f"model.init.layers={num_layers}"]).model.layers


# token positions, in billions: arithmetic on the README's table
@pytest.mark.parametrize(
    "name, billions", [("bert-wwm", 52.4), ("bert-wwm-ext", 406), ("roberta-wwm-ext", 197), ("roberta-wwm-ext-large", 524), ("rbt3", 197)]
)
def test_a_template_is_planned_without_its_text(name, billions, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert plan(resolve(load_recipe(name)), is_template=True).token_positions / 1e9 == pytest.approx(billions, rel=0.005)
    main(["check", name])
    printed = capsys.readouterr().out
    assert (
        "corpus: not there yet" in printed
        and "time at an assumed utilisation of 0.40: " in printed
        and "time on this machine (" in printed
        and "advice" not in printed
    )


def test_bert_wwm_sees_what_its_readme_says():
    first, second = load_recipe("bert-wwm").phases
    assert [first.max_seq_length, first.batch_size, first.steps] == [128, 2560, 100_000]
    assert [second.max_seq_length, second.batch_size, second.steps] == [512, 384, 100_000]


# hours on one H200 at its full measured 790 TFLOP/s, worked out by hand before there was a `check`
@pytest.mark.parametrize(
    "name, hours", [("bert-wwm", 10.2), ("bert-wwm-ext", 78), ("roberta-wwm-ext", 40), ("roberta-wwm-ext-large", 366), ("rbt3", 10.8)]
)
def test_hours_are_those_of_the_arithmetic(name, hours, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = plan(resolve(load_recipe(name)), is_template=True).hours
    assert found["H200"] * 0.40 == pytest.approx(hours, rel=0.02)
    assert found["A100"] / found["H200"] == pytest.approx(790 / 312)


def without_name(recipe):
    return {key: value for key, value in recipe.resolved().items() if key not in ("name", "output", "store")}


def test_a_copy_is_named_after_its_file_and_nothing_is_overwritten(tmp_path):
    path = copy_recipe("quickstart", tmp_path)
    assert path == tmp_path / "quickstart.yaml"
    assert load_recipe(path).resolved() == load_recipe("quickstart").resolved()
    path.write_bytes(b"mine")
    for target in (tmp_path, path):
        with pytest.raises(UserError, match="already exists; remove it, or choose another name"):
            copy_recipe("quickstart", target)
    assert path.read_bytes() == b"mine"
    own = load_recipe(copy_recipe("quickstart", tmp_path / "My notes.yaml"))
    assert own.name == "my-notes" and own.output == "runs/my-notes" != load_recipe("quickstart").output
    assert without_name(own) == without_name(load_recipe("quickstart"))
    assert load_recipe(copy_recipe("quickstart", tmp_path / "我的.yaml")).name == "quickstart"  # a name has Latin letters
    with pytest.raises(UserError, match="no such folder"):
        copy_recipe("rbt3", tmp_path / "not-there" / "own.yaml")


def test_copies_of_recipes_for_fine_tuning_and_tables_are_runs_of_their_own(tmp_path):
    task = load_finetune_recipe(copy_recipe("finetune-chnsenticorp", tmp_path / "task.yaml"))
    assert (task.name, task.output) == ("task", "runs/task")
    table = read_yaml(copy_recipe("table-chnsenticorp", tmp_path / "own.yaml").read_bytes(), "own").data
    assert (table["name"], table["output"]) == ("own", "bench/own")


@pytest.mark.parametrize("name", [*NAMES, *OTHERS])
def test_a_copy_points_to_a_schema_that_it_fulfils(name, tmp_path):
    path = copy_recipe(name, tmp_path / "copy.yaml")
    location = re.match(r"# yaml-language-server: \$schema=(\S+)\n", path.read_text(encoding="utf-8"))[1]
    schema = json.loads((tmp_path / location).read_text(encoding="utf-8"))
    jsonschema.validate(read_yaml(path.read_bytes(), name).data, schema, jsonschema.Draft7Validator)


def test_the_schemas_for_fine_tuning_and_tables_are_up_to_date():
    """If this fails: python -m wholeword.finetuning.schema wholeword/recipes"""
    for name, make in SCHEMAS.items():
        assert json.loads((FOLDER / name).read_text(encoding="utf-8")) == json.loads(json.dumps(make()))


@pytest.mark.parametrize("name", ["quikstart", "../quickstart", "schema", "", "quickstart.yaml"])
def test_only_recipes_are_read(name):
    with pytest.raises(UserError, match=r"unknown recipe;.* expected one of bert-base-chinese-mini, bert-wwm, .*roberta-wwm-ext"):
        read_recipe(name)
