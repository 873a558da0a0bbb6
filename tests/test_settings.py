"""Settings are read once; a value that cannot be used is refused with its name."""

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
        ("JITUI_ALIPAY_APP_ID", "wx2021", "must be the app's number on the open platform"),
        ("JITUI_DATABASE_URL", "mysql://db", "must be an address such as postgresql://"),
        ("JITUI_HOME", "data", "must be an absolute path"),
        ("JITUI_PORT", "70000", "must be a whole number from 0 to 65535, not '70000'"),
        ("JITUI_PORT", "-1", "must be a whole number"),
        ("JITUI_PORT", "8e3", "must be a whole number"),
        ("JITUI_HOST", "http://localhost", "must be a host name"),
        ("JITUI_USAGE_MAX_AGE_SECONDS", "1", "must be a whole number from 2 to 3600"),  # a roll-up takes one
        ("JITUI_POOL_SIZE", "0", "must be a whole number from 1 to 1000"),
        ("JITUI_TIME_ZONE", "Mars/Olympus", "must be a zone of the IANA database"),
        ("JITUI_TIME_ZONE", "../../etc/passwd", "must be a zone of the IANA database"),
        ("JITUI_TIME_ZONE", "America", "must be a zone of the IANA database"),
        ("JITUI_LANGUAGE", "fr", "must be one of zh-CN, en"),
        ("JITUI_LOG_LEVEL", "loud", "must be one of debug, info, warning, error"),
        ("JITUI_POLICY_FILE", "/nowhere.yaml", "must be the path of a file that exists"),
        ("JITUI_SIMULATOR_URL", "localhost:8100", "must be an address such as http://"),
        ("JITUI_SIMULATOR_KEY", "short", "must be at least 16 characters long"),
        ("JITUI_WECHAT_PAY_MERCHANT_ID", "19 00", "must be letters and digits alone"),
        ("JITUI_WECHAT_PAY_PRIVATE_KEY_FILE", "/nowhere.pem", "must be the path of a file that exists"),
        ("JITUI_WECHAT_PAY_API_V3_KEY_FILE", "/dev/null", "must be the path of a file that exists"),
        ("JITUI_WECHAT_PAY_PUBLIC_KEY_ID", "5157F09E", "must be the id of a public key, which begins with PUB_KEY_ID_"),
        ("JITUI_WECHAT_PAY_NOTIFY_URL", "https://a.example/?x=1", "must be an address without parameters"),
        ("JITUI_WECHAT_PAY_NOTIFY_URL", "a.example/x", "must be an address such as http://"),
        ("JITUI_WECHAT_PAY_API_BASE", "api.example", "must be an address such as http://"),
        ("JITUI_WEBHOOK_ALLOWED_NETWORKS", "localhost", "must be networks such as 10.0.0.0/8"),
        ("JITUI_WEBHOOK_ALLOW_HTTP", "perhaps", "must be one of yes, no"),
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


GROUPS = {
    "Alipay": (["APP_ID", "PRIVATE_KEY_FILE", "PUBLIC_KEY_FILE"], "GATEWAY"),
    "Stripe": (["SECRET_KEY_FILE", "WEBHOOK_SECRET_FILE"], "API_BASE"),
    "WeChat Pay": (
        [
            "MERCHANT_ID",
            "CERTIFICATE_SERIAL",
            "PRIVATE_KEY_FILE",
            "API_V3_KEY_FILE",
            "PUBLIC_KEY_FILE",
            "PUBLIC_KEY_ID",
            "NOTIFY_URL",
        ],
        "API_BASE",
    ),
}
VALUES = {
    "APP_ID": "2021000000000001",
    "MERCHANT_ID": "1900000109",
    "CERTIFICATE_SERIAL": "444F",
    "PUBLIC_KEY_ID": "PUB_KEY_ID_1",
    "NOTIFY_URL": "https://a.example/v1/notifications/wechat_pay",
    "API_BASE": "https://api.example/",
    "GATEWAY": "https://api.example/gateway.do",
}


def named(provider: str, names: list[str], secret: Path) -> dict[str, str]:
    group = provider.upper().replace(" ", "_")
    return {f"JITUI_{group}_{name}": VALUES.get(name, str(secret)) for name in names}


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    path = tmp_path / "secret"
    path.write_text("open_sesame\n", encoding="utf-8")
    return path


@pytest.mark.parametrize("provider", GROUPS)
def test_a_providers_secrets_are_read_from_files_and_shown_nowhere(provider: str, secret: Path) -> None:
    needed, optional = GROUPS[provider]
    for names in (needed, [*needed, optional]):
        given = named(provider, names, secret)
        settings = read_settings({**HOME, **given})
        assert read_settings(environment_for(settings, {})) == settings
        assert all(str(getattr(settings, name[6:].lower())) == text.rstrip("/") for name, text in given.items())
        assert "sesame" not in repr(settings)
    assert read_secret_file(secret) == "open_sesame"


@pytest.mark.parametrize("provider", GROUPS)
def test_half_a_provider_is_refused_and_what_is_missing_is_named(provider: str, secret: Path) -> None:
    needed, optional = GROUPS[provider]
    all_of_it = named(provider, needed, secret)
    for missing in all_of_it:
        rest = {name: text for name, text in all_of_it.items() if name != missing}
        with pytest.raises(NotConfigured, match=f"^{missing} must be set too: {provider} needs all"):
            read_settings({**HOME, **rest})
    *first, last = all_of_it
    with pytest.raises(NotConfigured, match=f"^{', '.join(first)} and {last} must be set too"):
        read_settings({**HOME, **named(provider, [optional], secret)})


def test_a_secret_may_come_from_a_file_of_its_own(secret: Path) -> None:
    secret.write_text("postgresql://jitui:open_sesame@db/jitui\n", encoding="utf-8")
    settings = read_settings({**HOME, "JITUI_DATABASE_URL_FILE": str(secret)})
    assert settings == read_settings({**HOME, "JITUI_DATABASE_URL": secret.read_text(encoding="utf-8")})
    assert read_settings(environment_for(settings, {})) == settings


def test_a_secret_that_is_given_twice_or_does_not_fit_is_refused_without_being_shown(secret: Path) -> None:
    in_file = {"JITUI_DATABASE_URL_FILE": str(secret)}
    for environ, says in (
        (in_file, "What the file of JITUI_DATABASE_URL_FILE holds must be an address such as postgresql"),
        ({"JITUI_METRICS_TOKEN_FILE": "/nowhere"}, "JITUI_METRICS_TOKEN_FILE must be the path of a file that exists"),
        (
            {**in_file, "JITUI_DATABASE_URL": "postgresql://db"},
            "JITUI_DATABASE_URL and JITUI_DATABASE_URL_FILE are both",
        ),
        ({"JITUI_HOST_FILE": str(secret)}, "JITUI_HOST_FILE is not a setting"),
    ):
        with pytest.raises(NotConfigured, match=f"^{says}") as refused:
            read_settings({**HOME, **environ})
        assert "sesame" not in str(refused.value)


@pytest.mark.parametrize(("content", "why"), [(b"", "is empty"), (b" \n", "is empty"), (b"\xff\xfe", "holds no text")])
def test_a_file_that_holds_no_secret_is_refused(secret: Path, content: bytes, why: str) -> None:
    secret.write_bytes(content)
    expected = f"must be the path of a file that holds one secret, and this file {why}"
    with pytest.raises(NotConfigured, match=f"JITUI_STRIPE_SECRET_KEY_FILE {expected}"):
        read_settings({**HOME, "JITUI_STRIPE_SECRET_KEY_FILE": str(secret)})
    assert read_secret_file(secret) == ""


def test_a_key_of_many_lines_is_one_secret(secret: Path) -> None:
    secret.write_text("-----BEGIN KEY-----\nAAAA\nBBBB\n-----END KEY-----\n", encoding="utf-8")
    assert read_secret_file(secret).splitlines()[1:3] == ["AAAA", "BBBB"]


def test_a_secret_that_is_gone_by_the_time_it_is_read_is_empty(tmp_path: Path) -> None:
    assert read_secret_file(tmp_path / "gone") == ""


def test_a_lease_must_outlast_a_look_up_and_a_sending() -> None:
    given = {**HOME, "JITUI_PROVIDER_TIMEOUT_SECONDS": "10"}
    with pytest.raises(NotConfigured, match=r"JITUI_WORKER_LEASE_SECONDS \(20\) must be longer than twice"):
        read_settings({**given, "JITUI_WORKER_LEASE_SECONDS": "20"})
    assert read_settings({**given, "JITUI_WORKER_LEASE_SECONDS": "21"}).worker_lease_seconds == 21


def test_a_child_process_reads_the_same_settings(tmp_path: Path) -> None:
    settings = Settings(
        home=tmp_path, database_url="postgresql://u:p@h/d", time_zone=ZoneInfo("Europe/Berlin"), language=Language.EN
    )
    environment = environment_for(settings, {"PATH": "/bin", "JITUI_PORT": "1", "JITUI_POLICY_FILE": "/gone"})
    assert read_settings(environment) == settings
    assert environment["PATH"] == "/bin"
