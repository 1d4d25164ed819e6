"""The first paint of a page is light, and waits for no script."""

from __future__ import annotations

import gzip
import re
from pathlib import Path

import pytest
from django.contrib.staticfiles import finders
from django.urls import reverse

from tests.factories import TrialFactory

MOST = 150_000
LISTS = ("home", "datasets", "experiments", "upload", "account")


def weight_of(page: str) -> int:
    """The page raw, and its style sheets as WhiteNoise sends them, with gzip."""
    names = re.findall(r'<link rel="stylesheet" href="/static/([^"]+)"', page)
    assert names
    paths = [finders.find(name) for name in names]
    return len(page.encode()) + sum(len(gzip.compress(Path(str(path)).read_bytes())) for path in paths)


def test_no_page_of_an_object_is_heavy(browser_client, world):
    for number in range(150):
        TrialFactory(experiment=world.experiment, number=100 + number, tied_with_best=True)
    for name, address in world.addresses().items():
        page = browser_client.get(address).content.decode()
        if not page.startswith("<!doctype html>"):
            continue  # a fragment, which comes after the first paint
        assert weight_of(page) < MOST, name
        assert re.findall(r"<script(?![^>]*\bdefer\b)[^>]*>", page) == [], name


@pytest.mark.parametrize("name", LISTS)
def test_no_list_is_heavy(browser_client, world, name):
    page = browser_client.get(reverse(f"pages:{name}")).content.decode()
    assert weight_of(page) < MOST
    assert re.findall(r"<script(?![^>]*\bdefer\b)[^>]*>", page) == []
