"""The journal's own HTTP connection: answers of every framing, a connection that broke, an origin that is silent."""

import asyncio
from contextlib import asynccontextmanager

import pytest

from shared.storage import connection as connections
from shared.storage.account import Unavailable
from shared.storage.connection import Connection


@asynccontextmanager
async def origin(*answers):
    """Serve these raw answers in turn; None closes the connection unanswered. Yields its URL and what it was asked."""
    asked, waiting = [], list(answers)

    async def serve(reader, writer):
        while True:
            try:
                head = await reader.readuntil(b"\r\n\r\n")
            except asyncio.IncompleteReadError:
                break
            length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
            asked.append((head, await reader.readexactly(length)))
            answer = waiting.pop(0)
            if answer is None:
                break
            writer.write(answer)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", asked


DONE = b"HTTP/1.1 204 No Content\r\nServer: x\r\n\r\n"


async def test_requests_share_one_connection_and_say_what_they_must():
    async with origin(DONE, DONE) as (url, asked):
        connection = Connection(url)
        assert await connection.request("PUT", "/a?b", {"x-y": "z"}, b"one") == (204, b"")
        assert await connection.request("PUT", "/a?b", {"x-y": "z"}, b"two") == (204, b"")
        connection.close()
    head, body = asked[0]
    assert head.startswith(b"PUT /a?b HTTP/1.1\r\nHost: 127.0.0.1:")
    assert b"\r\nx-y: z\r\n" in head
    assert (body, asked[1][1]) == (b"one", b"two")


@pytest.mark.parametrize(
    "framed",
    [
        b"Content-Length: 5\r\n\r\nhello",
        b"transfer-encoding: chunked\r\n\r\n2\r\nhe\r\n3;x=y\r\nllo\r\n0\r\n\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nTrailer: 1\r\n\r\n",
    ],
)
async def test_a_body_is_read_however_it_is_framed(framed):
    async with origin(b"HTTP/1.1 404 Not Found\r\n" + framed, DONE) as (url, _):
        connection = Connection(url)
        assert await connection.request("PUT", "/", {}, b"") == (404, b"hello")
        assert await connection.request("PUT", "/", {}, b"") == (204, b"")
        connection.close()


async def test_a_kept_connection_that_was_closed_is_opened_again():
    async with origin(DONE, None, DONE) as (url, asked):
        connection = Connection(url)
        await connection.request("PUT", "/", {}, b"1")
        assert await connection.request("PUT", "/", {}, b"2") == (204, b"")
        connection.close()
    assert [body for _, body in asked] == [b"1", b"2", b"2"]


async def test_a_closing_answer_closes():
    closing = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
    async with origin(closing, DONE) as (url, _):
        connection = Connection(url)
        assert await connection.request("PUT", "/", {}, b"") == (200, b"")
        assert await connection.request("PUT", "/", {}, b"") == (204, b"")
        connection.close()


@pytest.mark.parametrize("answer", [None, b"nonsense\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n"])
async def test_what_is_no_answer_is_unavailable(answer):
    async with origin(answer, answer) as (url, _):
        connection = Connection(url)
        with pytest.raises(Unavailable):
            await connection.request("PUT", "/", {}, b"")


async def test_an_origin_that_is_silent_or_not_there_is_unavailable(monkeypatch):
    monkeypatch.setattr(connections, "ANSWER_TIMEOUT", 0.05)
    async with origin(b"HTTP/1.1 ") as (url, _):
        with pytest.raises(Unavailable):
            await Connection(url).request("PUT", "/", {}, b"")
    with pytest.raises(Unavailable):
        await Connection(url).request("PUT", "/", {}, b"")
