"""Addresses of objects come back as they were taken apart, and no key gets out of the cache."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from orbitpkg.errors import UsageError
from orbitpkg.objects.addresses import join_uri, local_path_of, split_object_uri, split_uri
from orbitpkg.objects.protocol import is_valid_key
from orbitpkg.remote.cache import Cache, Entry, file_name

PARTS = st.text(st.characters(codec="utf-8", exclude_characters="/"), min_size=1, max_size=300)
KEYS = st.lists(PARTS, min_size=1, max_size=4).map("/".join)
STORES = st.sampled_from(["s3://bucket", "memory://name", "https://host", "http://host:8080", "file:///dir/below"])


@given(store=STORES, key=KEYS.filter(is_valid_key))
def test_a_joined_address_is_split_into_the_same_parts(store: str, key: str) -> None:
    if store.startswith("file") and "/" in key:
        store, _, key = f"{store}/d/e", None, key.rpartition("/")[2]
    assert split_object_uri(join_uri(store, key)) == (store, key)


@given(store=STORES, key=KEYS)
def test_a_key_that_a_store_cannot_hold_is_refused(store: str, key: str) -> None:
    if store.startswith(("s3", "memory")) and not is_valid_key(key):
        with pytest.raises(UsageError):
            split_object_uri(join_uri(store, key))


@given(
    word=st.text(max_size=100) | st.from_regex(r"(s3|https|file|memory)://?[\\[\\]@:/?#%a-c.]{0,12}", fullmatch=True)
)
@example(word="~nobody-knows-them")
def test_a_word_is_an_address_a_path_or_refused(word: str) -> None:
    try:
        path = local_path_of(word)
    except UsageError:
        return
    if path is None:
        assert split_uri(word)[0].partition("://")[0] in {"s3", "memory", "https", "http"}


@given(key=KEYS)
def test_no_key_leaves_the_cache(key: str) -> None:
    cache = Cache(Path("/cache"), file_mode=0o600)
    entry = Entry(
        uri=f"s3://bucket/{key}",
        place="s3://bucket at 127.0.0.1:9000",
        account="key",
        etag=None,
        version=None,
        size=0,
        modified=None,
        blake3="ab" * 32,
        name=file_name(key),
        mtime_ns=0,
    )
    path = cache.path(entry)
    assert path.parent == Path("/cache/content/ab") / ("ab" * 32)
    assert ".." not in path.parts
    assert len(path.name.encode()) <= 255
