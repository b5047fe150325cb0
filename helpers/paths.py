"""Where things are: the course's data, and the learner's own folder."""

import hashlib
import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
DATA = ROOT / "data"
HELP_CENTER = DATA / "help_center"
PRETRAINING = DATA / "pretraining"
BASE_MODEL = DATA / "models" / "fernhollow-base"
RETRIEVAL_ADAPTER = DATA / "models" / "retrieval-adapter"
RERANKER = DATA / "models" / "reranker"
DIGESTS = "sha256.txt"
EMBEDDER_FILES = {
    "model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    "config.json": "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41",
    "modules.json": "84e40c8e006c9b1d6c122e02cba9b02458120b5fb0c87b746c41e0207cf642cf",
    "sentence_bert_config.json": "fc1993fde0a95c24ec6c022539d41cf6e2f7c9721e5415d6fb6897472a9cd4b7",
    "1_Pooling/config.json": "4be450dde3b0273bb9787637cfbd28fe04a7ba6ab9d36ac48e92b11e350ffc23",
    "tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
    "tokenizer_config.json": "acb92769e8195aabd29b7b2137a9e6d6e25c476a4f15aa4355c233426c61576b",
    "special_tokens_map.json": "303df45a03609e4ead04bc3dc1536d0ab19b5358db685b6f3da123d05ec200e3",
    "vocab.txt": "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3",
}


def short_hash(text: str) -> str:
    """Return twelve hexadecimal digits that tell ``text`` from any other, for the name of a file or folder."""
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def model_files(folder: Path) -> list[Path]:
    """Return the files that decide what a model in ``folder`` says, by name: weights, settings, tokenizer and chat template."""
    return sorted(file for pattern in ("*.safetensors", "*.json", "*.jinja") for file in folder.glob(pattern))


def write_whole(file: Path, text: str) -> None:
    """Write ``text`` under another name first, so that an interruption leaves the old file or the new one, never half of one."""
    part = file.with_name(f"{file.name}.{os.getpid()}.part")
    try:
        part.write_text(text, encoding="utf-8")
        part.replace(file)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def workspace() -> Path:
    """Return the learner's folder for everything that a run writes.

    ``COURSE_WORKSPACE`` names another one, for example on a shared machine; a relative path begins at the course's folder.

    Raises:
        OSError: the folder cannot be made; the message says what to do.
    """
    folder = ROOT / Path(os.environ.get("COURSE_WORKSPACE") or "workspace").expanduser()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OSError(f"Cannot write to {folder}: {error.strerror}. Set COURSE_WORKSPACE to a folder that you may write to, then restart the kernel.") from error
    return folder
