"""The page of the server, in a real Chromium, as a translator uses it."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from selenium.webdriver import ActionChains, Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import WebDriverWait

from fairseq_plugins.teaching.about import open_journal
from fairseq_plugins.teaching.lessons import Pair
from tests.programs import LONGEST
from tests.served import Client, serving

pytestmark = pytest.mark.integration
CAT, KATZE, KATER = "The cat sleeps.", "Die Katze schläft.", "Der Kater schläft."
TOKEN = "a secret of many letters"
LONG = 5_000  # ms; messages stay as long, for a person
ATTACK = '<img src=x onerror="window.attacked=1"><script>window.attacked=1</script>\'"&lt;b&gt;'
PATIENT = f"""
const set = window.setTimeout;
window.setTimeout = (call, delay, ...more) => delay < {LONG} ? set(call, delay, ...more) : 0;
"""
VIEWS = {"translate": ".sentence", "lessons": "#lessons > li", "history": "#changes > li"}
CONTROLS = {"button", "checkbox", "combobox", "link", "radio", "searchbox", "textbox"}
TMX = """<?xml version="1.0" encoding="UTF-8"?><tmx version="1.4"><header srclang="en"/><body>
<tu><tuv xml:lang="en"><seg>{source}</seg></tuv><tuv xml:lang="de"><seg>{target}</seg></tuv></tu>
</body></tmx>"""


class Page:
    """What a person sees and does."""

    def __init__(self, browser: Chrome) -> None:
        self.browser = browser

    def all(self, css: str) -> list[WebElement]:
        return self.browser.find_elements(By.CSS_SELECTOR, css)

    def one(self, css: str) -> WebElement:
        """Return the element, as soon as it can be seen."""
        return self.until(lambda: [one for one in self.all(css) if one.is_displayed()])[0]

    def until(self, condition: Callable[[], object]) -> object:
        """Return a condition's result once it holds; elements may be redrawn in the meantime."""
        return WebDriverWait(self.browser, LONGEST, 0.02, ignored_exceptions=[Exception]).until(
            lambda _: condition()
        )

    def open(self, client: Client, view: str = "translate") -> None:
        self.browser.get("about:blank")
        self.browser.get(f"{client.address}/#{view}")

    def go(self, view: str) -> None:
        self.one(f"nav a[href='#{view}']").click()

    def texts(self, css: str) -> list[str]:
        return [one.text for one in self.all(css)]

    def translate(self, text: str) -> None:
        """Paste a text, and wait for its translation."""
        self.one("#source").click()
        self.browser.execute_cdp_cmd("Input.insertText", {"text": text})
        self.until(lambda: self.texts("#translation p:not(.pending) .sentence"))

    def correct(self, text: str) -> None:
        """Write another translation over that of the first sentence."""
        self.one(".sentence").click()
        keys = ActionChains(self.browser)
        keys.key_down(Keys.CONTROL).send_keys("a").key_up(Keys.CONTROL).send_keys(text).perform()

    def press(self, *keys: str) -> None:
        actions = ActionChains(self.browser)
        for key in keys:
            actions.key_down(key)
        for key in reversed(keys):
            actions.key_up(key)
        actions.perform()

    def fetched(self) -> set[str]:
        """Return the addresses of all that the browser has fetched for this page."""
        names = "return performance.getEntriesByType('resource').map(one => one.name)"
        return set(self.browser.execute_script(names))

    def controls(self) -> list[str]:
        """Return the name of every control that is shown, as screen readers announce it."""
        nodes = self.browser.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
        shown = [one for one in nodes if not one["ignored"] and one["role"]["value"] in CONTROLS]
        return [one["name"]["value"] for one in shown]


@pytest.fixture
def client(original: Path, tmp_path: Path) -> Iterator[Client]:
    """Yield a server of a copy of the translator folder."""
    with serving(shutil.copytree(original, tmp_path / "translator")) as client:
        yield client


@pytest.fixture(scope="module")
def browser() -> Iterator[Chrome]:
    """Debian's Chromium."""
    program = shutil.which("chromium") or shutil.which("google-chrome")
    driver = shutil.which("chromedriver")
    if not program or not driver:
        pytest.skip("there is no Chromium with chromedriver")
    options = ChromeOptions()
    options.binary_location = program
    for option in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"):
        options.add_argument(option)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    with Chrome(options=options, service=Service(driver)) as browser:
        browser.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": PATIENT})
        yield browser


@pytest.fixture
def page(browser: Chrome) -> Iterator[Page]:
    """Yield a browser window; errors in its console fail the test."""
    browser.set_window_size(1280, 900)
    yield Page(browser)
    complaints = [one for one in browser.get_log("browser") if one["level"] == "SEVERE"]
    assert not [one for one in complaints if "status of 40" not in one["message"]]
    browser.execute_script("try { sessionStorage.clear(); localStorage.clear() } catch {}")


def test_a_correction_is_taught_used_and_explained(client: Client, page: Page) -> None:
    page.open(client)
    page.translate(CAT)
    assert page.texts("#translation .sentence") != [KATZE]
    page.correct(KATZE)
    page.until(lambda: page.one("#corrected").text == "1 sentence corrected")
    page.press(Keys.CONTROL, Keys.ENTER)
    page.until(lambda: page.texts("#translation .sentence.taught") == [KATZE])
    assert page.texts(".word.changed") == ["Die", "Katze", "schläft."]
    assert [one["target"] for one in client.get("/lessons")["lessons"]] == [KATZE]
    assert "Taught" in page.one("#toast").text
    page.until(lambda: page.one("#count").text == "1")
    page.all(".word")[1].click()
    page.until(lambda: "Katze" in page.one("#why-title").text)
    page.until(lambda: "Lesson 1" in page.one(".evidence").text)
    assert page.texts(".evidence mark") == ["Katze"] and page.texts("#mirror mark") == [CAT]
    share = page.all(".word")[1].get_attribute("style")
    assert float(share.removeprefix("--share: ").removesuffix(";")) > 0.9
    page.one("#source").send_keys("\nThe cat runs.")
    page.until(lambda: len(page.texts("#translation p:not(.pending) .sentence")) == 2)
    assert page.texts("#translation .sentence")[0] == KATZE


def test_a_correction_can_be_discarded(client: Client, page: Page) -> None:
    page.open(client)
    page.translate(CAT)
    (before,) = page.texts("#translation .sentence")
    page.correct("something else")
    page.one("#teach")
    page.press(Keys.ESCAPE)
    page.until(lambda: page.texts("#translation .sentence") == [before])
    assert not page.all("#teach")[0].is_displayed()
    assert page.browser.switch_to.active_element.get_attribute("class") == "sentence"
    page.correct("something\nelse")  # no line ends in a sentence
    page.one("#discard").click()
    page.until(lambda: page.texts("#translation .sentence") == [before])
    assert client.get("/history")["changes"] == []


def test_lessons_are_found_edited_forgotten_and_undone(client: Client, page: Page) -> None:
    with open_journal(client.service.translator.folder) as journal:  # as a second server would
        for number in range(60):
            journal.teach([Pair(source=f"Cat {number}", target=f"Katze {number}")])
    page.open(client, "lessons")
    page.until(lambda: len(page.all("#lessons > li")) == 50)
    assert "1 to 50 of 60 lessons" in page.one("#pages").text
    page.all("#pages button")[1].click()
    page.until(lambda: len(page.all("#lessons > li")) == 10)
    page.press("/")
    page.one("#search").send_keys("cat 59")
    page.until(lambda: page.texts("#lessons .pairs span") == ["Cat 59", "Katze 59"])
    page.one("[aria-label='Edit lesson 60']").click()
    target = page.one("#lessons form textarea[name=target]")
    target.clear()
    target.send_keys(KATER)
    page.press(Keys.CONTROL, Keys.ENTER)
    page.until(lambda: page.texts("#lessons .pairs span") == ["Cat 59", KATER])
    page.one("[aria-label='Forget lesson 60']").click()
    page.until(lambda: "No lesson matches" in page.one("#lessons").text)
    page.one("#toast button").click()
    page.until(lambda: page.texts("#lessons .pairs span") == ["Cat 59", KATER])
    page.go("history")
    page.until(lambda: len(page.all("#changes > li")) == 50)
    assert [one.split()[0] for one in page.texts("#changes .kind")[:4]] == [
        "took", "forgotten", "edited", "taught",
    ]  # fmt: skip
    page.one("#undo").click()
    page.until(lambda: "was edited" in page.one("#toast").text)
    assert client.get("/lessons", search="cat 59")["lessons"][0]["target"] == "Katze 59"


def test_a_new_lesson_needs_both_sides(client: Client, page: Page) -> None:
    page.open(client, "lessons")
    page.one("#add").click()
    page.one("form textarea[name=source]").send_keys(CAT)
    page.one("#lessons .strong").click()
    page.until(lambda: "a source and a target" in page.one("#lessons .wrong").text)
    page.one("form textarea[name=target]").send_keys(KATZE)
    page.one("#lessons .strong").click()
    page.until(lambda: page.texts("#lessons .pairs span") == [CAT, KATZE])


def test_a_tmx_is_imported_and_its_origin_forgotten(
    client: Client, page: Page, tmp_path: Path
) -> None:
    file = tmp_path / "terms.tmx"
    file.write_text(TMX.format(source=CAT, target=KATZE), encoding="utf-8")
    page.open(client, "lessons")
    page.all("#file")[0].send_keys(str(file))
    page.until(lambda: "1 lesson taught" in page.one("#dialog").text)
    page.one("#dialog .strong").click()
    page.one("#lessons .link").click()
    page.until(lambda: "Only from “terms.tmx”: 1 lesson" in page.one("#filter").text)
    page.all("#filter .link")[1].click()
    page.until(lambda: "Forget 1 lesson?" in page.one("#dialog").text)
    page.one("#dialog .strong").click()
    page.until(lambda: client.get("/lessons")["total"] == 0)


def test_a_faulty_file_is_told_and_the_rest_can_be_taken(
    client: Client, page: Page, tmp_path: Path
) -> None:
    file = tmp_path / "terms.tsv"
    file.write_text(f"{CAT}\t{KATZE}\nonly one\n", encoding="utf-8")
    page.open(client, "lessons")
    page.all("#file")[0].send_keys(str(file))
    page.until(lambda: "line 2" in page.one("#dialog .wrong").text)
    assert page.one("#dialog .wrong").text.endswith("nothing was taught."), "the rest has a button"
    assert client.get("/lessons")["total"] == 0
    page.one("#dialog .strong").click()
    page.until(lambda: "1 skipped" in page.one("#dialog").text)
    assert client.get("/lessons")["total"] == 1


def test_no_text_of_a_lesson_becomes_html(client: Client, page: Page, tmp_path: Path) -> None:
    taught = {"origin": ATTACK, "note": ATTACK, "author": ATTACK}
    client.send("POST", "/lessons", source=ATTACK, target=ATTACK, **taught)
    client.send("POST", "/lessons", source=f"{ATTACK} cat", target=f"{ATTACK} Katze", **taught)
    page.open(client)
    page.translate(f"{ATTACK} cat")
    page.all(".word")[-1].click()
    page.until(lambda: ATTACK in page.one("#why").text)
    page.go("lessons")
    page.until(lambda: len(page.all("#lessons > li")) == 2)
    assert page.one("#lessons .pairs span").text == f"{ATTACK} cat"
    page.one("[aria-label='Forget lesson 2']").click()
    page.until(lambda: ATTACK in page.one("#toast").text)
    page.go("history")
    page.until(lambda: len(page.all("#changes > li")) == 3)
    file = tmp_path / "<img src=x onerror=window.attacked=1>.exe"
    file.write_text("x")
    page.go("lessons")
    page.all("#file")[0].send_keys(str(file))
    page.until(lambda: "was not imported" in page.one("#dialog").text)
    assert not page.browser.execute_script("return window.attacked")
    assert not page.all("main img, #dialog img, main script")


def test_the_token_is_asked_for(original: Path, tmp_path: Path, page: Page) -> None:
    with serving(shutil.copytree(original, tmp_path / "translator"), TOKEN) as client:
        page.open(client)
        page.one("#token").send_keys("wrong")
        page.one("#dialog .strong").click()
        page.until(lambda: "token is not correct" in page.one("#dialog").text)
        page.one("#token").send_keys(TOKEN)
        page.one("#dialog .strong").click()
        page.until(lambda: not page.all("#dialog")[0].is_displayed())
        page.translate(CAT)


def test_it_fits_every_screen(client: Client, page: Page) -> None:
    client.send("POST", "/lessons", source="x" * 50, target="y" * 50, origin="z" * 200)
    page.open(client)
    page.translate("x" * 50)
    try:
        for view, drawn in VIEWS.items():
            page.go(view)
            page.one(drawn)
            for width in (320, 760, 1600):
                page.browser.execute_cdp_cmd(
                    "Emulation.setDeviceMetricsOverride",
                    {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": False},
                )
                widths = "return [document.documentElement.scrollWidth, innerWidth]"
                needed, shown = page.browser.execute_script(widths)
                assert needed <= shown == width, view
    finally:
        page.browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_it_fetches_nothing_from_elsewhere(client: Client, page: Page) -> None:
    for path in ("/", "/docs"):
        page.browser.get(client.address + path)
        styles = {one.get_property("href") for one in page.all("link[rel=stylesheet]")}
        page.until(lambda styles=styles: styles and styles <= page.fetched())  # listed a bit later
        assert all(one.startswith(client.address) for one in page.fetched())


def test_whatever_can_be_used_has_a_name(client: Client, page: Page) -> None:
    """Every control has the name that screen readers announce."""
    client.send("POST", "/lessons", source=CAT, target=KATZE, origin="me")
    page.open(client)
    page.translate(CAT)
    for view, drawn in VIEWS.items():
        page.go(view)
        page.one(drawn)
        names = page.controls()
        assert len(names) > len(VIEWS) and all(names), view
    page.go("translate")
    (sentence,) = page.all(".sentence")
    assert (sentence.aria_role, sentence.accessible_name) == ("textbox", f"Translation of: {CAT}")
