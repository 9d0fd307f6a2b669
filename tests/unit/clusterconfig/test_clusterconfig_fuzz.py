"""Whatever a document holds, it is translated, or refused with places that can be pointed at."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.clusters.clusterconfig import schema, translate
from app.core.errors import InvalidError

WORDS = """
a subnet-1 eu-central-1a 10.0.0.0/16 10.0.0.0/x m5.large m6g.large NoSchedule a:b: b:NoExecute Bottlerocket AmazonLinux2
all * IPv6 Single latest { - a gp3 gp2
"""
words = st.sampled_from(["", *WORDS.split()])
scalars = st.none() | st.booleans() | st.integers() | st.floats() | words | st.text(max_size=8)
anything = st.recursive(
    scalars,
    lambda inside: st.lists(inside, max_size=3) | st.dictionaries(st.text(max_size=4) | words, inside, max_size=3),
    max_leaves=8,
)


def document_like(keys):
    """Documents with the right keys and any values, so that every reader and what follows it is reached."""
    fields = {}
    for name, inside in keys.items():
        fields[name] = anything | {
            "managedNodeGroups": st.lists(groups, max_size=3),
            "addons": st.lists(addons, max_size=2),
            "public": subnets,
            "private": subnets,
            "taints": st.lists(taints, max_size=2) | st.dictionaries(words, words, max_size=2),
        }.get(name, st.nothing() if inside is None else document_like(inside))
    return st.fixed_dictionaries({}, optional=fields)


subnets = st.dictionaries(words, st.deferred(lambda: document_like(schema.SUBNET)), max_size=3)
taints = st.deferred(lambda: document_like(schema.TAINT))
addons = st.deferred(lambda: document_like(schema.ADDON))
groups = st.deferred(lambda: document_like(schema.MANAGED_NODE_GROUP))

strings = st.dictionaries(words, words, max_size=2)
plausible = st.fixed_dictionaries(
    {
        "apiVersion": st.just("eksctl.io/v1alpha5"),
        "kind": st.just("ClusterConfig"),
        "metadata": st.fixed_dictionaries(
            {"name": words, "region": words}, optional={"version": words, "tags": strings, "annotations": strings}
        ),
    },
    optional={
        "vpc": st.fixed_dictionaries(
            {"id": words},
            optional={
                "cidr": st.just("10.0.0.0/16"),
                "subnets": st.fixed_dictionaries(
                    {},
                    optional={
                        kind: st.dictionaries(words, st.fixed_dictionaries({"id": words}, optional={"az": words}))
                        for kind in ("public", "private")
                    },
                ),
            },
        ),
        "managedNodeGroups": st.lists(
            st.fixed_dictionaries(
                {"name": words},
                optional={
                    "desiredCapacity": st.integers(),
                    "minSize": st.integers(),
                    "instanceTypes": st.lists(words, max_size=2),
                    "privateNetworking": st.booleans(),
                    "subnets": st.lists(words, max_size=2),
                    "availabilityZones": st.lists(words, max_size=2),
                    "taints": strings,
                    "labels": strings,
                    "ssh": st.fixed_dictionaries({}, optional={"allow": st.booleans(), "publicKeyName": words}),
                },
            ),
            max_size=3,
            unique_by=lambda group: group["name"],
        ),
        "addons": st.lists(st.fixed_dictionaries({"name": words}), max_size=1),
        "availabilityZones": st.lists(words, max_size=3),
    },
)


def check(document, resolve):
    before = json.dumps(document)
    try:
        translation = translate(document)
    except InvalidError as error:
        wrong = error.errors
    else:
        wrong = None
    assert json.dumps(document) == before
    if wrong is not None:
        assert wrong
        for place in wrong:
            resolve(document, place.pointer.rpartition("/")[0])  # what is required and missing has no place of its own
        return
    specs = [("", translation.cluster), *((f"/nodegroups/{n}", spec) for n, spec in enumerate(translation.nodegroups))]
    for root, spec in specs:
        for name in spec:
            assert any(f"{target}/".startswith(f"{root}/{name}/") for target in translation.origins), name
        json.dumps(spec)
    for original in (*translation.origins.values(), *(fact.pointer for fact in translation.expectations)):
        resolve(document, original)


@given(anything)
def test_any_json(resolve, document):
    check(document, resolve)


@pytest.mark.slow
@settings(max_examples=300)
@given(st.deferred(lambda: document_like(schema.CLUSTER)))
def test_the_right_keys_with_any_values(resolve, document):
    check(document, resolve)


@settings(max_examples=300)
@given(plausible)
def test_documents_that_nearly_work(resolve, document):
    check(document, resolve)
