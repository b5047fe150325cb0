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
EMBEDDER_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"


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
