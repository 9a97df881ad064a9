"""TLS and SASL: what the settings say is what a worker speaks, on a real broker that asks for it."""

from __future__ import annotations

import datetime
import ipaddress
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from infra.broker import broker_command, wait_for_broker
from infra.processes import free_port
from streams.credentials import kafka_credentials
from streams.errors import BadInput
from streams.settings import Settings

SECURED = """
listeners=PLAINTEXT://127.0.0.1:{plain},SASL://127.0.0.1:{sasl},SECURE://127.0.0.1:{secure},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{plain},SASL://127.0.0.1:{sasl},SECURE://127.0.0.1:{secure}
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SASL:SASL_PLAINTEXT,SECURE:SASL_SSL
listener.name.sasl.sasl.enabled.mechanisms=PLAIN
listener.name.secure.sasl.enabled.mechanisms=SCRAM-SHA-256
listener.name.sasl.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required user_ada="tiny secret";
listener.name.secure.scram-sha-256.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
listener.name.secure.ssl.keystore.type=PEM
listener.name.secure.ssl.keystore.location={keystore}
"""


class Secured(NamedTuple):
    """A broker with three doors: plain, SASL PLAIN, and SASL SCRAM inside TLS."""

    plain: str
    sasl: str
    secure: str
    authority: Path


def self_signed(directory: Path) -> tuple[Path, Path]:
    """(file with key and certificate for the broker, file with the certificate for its clients)."""
    x509 = pytest.importorskip("cryptography.x509")
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
        .public_bytes(serialization.Encoding.PEM)
    )
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    keystore, authority = directory / "keystore.pem", directory / "authority.pem"
    keystore.write_bytes(private + certificate)
    authority.write_bytes(certificate)
    return keystore, authority


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    from confluent_kafka.admin import AdminClient, ScramCredentialInfo, ScramMechanism, UserScramCredentialUpsertion

    directory = tmp_path_factory.mktemp("secured")
    ports = {name: free_port() for name in ("plain", "sasl", "secure", "controller")}
    keystore, authority = self_signed(directory)
    command = broker_command(directory / "data", port=ports["plain"], controller_port=ports["controller"], heap_mb=384)
    with Path(command[-1]).open("a", encoding="utf-8") as properties:
        properties.write(SECURED.format(**ports, keystore=keystore))  # the last word on a property counts
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            plain = {"bootstrap.servers": f"127.0.0.1:{ports['plain']}"}
            wait_for_broker(plain, timeout_s=60, gone=lambda: process.poll() is not None)
            admin = AdminClient(plain)
            scram = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_256, 4096)
            user = UserScramCredentialUpsertion("ada", scram, b"tiny secret")
            admin.alter_user_scram_credentials([user])["ada"].result(timeout=30)
            yield Secured(*(f"127.0.0.1:{ports[name]}" for name in ("plain", "sasl", "secure")), authority)
        finally:
            process.kill()


def sasl(password: str = "tiny secret") -> dict[str, Any]:
    return {"kafka_security_protocol": "SASL_PLAINTEXT", "kafka_sasl_username": "ada", "kafka_sasl_password": password}


@pytest.mark.kafka
@pytest.mark.parametrize("door", ["sasl", "secure"])
def test_a_worker_gets_in_with_its_credentials(door: str, secured: Secured, start_worker: Callable[..., Any]) -> None:
    from confluent_kafka import Producer
    from confluent_kafka.admin import AdminClient, NewTopic

    plain = {"bootstrap.servers": secured.plain}
    admin, topic = AdminClient(plain), f"t-{door}"
    admin.create_topics([NewTopic(topic, 1, 1)])[topic].result(timeout=30)
    producer = Producer(plain)
    producer.produce(topic, b"v")
    assert producer.flush(30) == 0
    settings = sasl()
    if door == "secure":
        settings |= {"kafka_security_protocol": "SASL_SSL", "kafka_sasl_mechanism": "SCRAM-SHA-256"}
        settings["kafka_ssl_ca_location"] = str(secured.authority)
    address = getattr(secured, door)
    worker = start_worker("bourse", topic=topic, group=topic, do="record", bootstrap=address, settings=settings)
    worker.until(lambda w: w.told("declared"))
    assert worker.stop() == 0
    refused = start_worker("bourse", topic=topic, group=topic, do="record", bootstrap=address, settings=settings | sasl("guessed"))
    assert refused.exit_code() == 1


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"kafka_security_protocol": "SASL_SSL"}, "kafka_sasl_username"),
        (sasl() | {"kafka_sasl_mechanism": "GSSAPI"}, "GSSAPI"),
        ({"kafka_security_protocol": "SSL", "kafka_ssl_ca_location": "missing.pem"}, "missing.pem"),
    ],
)
def test_what_can_not_work_is_refused_in_one_line(settings: dict[str, Any], named: str) -> None:
    with pytest.raises(BadInput, match=named):
        kafka_credentials(Settings(**settings))


def test_plain_text_needs_none() -> None:
    assert kafka_credentials(Settings()) is None
