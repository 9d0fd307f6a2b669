"""Tags, as AWS takes them."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from app.core.fields import Tags

TAGS = TypeAdapter(Tags)


@pytest.mark.parametrize("key", ["Ref", "Condition", "Fn::ImportValue", "Fn::GetAtt", "Fn::Transform", "Fn::"])
def test_a_key_that_is_a_function_of_cloudformation_is_refused(key):
    for tags in ({key: "AWS::AccountId"}, {key: "x", "team": "shop"}):
        with pytest.raises(ValidationError, match="is a function of CloudFormation"):
            TAGS.validate_python(tags)


@pytest.mark.parametrize("text", ["new\nline", "tab\there", "nul\0", "a{b}", "a,b", "😀", "a\u200db"])
def test_characters_that_aws_refuses(text):
    for tags in ({text: "x"}, {"x": text}):
        with pytest.raises(ValidationError, match="are allowed"):
            TAGS.validate_python(tags)


@pytest.mark.parametrize(
    "tags",
    [
        {"ref": "x", "fn::x": "y", "Refs": "", "conditions": "a b", "größe": "東京 ½", "a/b:c=d+e-f@g.h": "_"},
        {"k" * 128: "v" * 256},
        {f"key{number}": "" for number in range(45)},
    ],
)
def test_what_aws_takes_is_taken(tags):
    assert TAGS.validate_python(tags) == tags


@pytest.mark.parametrize(
    "tags",
    [
        {"": "x"},
        {"k" * 129: ""},
        {"k": "v" * 257},
        {f"key{number}": "" for number in range(46)},
        {"aws:x": ""},
        {"AWS:x": ""},
        {"slipway:id": ""},
    ],
)
def test_what_aws_or_slipway_keeps_for_itself_is_refused(tags):
    with pytest.raises(ValidationError):
        TAGS.validate_python(tags)


@given(st.dictionaries(st.text(max_size=130), st.text(max_size=260), max_size=4))
def test_tags_are_taken_as_they_are_or_refused(tags):
    with contextlib.suppress(ValidationError):
        assert TAGS.validate_python(tags) == tags
