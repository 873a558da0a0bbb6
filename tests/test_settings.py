"""Settings are read once; what cannot be used is refused by name."""

from __future__ import annotations

from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from jitui.errors import NotConfigured
from jitui.settings import Language, LogFormat, LogLevel, Settings, environment_for, read_secret_file, read_settings

HOME = {"HOME": "/home/ada"}


def test_without_variables_everything_has_a_default() -> None:
    assert read_settings(HOME) == Settings(home=Path("/home/ada/.local/share/jitui"))


def test_the_embedded_database_lives_in_the_home_folder() -> None:
    assert read_settings({"JITUI_HOME": "/srv/jitui"}).embedded_folder == Path("/srv/jitui/postgres")


@pytest.mark.parametrize(("data", "home"), [("/data", "/data/jitui"), ("data", "/home/ada/.local/share/jitui")])
def test_the_home_folder_follows_the_xdg_specification(data: str, home: str) -> None:
    assert read_settings({**HOME, "XDG_DATA_HOME": data}).home == Path(home)


def test_values_are_read_as_what_they_are(tmp_path: Path) -> None:
    policy = tmp_path / "policy.yaml"
    policy.touch()
    settings = read_settings(
        {
            **HOME,
            "JITUI_DATABASE_URL": "postgresql://jitui@db/jitui",
            "JITUI_PORT": " 9000 ",
            "JITUI_TIME_ZONE": "Europe/Paris",
            "JITUI_LANGUAGE": "EN",
            "JITUI_POLICY_FILE": str(policy),
            "JITUI_LOG_LEVEL": "debug",
            "JITUI_LOG_FORMAT": "json",
            "JITUI_SIMULATOR_URL": "http://127.0.0.1:8100/",
            "JITUI_SIMULATOR_KEY": "k" * 16,
            "JITUI_SIMULATOR_WEBHOOK_SECRET": "s" * 16,
            "OTHER": "not ours",
        }
    )
    assert settings.database_url == "postgresql://jitui@db/jitui"
    assert settings.port == 9000
    assert settings.time_zone == ZoneInfo("Europe/Paris")
    assert settings.language is Language.EN
    assert settings.policy_file == policy
    assert (settings.log_level, settings.log_format) == (LogLevel.DEBUG, LogFormat.JSON)
    assert settings.simulator_url == "http://127.0.0.1:8100"


def test_an_empty_value_counts_as_not_set() -> None:
    assert read_settings({**HOME, "JITUI_PORT": "", "JITUI_DATABASE_URL": " "}) == read_settings(HOME)


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("JITUI_DATABASE_URL", "mysql://db", "must be an address such as postgresql://"),
        ("JITUI_HOME", "data", "must be an absolute path"),
        ("JITUI_PORT", "70000", "must be a whole number from 0 to 65535, not '70000'"),
        ("JITUI_PORT", "-1", "must be a whole number"),
        ("JITUI_PORT", "8e3", "must be a whole number"),
        ("JITUI_HOST", "http://localhost", "must be a host name"),
        ("JITUI_POOL_SIZE", "0", "must be a whole number from 1 to 1000"),
        ("JITUI_TIME_ZONE", "Mars/Olympus", "must be a zone of the IANA database"),
        ("JITUI_TIME_ZONE", "../../etc/passwd", "must be a zone of the IANA database"),
        ("JITUI_TIME_ZONE", "America", "must be a zone of the IANA database"),
        ("JITUI_LANGUAGE", "fr", "must be one of zh-CN, en"),
        ("JITUI_LOG_LEVEL", "loud", "must be one of debug, info, warning, error"),
        ("JITUI_POLICY_FILE", "/nowhere.yaml", "must be the path of a file that exists"),
        ("JITUI_SIMULATOR_URL", "localhost:8100", "must be an address such as http://"),
        ("JITUI_SIMULATOR_KEY", "short", "must be at least 16 characters long"),
    ],
)
def test_a_bad_value_is_refused_with_its_name_and_what_was_expected(name: str, text: str, expected: str) -> None:
    with pytest.raises(NotConfigured) as refused:
        read_settings({**HOME, name: text})
    assert str(refused.value).startswith(f"{name} {expected}")


def test_a_secret_is_shown_neither_in_an_error_nor_in_the_settings() -> None:
    secrets = {"JITUI_SIMULATOR_KEY": "open-sesame", "JITUI_DATABASE_URL": "mysql://ada:open-sesame@db"}
    for name, text in secrets.items():
        with pytest.raises(NotConfigured) as refused:
            read_settings({**HOME, name: text})
        assert "sesame" not in str(refused.value)
    assert "sesame" not in repr(read_settings({**HOME, "JITUI_DATABASE_URL": "postgresql://ada:open-sesame@db/x"}))


def test_a_misspelt_variable_is_refused_with_the_one_that_was_meant() -> None:
    with pytest.raises(NotConfigured, match=r"JITUI_DATABSE_URL is not a setting.*did you mean JITUI_DATABASE_URL"):
        read_settings({**HOME, "JITUI_DATABSE_URL": "postgresql://db"})


def test_the_variable_of_the_tests_is_let_through() -> None:
    assert read_settings({**HOME, "JITUI_TEST_DATABASE_URL": "postgresql://db"}) == read_settings(HOME)


def test_half_a_simulator_is_refused() -> None:
    with pytest.raises(NotConfigured, match="JITUI_SIMULATOR_KEY and JITUI_SIMULATOR_WEBHOOK_SECRET must be set too"):
        read_settings({**HOME, "JITUI_SIMULATOR_URL": "http://127.0.0.1:8100"})


STRIPE = ("JITUI_STRIPE_SECRET_KEY_FILE", "JITUI_STRIPE_WEBHOOK_SECRET_FILE")


def secret_in(folder: Path, name: str, text: str = "whsec_open_sesame\n") -> str:
    file = folder / name
    file.write_text(text)
    return str(file)


def test_stripes_secrets_are_read_from_their_files_and_shown_nowhere(tmp_path: Path) -> None:
    given = {name: secret_in(tmp_path, name) for name in STRIPE}
    settings = read_settings({**HOME, **given, "JITUI_STRIPE_API_BASE": "http://127.0.0.1:12111/"})
    assert settings.stripe_secret_key_file is not None
    assert read_secret_file(settings.stripe_secret_key_file) == "whsec_open_sesame"
    assert settings.stripe_api_base == "http://127.0.0.1:12111"
    assert "sesame" not in repr(settings)
    assert read_settings(environment_for(settings, {})) == settings


@pytest.mark.parametrize("text", ["", " \n", "one\ntwo", "one two"])
def test_a_file_that_does_not_hold_one_secret_is_refused(tmp_path: Path, text: str) -> None:
    given = {name: secret_in(tmp_path, name) for name in STRIPE}
    given[STRIPE[0]] = secret_in(tmp_path, "bad", text)
    with pytest.raises(NotConfigured, match="JITUI_STRIPE_SECRET_KEY_FILE must be the path of a file that holds one"):
        read_settings({**HOME, **given})


@pytest.mark.parametrize("given", [*((name,) for name in STRIPE), ("JITUI_STRIPE_API_BASE",)])
def test_half_a_stripe_is_refused(tmp_path: Path, given: tuple[str, ...]) -> None:
    values = {name: secret_in(tmp_path, name) if name in STRIPE else "http://127.0.0.1:1" for name in given}
    missing = " and ".join(name for name in STRIPE if name not in given)
    with pytest.raises(NotConfigured, match=f"^{missing} must be set too"):
        read_settings({**HOME, **values})


def test_a_lease_must_outlast_the_provider_call() -> None:
    with pytest.raises(NotConfigured, match="JITUI_WORKER_LEASE_SECONDS"):
        read_settings({**HOME, "JITUI_WORKER_LEASE_SECONDS": "10", "JITUI_PROVIDER_TIMEOUT_SECONDS": "10"})


def test_a_child_process_reads_the_same_settings(tmp_path: Path) -> None:
    settings = Settings(
        home=tmp_path, database_url="postgresql://u:p@h/d", time_zone=ZoneInfo("Europe/Berlin"), language=Language.EN
    )
    environment = environment_for(settings, {"PATH": "/bin", "JITUI_PORT": "1", "JITUI_POLICY_FILE": "/gone"})
    assert read_settings(environment) == settings
    assert environment["PATH"] == "/bin"
