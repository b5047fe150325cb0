"""Rules for every test run: a fresh workspace, and strict notebooks."""

import os
import tempfile

import pytest

WORKSPACE = pytest.StashKey[tempfile.TemporaryDirectory]()


def pytest_configure(config: pytest.Config) -> None:
    """Give the run one workspace, shared by unit tests and notebooks: the adapter is trained once."""
    config.stash[WORKSPACE] = tempfile.TemporaryDirectory(prefix="course-workspace-", ignore_cleanup_errors=True)
    os.environ["COURSE_WORKSPACE"] = config.stash[WORKSPACE].name


def pytest_unconfigure(config: pytest.Config) -> None:
    """Remove the workspace."""
    config.stash[WORKSPACE].cleanup()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Warnings on stderr differ from machine to machine, so they are not compared."""
    for notebook in {item.parent for item in items if hasattr(item.parent, "skip_compare")}:
        notebook.skip_compare += ("stderr",)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """A cell without a stored run has no output to compare, so nbval alone would let it pass."""
    cell = getattr(item, "cell", None)
    if cell is not None and cell.execution_count is None:
        pytest.fail(f"{item.path.name}, {item.name} was never executed. Run the notebook from top to bottom and save it with its outputs; delete empty cells.")
