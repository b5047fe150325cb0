"""One JupyterLab over a copy of the notebooks, and Debian's Chromium to look at it."""

import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from notebook_page import NotebookPage
from playwright.sync_api import Browser, sync_playwright

from helpers.paths import ROOT

CHROMIUM = Path("/usr/bin/chromium")
MISSING = "Browser tests need Chromium. Install it with: sudo apt-get install chromium"
LAUNCH = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"]
SERVER_STARTS = 120

Opener = Callable[..., NotebookPage]


@dataclass(frozen=True)
class Server:
    """A running JupyterLab: its address, its token, and the folder to which its kernels write."""

    address: str
    token: str
    workspace: Path

    def url(self, path: str) -> str:
        """Return the address of ``path`` with the token."""
        return f"{self.address}/{path}?reset&token={self.token}"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for(server: Server, process: subprocess.Popen, log: Path) -> None:
    deadline = time.monotonic() + SERVER_STARTS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(server.url("api/status"), timeout=5):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    pytest.fail(f"JupyterLab did not start:\n{log.read_text()[-3000:]}")


# The fixtures end with the module: while Playwright runs, no other test can start an event loop.


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """JupyterLab on a free port; notebooks, workspace and settings are temporary.

    Only the folder of adapters is the run's own, so that the course's adapter is trained once.
    """
    folder = tmp_path_factory.mktemp("browser")
    shutil.copytree(ROOT / "notebooks", folder / "notebooks")
    workspace = folder / "workspace"
    workspace.mkdir()
    adapters = Path(os.environ["COURSE_WORKSPACE"]) / "adapters"
    adapters.mkdir(parents=True, exist_ok=True)
    (workspace / "adapters").symlink_to(adapters, target_is_directory=True)
    port, token = free_port(), secrets.token_hex(16)
    running = Server(f"http://127.0.0.1:{port}", token, workspace)
    settings = {"COURSE_WORKSPACE": str(workspace), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "2", "PYTHONPATH": str(ROOT)}
    private = {f"{name}_DIR": str(folder / name.lower()) for name in ("JUPYTER_CONFIG", "JUPYTER_DATA", "JUPYTER_RUNTIME", "IPYTHON")}
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--ServerApp.ip=127.0.0.1", f"--ServerApp.port={port}", "--ServerApp.port_retries=0"]
    command += [f"--ServerApp.root_dir={folder / 'notebooks'}", f"--IdentityProvider.token={token}", "--LabApp.expose_app_in_browser=True"]
    log = folder / "jupyterlab.log"
    with log.open("w") as out:
        process = subprocess.Popen(command, cwd=folder, env=os.environ | settings | private, stdout=out, stderr=subprocess.STDOUT)
        try:
            wait_for(running, process, log)
            yield running
        finally:
            process.terminate()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Debian's Chromium, without a window."""
    if not CHROMIUM.exists():
        pytest.skip(MISSING)
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=LAUNCH)
        yield chromium
        chromium.close()


@pytest.fixture
def open_notebook(browser: Browser, server: Server) -> Iterator[Opener]:
    """Open a notebook by name in a page of its own; ``viewport`` is (width, height).

    A notebook that was open before keeps its kernel, so imports and models are there.
    """
    contexts = []

    def open_page(name: str, viewport: tuple[int, int] = (1280, 800)) -> NotebookPage:
        context = browser.new_context(viewport={"width": viewport[0], "height": viewport[1]})
        contexts.append(context)
        return NotebookPage(context.new_page(), server.url(f"lab/tree/{name}.ipynb"))

    yield open_page
    for context in contexts:
        context.close()
