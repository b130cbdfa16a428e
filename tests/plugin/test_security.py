"""Who may ask: methods, hosts, headers."""

from __future__ import annotations

import json

import pytest
from tensorboard_plugin_ckptscope.security import Guard, host_of, is_loopback

from tests.plugin.conftest import MOUNT, flags

ROUTES = (
    "index.js",
    "static/app.js",
    "api/v1/overview",
    "api/v1/health",
    "api/v1/series",
    "api/v1/nothing",
)


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
@pytest.mark.parametrize("route", ROUTES[:-1])
def test_only_reading(tab, tmp_path, method, route):
    response = tab(tmp_path).client.open(
        f"{MOUNT}/{route}", method=method, headers={"Host": "localhost"}
    )
    assert response.status_code == 405 and response.headers["Allow"] == "GET, HEAD"
    assert json.loads(response.get_data())["code"] == 405


@pytest.mark.parametrize("route", ["index.js", "api/v1/overview"])
def test_head(tab, tmp_path, route):
    response = tab(tmp_path).client.head(f"{MOUNT}/{route}", headers={"Host": "localhost"})
    assert response.status_code == 200 and response.get_data() == b""


HOSTS = [
    ("localhost", True),
    ("localhost:6006", True),
    ("LOCALHOST:1", True),
    ("127.0.0.1:6006", True),
    ("127.8.9.1", True),
    ("[::1]:6006", True),
    ("app.localhost:80", True),
    ("localhost.", True),
    ("evil.example.com", False),
    ("evil.example.com:6006", False),
    ("localhost.evil.com", False),
    ("127.0.0.1.evil.com", False),
    ("10.0.0.1", False),
    ("0.0.0.0", False),
    ("", False),
    ("localhost@evil.com", False),
    ("evil.com@localhost", False),
    ("evil.com\\@localhost", False),
    ("evil.com/@localhost", False),
    ("[::1", False),
    ("[::2]", False),
    ("evil.com#localhost", False),
    ("2130706433", False),
]


@pytest.mark.parametrize(("host", "served"), HOSTS)
@pytest.mark.parametrize("route", ["index.js", "api/v1/overview"])
def test_hosts_while_bound_to_loopback(tab, tmp_path, host, served, route):
    response = tab(tmp_path).client.get(f"{MOUNT}/{route}", headers={"Host": host})
    assert response.status_code == (200 if served else 403)
    if not served:
        assert "--ckptscope_allowed_hosts" in json.loads(response.get_data())["hint"]


@pytest.mark.parametrize(
    ("given", "served"),
    [
        ({"ckptscope_allowed_hosts": "proxy.example.com, evil.example.com:443"}, True),
        ({"ckptscope_allowed_hosts": "proxy.example.com"}, False),
        ({"bind_all": True}, True),
        ({"host": "0.0.0.0"}, True),
        ({"host": "workstation"}, True),
        ({"host": "127.0.0.1"}, False),
        ({"host": "localhost"}, False),
        ({"host": "::1"}, False),
    ],
)
def test_other_bindings(tab, tmp_path, given, served):
    response = tab(tmp_path, **given).client.get(
        f"{MOUNT}/api/v1/overview", headers={"Host": "evil.example.com"}
    )
    assert response.status_code == (200 if served else 403)


def test_without_flags_it_is_strict():
    assert Guard(None)._is_local and Guard(flags())._is_local


@pytest.mark.parametrize("route", ROUTES[:-1])
@pytest.mark.parametrize("host", ["localhost", "evil.example.com"])
def test_headers_of_every_answer(tab, tmp_path, route, host):
    response = tab(tmp_path).client.get(f"{MOUNT}/{route}", headers={"Host": host})
    assert response.headers.getlist("X-Content-Type-Options") == ["nosniff"]
    assert "default-src 'none'" in response.headers["Content-Security-Policy"]
    assert response.headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert "Access-Control-Allow-Origin" not in response.headers


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a:1", "a"),
        ("[::1]:2", "::1"),
        ("A.b.", "a.b"),
        ("", ""),
        ("x y", ""),
        ("a@b", ""),
        ("a/b", ""),
        ("[", ""),
    ],
)
def test_host_of(text, expected):
    assert host_of(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [("::1", True), ("localhost", True), ("0", False), ("::", False), ("x", False)],
)
def test_is_loopback(text, expected):
    assert is_loopback(text) == expected
