"""What the project says of itself is true: commands exist, versions are pinned, every setting is listed."""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path

import pytest
import yaml

from automl.engine.learners import tabicl

ROOT = Path(__file__).resolve().parent.parent
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
REQUIREMENTS = ["requirements.txt", "requirements-dev.txt"]
# Written so that this file does not find itself.
HOSTS = re.compile(
    r"--(extra-)?index-url|--find-links|--trusted-host|" + "pypi" + r"\.org|files\." + "pythonhosted"
)
TEXTS = (
    "Makefile",
    "Dockerfile",
    "docker-compose.yml",
    ".ci/run",
    ".ci/pin.py",
    "pyproject.toml",
    *REQUIREMENTS,
)


def targets() -> set[str]:
    return set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


def direct(name: str) -> set[str]:
    lines = (ROOT / f"{name}.in").read_text().splitlines()
    names = (
        re.split(r"[\[=<>#\s]", line, maxsplit=1)[0] for line in lines if not line.startswith(("#", "-"))
    )
    return {each.lower() for each in names if each}


def pinned(name: str) -> dict[str, str]:
    lines = (ROOT / name).read_text().splitlines()
    return dict(line.split("  #")[0].split("==") for line in lines if not line.startswith("#"))


def test_the_readme_begins_with_the_three_commands_and_they_exist():
    commands = re.findall(r"^make ([a-z-]+)", (ROOT / "README.md").read_text(), re.MULTILINE)
    assert commands[:3] == ["run", "demo", "test"]
    assert set(commands) <= targets()


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_make_target_that_a_document_names_exists(document: Path):
    text = document.read_text()
    named = re.findall(r"(?:^|`)make (?:-s )?([a-z-]+)", text, re.MULTILINE)
    assert set(named) <= targets()


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_between_documents_lead_somewhere(document: Path):
    links = re.findall(r"\]\(((?!https?:|#)[^)#]+)", document.read_text())
    missing = [link for link in links if not (document.parent / link).exists()]
    assert missing == []


@pytest.mark.parametrize("name", REQUIREMENTS)
def test_every_requirement_is_pinned_to_one_version(name: str):
    lines = [line for line in (ROOT / name).read_text().splitlines() if not line.startswith("#")]
    assert lines
    wrong = [
        line for line in lines if not re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.!+]+(  # via .*)?", line)
    ]
    assert wrong == []


@pytest.mark.parametrize("name", ["requirements", "requirements-dev"])
def test_what_is_asked_for_is_what_is_pinned(name: str):
    assert direct(name) <= set(pinned(f"{name}.txt"))


def test_tools_and_service_agree_on_versions():
    service, tools = (pinned(name) for name in REQUIREMENTS)
    assert {name for name in service.keys() & tools.keys() if service[name] != tools[name]} == set()


@pytest.mark.parametrize("name", TEXTS)
def test_no_file_says_where_packages_come_from(name: str):
    assert not HOSTS.search((ROOT / name).read_text())


def test_every_setting_is_in_the_example_and_every_example_is_a_setting():
    code = (ROOT / "automl" / "settings.py").read_text()
    read = set(re.findall(r'env\.[a-z_]+\(\s*"([A-Z_]+)"', code))
    shown = set(re.findall(r"^# ([A-Z_]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE))
    composed = set(re.findall(r"\$\{([A-Z_]+)", (ROOT / "docker-compose.yml").read_text()))
    assert shown == read | composed | {tabicl.FOLDER}


def test_compose_runs_the_commands_that_the_supervisor_runs():
    from automl.core import programs

    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    lines = {
        name: shlex.split(service["command"]) for name, service in services.items() if "command" in service
    }
    assert lines["web"][1:] == programs.gunicorn("0.0.0.0:8000")[1:]
    assert lines["scheduler"][1:-1] == list(programs.scheduler().command[1:-1])
    assert lines["worker"][-2:] == ["worker", "evaluate"]
    assert lines["worker-short"][-2:] == ["worker", "short"]
    assert "--maxmemory-policy noeviction" in services["redis"]["command"]


def test_compose_passes_only_settings_that_exist():
    code = (ROOT / "automl" / "settings.py").read_text()
    environment = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]["web"]["environment"]
    unknown = [name for name in environment if f'"{name}"' not in code]
    assert unknown == []


def test_the_licence_is_whole():
    text = (ROOT / "LICENSE").read_text()
    assert "Version 2.0, January 2004" in text
    assert "END OF TERMS AND CONDITIONS" in text


def test_make_prints_what_can_be_made():
    done = subprocess.run(["make", "-C", str(ROOT), "help"], capture_output=True, text=True, check=True)
    for name in ("run", "demo", "test", "ci", "token"):
        assert re.search(rf"^{name} ", done.stdout, re.MULTILINE)
