"""One query for each table, whatever a page shows of it."""

from __future__ import annotations

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from automl.core import store
from tests.e2e.pages import addresses
from tests.queries import main_table, read_twice
from tests.shops import long_shop


@pytest.mark.parametrize(
    ("sql", "table"),
    [
        ('SELECT "a"."id" FROM "a" INNER JOIN "b" ON ("a"."b" = "b"."id") WHERE "a"."x" IN (1, 2)', "a"),
        ('SELECT (SELECT COUNT(*) FROM "b" U0 WHERE (U0."x" > 1)) AS "n" FROM "a"', "a"),
        ('SELECT * FROM (SELECT "a"."id" AS "col1" FROM "a") "qualify" WHERE "qual0" = 1', "a"),
        ('SELECT "a"."id" FROM "a" WHERE "a"."name" = \'it\'\'s) FROM "b"\'', "a"),
        ('UPDATE "a" SET "x" = 1', ""),
        ("SAVEPOINT s1", ""),
    ],
)
def test_a_query_counts_for_the_table_that_its_rows_are_of(sql, table):
    assert main_table(sql) == table


def test_no_page_reads_a_table_twice(browser_client, alice):
    shop = long_shop(alice, 60)
    store.check()
    found = {}
    for spot, address in addresses(shop):
        if not spot.signed_in:
            continue
        with CaptureQueriesContext(connection) as captured:
            assert browser_client.get(address).status_code == 200, spot.name
        if twice := read_twice(spot.name, captured):
            found[spot.name] = twice
    assert found == {}
