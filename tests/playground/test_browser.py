"""The page in a real browser; without chromium or gradio it is skipped."""

import copy
import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from mmengine.config import Config
from mmengine.registry import init_default_scope
from small_models import build_model

from mmdet_metaanchor import customize_anchors
from mmdet_metaanchor.anchors.anchors_file import parse_anchors
from mmdet_metaanchor.anchors.customize import list_shapes
from mmdet_metaanchor.playground.session import Session

CHROMIUM = shutil.which('chromium') or shutil.which('chromium-browser')
pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason='no chromium (Debian: apt-get install chromium)'
)
ROOT = Path(__file__).resolve().parents[2]
STRIDES = (8, 16, 32, 64, 128)
SLOW = 90_000  # ms, for a machine that does other things


@pytest.fixture(scope='module')
def page(tiny_data, tmp_path_factory):
    """The page of a small detector, opened."""
    pytest.importorskip('gradio', reason='the playground needs gradio')
    playwright = pytest.importorskip(
        'playwright.sync_api', reason='playwright drives the browser'
    )
    from mmdet_metaanchor.playground.server import serve

    patch = pytest.MonkeyPatch()
    patch.setenv('DATA_ROOT', str(tiny_data))
    init_default_scope('mmdet')
    config = ROOT / 'configs/custom/meta-retinanet_r18-w32_custom.py'
    cfg = Config.fromfile(config)
    cfg.model.test_cfg.score_thr = 0.0
    images = sorted((tiny_data / 'images').iterdir())
    session = Session(build_model(cfg), images, tiny_data / 'val.json')
    served = serve(session, wait=False)
    with playwright.sync_playwright() as driver:
        # Root, as in a container, has to do without the sandbox.
        sandbox = ['--no-sandbox'] if os.geteuid() == 0 else []
        browser = driver.chromium.launch(
            executable_path=CHROMIUM, args=sandbox
        )
        page = browser.new_page(viewport=dict(width=1400, height=1150))
        page.set_default_timeout(SLOW)
        page.asked = []
        page.on('request', lambda request: page.asked.append(request.url))
        page.goto(served.local_url)
        page.wait_for_selector('#brings table')
        page.session, page.url_served = session, served.local_url
        yield page
        browser.close()
    served.close()
    patch.undo()


def brings(page) -> str:
    return page.inner_text('#brings table')


def wait_for(page, condition: str, value) -> None:
    """Until a condition in JavaScript on the table and a value is true."""
    page.wait_for_function(
        'value => {const table = document.querySelector("#brings table");'
        f'return {condition}}}',
        arg=value,
    )


def test_a_slider_moves_and_detections_change(page, tmp_path):
    before, picture = brings(page), page.get_attribute('#found img', 'src')
    slider = page.locator('#scale input[type=range]')
    box = slider.bounding_box()
    x, y = box['x'] + 0.2 * box['width'], box['y'] + box['height'] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    for step in range(8):
        page.mouse.move(x + 3 * step, y)
    page.mouse.up()
    wait_for(page, 'table.innerText != value', before)
    page.wait_for_function(
        'before => document.querySelector("#found img").src != before',
        arg=picture,
    )
    page.screenshot(path=tmp_path / 'moved.png')
    assert (tmp_path / 'moved.png').stat().st_size > 10_000
    page.get_by_role('button', name='training', exact=True).click()
    wait_for(page, 'table.innerText == value', before)


def test_an_added_anchor_is_in_the_file_that_tools_read(page, tmp_path):
    session = page.session
    trained = list_shapes(session.generator)
    rows = len(trained[0])
    page.get_by_role('button', name='Add a copy').click()
    # With the line of headers.
    wait_for(page, 'table.rows.length == value', rows + 2)
    number = page.locator('#ratio input[type=number]')
    number.fill('2.25')
    number.press('Enter')
    # 16 sqrt(1 / 2.25) = 10.67 px and 16 sqrt(2.25) = 24 px: the first
    # training anchor has 2 strides of 8 px.
    wait_for(page, 'table.innerText.includes(value)', '10.7 × 24.0')
    page.get_by_role('button', name='Anchors file').click()
    with page.expect_download() as download:
        page.locator('#saved a').first.click()
    path = tmp_path / 'anchors.json'
    download.value.save_as(path)
    anchors = parse_anchors(str(path))  # as --anchors of the tools
    customize_anchors(copy.deepcopy(session.model), anchors)
    for stride, level, known in zip(STRIDES, anchors, trained, strict=True):
        *before, added = level
        np.testing.assert_allclose(before, known, rtol=1e-5)
        grown = stride / 8
        assert added == pytest.approx((32 / 3 * grown, 24 * grown), rel=1e-4)


@pytest.mark.parametrize('value', ['abc', '0', '1000000'])
def test_a_bad_cell_gets_a_message(page, value):
    seen = brings(page)
    cell = page.locator('#table [data-row="0"][data-col="1"]').first
    cell.dblclick()
    editor = cell.locator('textarea')
    editor.fill(value)
    editor.press('Enter')
    page.wait_for_selector(f'.toast-body:has-text("{value}")')
    assert brings(page) == seen
    page.locator('.toast-close').first.click()
    page.get_by_role('button', name='training', exact=True).click()
    page.wait_for_function(
        'cell => cell.innerText.includes("22.6274")',
        arg=cell.element_handle(),
    )


@pytest.mark.parametrize(
    ('field', 'name', 'content', 'message'),
    [
        (0, 'no.png', 'no image', 'not an image'),
        (1, 'few.json', json.dumps([[[10, 20]]]), '5 strides'),
        (1, 'broken.json', '{', 'not JSON'),
        (2, 'other.json', '{}', 'not a COCO JSON'),
    ],
)
def test_a_bad_file_gets_a_message(
    page, tmp_path, field, name, content, message
):
    path = tmp_path / name
    path.write_text(content)
    page.locator('input[type=file]').nth(field).set_input_files(path)
    page.wait_for_selector(f'.toast-body:has-text("{message}")')
    # Its name as the person knows it.
    assert '/gradio/' not in page.inner_text('.toast-body')
    page.locator('.toast-close').first.click()


def test_nothing_is_asked_of_other_machines(page):
    assert page.asked
    known = (page.url_served, 'data:', 'blob:')
    assert not [url for url in page.asked if not url.startswith(known)]
