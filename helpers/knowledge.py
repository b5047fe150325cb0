"""The help centre: articles in a folder, and the index that RAG searches.

An article is cut into single sentences, each kept with its article's title and
the heading above it. The embedder turns every passage into a vector and Chroma
stores it. ``sync`` compares the folder with the index and embeds only what
changed, or moved within its article; the index itself is the record of what has been done, so an interrupted
``sync`` is finished by the next.
"""

import hashlib
import os
import re
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import chromadb
import filelock
import httpx
import numpy as np
from chromadb.api.shared_system_client import SharedSystemClient
from chromadb.errors import ChromaError, NotFoundError
from langchain_chroma import Chroma
from langchain_core.callbacks import CallbackManagerForRetrieverRun
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_core.retrievers import BaseRetriever
from langchain_huggingface import HuggingFaceEmbeddings
from langchain_text_splitters import TextSplitter

from helpers.models import load_embedder
from helpers.paths import model_files, short_hash, workspace
from helpers.reranker import SEARCHED, Reranker, load_reranker

LARGEST_ARTICLE = 500_000
BATCH = 500
TITLE = re.compile(r"^# +(\S.*)$", re.MULTILINE)
LOCK_SECONDS = 60
INDEX_FAILS = (OSError, ChromaError, httpx.HTTPError)
DAMAGED = ("malformed", "not a database", "hnsw index")


class HelpCenterError(Exception):
    """Something about the articles or their index that the learner can mend."""


@dataclass(frozen=True)
class Article:
    """One article: the file's stem, the title from its first ``# `` line, and the text below."""

    name: str
    title: str
    text: str


@dataclass(frozen=True)
class Passage:
    """A sentence found for a question.

    ``article`` is the file's stem, ``heading`` the nearest heading above the
    sentence (the title if there is none). ``score`` is the chance, 0 to 1, that
    this passage is the one that answers, as the reranker sees it; in a help
    centre without a reranker it is the cosine similarity.
    """

    text: str
    article: str
    title: str
    heading: str
    score: float


@dataclass(frozen=True)
class SyncReport:
    """What ``sync`` did, counted in passages, and the articles it touched."""

    added: int
    updated: int
    deleted: int
    unchanged: int
    seconds: float
    articles: tuple[str, ...] = field(default=())


class PassageEmbeddings(Embeddings):
    """Embed a passage twice, below its title and heading and alone, and store the mean.

    The heading tells what "it" is in "It lasts three years."; alone, the sentence
    keeps what sets it apart from its neighbours below the same heading.
    """

    def __init__(self, embedder: Embeddings) -> None:
        self.embedder = embedder

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Return one vector of length 1 for each passage as ``in_context`` writes it."""
        alone = [text.rpartition("\n")[2] for text in texts]
        vectors = np.array(self.embedder.embed_documents([*texts, *alone]))
        return passage_vectors(vectors[: len(texts)], vectors[len(texts) :]).tolist()

    def embed_query(self, text: str) -> list[float]:
        """Return the vector of a question."""
        return self.embedder.embed_query(text)


def in_context(title: str, heading: str, sentence: str) -> str:
    """Return a sentence below its article's title and its heading, as it is embedded."""
    return f"{title}. {heading}:\n{sentence}" if heading else f"{title}:\n{sentence}"


def passage_vectors(in_context: np.ndarray, alone: np.ndarray) -> np.ndarray:
    """Return the means of two (passages x width) arrays, each row scaled to length 1."""
    means = in_context + alone
    return means / np.linalg.norm(means, axis=1, keepdims=True)


class SentenceSplitter(TextSplitter):
    """Cut a text into its sentences; one longer than the chunk size is cut between words."""

    SENTENCE_END = re.compile(r"(?:(?<=[.!?])|(?<=[.!?][\"')]))(?<!\b[eE]\.g\.)(?<!\b[iI]\.e\.)(?<!\b(?:Mr|Ms|Dr|St)\.)(?<!\bMrs\.)(?<!\bapprox\.)\s+(?!(?<=\b[ap]\.m\.\s)(?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)day|(?<=\bNo\.\s)\d)(?=[\"'(]?[A-Z0-9$£€])")
    BULLET = re.compile(r"^\s*(?:[-*+]|\d+\.)\s+")

    def split_text(self, text: str) -> list[str]:
        """Return the sentences of ``text`` in order, without headings and bullets."""
        return [sentence for _, sentence in self.split_sections(text)]

    def split_sections(self, text: str) -> list[tuple[str, str]]:
        """Return (heading, sentence) pairs in order; the heading is empty above the first one."""
        pairs: list[tuple[str, str]] = []
        heading = ""
        for block in re.split(r"\n\s*\n|\n(?=\s*(?:[-*+]|#+|\d+\.)\s)|(?<=\n)(?=#+\s)", text):
            first, _, rest = block.strip().partition("\n")
            if re.match(r"#+\s", first):
                heading, block = first.lstrip("#").strip(), rest
            block = " ".join(self.BULLET.sub("", block).split())
            for sentence in self.SENTENCE_END.split(block):
                pairs.extend((heading, piece) for piece in self._cut(sentence))
        return pairs

    def _cut(self, sentence: str) -> list[str]:
        pieces = [""]
        size = self._chunk_size
        for word in (word[at : at + size] for word in sentence.split() for at in range(0, len(word), size)):
            if len(pieces[-1]) + len(word) + 1 > size:
                pieces.append("")
            pieces[-1] = f"{pieces[-1]} {word}".strip()
        return [piece for piece in pieces if piece]


def read_article(path: Path) -> Article:
    """Read one Markdown article.

    Raises:
        HelpCenterError: the file is not UTF-8, is empty or is far too large.
    """
    try:
        size = path.stat().st_size
        content = path.read_bytes() if size <= LARGEST_ARTICLE else b""
    except OSError as error:
        raise HelpCenterError(f"{path.name} cannot be read ({error.strerror}). Mend or delete it, then sync again.") from error
    if size > LARGEST_ARTICLE:
        raise HelpCenterError(f"{path.name} has {size / 1e6:.1f} MB; an article may have {LARGEST_ARTICLE / 1e6:.1f} MB. Split it into several articles, one subject each.")
    try:
        text = content.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        raise HelpCenterError(f"{path.name} is not UTF-8 text (byte {error.start}). Save it as UTF-8 in your editor, then sync again.") from error
    if not text.strip():
        raise HelpCenterError(f"{path.name} is empty. Write a title line '# Title' and some sentences, or delete the file.")
    title = TITLE.search(text)
    if title:
        return Article(path.stem, title[1].strip(), (text[: title.start()] + text[title.end() :]).strip())
    return Article(path.stem, path.stem.replace("-", " ").capitalize(), text.strip())


class HelpCenter:
    """Articles and their index.

    Args:
        articles: the articles by name.
        index_folder: where Chroma keeps this help centre's index.
        folder: the folder that the articles come from; ``sync`` reads it again.
        embedder: another LangChain embedder; the course's own by default.
        reranker: puts the nearest passages in order; the course's own by default, none with an ``embedder`` of your own.
        chunk_size: most characters in one passage.
        collection: what the index is called on a Chroma server; by default made from ``index_folder``.
    """

    def __init__(
        self,
        articles: dict[str, Article],
        index_folder: Path,
        folder: Path | None = None,
        embedder: Embeddings | None = None,
        chunk_size: int = 400,
        reranker: Reranker | None = None,
        collection: str | None = None,
    ) -> None:
        self.articles = articles
        self.index_folder = Path(index_folder)
        self.collection = collection or _collection(str(self.index_folder.resolve()))
        self.folder = folder
        self.reranker = reranker or _own_reranker(embedder)
        self.embedder = embedder or load_embedder()
        self.chunk_size = chunk_size
        self.splitter = SentenceSplitter(chunk_size=chunk_size, chunk_overlap=0)
        self._store: Chroma | None = None
        self._seen: tuple[int, int] | None = None

    @classmethod
    def from_folder(cls, folder: str | Path, embedder: Embeddings | None = None, chunk_size: int = 400, reranker: Reranker | None = None) -> "HelpCenter":
        """Open the help centre in ``folder`` (``*.md``; the first ``# `` line is the title).

        Each folder has an index of its own in the learner's workspace, so that
        the indexes of different folders never mix.

        Raises:
            HelpCenterError: no folder, no article in it, or an article that cannot be read.
        """
        folder = Path(folder).expanduser().resolve()
        articles = _read_folder(folder)
        key = f"{folder}|{chunk_size}|{_name_of(embedder or load_embedder())}"
        index_folder = workspace() / "indexes" / f"{folder.name}-{short_hash(key)}"
        return cls(articles, index_folder, folder, embedder, chunk_size, reranker, _collection(key))

    def passages(self, article: Article) -> list[Document]:
        """Cut one article into passages: title, heading and sentence, with where they come from."""
        return [
            Document(
                id=f"{article.name}#{number}",
                page_content=in_context(article.title, heading, sentence),
                metadata={"article": article.name, "title": article.title, "heading": heading or article.title, "text": sentence},
            )
            for number, (heading, sentence) in enumerate(self.splitter.split_sections(article.text))
        ]

    def sync(self) -> SyncReport:
        """Bring the index up to date with the articles and say what was done.

        Only passages that changed are embedded again, and those that moved down because a
        sentence was put above them; withdrawn ones are removed.

        Raises:
            HelpCenterError: an article cannot be read, or the index cannot be written.
        """
        begin = time.perf_counter()
        with self._writing():
            if self.folder is not None:
                self.articles = _read_folder(self.folder)
            wanted = {passage.id: passage for article in self.articles.values() for passage in self.passages(article)}
            store = self.store
            stored = _stored(store)
            added = [i for i in wanted if i not in stored]
            updated = [i for i in wanted if i in stored and stored[i] != (wanted[i].page_content, wanted[i].metadata)]
            deleted = [i for i in stored if i not in wanted]
            for at in range(0, len(added + updated), BATCH):
                store.add_documents([wanted[i] for i in (added + updated)[at : at + BATCH]])
            if deleted:
                store.delete(ids=deleted)
            self._seen = self._written()
        touched = sorted({i.rpartition("#")[0] for i in added + updated + deleted})
        seconds = time.perf_counter() - begin
        return SyncReport(len(added), len(updated), len(deleted), len(wanted) - len(added) - len(updated), seconds, tuple(touched))

    def clear(self) -> None:
        """Delete the index; the next ``sync`` embeds every article again.

        Raises:
            HelpCenterError: the index cannot be written.
        """
        with self._writing():
            self.store.reset_collection()
            self._seen = self._written()

    def search(self, question: str, k: int = 3) -> list[Passage]:
        """Return the ``k`` passages that answer ``question`` best, best first.

        The embedder's index brings the nearest ones, the reranker puts them in order.

        Raises:
            HelpCenterError: the question is empty, or the index was never synced or cannot be read.
        """
        return self.search_all([question], k)[0]

    def search_all(self, questions: Sequence[str], k: int = 3) -> list[list[Passage]]:
        """Search for many questions; the embedder then works on them together."""
        if k < 1:
            raise HelpCenterError(f"k says how many passages to bring: 1 or more, not {k}.")
        if any(not question.strip() for question in questions):
            raise HelpCenterError("The question is empty. Type what a customer would ask.")
        with self._explained():
            store = self.store
            empty = not store.get(limit=1)["ids"]
        if empty:
            raise HelpCenterError("The index is empty. Call help_center.sync() first; after a sync it is empty only if the articles hold titles and no sentence.")
        count = max(k, SEARCHED) if self.reranker else k
        vectors = self._embedded(questions)
        with self._explained():
            scored = [[(document, 1.0 - distance) for document, distance in store.similarity_search_by_vector_with_relevance_scores(vector, k=count)] for vector in vectors]
        if self.reranker:
            scored = self._reranked(questions, scored)
        return [[_passage(document, score) for document, score in found[:k]] for found in scored]

    def _embedded(self, questions: Sequence[str]) -> list[list[float]]:
        """Return a vector for each question. Some embedders write questions otherwise than passages; only of one that does not are they taken together."""
        if isinstance(self.embedder, HuggingFaceEmbeddings) and not self.embedder.query_encode_kwargs:
            return self.embedder.embed_documents(list(questions))
        return [self.embedder.embed_query(question) for question in questions]

    def _reranked(self, questions: Sequence[str], nearest: list[list[tuple[Document, float]]]) -> list[list[tuple[Document, float]]]:
        """Return each question's documents with their chances in place of their similarities, best first."""
        pairs = [(question, document.page_content) for question, found in zip(questions, nearest, strict=True) for document, _ in found]
        scores = iter(self.reranker.score(pairs))
        ranked = []
        for found in nearest:
            chances = self.reranker.chances([next(scores) for _ in found], [similarity for _, similarity in found])
            ranked.append(sorted(((document, float(chance)) for (document, _), chance in zip(found, chances, strict=True)), key=lambda one: -one[1]))
        return ranked

    def retriever(self, k: int = 3) -> BaseRetriever:
        """Return the search as a LangChain retriever."""
        return HelpCenterRetriever(help_center=self, k=k)

    @property
    def store(self) -> Chroma:
        """The Chroma collection of this help centre (cosine distance).

        It is in the index folder, or on the Chroma server that ``COURSE_CHROMA`` names;
        articles in the learner's own workspace never go there, for a class's folders may all have one path.
        Chroma keeps vectors in memory and does not notice what another process
        writes, so the collection is opened again when its file has changed.
        """
        if self._store is None or self._written() != self._seen:
            self._store = self._opened()
            self._seen = self._written()
        return self._store

    @property
    def _server(self) -> str | None:
        own = (self.folder or self.index_folder.resolve()).is_relative_to(workspace().resolve())
        return None if own else os.environ.get("COURSE_CHROMA")

    def _opened(self) -> Chroma:
        server = self._server
        try:
            if server:
                address = urlsplit(server)
                place = {"client": chromadb.HttpClient(address.hostname or server, address.port or (443 if address.scheme == "https" else 8000), ssl=address.scheme == "https")}
            else:
                self.index_folder.mkdir(parents=True, exist_ok=True)
                SharedSystemClient.clear_system_cache()
                place = {"persist_directory": str(self.index_folder)}
            return Chroma(
                collection_name=self.collection if server else "passages",
                embedding_function=PassageEmbeddings(self.embedder),
                collection_configuration={"hnsw": {"space": "cosine"}},
                **place,
            )
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:  # some damage makes Chroma's Rust code panic, and a panic is no Exception
            raise HelpCenterError(self._cure(error)) from error

    def _written(self) -> tuple[int, int] | None:
        try:
            status = (self.index_folder / "chroma.sqlite3").stat()
        except OSError:
            return None
        return status.st_mtime_ns, status.st_size

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """One writer at a time."""
        lock = filelock.FileLock(self.index_folder / "sync.lock", timeout=LOCK_SECONDS)
        with self._explained():
            self.index_folder.mkdir(parents=True, exist_ok=True)
            try:
                lock.acquire()
            except filelock.Timeout as error:
                raise HelpCenterError("Another notebook is syncing this help centre and has not finished. Wait for it, then sync again.") from error
            try:
                yield
            finally:
                lock.release()

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Say what to do when the index fails; the next call then opens it anew."""
        try:
            yield
        except INDEX_FAILS as error:
            self._store = None
            raise HelpCenterError(self._cure(error)) from error

    def _cure(self, error: BaseException) -> str:
        """Return what is wrong with the index and what to do."""
        server = self._server
        if "dimension" in str(error):
            return f"Another embedder made this index ({error}). Call help_center.clear() and help_center.sync() to build it anew."
        if isinstance(error, NotFoundError):
            return "Another notebook has cleared this index. Call help_center.sync() to build it anew."
        if server and isinstance(error, ChromaError):
            return f"The Chroma server at {server} cannot do this ({error}). Mend it and start it again, or unset COURSE_CHROMA to keep the index in your own workspace."
        if server and not isinstance(error, OSError):
            return (
                f"The Chroma server at {server} does not answer ({error}). Start it with: chroma run --path FOLDER, or set COURSE_CHROMA "
                "to its address, such as http://localhost:8000. Without COURSE_CHROMA the index is kept in your own workspace."
            )
        if any(words in str(error) for words in DAMAGED):
            return f"The index in {self.index_folder} cannot be used ({error}). Delete this folder: the next sync builds it anew. Your articles are untouched."
        return (
            f"The index in {self.index_folder} cannot be written ({error}). Free some disk space, or set COURSE_WORKSPACE to a folder that you may write to, "
            "and sync again to finish. If that does not help, delete this folder: the next sync builds it anew. Your articles are untouched."
        )


class HelpCenterRetriever(BaseRetriever):
    """A help centre's search as LangChain calls it: a question in, the ``k`` best passages out as documents."""

    help_center: HelpCenter
    k: int

    model_config = {"arbitrary_types_allowed": True}

    def _get_relevant_documents(self, query: str, *, run_manager: CallbackManagerForRetrieverRun) -> list[Document]:
        return [Document(p.text, metadata=asdict(p)) for p in self.help_center.search(query, self.k)]


def _read_folder(folder: Path) -> dict[str, Article]:
    if not folder.is_dir():
        raise HelpCenterError(f"There is no folder {folder}. The course's own is data/help_center/current.")
    paths = sorted(folder.glob("*.md"))
    if not paths:
        raise HelpCenterError(f"{folder} holds no article. Put at least one file there whose name ends in .md.")
    return {path.stem: read_article(path) for path in paths}


def _stored(store: Chroma) -> dict[str, tuple[str, dict]]:
    found = store.get(include=["documents", "metadatas"])
    return dict(zip(found["ids"], zip(found["documents"], found["metadatas"], strict=True), strict=True))


def _passage(document: Document, score: float) -> Passage:
    data = document.metadata
    return Passage(data["text"], data["article"], data["title"], data["heading"], score)


def _own_reranker(embedder: Embeddings | None) -> Reranker | None:
    """Return the course's reranker; none beside another embedder, for whose similarities it is not calibrated."""
    return None if embedder or os.environ.get("COURSE_EMBEDDER") else load_reranker()


def _collection(key: str) -> str:
    """Return a name that every Chroma server takes, whatever the folder is called."""
    return f"help-center-{short_hash(key)}"


def _name_of(embedder: Embeddings) -> str:
    """Return a name that tells embedders apart; where it is a folder, also what its files hold, for they can change."""
    name = str(getattr(embedder, "model_name", None) or getattr(embedder, "model", None) or type(embedder).__name__)
    return " ".join([name, *(hashlib.sha256(file.read_bytes()).hexdigest()[:12] for file in model_files(Path(name)))])


def articles_from(pairs: Iterable[tuple[str, str]]) -> dict[str, Article]:
    """Make articles from (title, text) pairs, for examples written in a cell."""
    return {title.lower().replace(" ", "-"): Article(title.lower().replace(" ", "-"), title, text) for title, text in pairs}
