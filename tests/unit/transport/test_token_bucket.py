"""How often something may be done."""

from agent.transport import token_bucket
from agent.transport.token_bucket import TokenBucket, TokenBuckets


def test_a_bucket_lets_a_burst_through_and_then_the_rate():
    bucket = TokenBucket(50)
    assert [bucket.take(0) for _ in range(51)] == [True] * 50 + [False]
    assert not bucket.take(10_000)
    assert bucket.take(31_000)
    assert [bucket.take(10_000_000) for _ in range(51)].count(True) == 50


def test_each_has_a_bucket_and_the_one_used_least_lately_is_let_go(monkeypatch):
    monkeypatch.setattr(token_bucket, "MAX_BUCKETS", 2)
    buckets = TokenBuckets(1)
    assert all(buckets.of("s1", name).take(0) for name in ("a", "b"))
    assert not buckets.of("s1", "b").take(0)
    assert not buckets.of("s1", "a").take(0)
    assert buckets.of("s2", "a").take(0), "another session's"
    assert not buckets.of("s1", "a").take(0)
    assert buckets.of("s1", "b").take(0), "it was let go"
