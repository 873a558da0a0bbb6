"""What lies in deploy/: each command, setting, path and file that it names exists, and systemd takes the units.

No container engine and no systemd runs here; docs/how-to/install-in-production.md says what was not tried.
"""

from __future__ import annotations

import fnmatch
import re
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from jitui.entrypoints.cli.main import COMMANDS, load
from jitui.entrypoints.http.openapi import document
from jitui.settings import read_settings, variable_names
from tests.deployment.installing import ROOT, script

DEPLOY = ROOT / "deploy"
CONTAINERFILE = DEPLOY / "Containerfile"
UNITS = ("jitui-api.service", "jitui-worker.service")
INSTALL_PAGE = ROOT / "docs" / "how-to" / "install-in-production.md"


def check_command(words: list[str]) -> None:
    """Fails for a command or an option that `jitui` does not have; nothing is run."""
    assert words[0] in COMMANDS
    load(words[0]).make_context(words[0], words[1:])


def settings_in(text: str) -> set[str]:
    """Every name of a setting, commented ones too."""
    return set(re.findall(r"\bJITUI_[A-Z0-9_]+\b", text))


def yaml(path: Path) -> Any:
    return YAML(typ="safe").load(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    "path", sorted(path for path in DEPLOY.rglob("*") if path.is_file()), ids=lambda path: path.name
)
def test_every_setting_that_is_named_exists(path: Path) -> None:
    assert settings_in(path.read_text(encoding="utf-8")) - {"JITUI_IMAGE"} <= set(variable_names())


# The image ---------------------------------------------------------------------------------------------------------


def instructions() -> list[tuple[str, list[str]]]:
    text = CONTAINERFILE.read_text(encoding="utf-8")
    return [(one.name, one.words) for one in script("try_image").instructions(text)]


def words_of(name: str) -> list[list[str]]:
    return [words for found, words in instructions() if found == name]


def test_the_image_copies_what_is_there_and_is_let_through() -> None:
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    let_through = {line.removeprefix("!") for line in ignored if line.startswith("!")}
    sources = {
        word.rstrip("/") for words in words_of("COPY") if not words[0].startswith("--from") for word in words[:-1]
    }
    assert sources == let_through
    assert [source for source in sources if not (ROOT / source).exists()] == []


def test_no_package_comes_into_the_image_without_its_hash() -> None:
    installs = [shlex.join(words) for words in words_of("RUN") if "install" in words and "pip" in shlex.join(words)]
    steps = [step for text in installs for step in re.split(r"&&", text) if "pip install" in step]
    assert len(steps) == 3
    assert [step for step in steps if "--require-hashes" not in step and "--no-index --no-deps" not in step] == []


def test_the_image_runs_as_nobody_special_and_is_asked_for_its_health() -> None:
    last = max(number for number, (name, _) in enumerate(instructions()) if name == "FROM")
    final = instructions()[last:]
    assert [words for name, words in final if name == "USER"] == [["10001:10001"]]
    health = next(" ".join(words) for name, words in final if name == "HEALTHCHECK")
    (path,) = re.findall(r"'(/\w+)'", health)
    assert path in document()["paths"]
    check_command(["serve"])
    assert (words_of("ENTRYPOINT"), words_of("CMD")) == ([["[jitui]"]], [["[serve]"]])


def test_the_lock_of_the_image_follows_who_needs_what() -> None:
    lock = (
        "a==1 \\\n    --hash=sha256:1\n    # via jitui (pyproject.toml)\n"
        "b==2 ; python_version < '3.12' \\\n    --hash=sha256:2\n    # via a\n"
        "b==3 \\\n    --hash=sha256:3 \\\n    --hash=sha256:4\n    # via\n    #   a\n    #   c\n"
        "c==4 \\\n    --hash=sha256:5\n    # via jitui (pyproject.toml:dev)\n"
    )
    locked = script("locked").locked
    of_jitui = [line for line in locked(lock, ["jitui (pyproject.toml)"]) if "==" in line]
    assert of_jitui == ["a==1 \\", "b==2 ; python_version < '3.12' \\", "b==3 \\"]
    assert [line.strip(" \\") for line in locked(lock, ["c"])] == [
        *("b==2 ; python_version < '3.12'", "--hash=sha256:2", "b==3", "--hash=sha256:3", "--hash=sha256:4"),
        *("c==4", "--hash=sha256:5"),
    ]


# Compose -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def compose() -> Any:
    return yaml(DEPLOY / "compose.yaml")


def test_compose_runs_commands_that_exist_on_a_closed_root(compose: Any) -> None:
    ours = {name: one for name, one in compose["services"].items() if "jitui" in one["image"]}
    assert set(ours) == {"migrate", "api", "worker"}
    for one in ours.values():
        check_command(one["command"])
        assert one["read_only"] and one["cap_drop"] == ["ALL"] and one["tmpfs"] == ["/tmp"]
        files = [value for name, value in one["environment"].items() if name.endswith("_FILE")]
        assert sorted(files) == sorted(f"/run/secrets/{name}" for name in one["secrets"])
        assert not [name for name in one["environment"] if re.search("URL$|TOKEN$|KEY$|SECRET$", name)]


def test_what_compose_names_is_declared_and_open_to_this_machine_alone(compose: Any) -> None:
    for name, one in compose["services"].items():
        assert set(one.get("secrets", [])) <= set(compose["secrets"]), name
        assert set(one.get("depends_on", {})) <= set(compose["services"]), name
        assert all(port.startswith("127.0.0.1:") for port in one.get("ports", [])), name
        for volume in one.get("volumes", []):
            source = volume.partition(":")[0]
            assert (DEPLOY / source).is_dir() if source.startswith("./") else source in compose["volumes"], volume


def test_the_install_page_makes_every_secret(compose: Any) -> None:
    page = INSTALL_PAGE.read_text(encoding="utf-8")
    assert [name for name in compose["secrets"] if f"secrets/{name}" not in page] == []


def test_prometheus_reads_services_of_compose_and_grafana_reads_prometheus(compose: Any) -> None:
    config = yaml(DEPLOY / "prometheus" / "prometheus.yml")
    assert [(DEPLOY / "prometheus" / name).is_file() for name in config["rule_files"]] == [True]
    assert {job["job_name"] for job in config["scrape_configs"]} == {"jitui", "jitui-worker"}
    for job in config["scrape_configs"]:
        assert job["authorization"]["credentials_file"].removeprefix("/run/secrets/") in compose["secrets"]
        for target in (target for group in job["static_configs"] for target in group["targets"]):
            service, _, port = target.partition(":")
            listens = compose["services"][service]["environment"].get("JITUI_WORKER_METRICS_PORT", "8000")
            assert port == listens
    assert (DEPLOY / "grafana" / "jitui.json").is_file()
    (source,) = yaml(DEPLOY / "grafana" / "provisioning" / "datasources" / "prometheus.yml")["datasources"]
    assert re.fullmatch(r"http://(\w+):9090", source["url"])[1] in compose["services"]  # type: ignore[index]
    (provider,) = yaml(DEPLOY / "grafana" / "provisioning" / "dashboards" / "jitui.yml")["providers"]
    mounted = [volume.split(":")[1] for volume in compose["services"]["grafana"]["volumes"]]
    assert provider["options"]["path"] in mounted


# systemd -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root folder with systemd's own units and ours, and a program where Jitui would be."""
    if not shutil.which("systemd-analyze"):
        pytest.skip("systemd-analyze is not here: Debian's package systemd has it")
    root = tmp_path_factory.mktemp("machine")
    shutil.copytree("/lib/systemd/system", root / "lib" / "systemd" / "system", symlinks=True)
    for folder in ("opt/jitui/bin", "etc/systemd/system"):
        (root / folder).mkdir(parents=True)
    program = root / "opt" / "jitui" / "bin" / "jitui"
    program.touch(mode=0o755)
    return root


def verified(machine: Path, name: str, text: str) -> subprocess.CompletedProcess[str]:
    (machine / "etc" / "systemd" / "system" / name).write_text(text, encoding="utf-8")
    command = ["systemd-analyze", "verify", f"--root={machine}", "--man=no", name]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("name", UNITS)
def test_systemd_takes_the_unit_without_a_word(machine: Path, name: str) -> None:
    done = verified(machine, name, (DEPLOY / "systemd" / name).read_text(encoding="utf-8"))
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("right", "wrong"),
    [("/opt/jitui/bin/jitui", "/opt/nowhere"), ("ProtectSystem=strict", "ProtectSystem=hard"), ("KillMode", "KilMode")],
)
def test_the_check_of_the_units_sees_mistakes(machine: Path, right: str, wrong: str) -> None:
    text = (DEPLOY / "systemd" / UNITS[0]).read_text(encoding="utf-8").replace(right, wrong)
    done = verified(machine, "jitui-wrong.service", text)
    assert done.returncode or done.stderr


@pytest.mark.parametrize("name", UNITS)
def test_the_unit_runs_a_command_that_exists_and_is_hardened(name: str) -> None:
    lines = (DEPLOY / "systemd" / name).read_text(encoding="utf-8").splitlines()
    (start,) = [line.removeprefix("ExecStart=") for line in lines if line.startswith("ExecStart=")]
    check_command(start.split()[1:])
    wanted = {"NoNewPrivileges=yes", "ProtectSystem=strict", "CapabilityBoundingSet=", "Restart=on-failure"}
    assert wanted <= set(lines)


def test_the_settings_of_the_units_can_be_used() -> None:
    lines = (DEPLOY / "systemd" / "jitui.env").read_text(encoding="utf-8").splitlines()
    read_settings(dict(line.split("=", 1) for line in lines if line and not line.startswith("#")))


def test_a_command_beside_the_services_has_their_secrets() -> None:
    together = [(DEPLOY / "systemd" / name).read_text(encoding="utf-8") for name in (*UNITS, "jitui-run")]
    secrets = [
        sorted(set(re.findall(r"LoadCredential=(\S+)|Environment='?(JITUI_\w+_FILE=\S+?)'?\s", text)))
        for text in together
    ]
    assert secrets[0] == secrets[1]
    assert {name for name, _ in secrets[0]} == {name.strip() for name, _ in secrets[2]}


def test_ignored_files_stay_out_of_the_image() -> None:
    patterns = (ROOT / ".dockerignore").read_text(encoding="utf-8").split()
    assert any(fnmatch.fnmatch("deploy/secrets/database_url", pattern) for pattern in patterns if pattern == "*")
    assert "!deploy" not in patterns


def test_the_image_writes_what_git_does_not_hold() -> None:
    """And takes no older copy of it from a checkout."""
    written = [words for words in words_of("RUN") if "scripts/client_api.py" in words]
    assert len(written) == 1
    assert "src/jitui/client/api" in (ROOT / ".dockerignore").read_text(encoding="utf-8").split()
    assert "/src/jitui/client/api/" in (ROOT / ".gitignore").read_text(encoding="utf-8").split()
