"""What the client asks for again, and what it does not."""

from __future__ import annotations

import hashlib

import httpx
import pytest

from automl.client import Client, ConnectionFailed, NotFound
from automl.client.errors import ApiError

CONTENT = bytes(range(256)) * 16


def answering(client: Client, *answers: httpx.Response | Exception) -> list[httpx.Request]:
    """Let a script answer in place of the service; gives the requests as they come."""
    seen: list[httpx.Request] = []
    left = list(answers)

    def answer(request: httpx.Request) -> httpx.Response:
        request.read()
        seen.append(request)
        found = left.pop(0)
        if isinstance(found, Exception):
            raise found
        return found

    http = client._transport.http
    client._transport.http = httpx.Client(
        transport=httpx.MockTransport(answer), base_url=http.base_url, headers=http.headers
    )
    http.close()
    return seen


def test_a_post_is_repeated_under_the_same_key(naps):
    client = Client("http://service", "token", retries=2)
    lost = httpx.ReadError("gone")
    seen = answering(client, lost, httpx.Response(503), httpx.Response(201, json={"id": "1"}))
    assert client.experiments.create("d", "t") == {"id": "1"}
    assert len({request.headers["Idempotency-Key"] for request in seen}) == 1
    assert len({request.content for request in seen}) == 1


def test_an_upload_is_repeated_from_its_start(naps, tmp_path):
    path = tmp_path / "t.csv"
    path.write_bytes(b"a,b\n1,2\n")
    client = Client("http://service", "token", retries=1)
    seen = answering(client, httpx.Response(502), httpx.Response(201, json={"id": "1"}))
    assert client.datasets.upload(path) == {"id": "1"}
    assert all(b"a,b\n1,2\n" in request.content for request in seen)


def test_a_busy_service_is_asked_again_when_it_says(naps):
    client = Client("http://service", "token", retries=1)
    busy = httpx.Response(429, headers={"Retry-After": "7"})
    answering(client, busy, httpx.Response(200, json={"user": {}}))
    assert client.me() == {"user": {}}
    assert naps == [7.0]


def test_a_patch_is_not_repeated(naps):
    client = Client("http://service", "token", retries=3)
    seen = answering(client, httpx.Response(503))
    with pytest.raises(ApiError):
        client.datasets.change("1", name="x")
    assert len(seen) == 1


def test_a_download_is_repeated_from_its_start(naps, tmp_path):
    class Cut(httpx.SyncByteStream):
        def __iter__(self):
            yield CONTENT[:100]
            raise httpx.ReadError("gone")

    headers = {"ETag": f'"{hashlib.sha256(CONTENT).hexdigest()}"'}
    client = Client("http://service", "token", retries=3)
    seen = answering(
        client,
        httpx.Response(503, headers={"Retry-After": "7"}),
        httpx.ConnectError("away"),
        httpx.Response(200, headers=headers, stream=Cut()),
        httpx.Response(200, headers=headers, content=CONTENT),
    )
    path = client.models.download("1", tmp_path / "model.zip")
    assert path.read_bytes() == CONTENT
    assert list(tmp_path.iterdir()) == [path]
    assert len(seen) == 4
    assert naps[0] == 7.0


def test_a_download_that_never_comes_through_leaves_nothing(naps, tmp_path):
    client = Client("http://service", "token", retries=1)
    answering(client, httpx.ReadError("gone"), httpx.ReadError("gone"))
    with pytest.raises(ConnectionFailed):
        client.predictions.download("1", tmp_path / "out.csv")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("first", [httpx.ReadError("gone"), httpx.Response(502), httpx.Response(504)])
def test_what_a_lost_answer_has_deleted_is_deleted(naps, first):
    client = Client("http://service", "token", retries=2)
    answering(client, first, httpx.Response(503), httpx.Response(404))
    client.experiments.delete("1")


UNDONE = [httpx.Response(429), httpx.Response(503), httpx.ConnectError("away"), httpx.ConnectTimeout("away")]


@pytest.mark.parametrize("firsts", [[], *([undone] for undone in UNDONE)])
def test_what_was_never_there_is_not_said_to_be_deleted(naps, firsts):
    client = Client("http://service", "token", retries=1)
    answering(client, *firsts, httpx.Response(404))
    with pytest.raises(NotFound):
        client.experiments.delete("1")


@pytest.mark.parametrize("lost", [httpx.ReadError("gone"), httpx.Response(502), httpx.Response(504)])
def test_a_prediction_is_not_removed_where_it_was_only_to_be_cancelled(naps, lost):
    client = Client("http://service", "token", retries=3)
    seen = answering(client, lost)
    with pytest.raises((ConnectionFailed, ApiError)):
        client.predictions.delete("1")
    assert len(seen) == 1


@pytest.mark.parametrize("undone", UNDONE)
def test_a_prediction_is_cancelled_once_the_service_is_there(naps, undone):
    client = Client("http://service", "token", retries=1)
    seen = answering(client, undone, httpx.Response(204))
    client.predictions.delete("1")
    assert len(seen) == 2
