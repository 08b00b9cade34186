"""The Helm chart and KServe's manifests: what Kubernetes would be asked for."""

from pathlib import Path

import pytest
import yaml
from deploy_tools import DEPLOY, attempt, run, tool

CHART = DEPLOY / "helm" / "fastserve"

VOLUME = ("--set=models.volume.persistentVolumeClaim.claimName=models",)
EVERYTHING = (
    "--set=models.copy.image=amazon/aws-cli",
    '--set-json=models.copy.command=["aws","s3","sync","s3://bucket","/models"]',
    "--set=models.cache.persistentVolumeClaim.claimName=copies",
    "--set=models.config=model_config_list {}",
    "--set=gpus=2",
    "--set=autoscaling.enabled=true",
    "--set=serviceMonitor.enabled=true",
    "--set=networkPolicy.enabled=true",
    '--set-json=networkPolicy.clients=[{"namespaceSelector":{}}]',
    '--set-json=networkPolicy.metrics=[{"podSelector":{}}]',
    "--set=serviceAccountName=models",
    "--set=auth.secretName=tokens,auth.tokensKey=clients,auth.adminTokensKey=admins",
    "--set=auth.metricsTokenKey=prometheus",
    '--set-json=topologySpreadConstraints=[{"maxSkew":1,"topologyKey":"zone","whenUnsatisfiable":"ScheduleAnyway"}]',
)


def _template(*settings: str) -> str:
    return run(tool("helm"), "template", "t", CHART, "--kube-version=1.33", *settings)


def _objects(*settings: str) -> dict[str, dict]:
    """Kind/name -> object."""
    documents = yaml.safe_load_all(_template(*settings))
    return {f"{item['kind']}/{item['metadata']['name']}": item for item in documents}


def _server(objects: dict[str, dict]) -> dict:
    return objects["Deployment/t-fastserve"]["spec"]["template"]["spec"]["containers"][0]


def test_chart_passes_helms_own_checks() -> None:
    run(tool("helm"), "lint", "--strict", CHART, *VOLUME)


@pytest.mark.parametrize("settings", [VOLUME, EVERYTHING], ids=["least", "everything"])
def test_chart_makes_manifests_of_the_types_of_kubernetes(
    settings: tuple[str, ...], tmp_path: Path
) -> None:
    manifests = tmp_path / "manifests.yaml"
    manifests.write_text(_template(*settings))
    kinds = run(tool("manifests"), manifests)
    expected = {"apps/v1 Deployment", "policy/v1 PodDisruptionBudget", "v1 ConfigMap", "v1 Service"}
    if settings is EVERYTHING:
        expected |= {
            "autoscaling/v2 HorizontalPodAutoscaler",
            "monitoring.coreos.com/v1 ServiceMonitor",
            "networking.k8s.io/v1 NetworkPolicy",
        }
    assert {line.rpartition(" ")[0] for line in kinds.splitlines()} == expected


def test_checker_of_manifests_refuses_a_field_that_kubernetes_does_not_know(tmp_path: Path) -> None:
    manifests = tmp_path / "manifests.yaml"
    manifests.write_text(_template(*VOLUME).replace("minAvailable:", "minAvailible:"))
    status, output = attempt(tool("manifests"), manifests)
    assert status == 1
    assert 'unknown field "spec.minAvailible"' in output


def test_kserve_manifests_are_of_kserves_types() -> None:
    files = (DEPLOY / "kserve").glob("*.yaml")
    assert run(tool("manifests"), *sorted(files)).splitlines() == [
        "serving.kserve.io/v1alpha1 ClusterServingRuntime fastserve",
        "serving.kserve.io/v1beta1 InferenceService mnist",
        "serving.kserve.io/v1beta1 InferenceService mnist-grpc",
    ]


def test_pods_turn_ready_after_every_model_was_loaded_and_leave_only_to_drain() -> None:
    server = _server(_objects(*VOLUME, "--set=startSeconds=100"))
    assert server["startupProbe"]["httpGet"]["path"] == "/readyz"
    assert (
        server["startupProbe"]["periodSeconds"] * server["startupProbe"]["failureThreshold"] == 100
    )
    assert server["readinessProbe"]["grpc"] == {"port": 8500, "service": "PredictionService"}
    assert server["livenessProbe"]["httpGet"]["path"] == "/healthz"


def test_pods_are_given_the_time_that_a_drain_takes() -> None:
    objects = _objects(*VOLUME, "--set=drainSeconds=7,shutdownGraceSeconds=20")
    pod = objects["Deployment/t-fastserve"]["spec"]["template"]["spec"]
    assert pod["terminationGracePeriodSeconds"] > 27
    assert "--drain_delay_seconds=7" in _server(objects)["args"]
    assert "--shutdown_grace_seconds=20" in _server(objects)["args"]


def test_headless_service_names_pods_and_is_not_scraped_besides() -> None:
    objects = _objects(*VOLUME, "--set=serviceMonitor.enabled=true")
    headless = objects["Service/t-fastserve-headless"]
    assert headless["spec"]["clusterIP"] == "None"
    wanted = objects["ServiceMonitor/t-fastserve"]["spec"]["selector"]["matchLabels"].items()
    assert wanted <= objects["Service/t-fastserve"]["metadata"]["labels"].items()
    assert not wanted <= headless["metadata"]["labels"].items()


def test_gpus_are_asked_for_with_the_image_for_them() -> None:
    server = _server(_objects(*VOLUME, "--set=gpus=2"))
    assert server["image"] == "fastserve:gpu"
    assert server["resources"]["limits"]["nvidia.com/gpu"] == 2
    assert "nvidia.com/gpu" not in _server(_objects(*VOLUME))["resources"]["limits"]


def test_autoscaler_owns_the_number_of_replicas() -> None:
    objects = _objects(*VOLUME, "--set=autoscaling.enabled=true")
    assert "replicas" not in objects["Deployment/t-fastserve"]["spec"]
    (metric,) = objects["HorizontalPodAutoscaler/t-fastserve"]["spec"]["metrics"]
    assert metric["pods"]["metric"]["name"] == "fastserve_requests_in_flight"


@pytest.mark.parametrize(
    ("setting", "base_path"),
    [
        ("--set=models.basePath=s3://bucket/models", "s3://bucket/models"),
        (r'--set-json=models.config="config { base_path: \"s3://bucket/m\" }"', None),
    ],
)
def test_models_of_an_object_store_need_no_volume_but_have_room_for_their_copies(
    setting: str, base_path: str | None
) -> None:
    objects = _objects(setting)
    server = _server(objects)
    environment = {each["name"]: each["value"] for each in server["env"]}
    assert environment.get("MODEL_BASE_PATH") == base_path
    places = {each["name"]: each["mountPath"] for each in server["volumeMounts"]}
    assert places["cache"] == "/var/cache/fastserve"
    volumes = objects["Deployment/t-fastserve"]["spec"]["template"]["spec"]["volumes"]
    empty = {each["name"] for each in volumes if each.get("emptyDir") == {}}
    assert empty == {"models", "cache", "scratch"}


def test_tokens_are_mounted_from_a_secret_whole_so_that_they_may_change() -> None:
    settings = "--set=auth.secretName=tokens,auth.tokensKey=clients,auth.adminTokensKey=admins"
    objects = _objects(*VOLUME, settings)
    server = _server(objects)
    (mount,) = (each for each in server["volumeMounts"] if each["name"] == "auth")
    assert "subPath" not in mount
    assert {
        f"--auth_token_file={mount['mountPath']}/clients",
        f"--admin_auth_token_file={mount['mountPath']}/admins",
    } <= set(server["args"])
    volumes = objects["Deployment/t-fastserve"]["spec"]["template"]["spec"]["volumes"]
    (volume,) = (each for each in volumes if each["name"] == "auth")
    assert volume["secret"] == {"secretName": "tokens", "defaultMode": 0o440}


def test_no_token_is_asked_for_unless_a_key_is_set() -> None:
    objects = _objects(*VOLUME, "--set=serviceMonitor.enabled=true,auth.secretName=tokens")
    assert not [word for word in _server(objects)["args"] if "auth" in word]
    assert "tokens" not in str(objects)


def test_prometheus_sends_its_token_to_both_pages() -> None:
    objects = _objects(
        *VOLUME,
        "--set=serviceMonitor.enabled=true,auth.secretName=tokens,auth.adminTokensKey=admins",
        "--set=auth.metricsTokenKey=prometheus",
    )
    endpoints = objects["ServiceMonitor/t-fastserve"]["spec"]["endpoints"]
    assert [each["path"] for each in endpoints] == ["/metrics", "/monitoring/prometheus/metrics"]
    for each in endpoints:
        assert each["authorization"]["credentials"] == {"name": "tokens", "key": "prometheus"}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ((), "models.volume is empty"),
        (("--set=models.basePath=/elsewhere",), "models.volume is empty"),
        ((*VOLUME, "--set=auth.tokensKey=clients"), "auth.secretName is empty"),
        ((*VOLUME, "--set=replica=3"), "replica"),
        ((*VOLUME, "--set=gpus=many"), "gpus"),
    ],
    ids=["no models", "models of no store", "no secret", "unknown value", "wrong type"],
)
def test_chart_refuses_values_that_say_nothing_useful(
    settings: tuple[str, ...], message: str
) -> None:
    status, output = attempt(tool("helm"), "template", "t", CHART, "--kube-version=1.33", *settings)
    assert status != 0
    assert message in output
