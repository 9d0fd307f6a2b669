"""What a node group's spec refuses, and where it says so."""

import pytest

from app.core.errors import InvalidError
from app.core.validation import validate
from app.kinds.nodegroup.spec import NODEGROUP_EXAMPLE, NodegroupSpec


@pytest.mark.parametrize("field", ["tags", "labels"])
@pytest.mark.parametrize("key", ["Ref", "Condition"])
def test_no_map_of_the_callers_is_a_function_of_cloudformation(field, key):
    with pytest.raises(InvalidError) as caught:
        validate(NodegroupSpec, {**NODEGROUP_EXAMPLE, field: {key: "AccountId"}})
    assert [(place.pointer, "function of CloudFormation" in place.detail) for place in caught.value.errors] == [
        (f"/{field}", True)
    ]
