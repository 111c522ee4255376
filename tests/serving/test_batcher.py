"""Which texts the server computes together."""

import asyncio
from collections.abc import Sequence

import numpy as np

from emotion.serving.batching import Answer, Batcher, Outcome


def lengths(texts: Sequence[str]) -> list[Outcome]:
    """A model that tells how long a text is."""
    return [Answer(np.array([len(text)], dtype=np.float32), truncated=False, unfamiliar=None) for text in texts]


def test_clients_that_were_answered_together_are_computed_together_again() -> None:
    sizes: list[int] = []

    async def client(batcher: Batcher, place: int) -> None:
        for _ in range(20):
            (found,) = await batcher.submit(["x" * place])
            assert isinstance(found, Answer)
            assert found.probabilities[0] == place
            for _ in range(place % 4):  # one is farther away than the other
                await asyncio.sleep(0)

    async def clients() -> None:
        batcher = Batcher(lengths, most_texts=32, most_waiting=100, on_batch=sizes.append)
        await asyncio.gather(*(client(batcher, place) for place in range(8)))
        await batcher.close()

    asyncio.run(clients())
    assert sizes == [8] * 20


def test_a_full_batch_waits_for_nobody_although_others_still_come() -> None:
    sizes: list[int] = []

    async def endless(batcher: Batcher) -> None:
        asked = [asyncio.create_task(batcher.submit(["one"])), asyncio.create_task(batcher.submit(["two"]))]
        async with asyncio.timeout(20):
            while len(sizes) < 3:
                await asyncio.sleep(0)
                asked.append(asyncio.create_task(batcher.submit(["another"])))
        await asyncio.gather(*asked)
        await batcher.close()

    asyncio.run(endless(Batcher(lengths, most_texts=4, most_waiting=10**6, on_batch=sizes.append)))
    assert max(sizes) == 4
