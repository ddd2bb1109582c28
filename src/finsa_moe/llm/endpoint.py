"""One endpoint that speaks OpenAI's chat form or Ollama's: a request goes out, its answer or the reason comes back.

It knows the two forms of the wire and which failures may pass; it neither waits nor tries again, and it remembers
nothing. The key is read from the environment or a file and never shown.
"""

from __future__ import annotations

import http.client
import json
import os
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from finsa_moe.errors import ConfigError, EndpointError

FORMS = ("openai", "ollama")
KEY = "FINSA_API_KEY"
EXAMPLE = "http://localhost:11434/v1"
_LONGEST = 86_400  # seconds: sockets take no more than some decades
_LARGEST = 1 << 22  # bytes of an answer: a model that never stops is cut off
_SHOWN = 120
_FILTERED = ("content_filter", "sensitive")
"""Ends that a filter makes, in OpenAI's word and in Zhipu's."""
_FAILED = ("insufficient_system_resource", "network_error")
"""Ends that another try may not meet, in DeepSeek's word and in Zhipu's."""

Message = Mapping[str, str]


class PassingError(EndpointError):
    """A failure of an endpoint that another try may not meet.

    Attributes:
        wait: Seconds the endpoint asks to wait, 0 where it does not say.
    """

    def __init__(self, message: str, wait: float = 0.0) -> None:
        super().__init__(message)
        self.wait = wait


class RefusedError(EndpointError):
    """A request refused for what it holds, as a filter or a limit of length does: another may be answered."""


@dataclass(frozen=True)
class Answer:
    """What a model said.

    Attributes:
        text: The answer as it came.
        prompt_tokens: Tokens of the prompt; 0 where not told.
        answer_tokens: Tokens of the answer, thoughts included; 0 where not told.
        cut: Whether it was cut off, at the most tokens allowed or by a filter.
    """

    text: str
    prompt_tokens: int
    answer_tokens: int
    cut: bool = False


class _NoDetour(urllib.request.HTTPRedirectHandler):
    """Follows no redirection: it would carry texts and key to an address that the user has not named."""

    def redirect_request(self, *_: Any) -> None:
        return None


_OPENER = urllib.request.build_opener(_NoDetour)


@dataclass(frozen=True)
class Endpoint:
    """Where a model is asked.

    Attributes:
        url: Base address, as in ``http://localhost:11434`` or ``https://host/v1``.
        model: The model's name there.
        form: ``"openai"`` (``/chat/completions``) or ``"ollama"`` (``/api/chat``).
        key: Sent as a bearer token; empty for none.
        timeout: Seconds to wait for an answer.
        fields: What else a request's body holds, over what it would; None takes a field out.
    """

    url: str
    model: str
    form: str = "openai"
    key: str = field(default="", repr=False)
    timeout: float = 60.0
    fields: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _check(self.url)
        if not _plain(self.key):
            raise ConfigError("the key holds what no key holds; is its file the right one?")
        if self.form not in FORMS:
            raise ConfigError(f"endpoint's form {self.form!r}: allowed are {', '.join(FORMS)}")
        if not self.model:
            raise ConfigError("no model named; say which one the endpoint shall run")
        if not 0 < self.timeout <= _LONGEST:  # nan is neither
            raise ConfigError(f"time-out {self.timeout:g}: allowed are seconds above 0, up to {_LONGEST:,}")

    def request(self, messages: Sequence[Message], temperature: float, longest: int) -> dict[str, Any]:
        """The body of a request.

        Args:
            messages: ``role`` and ``content`` each.
            temperature: 0 for the likeliest words.
            longest: Most tokens of the answer.
        """
        said: list[dict[str, str]] = [dict(message) for message in messages]
        if self.form == "ollama":
            options = {"temperature": temperature, "num_predict": longest}
            body: dict[str, Any] = {"model": self.model, "messages": said, "stream": False, "options": options}
        else:
            body = {"model": self.model, "messages": said, "temperature": temperature, "max_tokens": longest}
        body |= self.fields
        return {name: value for name, value in body.items() if value is not None}

    def ask(self, body: Mapping[str, Any]) -> Answer:
        """Send a request once.

        Raises:
            PassingError: If the endpoint is busy, broken or silent, or its answer is damaged or was broken off by it.
            RefusedError: If it refuses this request, or its filter leaves nothing of the answer.
            EndpointError: If it refuses for good: a wrong key, model or address.
        """
        place = "/api/chat" if self.form == "ollama" else "/chat/completions"
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        if self.key:
            headers["Authorization"] = f"Bearer {self.key}"
        content = json.dumps(body).encode()
        request = urllib.request.Request(self.url.rstrip("/") + place, content, headers)
        try:
            until = time.monotonic() + self.timeout
            with _OPENER.open(request, timeout=self.timeout) as reply:
                raw = b""
                while len(raw) <= _LARGEST and (part := reply.read1(1 << 16)):
                    raw += part
                    if time.monotonic() > until:  # one that trickles never lets a read time out
                        raise TimeoutError("the answer did not end in time")
        except urllib.error.HTTPError as error:
            raise self._refused(error) from None
        except (OSError, http.client.HTTPException, ssl.SSLError) as error:
            reason = getattr(error, "reason", None) or error
            if isinstance(reason, ssl.SSLCertVerificationError):
                raise EndpointError(f"{self.url}: its certificate is not valid: {reason.verify_message}") from None
            raise PassingError(f"{self.url}: {reason or type(error).__name__}") from None
        if len(raw) > _LARGEST:
            raise PassingError(f"{self.url}: an answer of over {_LARGEST >> 20} MiB")
        return self._read(raw)

    def _refused(self, error: urllib.error.HTTPError) -> EndpointError:
        try:
            told = error.read(_LARGEST).decode("utf-8", "replace")
        except (OSError, http.client.HTTPException):
            told = ""
        if self.key:  # some servers say which key they did not like
            told = told.replace(self.key, "…")
        message = f"{self.url}: status {error.code}: {' '.join(told.split())[:_SHOWN] or error.reason}"
        if 300 <= error.code < 400:
            return EndpointError(f"{message}; it sends requests elsewhere: name that address if you trust it")
        if error.code in (408, 409, 425, 429) or error.code >= 500:
            return PassingError(message, _seconds(error.headers.get("Retry-After")))
        kind = RefusedError if error.code in (400, 413, 422) else EndpointError
        return kind(f"{message}; check the address, the model's name and the key")

    def _read(self, raw: bytes) -> Answer:
        try:
            found = json.loads(raw)
            if self.form == "ollama":
                counts = found.get("prompt_eval_count"), found.get("eval_count")
                text, ended = found["message"]["content"], found.get("done_reason")
            else:
                usage = found.get("usage") or {}
                counts = usage.get("prompt_tokens"), usage.get("completion_tokens")
                choice = found["choices"][0]
                text, ended = choice["message"]["content"], choice.get("finish_reason")
            if ended in _FAILED:
                raise PassingError(f"{self.url}: the answer was broken off: {ended}")
            if ended in _FILTERED and not text:
                raise RefusedError(f"{self.url}: a filter kept the answer back: {ended}")
            if text is None and ended == "length":  # thought until nothing was left
                text = ""
            if not isinstance(text, str):
                raise TypeError
        except (ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError):
            shown = " ".join(raw[:_SHOWN].decode("utf-8", "replace").split())
            raise PassingError(f"{self.url}: not an answer of the form {self.form}: {shown!r}") from None
        text = text.encode("utf-8", "replace").decode("utf-8")  # JSON may hold halves of characters
        asked, answered = (count if isinstance(count, int) else 0 for count in counts)
        return Answer(text, asked, answered, ended in ("length", *_FILTERED))


def read_key(file: Path | None = None) -> str:
    """The key in a file, else in the environment's ``FINSA_API_KEY``, else none.

    Raises:
        ConfigError: If the file cannot be read, or holds no key or more than one line.
    """
    if file is None:
        return os.environ.get(KEY, "").strip()
    try:
        lines = file.read_text(encoding="utf-8").split()
    except (OSError, ValueError) as error:
        raise ConfigError(f"{file}: no key can be read: {error}") from None
    if len(lines) != 1:
        raise ConfigError(f"{file}: {len(lines)} words; allowed is one key and nothing else")
    return lines[0]


def _check(url: str) -> None:
    """Refuse what is no address that a path can be put behind.

    Raises:
        ConfigError: Without what stands before an @, which may be a password.
    """
    shown = repr(url.rpartition("@")[2])
    try:
        parts = urlsplit(url)
        host, named, port = parts.hostname or "", "@" in parts.netloc, parts.port
        host.encode("idna")  # as the connection will
    except ValueError as error:  # UnicodeError is one
        raise ConfigError(f"endpoint {shown}: no address ({error}); write one such as {EXAMPLE}") from None
    if named:
        raise ConfigError(f"endpoint at {host}: no name or password in the address; a key has a file")
    if parts.scheme not in ("http", "https") or not host or port == 0 or not _plain(url):
        raise ConfigError(f"endpoint {shown}: allowed is an address such as {EXAMPLE}")
    if "?" in url or "#" in url:
        raise ConfigError(f"endpoint {shown}: a path is put behind the address, so it may hold no ? and no #")


def _plain(value: str) -> bool:
    """Whether it is what an address and a header may hold: printable ASCII without a space."""
    return value.isascii() and value.isprintable() and " " not in value


def _seconds(told: str | None) -> float:
    """A Retry-After as seconds: a number, or a day and hour (RFC 9110, section 10.2.3); 0 for anything else."""
    if not told:
        return 0.0
    try:
        return max(0.0, float(told))
    except ValueError:
        pass
    try:
        when = parsedate_to_datetime(told)
    except (ValueError, TypeError):
        return 0.0
    return max(0.0, (when - datetime.now(UTC if when.tzinfo else None)).total_seconds())
