"""Documents to begin with, and ways to look at what becomes of them."""

import copy

import pytest

from app.clusters.clusterconfig import translate
from app.core.errors import InvalidError

MINIMAL = {
    "apiVersion": "eksctl.io/v1alpha5",
    "kind": "ClusterConfig",
    "metadata": {"name": "demo", "region": "eu-central-1"},
}


class Documents:
    """Makes documents; what it is given is put over the smallest document there is."""

    def __call__(self, **sections):
        document = copy.deepcopy(MINIMAL)
        for name, section in sections.items():
            if name == "metadata":
                document["metadata"] |= section
            else:
                document[name] = section
        return document

    def with_group(self, **keys):
        return self(managedNodeGroups=[{"name": "workers", **keys}])

    def cluster(self, **sections):
        return translate(self(**sections)).cluster

    def group(self, **keys):
        (group,) = translate(self.with_group(**keys)).nodegroups
        return group

    def errors(self, *documents, **sections):
        """The wrong places of a document: pointer -> detail."""
        (document,) = documents or (self(**sections),)
        with pytest.raises(InvalidError) as caught:
            translate(document)
        errors = caught.value.errors
        assert errors
        assert len({error.pointer for error in errors}) == len(errors), errors
        return {error.pointer: error.detail for error in errors}


@pytest.fixture(scope="session")
def documents():
    return Documents()


def resolve(document, pointer):
    """Look up a JSON pointer; raises when nothing is there."""
    place = document
    for token in pointer.split("/")[1:]:
        key = token.replace("~1", "/").replace("~0", "~")
        place = place[int(key)] if isinstance(place, list) else place[key]
    return place


@pytest.fixture(scope="session", name="resolve")
def resolve_fixture():
    return resolve
