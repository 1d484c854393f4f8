"""The page for several labels, values and two outputs, in a real browser if it is installed."""

from contextlib import ExitStack
from functools import cache

import pytest
from objectives_runs import OBJECTIVES, PRICE

NAMES = list(OBJECTIVES)
WIDTH = 360  # of the browser


@pytest.fixture(scope="module")
def address(make_service, objective_export, at_address):
    """A function that serves a row's export, and gives its address."""
    with ExitStack() as stack:

        @cache
        def address(name):
            service = make_service(objective_export(name).folder.parent, name=name)
            return stack.enter_context(at_address(service))

        yield address


@pytest.fixture
def shown(browser, address, objective_run):
    """A function that opens a row's page, gives it an image, and returns what the run says."""
    from selenium.webdriver.support.ui import WebDriverWait

    def shown(name):
        path = objective_run("labels").folder.parent / "images" / "5.png"
        browser.get(address(name))
        wait = WebDriverWait(browser, 60)
        wait.until(lambda b: b.find_element("id", "version").text == "version 1")
        browser.find_element("id", "file").send_keys(str(path))
        wait.until(lambda b: b.execute_script("return !document.getElementById('switch').hidden"))
        (prediction,) = objective_run(name).predict(path)
        return prediction

    return shown


def rows(browser, block=0):
    """Texts of the rows of an output, each as a list."""
    return browser.execute_script(
        "return [...document.querySelectorAll('#answer ol')[arguments[0]].children]"
        ".map(li => [...li.querySelectorAll('span')].map(one => one.textContent))",
        block,
    )


def marked(browser, block=0):
    return browser.execute_script(
        "return [...document.querySelectorAll('#answer ol')[arguments[0]].children]"
        ".map(li => li.classList.contains('answer'))",
        block,
    )


def targets(browser):
    return browser.execute_script(
        "return [...document.getElementById('target').options].map(one => one.text)"
    )


def painted(browser):
    """The pixels of the heat map, as a text."""
    browser.execute_script("if (!document.getElementById('heated').checked)"
                           " document.getElementById('heated').click()")  # fmt: skip
    return browser.execute_script("return document.getElementById('heat').toDataURL()")


def test_all_labels_have_bars_and_those_decided_for_are_marked(shown, browser):
    prediction = shown("labels")

    found = rows(browser)
    assert [(name, share) for _, name, share in found] == [
        (name, f"{100 * share:.1f} %") for name, share in prediction.top(3)
    ]
    assert [mark for mark, *_ in found] == ["✓" if one else "" for one in marked(browser)]
    names = [name for _, name, _ in found]
    assert [n for n, m in zip(names, marked(browser), strict=True) if m] == [
        name for name in names if name in prediction.label
    ]
    bars = "return [...document.querySelectorAll('#answer progress')].map(one => one.value)"
    assert browser.execute_script(bars) == pytest.approx(
        [share for _, share in prediction.top(3)], abs=1e-5
    )
    wanted = set(prediction.label) or {prediction.top(1)[0][0]}
    assert set(targets(browser)) == wanted


def test_values_have_names(shown, browser):
    prediction = shown("values")

    for (name, value), wanted in zip(
        rows(browser), zip(prediction.classes, prediction.probabilities, strict=True), strict=True
    ):
        assert name == wanted[0]
        assert float(value) == pytest.approx(wanted[1], rel=1e-3)
    assert browser.find_elements("css selector", "#answer progress") == []
    assert targets(browser) == ["redness", "blueness"]


def test_each_output_has_a_block_under_its_name(shown, browser):
    prediction = shown("tasks")

    titles = [one.text for one in browser.find_elements("css selector", "#answer h2")]
    assert titles == ["colour", PRICE]
    assert [name for name, _ in rows(browser, 0)] == [n for n, _ in prediction.top(4, "colour")]
    assert marked(browser, 0) == [True, False, False, False]
    ((name, value),) = rows(browser, 1)
    assert name == PRICE
    assert float(value) == pytest.approx(prediction.answers()[PRICE], rel=1e-3)
    best = prediction.answers()["colour"]
    assert targets(browser) == [f"colour: {best}", PRICE]


def test_another_target_has_another_heat_map(shown, browser):
    from selenium.webdriver.support.ui import Select

    shown("values")
    first = painted(browser)
    Select(browser.find_element("id", "target")).select_by_visible_text("blueness")

    assert len(first) > 500  # not an empty canvas
    assert len(painted(browser)) > 500
    assert painted(browser) != first


@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_wider_than_a_phone_and_nothing_is_wrong(shown, browser, name):
    browser.get_log("browser")
    shown(name)

    assert browser.execute_script("return document.documentElement.scrollWidth") <= WIDTH
    told = [one["message"] for one in browser.get_log("browser")]
    assert not [text for text in told if "Content Security Policy" in text or "Error" in text]
    program = browser.execute_script("return document.getElementById('python').textContent")
    compile(program, "page", "exec")
    assert 'print(answer["predictions"][0])' in program
