"""What Slipway is compared with: a bare FastAPI app under uvicorn, started as `slipway serve` is.

`GET /clusters` gives the same document as Slipway's, by two hand-written SELECTs and the standard library's json: no
login, no checks, no model. Run as `python -m benchmarks.bare PORT [SQLITE FILE]`.
"""

import json
import sqlite3
import sys
from typing import Any

import uvicorn
from fastapi import FastAPI, Response

_CLUSTERS = """
SELECT id, name, spec, phase, conditions, outputs, observed_generation, generation, created_at, updated_at, deleted_at
FROM clusters WHERE project_id = 'prj_00000000000000000000000000' AND deleted_at IS NULL ORDER BY id DESC LIMIT ?
"""
_ADDONS = "SELECT cluster_id, name, phase, spec FROM addons WHERE cluster_id IN ({}) AND deleted_at IS NULL ORDER BY id"


def create_app(path: str | None) -> FastAPI:
    """Return the app; with no database it only tells that it is ready."""
    app = FastAPI()
    connection = sqlite3.connect(path, check_same_thread=False) if path else None

    @app.get("/readyz")
    async def readyz() -> dict[str, str]:
        return {"status": "ok"}

    @app.get("/clusters")
    async def clusters(limit: int = 50) -> Response:
        assert connection is not None
        rows = connection.execute(_CLUSTERS, (limit,)).fetchall()
        marks = ",".join("?" * len(rows))
        addons: dict[str, list[dict[str, Any]]] = {row[0]: [] for row in rows}
        for cluster, name, phase, spec in connection.execute(_ADDONS.format(marks), list(addons)):
            version = json.loads(spec)["version"]
            addons[cluster].append({"name": name, "phase": phase, "version": version, "message": ""})
        document = {"items": [_item(row, addons[row[0]]) for row in rows], "next_page_token": rows[-1][0]}
        return Response(json.dumps(document), media_type="application/json")

    return app


def _item(row: Any, addons: list[dict[str, Any]]) -> dict[str, Any]:
    cluster, name, spec, phase, conditions, outputs, observed, generation, created, updated, deleted = row
    return {
        "id": cluster,
        "name": name,
        "spec": json.loads(spec),
        "status": {
            "phase": phase,
            "conditions": json.loads(conditions),
            "outputs": json.loads(outputs),
            "observed_generation": observed,
            "addons": addons,
        },
        "generation": generation,
        "created_at": _time(created),
        "updated_at": _time(updated),
        "deleted_at": _time(deleted),
    }


def _time(text: str | None) -> str | None:
    return None if text is None else text.replace(" ", "T") + "Z"


if __name__ == "__main__":
    port, database = int(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else None
    uvicorn.run(create_app(database), port=port, loop="uvloop", access_log=False, log_config=None)
