"""The shipped recipes and their schema."""

import json
from importlib.resources import files

import jsonschema
import pytest
import yaml

from wholeword.core.config import load_recipe
from wholeword.core.config.recipes import copy_recipe, read_recipe, shipped_recipes
from wholeword.core.config.schema import recipe_schema
from wholeword.core.config.yaml import read_yaml
from wholeword.core.errors import UserError

FOLDER = files("wholeword") / "recipes"
NAMES = ["bert-wwm", "quickstart", "rbt3", "repair-head", "roberta-wwm-ext"]
SCHEMA = json.loads((FOLDER / "schema.json").read_text(encoding="utf-8"))


def is_valid(recipe: dict) -> bool:
    return jsonschema.Draft7Validator(SCHEMA).is_valid(recipe)


def test_the_recipes_are_these():
    assert list(shipped_recipes()) == NAMES
    assert all(shipped_recipes().values())


@pytest.mark.parametrize("name", NAMES)
def test_a_shipped_recipe_loads_without_a_warning(name):
    recipe = load_recipe(name)
    assert recipe.name == name
    assert recipe.warnings == []


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


def test_templates_name_the_source_of_every_number():
    for name in ("bert-wwm", "roberta-wwm-ext", "rbt3"):
        text = read_recipe(name).decode("utf-8")
        for line in text[text.index("examples:") :].splitlines():
            if any(digit in line.split("#")[0] for digit in "0123456789"):
                comment = line.partition("#")[2]
                assert any(source in comment for source in ("readme", "#", "google", "lert", "assumed", "LAMB")), line


def test_bert_wwm_sees_what_its_readme_says():
    first, second = load_recipe("bert-wwm").phases
    assert [first.max_seq_length, first.batch_size, first.steps] == [128, 2560, 100_000]
    assert [second.max_seq_length, second.batch_size, second.steps] == [512, 384, 100_000]


def test_a_copy_is_the_same_and_nothing_is_overwritten(tmp_path):
    path = copy_recipe("quickstart", tmp_path)
    assert path == tmp_path / "quickstart.yaml"
    assert path.read_bytes() == read_recipe("quickstart")
    assert load_recipe(path).resolved() == load_recipe("quickstart").resolved()
    path.write_bytes(b"mine")
    for target in (tmp_path, path):
        with pytest.raises(UserError, match="exists already; remove it or give another name"):
            copy_recipe("quickstart", target)
    assert path.read_bytes() == b"mine"
    assert copy_recipe("rbt3", tmp_path / "own.yaml").read_bytes() == read_recipe("rbt3")
    with pytest.raises(UserError, match="no such folder"):
        copy_recipe("rbt3", tmp_path / "not-there" / "own.yaml")


@pytest.mark.parametrize("name", ["quikstart", "../quickstart", "schema", "", "quickstart.yaml"])
def test_only_recipes_are_read(name):
    with pytest.raises(
        UserError, match=r"no recipe of that name;.* expected one of bert-wwm, quickstart, rbt3, repair-head, roberta-wwm-ext"
    ):
        read_recipe(name)
