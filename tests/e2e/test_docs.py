"""The API page, in a real browser."""

import json
import urllib.request

import pytest
from playwright.async_api import async_playwright, expect

pytestmark = pytest.mark.e2e

_QUIET = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking"]


@pytest.fixture
async def page(chromium, stack):
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium, args=_QUIET)
        page = await browser.new_page(viewport={"width": 1200, "height": 1000})
        yield page
        await browser.close()


async def test_the_page_tries_a_request_and_loads_nothing_from_elsewhere(page, stack):
    """Swagger UI shows the calls, runs the Bell example, and asks only this server."""
    asked, troubles = [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda error: troubles.append(str(error)))
    page.on("console", lambda m: troubles.append(m.text) if m.type == "error" else None)
    await page.goto(f"{stack.http}/docs")
    await page.locator("#operations-tasks-submitTask button.opblock-summary-control").click()
    await page.get_by_role("button", name="Execute").click()
    answer = page.locator(".live-responses-table tbody .response-col_status").first
    await expect(answer).to_contain_text("202")
    assert troubles == []
    elsewhere = [url for url in asked if not url.startswith((stack.http, "data:"))]
    assert elsewhere == []


def test_the_document_is_served(stack):
    """/openapi.json is OpenAPI 3.1 with the limits of this gateway."""
    with urllib.request.urlopen(f"{stack.http}/openapi.json", timeout=10) as response:
        document = json.load(response)
    assert document["openapi"].startswith("3.1")
    assert document["components"]["schemas"]["Submission"]["properties"]["shots"]["maximum"]
