"""A config file is read as the server reads it, and what it would serve is told."""

from pathlib import Path

import pytest

from fastserve import cli

CONFIG = """
model_config_list {{
  config {{ name: 'a' base_path: '{0}' model_platform: 'tensorflow'
           version_labels {{ key: 'hot' value: 3 }} version_labels {{ key: 'next' value: 9 }} }}
  config {{ name: 'b' base_path: '{0}' model_platform: 'tensorflow'
           model_version_policy {{ specific {{ versions: [1, 7] }} }} }}
  config {{ name: 'c' base_path: '/no/such/path' model_platform: 'tensorflow'
           model_version_policy {{ all {{}} }} }}
}}
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    for version in (1, 2, 3):
        (tmp_path / "m" / str(version)).mkdir(parents=True)
        (tmp_path / "m" / str(version) / "saved_model.pb").write_bytes(b"graph")
    (tmp_path / "m" / "4").mkdir()
    path = tmp_path / "models.config"
    path.write_text(CONFIG.format(tmp_path / "m"))
    return path


def test_versions_that_would_be_served_are_told_with_what_is_odd_about_them(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(["check-config", str(file)]) == 0
    base = file.parent / "m"
    assert capsys.readouterr().out.splitlines() == [
        f"a: the latest 1 under {base}",
        "  versions to serve: 3",
        "  warning: version 4 is not whole",
        "  label hot: version 3",
        "  label next: version 9 (warning: not among them)",
        f"b: versions 1, 7 under {base}",
        "  versions to serve: 1",
        "  warning: version 4 is not whole",
        "c: all versions under /no/such/path",
        "  warning: the base path cannot be read: No such file or directory",
        f"{file}: 3 models, nothing that a server would refuse",
    ]


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("model_config_list { config { nme: 'm' } }", "1:"),
        (
            "model_config_list { config { name: 'm' base_path: 'm' model_platform: 'tensorflow'} }",
            "Expected model m to have an absolute path",
        ),
    ],
)
def test_file_that_a_server_would_refuse_is_refused_with_its_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, named: str
) -> None:
    path = tmp_path / "models.config"
    path.write_text(text)
    assert cli.run(["check-config", str(path)]) == 1
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("fastserve check-config: INVALID_ARGUMENT: ")
    assert named in shown.err


def test_platforms_are_those_of_their_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    models, platforms = tmp_path / "models.config", tmp_path / "platforms.config"
    models.write_text(
        "model_config_list { config { name: 'm' base_path: '/m' model_platform: 'own' } }"
    )
    platforms.write_text(
        "platform_configs { key: 'own' value { source_adapter_config { "
        "[h/tensorflow.serving.SavedModelBundleSourceAdapterConfig] {} } } }"
    )
    assert cli.run(["check-config", str(models)]) == 1
    assert "Model m requests unsupported platform own" in capsys.readouterr().err
    flag = f"--platform_config_file={platforms}"
    assert cli.run(["check-config", flag, str(models)]) == 0
