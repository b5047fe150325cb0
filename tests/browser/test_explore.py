import time
from playwright.sync_api import expect
def shot(nb, name, size):
    nb.page.set_viewport_size({"width": size[0], "height": size[1]})
    nb.page.wait_for_timeout(600)
    nb.page.screenshot(path=f"/tmp/shots/{name}_{size[0]}.png")
STAND = """
from helpers.scoring import estimate
from helpers.scenarios import ARMS
measured = {arm: {m: estimate([1.0, 0.0, 1.0]) for m in ("facts_current", "voice", "resolved")} for arm in ARMS}
"""
def test_explore(open_notebook):
    t=time.time()
    nb = open_notebook("00_two_bots")
    out = nb.run("DiagnosisQuiz()\nquiz")
    print("diag", time.time()-t); t=time.time()
    for s in ((1280,800),(1920,1080)): shot(nb, "diag", s)
    out.get_by_role("button", name="behaviour").first.click()
    out.get_by_role("button", name="Reveal").first.click()
    expect(out.locator(".fern-card").first).to_be_visible()
    print(out.locator(".fern-card").first.inner_text())
    print(out.locator(".widget-toggle-buttons").first.evaluate("e=>e.outerHTML"))
    out.get_by_role("button", name="facts").first.click(timeout=3000)
    nb.page.wait_for_timeout(500)
    print(out.locator(".widget-toggle-buttons").first.evaluate("e=>e.outerHTML"))
    for s in ((1280,800),(1920,1080)): shot(nb, "diag2", s)
    out = nb.run("ToggleLab()")
    for tool in ("RAG", "prompt only"):
        t=time.time()
        out.get_by_role("button", name=tool).click()
        expect(out.locator(".fern-card")).to_contain_text("Verdict", timeout=60000)
        print(tool, time.time()-t)
    out.get_by_role("button", name="RAG").click()
    expect(out.locator(".fern-card")).to_contain_text("cited")
    for s in ((1280,800),(1920,1080)): shot(nb, "toggle", s)
    print(out.get_by_label("Ticket").count())
def test_explore1(open_notebook):
    t=time.time()
    nb = open_notebook("01_rag_pipeline")
    out = nb.run("from helpers.knowledge import read_article", "help_center = HelpCenter.from_folder(HELP_CENTER", "shutil.copytree(", "editor = ArticleEditor(")
    print("01", time.time()-t); t=time.time()
    for s in ((1280,800),(1920,1080)): shot(nb, "editor", s)
    out.get_by_label("Article").select_option("Warranty")
    area = out.get_by_label("Text")
    expect(area).to_have_value(__import__("re").compile("three years"))
    area.fill(area.input_value().replace("three years", "ten years"))
    out.get_by_role("button", name="Sync").click()
    expect(out).to_contain_text("Answer after")
    print("sync", time.time()-t); t=time.time()
    for s in ((1280,800),(1920,1080)): shot(nb, "editor2", s)
    print(out.inner_text())
def test_explore4(open_notebook):
    nb = open_notebook("04_which_one")
    nb.run_code(STAND)
    out = nb.run("walk = DecisionWalk(evidence)")
    for s in ((1280,800),(1920,1080)): shot(nb, "walk", s)
    out.get_by_role("button", name="Worked example 1").click()
    expect(out.locator(".fern-card")).to_contain_text("RAG")
    for s in ((1280,800),(1920,1080)): shot(nb, "walk2", s)
    print(out.inner_text())
