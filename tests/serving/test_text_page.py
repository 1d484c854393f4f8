"""The page of a model for texts, in a real browser: Debian's chromium, if it is installed."""

import pytest

WIDTH = 360  # of the browser


@pytest.fixture(scope="module")
def address(make_service, text_export, at_address):
    with at_address(make_service(text_export().folder.parent, name="classes")) as address:
        yield address


@pytest.fixture
def page(browser, address):
    """The page, and a function that waits for what a script finds."""
    from selenium.webdriver.support.ui import WebDriverWait

    browser.get(address)
    browser.get_log("browser")

    def until(script):
        return WebDriverWait(browser, 60).until(lambda b: b.execute_script(f"return {script}"))

    until("document.getElementById('version').textContent === 'version 1'")
    return until


def test_a_text_is_answered_with_bars(page, browser, text_run):
    text = 'it is "lovely" and tender,\nthe cast'
    (wanted,) = text_run().predict([text])

    browser.find_element("id", "text").send_keys(text)
    browser.find_element("css selector", "#write button").click()
    page("document.querySelectorAll('#answer li').length === 2")

    rows = browser.execute_script(
        "return [...document.querySelectorAll('#answer li')]"
        ".map(li => [...li.querySelectorAll('span')].map(one => one.textContent))"
    )
    assert rows == [[name, f"{100 * share:.1f} %"] for name, share in wanted.top(2)]
    assert not browser.find_element("id", "switch").is_displayed()


def test_there_is_a_field_for_text_and_none_for_files(page, browser):
    assert browser.find_element("id", "text").is_displayed()
    assert not browser.find_element("id", "image-input").is_displayed()
    assert browser.find_element("css selector", "label[for=text]").text == "Text"


def test_what_is_no_text_is_said(page, browser):
    browser.find_element("id", "text").send_keys("   ")
    browser.find_element("css selector", "#write button").click()

    page("document.querySelector('#message.wrong')")
    assert browser.find_element("id", "message").text == "The text is empty"


def test_nothing_is_wider_than_a_phone_and_nothing_is_wrong(page, browser):
    assert browser.execute_script("return document.documentElement.scrollWidth") <= WIDTH
    told = [one["message"] for one in browser.get_log("browser")]
    assert not [text for text in told if "Content Security Policy" in text or "Error" in text]


def test_the_programs_that_the_page_shows_send_a_text(page, browser, address):
    python = browser.execute_script("return document.getElementById('python').textContent")
    shell = browser.execute_script("return document.getElementById('curl').textContent")

    compile(python, "page", "exec")
    for program in (python, shell):
        assert f"{address}v1/models/classes:predict" in program
        assert '"text": ' in program
        assert "photo.jpg" not in program
