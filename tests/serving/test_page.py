"""The page, in a real browser: Debian's chromium, if it is installed."""

import json

import pytest
from starlette.testclient import TestClient

from keras_transfer.serving.rest import build_app


@pytest.fixture(scope="module")
def address(service, odd, at_address):
    """A server with a token and examples."""
    with at_address(service, token="sesame", examples=odd[0].parent) as address:
        yield address


@pytest.fixture
def page(browser, address):
    """The page with the token given, and a function that waits for what a script finds."""
    from selenium.webdriver.support.ui import WebDriverWait

    browser.get(address)
    browser.execute_script("sessionStorage.clear()")
    browser.refresh()
    browser.get_log("browser")

    def until(script):
        return WebDriverWait(browser, 60).until(lambda b: b.execute_script(f"return {script}"))

    until("!document.getElementById('access').hidden")
    browser.find_element("id", "token").send_keys("sesame")
    browser.find_element("css selector", "#access button").click()
    until("document.getElementById('version').textContent === 'version 1'")
    return until


ROWS = "[...document.querySelectorAll('#answer li')].map(li => li.innerText.split('\\n'))"


def test_a_chosen_image_is_answered_with_bars_and_a_heat_map(page, browser, odd, images):
    browser.find_element("id", "file").send_keys(str(odd[0].resolve()))
    page("document.querySelectorAll('#answer li').length === 2")

    (name, share), (_, other) = browser.execute_script(f"return {ROWS}")
    assert name == images.labels[0]
    assert share == f"{100 * max(images.wanted[0]):.1f} %"
    assert float(share[:-2]) + float(other[:-2]) == pytest.approx(100, abs=0.11)
    widths = browser.execute_script(
        "return [...document.querySelectorAll('#answer progress')].map(one => one.value)"
    )
    assert widths == pytest.approx(sorted(images.wanted[0], reverse=True), abs=1e-5)
    page("!document.getElementById('switch').hidden")
    browser.find_element("id", "heated").click()
    painted = browser.execute_script(
        "const c = document.getElementById('heat');"
        "const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data;"
        "return d.filter((v, i) => i % 4 === 3 && v > 0).length"
    )
    assert painted > 100
    browser.find_element("id", "heated").click()


def test_an_example_is_answered_too(page, browser, odd):
    assert len(browser.find_elements("css selector", "#examples button")) == len(odd)
    shown = "[...document.querySelectorAll('#examples img')].filter(one => one.naturalWidth)"
    page(f"{shown}.length === {len(odd)}")
    browser.find_element("css selector", "#examples button").click()

    page("document.querySelectorAll('#answer li').length === 2")


def test_the_token_is_kept_while_the_tab_is_open_and_a_wrong_one_is_asked_for_again(page, browser):
    browser.refresh()
    page("document.getElementById('version').textContent === 'version 1'")
    assert browser.execute_script("return document.getElementById('access').hidden")

    browser.execute_script("sessionStorage.setItem(sessionStorage.key(0), 'open')")
    browser.refresh()
    page("!document.getElementById('access').hidden")


def test_what_is_no_image_is_said(page, browser, tmp_path):
    (tmp_path / "text.jpg").write_text("no image")
    browser.find_element("id", "file").send_keys(str(tmp_path / "text.jpg"))

    page("document.querySelector('#message.wrong')")
    assert "not an image" in browser.find_element("id", "message").text
    assert browser.execute_script("return document.getElementById('shown').hidden")


def test_nothing_is_wider_than_a_phone_and_nothing_is_blocked(page, browser):
    assert browser.execute_script("return document.documentElement.scrollWidth") <= 360
    told = [one["message"] for one in browser.get_log("browser")]
    assert not [text for text in told if "Content Security Policy" in text or "Error" in text]


def test_the_program_that_the_page_shows_can_be_run(page, browser, address):
    text = browser.execute_script("return document.getElementById('python').textContent")

    compile(text, "page", "exec")
    assert f"{address}v1/models/colours:predict" in text


def test_programs_are_copied_and_name_the_token_but_do_not_hold_it(page, browser):
    browser.execute_script("document.querySelector('details').open = true")
    for button in browser.find_elements("css selector", "[data-copies]"):
        text = browser.find_element("id", button.get_attribute("data-copies")).text
        assert "KT_SERVE_TOKEN" in text
        assert "sesame" not in text
        button.click()
    page("[...document.querySelectorAll('[data-copies]')].every(b => b.innerText !== 'Copy')")


def test_nothing_comes_from_elsewhere(service):
    client = TestClient(build_app(service))
    for path in ("/", "/page/page.css", "/page/page.js"):
        found = client.get(path)
        assert found.status_code == 200
        assert "default-src 'none'" in found.headers["content-security-policy"]
        assert found.headers["x-content-type-options"] == "nosniff"
        assert "http" not in found.text.replace("http.request", "").replace("HTTP", "")


def test_what_the_page_is_told(service, odd):
    client = TestClient(build_app(service, examples=odd[0].parent))

    metadata = client.get("/page/about.json").json()
    outputs = [{"name": "label", "prefix": "", "activation": "softmax", "names": ["blue", "red"]}]
    assert metadata == {
        "name": "colours",
        "models": ["colours"],
        "input": "image",
        "resize": "crop",
        "outputs": outputs,
        "examples": [one.name for one in odd],
    }
    first = client.get(f"/page/examples/{metadata['examples'][0]}")
    assert first.content == odd[0].read_bytes()
    assert json.dumps(metadata)
