"""What the service is told at its start: the model, limits, and who may ask. Passed to worker processes as JSON.

It holds where the token lies and reads it when asked, so that no token stands in a command line or a setting.
"""

from __future__ import annotations

import json
import math
import os
from dataclasses import asdict, dataclass, replace
from ipaddress import ip_network
from pathlib import Path

from finsa_moe.errors import ConfigError
from finsa_moe.runtime import cores

VARIABLE = "FINSA_SERVE"
TOKEN = "FINSA_TOKEN"
SHORTEST = 16


@dataclass(frozen=True)
class Settings:
    """Limits and places; every default is what `finsa serve` takes when nothing is said.

    Attributes:
        model: Model folder; None is the default model.
        engine: As in `finsa_moe.load`.
        threads: Batches worked on at once by one worker; None shares the cores among the workers.
        workers: Processes.
        abstain_below: Answers with a confidence under this are marked uncertain.
        deadline: Seconds in which an accepted request is answered, and as many more for each text to be explained; what
            would take longer is refused at once.
        max_texts: Most texts of a request.
        max_chars: Most characters of a text.
        max_explained: Most texts of a request that asks for words.
        evaluations: Masked texts asked for one explanation, at most.
        max_body: Most bytes of a request's body.
        max_file: Most bytes of an uploaded file.
        max_rows: Most rows of an uploaded file.
        max_columns: Most columns of an uploaded file.
        per_client: Most requests of one address at once.
        files_at_once: Most files worked on at once by one worker.
        keep: Seconds for which the answer to a file can be fetched.
        body_seconds: Longest pause of a client that is sending a request.
        token_file: File that holds the bearer token; read once, so that it may be a pipe.
        log_texts: Whether texts may stand in the log.
        behind_proxy: Whether a proxy names the client in ``X-Forwarded-For``: one of `proxies`, else of
            ``FORWARDED_ALLOW_IPS``, else on this machine (127.0.0.1).
        proxies: Addresses and networks of such proxies, with commas between; where they are named there is one.
        spool: Folder for files on their way; made at the start.
    """

    model: str | None = None
    engine: str | None = None
    threads: int | None = None
    workers: int = 1
    abstain_below: float = 0.0
    deadline: float = 5.0
    max_texts: int = 1024
    max_chars: int = 10_000
    max_explained: int = 16
    evaluations: int = 256
    max_body: int = 16 << 20
    max_file: int = 64 << 20
    max_rows: int = 200_000
    max_columns: int = 1_000
    per_client: int = 64
    files_at_once: int = 2
    keep: float = 600.0
    body_seconds: float = 10.0
    token_file: str | None = None
    log_texts: bool = False
    behind_proxy: bool = False
    proxies: str | None = None
    spool: str | None = None

    def __post_init__(self) -> None:
        counts = ("workers", "max_texts", "max_chars", "max_body", "max_file", "max_rows", "max_columns", "per_client")
        for name in counts:
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} is {getattr(self, name)}; it must be 1 or more")
        if not (math.isfinite(self.deadline) and self.deadline > 0):
            raise ConfigError(f"deadline is {self.deadline}; it must be a finite number of seconds, more than 0")
        if not 0.0 <= self.abstain_below <= 1.0:
            raise ConfigError(f"abstain_below is {self.abstain_below}; it is a probability and must be in 0..1")
        for proxy in self.proxies.split(",") if self.proxies is not None else ():
            try:
                ip_network(proxy.strip())
            except ValueError as error:
                raise ConfigError(
                    f"proxies is {self.proxies!r}: {error}; name addresses or networks, such as 10.88.0.1,10.42.0.0/16"
                ) from None

    @property
    def lanes(self) -> int:
        """Threads of one worker."""
        return self.threads or max(1, cores() // self.workers)

    def token(self) -> bytes | None:
        """The bearer token: from the file, else from ``FINSA_TOKEN``; None where neither is given.

        Raises:
            ConfigError: If the file cannot be read, or the token is too short to be one or holds whitespace.
        """
        place = f"${TOKEN}"
        words = os.environ.get(TOKEN)
        if self.token_file is not None:
            place = self.token_file
            try:
                words = Path(self.token_file).read_text(encoding="utf-8")
            except (OSError, UnicodeDecodeError) as error:
                raise ConfigError(f"token file {self.token_file} cannot be read: {error}") from None
        if words is None:
            return None
        words = words.strip()
        if len(words) < SHORTEST or not words.isascii() or any(c.isspace() or not c.isprintable() for c in words):
            raise ConfigError(
                f"the token in {place} must be {SHORTEST} or more printable ASCII characters without spaces; "
                "make one with: openssl rand -hex 32"
            )
        return words.encode()

    def to_environment(self, token: bytes | None) -> dict[str, str]:
        """The variables that tell worker processes the settings, and the token, whose file was read once for all."""
        found = {VARIABLE: json.dumps(asdict(replace(self, token_file=None)))}
        return found if token is None else found | {TOKEN: token.decode()}

    @classmethod
    def from_environment(cls) -> Settings:
        """What `to_environment` told."""
        return cls(**json.loads(os.environ[VARIABLE]))
