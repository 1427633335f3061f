"""The settings: read once from the environment, frozen, each with its unit in its name; docs/settings.md lists them."""

import hashlib
import json
import os
from collections.abc import Mapping
from ipaddress import IPv6Address, ip_address, ip_network
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

from app.errors import Misconfigured

PREFIX = "ONELOOK_"
MIB = 1024 * 1024


class Settings(BaseSettings):
    """What `onelook serve` is told. Raises Misconfigured through `read`."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="forbid")

    home: Path = Field(Path("var"), description="folder of the database, the keys and the admin key")
    host: str = Field("127.0.0.1", description="address to listen on")
    port: int = Field(8000, ge=0, le=65535, description="port to listen on; 0: any free one")
    database_url: str | None = Field(None, repr=False, description="URL of the database; none: SQLite in the home")
    master_key: SecretStr | None = Field(None, description="master keys, base64; none: those of the file")
    master_key_file: Path | None = Field(None, description="file of the master keys; none: in the home")
    keys_url: str | None = Field(None, repr=False, description="URL of the keys of people; none: see docs/settings.md")
    search: Literal["faiss", "pgvector"] = Field("faiss", description="where is searched; pgvector: vectors in clear")
    replica_urls: tuple[str, ...] = Field((), repr=False, description="JSON list of URLs of standbys to search on")
    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="where the networks run")
    model: str = Field("onelook", pattern=r"^[a-z0-9][a-z0-9_.-]{0,63}$", description="encoder; see `onelook reembed`")
    weights: Path | None = Field(None, description="folder of encoders of your own; none: those that are shipped")
    flip_averaging: bool = Field(True, description="encode each face mirrored too, and average; another model")
    keep_crops: bool = Field(False, description="keep aligned faces, sealed, for another model to embed")
    precision: Literal["auto", "float32", "bfloat16"] = Field("auto", description="auto: measured at start")
    workers: int = Field(1, ge=1, le=64, description="API processes")
    inference_lanes: int = Field(0, ge=0, le=64, description="threads that read pictures; 0: this process's cores")
    inference_queue: int = Field(64, ge=1, le=10_000, description="pictures that may wait; beyond it 503 `busy`")
    batch_faces: int = Field(4, ge=1, le=64, description="pictures that one lane takes together")
    max_image_bytes: int = Field(10 * MIB, ge=1024, description="bytes of one picture")
    max_image_pixels: int = Field(50_000_000, ge=1024, description="pixels of one picture")
    max_body_bytes: int = Field(32 * MIB, ge=1024, description="bytes of one request body")
    body_timeout_s: float = Field(20.0, gt=0, description="seconds that a request body may take to arrive")
    max_batch_bytes: int = Field(1024 * MIB, ge=1024, description="bytes of one batch, as sent and unpacked")
    max_batch_items: int = Field(100_000, ge=1, le=1_000_000, description="photos of one batch")
    batch_timeout_s: float = Field(3600.0, gt=0, description="seconds that a batch may take to arrive")
    batch_kept_hours: float = Field(
        168.0, gt=0, le=87_600, description="hours that a batch is remembered after its end"
    )
    style_workers: int = Field(1, ge=0, le=16, description="processes beside the API that render; 0: none here")
    style_queue: int = Field(64, ge=1, le=100_000, description="style jobs that may wait; beyond it 429 `queue_full`")
    style_threads: int = Field(0, ge=0, le=256, description="threads of one render; 0: half of this process's cores")
    style_memory_bytes: int = Field(0, ge=0, description="bytes that one render may take; 0: half of the machine's")
    max_style_body_bytes: int = Field(64 * MIB, ge=1024, description="bytes of one style job, as it is sent")
    style_kept_hours: float = Field(
        168.0, gt=0, le=87_600, description="hours that a style job and its files are kept after its end"
    )
    key_rate_per_minute: int = Field(
        6000, ge=1, le=10_000_000, description="requests of a key without a rate of its own"
    )
    key_concurrency: int = Field(64, ge=1, le=10_000, description="the same, requests at a time")
    min_enroll_quality: float = Field(0.35, ge=0, le=1, description="least quality score of an enrolment")
    shutdown_grace_s: float = Field(20.0, gt=0, description="seconds that running requests get to finish")
    retention_unseen_days: int = Field(0, ge=0, le=36_500, description="days until who is not seen is erased; 0: never")
    retention_audit_days: int = Field(0, ge=0, le=36_500, description="days that audit rows are kept; 0: for ever")
    tls_cert: Path | None = Field(None, description="PEM certificate chain")
    tls_key: Path | None = Field(None, description="PEM private key")
    trusted_proxies: tuple[str, ...] = Field((), description="JSON list of proxies whose headers are believed")
    metrics_allow: tuple[str, ...] = Field((), description="JSON list of who may read /metrics without key")
    snapshot_every_s: float = Field(300.0, ge=0, description="seconds between snapshots of the index; 0: none")
    otlp_endpoint: str | None = Field(None, description="URL that traces are sent to by OTLP; none: no traces")
    trace_share: float = Field(1.0, ge=0, le=1, description="share of the requests that are traced")
    log_format: Literal["json", "console"] = Field("json", description="one JSON object a line, or text for people")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="least level that is logged")

    @classmethod
    def read(cls, environment: Mapping[str, str] | None = None) -> Self:
        """The settings of this process. Raises Misconfigured for an unknown name, a bad value or a bad combination."""
        environment = os.environ if environment is None else environment
        known = {f"{PREFIX}{name}".upper(): name for name in cls.model_fields}
        given = {name: value for name, value in environment.items() if name.upper().startswith(PREFIX)}
        if unknown := sorted(name for name in given if name.upper() not in known):
            raise Misconfigured(f"{', '.join(unknown)}: no such setting; docs/settings.md lists them")
        source = EnvSettingsSource(cls)
        source.env_vars = {name.lower(): value for name, value in given.items()}
        try:
            return cls(**source())
        except SettingsError as e:
            raise Misconfigured(f"{e}: lists are written as JSON") from None
        except ValidationError as e:
            # Values are left out: one of them may be a secret.
            text = "; ".join(f"{PREFIX}{'_'.join(map(str, x['loc'])).upper()}: {x['msg']}" for x in e.errors())
            raise Misconfigured(text) from None

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Only what is passed: the environment is read in one place, `read`, and nowhere behind a caller's back."""
        return (init_settings,)

    @field_validator("trusted_proxies", "metrics_allow")
    @classmethod
    def _names_machines(cls, entries: tuple[str, ...]) -> tuple[str, ...]:
        for entry in entries:
            if not _is_machines(entry):
                raise ValueError(
                    "each entry must be an IP address, or a network such as 10.1.2.0/24 whose host bits are zero, and "
                    "no network may be all addresses"
                )
        return entries

    @model_validator(mode="after")
    def _needs_a_safe_transport(self) -> Self:
        if (self.tls_cert is None) != (self.tls_key is None):
            raise ValueError("ONELOOK_TLS_CERT and ONELOOK_TLS_KEY belong together: give both or none")
        loopback = self.host == "localhost" or _is_loopback(self.host)
        if not (loopback or self.tls_cert or self.trusted_proxies):
            raise ValueError(
                f"{self.host} can be reached from other machines, and keys and faces would pass in clear: give "
                "ONELOOK_TLS_CERT and ONELOOK_TLS_KEY, or name the proxy before it in ONELOOK_TRUSTED_PROXIES, or "
                "listen on 127.0.0.1"
            )
        return self

    @model_validator(mode="after")
    def _names_one_master_key(self) -> Self:
        if self.master_key is not None and self.master_key_file is not None:
            raise ValueError("ONELOOK_MASTER_KEY and ONELOOK_MASTER_KEY_FILE exclude each other: give one of them")
        return self

    @model_validator(mode="after")
    def _searches_where_it_can(self) -> Self:
        if self.search == "pgvector" and not (self.database_url or "").startswith("postgres"):
            raise ValueError("ONELOOK_SEARCH=pgvector needs PostgreSQL: name it in ONELOOK_DATABASE_URL")
        if self.replica_urls and self.search != "pgvector":
            raise ValueError("ONELOOK_REPLICA_URLS serves searches in the database: set ONELOOK_SEARCH=pgvector too")
        return self

    def digest(self) -> str:
        """SHA-256 of everything but secrets, URLs that may hold one, and the precision: whether two were told the same.

        Of several workers the first one chooses the precision, and the others are told it.
        """
        left_out = {"database_url", "keys_url", "master_key", "replica_urls", "precision"}
        told = self.model_dump(mode="json", exclude=left_out)
        return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()

    def allows_metrics(self, host: str) -> bool:
        """Whether that address may read /metrics without a key; what is no address may not."""
        try:
            address = ip_address(host)
        except ValueError:
            return False
        if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
            address = address.ipv4_mapped
        return any(address in ip_network(entry) for entry in self.metrics_allow)

    def sqlalchemy_url(self) -> str:
        """The database: the one that was named, or SQLite in the home."""
        return self.database_url or f"sqlite:///{(self.home / 'onelook.db').resolve()}"

    def master_key_path(self) -> Path:
        """The file of the master keys: the one that was named, or the home's own."""
        return self.master_key_file or self.home / "keys" / "master.key"

    def vault_url(self) -> str:
        """Where the keys of people lie: as was named; else on the PostgreSQL that was named, or in the home."""
        if self.keys_url is not None:
            return self.keys_url
        if self.database_url is not None and self.database_url.startswith("postgres"):
            return self.database_url
        return f"sqlite:///{(self.home / 'keys' / 'people.db').resolve()}"


def _is_machines(entry: str) -> bool:
    try:
        return ip_network(entry).prefixlen > 0
    except ValueError:
        return False


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
