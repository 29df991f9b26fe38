"""A contest whose artifacts lie in an object store: the same tables, also where the store fails on the way."""

from __future__ import annotations

import shutil

from tests.e2e.conftest import differences


def test_the_tables_are_the_same_and_the_state_directory_is_not_needed_for_it(finished, make_place, object_server) -> None:
    place = make_place(store={"artifacts": object_server.place()})
    object_server.faults = [("GET", "503 Slow Down"), ("PUT", "409 Conflict"), ("PUT", "500 Internal Server Error")]
    place.run(**object_server.environment())
    assert object_server.faults == []
    assert differences(place.tables(), finished[1]) == []
    assert not (place.state / "artifacts").exists()
    assert place.leftovers() == []

    # What is here of it are copies: another machine with the database alone has all that it needs.
    shutil.rmtree(place.state / "cache")
    (place.root / "entries" / "defense-centre" / "note").write_text("another version")
    object_server.requests.clear()
    place.run(**object_server.environment())
    assert {path.rsplit(".", 1)[-1] for method, path in object_server.requests if "/contest/" in path} == {"pert"}
    assert {method for method, _ in object_server.requests} == {"GET"}


def test_a_store_that_does_not_answer_ends_the_command_before_it_begins(make_place, object_server) -> None:
    place = make_place(store={"artifacts": object_server.place()})
    object_server.down = True
    ended = place.harness("run", **object_server.environment())
    assert ended.returncode == 2
    assert f"The object store {object_server.place()} cannot be used" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert place.started() == 0


def test_a_store_that_fails_on_the_way_costs_what_was_in_flight(finished, make_place, object_server) -> None:
    place = make_place(store={"artifacts": object_server.place()})
    process = place.start("run", **object_server.environment())
    place.until(lambda: place.done() >= 2, process)
    object_server.down = True
    process.communicate(timeout=240)
    object_server.down = False
    before = place.done()
    place.run(**object_server.environment())
    assert 2 <= before <= sum(place.runs().values())
    assert differences(place.tables(), finished[1]) == []
