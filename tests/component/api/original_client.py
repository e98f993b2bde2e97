"""A client as the original's generators make it from the discovery document: by the same rules, nothing by hand.

It knows resources and methods from the document alone: it fills the path, encodes what is left as the query, sends
the body of a method that has one, follows `nextPageToken`, and raises what `googleapi.Error` is for an error entity.
"""

from __future__ import annotations

import http.client
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode


class ApiError(Exception):
    """An answer from 400 up."""

    def __init__(self, status: int, body: bytes) -> None:
        entity = json.loads(body)["error"]
        super().__init__(entity["message"])
        self.code: int = entity["code"]
        self.status = status


@dataclass(frozen=True, slots=True)
class OriginalClient:
    """`connect` opens a connection; `root` stands where the document has `$ENDPOINT` (`http://domain-sock`)."""

    connect: Callable[[], http.client.HTTPConnection]
    document: dict[str, Any]
    root: str = "http://domain-sock"

    def call(self, resource: str, method: str, body: Any = None, **parameters: str) -> Any:
        """Call one method; returns the decoded answer, or None for an empty one."""
        described = self.document["resources"][resource]["methods"][method]
        known = described.get("parameters", {})
        assert parameters.keys() <= known.keys(), "a generated client has no other parameters"
        assert (body is not None) is ("request" in described)
        path = f"/{self.document['servicePath']}{described['path']}"
        query = {}
        for name, value in parameters.items():
            if known[name]["location"] == "path":
                path = re.sub(r"\{" + name + r"\}", quote(value, safe=""), path)
            else:
                query[name] = value
        query["alt"] = "json"  # generated clients add it to every request
        headers = {"User-Agent": "google-api-go-client/0.5", "Host": self.root.removeprefix("http://")}
        if body is not None:
            headers["Content-Type"] = "application/json"
        connection = self.connect()
        try:
            encoded = json.dumps(body).encode() + b"\n" if body is not None else None
            connection.request(described["httpMethod"], f"{path}?{urlencode(query)}", encoded, headers)
            response = connection.getresponse()
            answer = response.read()
        finally:
            connection.close()
        if response.status >= 400:
            raise ApiError(response.status, answer)
        if "response" in described:
            assert response.headers["Content-Type"].split(";")[0] == "application/json"
            return json.loads(answer)
        return None

    def pages(self, resource: str, items: str, **parameters: str) -> Iterator[Any]:
        """Every item of a collection, page by page."""
        token: dict[str, str] = {}
        while True:
            page = self.call(resource, "List", **parameters, **token)
            yield from page.get(items, [])
            if "nextPageToken" not in page:
                return
            token = {"nextPageToken": page["nextPageToken"]}
