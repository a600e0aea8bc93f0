"""How a document is served: once built, kept, and told apart by its ETag."""

from __future__ import annotations

from typing import Any

import pytest

from microasgi import ConfigurationError, MicroASGI, Mount, Response, Router
from microasgi.openapi import OpenAPI, document
from microasgi.testing import TestClient


async def answer(request: Any) -> str:
    return "ok"


def get(app: Any, path: str = "/openapi.json", **told: Any) -> Any:
    with TestClient(app, **told) as client:
        return client.get(path).raise_for_status().json()


@pytest.fixture
def builds(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Every building of a document leaves a mark here."""
    marks: list[Any] = []
    build = document.Document.build

    def marked(self: Any, entries: Any) -> Any:
        marks.append(entries)
        return build(self, entries)

    monkeypatch.setattr(document.Document, "build", marked)
    return marks


def test_a_document_is_built_at_first_demand_and_kept(builds: list[Any]) -> None:
    app = MicroASGI()
    app.include(OpenAPI())
    app.get("/a")(answer)
    with TestClient(app) as client:
        assert builds == []
        assert client.get("/openapi.json").content == client.get("/openapi.json").content
    assert len(builds) == 1


def test_a_route_that_is_added_makes_it_another_document(builds: list[Any]) -> None:
    app, inner = MicroASGI(), MicroASGI()
    app.include(OpenAPI())
    app.mount("/inner", inner)
    with TestClient(app) as client:
        assert client.get("/openapi.json").json()["paths"] == {}
        inner.get("/a")(answer)
        assert [*client.get("/openapi.json").json()["paths"]] == ["/inner/a"]
    assert len(builds) == 2


def test_a_client_that_knows_the_document_is_told_so() -> None:
    app = MicroASGI()
    app.include(OpenAPI())
    with TestClient(app) as client:
        first = client.get("/openapi.json")
        assert first.headers["content-type"] == "application/json"
        assert first.headers["cache-control"] == "no-cache"
        for known in (first.headers["etag"], f'"x", W/{first.headers["etag"]}'):
            again = client.get("/openapi.json", headers={"if-none-match": known})
            assert (again.status_code, again.content) == (304, b"")
        assert client.get("/openapi.json", headers={"if-none-match": '"other"'}).status_code == 200
        assert client.head("/openapi.json").content == b""


def test_path_and_page_may_stand_elsewhere() -> None:
    app = MicroASGI()
    app.include(OpenAPI(path="/schema.json", docs=None), prefix="/meta")
    with TestClient(app) as client:
        assert client.get("/meta/schema.json").status_code == 200
        assert client.get("/meta/docs").status_code == 404


def test_the_page_is_served_beside_it() -> None:
    app = MicroASGI()
    app.include(OpenAPI(title="The <Shop>"))
    with TestClient(app) as client:
        page = client.get("/docs")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert "The &lt;Shop&gt;" in page.text


def test_middleware_stands_around_document_and_page() -> None:
    async def refuse(request: Any, call_next: Any) -> Response:
        return Response(status_code=401)

    app = MicroASGI()
    app.include(OpenAPI(middleware=[refuse]))
    app.get("/a")(answer)
    with TestClient(app) as client:
        assert [client.get(path).status_code for path in ("/openapi.json", "/docs", "/a")] == [401, 401, 200]


def test_behind_a_prefix_of_the_server_the_document_says_so() -> None:
    app = MicroASGI()
    app.include(OpenAPI())
    assert "servers" not in get(app)
    assert get(app, "/a%20b/openapi.json", root_path="/a b")["servers"] == [{"url": "/a%20b"}]


def test_an_application_that_is_mounted_describes_itself() -> None:
    inner = MicroASGI()
    inner.include(OpenAPI(title="Inner"))
    inner.get("/a")(answer)
    app = MicroASGI()
    app.include(OpenAPI(title="Outer"))
    app.mount("/v1", inner)
    assert [*get(app)["paths"]] == ["/v1/a"]
    found = get(app, "/v1/openapi.json")
    assert (found["info"]["title"], [*found["paths"]], found["servers"]) == ("Inner", ["/a"], [{"url": "/v1"}])


def test_a_router_that_is_mounted_describes_the_application() -> None:
    meta = Router()
    meta.include(OpenAPI())
    app = MicroASGI(routes=[Mount("/meta", routes=[Mount("/deep", meta)])])
    app.get("/a")(answer)
    outer = MicroASGI(routes=[Mount("/outer", app)])
    assert [*get(app, "/meta/deep/openapi.json")["paths"]] == ["/a"]
    found = get(outer, "/outer/meta/deep/openapi.json")
    assert ([*found["paths"]], found["servers"]) == (["/a"], [{"url": "/outer"}])


def test_a_router_on_its_own_describes_itself() -> None:
    router = Router()
    router.include(OpenAPI())
    router.get("/a")(answer)
    assert [*get(router)["paths"]] == ["/a"]


def test_servers_of_ones_own_stay() -> None:
    app = MicroASGI()
    app.include(OpenAPI(servers=["https://api.example.org"]))
    assert get(app, "/v1/openapi.json", root_path="/v1")["servers"] == [{"url": "https://api.example.org"}]


def test_of_many_prefixes_few_are_kept() -> None:
    inner, api = MicroASGI(), OpenAPI()
    inner.include(api)
    app = MicroASGI(routes=[Mount("/{tenant}", inner)])
    with TestClient(app) as client:
        for number in range(40):
            assert client.get(f"/{number}/openapi.json").json()["servers"] == [{"url": f"/{number}"}]
    assert len(api._built[inner].texts) <= 16


def test_one_router_may_serve_two_applications() -> None:
    api = OpenAPI()
    one, other = MicroASGI(), MicroASGI()
    for path, app in (("/one", one), ("/other", other)):
        app.include(api)
        app.get(path)(answer)
    assert ([*get(one)["paths"]], [*get(other)["paths"]]) == (["/one"], ["/other"])


def test_the_finished_document_may_be_changed() -> None:
    def add(document: dict[str, Any]) -> None:
        document["x-logo"] = "cat"

    def replace(document: dict[str, Any]) -> dict[str, Any]:
        return {**document, "info": {"title": "Other", "version": "2"}}

    app = MicroASGI()
    assert OpenAPI(edit=add).document(app)["x-logo"] == "cat"
    assert OpenAPI(edit=replace).document(app)["info"]["title"] == "Other"


def test_a_change_to_one_document_is_not_in_the_next() -> None:
    def edit(document: dict[str, Any]) -> None:
        document["components"]["schemas"]["Problem"]["properties"]["more"] = {}

    app = MicroASGI()
    app.get("/", raises=[404])(answer)
    OpenAPI(edit=edit).document(app)
    assert "more" not in OpenAPI().document(app)["components"]["schemas"]["Problem"]["properties"]


def test_a_document_is_there_without_a_server() -> None:
    app = MicroASGI()
    app.get("/a")(answer)
    found = OpenAPI(title="Shop").document(app, "/v1")
    assert (found["info"]["title"], found["servers"]) == ("Shop", [{"url": "/v1"}])


def test_a_mistake_is_logged_and_answered_with_500() -> None:
    app = MicroASGI()
    app.include(OpenAPI())
    app.get("/", raises=[int])(answer)  # type: ignore[list-item]
    with TestClient(app, raise_server_exceptions=False) as client:
        assert client.get("/openapi.json").status_code == 500
    with TestClient(app) as client, pytest.raises(ConfigurationError):
        client.get("/openapi.json")


@pytest.mark.anyio
async def test_many_who_ask_at_once_wait_for_one_building(builds: list[Any]) -> None:
    import anyio

    from microasgi.testing import AsyncTestClient

    app = MicroASGI()
    app.include(OpenAPI())
    app.get("/a")(answer)
    found = []

    async with AsyncTestClient(app) as client:

        async def ask() -> None:
            found.append((await client.get("/openapi.json")).json())

        async with anyio.create_task_group() as group:
            for _ in range(8):
                group.start_soon(ask)
    assert len(builds) == 1
    assert all(one == found[0] for one in found)


def test_any_tag_and_several_lines_of_them_are_known() -> None:
    app = MicroASGI()
    app.include(OpenAPI(title="T"))
    client = TestClient(app)
    etag = client.get("/openapi.json").headers["etag"]
    assert client.get("/openapi.json", headers={"if-none-match": "*"}).status_code == 304
    lines = [("if-none-match", '"other"'), ("if-none-match", f"W/{etag}")]
    assert client.get("/openapi.json", headers=lines).status_code == 304
    assert client.get("/openapi.json", headers={"if-none-match": '"other"'}).status_code == 200
