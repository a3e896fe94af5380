"""A store that was built by one process, for the tests of prepare."""

import pytest
from prepare_parts import recipe_in, write_corpus

from wholeword.core.config.preparation import prepare_job
from wholeword.core.training.prepare import prepare


@pytest.fixture(scope="package")
def built(tmp_path_factory):
    """A folder with a corpus and its store, built by one process."""
    folder = tmp_path_factory.mktemp("built")
    write_corpus(folder)
    prepare(prepare_job(recipe_in(folder, "prepare_workers=1")))
    return folder
