"""The model that is being served, and the change to another: loaded aside, tried, and only then put in its place.

A folder in, answers out. A folder that cannot be opened, or does not answer, leaves the model in service where it is.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from pathlib import Path
from typing import Any

from finsa_moe._version import __version__
from finsa_moe.errors import DataError, FinSAError, ModelError
from finsa_moe.runtime.prediction import Prediction
from finsa_moe.runtime.predictor import Predictor
from finsa_moe.runtime.stages import Opened, answer, open_texts

TRIAL = ("公司净利润同比增长六成", "主力又在砸盘,真想割肉走人", "下周三公布经济数据")
Load = Callable[[], Any]


class Served:
    """One loaded mixture in service; any number of threads may ask it.

    Args:
        finsa: What `finsa_moe.load` gave.
        name: What answers call the model.

    Attributes:
        current: Whether new requests go to it.
        domains: Names of the experts.
    """

    def __init__(self, finsa: Any, name: str) -> None:
        self.finsa, self.name = finsa, name
        self.predictor: Predictor = finsa.predictor
        self.domains: tuple[str, ...] = tuple(self.predictor.engine.domains)
        self.max_length = self.predictor.engine.max_length
        self.current = True

    def open(self, texts: Sequence[str], domain: str | None, many: bool) -> list[Opened | DataError]:
        """Make texts ready for `answer`, on the calling thread."""
        return open_texts(self.predictor, texts, domain, bulk=many)

    def answer(self, opened: Sequence[Opened], many: bool) -> list[Prediction]:
        """Answer one batch, on the calling thread."""
        return answer(self.predictor, opened, bulk=many)

    def ask(self, texts: Sequence[str], domain: str | None, many: bool = False) -> list[Prediction | DataError]:
        """Answer a few texts at once, on the calling thread, as a request of few texts, or of many, is answered."""
        opened = self.open(texts, domain, many)
        good = [each for each in opened if isinstance(each, Opened)]
        answers = iter(self.answer(good, many) if good else [])
        return [next(answers) if isinstance(each, Opened) else each for each in opened]

    def explain(self, text: str, domain: str | None, evaluations: int) -> Any:
        """An `Explanation` of one text, on the calling thread."""
        return self.finsa.explain(text, domain=domain, evaluations=evaluations)

    def card(self) -> dict[str, Any]:
        """What is told of the model: what it is called, its experts, engine, limits and where it was measured."""
        known = self.finsa.card
        kept = ("made", "precision", "prompt", "scores", "dev", "temperatures", "novelty_texts")
        return {
            "name": self.name,
            "version": __version__,
            "engine": self.predictor.engine.name,
            "max_tokens": self.max_length,
            "card": {key: known[key] for key in kept if key in known},
        }


class Shelf:
    """Holds the model in service and changes it.

    Args:
        load: Opens the folder that is served, anew at each call.
        folder: That folder, for the name.
        whole: Whether the bulk engine is tried as well, which reads its graphs then.
    """

    def __init__(self, load: Load, folder: Path | None, *, whole: bool = True) -> None:
        self._load, self._folder, self._whole = load, folder, whole
        self._changing = threading.Lock()
        self._stamp: object = None
        self.served = self._tried()

    @property
    def changed(self) -> bool:
        """Whether the folder is another than when it was last opened, or could not be looked at."""
        return self._stamp is None or self._stamped() != self._stamp

    def _stamped(self) -> object:
        """What tells one content of the folder from another, without reading it; None where that fails."""
        try:
            place = self._folder.resolve() if self._folder else None
            states = [(file, file.stat()) for file in sorted(place.rglob("*"))] if place else []
        except OSError:
            return None
        return place, [(file, state.st_ino, state.st_mtime_ns, state.st_size) for file, state in states]

    def reload(self) -> Served:
        """Open the folder again, try it on every expert, and put it in service.

        Raises:
            FinSAError: If it does not open or answer; the model in service stays.
        """
        with self._changing:
            fresh = self._tried()
            fresh.current, self.served.current = True, False
            self.served = fresh
        return fresh

    def _tried(self) -> Served:
        """`_opened` on a thread of its own, with every error in words.

        OpenVINO gives the thread that opens it a stack for signals, and takes it away where the model is let go: on the
        main thread, which gets the signals, the next one after that ended the process.
        """
        try:
            with ThreadPoolExecutor(1, thread_name_prefix="finsa-open") as thread:
                return thread.submit(self._opened).result()
        except FinSAError:
            raise
        except Exception as error:  # of an engine or the disk: whatever it is, the folder holds no model that answers
            said = " ".join(str(error).split())[:200]
            raise ModelError(
                f"{self._folder or 'the default model'} cannot be served ({type(error).__name__}: {said}); "
                "copy the whole folder again, or export it anew"
            ) from error

    def _opened(self) -> Served:
        self._stamp = self._stamped()  # before it is read: what changes meanwhile is a change
        finsa = self._load()
        name = str(finsa.card.get("name") or (self._folder.resolve().name if self._folder else "default"))
        served = Served(finsa, name)
        # both engines and every expert, which are read when they are first asked: the folder may move on afterwards
        for domain, many in product((None, *served.domains), (False, True) if self._whole else (False,)):
            for found in served.ask(TRIAL, domain, many):
                if isinstance(found, DataError) or not _sound(found):
                    raise ModelError(f"{self._folder}: the model gives no sound answer to a trial text; export it anew")
        return served


def _sound(answer: Prediction) -> bool:
    scores = list(answer.scores.values())
    return all(math.isfinite(score) and -1e-6 <= score <= 1 + 1e-6 for score in scores) and abs(sum(scores) - 1) < 1e-3
