"""The course works with the network cut, and does not even try to reach it."""

import os
import shutil
import subprocess
import sys

from fixtures import build_llm

from helpers.paths import HELP_CENTER, ROOT

PROGRAM = """
import socket, sys

tried = []

def refuse(*arguments, **settings):
    tried.append(arguments)
    raise OSError(f"the network is cut: {arguments}")

connect = socket.socket.connect
socket.socket.connect = lambda self, address: connect(self, address) if self.family == socket.AF_UNIX else refuse(address)
socket.socket.connect_ex = socket.getaddrinfo = socket.create_connection = refuse

from helpers import HelpCenter, SupportBot
from helpers.tuning import LoraSettings, load_conversations, train_adapter

help_center = HelpCenter.from_folder(sys.argv[1])
assert help_center.sync().added > 3
assert help_center.search("How long is the warranty?", k=1)[0].article == "warranty"
adapter = train_adapter(load_conversations()[:2], sys.argv[2], LoraSettings(epochs=1)).folder
reply = SupportBot(help_center=help_center, adapter=adapter, k=3).ask("How long is the warranty?")
assert len(reply.found) == 3 and isinstance(reply.text, str)
import time
time.sleep(1)
print("tried:", tried)
"""


def test_everything_works_with_the_network_cut(tmp_path):
    articles = tmp_path / "articles"
    articles.mkdir()
    for name in ("warranty", "returns"):
        shutil.copy(HELP_CENTER / "current" / f"{name}.md", articles)
    model = build_llm("qwen2", tmp_path / "qwen2")
    settings = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "TRANSFORMERS_", "ANONYMIZED", "COURSE_", "http", "HTTP"))}
    settings |= {"COURSE_LLM": str(model), "COURSE_WORKSPACE": str(tmp_path / "workspace"), "HOME": str(tmp_path), "PYTHONPATH": str(ROOT)}
    run = subprocess.run([sys.executable, "-c", PROGRAM, str(articles), str(tmp_path / "adapter")], env=settings, capture_output=True, text=True, timeout=240, check=False)
    assert run.returncode == 0, run.stderr[-3000:]
    assert run.stdout.splitlines()[-1] == "tried: []"
