"""A Sphinx extension: what Jupyter Book 1 gets wrong in its pages is put right before they are written."""

import gc
import re

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective
from sphinx_codeautolink.extension.block import CodeBlockAnalyser

LOGGER = logging.getLogger(__name__)


def setup(app: Sphinx) -> dict:
    """What Sphinx calls; see `extra_extensions` in _config.yml."""
    gc.disable()  # half of the time otherwise, over parsed pages that live on; the process takes 3 GB and ends with its work
    app.connect("builder-inited", _mend_pages)
    app.add_node(FigurePlace)
    app.add_directive("figure-of", FigureOf)
    app.connect("doctree-resolved", _show_figures)
    CodeBlockAnalyser.depart_section = _leave_section
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _leave_section(self: CodeBlockAnalyser, node: nodes.section) -> None:
    """Exercises are sections without a title, of which sphinx-codeautolink would forget one all the same."""
    if any(isinstance(child, nodes.title) for child in node.children):
        self.title_stack.pop()


class FigurePlace(nodes.General, nodes.Element):
    """Stands for the image of a figure on another page."""


class FigureOf(SphinxDirective):
    """`{figure-of} NAME` shows the image of that figure again, with its description (cross-page glue knows no SVG)."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        return [FigurePlace(name=self.arguments[0])]


def _show_figures(app: Sphinx, doctree: nodes.document, _name: str) -> None:
    labels = app.env.domaindata["std"]["anonlabels"]
    for node in list(doctree.findall(FigurePlace)):
        page, anchor = labels.get(node["name"], (None, None))
        found = [f for f in app.env.get_doctree(page).findall(nodes.figure) if anchor in f["ids"]] if page else []
        if found:
            node.replace_self(next(found[0].findall(nodes.image)).deepcopy())
        else:
            LOGGER.warning(f"there is no figure named {node['name']}", location=node)
            node.parent.remove(node)


def _mend_pages(app: Sphinx) -> None:
    templates = getattr(app.builder, "templates", None)
    if templates is not None:  # else no pages are written, as by a check of links
        render = templates.render
        templates.render = lambda name, context: mended(render(name, context), context.get("pagename", ""))


def mended(page: str, name: str) -> str:
    """The HTML of a page, whose name is such as chapters/scribe/mask."""
    # thebe is not used, yet its settings are written twice (an error on each page) and name a foreign host
    page = re.sub(r"<script>const THEBE_JS_URL.*?</script>", "", page, flags=re.DOTALL)
    # MathJax is asked for twice on pages with outputs; the second load fails
    page = re.sub(r'<script src="[^"]*mathjax/tex-svg\.js[^"]*"></script>', "", page)
    # what scrolls must be reachable by keyboard; a list role needs list items
    page = page.replace(
        '<div class="pst-scrollable-table-container">', '<div class="pst-scrollable-table-container" tabindex="0">'
    )
    page = page.replace('<div role="list" class="citation-list">', '<div class="citation-list">')
    if name.startswith("reference/"):  # a signature that Sphinx cannot parse keeps the marks of shortened names
        page = re.sub(r"~(?:\w+\.)+(?=\w)", "", page)
    if name.startswith("chapters/"):  # chapters are generated: edit, Colab and Binder lead to the notebooks they are made from
        page = page.replace("book/chapters/", "notebooks/").replace("book%2Fchapters%2F", "notebooks%2F")
    return page
