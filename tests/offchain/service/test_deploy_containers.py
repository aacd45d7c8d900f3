"""Dockerfile, compose and Kubernetes files: nobody is root, nothing floats, nothing secret, and commands that exist."""

import json
import re
from collections.abc import Sequence
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from clearwatt import __version__
from clearwatt.oracle.cli import oracle

ROOT = Path(__file__).resolve().parents[3]
DEPLOY = ROOT / "deploy"
DOCKERFILE = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
FILES = [path for path in DEPLOY.rglob("*") if path.is_file()]

PINNED = r"[a-z0-9./-]+:v?\d+\.\d+[.\d]*(-[a-z]+)*"
"""An image with a version that does not move on by itself."""

SECRET = r"\b(0x)?[0-9a-fA-F]{64}\b|BEGIN [A-Z ]*PRIVATE KEY|://[^/\s:@]+:[^/\s@]+@"
"""A key, or a password in an address."""

OUR_IMAGE = f"clearwatt:{__version__}"


@cache
def compose() -> dict[str, Any]:
    return yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))


@cache
def manifests() -> dict[str, dict[str, Any]]:
    text = (DEPLOY / "kubernetes" / "oracle.yaml").read_text(encoding="utf-8")
    return {document["kind"]: document for document in yaml.safe_load_all(text)}


def pod() -> dict[str, Any]:
    return manifests()["StatefulSet"]["spec"]["template"]["spec"]


def instructions() -> list[tuple[str, str]]:
    """Of the Dockerfile: word and arguments."""
    lines = re.sub(r"\\\n", " ", DOCKERFILE).splitlines()
    return [tuple(line.split(" ", 1)) for line in lines if line and not line.startswith("#")]  # type: ignore[misc]


def arguments_of(word: str) -> list[str]:
    return [arguments for name, arguments in instructions() if name == word]


# ------------------------------------------------------------ all files


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_file__content__holds_no_secret(path: Path) -> None:
    assert not re.search(SECRET, path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("text", ["ab" * 32, "postgresql://oracle:hunter2@database/one"])
def test_secret__in_a_file__would_be_found(text: str) -> None:
    assert re.search(SECRET, f"KEY={text}\n")


def test_example_env__every_variable__is_read_by_the_program() -> None:
    lines = (DEPLOY / "example.env").read_text(encoding="utf-8").splitlines()
    variables = {line.partition("=")[0] for line in lines if line and not line.startswith("#")}
    assert len(variables) >= 5
    require_known(variables)


def require_known(variables: set[str]) -> None:
    """Fail for those that neither an option of `clearwatt oracle run` nor the program's text names."""
    sources = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "offchain").rglob("*.py"))
    options = "\n".join(
        f'"{name}"' for option in oracle.commands["run"].params for name in _variables(option)
    )
    for name in variables - {"PGPASSFILE"}:  # libpq's own
        assert f'"{name.removesuffix("_FILE")}"' in sources + options, name


def _variables(option: click.Parameter) -> Sequence[str]:
    names = option.envvar or ()
    return (names,) if isinstance(names, str) else names


# ------------------------------------------------------------ the image


def test_dockerfile__bases__are_pinned() -> None:
    bases = [base.split(" ")[0] for base in arguments_of("FROM")]
    assert len(bases) == 2
    assert all(re.fullmatch(PINNED, base) for base in bases)
    assert all(base.startswith("python:3.11.") and base.endswith("-slim-bookworm") for base in bases)


def test_dockerfile__user__is_not_root_from_before_the_entry_on() -> None:
    words = [word for word, _ in instructions()]
    assert arguments_of("USER") == ["10001:10001"]
    assert words.index("USER") < words.index("ENTRYPOINT")
    assert "RUN" not in words[words.index("USER") :]


@pytest.mark.parametrize("word", ["RUN", "ENTRYPOINT", "CMD"])
def test_dockerfile__commands__are_in_exec_form(word: str) -> None:
    assert arguments_of(word)
    for arguments in arguments_of(word):
        assert all(isinstance(part, str) for part in json.loads(arguments))


def test_dockerfile__versions__come_from_the_lock() -> None:
    (install,) = [command for command in arguments_of("RUN") if '"install"' in command]
    assert '"--constraint", "requirements/lock.txt"' in install


def test_dockerfile__what_it_copies__exists_and_is_not_ignored() -> None:
    copied = [arguments.split() for arguments in arguments_of("COPY") if "--from" not in arguments]
    names = {name for arguments in copied for name in arguments[:-1]}
    ignore = (DEPLOY / "Dockerfile.dockerignore").read_text(encoding="utf-8").splitlines()
    assert "*" in ignore
    assert {line[1:] for line in ignore if line.startswith("!")} == names
    assert all((ROOT / name).exists() for name in names)


# ------------------------------------------------------------ compose


def oracles() -> dict[str, dict[str, Any]]:
    return {name: service for name, service in compose()["services"].items() if name.startswith("oracle-")}


def test_compose__images__are_pinned() -> None:
    for name, service in compose()["services"].items():
        assert re.fullmatch(PINNED, service["image"]), name
    assert {service["image"] for service in oracles().values()} == {OUR_IMAGE}


def test_compose__chain__is_the_anvil_of_the_tests() -> None:
    packages = json.loads((ROOT / "package.json").read_text(encoding="utf-8"))
    versions = json.dumps(packages)
    version = compose()["services"]["chain"]["image"].rpartition(":v")[2]
    assert f'"@foundry-rs/anvil-linux-amd64": "{version}"' in versions


def test_compose__users__are_not_root() -> None:
    for name, service in compose()["services"].items():
        if service["image"] != OUR_IMAGE:  # its own is set by the Dockerfile
            assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", service["user"]), name


def test_compose__ports__are_open_to_this_machine_only() -> None:
    ports = [port for service in compose()["services"].values() for port in service.get("ports", ())]
    assert len(ports) == len(set(ports)) >= 5
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_compose__oracles__have_three_keys_three_databases_and_each_other_for_peers() -> None:
    services = oracles()
    assert len({service["environment"]["CLEARWATT_DATABASE"] for service in services.values()}) == 3
    assert len({service["secrets"][0]["source"] for service in services.values()}) == 3
    for name, service in services.items():
        command = service["command"]
        peers = {value for option, value in pairwise(command) if option == "--peer"}
        assert peers == {f"http://{other}:8080" for other in services if other != name}
        assert service["read_only"]
        assert service["cap_drop"] == ["ALL"]


def test_compose__databases__are_made_for_every_oracle() -> None:
    made = (DEPLOY / "postgres" / "databases.sql").read_text(encoding="utf-8")
    for service in oracles().values():
        name = service["environment"]["CLEARWATT_DATABASE"].rpartition("/")[2]
        assert f"CREATE DATABASE {name};" in made


def test_compose__secrets__are_files_outside_of_git() -> None:
    used = {
        secret
        for service in compose()["services"].values()
        for secret in map(_source, service.get("secrets", ()))
    }
    assert used == set(compose()["secrets"])
    assert all(secret["file"].startswith("secrets/") for secret in compose()["secrets"].values())


def _source(secret: Any) -> str:
    return secret if isinstance(secret, str) else secret["source"]


def test_compose__volumes_and_networks__are_declared() -> None:
    for name, service in compose()["services"].items():
        assert set(service["networks"]) <= set(compose()["networks"]), name
        for source in (volume.split(":")[0] for volume in service.get("volumes", ())):
            local = source.startswith(".") and (source.endswith("devnet.json") or (DEPLOY / source).exists())
            assert local or source in compose()["volumes"], source


def require_takes(
    arguments: Sequence[str], environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fail unless `clearwatt` understands these arguments in this environment."""
    require_known(set(environment))
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    group, command, *options = arguments
    assert group == "oracle"
    with oracle.commands[command].make_context(command, list(options)) as context:
        assert context.params["deployment"] == Path("/etc/clearwatt/market.json")
        assert context.params["listen"] == "0.0.0.0:8080"
        assert len(context.params["peer"]) == 2


def test_compose__oracles_commands__are_understood(monkeypatch: pytest.MonkeyPatch) -> None:
    for service in oracles().values():
        require_takes(service["command"], service["environment"], monkeypatch)


# ------------------------------------------------------------ Kubernetes


def test_kubernetes__command__is_understood(monkeypatch: pytest.MonkeyPatch) -> None:
    (container,) = pod()["containers"]
    environment = {entry["name"]: entry["value"] for entry in container["env"]}
    require_takes(container["args"], environment, monkeypatch)


def test_kubernetes__container__has_no_rights_it_does_not_need() -> None:
    (container,) = pod()["containers"]
    assert container["image"] == OUR_IMAGE
    assert pod()["securityContext"]["runAsNonRoot"]
    assert pod()["securityContext"]["runAsUser"] == 10001
    assert container["securityContext"]["readOnlyRootFilesystem"]
    assert not container["securityContext"]["allowPrivilegeEscalation"]
    assert container["securityContext"]["capabilities"]["drop"] == ["ALL"]
    assert not pod()["automountServiceAccountToken"]
    assert container["resources"]["limits"]["memory"]


def test_kubernetes__one_key__one_process() -> None:
    assert manifests()["StatefulSet"]["spec"]["replicas"] == 1


def test_kubernetes__selectors_and_volumes__fit_together() -> None:
    stateful = manifests()["StatefulSet"]
    labels = stateful["spec"]["template"]["metadata"]["labels"]
    assert stateful["spec"]["selector"]["matchLabels"] == manifests()["Service"]["spec"]["selector"] == labels
    assert stateful["spec"]["serviceName"] == manifests()["Service"]["metadata"]["name"]
    mounted = {mount["name"] for mount in pod()["containers"][0]["volumeMounts"]}
    claims = {claim["metadata"]["name"] for claim in stateful["spec"]["volumeClaimTemplates"]}
    assert mounted == {volume["name"] for volume in pod()["volumes"]} | claims


def test_kubernetes__probes__ask_what_there_is() -> None:
    from clearwatt.service.health import Health, health_router

    paths = {route.path for route in health_router(Health(1, 1)).routes}  # type: ignore[attr-defined]
    for probe, path in (("startup", "/health"), ("liveness", "/health"), ("readiness", "/ready")):
        assert pod()["containers"][0][f"{probe}Probe"]["httpGet"] == {"path": path, "port": "http"}
        assert path in paths


def test_kubernetes__secrets__are_referred_to_and_not_written_down() -> None:
    assert set(manifests()) == {"ServiceAccount", "Service", "StatefulSet"}
