"""Every handler of a route has at most ten lines: what a change does stands where it can be called without HTTP."""

import ast
from collections.abc import Iterator
from pathlib import Path

import app

APP = Path(app.__file__).parent
MOST_LINES = 10
VERBS = {"get", "post", "put", "patch", "delete", "head", "options", "trace", "api_route"}
Function = ast.FunctionDef | ast.AsyncFunctionDef


def functions(tree: ast.AST) -> Iterator[Function]:
    yield from (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def is_decorated(function: Function) -> bool:
    """Tell whether a function is a handler by a decorator such as `@router.get(…)`."""
    called = [each.func for each in function.decorator_list if isinstance(each, ast.Call)]
    return any(isinstance(each, ast.Attribute) and each.attr in VERBS for each in called)


def is_made_by_routes(function: Function, tree: ast.Module) -> bool:
    """Tell whether a function is one that `kinds.routes` makes for each kind, and adds by a call."""
    makers = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == "routes"]
    return any(function in maker.body for maker in makers)


def handlers() -> dict[str, Function]:
    found: dict[str, Function] = {}
    for path in sorted(APP.rglob("*.py")):
        tree = ast.parse(path.read_text())
        for function in functions(tree):
            if is_decorated(function) or is_made_by_routes(function, tree):
                found[f"{path.relative_to(APP)}:{function.name}"] = function
    return found


def lines_of(function: Function) -> int:
    """Return the lines of a function's body, without its docstring."""
    body = function.body[1:] if ast.get_docstring(function) is not None else function.body
    return int(body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0


def test_every_handler_is_short() -> None:
    found = handlers()
    assert {
        "releases/router.py:roll_back_release",
        "kinds/routes.py:update",
        "clusters/router.py:create_cluster",
    } < set(found)
    too_long = {name: lines for name, function in found.items() if (lines := lines_of(function)) > MOST_LINES}
    assert too_long == {}


def test_no_router_hides_from_the_rule() -> None:
    """Each file that makes an `APIRouter` has handlers that the rule saw."""
    seen = {name.partition(":")[0] for name in handlers()}
    makers = {str(path.relative_to(APP)) for path in APP.rglob("*.py") if "= APIRouter(" in path.read_text()}
    assert makers - seen == set()
