"""``python -m helpers``: replies on stdout, every error one clear line."""

import errno
import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from helpers.__main__ import main, table
from helpers.claims import Claim, claim
from helpers.paths import write_whole
from helpers.scoring import Estimate


def test_ask_prints_the_reply_and_what_it_cites(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "warranty.md").write_text("# Warranty\n\nEvery garden has a warranty of 37 months.\n", encoding="utf-8")
    assert main(["ask", "How long is the warranty?", "--tools", "rag", "--articles", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert "37 months" in out
    assert "Cites warranty: Every garden has a warranty of 37 months." in out


def test_ask_without_tools_is_the_base_bot(capsys: pytest.CaptureFixture[str]):
    assert main(["ask", "How long is the warranty?"]) == 0
    out = capsys.readouterr().out
    assert out.strip() and "Cites" not in out and "Hands over" not in out


def test_ask_names_the_queue_of_a_hand_over(capsys: pytest.CaptureFixture[str]):
    assert main(["ask", "There was smoke coming out of the lamp and my hand is burnt.", "--tools", "lora"]) == 0
    assert "Hands over to: safety" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["ask", "", "--tools", "prompt"], "empty"),
        (["ask", "Hello?", "--tools", "rag", "--articles", "no/such/folder"], "There is no folder"),
        (["scoreboard", "--json", "/dev/null/out.json"], "/dev/null is a file and no folder. Name a file"),
        (["scoreboard", "--json", "README.md/out.json"], "README.md is a file and no folder. Name a file"),
        (["scoreboard", "--json", "tests"], "Name a file"),
        (["scoreboard", "--json", "."], "Name a file"),
    ],
)
def test_errors_are_one_line_and_status_2(arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]):
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert said in captured.err and captured.err.count("\n") == 1 and captured.out == ""


@pytest.mark.parametrize("arguments", [["ask", "Hello?", "--tools", "magic"], ["ask", "Hello?", "--articles", "data"], ["scoreboard"], []])
def test_wrong_usage_is_status_2(arguments: list[str], capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2
    assert "usage" in capsys.readouterr().err


def test_scoreboard_writes_the_file_and_prints_the_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    measured = {"arms": {"base": {"voice": {"value": 0.25, "low": 0.2, "high": 0.3, "n": 4}}}, "seconds": {"index": 1.0}, "seeds": [0]}
    monkeypatch.setattr("helpers.scoreboard.scoreboard", lambda: measured)
    file = tmp_path / "results" / "out.json"
    assert main(["scoreboard", "--json", str(file)]) == 0
    assert json.loads(file.read_text(encoding="utf-8")) == measured
    assert "0.25 [0.20, 0.30]" in capsys.readouterr().out
    assert [path.name for path in file.parent.iterdir()] == ["out.json"]


def test_a_failed_scoreboard_keeps_the_last_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def fail() -> dict:
        raise OSError("No space left on device")

    file = tmp_path / "out.json"
    file.write_text("{}", encoding="utf-8")
    monkeypatch.setattr("helpers.scoreboard.scoreboard", fail)
    assert main(["scoreboard", "--json", str(file)]) == 2
    assert file.read_text(encoding="utf-8") == "{}"
    assert [path.name for path in tmp_path.iterdir()] == ["out.json"]


def test_a_full_disk_leaves_the_last_file_and_no_part_of_a_new_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def write_half(self: Path, text: str, encoding: str) -> None:
        self.write_bytes(text[:1].encode(encoding))
        raise OSError(errno.ENOSPC, "No space left on device")

    write_whole(tmp_path / "out.json", "{}")
    monkeypatch.setattr(Path, "write_text", write_half)
    with pytest.raises(OSError, match="No space left"):
        write_whole(tmp_path / "out.json", '{"new": 1}')
    assert [path.name for path in tmp_path.iterdir()] == ["out.json"] and (tmp_path / "out.json").read_bytes() == b"{}"


def test_an_old_sqlite_points_to_the_check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """``import chromadb`` raises RuntimeError then, not ImportError."""
    (tmp_path / "chromadb.py").write_text('raise RuntimeError("Your system has an unsupported version of sqlite3.\\nChroma requires sqlite3 >= 3.35.0.")\n', encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    for module in [name for name in sys.modules if name.partition(".")[0] == "chromadb" or name in ("helpers.bots", "helpers.knowledge")]:
        monkeypatch.delitem(sys.modules, module)
    assert main(["ask", "Hello?"]) == 2
    captured = capsys.readouterr()
    assert "unsupported version of sqlite3" in captured.err and "python -m helpers check" in captured.err and captured.err.count("\n") == 1 and captured.out == ""


def test_experiments_are_written_one_by_one_and_compared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    stored = {number: claim(number).stored() for number in (3, 4)}
    moved = {name: Estimate(e.value - 0.5, e.low - 0.5, e.high - 0.5, e.n) for name, e in stored[4].outcome.measures.items()}
    again = {3: stored[3], 4: replace(stored[4], outcome=replace(stored[4].outcome, measures=moved))}
    monkeypatch.setattr(Claim, "recompute", lambda self, report: again[self.number])
    file = tmp_path / "out.json"
    assert main(["experiments", "--json", str(file), "--only", "3"]) == 0
    assert json.loads(file.read_text(encoding="utf-8")) == {"03_freshness": stored[3].as_json()}
    assert "differs" not in capsys.readouterr().out
    assert main(["experiments", "--json", str(file), "--only", "3", "4"]) == 1
    assert "differs: facts in an unseen wording, RAG" in capsys.readouterr().out
    assert list(json.loads(file.read_text(encoding="utf-8"))) == ["03_freshness", "04_taught_facts"]
    assert main(["experiments", "--json", str(file), "--only", "99"]) == 2


def test_table_marks_a_metric_that_an_arm_does_not_have():
    one = {"value": 1.0, "low": 1.0, "high": 1.0, "n": 3}
    lines = table({"base": {"voice": one}, "rag": {"voice": one, "citation_recall": one}}).splitlines()
    assert lines[0].split() == ["base", "rag"]
    assert lines[2].split()[:2] == ["citation_recall", "-"]
