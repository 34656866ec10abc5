"""Run the hazard tests against the port, print what became of each, and judge."""

import os
import sys

import pytest

from tests.redrun.judge import HAZARDS, Judge, Result
from tests.redrun.rows import NOT_APPLICABLE, OBSERVED, SEEN_AT

# The judge has imported anyio before pytest could rewrite the asserts of anyio's plugin, which has none to speak of.
OPTIONS = ["-q", "--no-header", "--no-summary", "--tb=no", "-p", "no:cacheprovider"]
OPTIONS += ["-W", "ignore:Module already imported:pytest.PytestAssertRewriteWarning"]
WIDTH = 260


def verdict(row: str, results: list[Result]) -> str | None:
    """Return what is wrong with the tests of an observed row: each is red in a case of it, for the row's reason."""
    broken = sorted({result.case for result in results if result.colour == "broken"})
    if broken:
        return f"{row}: cannot look: {', '.join(broken)}"
    red = {result.test for result in results if result.colour == "red"}
    green = sorted({result.test for result in results} - red)
    if green:
        return f"{row}: stays green: {', '.join(green)}"
    if not any(SEEN_AT.get(row, "") in result.line for result in results if result.colour == "red"):
        return f"{row}: red for another reason than the hazard, which shows at: {SEEN_AT[row]}"
    return None


def main() -> int:
    judge = Judge()
    os.environ["AGENTCORE_RED"] = "1"
    ended = pytest.main([*OPTIONS, *(sys.argv[1:] or [HAZARDS])], plugins=[judge])
    say = sys.stdout.write
    say("\n")
    for result in sorted(judge.results, key=_order):
        mark = "*" if result.row in OBSERVED else " "
        say(f"{mark}{result.row:<4}{result.colour:<7}{result.case}  {result.line}"[:WIDTH] + "\n")
    wrong: list[str] = []
    for row in OBSERVED:
        results = [result for result in judge.results if result.row == row]
        others = [test for test, of in judge.out_of_reach.items() if of == row]
        if row in NOT_APPLICABLE:
            say(f"*{row:<4}not applicable: {NOT_APPLICABLE[row]}\n")
        elif results and (said := verdict(row, results)):
            wrong.append(said)
        elif not results and others:
            wrong.append(f"{row}: opens a server of its own and cannot meet the port: {', '.join(others)}")
        elif not results:
            say(f"*{row:<4}has no test here\n")
    if ended not in {pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED}:
        wrong.append(f"pytest has ended with {ended}")
    for said in wrong:
        say(f"WRONG {said}\n")
    return 1 if wrong else 0


def _order(result: Result) -> tuple[str, int, str]:
    return result.row[0], int(result.row[1:]), result.case


if __name__ == "__main__":
    sys.exit(main())
