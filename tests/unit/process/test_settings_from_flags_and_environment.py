"""A flag wins over the environment, the environment over the default; mistakes are named."""

from dataclasses import fields

import pytest
from spot_operator.program import any_address
from spot_operator.settings import Settings, manual, parse

NEEDED = {
    "SPOT_OPERATOR_NAMESPACE": "spot-system",
    "SPOT_OPERATOR_POD_NAME": "operator-1",
    "SPOT_OPERATOR_POD_IP": "10.0.0.1",
    "SPOT_OPERATOR_SIDECAR_IMAGE": "sidecar:1",
}


def test_the_defaults_are_those_of_the_fields() -> None:
    assert parse([], NEEDED) == Settings(
        namespace="spot-system",
        pod_name="operator-1",
        pod_ip="10.0.0.1",
        sidecar_image="sidecar:1",
    )


def test_a_flag_wins_over_the_environment_over_the_default() -> None:
    environment = {
        **NEEDED,
        "SPOT_OPERATOR_REPORT_SECONDS": "30",
        "SPOT_OPERATOR_IMDS_ENABLED": "false",
        "SPOT_OPERATOR_LEASE_SECONDS": "20.5",
        "SPOT_OPERATOR_LOG_FORMAT": "text",
    }
    settings = parse(["--report-seconds=7", "--namespace", "other"], environment)
    assert (settings.report_seconds, settings.namespace) == (7, "other")
    assert (settings.imds_enabled, settings.lease_seconds) == (False, 20.5)
    assert settings.log_format == "text"


@pytest.mark.parametrize(
    ("arguments", "environment", "says"),
    [
        ([], {**NEEDED, "SPOT_OPERATOR_REPORT_SECONDS": "soon"}, "--report-seconds"),
        ([], {**NEEDED, "SPOT_OPERATOR_IMDS_ENABLED": "maybe"}, "write true or false"),
        (["--log-level=loud"], NEEDED, "--log-level"),
        (["--comet=1"], NEEDED, "--comet"),
        (["--lease-seconds=5"], NEEDED, "retry < renew deadline < lease"),
        (["--claim-seconds=29"], NEEDED, "at least twice --lease-seconds, which is 15, not 29"),
        (["--watch-namespaces=a,B"], NEEDED, "'B' is not the name of a namespace"),
        (
            [],
            {name: value for name, value in NEEDED.items() if "IMAGE" not in name},
            "set --sidecar-image (or SPOT_OPERATOR_SIDECAR_IMAGE)",
        ),
    ],
)
def test_mistakes_are_named(
    arguments: list[str],
    environment: dict[str, str],
    says: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit):
        parse(arguments, environment)
    assert says in capsys.readouterr().err


@pytest.mark.parametrize(("seconds", "taken"), [(0, False), (1, True), (30, True), (31, False)])
def test_reports_come_often_enough_for_silence_to_mean_something(
    seconds: int, taken: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = [f"--report-seconds={seconds}"]
    if taken:
        assert parse(flags, NEEDED).report_seconds == seconds
        return
    with pytest.raises(SystemExit):
        parse(flags, NEEDED)
    assert "--report-seconds: write 1 to 30" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["LOG_LEVEL=loud", "SIDECAR_PULL_POLICY=Sometimes"])
def test_a_wrong_choice_in_the_environment_is_refused_too(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    variable, _, value = name.partition("=")
    with pytest.raises(SystemExit):
        parse([], {**NEEDED, f"SPOT_OPERATOR_{variable}": value})
    assert value in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "names"),
    [("", ()), ("a", ("a",)), (" a, b ,,a", ("a", "b")), (",", ())],
)
def test_lists_are_written_with_commas(text: str, names: tuple[str, ...]) -> None:
    assert parse([f"--watch-namespaces={text}"], NEEDED).namespaces == names


def test_every_field_has_its_manual() -> None:
    texts = manual()
    assert set(texts) == {field.name for field in fields(Settings)}
    assert all(len(text) > 20 for text in texts.values())


def test_help_shows_the_manual(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse(["--help"], {})
    shown = " ".join(capsys.readouterr().out.split())
    assert "Image of the sidecar in every training pod" in shown
    assert "[SPOT_OPERATOR_SIDECAR_IMAGE]" in shown


def test_the_reports_url_names_the_service() -> None:
    assert parse([], NEEDED).reports_url == "https://spot-training-reports.spot-system.svc:8443"


@pytest.mark.parametrize(
    ("pod_ip", "expected"),
    [
        ("10.0.0.1", "0.0.0.0"),  # noqa: S104
        ("fd00::1", "::"),
    ],
)
def test_servers_listen_in_the_family_of_the_pod(pod_ip: str, expected: str) -> None:
    assert any_address(pod_ip) == expected
