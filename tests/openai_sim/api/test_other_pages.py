"""What a page of another site, another user or a changed name may do with a service: nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from support.sim_services import Service, service

KEY = {"authorization": "Bearer sk-of-the-home"}


@pytest.fixture(scope="module", params=[None, "sk-of-the-home"], ids=["any key", "a key"])
def running(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    with service(tmp_path_factory.mktemp("home"), key=request.param) as opened:
        yield opened


ROUTES = [
    ("GET", "/"),
    ("GET", "/try?question=x"),
    ("GET", "/v1/models"),
    ("POST", "/v1/files"),
    ("DELETE", "/v1/files/file-1"),
    ("OPTIONS", "/v1/models"),
    ("HEAD", "/"),
]


@pytest.mark.parametrize(
    "headers",
    [
        {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"},
        {"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors", "sec-fetch-dest": "image"},
        {"sec-fetch-site": "same-site", "sec-fetch-mode": "cors"},
        {"sec-fetch-site": "SAME-ORIGIN, cross-site"},
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": "http://127.0.0.1:1"},
        {"origin": ""},
    ],
)
@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_a_page_of_another_origin_is_refused_whatever_it_sends(
    running: Service, method: str, path: str, headers: dict[str, str]
) -> None:
    response = httpx.request(method, running.url + path, headers={**KEY, **headers})
    assert response.status_code == 403


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example:80", "0x7f.1", "[::1", ""]
)
def test_a_name_that_was_led_here_is_refused(tmp_path: Path, host: str) -> None:
    with service(tmp_path) as opened:
        response = httpx.get(f"{opened.url}/v1/models", headers={**KEY, "host": host})
    assert response.status_code in (400, 403)


@pytest.mark.parametrize("site", [None, "none", "same-origin"])
def test_ones_own_browser_and_clients_are_let_in(running: Service, site: str | None) -> None:
    headers = KEY if site is None else {**KEY, "sec-fetch-site": site, "origin": running.url}
    for path in ("/", "/v1/models"):
        assert httpx.get(running.url + path, headers=headers).status_code == 200


def test_another_user_of_the_machine_does_not_get_in_without_the_key(tmp_path: Path) -> None:
    with service(tmp_path, key="sk-of-the-home") as opened:
        for sent in ({}, {"authorization": "Bearer sk-finegrade-local"}):
            assert httpx.get(f"{opened.url}/v1/models", headers=sent).status_code == 401
            assert httpx.get(f"{opened.url}/", headers=sent).status_code == 401
