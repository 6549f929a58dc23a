"""What the queue's messages are understood to say."""

from __future__ import annotations

import json
from urllib.parse import quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stereo_spot_dagster.sensors.drop_messages import MalformedMessage, Upload, parse_message

KEYS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=50)


def notification(key: str, name: str = "ObjectCreated:Put", **stored: str) -> dict:
    entry = {"bucket": {"name": "media"}, "object": {"key": key, **stored}}
    return {"Records": [{"eventName": name, "s3": entry}]}


@given(key=KEYS)
def test_any_key_is_the_same_from_s3_and_from_event_bridge(key: str) -> None:
    detail = {"bucket": {"name": "media"}, "object": {"key": key, "version-id": "v"}}
    bridge = {"detail-type": "Object Created", "detail": detail}
    s3 = notification(quote_plus(key, safe="/"), versionId="v")
    assert parse_message(json.dumps(bridge)) == parse_message(json.dumps(s3)) == [Upload("media", key, "v")]


def test_all_records_of_a_message_are_read() -> None:
    message = {"Records": notification("a")["Records"] + notification("b")["Records"]}
    assert parse_message(json.dumps(message)) == [Upload("media", "a"), Upload("media", "b")]


def test_a_notification_may_come_through_sns() -> None:
    message = {"Type": "Notification", "TopicArn": "arn", "Message": json.dumps(notification("a+b"))}
    assert parse_message(json.dumps(message)) == [Upload("media", "a b")]


@pytest.mark.parametrize(
    "message",
    [
        {"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "media"},
        {"detail-type": "Object Deleted", "detail": {}},
        notification("a", "ObjectRemoved:Delete"),
        {"Records": []},
    ],
)
def test_messages_about_other_things_tell_of_no_upload(message: dict) -> None:
    assert parse_message(json.dumps(message)) == []


NOT_TEXT = {"detail-type": "Object Created", "detail": {"bucket": {"name": 1}, "object": {"key": 2}}}
NO_MESSAGES = ["", "not json", "3", "[]", "{}", "null", "[" * 100_000]
NO_FIELDS = ['{"Records": [{}]}', '{"Records": 3}', '{"detail-type": "Object Created"}']
WRONG_FIELDS = [json.dumps(NOT_TEXT), json.dumps(notification("%ff"))]


@pytest.mark.parametrize("body", NO_MESSAGES + NO_FIELDS + WRONG_FIELDS)
def test_what_nobody_sends_is_malformed(body: str) -> None:
    with pytest.raises(MalformedMessage):
        parse_message(body)
