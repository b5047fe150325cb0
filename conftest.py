"""Rules for every test run: a fresh workspace, and strict notebooks."""

import os
import tempfile
from pathlib import Path

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadFileScheduling

WORKSPACE = pytest.StashKey[tempfile.TemporaryDirectory]()
MEASURING = ("test_claims.py", "test_reranker.py", "test_shipped_model.py")
ADAPTERS = Path(__file__).parent / ".cache" / "test-adapters"


def pytest_configure(config: pytest.Config) -> None:
    """Give the run one workspace, shared by unit tests and notebooks: the adapter is trained once.

    The next run finds the adapters again, and trains those that would come out otherwise
    (``tuning.kept_adapter``). A worker of pytest-xdist has the workspace from the process that started it.
    """
    if hasattr(config, "workerinput"):
        return
    config.stash[WORKSPACE] = tempfile.TemporaryDirectory(prefix="course-workspace-", ignore_cleanup_errors=True)
    os.environ["COURSE_WORKSPACE"] = config.stash[WORKSPACE].name
    ADAPTERS.mkdir(parents=True, exist_ok=True)
    Path(config.stash[WORKSPACE].name, "adapters").symlink_to(ADAPTERS, target_is_directory=True)


class KeptTogether(LoadFileScheduling):
    """Gives each worker whole files, and some of them to one worker.

    These are all notebooks in their order, for the later ones read what the earlier ones kept,
    and what measures the shipped models, for a process keeps what the reranker said.
    """

    def _split_scope(self, nodeid: str) -> str:
        file = super()._split_scope(nodeid)
        if file.endswith(".ipynb"):
            return "notebooks"
        return "measurements" if Path(file).name in MEASURING else file


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> KeptTogether:
    """Share the tests among the workers of pytest-xdist."""
    return KeptTogether(config, log)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Remove the workspace."""
    if WORKSPACE in config.stash:
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
