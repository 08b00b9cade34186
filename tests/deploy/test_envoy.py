"""Three replicas behind Envoy: none of a client's calls is lost to what happens to one of them."""

import shutil
import signal
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import grpc
import pytest
from deploy_tools import DEPLOY, run, tool
from fleet import Envoy, Load, Replica, Tally, half_plus
from tensorflow_serving.apis import prediction_service_pb2_grpc

from support.layout import config_text, model_entry, publish
from support.waiting import wait_until

ALL = "all-models"
DRAIN_S = 3


@dataclass(frozen=True, slots=True)
class Fleet:
    """Three replicas, and Envoy before them."""

    replicas: Sequence[Replica]
    envoy: Envoy
    shared: Path
    """The base path of `shared`, which all of them serve: half_plus_two."""

    def load(self, model: str = "shared", *, headers: Sequence[tuple[str, str]] = ()) -> Load:
        return Load(self.envoy.port, half_plus(model), headers=headers)


@pytest.fixture(scope="module")
def fleet(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """Every replica serves the versions at one path as `shared`.

    The first serves `mnist` too, with version 1 (which adds 2), and the second, which is the
    canary, with version 2 (which adds 3). The third is in the cluster mnist without that model.
    """
    tool("envoy")
    scratch = tmp_path_factory.mktemp("fleet")
    versions = models / "half_plus_two"
    shared = scratch / "shared"
    publish(versions / "1", shared, "1")
    replicas = [
        _replica(scratch / f"replica-{number}", shared, versions / mnist if mnist else None)
        for number, mnist in enumerate(("1", "2", ""))
    ]
    envoy = Envoy(
        scratch / "envoy",
        {ALL: replicas, "mnist": [replicas[0], replicas[2]], "mnist-canary": replicas[1:2]},
    )
    try:
        envoy.await_healthy(ALL, replicas)
        envoy.await_healthy("mnist", replicas[:1])
        yield Fleet(replicas, envoy, shared)
    finally:
        envoy.stop()
        for replica in replicas:
            replica.server.kill()


def _replica(scratch: Path, shared: Path, mnist: Path | None) -> Replica:
    entries = [model_entry("shared", shared)]
    if mnist:
        shutil.copytree(mnist, scratch / "mnist" / mnist.name)
        entries.append(model_entry("mnist", scratch / "mnist"))
    scratch.mkdir(exist_ok=True)
    config = scratch / "models.config"
    config.write_text(config_text(entries))
    return Replica(scratch, f"--model_config_file={config}", f"--drain_delay_seconds={DRAIN_S}")


def _after(load: Tally, answers: int) -> None:
    """Waits for that many further answers."""
    goal = load.answers + answers
    wait_until(lambda: load.answers >= goal, 60.0, f"{answers} further answers")


def test_envoy_takes_the_shipped_configuration() -> None:
    run(tool("envoy"), "--mode", "validate", "-c", DEPLOY / "envoy" / "envoy.yaml")


def test_calls_of_one_connection_spread_over_all_replicas(fleet: Fleet) -> None:
    before = fleet.envoy.calls(ALL)

    def all_sent(calls: int) -> bool:
        sent = fleet.envoy.calls(ALL) - before
        return all(sent[replica.port] > calls for replica in fleet.replicas)

    # Not after a number of answers: on a busy machine Envoy may leave a replica out for a second.
    with Load(fleet.envoy.port, half_plus("shared"), clients=1) as load:
        wait_until(lambda: all_sent(50), 30.0, "every replica was sent 50 calls")
    assert not load.failures


def test_model_header_leads_to_the_replicas_of_that_model(fleet: Fleet) -> None:
    before = fleet.envoy.calls(ALL)
    with fleet.load("mnist", headers=[("x-model", "mnist")]) as load:
        _after(load, 400)
    assert not load.failures
    assert fleet.envoy.calls(ALL) == before
    stable, canary = load.values[2.0], load.values[3.0]
    assert stable + canary == load.answers
    assert 0 < canary < 0.15 * load.answers, "5 % by weight"


def test_replica_without_the_model_is_not_asked_for_it(fleet: Fleet) -> None:
    assert fleet.envoy.healthy("mnist") == {fleet.replicas[0].port}
    assert fleet.replicas[2].port in fleet.envoy.healthy(ALL)


def test_label_header_leads_to_the_canary_alone(fleet: Fleet) -> None:
    with fleet.load("mnist", headers=[("x-model", "mnist"), ("x-version-label", "canary")]) as load:
        _after(load, 100)
    assert not load.failures
    assert set(load.values) == {3.0}


def test_slow_replica_is_sent_less(fleet: Fleet) -> None:
    slow, *others = fleet.replicas
    before = fleet.envoy.calls(ALL)
    with slow.slowed(0.1), Load(fleet.envoy.port, half_plus("shared"), clients=16) as load:
        _after(load, 1500)
    assert not load.failures
    sent = fleet.envoy.calls(ALL) - before
    assert sent[slow.port] < 0.8 * min(sent[other.port] for other in others)


def test_client_balances_by_itself_and_leaves_a_drained_replica(fleet: Fleet) -> None:
    stable, canary, _ = fleet.replicas
    addresses = ",".join(f"127.0.0.1:{replica.port}" for replica in (stable, canary))
    config = (DEPLOY / "grpc" / "service_config.json").read_text()
    options = [("grpc.service_config", config)]
    with grpc.insecure_channel(f"ipv4:{addresses}", options=options) as channel:
        stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)

        def ask() -> float:
            answer = stub.Predict(half_plus("mnist"), timeout=10, wait_for_ready=True)
            return answer.outputs["y"].float_val[0]

        wait_until(lambda: {ask() for _ in range(4)} == {2.0, 3.0}, 30.0, "both are asked")
        assert [ask() for _ in range(20)].count(2.0) == 10
        canary.server.signal(signal.SIGTERM)
        wait_until(lambda: {ask() for _ in range(4)} == {2.0}, 2 * DRAIN_S, "it is left alone")
        assert canary.server.wait() == 0
        assert {ask() for _ in range(20)} == {2.0}
    canary.launch()
    fleet.envoy.await_healthy(ALL, fleet.replicas)


def test_new_version_rolls_over_all_replicas_without_a_failure(fleet: Fleet, models: Path) -> None:
    with fleet.load() as load:
        _after(load, 100)
        publish(models / "half_plus_two" / "3", fleet.shared, "3")
        _after(load, 100)
        wait_until(lambda: load.values[4.0] > 0, 30.0, "the new version answers")
        wait_until(lambda: _settled(load), 30.0, "no replica answers with the old version")
    assert not load.failures


def _settled(load: Tally) -> bool:
    before = load.values[2.0]
    _after(load, 100)
    return load.values[2.0] == before


def test_drained_replica_costs_no_call(fleet: Fleet) -> None:
    replica, *others = fleet.replicas
    with fleet.load() as load:
        _after(load, 100)
        replica.server.signal(signal.SIGTERM)
        assert replica.server.wait() == 0
        _after(load, 100)
        assert fleet.envoy.healthy(ALL) == {other.port for other in others}
        replica.launch()
        fleet.envoy.await_healthy(ALL, fleet.replicas)
        _after(load, 100)
    assert not load.failures


def test_killed_replica_costs_no_call_that_a_retry_can_save(fleet: Fleet) -> None:
    replica = fleet.replicas[1]
    with fleet.load() as load:
        _after(load, 100)
        replica.server.kill()
        _after(load, 500)
        replica.launch()
        fleet.envoy.await_healthy(ALL, fleet.replicas)
        _after(load, 100)
    print(f"{load.answers} answers, failures: {dict(load.failures)}")
    assert not load.failures
