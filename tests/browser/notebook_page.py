"""A notebook in a browser: run the cells that hold a text, and look at what they show."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Locator, Page, ViewportSize, expect

STARTS = 180_000
ANSWERS = 90_000
VIEWPORTS: tuple[ViewportSize, ...] = ({"width": 1280, "height": 800}, {"width": 1920, "height": 1080})

OPEN = """() => {
  const panel = window.jupyterapp?.shell?.currentWidget;
  return panel?.context?.isReady && panel.context.sessionContext.session?.kernel?.connectionStatus === 'connected';
}"""
RUN_CELL = """async text => {
  const {content: notebook, context} = window.jupyterapp.shell.currentWidget;
  await context.sessionContext.ready;
  const find = fits => notebook.widgets.findIndex(cell => cell.model.type === 'code' && fits(cell.model.sharedModel.source));
  const whole = find(source => source === text), index = whole < 0 ? find(source => source.includes(text)) : whole;
  if (index < 0) throw new Error(`no code cell holds ${text}`);
  notebook.activeCellIndex = index;
  notebook.deselectAll();
  await window.jupyterapp.commands.execute('notebook:run-cell');
  await notebook.scrollToItem(index, 'start');
  return index;
}"""
RUN_ALL = """async () => {
  const {content: notebook, context} = window.jupyterapp.shell.currentWidget;
  await context.sessionContext.ready;
  await window.jupyterapp.commands.execute('notebook:run-all-cells');
  const cells = notebook.widgets.map(cell => cell.model).filter(model => model.type === 'code');
  const red = cells.flatMap(model => model.outputs.toJSON()).filter(output => output.output_type === 'error');
  return {cells: cells.length, ran: cells.filter(model => model.executionCount > 0).length, red: red.map(error => `${error.ename}: ${error.evalue}`)};
}"""
RUN_CODE = """async code => {
  const {context} = window.jupyterapp.shell.currentWidget;
  await context.sessionContext.ready;
  const {content} = await context.sessionContext.session.kernel.requestExecute({code, store_history: false}).done;
  if (content.status !== 'ok') throw new Error(`${content.ename}: ${content.evalue}`);
}"""
# What a learner would have to scroll to, could not read, or could not click. An option of a closed list has no box.
MISFITS = """lab => {
  const name = element => `${element.tagName.toLowerCase()}.${element.className} "${element.textContent.trim().slice(0, 40)}"`;
  const box = element => element.getBoundingClientRect();
  const seen = [...lab.querySelectorAll('*')].filter(element => box(element).width && box(element).height);
  const room = box(lab), found = [];
  for (const element of seen) {
    const {left, right} = box(element);
    if (left < room.left - 1 || right > room.right + 1) found.push(`${name(element)} sticks out of the lab`);
    if (element.clientWidth && element.scrollWidth > element.clientWidth + 1) found.push(`${name(element)} is cut off or scrolls sideways`);
  }
  const controls = seen.filter(element => element.matches('button, select, input, textarea, summary, .widget-label'));
  for (const [at, one] of controls.entries()) for (const other of controls.slice(at + 1)) {
    const a = box(one), b = box(other);
    const overlap = Math.min(a.right, b.right) - Math.max(a.left, b.left) > 1 && Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 1;
    if (overlap && !one.contains(other)) found.push(`${name(one)} overlaps ${name(other)}`);
  }
  for (let outside = lab.parentElement; outside; outside = outside.parentElement)
    if (box(lab).right > box(outside).right + 1) found.push(`${name(outside).slice(0, 60)} cuts off the lab`);
  return found;
}"""


@dataclass(frozen=True)
class Server:
    """A running JupyterLab: its address, its token, and the learner's folder of its kernels."""

    address: str
    token: str
    workspace: Path

    def url(self, path: str) -> str:
        """Return the address of ``path`` with the token; ``reset`` closes what was open before."""
        return f"{self.address}/{path}?reset&token={self.token}"


class NotebookPage:
    """One notebook, open in JupyterLab.

    Args:
        page: of the browser, and new; the tests of a notebook share one.
        address: of the notebook, with the server's token.
    """

    def __init__(self, page: Page, address: str) -> None:
        self.page = page
        page.set_default_timeout(ANSWERS)
        page.goto(address, timeout=STARTS)
        page.wait_for_function(OPEN, timeout=STARTS)

    def resize(self, viewport: ViewportSize) -> None:
        """Give the window another size, and wait until JupyterLab fills it."""
        self.page.set_viewport_size(viewport)
        self.page.wait_for_function("width => document.querySelector('#main').getBoundingClientRect().width === width", arg=viewport["width"])

    def run(self, *texts: str) -> Locator:
        """Run the code cell that is each text, or the first that holds it, one after the other; return the output of the last.

        Raises:
            AssertionError: a cell turned red.
        """
        for text in texts:
            index = self.page.evaluate(RUN_CELL, text)
            output = self.page.locator(f'.jp-Cell[data-windowed-list-index="{index}"] .jp-OutputArea')
            expect(output.locator('[data-mime-type="application/vnd.jupyter.error"]')).to_have_count(0)
        return output

    def run_all(self) -> dict:
        """Run the notebook from top to bottom; return how many cells of code it has, how many ran, and the errors."""
        return self.page.evaluate(RUN_ALL)

    def lab(self, *texts: str) -> Locator:
        """Run cells, of which the last shows a lab; return the lab."""
        lab = self.run(*texts).locator(".widget-vbox").first
        expect(lab).to_be_visible()
        return lab

    def run_code(self, code: str) -> None:
        """Run code in the notebook's kernel without a cell."""
        self.page.evaluate(RUN_CODE, code)

    def barriers(self, lab: Locator) -> list[str]:
        """Return what axe-core finds serious or critical in a lab: the rule and the element."""
        lab.evaluate("lab => { document.getElementById('lab-under-test')?.removeAttribute('id'); lab.id = 'lab-under-test' }")
        found = Axe().run(self.page, "#lab-under-test").response["violations"]
        return [f"{v['id']}: {node['html'][:160]}" for v in found if v["impact"] in ("serious", "critical") for node in v["nodes"]]

    def misfits(self, lab: Locator) -> list[str]:
        """Return what overflows, overlaps, or is cut off in a lab."""
        return lab.evaluate(MISFITS)

    def focused(self) -> str:
        """Return the text or the value of what has the keyboard."""
        return self.page.evaluate("() => (document.activeElement.textContent || document.activeElement.value).trim()")


Opener = Callable[[str], NotebookPage]


def option(lab: Locator, group: str, label: str) -> Locator:
    """Return one of the buttons beside the label ``group``."""
    buttons = lab.locator(".widget-toggle-buttons").filter(has_text=group)
    return buttons.get_by_role("button", name=re.compile(rf"(^|: ){re.escape(label)}$"))


def expect_chosen(button: Locator) -> None:
    """Assert that a button says to eye and ear that it is chosen."""
    expect(button).to_have_accessible_name(re.compile("^chosen: "))
