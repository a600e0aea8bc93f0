"""Schemathesis over an application's document, in process: how many requests, and which answers were wrong.

Law: the same requests at each run. Its seed is fixed and nothing is remembered between runs. A finding that is left out
has its reason in `is_a_fault`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

SEED = 20_260
NOT_IN_SCHEMAS = (
    b"has to be an integer, not a number",  # 2.0 is an integer to JSON Schema; here 2 alone is
    b"has to be a decimal number",  # no pattern can tell which exponents a Decimal can have
    b"is a list of entity tags",  # it sends 0 for the pattern of such lists, which has no 0
)
"""Reasons for refusing what fits the schema, because a schema cannot say it."""


@dataclass
class Findings:
    """What a run found: requests by phase, checks made, and each failure once with a command that repeats it."""

    cases: Counter[str] = field(default_factory=Counter[str])
    statuses: Counter[int] = field(default_factory=Counter[int])
    checks: Counter[str] = field(default_factory=Counter[str])
    failures: dict[tuple[str, str, str], str] = field(default_factory=dict[tuple[str, str, str], str])
    errors: list[str] = field(default_factory=list[str])

    @property
    def text(self) -> str:
        """All failures, for a person."""
        listed = [
            f"{check} of {label}: {title}\n    {sample}" for (check, label, title), sample in self.failures.items()
        ]
        return "\n".join([*listed, *self.errors])

    def hear(self, event: Any) -> None:
        """Take in one event of the run."""
        kind = type(event).__name__
        if kind in {"ScenarioFinished", "FuzzScenarioFinished"}:
            self.add(str(getattr(event, "phase", "fuzz")).rpartition(".")[2].lower(), event.recorder)
        elif kind in {"NonFatalError", "FatalError"}:
            self.errors.append(f"{kind}: {getattr(event, 'value', None) or getattr(event, 'exception', event)}")

    def add(self, phase: str, recorder: Any) -> None:
        """Take in what was recorded of one operation in one phase."""
        self.cases[phase] += len(recorder.interactions)
        self.statuses.update(one.response.status_code for one in recorder.interactions.values() if one.response)
        for case_id, nodes in recorder.checks.items():
            for node in nodes:
                self.checks[node.name] += 1
                if node.failure_info is not None:
                    found, answer = node.failure_info.failure, recorder.interactions[case_id].response
                    said = f"{answer.status_code} {answer.content[:200]!r}" if answer else "no answer"
                    key = (node.name, recorder.label, f"{found.title}: {found.message}")
                    self.failures.setdefault(key, f"{node.failure_info.code_sample}\n    {said}")


def is_a_fault(context: Any, failure: Any, case: Any, response: Any) -> bool:
    """Tell whether a finding is one: what cannot be told apart on the wire is none."""
    form = "form" in (case.media_type or "")
    field = re.search(r"in body - (\w+): Incorrect type", failure.message)
    if form and field:  # one text where a list is wanted is a list of one
        return _form_property(case, field[1]).get("type") != "array"
    if re.search(r"in (cookie|header|query) - object with unexpected properties", failure.message):
        return False  # those are of others: a site's other cookies are sent to everyone
    if type(failure).__name__ == "RejectedPositiveData" and any(
        reason in response.content for reason in NOT_IN_SCHEMAS
    ):
        return False
    if advertised := re.search(r"Undocumented methods advertised: ([A-Z, ]+)", failure.message):
        return not {*advertised[1].strip().split(", ")} <= _methods_at(case)
    # It writes names of fields with bare control characters, which no part's header may have (RFC 9112 section 5.5).
    return not (form and response.status_code == 400 and b"a control character in a part's header" in response.content)


def _form_property(case: Any, name: str) -> dict[str, Any]:
    schema = case.operation.get_body_for_media_type(case.media_type).optimized_schema
    found: dict[str, Any] = schema.get("properties", {}).get(name, {})
    return found


def _methods_at(case: Any) -> set[str]:
    """Return the methods of all templates that the path fits: of `/a/{b}` and of `/a/c`."""
    paths: dict[str, Any] = case.operation.schema.raw_schema["paths"]
    fitting = [item for template, item in paths.items() if _fits(template, case.formatted_path)]
    return {method.upper() for item in fitting for method in item}


def _fits(template: str, path: str) -> bool:
    pattern = re.sub(r"\\{[^}]*\\}", "[^/]+", re.escape(template))
    return re.fullmatch(pattern, path) is not None


def fuzz(
    app: Any,
    path: str = "/openapi.json",
    *,
    examples: int = 20,
    log_in: Callable[[], str] | None = None,
    **config: Any,
) -> Findings:
    """Run the phases examples, coverage, fuzzing and stateful, with `examples` generated requests per operation.

    The bearer token that `log_in` gives goes with every request but those that try without; a request may have ended
    the last one. `config` is schemathesis' configuration.
    """
    import schemathesis
    from schemathesis import engine
    from schemathesis.config import SchemathesisConfig
    from schemathesis.python import asgi

    settings = {
        "seed": SEED,
        "generation": {"max-examples": examples, "deterministic": True, "database": "none", "no-shrink": True},
        "analysis": {"constants": {"enabled": False}},
        "cache": {"enabled": False},
        "output": {"sanitization": {"enabled": False}},
        **config,
    }
    schema = schemathesis.openapi.from_asgi(path, app, config=SchemathesisConfig.from_dict(settings))
    schema.hook("filter_failure")(is_a_fault)
    if log_in is not None:
        schema.auth(refresh_interval=None)(_bearer(log_in))
    findings = Findings()
    try:
        for event in engine.from_schema(schema).execute():
            findings.hear(event)
    finally:
        asgi.shutdown_lifespans()
    return findings


def _bearer(log_in: Callable[[], str]) -> type[Any]:
    class Bearer:
        def get(self, case: Any, context: Any) -> str:
            return log_in()

        def set(self, case: Any, data: str, context: Any) -> None:
            case.headers["Authorization"] = f"Bearer {data}"

    return Bearer


def call(app: Any, method: str, path: str, **options: Any) -> Any:
    """Send a request within the lifespan that `fuzz` will use, and return the JSON of its answer; see requests."""
    from schemathesis.python import asgi

    with asgi.get_client(app) as client:
        answer = client.request(method, f"http://{asgi.HOST}{path}", **options)
    answer.raise_for_status()
    return answer.json()
