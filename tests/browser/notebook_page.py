"""A notebook in a browser: run the cells that hold a text, and look at what they show."""

from collections.abc import Iterator
from pathlib import Path

from playwright.sync_api import Locator, Page, expect

STARTS = 120_000
ANSWERS = 60_000

RUN_CELL = """async text => {
  const {content: notebook, context} = window.jupyterapp.shell.currentWidget;
  await context.sessionContext.ready;
  const index = notebook.widgets.findIndex(cell => cell.model.type === 'code' && cell.model.sharedModel.source.includes(text));
  if (index < 0) throw new Error(`no cell holds ${text}`);
  await notebook.scrollToItem(index, 'start');
  notebook.activeCellIndex = index;
  notebook.deselectAll();
  await window.jupyterapp.commands.execute('notebook:run-cell');
  await notebook.scrollToItem(index, 'start');
  return index;
}"""
RUN_CODE = """async code => {
  const {context} = window.jupyterapp.shell.currentWidget;
  await context.sessionContext.ready;
  const {content} = await context.sessionContext.session.kernel.requestExecute({code, store_history: false}).done;
  if (content.status !== 'ok') throw new Error(`${content.ename}: ${content.evalue}`);
}"""
KERNEL_READY = """() => {
  const panel = window.jupyterapp?.shell?.currentWidget;
  return panel?.context?.isReady && panel.context.sessionContext.session?.kernel?.connectionStatus === 'connected';
}"""


class NotebookPage:
    """One notebook, open in JupyterLab.

    Args:
        page: a new page of the browser.
        address: of the notebook, with the server's token.
    """

    def __init__(self, page: Page, address: str) -> None:
        self.page = page
        page.set_default_timeout(ANSWERS)
        page.goto(address, timeout=STARTS)
        page.wait_for_function(KERNEL_READY, timeout=STARTS)

    def run(self, *texts: str) -> Locator:
        """Run the first code cell that holds each text, one after the other, and return the last cell's output.

        Raises:
            AssertionError: a cell ended in an error.
        """
        for text in texts:
            index = self.page.evaluate(RUN_CELL, text)
            cell = self.page.locator(f'.jp-Cell[data-windowed-list-index="{index}"]')
            expect(cell.locator('[data-mime-type="application/vnd.jupyter.error"], [data-mime-type="application/vnd.jupyter.stderr"]')).to_have_count(0)
        return cell.locator(".jp-OutputArea")

    def run_code(self, code: str) -> None:
        """Run code in the notebook's kernel without a cell."""
        self.page.evaluate(RUN_CODE, code)
