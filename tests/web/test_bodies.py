from __future__ import annotations

import io

import pytest

from appliance.errors import RequestError
from appliance.web.bodies import FORM, JSON, Body


def body(octets: bytes, kind: str = JSON, limit: int = 1000, **environ) -> Body:
    return Body(
        {
            "CONTENT_TYPE": kind,
            "CONTENT_LENGTH": str(len(octets)),
            "wsgi.input": io.BytesIO(octets),
            **environ,
        },
        limit,
    )


def refusal(given: Body, *known: str) -> tuple[int, str]:
    with pytest.raises(RequestError) as caught:
        given.single(known or ("Name",))
    return caught.value.status, caught.value.message


def test_body_when_form_or_json_then_values():
    assert body(b"Name=a%20b&Info=", FORM).single(("Name", "Info")) == {"Name": "a b", "Info": ""}
    assert body(b'{"Name": "\\u00e9", "Info": 5}').single(("Name", "Info")) == {
        "Name": "é",
        "Info": "5",
    }
    assert body(b"role=a&role=b", FORM).values(("role",)) == {"role": ["a", "b"]}
    assert body(b'{"role": ["a", "b"]}', f"{JSON}; charset=utf-8").values(("role",)) == {
        "role": ["a", "b"]
    }
    assert body(b"", "").single(("Name",)) == {}
    assert body("Name=Müller".encode(), FORM).single(("Name",)) == {"Name": "Müller"}


def test_body_when_null_is_allowed_then_an_empty_text():
    nulls = body(b'{"Name": null, "Info": "x"}')
    assert nulls.single(("Name", "Info"), nullable=("Name",)) == {"Name": "", "Info": "x"}
    assert body(b'{"Name": null}').values(("Name",), ("Name",)) == {"Name": [""]}


def test_body_when_a_flag_is_true_in_json_then_its_text():
    given = body(b'{"exact": true, "raw": false}')
    assert given.values(("exact", "raw"), flags=("exact", "raw")) == {
        "exact": ["true"],
        "raw": ["false"],
    }


@pytest.mark.parametrize(
    ("octets", "kind", "status", "message"),
    [
        (b"Name=x", "text/plain", 415, f"Expected a body of type {FORM} or {JSON}"),
        (b"Name=x&Nmae=y&z=1", FORM, 400, "Unknown parameters: Nmae, z; expected Name"),
        (b"Name=x&Name=y", FORM, 400, "Name is given 2 times, expected once"),
        (b"Name=%FF", FORM, 400, "The body is not a form in UTF-8"),
        (b"Name=\xff", FORM, 400, "The body is not a form in UTF-8"),
        (b"&".join(b"Name=1" for _ in range(120)), FORM, 400, "The body is not a form in UTF-8"),
        (b"{", JSON, 400, "The body is not JSON"),
        (b"\xff\xfe", JSON, 400, "The body is not JSON"),
        (b"[" * 900, JSON, 400, "The body is not JSON"),
        (b"[1]", JSON, 400, "The body is not a JSON object"),
        (b'{"Name": {"a": 1}}', JSON, 400, "Name: expected text"),
        (b'{"Name": true}', JSON, 400, "Name: expected text"),
        (b'{"Name": null}', JSON, 400, "Name: expected text"),
        (b'{"Name": [null]}', JSON, 400, "Name: expected text"),
        (b'{"Name": "\\ud800"}', JSON, 400, "Name: expected text in UTF-8"),
        (b'{"Name": []}', JSON, 400, "Name is given 0 times, expected once"),
        (b'{"Name": "' + b"x" * 2000 + b'"}', JSON, 413, "The body is larger than 1000 octets"),
    ],
)
def test_body_when_it_cannot_be_used_then_one_sentence(octets, kind, status, message):
    assert refusal(body(octets, kind)) == (status, message)


def test_body_when_length_lies_or_is_missing_then_bounded():
    assert refusal(body(b"{}", CONTENT_LENGTH="x"))[0] == 400
    assert refusal(body(b"{}", CONTENT_LENGTH="-5"))[0] == 400
    assert refusal(body(b"{}", CONTENT_LENGTH="9" * 5000))[0] == 400
    endless = {"CONTENT_LENGTH": "", "wsgi.input_terminated": True}
    assert refusal(body(b"x" * 5000, **endless))[0] == 413
    assert body(b'{"Name": "x"}', **endless).single(("Name",)) == {"Name": "x"}
    assert body(b'{"Name": "x"}', CONTENT_LENGTH="").single(("Name",)) == {}


def test_body_when_nesting_is_deep_then_not_json():
    assert refusal(body(b"[" * 100_000, limit=10**6))[0] == 400
