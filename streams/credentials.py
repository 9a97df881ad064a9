"""From the settings of an existing Kafka to what Faust's driver needs to speak to it."""

from __future__ import annotations

import ssl

from faust.auth import SASLCredentials, SSLCredentials
from faust.types.auth import CredentialsT

from streams.errors import BadInput
from streams.settings import Settings

MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")


def kafka_credentials(settings: Settings) -> CredentialsT | None:
    """TLS and SASL of the brokers, for `build_app`; None for plain text.

    Raises:
        BadInput: SASL without a user name or password; a mechanism that is not supported; a certificate that can't be read.
    """
    protocol = settings.kafka_security_protocol
    tls = _tls(settings) if protocol in {"SSL", "SASL_SSL"} else None
    if protocol in {"PLAINTEXT", "SSL"}:
        return None if tls is None else SSLCredentials(context=tls)
    username, password = settings.kafka_sasl_username, settings.kafka_sasl_password
    if username is None or password is None:
        text = f"kafka_security_protocol = {protocol} needs kafka_sasl_username and kafka_sasl_password"
        raise BadInput(text)
    mechanism = settings.kafka_sasl_mechanism or "PLAIN"
    if mechanism not in MECHANISMS:
        text = f"kafka_sasl_mechanism = {mechanism!r}: {', '.join(MECHANISMS)} are supported"
        raise BadInput(text)
    return SASLCredentials(username=username, password=password.get_secret_value(), ssl_context=tls, mechanism=mechanism)


def _tls(settings: Settings) -> ssl.SSLContext:
    authority, certificate, key = (
        None if path is None else str(path)
        for path in (settings.kafka_ssl_ca_location, settings.kafka_ssl_certificate_location, settings.kafka_ssl_key_location)
    )
    password = settings.kafka_ssl_key_password
    try:
        context = ssl.create_default_context(cafile=authority)
        if certificate is not None:
            context.load_cert_chain(certificate, key, None if password is None else password.get_secret_value())
    except OSError as unreadable:  # ssl.SSLError is one
        text = (
            f"kafka_ssl_ca_location = {authority}, kafka_ssl_certificate_location = {certificate}, kafka_ssl_key_location = {key}: "
        )
        raise BadInput(text + str(unreadable)) from unreadable
    return context
