"""What is planted for hunters to find is really there, and gone afterwards."""

from __future__ import annotations

import os
import socket

import pytest

from harness.selftest.secrets import PREFIX, Secrets


def test_planted_and_taken_away(tmp_path) -> None:
    with Secrets(tmp_path) as secrets:
        assert secrets.value.startswith(PREFIX)
        assert secrets.lies_in(tmp_path / "outside" / "canary.txt")
        assert secrets.value in os.environ.values()
        assert secrets.answers()
        assert secrets.visitors == []
        for name in ("\0" + secrets.planted["abstract"], secrets.planted["socket"]):
            with socket.socket(socket.AF_UNIX) as connection:
                connection.connect(name)
                assert connection.recv(100).decode() == secrets.value
        port = int(secrets.planted["port"])
    assert secrets.value not in os.environ.values()
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", port), timeout=5)


def test_a_directory_may_be_longer_than_the_address_of_a_socket(tmp_path) -> None:
    place = tmp_path / ("long" * 40)
    place.mkdir()
    with Secrets(place) as secrets, socket.socket(socket.AF_UNIX) as connection:
        directory = os.open(place / "outside", os.O_RDONLY)
        connection.connect(f"/proc/self/fd/{directory}/socket")
        os.close(directory)
        assert connection.recv(100).decode() == secrets.value
