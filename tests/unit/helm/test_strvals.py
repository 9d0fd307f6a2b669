"""`--set` expressions: what helm 4.3.1 makes of them, as it was recorded by asking it, and asked again for some."""

import json
import subprocess
from pathlib import Path

import pytest
import yaml
from unit.helm.conftest import chart_of

from app.gateways.helm.strvals import SetExpressionError, with_set

RECORD: dict[str, object] = {
    "a=b": {"a": "b"},
    "a.b=c": {"a": {"b": "c"}},
    "a.b.c=1,a.b.d=2": {"a": {"b": {"c": 1, "d": 2}}},
    "ingress.enabled=true": {"ingress": {"enabled": True}},
    "a=TRUE,b=False,c=NULL": {"a": True, "b": False, "c": None},
    "a=null": {"a": None},
    "a=0": {"a": 0},
    "a=00": {"a": "00"},
    "a=007": {"a": "007"},
    "a=1.5": {"a": "1.5"},
    "a=-5": {"a": -5},
    "a=+5": {"a": 5},
    "a=9223372036854775807": {"a": 9223372036854775807},
    "a=9223372036854775808": {"a": "9223372036854775808"},
    "a=1e3": {"a": "1e3"},
    "a=": {"a": ""},
    "a=,b=1": {"a": "", "b": 1},
    "a={x,y}": {"a": ["x", "y"]},
    "a={1,true,null}": {"a": [1, True, None]},
    "a={}": {"a": [""]},
    "a={x},b=2": {"a": ["x"], "b": 2},
    "a={x}b=2": {"a": ["x"], "b": 2},
    "a[0]=x": {"a": ["x"]},
    "a[0].b=x,a[0].c=y": {"a": [{"b": "x", "c": "y"}]},
    "a[2]=x": {"a": [None, None, "x"]},
    "a[1].b=x": {"a": [None, {"b": "x"}]},
    "a[0][1]=z": {"a": [[None, "z"]]},
    "a[0]={x,y}": {"a": [["x", "y"]]},
    "a\\.b=c": {"a.b": "c"},
    "a=b\\,c": {"a": "b,c"},
    "a.b\\.c/d=e": {"a": {"b.c/d": "e"}},
    "nodeSelector.kubernetes\\.io/role=master": {"nodeSelector": {"kubernetes.io/role": "master"}},
    "a=b=c": {"a": "b=c"},
    "a='x y'": {"a": "'x y'"},
    "a= x ": {"a": " x "},
    "a=ä€": {"a": "ä€"},
    "a=x\\": {"a": "x"},
    "a=\\{x\\}": {"a": "{x}"},
    "a={x\\,y,z}": {"a": ["x,y", "z"]},
    "a[0].b[1].c=d": {"a": [{"b": [None, {"c": "d"}]}]},
    "replicas=3": {"replicas": 3},
    "replicas.x=3x": {"replicas": {"x": "3x"}},
    "a=b,a=c": {"a": "c"},
    "a.b=1,a.b=2": {"a": {"b": 2}},
    "a[0]=1,a[0]=2": {"a": [2]},
    "a=0x10": {"a": "0x10"},
    "a=--5": {"a": "--5"},
    "a=1_000": {"a": "1_000"},
    "a.b=,c=d": {"a": {"b": ""}, "c": "d"},
    'a="q"': {"a": '"q"'},
    "=x": {},
    ".a=x": {},
    "": {},
    "a[0]=": {"a": [""]},
    "a={x,}": {"a": ["x", ""]},
    "a=nUll,b=nulls": {"a": None, "b": "nulls"},
    "x.y[1].z=k": {"x": {"y": [None, {"z": "k"}]}},
}
"""Expression -> what `helm template --set` gives a chart without values."""

WRONG = [
    "a", "a.b", "a,b=1", "a[x]=1", "a[-1]=1", "a[65537]=1", "a[0]x=1", "a={x", "a[0].b", "a.=x",
    ".".join("abcdefghijklmnopqrstuvwxyzABCDEFG") + "=1",
]  # fmt: skip
UNFINISHED = ["a[0]", "a[", "a[0", "a..", "a.b."]
"""Helm takes these and does nothing, or half of it: a caller wants to hear of them."""


@pytest.mark.parametrize("expression", RECORD)
def test_values_are_helms(expression: str) -> None:
    assert with_set({}, [expression]) == RECORD[expression]


@pytest.mark.parametrize("expression", [*WRONG, *UNFINISHED])
def test_wrong_expressions_are_refused(expression: str) -> None:
    with pytest.raises(SetExpressionError):
        with_set({}, [expression])


def test_the_record_is_still_helms(helm_binary: Path, tmp_path: Path) -> None:
    (tmp_path / "demo.tgz").write_bytes(chart_of(values_yaml="x: {k: [1]}\n"))
    expressions = [
        "a.b={1,t\\,rue,null}",
        "c[1].d=007,c[1].e=1.5",
        "a.f\\.g/h=TRUE",
        "x.k[1].z=k",
        "i=x\\",
        "j=9223372036854775808",
    ]
    command = [str(helm_binary), "template", "x", str(tmp_path / "demo.tgz")]
    command += [word for expression in expressions for word in ("--set", expression)]
    done = subprocess.run(command, capture_output=True, env={"HOME": str(tmp_path)}, check=True)
    expected = json.loads(yaml.safe_load(done.stdout)["data"]["values"])
    # Helm's list of the command line replaces the chart's own.
    assert with_set({"x": {}}, expressions) == expected


@pytest.mark.parametrize("expression", WRONG[:3])
def test_helm_refuses_them_too(helm_binary: Path, tmp_path: Path, expression: str) -> None:
    (tmp_path / "demo.tgz").write_bytes(chart_of())
    command = [str(helm_binary), "template", "x", str(tmp_path / "demo.tgz"), "--set", expression]
    assert subprocess.run(command, capture_output=True, env={"HOME": str(tmp_path)}, check=False).returncode == 1


def test_values_are_extended_and_left_alone() -> None:
    values = {"ingress": {"enabled": False, "hosts": ["a"]}, "n": 1}
    assert with_set(values, ["ingress.enabled=true", "ingress.hosts[1]=b", "n=null"]) == {
        "ingress": {"enabled": True, "hosts": ["a", "b"]},
        "n": None,
    }
    assert values == {"ingress": {"enabled": False, "hosts": ["a"]}, "n": 1}


def test_the_wrong_expression_is_named() -> None:
    with pytest.raises(SetExpressionError) as caught:
        with_set({"a": 1}, ["b=2", "a.c=3"])
    assert caught.value.expression == 1


def test_lists_stay_within_bounds() -> None:
    with pytest.raises(SetExpressionError, match="larger than"):
        with_set({}, [f"a[{index}][65536]=x" for index in range(20)])


@pytest.mark.parametrize("key", ["a" + "[0]" * 100_000, "a" + "[0].b" * 5_000, "a" + ".b" * 5_000, "a" + "[0]" * 31])
def test_levels_stay_within_bounds(key: str) -> None:
    """Each is a level of the reader's own recursion, and of the values."""
    with pytest.raises(SetExpressionError, match="30 levels"):
        with_set({}, [f"{key}=x"])


def test_as_many_levels_as_helm_has() -> None:
    value: object = "x"
    for _ in range(30):
        value = [value]
    assert with_set({}, ["a" + "[0]" * 30 + "=x"]) == {"a": value}
