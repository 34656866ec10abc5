"""What is installed: an audit of it, and a list.  ``python -m tests.supply audit`` or ``sbom``.

Law: whoever could not look has found nothing, and says that, instead of that there is nothing to find.
"""

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parent.parent
DIST = ROOT / "dist"
AUDIT = ("--require-hashes", "--disable-pip", "--vulnerability-service", "osv", "--progress-spinner", "off")
SBOM = (
    "--pyproject",
    "pyproject.toml",
    "--mc-type",
    "application",
    "--output-reproducible",
    "--validate",
    "--of",
    "JSON",
)
UNREACHABLE = "The database of vulnerabilities (OSV) cannot be reached from here, so nothing was audited."


def audit(pip_audit: Sequence[str], pins: Sequence[Path], folder: Path) -> list[str]:
    """Ask *pip_audit* about all *pins*; return what is wrong with them."""
    told: list[str] = []
    for one in pins:
        report = folder / f"audit-{one.stem}.json"
        report.unlink(missing_ok=True)
        command = [*pip_audit, *AUDIT, "--format", "json", "--output", str(report), "--requirement", str(one)]
        subprocess.run(command, check=False, capture_output=True)
        if not report.exists():  # its exit status is 1 for a hole and for a network that is not there
            return [UNREACHABLE]
        told += findings(report.read_text(encoding="utf-8"))
    return sorted(set(told))


def findings(report: str) -> list[str]:
    """Return what a *report* says that must not be: vulnerabilities, and packages that were not looked up."""
    told: list[str] = []
    for package in json.loads(report)["dependencies"]:
        if "skip_reason" in package:
            told.append(f"{package['name']} was not looked up")
        told += [f"{package['name']} {package['version']}: {hole['id']}" for hole in package.get("vulns", ())]
    return told


def write_sbom(target: Path) -> None:
    """Write a bill of materials (CycloneDX) of what a server is installed from; the same pins give the same file."""
    command = [
        sys.executable,
        "-m",
        "cyclonedx_py",
        "requirements",
        "requirements/server.txt",
        *SBOM,
        "-o",
        str(target),
    ]
    subprocess.run(command, cwd=ROOT, check=True)


def main() -> int:
    DIST.mkdir(exist_ok=True)
    if sys.argv[1:] == ["sbom"]:
        write_sbom(DIST / "sbom.json")
        return 0
    told = audit([sys.executable, "-m", "pip_audit"], sorted((ROOT / "requirements").glob("*.txt")), DIST)
    print("\n".join(told) or "No known vulnerabilities.")  # noqa: T201 - this is the command line
    return 1 if told else 0


if __name__ == "__main__":
    raise SystemExit(main())
