"""Errors of pydantic in the caller's words."""

from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field, field_validator

from app.core.errors import InvalidError
from app.core.validation import MAX_ERRORS, did_you_mean, json_pointer, validate


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class Taint(Strict):
    key: str
    effect: Literal["NO_SCHEDULE", "NO_EXECUTE"]


class New(Strict):
    kind: Literal["new"]
    cidr: str


class Existing(Strict):
    kind: Literal["existing"]
    vpc_id: str


class Scaling(Strict):
    min: int = Field(ge=0)
    max: int = Field(ge=1)


class Spec(Strict):
    name: str = Field(min_length=1, pattern="^[a-z]+$")
    instance_types: list[str] = Field(default=[], max_length=2)
    taints: list[Taint] = []
    scaling: Scaling | None = None
    network: Annotated[New | Existing, Field(discriminator="kind")] | None = None
    either: int | Scaling | None = None
    labels: dict[str, Scaling] = {}
    flag: bool = False

    @field_validator("name")
    @classmethod
    def not_reserved(cls, value: str) -> str:
        if value == "kube":
            raise ValueError("is reserved.")
        return value


def errors_of(data: Any, pointer: str = "") -> dict[str, str]:
    with pytest.raises(InvalidError) as caught:
        validate(Spec, data, pointer=pointer)
    return {error.pointer: error.detail for error in caught.value.errors}


def test_what_is_right_is_returned() -> None:
    assert validate(Spec, {"name": "a"}) == Spec(name="a")
    assert validate(list[int], [1]) == [1]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ({}, {"/name": "is required"}),
        ([], {"": "must be an object"}),
        (None, {"": "must be an object"}),
        ({"name": 5}, {"/name": "must be a string"}),
        ({"name": ""}, {"/name": "must have at least 1 characters"}),
        ({"name": "A"}, {"/name": "must match ^[a-z]+$"}),
        ({"name": "kube"}, {"/name": "is reserved"}),
        ({"name": "a", "flag": "true"}, {"/flag": "must be true or false"}),
        ({"name": "a", "instance_types": "x"}, {"/instance_types": "must be a list"}),
        ({"name": "a", "instance_types": ["x"] * 3}, {"/instance_types": "must have at most 2 entries"}),
        ({"name": "a", "instance_types": ["x", 1]}, {"/instance_types/1": "must be a string"}),
        ({"name": "a", "scaling": {"min": "1", "max": 0}}, {
            "/scaling/min": "must be an integer", "/scaling/max": "must be at least 1"}),
        ({"name": "a", "scaling": {"min": 1.5, "max": 1}}, {"/scaling/min": "must be an integer"}),
        ({"name": "a", "scaling": {"min": True, "max": 1}}, {"/scaling/min": "must be an integer"}),
        ({"name": "a", "taints": [{"key": "k", "effect": "NoSchedule"}]}, {
            "/taints/0/effect": "must be one of 'NO_SCHEDULE' or 'NO_EXECUTE'"}),
        ({"name": "a", "labels": {"a/b~c": {"min": 0}}}, {"/labels/a~1b~0c/max": "is required"}),
    ],
)  # fmt: skip
def test_places_and_sentences(data: Any, expected: dict[str, str]) -> None:
    assert errors_of(data) == expected


def test_names_of_union_branches_are_no_part_of_a_pointer() -> None:
    assert errors_of({"name": "a", "network": {"kind": "new"}}) == {"/network/cidr": "is required"}
    assert errors_of({"name": "a", "network": {"kind": "odd"}}) == {
        "/network": "'kind' must be one of 'new', 'existing'"
    }
    assert errors_of({"name": "a", "network": {}}) == {"/network": "must say which kind it is, in 'kind'"}
    assert errors_of({"name": "a", "either": "x"}) == {"/either": "must be an integer, or must be an object"}


@pytest.mark.parametrize(
    ("data", "pointer", "meant"),
    [
        ({"nmae": "a"}, "/nmae", "name"),
        ({"instanceTypes": []}, "/instanceTypes", "instance_types"),
        ({"instance-type": []}, "/instance-type", "instance_types"),
        ({"scaling": {"minn": 1, "min": 1, "max": 1}}, "/scaling/minn", "min"),
        ({"taints": [{"key": "a", "effect": "NO_SCHEDULE", "keyy": 1}]}, "/taints/0/keyy", "key"),
        ({"network": {"kind": "existing", "vpc_id": "v", "vpcid": 1}}, "/network/vpcid", "vpc_id"),
        ({"labels": {"x": {"min": 1, "max": 1, "maxx": 2}}}, "/labels/x/maxx", "max"),
    ],
)
def test_unknown_fields_are_guessed(data: dict[str, Any], pointer: str, meant: str) -> None:
    assert errors_of({"name": "a"} | data)[pointer] == f'unknown field; did you mean "{meant}"?'


def test_no_guess_is_better_than_a_wild_one() -> None:
    assert errors_of({"name": "a", "zzz": 1}) == {"/zzz": "unknown field"}
    assert did_you_mean("x" * 10_000, ["x"]) == ""


def test_the_pointer_of_the_part_comes_first() -> None:
    assert errors_of({"name": 1}, pointer="/nodegroups/0") == {"/nodegroups/0/name": "must be a string"}


def test_errors_are_bounded() -> None:
    assert len(errors_of({"name": "a"} | {f"x{n}": 1 for n in range(1000)})) == MAX_ERRORS


def test_one_error_is_told_in_the_message() -> None:
    with pytest.raises(
        InvalidError, match=r'^The request is not valid at /nmae: unknown field; did you mean "name"\.$'
    ):
        validate(Spec, {"name": "a", "nmae": 1})
    with pytest.raises(InvalidError, match="in 2 places"):
        validate(Spec, {"x": 1})


def test_pointers_are_escaped() -> None:
    assert json_pointer(["a/b", "c~d", 0, ""]) == "/a~1b/c~0d/0/"
    assert json_pointer([]) == ""
