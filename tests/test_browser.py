"""The rendered book in a real browser: offline, readable, accessible."""

import json
import shutil
import subprocess
import sys
import threading
from contextlib import contextmanager
from functools import cache, partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.request import urlopen

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import sync_playwright
from pypdf import PdfReader

from tests.conftest import TINY

ROOT = Path(__file__).parent.parent

CHROMIUM = next((c for c in map(shutil.which, ("chromium", "chromium-browser", "google-chrome")) if c), None)
FLAGS = "--no-sandbox --disable-gpu --disable-quic --disable-background-networking --disable-component-update --disable-sync"

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is absent: install it (Debian: apt-get install chromium)"),
]


@pytest.fixture(scope="module")
def address(site):
    handler = partial(QuietHandler, directory=str(site))
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


class QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


@pytest.fixture(scope="module")
def browser():
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS.split())
        yield chromium
        chromium.close()


@contextmanager
def tab(browser, address):
    """A page that collects what goes wrong: console errors, failed requests, requests to other hosts."""
    context = browser.new_context(viewport={"width": 1300, "height": 900})
    opened = context.new_page()
    opened.problems = []
    opened.on("console", lambda m: opened.problems.append(f"console: {m.text}") if m.type == "error" else None)
    opened.on("pageerror", lambda e: opened.problems.append(f"error: {e}"))
    opened.on("response", lambda r: opened.problems.append(f"{r.status}: {r.url}") if r.status >= 400 else None)

    def only_here(route):
        if route.request.url.startswith((address, "data:", "blob:")):
            route.continue_()
        else:
            opened.problems.append(f"leaves the machine: {route.request.url}")
            route.abort()

    opened.route("**/*", only_here)
    yield opened
    context.close()


@pytest.fixture
def page(browser, address):
    with tab(browser, address) as opened:
        yield opened


@pytest.fixture(scope="module")
def visit(browser, address):
    """What a visitor finds on a page, which is loaded once for all tests."""

    @cache
    def found(name: str) -> dict:
        with tab(browser, address) as page:
            page.goto(f"{address}/{name}", wait_until="networkidle")
            if page.locator(".bd-article .math").count():
                page.wait_for_selector("mjx-container svg", state="attached")  # the first may be in a folded solution
            seen = {"problems": list(page.problems)}
            seen["images"] = page.evaluate(
                "[...document.querySelectorAll('.bd-article img')].map(i => [i.naturalWidth, i.naturalHeight, i.alt])"
            )
            seen["links"] = page.evaluate("[...document.querySelectorAll('.article-header-buttons a')].map(a => a.href)")
            seen["numbers"] = page.locator(".bd-article .caption-number").all_inner_texts()
            seen["violations"] = Axe().run(page, context=".bd-article").response["violations"]
            if page.locator("details.provenance").count():
                page.locator("details.provenance summary").first.click()
            seen["text"] = page.locator(".bd-article").inner_text()
            page.set_viewport_size({"width": 390, "height": 844})
            seen["width on a phone"] = page.evaluate("document.documentElement.scrollWidth")
            return seen

    return found


PAGES = [
    "intro.html",
    "how-to-read.html",
    "how-to-reproduce.html",
    "chapters/scribe/implicit-background.html",
    "chapters/scribe/overfitting-without-labels.html",
    "chapters/scribe/scribe-and-softmax.html",
    "chapters/scribe/accuracy-and-attention.html",
    "chapters/scribe/augmentation.html",
    "chapters/scribe/corruption.html",
    "chapters/scribe/criterion-under-stress.html",
    "chapters/scribe/audit.html",
    "chapters/scribe/scorecard.html",
    "chapters/backgrounds/eight-ways-to-cut.html",
    "chapters/backgrounds/backgrounds-suffice.html",
    "chapters/backgrounds/background-gap.html",
    "chapters/backgrounds/adversarial-backgrounds.html",
    "chapters/backgrounds/mixed-rand.html",
    "chapters/backgrounds/finer-look.html",
    "chapters/backgrounds/progress.html",
    "chapters/backgrounds/scorecard.html",
    "chapters/foregrounds/ruler.html",
    "chapters/foregrounds/known-truth.html",
    "chapters/foregrounds/noise.html",
    "chapters/foregrounds/attributes.html",
    "chapters/foregrounds/saliency.html",
    "chapters/foregrounds/spurious-cues.html",
    "chapters/foregrounds/units.html",
    "chapters/foregrounds/scorecard.html",
    "chapters/distraction/hiding.html",
    "chapters/distraction/fine-grained.html",
    "chapters/distraction/unbalanced.html",
    "chapters/distraction/hidden-regions.html",
    "chapters/distraction/where-it-looks.html",
    "chapters/distraction/what-matters.html",
    "chapters/distraction/scorecard.html",
    "chapters/synthesis/side-by-side.html",
    "chapters/synthesis/agreement.html",
    "chapters/synthesis/which-ruler.html",
    "chapters/synthesis/measure-your-own-model.html",
    *(f"teaching/{file.stem}.html" for file in (ROOT / "book" / "teaching").glob("*.md")),
    "how-this-book-is-made.html",
    *(f"reference/{file.stem}.html" for file in (ROOT / "book" / "reference").glob("*.md")),
    "glossary.html",
    "bibliography.html",
]
CHAPTERS = [name for name in PAGES if name.startswith("chapters/")]


def test_the_list_of_pages_is_complete(site):
    made = {str(f.relative_to(site)) for f in site.rglob("*.html")} - {
        "index.html",
        "search.html",
        "genindex.html",
        "py-modindex.html",
    }
    made = {name for name in made if not name.startswith(("_static/", "_modules/"))}
    assert made == set(PAGES)


@pytest.mark.parametrize("name", PAGES)
def test_every_page_loads_offline_with_all_its_figures_and_fits_a_phone(visit, name):
    seen = visit(name)
    assert seen["problems"] == []
    for width, height, text in seen["images"]:
        assert width > 50 and height > 20 and len(text) > 15, text
    assert seen["width on a phone"] <= 390


@pytest.mark.parametrize("name", PAGES)
def test_no_serious_accessibility_violation_in_our_content(visit, name):
    serious = [v for v in visit(name)["violations"] if v["impact"] in ("serious", "critical")]
    assert not serious, [(v["id"], v["nodes"][0]["html"][:200], v["nodes"][0]["target"]) for v in serious]


@pytest.mark.parametrize("name", CHAPTERS)
def test_chapters_have_numbered_figures_tables_and_provenance(visit, name):
    seen = visit(name)
    assert {"Fig", "Tab"} <= {number[:3] for number in seen["numbers"]}
    assert all(word in seen["text"] for word in ("demo", "torch", "procedural scenes", "trained in"))
    assert "$" not in seen["text"]


@pytest.mark.parametrize("name", CHAPTERS)
def test_buttons_lead_to_the_notebook_s_source_and_the_executed_one_can_be_downloaded(visit, name):
    links = visit(name)["links"]
    source = "notebooks/" + name.removeprefix("chapters/").replace(".html", ".ipynb")
    for host in ("colab.research.google.com", "mybinder.org", "/edit/"):
        assert any(host in link and source in link.replace("%2F", "/") for link in links), (host, links)
    assert any("issues/new" in link for link in links)
    download = next(link for link in links if link.endswith(".ipynb") and "_sources" in link)
    with urlopen(download) as response:
        assert json.load(response)["metadata"]["papermill"]["parameters"]["overrides"] == TINY["overrides"]


def test_the_table_of_runs_sorts(page, address):
    page.goto(f"{address}/{CHAPTERS[1]}", wait_until="networkidle")
    head = page.locator("table.dataTable thead th", has_text="accuracy").first
    button = head.locator("[role=button]")
    button.scroll_into_view_if_needed()
    place = head.evaluate("th => th.cellIndex")
    orders = []
    for direction in ("ascending", "descending"):
        button.click()
        page.wait_for_selector(f"table.dataTable thead th[aria-sort={direction}]")
        cells = page.locator(f"table.dataTable tbody tr td:nth-child({place + 1})")
        orders.append([float(text) for text in cells.all_inner_texts()])
    assert len(orders[0]) > 3
    assert sorted(orders[0]) == orders[0] and sorted(orders[1], reverse=True) == orders[1]
    assert orders[0] != orders[1]


def test_search_finds_a_word(page, address):
    page.goto(f"{address}/search.html?q=sparsity")
    page.wait_for_selector("#search-results li a")
    titles = page.locator("#search-results li a").all_inner_texts()
    assert any("Overfitting without labels" in title for title in titles)


def test_dark_mode_toggles_and_keeps_figures_on_a_light_ground(page, address):
    page.goto(f"{address}/{CHAPTERS[1]}", wait_until="networkidle")
    for _ in range(3):
        if page.locator("html").get_attribute("data-theme") == "dark":
            break
        page.locator("button.theme-switch-button").first.click()
    assert page.locator("html").get_attribute("data-theme") == "dark"
    ground = page.locator(".bd-article figure:not(.slideshow) img").first.evaluate("i => getComputedStyle(i).backgroundColor")
    assert ground == "rgb(255, 255, 255)"
    body = page.evaluate("() => getComputedStyle(document.body).backgroundColor")
    assert sum(int(v) for v in body[4:-1].split(",")[:3]) < 200


def test_a_slider_changes_its_image_by_keyboard(page, address):
    page.goto(f"{address}/chapters/scribe/overfitting-without-labels.html")
    show = page.locator(".slideshow")
    assert show.count() == 1 and "A > 0.50" in show.locator("output").inner_text()
    images, captions = json.loads(show.locator("script").inner_text())
    show.locator("input").focus()
    for _ in range(6):
        page.keyboard.press("ArrowRight")
    assert "A > 0.80" in show.locator("output").inner_text()
    assert captions[14].startswith("A > 0.80") and show.locator("img").get_attribute("src") == images[14]
    assert show.locator("input").get_attribute("aria-valuetext").startswith("A > 0.80")
    assert not page.problems


def test_code_is_folded_and_opens(page, address):
    page.goto(f"{address}/{CHAPTERS[1]}", wait_until="networkidle")
    fold = page.locator("details.hide").first
    assert not fold.locator("pre").first.is_visible()
    fold.locator("summary").click()
    assert fold.locator("pre").first.is_visible()


def test_the_course_is_built_and_every_slide_fits_its_page_without_a_network(site, browser):
    folder = site.parents[2]
    done = subprocess.run([sys.executable, "book/course.py", "all"], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    course = Path(done.stdout.strip())
    assert len(PdfReader(course / "cheat-sheet.pdf").pages) == 1
    for deck in sorted((course / "slides").glob("*.html")):
        slides = browser.new_page(viewport={"width": 1280, "height": 720})
        problems = []
        slides.on("requestfailed", lambda request, problems=problems: problems.append(request.url))
        slides.on("pageerror", lambda error, problems=problems: problems.append(str(error)))
        slides.goto(deck.as_uri())
        slides.wait_for_function(
            "window.Reveal && Reveal.isReady() && MathJax.startup && MathJax.startup.promise.then(() => true)"
        )
        number = slides.evaluate("Reveal.getTotalSlides()")
        for i in range(number):
            slides.evaluate(f"Reveal.slide({i})")
            shown = "Reveal.getCurrentSlide().querySelector('.page')"
            height, width = slides.evaluate(f"[{shown}.scrollHeight, {shown}.scrollWidth]")
            assert height <= 718 and width <= 1282, f"{deck.name}, slide {i + 1}: {width} x {height}"
        assert not problems
        assert len(PdfReader(deck.with_suffix(".pdf")).pages) >= 2 * number  # slides and notes
        slides.close()
