"""The journal keeps what Redis could still lose, and nothing else."""

from app.counter.journal import MIN_KEEP_SECONDS, Journal


def journal_of(*acknowledged: float) -> Journal:
    """A journal with a batch of each of these times."""
    journal = Journal()
    for sequence, moment in enumerate(acknowledged, 1):
        journal.append(sequence, ["home", sequence], moment)
    return journal


def kept(journal: Journal) -> list[int]:
    return [entry.sequence for entry in journal.after(0)]


def test_applied_batches_stay_journalled_until_durable() -> None:
    journal = journal_of(100, 101, 102)
    journal.forget(last=3, now=100 + MIN_KEEP_SECONDS - 0.1)
    assert kept(journal) == [1, 2, 3]
    journal.forget(last=3, now=101 + MIN_KEEP_SECONDS)
    assert kept(journal) == [3]
    journal.forget(last=3, now=200)
    assert len(journal) == 0


def test_unapplied_batches_stay_journalled() -> None:
    journal = journal_of(100, 101, 102)
    journal.forget(last=1, now=1_000_000)
    assert kept(journal) == [2, 3]


def test_replayed_batches_must_settle_again() -> None:
    journal = journal_of(100, 101, 102)
    for entry in journal.after(0):
        entry.acknowledged = 110
    journal.forget(last=3, now=102 + MIN_KEEP_SECONDS)
    assert kept(journal) == [1, 2, 3]


def test_journal_returns_the_batches_after_a_number() -> None:
    journal = journal_of(100, 101, 102)
    assert [(entry.sequence, entry.arguments) for entry in journal.after(1)] == [(2, ["home", 2]), (3, ["home", 3])]
    assert journal.after(3) == []


def test_new_worker_name_restarts_the_numbering() -> None:
    journal = journal_of(100, 101, 102)
    journal.begin_anew(journal.after(1))
    assert [(entry.sequence, entry.arguments) for entry in journal.after(0)] == [(1, ["home", 2]), (2, ["home", 3])]
    journal.append(3, ["home", 9], 103)
    journal.forget(last=2, now=1_000)
    assert kept(journal) == [3]


def test_journal_is_bounded_and_drops_the_oldest() -> None:
    journal = Journal(limit=10)
    for sequence in range(1, 8):
        journal.append(sequence, ["home", 1], 100)
    assert kept(journal) == [3, 4, 5, 6, 7]
    journal.append(8, ["a", 1, "b", 1, "c", 1], 100)
    assert kept(journal) == [6, 7, 8]
    journal.begin_anew(journal.after(6))
    journal.append(3, ["home", 1], 100)
    assert kept(journal) == [1, 2, 3]
