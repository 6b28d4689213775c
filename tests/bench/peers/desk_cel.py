"""cel-python's side of the desk bench: rules and values in on stdin as JSON, milliseconds out."""

import importlib.metadata
import json
import sys
import time

import celpy


def measure(rule: str, env: dict, times: int) -> dict:
    """One rule. Values are handed over as its users do: a JSON value made CEL's, for each evaluation."""
    began = time.perf_counter()
    environment = celpy.Environment()
    program = environment.program(environment.compile(rule))
    answer = bool(program.evaluate(celpy.json_to_cel(env)))
    first_ms = (time.perf_counter() - began) * 1000
    spent = []
    for _ in range(times):
        began = time.perf_counter()
        program.evaluate(celpy.json_to_cel(env))
        spent.append((time.perf_counter() - began) * 1000)
    return {
        "version": importlib.metadata.version("cel-python"),
        "first_ms": first_ms,
        "spent_ms": spent,
        "answer": answer,
    }


def main() -> None:
    """All rules."""
    asked = json.load(sys.stdin)
    json.dump([measure(rule, asked["env"], asked["times"]) for rule in asked["rules"]], sys.stdout)


main()
