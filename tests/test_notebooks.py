"""What every notebook owes its learner, and the rules of the notebook run itself."""

import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_notebook, new_output
from nbval.plugin import find_comment_markers, metadata_tags

from helpers.paths import ROOT

FOLDER = ROOT / "notebooks"
NOTEBOOKS = ("00_two_bots", "01_rag_pipeline", "02_lora_fine_tune", "03_hybrid", "04_which_one", "05_knowledge_claims", "06_behaviour_claims")
LARGEST_BUDGET = 15
MARKDOWN_IMAGE = re.compile(r"!\[([^\]]*)\]\(")
HTML_IMAGE = re.compile(r"<img\b[^>]*>", re.IGNORECASE)
ALT = re.compile(r"""\balt=(["'])(?=\S)(?!\1)""", re.IGNORECASE)
REASON = re.compile(r"^\s*#\s*reason:\s*\S", re.IGNORECASE | re.MULTILINE)


def read(name: str) -> NotebookNode:
    return nbformat.read(FOLDER / f"{name}.ipynb", as_version=4)


def markdown(cells: list[NotebookNode]) -> str:
    return "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")


def is_excused(cell: NotebookNode) -> bool:
    """True if nbval does not compare the cell's output, or does not run it, or lets it fail."""
    tags = set(cell.metadata.get("tags", [])) & (set(metadata_tags) - {"nbval-check-output"})
    markers = {marker for marker in find_comment_markers(cell.source) if marker != ("check", True)}
    return bool(tags or markers)


def excused(notebook: NotebookNode) -> list[NotebookNode]:
    return [cell for cell in notebook.cells if cell.cell_type == "code" and is_excused(cell)]


def without_alt_text(text: str) -> list[str]:
    """Return the images in Markdown or HTML that say nothing to a screen reader."""
    empty = [match.group(0) for match in MARKDOWN_IMAGE.finditer(text) if not match.group(1).strip()]
    return empty + [tag for tag in HTML_IMAGE.findall(text) if not ALT.search(tag)]


def test_the_folder_holds_the_five_notebooks_and_the_appendix():
    assert tuple(path.stem for path in sorted(FOLDER.glob("*.ipynb"))) == NOTEBOOKS


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_opens_with_objectives_prerequisites_and_minutes(name: str):
    cells = read(name).cells
    first_code = next(i for i, cell in enumerate(cells) if cell.cell_type == "code")
    opening = markdown(cells[:first_code]).lower()
    assert opening.startswith("# ")
    for part in ("objectives", "prerequisites", "reading", "running", "exercises"):
        assert part in opening
    assert re.search(r"\d+\s*min", opening)


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_ends_with_a_recap(name: str):
    cells = read(name).cells
    last_code = max(i for i, cell in enumerate(cells) if cell.cell_type == "code")
    assert re.search(r"^#+ .*\brecap\b", markdown(cells[last_code + 1 :]), re.IGNORECASE | re.MULTILINE)


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_was_run_from_top_to_bottom_in_one_go(name: str):
    counts = [cell.execution_count for cell in read(name).cells if cell.cell_type == "code"]
    assert counts == list(range(1, len(counts) + 1))


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_every_figure_has_alt_text(name: str):
    notebook = read(name)
    shown = [
        "".join(output.data["text/html"])
        for cell in notebook.cells
        if cell.cell_type == "code"
        for output in cell.outputs
        if "text/html" in output.get("data", {})
    ]
    assert without_alt_text("\n".join([markdown(notebook.cells), *shown])) == []
    pictures = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs if "image/png" in output.get("data", {})]
    assert all(output.metadata.get("image/png", {}).get("alt", "").strip() for output in pictures)


def test_few_cells_are_excused_and_each_says_why():
    cells = [(name, cell) for name in NOTEBOOKS for cell in excused(read(name))]
    silent = [f"{name}: {cell.source[:60]}" for name, cell in cells if not (cell.metadata.get("reason") or REASON.search(cell.source))]
    assert silent == []
    assert len(cells) <= LARGEST_BUDGET


@pytest.mark.parametrize(
    ("source", "tags", "expected"),
    [
        ("print(1)", [], False),
        ("print(1)", ["nbval-check-output"], False),
        ("print(1)", ["nbval-ignore-output"], True),
        ("print(1)", ["raises-exception"], True),
        ("# NBVAL_SKIP\nprint(1)", [], True),
        ("#NBVAL_IGNORE_OUTPUT\nprint(1)", [], True),
    ],
)
def test_the_budget_counts_every_way_to_excuse_a_cell(source: str, tags: list[str], expected: bool):
    assert is_excused(new_code_cell(source, metadata={"tags": tags})) is expected


@pytest.mark.parametrize(
    ("text", "silent"),
    [("![A square](a.png)", 0), ("![](a.png)", 1), ('<img src="a.png" alt="A square">', 0), ('<img src="a.png">', 1), ('<img alt="" src="a.png">', 1)],
)
def test_alt_text_is_missed(text: str, silent: int):
    assert len(without_alt_text(text)) == silent


def test_the_run_ignores_stderr_and_refuses_cells_without_a_stored_run(tmp_path: Path):
    def save(name: str, source: str, count: int | None, *outputs: NotebookNode) -> None:
        nbformat.write(new_notebook(cells=[new_code_cell(source, execution_count=count, outputs=list(outputs))]), tmp_path / f"{name}.ipynb")

    warning = new_output("stream", name="stderr", text="another machine's warning\n")
    save("warns", "import sys; print('this one', file=sys.stderr)", 1, warning)
    save("stale", "print(2)", 1, new_output("stream", name="stdout", text="1\n"))
    save("stripped", "print(3)", None)
    command = [sys.executable, "-m", "pytest", "--nbval", "--nbval-current-env", "-p", "conftest", "-rA", "--color=no", str(tmp_path)]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert re.search(r"^PASSED .*warns", run.stdout, re.MULTILINE)
    assert re.search(r"^FAILED .*stale", run.stdout, re.MULTILINE)
    assert re.search(r"^(FAILED|ERROR) .*stripped", run.stdout, re.MULTILINE)
    assert "was never executed" in run.stdout
