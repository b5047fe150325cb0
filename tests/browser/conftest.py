"""One JupyterLab over a copy of the notebooks, and Debian's Chromium to look at it.

The server and the browser end with their test module: while Playwright's
synchronous interface runs, no other test can start an event loop.
"""

import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from notebook_page import ANSWERS, VIEWPORTS, NotebookPage, Opener, Server
from playwright.sync_api import Browser, expect, sync_playwright

from helpers.paths import ROOT

CHROMIUM = shutil.which("chromium")
LAUNCH = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"]
SERVER_STARTS = 120
KERNELS = 2

expect.set_options(timeout=ANSWERS)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Debian's Chromium, without a window."""
    if CHROMIUM is None:
        pytest.skip("Browser tests need Chromium. Install it with: sudo apt-get install chromium")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=LAUNCH)
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def server(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """JupyterLab on a free port; its notebooks, its workspace and its settings are temporary."""
    folder = tmp_path_factory.mktemp("browser")
    shutil.copytree(ROOT / "notebooks", folder / "notebooks")
    running = Server(f"http://127.0.0.1:{_free_port()}", secrets.token_hex(16), _workspace(folder))
    log = folder / "jupyterlab.log"
    with log.open("w") as out:
        process = subprocess.Popen(_command(running, folder), cwd=folder, env=os.environ | _settings(running, folder), stdout=out, stderr=subprocess.STDOUT)
        try:
            _wait_for(running, process, log)
            yield running
        finally:
            process.terminate()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()


@pytest.fixture(scope="module")
def pages(browser: Browser) -> Iterator[dict[str, NotebookPage]]:
    """The notebooks that are open, by name."""
    pages: dict[str, NotebookPage] = {}
    yield pages
    for notebook in pages.values():
        notebook.page.context.close()


@pytest.fixture
def open_notebook(browser: Browser, server: Server, pages: dict[str, NotebookPage]) -> Opener:
    """Open a notebook by name.

    One that was open before keeps its page and its kernel, so that JupyterLab, imports and models are
    there, until others are used: a kernel holds half a gigabyte and more.
    """

    def opened(name: str) -> NotebookPage:
        for closed in _make_room(server, name) & pages.keys():
            pages.pop(closed).page.context.close()
        if name not in pages:
            page = browser.new_context(viewport=VIEWPORTS[0]).new_page()
            pages[name] = NotebookPage(page, server.url(f"lab/tree/{name}.ipynb"))
        pages[name].resize(VIEWPORTS[0])
        return pages[name]

    return opened


@pytest.fixture
def screenshots(tmp_path: Path) -> Path:
    """The folder for screenshots: ``BROWSER_SCREENSHOTS``, or a temporary one."""
    folder = Path(os.environ.get("BROWSER_SCREENSHOTS", tmp_path))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _workspace(folder: Path) -> Path:
    """Make a workspace of its own; only its adapters are the whole run's, so that the course's is trained once."""
    workspace = folder / "workspace"
    workspace.mkdir()
    adapters = Path(os.environ["COURSE_WORKSPACE"]) / "adapters"
    adapters.mkdir(parents=True, exist_ok=True)
    (workspace / "adapters").symlink_to(adapters, target_is_directory=True)
    return workspace


def _settings(server: Server, folder: Path) -> dict[str, str]:
    quiet = folder / "settings" / "@jupyterlab" / "apputils-extension" / "notification.jupyterlab-settings"
    quiet.parent.mkdir(parents=True)
    quiet.write_text(json.dumps({"fetchNews": "false", "checkForUpdates": False}))
    private = {f"{name}_DIR": str(folder / name.lower()) for name in ("JUPYTER_CONFIG", "JUPYTER_DATA", "JUPYTER_RUNTIME", "IPYTHON")}
    course = {"COURSE_WORKSPACE": str(server.workspace), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "2", "PYTHONPATH": str(ROOT)}
    return private | course | {"JUPYTERLAB_SETTINGS_DIR": str(folder / "settings")}


def _command(server: Server, folder: Path) -> list[str]:
    address, port = server.address.removeprefix("http://").split(":")
    where = [f"--ServerApp.ip={address}", f"--ServerApp.port={port}", "--ServerApp.port_retries=0", f"--ServerApp.root_dir={folder / 'notebooks'}"]
    return [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", *where, f"--IdentityProvider.token={server.token}", "--LabApp.expose_app_in_browser=True"]


def _make_room(server: Server, notebook: str) -> set[str]:
    """Shut down the kernels that were used longest ago, so that with the one of ``notebook`` there are ``KERNELS``; return their notebooks' names."""
    with urllib.request.urlopen(server.url("api/sessions")) as response:
        others = [session for session in json.load(response) if session["path"] != f"{notebook}.ipynb"]
    others.sort(key=lambda session: session["kernel"]["last_activity"], reverse=True)
    idle = others[KERNELS - 1 :]
    for session in idle:
        urllib.request.urlopen(urllib.request.Request(server.url(f"api/sessions/{session['id']}"), method="DELETE")).close()
    return {Path(session["path"]).stem for session in idle}


def _wait_for(server: Server, process: subprocess.Popen, log: Path) -> None:
    deadline = time.monotonic() + SERVER_STARTS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(server.url("api/status"), timeout=5):
                return
        except OSError:
            time.sleep(0.2)
    pytest.fail(f"JupyterLab did not start:\n{log.read_text()[-3000:]}")
