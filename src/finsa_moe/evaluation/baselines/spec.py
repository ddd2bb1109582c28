"""How a model of a comparison is written on the command line: ``NAME[:TARGET][?KEY=VALUE&KEY=VALUE]``, taken apart.

Text in, a `Spec` out, which hands its options over checked. It knows no baseline and no option by name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from finsa_moe.errors import ConfigError, closest


@dataclass(frozen=True)
class Spec:
    """One model as a user names it.

    Attributes:
        text: The whole spec as written; it stands in messages and tables.
        name: What comes before the first colon, such as ``tfidf-lr`` or ``hf``.
        target: What comes after it: a folder, a hub name, a model at an endpoint; empty where there is none.
        options: What comes after the question mark.
    """

    text: str
    name: str
    target: str
    options: Mapping[str, str]

    @classmethod
    def parse(cls, text: str) -> Spec:
        """Take a spec apart.

        Raises:
            ConfigError: If it is empty, or an option is not ``KEY=VALUE`` or stands twice.
        """
        head, _, tail = text.strip().partition("?")
        name, _, target = head.partition(":")
        if not name.strip():
            raise ConfigError(f"model {text!r}: no name; write for example tfidf-lr, hf:DIR or textcnn")
        options: dict[str, str] = {}
        for part in filter(None, tail.split("&")):
            key, sign, value = part.partition("=")
            if not sign or not key.strip() or not value.strip():
                raise ConfigError(f"model {text}: {part!r} is not KEY=VALUE; write for example ?shots=4&rpm=60")
            if key.strip() in options:
                raise ConfigError(f"model {text}: {key.strip()} is given twice; keep one")
            options[key.strip()] = value.strip()
        return cls(text.strip(), name.strip(), target.strip(), options)

    @staticmethod
    def named(texts: Sequence[str]) -> tuple[list[str], dict[str, str]]:
        """Models written as ``SPEC`` or ``NAME=SPEC``, where the name is what tables call the model.

        Returns:
            The specs, and the names given by spec.

        Raises:
            ConfigError: If a model or a name stands twice, or there is a name and no spec.
        """
        specs, names = list[str](), dict[str, str]()
        for text in texts:
            name, sign, spec = text.partition("=")
            if not sign or ":" in name or "?" in name:  # an option's sign, or a folder's
                name, spec = "", text
            elif not name.strip() or not spec.strip():
                raise ConfigError(
                    f"model {text!r}: write NAME=SPEC, for example 'our model=finsa:work/model/moe_joint'"
                )
            if spec.strip() in specs:
                raise ConfigError(f"model {spec.strip()}: is given twice; keep one")
            specs.append(spec.strip())
            if name and name.strip() in names.values():
                raise ConfigError(f"model {text}: {name.strip()} is another model already; name it otherwise")
            if name:
                names[spec.strip()] = name.strip()
        for spec, name in names.items():
            if name in specs:
                raise ConfigError(f"model {name}={spec}: {name} is how another model is written; name it otherwise")
        return specs, names

    def only(self, *known: str, target: bool = False) -> None:
        """Refuse options that the model does not know, a target it does not take, or the lack of one it needs.

        Raises:
            ConfigError: Naming what was found and what is allowed.
        """
        for key in self.options:
            if key not in known:
                allowed = f"it takes {', '.join(known)}{closest(key, list(known))}" if known else "it takes none"
                raise ConfigError(f"model {self.text}: unknown option {key!r}; {allowed}")
        if target and not self.target:
            raise ConfigError(f"model {self.text}: nothing after the colon; write {self.name}:WHAT")
        if self.target and not target:
            raise ConfigError(f"model {self.text}: {self.name} takes nothing after a colon; write {self.name}")

    def word(self, key: str, default: str, among: tuple[str, ...] = ()) -> str:
        """A text option; with `among`, one of these.

        Raises:
            ConfigError: If it is none of them.
        """
        value = self.options.get(key, default)
        if among and value not in among:
            raise ConfigError(
                f"model {self.text}: {key} {value!r} is none of {', '.join(among)}{closest(value, list(among))}"
            )
        return value

    def number(self, key: str, default: float, low: float, high: float = float("inf")) -> float:
        """A number between two bounds, both allowed.

        Raises:
            ConfigError: If it is no number or lies outside.
        """
        if key not in self.options:
            return default
        try:
            value = float(self.options[key])
        except ValueError:
            value = float("nan")
        if not low <= value <= high:
            span = f"at least {low:g}" if high == float("inf") else f"between {low:g} and {high:g}"
            raise ConfigError(f"model {self.text}: {key} {self.options[key]!r} must be a number, {span}")
        return value

    def whole(self, key: str, default: int, low: int, high: int = 10**9) -> int:
        """A whole number between two bounds, both allowed.

        Raises:
            ConfigError: If it is no whole number or lies outside.
        """
        value = self.number(key, default, low, high)
        if value != int(value):
            raise ConfigError(f"model {self.text}: {key} {self.options[key]!r} must be a whole number")
        return int(value)
