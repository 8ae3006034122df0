"""Many recipients at once, and that every hit of theirs that was answered has exactly one row."""

import asyncio
import collections
import random
from datetime import UTC, datetime, timedelta

import aiohttp

from shared.engagement.tokens import TokenKind
from shared.services import folding
from shared.storage import emails, journal
from shared.storage.account import Unavailable
from tests.sent_mail import TARGET, counters, path_of, put_sent_email, recount

CONNECTIONS = 32
AGENT = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/146.0.0.0 Safari/537.36"
)
ANSWERS = {"o": (200, None), "c": (302, TARGET), "a": (302, TARGET)}


class Crowd:
    """Recipients on so many connections; `answered` counts hits by email, `asked` also those that broke off."""

    def __init__(self, paths_by_email):
        self.paths = [(email, path) for email, paths in paths_by_email.items() for path in paths]
        self.asked: collections.Counter[str] = collections.Counter()
        self.answered: collections.Counter[str] = collections.Counter()
        self.wrong: list[str] = []
        self.slowest = 0.0

    async def hammer(self, running, seconds):
        """Ask every host of `running` in turn for `seconds`, going on where one breaks off."""
        end = asyncio.get_running_loop().time() + seconds
        timeout = aiohttp.ClientTimeout(total=30)
        async with aiohttp.ClientSession(timeout=timeout, connector=aiohttp.TCPConnector(limit=CONNECTIONS)) as session:
            await asyncio.gather(*(self._one(session, running, end, n) for n in range(CONNECTIONS)))

    async def _one(self, session, running, end, number):
        loop = asyncio.get_running_loop()
        headers = {"User-Agent": AGENT, "Accept-Language": "en", "X-Forwarded-For": f"203.0.113.{number}"}
        while (started := loop.time()) < end:
            email, path = random.choice(self.paths)
            self.asked[email] += 1
            try:
                url = random.choice(running).url + path
                async with session.get(url, headers=headers, allow_redirects=False) as answer:
                    body = await answer.read()
            except (aiohttp.ClientError, TimeoutError, OSError):
                await asyncio.sleep(0.02)
                continue
            status, target = ANSWERS[path[1]]
            if (
                answer.status != status
                or answer.headers.get("Location") != target
                or (path[1] == "o" and len(body) != 43)
            ):
                self.wrong.append(f"{answer.status} {path[:20]}")
            self.answered[email] += 1
            self.slowest = max(self.slowest, loop.time() - started)


async def a_crowd(organization, mails=12, key=1):
    """Return recipients of so many mails, whose links are signed with the secret `key`."""
    paths = {}
    for _ in range(mails):
        email = await put_sent_email(organization)
        paths[email] = [
            path_of(organization, TokenKind.OPEN, email, key=key),
            path_of(organization, TokenKind.LINK, email, 0, TARGET, key),
            path_of(organization, TokenKind.ATTACHMENT, email, 0, TARGET, key),
        ]
    return Crowd(paths)


async def fold_everything(organization):
    """Fold what is left, twice and in parallel, at a time when every minute is over. What storage refused comes again,
    as its message would."""
    later = datetime.now(UTC) + timedelta(minutes=5)
    for _ in range(60):
        partitions = await journal.old_partitions(organization, 10**9)
        if not partitions:
            return
        folds = (folding.fold_partition(organization.name, p, later) for p in partitions * 2)
        for outcome in await asyncio.gather(*folds, return_exceptions=True):
            if isinstance(outcome, BaseException) and not isinstance(outcome, Unavailable):
                raise outcome
    raise AssertionError("the journal does not become empty")


async def assert_every_answered_hit_has_one_row(organization, crowd):
    assert sum(crowd.answered.values()) > 100
    assert crowd.wrong == []
    for email in crowd.asked:
        found = await emails.read_partition(organization, email, interactions=True)
        assert found is not None
        hits = [row["_hit"] for row in found.interactions]
        assert len(set(hits)) == len(hits), "no hit has two rows"
        assert crowd.answered[email] <= len(hits) <= crowd.asked[email]
        assert counters(found) == recount(found)
