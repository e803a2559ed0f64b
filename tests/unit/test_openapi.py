"""The OpenAPI document: valid, true to its own examples and to the routes."""

import jsonschema
import msgspec
import openapi_spec_validator
import pytest

from qjet_gateway.openapi import document
from qjet_gateway.routes import build_app
from qjet_shared.errors import FieldError
from qjet_shared.messages.answers import Problem
from qjet_shared.messages.submission import Submission
from qjet_shared.messages.task import Task
from qjet_shared.submissions import Limits, read_batch, read_json

pytestmark = pytest.mark.unit

LIMITS = Limits(max_shots=12_345, max_timeout_s=67.0)
DOCUMENT = msgspec.json.decode(msgspec.json.encode(document(LIMITS)))
"""As it is served."""


def validator(schema):
    """Resolve `#/components/…` against the document."""
    whole = {**schema, "components": DOCUMENT["components"]}
    return jsonschema.Draft202012Validator(whole)


def nodes(node, where="#"):
    """Find every JSON object in the document, but not those inside examples."""
    if isinstance(node, dict):
        yield where, node
        for key, value in node.items():
            if key not in {"example", "examples"}:
                yield from nodes(value, f"{where}/{key}")
    elif isinstance(node, list):
        for index, item in enumerate(node):
            yield from nodes(item, f"{where}/{index}")


def examples(document):
    """Find every example, with the schema it belongs to."""
    for where, node in nodes(document):
        if "schema" in node:
            if "example" in node:
                yield where, node["schema"], node["example"]
            for name, example in node.get("examples", {}).items():
                yield f"{where}/{name}", node["schema"], example["value"]
        elif isinstance(node.get("examples"), list):
            for example in node["examples"]:
                yield where, {k: v for k, v in node.items() if k != "examples"}, example


EXAMPLES = list(examples(DOCUMENT))


def test_the_document_is_valid_openapi_3_1():
    """Checked against the specification's own schema."""
    assert DOCUMENT["openapi"].startswith("3.1")
    openapi_spec_validator.validate(DOCUMENT)


def test_there_are_examples_for_input_output_and_schemas():
    """Otherwise the next test would show nothing."""
    where = " ".join(place for place, _, _ in EXAMPLES)
    for part in ("requestBody", "responses/202", "responses/200", "components/schemas"):
        assert part in where
    assert len(EXAMPLES) >= 7


@pytest.mark.parametrize(("where", "schema", "example"), EXAMPLES, ids=[e[0] for e in EXAMPLES])
def test_every_example_fits_its_schema(where, schema, example):
    """What the page offers to try is what the server takes and gives."""
    del where
    validator(schema).validate(example)


@pytest.mark.parametrize(
    "example",
    [example for where, _, example in EXAMPLES if "/tasks/post/requestBody" in where],
)
def test_every_request_example_is_a_submission(example):
    """The reader itself accepts it."""
    assert isinstance(read_json(msgspec.json.encode(example), LIMITS), Submission)


def test_the_example_of_a_batch_is_one():
    """The reader of batches accepts it."""
    (example,) = [found for where, _, found in EXAMPLES if "/batches/post/requestBody" in where]
    assert len(read_batch(msgspec.json.encode(example), LIMITS)) == len(example["tasks"])


def test_the_gateways_limits_are_in_the_document():
    """A client can know them before it asks."""
    properties = DOCUMENT["components"]["schemas"]["Submission"]["properties"]
    assert properties["shots"]["maximum"] == 12_345
    assert "67" in properties["timeout_s"]["description"]


def test_another_gateways_limits_do_not_leak_into_this_one():
    """Each document is its own."""
    other = document(Limits(max_shots=9))
    shots = other["components"]["schemas"]["Submission"]["properties"]["shots"]
    assert (shots["maximum"], shots["default"]) == (9, 9)
    properties = document(LIMITS)["components"]["schemas"]["Submission"]["properties"]
    assert properties["shots"]["maximum"] == 12_345


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"qc": ""},
        {"qc": 1},
        {"qc": "x", "shots": 0},
        {"qc": "x", "shots": 12_346},
        {"qc": "x", "shots": "1"},
        {"qc": "x", "seed": -1},
        {"qc": "x", "seed": 2**63},
        {"qc": "x", "method": "fast"},
        {"qc": "x", "timeout_s": 0},
        {"qc": "x", "parameters": []},
        {"qc": "x", "parameters": {"theta": "x"}},
        {"qc": "x", "parameters": [{"theta": 1}, 5]},
        {"qc": "x", "noise_model": {"readout": {"p01": 2}}},
        {"qc": "x", "noise_model": {"wat": 2}},
        {"qc": "x", "noise_model": {"errors": [{"type": "wat"}]}},
        {"qc": "x", "observables": {"Q": 1}},
        {"qc": "x", "observables": [{}]},
        {"qc": "x", "precision": "half"},
        {"qc": "x", "method_options": {"wat": 1}},
        {"qc": "x", "method_options": {"fusion_max_qubit": 99}},
        {"qc": "x", "tags": [""]},
        {"qc": "x", "tags": ["a"] * 17},
        {"qc": "x", "name": "n" * 201},
        {"qc": "x", "unknown": 1},
    ],
)
def test_what_the_schema_refuses_the_reader_refuses_too(body):
    """The published schema and the check behind it agree on what is wrong."""
    schema = {"$ref": "#/components/schemas/Submission"}
    assert list(validator(schema).iter_errors(body))
    with pytest.raises(FieldError):
        read_json(msgspec.json.encode(body), LIMITS)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("Task", Task(task_id="t", status="pending", message="m")),
        ("Task", Task(task_id="t", status="completed", message="m", memory=("0",))),
        ("Problem", Problem(type="t", title="t", status=404, detail="d", code="not_found")),
    ],
)
def test_messages_as_sent_fit_their_schemas(name, message):
    """`null` where allowed, absent where absent."""
    schema = {"$ref": f"#/components/schemas/{name}"}
    validator(schema).validate(msgspec.json.decode(msgspec.json.encode(message)))


def test_every_route_is_documented_and_every_documented_path_exists():
    """Method by method, the pages of the documentation itself aside."""
    routes = {
        (route.method.lower(), route.resource.canonical)
        for route in build_app(1).router.routes()
        if route.method != "HEAD"
    }
    documented = {
        (method, path) for path, methods in DOCUMENT["paths"].items() for method in methods
    }
    assert documented == routes


def test_every_reference_leads_somewhere():
    """No schema is named that is not there."""
    found = {node["$ref"] for _, node in nodes(DOCUMENT) if "$ref" in node}
    assert found
    names = {f"#/components/schemas/{name}" for name in DOCUMENT["components"]["schemas"]}
    assert found <= names
