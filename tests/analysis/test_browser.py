"""The page of an audit in a real browser, without a network."""

import os
import shutil

import keras
import numpy as np
import pytest
from keras import layers

from keras_mhe.analysis import audit

webdriver = pytest.importorskip("selenium.webdriver")
By = pytest.importorskip("selenium.webdriver.common.by").By
Keys = pytest.importorskip("selenium.webdriver.common.keys").Keys

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
IS_HERE = CHROMIUM is not None and DRIVER is not None
pytestmark = [
    pytest.mark.once,
    pytest.mark.skipif(
        # Where they must not be skipped, they fail without a browser.
        not IS_HERE and "KERAS_MHE_NEEDS_CHROMIUM" not in os.environ,
        reason="needs Chromium and ChromeDriver",
    ),
]


def browser_of(width, height, *arguments):
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for argument in (
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--disable-background-networking",
        "--no-first-run",
        f"--window-size={width},{height}",
        *arguments,
    ):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    service = webdriver.ChromeService(executable_path=DRIVER)
    return webdriver.Chrome(options=options, service=service)


@pytest.fixture(name="page", scope="module")
def page_of_a_model(tmp_path_factory):
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            layers.Conv2D(9, 3, name="b_conv"),
            layers.DepthwiseConv2D(2, depth_multiplier=2, name="depthwise"),
            layers.Flatten(),
            layers.Dense(12, name="hidden"),
            layers.Dense(4, name="a_classes"),
        ]
    )
    kernel = model.layers[0].kernel
    values = keras.ops.convert_to_numpy(kernel).copy()
    values[..., 1] = np.nan  # Has no energy, so the last place in each order.
    kernel.assign(values)
    path = tmp_path_factory.mktemp("report") / "report.html"
    return audit(model).to_html(path).as_uri()


@pytest.fixture(name="browser", scope="module")
def desktop_browser():
    browser = browser_of(1200, 900)
    yield browser
    browser.quit()


@pytest.fixture(name="opened")
def opened_page(browser, page):
    browser.get(page)
    yield browser
    assert browser.get_log("browser") == []


def column(browser, number):
    return [
        row.find_elements(By.CSS_SELECTOR, "th, td")[number].text
        for row in browser.find_elements(By.CSS_SELECTOR, "tbody tr")
    ]


def heads(browser):
    return browser.find_elements(By.CSS_SELECTOR, "thead th")


def press(browser, title):
    for number, head in enumerate(heads(browser)):
        if head.text.split(" ")[0].strip("\u2195\u2191\u2193") == title:
            head.find_element(By.TAG_NAME, "button").click()
            return number
    raise AssertionError(title)


def test_it_shows_table_and_pictures(opened):
    assert opened.title == "Audit"
    assert column(opened, 0) == ["b_conv", "depthwise", "hidden", "a_classes"]
    pictures = opened.find_elements(By.TAG_NAME, "svg")
    assert len(pictures) == 4
    for picture in pictures:
        assert picture.size["width"] > 150
        assert picture.size["height"] > 80


def test_text_and_numbers_are_sorted_both_ways(opened):
    number = press(opened, "layer")
    names = ["a_classes", "b_conv", "depthwise", "hidden"]
    assert column(opened, number) == names
    press(opened, "layer")
    assert column(opened, number) == names[::-1]
    number = press(opened, "num_neurons")
    assert column(opened, number) == ["2", "4", "9", "12"]
    press(opened, "num_neurons")
    assert column(opened, number) == ["12", "9", "4", "2"]


def test_what_is_missing_is_last_both_ways(opened):
    number = press(opened, "energy")
    rising = column(opened, number)
    assert rising[-1] == "-"
    assert sorted(map(float, rising[:-1])) == list(map(float, rising[:-1]))
    press(opened, "energy")
    assert column(opened, number) == [*rising[-2::-1], "-"]


def test_order_is_told(opened):
    press(opened, "dim")
    marked = [head.get_attribute("aria-sort") for head in heads(opened)]
    assert [mark for mark in marked if mark] == ["ascending"]
    status = opened.find_element(By.CSS_SELECTOR, "[role=status]")
    assert status.text == "Sorted by dim, ascending."
    press(opened, "dim")
    assert status.text == "Sorted by dim, descending."


def test_by_keyboard(opened):
    region = opened.find_element(By.CSS_SELECTOR, ".wide")
    region.send_keys("")
    opened.switch_to.active_element.send_keys(Keys.TAB)
    focused = opened.switch_to.active_element
    assert focused.tag_name == "button"
    assert focused.text.startswith("layer")
    focused.send_keys(Keys.ENTER)
    assert column(opened, 0)[0] == "a_classes"
    focused.send_keys(Keys.SPACE)
    assert column(opened, 0)[0] == "hidden"
    outline = focused.value_of_css_property("outline-style")
    assert outline == "solid"


def luminance(color):
    """Relative luminance by WCAG of `rgb(...)` or `rgba(...)`."""
    numbers = color[color.index("(") + 1 : -1].split(",")[:3]
    linear = [
        c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4
        for c in (float(number) / 255 for number in numbers)
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_light_and_dark_can_be_read(opened, scheme):
    opened.execute_cdp_cmd(
        "Emulation.setEmulatedMedia",
        {"features": [{"name": "prefers-color-scheme", "value": scheme}]},
    )
    body = opened.find_element(By.TAG_NAME, "body")
    back = luminance(body.value_of_css_property("background-color"))
    assert (back > 0.5) == (scheme == "light")
    for selector in ("body", ".soft", "td", "thead button"):
        element = opened.find_element(By.CSS_SELECTOR, selector)
        front = luminance(element.value_of_css_property("color"))
        low, high = sorted([front, back])
        assert (high + 0.05) / (low + 0.05) >= 4.5, selector
    # The text of the pictures is that of the page.
    fill = opened.execute_script(
        "return getComputedStyle(document.querySelector('svg text')).fill"
    )
    assert luminance(fill) == pytest.approx(
        luminance(body.value_of_css_property("color")), abs=0.01
    )


def test_on_a_phone(page):
    browser = browser_of(500, 800)
    try:
        browser.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride",
            {
                "width": 360,
                "height": 740,
                "deviceScaleFactor": 2,
                "mobile": True,
            },
        )
        browser.get(page)
        # The table is scrolled, the page is not.
        widths = browser.execute_script(
            "const e = document.documentElement;"
            "return [e.scrollWidth, e.clientWidth];"
        )
        assert widths == [360, 360]
        button = browser.find_element(By.CSS_SELECTOR, "thead button")
        assert button.size["height"] >= 44
        for picture in browser.find_elements(By.TAG_NAME, "svg"):
            assert picture.size["width"] <= 360
        press(browser, "num_neurons")
        assert column(browser, 1) == ["2", "4", "9", "12"]
        assert browser.get_log("browser") == []
    finally:
        browser.quit()
