"""Pages become complete collections that agree with themselves, or an error."""

import socket
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from reconciler.errors import IncompleteListingError, ServerError, UnreadableError
from reconciler.posthog.retry_policy import CallLimits
from tests.unit.posthog.servers import Reply, dice, raw_serving, reading, serving

PATH = "/api/projects/1/feature_flags/"


class Collection:
    """What a limit/offset endpoint serves; `between` may change it before each answer."""

    def __init__(self, ids, between=None, **oddities):
        self.items = [{"id": id_} for id_ in ids]
        self.between = between
        self.oddities = oddities
        self.lock = threading.Lock()

    def __call__(self, seen, index):
        with self.lock:
            if self.between is not None:
                self.between(self, index)
            limit = int(seen.query.get("limit") or 100)
            offset = int(seen.query.get("offset") or 0)
            page = self.items[offset : offset + limit]
            count, end = len(self.items), offset + limit
            base = f"http://{seen.headers['host']}{seen.path}"
            extra = "".join(
                f"&{name}={value}"
                for name, value in seen.query.items()
                if name not in ("limit", "offset")
            )
            after = f"{base}?limit={limit}&offset={end}{extra}" if end < count else None
        body = {"count": count, "next": after, "previous": None, "results": page}
        return Reply(body=body | self.oddities)


def _list(answer, params=None, **options):
    with serving(answer) as server, reading(server.url) as reader:
        return reader.list(PATH, params, **options), server.seen, reader.reads


@pytest.mark.parametrize(
    ("count", "pages"), [(0, 1), (1, 1), (99, 1), (100, 1), (101, 2), (250, 3), (1700, 17)]
)
def test_a_listing_costs_a_request_per_hundred_items_and_nothing_else(count, pages):
    listing, seen, reads = _list(Collection(range(count)))

    assert [item["id"] for item in listing.items] == list(range(count))
    assert listing.pages == reads == len(seen) == pages


def test_filters_go_along_to_every_page():
    _, seen, _ = _list(Collection(range(250)), {"state": "pending,approved"})

    assert len(seen) == 3
    assert {one.query["state"] for one in seen} == {"pending,approved"}
    assert {one.query["limit"] for one in seen} == {"100"}


def test_another_page_size_may_be_asked_for():
    listing, _, reads = _list(Collection(range(25)), page_size=10)

    assert len(listing.items) == 25
    assert reads == 3


def test_pages_are_fetched_concurrently_after_the_first():
    """Each page but the first waits until eight are being asked for at once."""
    together = threading.Barrier(8, timeout=5)
    collection = Collection(range(900))

    def answer(seen, index):
        if "offset" in seen.query:
            together.wait()
        return collection(seen, index)

    listing, _, _ = _list(answer)

    assert len(listing.items) == 900


def test_many_threads_may_list_at_once():
    with (
        serving(Collection(range(1000))) as server,
        reading(server.url) as reader,
        ThreadPoolExecutor(8) as pool,
    ):
        found = list(pool.map(lambda _: reader.list(PATH), range(24)))

    assert all(len(listing.items) == 1000 for listing in found)
    assert reader.reads == 240


@pytest.mark.parametrize("step", [30, 100])
def test_a_server_with_a_page_size_of_its_own_is_followed(step):
    def answer(seen, _):
        offset = int(seen.query.get("offset") or 0)
        end = offset + step
        after = f"http://{seen.headers['host']}{PATH}?limit={step}&offset={end}"
        items = [{"id": n} for n in range(offset, min(end, 350))]
        body = {"count": 350, "next": after if end < 350 else None, "results": items}
        return Reply(body=body)

    listing, _, _ = _list(answer)

    assert [item["id"] for item in listing.items] == list(range(350))


def _cursor_pages(pages, **more):
    def answer(seen, _):
        page = int(seen.query.get("cursor") or 0)
        after = f"{PATH}?cursor={page + 1}" if page + 1 < pages else None
        return Reply(body={"next": after, "results": [{"id": page}], **more})

    return answer


def test_linked_pages_are_followed_one_after_the_other():
    listing, _, _ = _list(_cursor_pages(5, count=5))

    assert [item["id"] for item in listing.items] == [0, 1, 2, 3, 4]


def test_linked_pages_are_held_against_their_count():
    with pytest.raises(IncompleteListingError):
        _list(_cursor_pages(5, count=6))


@pytest.mark.parametrize(
    "reply",
    [
        Reply(body=[]),
        Reply(body=[{"id": 1}, {"id": 2}]),
        Reply(body={"results": []}),
        Reply(body={"results": [], "count": None}),
        Reply(body={"results": [{"id": 1}], "count": True}),
        Reply(body={"results": [], "detail": "degraded"}),
    ],
)
def test_a_list_without_its_count_may_be_a_part(reply):
    """Every collection of PostHog's has a count (contract 1.6)."""
    with pytest.raises(IncompleteListingError):
        _list(lambda *_: reply)


@pytest.mark.parametrize(
    ("path", "row", "own"),
    [
        ("/api/projects/5/feature_flags/", {"team_id": 6}, {"team_id": 5}),
        ("/api/projects/5/approval_policies/", {"project_id": "6"}, {"project_id": "5"}),
        ("/api/projects/5/change_requests/", {"team": 6}, {"team": {"id": 6}}),
        ("/api/organizations/0190-aa/projects/", {"organization": "x"}, {"organization": None}),
        ("/api/organizations/0-a/roles/", {"organization_id": 7}, {"organization_id": "0-A"}),
        ("/api/organizations/0190-aa/projects/", {"organization": "x"}, {"project_id": 4}),
    ],
)  # fmt: skip
def test_a_row_that_names_another_place_is_of_another_answer(path, row, own):
    def listed(extra):
        body = {"count": 1, "next": None, "results": [{"id": 1, **extra}]}
        with serving(lambda *_: Reply(body=body)) as server, reading(server.url) as reader:
            return reader.list(path).items, list(reader.iterate_pages(path, counted=True))

    assert listed(own)[0][0]["id"] == 1
    with pytest.raises(IncompleteListingError) as caught:
        listed(row)
    assert next(iter(row)) in caught.value.why


def test_items_without_an_id_are_told_apart_by_the_function_given_or_by_all_of_them():
    body = {"count": 2, "next": None, "results": [{"user": {"uuid": "a"}}, {"user": {"uuid": "b"}}]}

    assert len(_list(lambda *_: Reply(body=body))[0].items) == 2
    assert len(_list(lambda *_: Reply(body=body), identity=lambda i: i["user"]["uuid"])[0].items)
    with pytest.raises(IncompleteListingError):
        _list(lambda *_: Reply(body=body), identity=lambda _: "same")


def _once(index, change):
    """A change of the collection before request `index`."""

    def between(collection, now):
        if now == index:
            change(collection.items)

    return between


@pytest.mark.parametrize(
    "change",
    [
        lambda items: items.pop(0),
        lambda items: items.insert(0, {"id": -1}),
        lambda items: items.append({"id": -1}),
        lambda items: items.insert(0, items.pop(150)),
        lambda items: items.append(items[7]),
        lambda items: items.clear(),
    ],
)
@pytest.mark.parametrize("page_size", [100, 60])
def test_a_collection_that_moves_while_it_is_read_is_read_again(change, page_size):
    collection = Collection(range(220), _once(2, change))
    try:
        listing, _, _ = _list(collection, page_size=page_size)
    except IncompleteListingError:
        assert len({item["id"] for item in collection.items}) < len(collection.items)
        return

    assert {item["id"] for item in listing.items} == {item["id"] for item in collection.items}


def test_random_changes_between_pages_never_pass_for_a_whole():
    """What comes out has as many items as there were at some moment, each once, or is an error."""
    for seed in range(60):
        rng = dice(seed)
        moments = []

        def between(collection, index, rng=rng, moments=moments):
            if rng.random() < 0.15:
                if collection.items and rng.random() < 0.5:
                    collection.items.pop(rng.randrange(len(collection.items)))
                else:
                    place = rng.randrange(len(collection.items) + 1)
                    collection.items.insert(place, {"id": f"new-{index}"})
            moments.append(len(collection.items))

        try:
            listing, _, _ = _list(Collection(range(25), between), page_size=5)
        except IncompleteListingError:
            continue

        ids = [item["id"] for item in listing.items]
        assert len(ids) == len(set(ids))
        assert len(ids) in moments


@pytest.mark.parametrize(
    "oddity",
    [
        {"count": 7},
        {"count": 0},
        {"results": [{"id": 1}, {"id": 1}, {"id": 2}]},
        {"results": [1, 2, 3]},
        {"results": None},
        {"results": {"id": 1}},
        {"count": "3"},
        {"next": 5},
    ],
)
def test_pages_that_do_not_add_up_are_read_four_times_and_then_an_error(oddity):
    with (
        serving(Collection(range(3), **oddity)) as server,
        reading(server.url) as reader,
    ):
        with pytest.raises(IncompleteListingError) as caught:
            reader.list(PATH)
        assert reader.reads == 4

    assert PATH in str(caught.value)
    assert "4 times" in caught.value.why
    assert caught.value.state == "nothing was written"


def _offset_pages(sizes, counts, links=None):
    """Pages of limit 10 with any sizes and counts; ids are right throughout."""
    starts = [sum(sizes[:n]) for n in range(len(sizes))]
    links = links or [10 * (n + 1) for n in range(len(sizes) - 1)]

    def answer(seen, _):
        page = int(seen.query.get("offset") or 0) // 10
        items = [{"id": starts[page] + n} for n in range(sizes[page])]
        after = f"{PATH}?limit=10&offset={links[page]}" if page < len(links) else None
        return Reply(body={"count": counts[page], "next": after, "results": items})

    return answer


@pytest.mark.parametrize(
    ("sizes", "counts", "links"),
    [
        ([10, 10, 10], [30, 31, 30], None),  # somebody wrote and took it back
        ([10, 9, 11], [30, 30, 30], None),
        ([10, 10, 10], [30, 30, 30], [10, 25]),
        ([10, 10, 10], [30, 30, 30], [10]),
        ([10, 10, 10], [30, 30, 30], [10, 20, 30]),
    ],
)
def test_pages_that_add_up_only_by_chance_are_not_believed(sizes, counts, links):
    with pytest.raises(IncompleteListingError):
        _list(_offset_pages(sizes, counts, links))


def test_a_count_that_moves_over_cursor_pages_is_not_believed():
    def answer(seen, _):
        last = "cursor" in seen.query
        after = None if last else f"{PATH}?cursor=1"
        return Reply(body={"count": 2 + last, "next": after, "results": [{"id": int(last)}]})

    with pytest.raises(IncompleteListingError) as caught:
        _list(answer)
    assert "2 items on its first page and 3 on its last" in caught.value.why


@pytest.mark.parametrize("body", ["text", 5, None, {"id": 7}, {}])
def test_what_is_no_page_is_an_error(body):
    with pytest.raises(IncompleteListingError):
        _list(lambda *_: Reply(body=body))


@pytest.mark.parametrize(
    "link",
    [
        "{other}/api/?offset=100&limit=100",
        "//127.0.0.1:{port}/api/?offset=100&limit=100",
        "http://evil.test/?cursor=1",
        "https://evil.test:443/?cursor=1",
        "http://127.0.0.1:{own}@evil.test/?cursor=1",
        "http://evil.test@127.0.0.1:{own}/?cursor=1",
        "http://[/",
        "relative?cursor=1",
        "?cursor=1",
    ],
)
def test_a_link_to_another_host_is_not_followed(link):
    with serving(lambda *_: Reply()) as other:
        port = other.url.rpartition(":")[2]

        def answer(seen, _):
            own = seen.headers["host"].rpartition(":")[2]
            after = link.format(other=other.url, port=port, own=own)
            return Reply(body={"count": 200, "next": after, "results": [{"id": 1}]})

        with serving(answer) as server, reading(server.url) as reader:
            with pytest.raises(IncompleteListingError):
                reader.list(PATH)
            assert reader.reads == 1

    assert other.seen == []


def test_a_foreign_link_says_which_host_it_named_and_what_to_do():
    body = {"count": 2, "next": "https://internal.test/api/?cursor=1", "results": [{"id": 1}]}
    with pytest.raises(IncompleteListingError) as caught:
        _list(lambda *_: Reply(body=body))

    assert "internal.test" in caught.value.why
    assert "SITE_URL" in caught.value.fix


def test_a_link_with_the_other_scheme_is_asked_for_on_our_origin():
    """Servers behind a proxy that ends TLS write http:// into links."""
    collection = Collection(range(150))

    def answer(seen, index):
        reply = collection(seen, index)
        if reply.body["next"]:
            reply.body["next"] = reply.body["next"].replace("http://", "https://")
        return reply

    assert len(_list(answer)[0].items) == 150


def test_pages_that_lead_in_a_circle_end():
    def answer(seen, _):
        cursor = "b" if seen.query.get("cursor") == "a" else "a"
        body = {"count": 9, "next": f"{PATH}?cursor={cursor}", "results": [{"id": cursor}]}
        return Reply(body=body)

    with serving(answer) as server, reading(server.url) as reader:
        with pytest.raises(IncompleteListingError) as caught:
            reader.list(PATH)
        assert reader.reads <= 4
    assert "cycle" in caught.value.why


def test_a_count_that_nobody_could_read_is_refused_before_it_is_read():
    items = [{"id": n} for n in range(100)]
    body = {"count": 10**12, "next": f"{PATH}?limit=100&offset=100", "results": items}
    with serving(lambda *_: Reply(body=body)) as server, reading(server.url) as reader:
        with pytest.raises(IncompleteListingError) as caught:
            reader.list(PATH)
        assert reader.reads == 1
    assert "10000 pages" in caught.value.why


def test_endless_cursor_pages_end(monkeypatch):
    monkeypatch.setattr("reconciler.posthog.pagination.MAX_PAGES", 20)
    with pytest.raises(IncompleteListingError):
        _list(_cursor_pages(10**9, count=10**9))


def test_a_page_that_cannot_be_had_fails_the_listing():
    collection = Collection(range(500))

    def answer(seen, index):
        return Reply(500) if seen.query.get("offset") == "300" else collection(seen, index)

    with serving(answer) as server, reading(server.url) as reader, pytest.raises(ServerError):
        reader.list(PATH)


def test_a_shaky_server_costs_retries_but_no_items():
    rng, collection = dice(3), Collection(range(2000))
    limits = CallLimits(retry_floor=100, breaker_failures=100)

    def answer(seen, index):
        return Reply(503) if rng.random() < 0.3 else collection(seen, index)

    with serving(answer) as server, reading(server.url, limits=limits) as reader:
        assert len(reader.list(PATH).items) == 2000


def test_pages_of_a_log_come_as_they_are_asked_for():
    with serving(_cursor_pages(50)) as server, reading(server.url) as reader:
        pages = reader.iterate_pages(PATH, {"page_size": 1}, counted=False)
        assert [next(pages)[0]["id"] for _ in range(3)] == [0, 1, 2]
        assert reader.reads == 3
    assert server.seen[0].query == {"page_size": "1"}


@pytest.mark.parametrize("counted", [True, False])
def test_a_broken_page_of_a_log_is_an_error(counted):
    body = {"results": [] if counted else 5}
    with (
        serving(lambda *_: Reply(body=body)) as server,
        reading(server.url) as reader,
        pytest.raises(IncompleteListingError),
    ):
        list(reader.iterate_pages(PATH, counted=counted))


def test_only_one_host_and_port_is_ever_connected_to(monkeypatch):
    """Whatever a server answers, no other socket is opened."""
    connected, real = set(), socket.create_connection

    def watch(address, *args, **kwargs):
        connected.add(address)
        return real(address, *args, **kwargs)

    monkeypatch.setattr(socket, "create_connection", watch)
    with serving(Collection(range(300))) as server, reading(server.url) as reader:
        reader.list(PATH)
    port = int(server.url.rpartition(":")[2])
    with (
        raw_serving(lambda connection, _: connection.sendall(b"x")) as raw,
        reading(raw.url) as reader,
        pytest.raises(UnreadableError),
    ):
        reader.get(PATH)

    assert connected == {("127.0.0.1", port), ("127.0.0.1", int(raw.url.rpartition(":")[2]))}
