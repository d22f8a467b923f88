"""A file that is read in parts has the digests of the same bytes in memory."""

from __future__ import annotations

import tempfile
from unittest import mock

from hypothesis import given
from hypothesis import strategies as st
from spot_training.checkpoint import content
from spot_training.checkpoint.content import FileContent, digest_content, has_digests
from spot_training.checkpoint.digest import digest_payload


@given(st.binary(max_size=200), st.integers(min_value=1, max_value=64))
def test_the_digests_of_a_file_are_those_of_its_bytes(body: bytes, part_size: int) -> None:
    with tempfile.TemporaryFile() as file:
        file.write(body)
        file.flush()
        with mock.patch.object(content, "part_size_for", return_value=part_size):
            found = digest_content(FileContent(file.fileno(), len(body)))
        assert found == digest_payload(body, part_size=part_size)
        assert has_digests(FileContent(file.fileno(), len(body)), found)
        assert has_digests(memoryview(body), found)
        changed = bytes([body[0] ^ 1]) + body[1:] if body else b"x"
        assert not has_digests(memoryview(changed), found)
