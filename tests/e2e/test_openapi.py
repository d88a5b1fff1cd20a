"""The OpenAPI document is valid in itself and describes what the real routes answer."""

import json
import re

import jsonschema
import pytest

from ratchet_process import HttpError, http
from small_data import CHURN_SPEC, churn_csv


@pytest.fixture(scope="module")
def lived_in(shared_ratchet):
    """A Ratchet with something behind every route."""
    shared_ratchet.apply("churn", CHURN_SPEC)
    shared_ratchet.push_csv("customers", churn_csv(800))
    shared_ratchet.run("churn")
    return shared_ratchet


PARAMETERS = {"name": "churn", "id": "1", "m": "churn", "model": "churn", "v": "1", "version": "1"}


def resolve(document, schema):
    """The schema with the document's components at hand for its references."""
    return {**schema, "components": document["components"]}


def fill(path, dataset_route):
    def value(match):
        if dataset_route and match[1] == "name":
            return "customers"
        return PARAMETERS[match[1]]
    return re.sub(r"\{(\w+)\}", value, path)


def test_every_get_answers_as_documented(lived_in):
    document = lived_in.get("/api/v1/openapi.json")
    assert document["openapi"].startswith("3.1")
    checked = 0
    for path, operations in document["paths"].items():
        if "get" not in operations or "events" in path or "{sha256}" in path or "{file}" in path:
            continue
        responses = operations["get"]["responses"]
        content = responses.get("200", {}).get("content", {}).get("application/json")
        url = lived_in.url + fill(path, "/datasets" in path)
        status, headers, body = http("GET", url)
        assert status == 200, path
        if content is None:
            continue
        assert headers["Content-Type"].startswith("application/json"), path
        jsonschema.Draft202012Validator(resolve(document, content["schema"])).validate(json.loads(body))
        checked += 1
    assert checked >= 15


def test_errors_answer_as_documented(lived_in):
    document = lived_in.get("/api/v1/openapi.json")
    schema = resolve(document, {"$ref": "#/components/schemas/Problem"})
    for method, path in (("GET", "/api/v1/models/none"), ("GET", "/api/v1/runs/999"), ("GET", "/api/v1/nothing"),
                         ("DELETE", "/api/v1/models/churn"), ("POST", "/api/v1/models/none/rollback")):
        with pytest.raises(HttpError) as caught:
            lived_in.send(method, path, {} if method == "POST" else None)
        problem = caught.value.problem()
        jsonschema.Draft202012Validator(schema).validate(problem)
        assert problem["status"] == caught.value.status


def test_every_operation_says_its_role(lived_in):
    document = lived_in.get("/api/v1/openapi.json")
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            if method in ("get", "put", "post", "delete"):
                assert operation["x-role"] in ("viewer", "operator", "admin"), (method, path)


def test_the_event_stream_resumes_where_it_was_left(lived_in):
    import socket
    host, port = lived_in.url[7:].split(":")

    def first_event_after(last):
        with socket.create_connection((host, int(port)), timeout=30) as connection:
            connection.sendall(f"GET /api/v1/events HTTP/1.1\r\nHost: {host}:{port}\r\nLast-Event-ID: {last}\r\n\r\n".encode())
            text = b""
            while not re.search(rb"\nid: ?(\d+)\r?\n", text) or b"\ndata:" not in text:
                chunk = connection.recv(65536)
                assert chunk, text
                text += chunk
        return int(re.search(rb"\nid: ?(\d+)\r?\n", text)[1])

    assert first_event_after(0) == 1
    assert first_event_after(3) == 4
